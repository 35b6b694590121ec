// Golden IR text: what each rewrite row, by itself, and each pass make of a graph. Files golden/*.ir:
//
//   === row NAME [WORD ...]     or: === pass NAME[,NAME ...] [WORD ...]
//   --- before
//   IR text without the enclosing graph { }; constants of more than 16 elements (#a) become random numbers
//   --- after
//   what is printed; their hashes are left out. NPUPORT_UPDATE_GOLDEN=1 writes it.
//   --- near WHY                one thing off: the row must not fire
//   IR text
//
// Every number that a pattern asks for is also tried a hundredth off, by itself.
// Words: tolerance=N (largest difference; 2e-5 for exact rows, which approximate ones must state), range=NAME:LOW:HIGH
// [:whole], io=nhwc, refuse=OP,OP, rank=N, approximate, split,
// integers (random inputs are whole numbers). Every row of every family needs a case and, where it can
// be refused at all, a near-miss.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "lower_support.h"
#include "passes/cache_borders.h"
#include "passes/dtypes.h"
#include "passes/fuse.h"
#include "passes/host.h"
#include "passes/layout.h"
#include "support/paths.h"

namespace npuport::testing {
namespace {

constexpr double kExact = 2e-5;

struct GoldenCase {
  std::string header, kind, name;
  std::vector<std::string> words;
  std::string before, after;
  std::vector<std::pair<std::string, std::string>> near;  // reason, graph

  std::string option(const std::string& key) const {
    for (const std::string& w : words)
      if (w.starts_with(key + "=")) return w.substr(key.size() + 1);
    return {};
  }
  bool has(const std::string& word) const { return std::find(words.begin(), words.end(), word) != words.end(); }
};

std::vector<std::string> pieces(const std::string& text, char at) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string one; std::getline(in, one, at);)
    if (!one.empty()) out.push_back(one);
  return out;
}

// Lines before the first case are a comment.
std::vector<GoldenCase> read_golden(const std::string& path) {
  std::vector<GoldenCase> out;
  std::ifstream in(path);
  std::string* section = nullptr;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("=== ")) {
      GoldenCase c;
      c.header = line;
      c.words = pieces(line.substr(4), ' ');
      EXPECT_GE(c.words.size(), 2U) << path << ": " << line;
      if (c.words.size() < 2) continue;
      c.kind = c.words[0], c.name = c.words[1];
      out.push_back(std::move(c));
      section = nullptr;
    } else if (out.empty()) {
      continue;
    } else if (line == "--- before") {
      section = &out.back().before;
    } else if (line == "--- after") {
      section = &out.back().after;
    } else if (line.starts_with("--- near ")) {
      section = &out.back().near.emplace_back(line.substr(9), "").second;
    } else if (section) {
      *section += line + "\n";
    } else {
      ADD_FAILURE() << path << ": \"" << line << "\" belongs to no section";
    }
  }
  return out;
}

void write_golden(const std::string& path, const std::vector<GoldenCase>& cases) {
  std::string text;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line) && !line.starts_with("=== ");) text += line + "\n";
  for (const GoldenCase& c : cases) {
    text += c.header + "\n";
    if (!c.before.empty()) text += "--- before\n" + c.before + "--- after\n" + c.after;
    for (const auto& [why, graph] : c.near) text += "--- near " + why + "\n" + graph;
  }
  std::ofstream(path) << text;
}

std::span<const std::span<const Rewrite>> families() {
  static const std::vector<std::span<const Rewrite>> all = [] {
    ops::register_all();
    return std::vector<std::span<const Rewrite>>{lower_rewrites(), fuse_rewrites(), absorb_rewrites(),
                                                 cleanup_rewrites()};
  }();
  return all;
}

const Rewrite* row_named(std::string_view name) {
  for (const auto& family : families())
    for (const Rewrite& r : family)
      if (r.name == name) return &r;
  return nullptr;
}

const PassDef* pass_named(const std::string& name) {
  for (const PassDef* p : {&normalise_dtypes_pass, &fold_pass, &cleanup_pass, &fuse_pass, &refold_pass, &absorb_pass,
                           &channels_last_pass, &cache_borders_pass, &lower_pass, &split_to_host_pass})
    if (p->name == name) return p;
  return nullptr;
}

PassOptions options_of(const GoldenCase& c) {
  PassOptions o;
  o.allow_approximate = c.has("approximate");
  if (c.option("io") == "nhwc") o.io_layout = IoLayout::channels_last;
  for (const std::string& w : c.words) {
    if (!w.starts_with("range=")) continue;
    const std::vector<std::string> p = pieces(w.substr(6), ':');
    o.ranges[p.at(0)] = {std::stod(p.at(1)), std::stod(p.at(2)), p.size() > 3};
  }
  return o;
}

// Without the enclosing braces, and without the hashes of constants.
std::string body_text(const Graph& g) {
  std::string out;
  for (std::string line : pieces(print(g), '\n')) {
    if (!line.starts_with("  ")) continue;
    line = line.substr(2);
    if (const size_t hash = line.find(" = #"); line.starts_with("const ") && hash != std::string::npos)
      line.resize(hash + 4);
    out += line + "\n";
  }
  return out;
}

// Printing and parsing give the same graph, constants included.
void expect_round_trip(const Graph& g) {
  std::map<std::string, std::shared_ptr<const Tensor>, std::less<>> known;
  for (uint32_t i = 0; i < g.value_slots(); ++i)
    if (const auto& t = g.value(ValueId{i}).constant) known[content_hash(*t)] = t;
  const std::string text = print(g, {.origins = true});
  const Result<Graph> again = parse_graph(text, [&](std::string_view hash) {
    const auto it = known.find(hash);
    return it == known.end() ? nullptr : it->second;
  });
  ASSERT_TRUE(again) << to_text(again.error()) << text;
  EXPECT_EQ(print(*again, {.origins = true}), text);
  EXPECT_TRUE(verify(*again, Stage::imported));
}

// The numbers a pattern asks for, in operands and attributes.
void collect_numbers(const ExprNode& e, std::set<double>& out) {
  if (e.number) out.insert(*e.number);
  for (const auto& [name, text] : e.attrs) {
    char* end = nullptr;
    const double v = std::strtod(text.c_str(), &end);
    if (!text.empty() && end == text.c_str() + text.size()) out.insert(v);
  }
  for (const ExprNode& arg : e.args) collect_numbers(arg, out);
}
std::set<double> numbers_of(const Rewrite& row) {
  std::set<double> out;
  const Result<std::vector<Statement>> match = parse_statements(row.match);
  for (const Statement& s : *match) collect_numbers(s.expr, out);
  return out;
}

// On whole numbers, where the row claims no more.
double whole_difference(const Graph& a, const Graph& b) {
  std::vector<Tensor> in = random_inputs(a);
  for (Tensor& t : in)
    if (t.dtype == DType::f32)
      for (float& v : t.mut<float>()) v = std::round(3 * std::abs(v));
  const auto x = execute(a, in), y = execute(b, in);
  if (!x || !y || x->size() != y->size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t k = 0; k < x->size(); ++k)
    for (int64_t i = 0; i < (*x)[k].count(); ++i)
      worst = std::max(worst, std::abs(get_double((*x)[k], i) - get_double((*y)[k], i)));
  return worst;
}

// The row at every node of the graph as it was, once each.
size_t apply_row(const Rewrite& row, Graph& g, const PassOptions& options, Ledger& ledger) {
  set_declared_ranges(g, options.ranges);
  const RewriteSet rules(std::span(&row, 1));
  IoContract io = identity_io(g);
  PassContext c{options, ledger, &io, nullptr, nullptr, {}, {}, nullptr};
  c.pass = "golden";
  size_t applied = 0;
  for (const NodeId id : g.topological())
    if (g.node(id).alive && g.node(id).op->name == rules.root_op(row))
      applied += rules.apply_at(g, c, row, id, "golden") ? 1 : 0;
  g.erase_dead();
  set_declared_ranges(g, {});
  return applied;
}

// `g` with each uniform constant, and each real attribute, a hundredth off, one at a time.
std::vector<Graph> one_number_off(const Graph& g) {
  std::vector<Graph> out;
  for (uint32_t i = 0; i < g.value_slots(); ++i) {
    const ValueId id{i};
    if (!g.is_constant(id) || !uniform_value(g, id) || g.type(id).dtype != DType::f32) continue;
    Tensor t = Tensor::zeros(DType::f32, g.shape(id));
    const auto v = static_cast<float>(*uniform_value(g, id));
    for (float& x : t.mut<float>()) x = v * 1.01F + (v == 0 ? 0.01F : 0.0F);
    out.push_back(g);
    out.back().value(id).constant = std::make_shared<const Tensor>(std::move(t));
  }
  for (const NodeId n : g.topological())
    for (size_t k = 0; k < g.node(n).attrs.size(); ++k) {
      const double* v = std::get_if<double>(&g.node(n).attrs[k].value);
      if (!v || std::isinf(*v)) continue;
      out.push_back(g);
      out.back().node(n).attrs[k].value = *v + 0.01;
    }
  return out;
}

void check_row(GoldenCase& c, const Rewrite& row, bool update) {
  PassOptions options = options_of(c);
  options.allow_approximate = row.numerics == Numerics::approximate;
  Ledger ledger;
  if (!c.before.empty()) {
    const Graph before = graph_of(c.before);
    Graph after = before;
    EXPECT_GT(apply_row(row, after, options, ledger), 0U) << "it does not fire";
    EXPECT_TRUE(verify(after, Stage::imported));
    const std::string tolerance = c.option("tolerance");
    EXPECT_TRUE(row.numerics != Numerics::approximate || !tolerance.empty()) << "an approximate row without tolerance=";
    EXPECT_LE(c.has("integers") ? whole_difference(before, after) : difference(before, after),
              tolerance.empty() ? kExact : std::stod(tolerance));
    expect_round_trip(before);
    expect_round_trip(after);
    if (update) c.after = body_text(after);
    EXPECT_EQ(body_text(after), c.after);
    size_t refused = 0;
    for (Graph& g : one_number_off(before)) refused += apply_row(row, g, options, ledger) == 0 ? 1 : 0;
    EXPECT_GE(refused, numbers_of(row).size()) << "it fires with another number than its pattern asks for";
  }
  for (const auto& [why, text] : c.near) {
    SCOPED_TRACE("near-miss: " + why);
    Graph g = graph_of(text);
    const std::string untouched = print(g);
    EXPECT_EQ(apply_row(row, g, options, ledger), 0U) << print(g);
    EXPECT_EQ(print(g), untouched);
    expect_round_trip(g);
  }
}

void check_passes(GoldenCase& c, bool update) {
  std::vector<const PassDef*> passes;
  for (const std::string& name : pieces(c.name, ',')) {
    passes.push_back(pass_named(name));
    ASSERT_NE(passes.back(), nullptr) << "there is no pass " << name;
  }
  std::set<std::string> refused;
  for (const std::string& op : pieces(c.option("refuse"), ',')) refused.insert(op);
  const Refusing legality(refused, c.option("rank").empty() ? 8 : std::stoul(c.option("rank")));
  PassOptions options = options_of(c);
  options.split_host = c.has("split") || c.name.starts_with("cache_borders");
  const Graph before = graph_of(c.before);
  Graph declared = before;
  set_declared_ranges(declared, options.ranges);
  Ran r = run_passes_on(passes, std::move(declared), options, &legality);
  set_declared_ranges(r.graph, {});
  const std::string tolerance = c.option("tolerance");
  EXPECT_LE(difference(before, r.graph, r.io), tolerance.empty() ? kExact : std::stod(tolerance));
  expect_round_trip(r.graph);
  if (update) c.after = body_text(r.graph);
  EXPECT_EQ(body_text(r.graph), c.after);
  EXPECT_FALSE(body_text(r.graph) == body_text(before)) << "the pass changed nothing";
}

std::string golden_folder() { return source_dir() + "/tests/passes/golden"; }

std::vector<std::string> golden_files() {
  std::vector<std::string> out;
  std::error_code none;
  for (const auto& e : std::filesystem::directory_iterator(golden_folder(), none))
    if (e.path().extension() == ".ir") out.push_back(e.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, TextAndNumbers) {
  const char* wish = std::getenv("NPUPORT_UPDATE_GOLDEN");
  const bool update = wish != nullptr && *wish == '1';
  const std::string path = golden_folder() + "/" + GetParam() + ".ir";
  std::vector<GoldenCase> cases = read_golden(path);
  EXPECT_FALSE(cases.empty());
  for (GoldenCase& c : cases) {
    SCOPED_TRACE(path + ": " + c.header);
    const Rewrite* row = c.kind == "row" ? row_named(c.name) : nullptr;
    ASSERT_TRUE(row || c.kind == "pass") << "there is no such row";
    if (row) {
      check_row(c, *row, update);
    } else {
      check_passes(c, update);
    }
  }
  if (update) write_golden(path, cases);
}

INSTANTIATE_TEST_SUITE_P(Files, Golden, ::testing::ValuesIn(golden_files()),
                         [](const auto& file) { return file.param; });

// No graph with the operator can miss it: one operator, all of whose attributes are bound, and no check.
bool unconditional(const Rewrite& row) {
  const Result<std::vector<Statement>> match = parse_statements(row.match);
  if (!match || row.check || match->size() != 1) return false;
  const ExprNode& e = match->front().expr;
  const OpDef* op = Registry::global().find(e.op);
  std::set<std::string> bound;
  bool rest = false;
  for (const auto& [name, text] : e.attrs) {
    rest = rest || name == "rest";
    if (text.starts_with("$")) bound.insert(name);
  }
  for (const AttrDef& a : op->attrs)
    if (!rest && !bound.contains(std::string(a.name))) return false;
  for (const ExprNode& arg : e.args)
    if (!arg.op.empty() || arg.number || arg.name.empty() || std::isupper(static_cast<unsigned char>(arg.name[0])) != 0)
      return false;
  return true;
}

// Rows that are made for every operator that works element by element; LowerRank.ElementwiseRows goes through them.
bool made_per_operator(const Rewrite& row) {
  constexpr std::string_view kPrefix = "rank_of_";
  if (!row.name.starts_with(kPrefix)) return false;
  const OpDef* op = Registry::global().find(row.name.substr(kPrefix.size()));
  return op && op->axes.kind == AxisRule::elementwise;
}

TEST(GoldenRows, EveryRowHasACaseAndANearMiss) {
  std::set<std::string> fires, misses;
  for (const std::string& file : golden_files())
    for (const GoldenCase& c : read_golden(golden_folder() + "/" + file + ".ir")) {
      if (!c.before.empty()) fires.insert(c.name);
      if (!c.near.empty()) misses.insert(c.name);
    }
  for (const auto& family : families())
    for (const Rewrite& row : family) {
      if (made_per_operator(row)) continue;
      const std::string name(row.name);
      EXPECT_TRUE(fires.contains(name)) << name << " has no case in tests/passes/golden";
      EXPECT_TRUE(misses.contains(name) || !numbers_of(row).empty() || unconditional(row))
          << name << " has no near-miss in tests/passes/golden";
    }
}

TEST(GoldenRows, EveryPassHasACase) {
  std::set<std::string> seen;
  for (const std::string& file : golden_files())
    for (const GoldenCase& c : read_golden(golden_folder() + "/" + file + ".ir"))
      if (c.kind == "pass")
        for (const std::string& name : pieces(c.name, ',')) seen.insert(name);
  for (const PassDef* p : all_passes())
    EXPECT_TRUE(seen.contains(std::string(p->name)) || p->name == "user_rewrites") << p->name;
}

}  // namespace
}  // namespace npuport::testing
