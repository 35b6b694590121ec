#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/atomic_file.h"
#include "base/subprocess.h"
#include "diagnose_support.h"
#include "drivers/diagnose/cure.h"
#include "drivers/diagnose/host_code.h"
#include "drivers/diagnose/lint.h"
#include "exec/executor.h"
#include "frontends/shape_habits.h"
#include "ir/text.h"
#include "passes/domain.h"
#include "passes/io_contract.h"
#include "support/temp_folder.h"

namespace npuport::diagnose::testing {
namespace {

using npuport::testing::TempFolder;

Graph parsed(const std::string& body) {
  ops::register_all();
  Result<Graph> g = parse_graph("graph \"t\" {\n" + body + "\n}\n");
  if (!g) ADD_FAILURE() << to_text(g.error());
  return g ? std::move(*g) : Graph();
}

std::vector<std::string> own_name(const Graph& g, NodeId id) { return {std::string(g.node(id).op->name)}; }

// Whole-number inputs where a range says so.
std::vector<Tensor> inputs_of(const Graph& g, const std::map<std::string, ValueRange>& ranges) {
  std::mt19937 rng(3);
  std::normal_distribution<double> normal(0, 1);
  std::vector<Tensor> out;
  for (const ValueId v : g.inputs()) {
    Tensor t = Tensor::zeros(DType::f64, g.shape(v));
    const auto r = ranges.find(g.value(v).name);
    for (double& x : t.mut<double>())
      x = r == ranges.end()
              ? normal(rng)
              : r->second.low + static_cast<double>(rng() % static_cast<uint32_t>(r->second.high - r->second.low + 1));
    out.push_back(cast_tensor(t, g.type(v).dtype));
  }
  return out;
}

struct Cured {
  Graph before, after;
  IoContract io;
  Ledger ledger;
  std::vector<CureRecord> records;  // of all rounds
  int rounds = 0;
  bool accepted = false;
  double max_diff = 0;
};

// Hunts and cures until the compiler takes the graph.
Cured cured(const Graph& g, const GraphJudge& judge, PassOptions passes = {}, Whitelist whitelist = {}) {
  Cured c{g, g, {}, {}, {}, 0, false, 0};
  c.io = *io_contract(g);
  Refusals refusals;
  const std::vector<Tensor> in = inputs_of(g, passes.ranges);
  const auto reference = execute(g, in);
  EXPECT_TRUE(reference);
  CureOptions o;
  o.passes = passes;
  o.kinds = own_name;
  o.judge = judge;
  o.magnitude = [](const Graph&, ValueId) { return 37.0; };
  o.prove = [&](const Graph& after, const IoContract& io, Numerics numerics) -> Result<Evidence> {
    const HostRunner host = host_runner([&](std::span<const Tensor> t) { return execute(after, t); });
    NPU_ASSIGN(const std::vector<Tensor> out, run_original_interface(io, in, host));
    double worst = 0;
    for (size_t k = 0; k < out.size(); ++k)
      for (int64_t i = 0; i < out[k].count(); ++i)
        worst = std::max(worst, std::abs(get_double(out[k], i) - get_double((*reference)[k], i)));
    c.max_diff = worst;
    return Evidence{numerics == Numerics::approximate || worst < 1e-4, worst, "measured"};
  };
  for (; c.rounds < 5; ++c.rounds) {
    const Graph snapshot = c.after;
    const Order order(snapshot);
    Oracle oracle(order, judge, {});
    HuntOptions how;
    how.kinds = [&](NodeId id) { return own_name(snapshot, id); };
    Result<Hunt> h = hunt(oracle, how);
    if (!h) {
      ADD_FAILURE() << to_text(h.error());
      return c;
    }
    c.accepted = h->passes;
    if (h->passes) break;
    EXPECT_TRUE(learn(oracle, *h, o.kinds, whitelist, refusals));
    size_t compiles = 0;
    Result<std::vector<CureRecord>> r = cure(c.after, c.io, c.ledger, order, *h, whitelist, refusals, o, compiles);
    if (!r) {
      ADD_FAILURE() << to_text(r.error());
      return c;
    }
    const bool some = std::any_of(r->begin(), r->end(), [](const CureRecord& x) { return !x.chosen.empty(); });
    c.records.insert(c.records.end(), r->begin(), r->end());
    if (!some) break;
  }
  return c;
}

GraphJudge refusing(std::set<std::string> ops) { return judge_of({.ops = std::move(ops)}); }

const Alternative* alternative(const CureRecord& r, const std::string& name) {
  for (const Alternative& a : r.alternatives)
    if (a.name == name) return &a;
  return nullptr;
}

TEST(DiagnoseCure, IntegerIndexBecomesSliceAndReshape) {
  for (const char* index : {"0", "3", "-1"}) {
    const Graph g = parsed(std::string("input %x: f32[1,5,8]\nconst %i: i64[] = [") + index +
                           "]\n%g = gather(%x, %i) axis=1\n%y = relu(%g)\noutput %y");
    const Cured c = cured(g, refusing({"gather"}));
    EXPECT_TRUE(c.accepted);
    EXPECT_EQ(c.max_diff, 0.0);
    ASSERT_EQ(c.records.size(), 1U);
    EXPECT_EQ(c.records[0].chosen, "gather_as_slices");
  }
}

PassOptions on_the_npu() {
  PassOptions p;
  p.split_host = false;
  return p;
}

Result<ProcessResult> start(std::vector<std::string> argv) {
  ProcessOptions o;
  o.argv = std::move(argv);
  o.timeout = std::chrono::seconds(120);
  return run_process(o);
}

constexpr const char* kLabels =
    "input %l: f32[1,5]\ninput %x: f32[1,5]\nconst %k: f32[] = [2]\n%e = equal(%l, %k)\n%c = cast(%e) to=f32\n%y = "
    "mul(%x, "
    "%c)\noutput %y";

TEST(DiagnoseCure, LabelEqualityNeedsItsDomain) {
  PassOptions passes;
  passes.ranges["l"] = {-1, 3, true};
  passes.split_host = false;
  const Cured good = cured(parsed(kLabels), refusing({"equal", "cast"}), passes);
  EXPECT_TRUE(good.accepted);
  EXPECT_EQ(good.max_diff, 0.0);
  std::map<std::string, int> ops;
  for (const NodeId id : good.after.topological()) ++ops[std::string(good.after.node(id).op->name)];
  EXPECT_EQ(ops["relu"], 1);
  EXPECT_EQ(ops["equal"] + ops["cast"], 0);
  // Without a declared domain 0.5 could come, and relu(1 - (x - v)^2) would be wrong.
  const Cured refused = cured(parsed(kLabels), refusing({"equal", "cast"}), on_the_npu());
  EXPECT_FALSE(refused.accepted);
  ASSERT_FALSE(refused.records.empty());
  bool said = false;
  for (const CureRecord& r : refused.records)
    for (const Alternative& a : r.alternatives) said = said || a.verdict.find("domain") != std::string::npos;
  EXPECT_TRUE(said);
}

// Abs first; what it became, then sine and cosine: unattended, over several rounds.
constexpr const char* kPrompt =
    "input %p: f32[1,5,2]\ninput %l: f32[1,5,1]\nconst %w: f32[2,4] = [1,2,3,4,5,6,7,8]\nconst %k: f32[] = [1]\nconst "
    "%z: f32[8,64] = #1\n"
    "%t = matmul(%p, %w)\n%s = sin(%t)\n%c = cos(%t)\n%f = concat(%s, %c) axis=-1\n%d = sub(%l, %k)\n%a = abs(%d)\n"
    "%o = sub(%k, %a)\n%m = relu(%o)\n%h = mul(%f, %m)\n%r = relu(%h)\n%y = matmul(%r, %z)\noutput %y";

TEST(DiagnoseCure, PromptEncoderGoesToTheHostAndLabelsStay) {
  PassOptions passes;
  passes.ranges["l"] = {-1, 3, true};
  const Cured c = cured(parsed(kPrompt), refusing({"abs", "sin", "cos", "maximum"}), passes);
  EXPECT_TRUE(c.accepted);
  EXPECT_LT(c.max_diff, 1e-5);
  ASSERT_EQ(c.io.host_steps.size(), 1U);
  // One encoding goes in, not sine and cosine apart.
  EXPECT_EQ(c.io.host_steps[0].outputs.size(), 1U);
  EXPECT_EQ(c.io.host_steps[0].inputs, std::vector<std::string>{"p"});
  std::map<std::string, std::string> chosen;
  for (const CureRecord& r : c.records) chosen[r.kinds[0]] = r.chosen;
  EXPECT_EQ(chosen["abs"], "label_equality_relu");
  EXPECT_EQ(chosen["sin"], "host");
  EXPECT_EQ(chosen["cos"], "host");
  for (const CureRecord& r : c.records) {
    if (r.kinds[0] != "sin") continue;
    for (const char* idea :
         {"Taylor polynomial", "reduction modulo 2 pi", "look-up table", "Pade quotient", "piecewise linear by Relu"}) {
      const Alternative* a = alternative(r, idea);
      ASSERT_NE(a, nullptr) << idea;
      EXPECT_FALSE(a->chosen);
      EXPECT_THAT(a->verdict, ::testing::StartsWith("rejected")) << idea;
    }
  }
  size_t fixes = 0;
  for (const LedgerEntry& e : c.ledger.entries()) fixes += e.pass == "diagnose";
  EXPECT_GE(fixes, 2U);
}

TEST(DiagnoseCure, ApproximateOnlyWhenAllowedAndNothingElseIsSaid) {
  const Graph g = parsed("input %x: f32[2,8]\n%a = relu(%x)\n%g = gelu(%a)\n%y = tanh(%g)\noutput %y");
  PassOptions passes;
  passes.split_host = false;
  const GraphJudge judge = refusing({"gelu", "erf", "abs", "exp"});
  const Cured strict = cured(g, judge, passes);
  EXPECT_FALSE(strict.accepted);
  ASSERT_FALSE(strict.records.empty());
  const Alternative* a = alternative(strict.records[0], "gelu_erf_to_tanh");
  ASSERT_NE(a, nullptr);
  EXPECT_THAT(a->verdict, ::testing::HasSubstr("--allow-approximate"));
  EXPECT_THAT(strict.records[0].outcome, ::testing::HasSubstr("no cure"));
}

TEST(DiagnoseCure, WhitelistsRoundTripAndMerge) {
  Whitelist w;
  w.target = "npu";
  w.tool = "cc 1.2";
  const Graph g = parsed("input %x: f32[2,8]\n%a = relu(%x)\n%b = relu(%a)\n%y = tanh(%b)\noutput %y");
  w.add(g, own_name);
  EXPECT_TRUE(w.has("relu"));
  EXPECT_FALSE(w.has("rel"));
  EXPECT_FALSE(w.has("erf"));
  const Result<Whitelist> again = Whitelist::from_json(w.to_json(), "w.json");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->to_json(), w.to_json());
  Whitelist merged = *again;
  merged.merge(w);
  EXPECT_EQ(merged.to_json(), w.to_json());
  const Graph other = parsed("input %x: f32[8]\n%y = relu(%x)\noutput %y");
  EXPECT_FALSE(w.covers(other, other.topological()[0], own_name));
  for (const char* bad :
       {"[]", "{}", R"({"version":9,"operators":[]})", R"({"version":1})", R"({"version":1,"operators":[3]})"}) {
    const Result<Json> j = parse_json(bad);
    ASSERT_TRUE(j);
    EXPECT_FALSE(Whitelist::from_json(*j, "w.json")) << bad;
  }
}

TEST(DiagnoseLint, NamesTheUsualConstructions) {
  const Graph g = parsed(
      "input %x: f32[1,5,8]\nconst %i: i64[] = [1]\n%g = gather(%x, %i) axis=1 @\"head\" \"m.py:7\" "
      "\"aten::select\"\n%c = "
      "greater(%g, %g)\n%n = cast(%c) to=f32\n%e = gelu(%n)\n%s = sin(%e)\noutput %s");
  std::map<std::string, int> found;
  for (const Lint& l : lint(g)) found[l.rule] = l.count;
  EXPECT_EQ(found["integer-index"], 1);
  EXPECT_EQ(found["bool-to-number"], 1);
  EXPECT_EQ(found["erf-gelu"], 1);
  EXPECT_EQ(found["sin-cos"], 1);
  EXPECT_EQ(lint(g)[0].places[0].source, "m.py:7");
  Graph asking = g;
  for (const char* line : {"m.py:3", "m.py:4", "m.py:3"}) note_shape_read(asking, {"head", line, "aten::size"});
  note_open_input(asking, "x [b,5,8]");
  EXPECT_EQ(print(asking), print(g)) << "no part of the model";
  const std::vector<Lint> more = lint(asking);
  ASSERT_GE(more.size(), 2U);
  EXPECT_EQ(more[0].rule, "dynamic-shape");
  EXPECT_NE(more[0].what.find("x [b,5,8]"), std::string::npos);
  EXPECT_EQ(more[1].rule, "shape-arithmetic");
  EXPECT_EQ(more[1].count, 2);
  EXPECT_EQ(more[1].places[1].source, "m.py:4");
}

// The generated sources compute what the graph does.
TEST(DiagnoseHostCode, PythonAndCppComputeTheSame) {
  const Graph g = parsed(
      "input %p: f32[1,3,2]\ninput %l: f32[1,3]\nconst %w: f32[2,4] = [0.5,-1,2,0.25,1,3,-0.5,0.125]\nconst %k: f32[] "
      "= "
      "[0.5]\n%a = add(%p, %k)\n%t = matmul(%a, %w)\n%s = sin(%t)\n%c = cos(%t)\n%f = concat(%s, %c) axis=-1\n%q = "
      "slice(%f) starts=[1] ends=[7] axes=[2] steps=[2]\n%r = transpose(%q) perm=[0,2,1]\n%u = reshape(%l) "
      "shape=[1,1,3]\n%m = mul(%r, %u)\n%z = clamp(%m) min=-0.5 max=0.75\n%h = reduce_mean(%z) axes=[1]\noutput "
      "%z\noutput %h");
  const Result<HostCode> code = host_code(g, "compute it");
  ASSERT_TRUE(code) << to_text(code.error());
  const std::vector<Tensor> in = inputs_of(g, {});
  const auto want = execute(g, in);
  ASSERT_TRUE(want);
  std::string values_cpp, values_py, shapes[2] = {"1,3,2", "1,3"};
  for (size_t k = 0; k < 2; ++k) {
    std::string list;
    for (const float v : in[k].as<float>()) list += (list.empty() ? "" : ",") + std::to_string(v);
    values_cpp += "Array a" + std::to_string(k) + "{{" + shapes[k] + "},{" + list + "}};for(double& v:a" +
                  std::to_string(k) + ".data)v=float(v);";
    values_py += "a" + std::to_string(k) + "=np.array([" + list + "],np.float32).reshape(" + shapes[k] + ")\n";
  }
  TempFolder folder;
  ASSERT_TRUE(
      write_file(folder.path("c.cpp"),
                 code->cpp + "#include <cstdio>\nint main(){" + values_cpp +
                     "for(const Array& y:compute_it(a0,a1))for(double v:y.data)std::printf(\"%.9g\\n\",v);}\n"));
  ASSERT_TRUE(
      write_file(folder.path("c.py"),
                 code->python + values_py + "for y in compute_it(a0,a1):\n  for v in y.ravel(): print('%.9g'%v)\n"));
  const char* torch = std::getenv("NPUPORT_TEST_TORCH_PYTHON");
  const std::string python = torch ? torch : "/usr/bin/python3";
  const auto built = start({"c++", "-std=c++17", "-O0", folder.path("c.cpp"), "-o", folder.path("c")});
  if (!built) GTEST_SKIP() << "no C++ compiler on the path: " << built.error().message;
  ASSERT_TRUE(built->ok()) << built->err;
  std::vector<std::string> outputs;
  outputs.push_back(start({folder.path("c")})->out);
  if (python != "none") {
    const auto ran = start({python, folder.path("c.py")});
    if (ran) {
      ASSERT_TRUE(ran->ok()) << ran->err;
      outputs.push_back(ran->out);
    }
  }
  for (const std::string& text : outputs) {
    std::istringstream lines(text);
    for (const Tensor& t : *want)
      for (int64_t i = 0; i < t.count(); ++i) {
        double v = 0;
        ASSERT_TRUE(lines >> v);
        EXPECT_NEAR(v, get_double(t, i), 2e-5);
      }
  }
  const Graph odd = parsed("input %x: f32[2,8]\n%y = erf(%x)\noutput %y");
  EXPECT_FALSE(host_code(odd, "f"));
}

}  // namespace
}  // namespace npuport::diagnose::testing
