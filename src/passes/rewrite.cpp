#include "passes/rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ranges>
#include <set>

#include "base/diag_codes.h"
#include "ir/registry.h"
#include "passes/pattern.h"
#include "passes/release.h"

namespace npuport {
namespace {

[[noreturn]] void bug(const std::string& what) {
  std::fprintf(stderr, "npuport: %s\n", what.c_str());
  std::abort();
}

template <class Map>
const auto& lookup(const Map& map, std::string_view name) {
  const auto it = map.find(name);
  if (it == map.end()) bug("a rewrite asks for '" + std::string(name) + "', which its pattern does not bind");
  return it->second;
}

}  // namespace

ValueId Match::value(std::string_view name) const { return lookup(values_, name); }
double Match::number(std::string_view name) const { return lookup(numbers_, name); }
const AttrValue& Match::attr(std::string_view name) const { return lookup(attrs_, name); }
const std::vector<Attr>& Match::rest(std::string_view name) const { return lookup(rests_, name); }

// Builds the replacement text of a row.
class Replacer {
 public:
  Replacer(Builder& b, const Match& m, DType number_type) : b_(b), m_(m), number_type_(number_type) {}

  // One value per root, by the root's name.
  std::vector<ValueId> run(const std::vector<Statement>& statements, const Pattern& p) {
    for (const Statement& s : statements) {
      const std::vector<ValueId> out = s.expr.op.empty() ? std::vector<ValueId>{value(s.expr)} : call(s.expr);
      if (b_.failed()) return {};  // the caller asks the builder why
      for (size_t i = 0; i < s.results.size() && i < out.size(); ++i) env_[s.results[i]] = out[i];
    }
    std::vector<ValueId> roots;
    for (const size_t r : p.roots) roots.push_back(lookup(env_, p.values[r].name));
    return roots;
  }

 private:
  ValueId value(const ExprNode& e) {
    if (b_.failed()) return {};
    if (e.number) return b_.scalar(*e.number, number_type_);
    if (!e.op.empty()) {
      const std::vector<ValueId> out = call(e);
      return out.empty() ? ValueId{} : out.front();
    }
    if (e.name == "_") return {};
    if (e.name.starts_with('$')) return b_.scalar(number_of(e.name.substr(1)), number_type_);
    const auto it = env_.find(e.name);
    return it != env_.end() ? it->second : m_.value(e.name);
  }

  double number_of(const std::string& name) {
    const auto it = m_.numbers_.find(name);
    if (it != m_.numbers_.end()) return it->second;
    const AttrValue& a = m_.attr(name);
    if (const auto* r = std::get_if<double>(&a)) return *r;
    if (const auto* i = std::get_if<int64_t>(&a)) return static_cast<double>(*i);
    bug("$" + name + " is no number");
  }

  std::vector<ValueId> call(const ExprNode& e) {
    std::vector<ValueId> in;
    for (const ExprNode& arg : e.args) in.push_back(value(arg));
    if (b_.failed()) return {};
    const OpDef& row = op(e.op);
    std::vector<Attr> attrs;
    for (const auto& [key, text] : e.attrs) {
      if (key == "rest") {
        const auto& rest = m_.rest(text.substr(1));
        attrs.insert(attrs.end(), rest.begin(), rest.end());
        continue;
      }
      const auto def =
          std::find_if(row.attrs.begin(), row.attrs.end(), [&](const AttrDef& d) { return d.name == key; });
      if (def == row.attrs.end()) bug(fmt::format("operator {} has no attribute {}", e.op, key));
      if (text.starts_with('$')) {
        const auto number = m_.numbers_.find(text.substr(1));
        attrs.emplace_back(key, number != m_.numbers_.end() ? AttrValue(number->second) : m_.attr(text.substr(1)));
        continue;
      }
      Result<AttrValue> v = parse_attr(text, def->kind);
      if (!v) bug(fmt::format("bad value {} of attribute {} in a rewrite", text, key));
      attrs.emplace_back(key, std::move(*v));
    }
    return b_.ops(e.op, std::move(in), std::move(attrs));
  }

  Builder& b_;
  const Match& m_;
  DType number_type_;
  std::map<std::string, ValueId, std::less<>> env_;
};

struct RewriteSet::Compiled {
  Pattern pattern;
  std::vector<Statement> replacement;
};

RewriteSet::RewriteSet(std::span<const Rewrite> rows) : rows_(rows) {
  for (const Rewrite& row : rows) {
    auto c = std::make_unique<Compiled>();
    Result<Pattern> p = Pattern::parse(row.match, row.replace);
    if (!p) bug(fmt::format("rewrite {}: {}", row.name, p.error().message));
    c->pattern = std::move(*p);
    if (!row.replace.empty()) {
      auto s = parse_statements(row.replace);
      if (!s) bug(fmt::format("rewrite {}: {}", row.name, s.error().message));
      c->replacement = std::move(*s);
    }
    const Pattern& made = c->pattern;
    by_root_[made.nodes[made.values[made.roots.front()].node].op].push_back(compiled_.size());
    for (const PatternNode& n : made.nodes)
      if (auto& list = by_any_[n.op]; list.empty() || list.back() != compiled_.size()) list.push_back(compiled_.size());
    if (!by_name_.emplace(row.name, compiled_.size()).second) bug(fmt::format("two rewrites are named {}", row.name));
    compiled_.push_back(std::move(c));
  }
}

RewriteSet::~RewriteSet() = default;

const RewriteSet::Compiled& RewriteSet::compiled(const Rewrite& row) const {
  return *compiled_[static_cast<size_t>(&row - rows_.data())];
}

std::vector<const Rewrite*> RewriteSet::candidates(std::string_view op_name) const {
  std::vector<const Rewrite*> out;
  const auto it = by_any_.find(op_name);
  if (it != by_any_.end())
    for (const size_t i : it->second) out.push_back(&rows_[i]);
  return out;
}

const Rewrite* RewriteSet::find(std::string_view row_name) const {
  const auto it = by_name_.find(row_name);
  return it == by_name_.end() ? nullptr : &rows_[it->second];
}

std::string_view RewriteSet::root_op(const Rewrite& row) const {
  const Pattern& p = compiled(row).pattern;
  return p.nodes[p.values[p.roots.front()].node].op;
}

namespace {

std::string where_text(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  return fmt::format("{} %{}", n.op->name, n.outputs.empty() ? "" : g.value(n.outputs.front()).name);
}

// Takes back nodes added since `first`.
void undo_nodes(Graph& g, size_t first) {
  for (size_t i = g.node_slots(); i-- > first;)
    if (const NodeId id{static_cast<uint32_t>(i)}; g.node(id).alive) g.erase(id);
}

std::string type_change(const Graph& g, std::span<const ValueId> from, std::span<const ValueId> to) {
  if (from.size() != to.size()) return fmt::format("it made {} results for {}", to.size(), from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    if (!to[i].valid()) return "it made no result";
    if (!(g.type(from[i]) == g.type(to[i])))
      return fmt::format("the result would be {} instead of {}", to_string(g.type(to[i])), to_string(g.type(from[i])));
  }
  return {};
}

// Users of `from` move to `to`, which also takes over the name the user knows.
void take_over(Graph& g, ValueId from, ValueId to, size_t first_new_node) {
  const std::string known = g.value(from).name;
  g.replace_uses(from, to);
  const NodeId p = g.value(to).producer;
  if (!p.valid() || p.v < first_new_node || g.value(to).name == known) return;
  g.rename(from, "");
  g.rename(to, known);
}

}  // namespace

bool RewriteSet::apply_at(Graph& g, PassContext& c, const Rewrite& row, NodeId node, const std::string& reason,
                          std::vector<NodeId>* nodes_made) const {
  const Compiled& k = compiled(row);
  std::string why;
  const std::optional<Match> m = Matcher(g, k.pattern).at(node, row.shared, &why);
  const auto refuse = [&](const std::string& text) {
    if (c.log && !text.empty())
      c.say(1, fmt::format("{}: {} refused at {}: {}", c.pass, row.name, where_text(g, node), text));
    return false;
  };
  if (!m) return refuse(why);
  if (row.numerics == Numerics::approximate && !allows_approximate(c.options, row.name))
    return refuse("it is approximate and approximate rewrites are not allowed");
  if (row.check)
    if (const auto no = row.check(g, *m)) return refuse(*no);
  const size_t first_new = g.node_slots();
  Builder b(g, /*fold=*/true, int64_t{1} << 40);
  b.set_origins(merged_origins(g, m->nodes()));
  DType number_type = DType::f32;
  if (const DType t = g.type(m->roots().front()).dtype; t != DType::boolean) number_type = t;
  const std::vector<ValueId> made =
      row.build ? row.build(b, *m) : Replacer(b, *m, number_type).run(k.replacement, k.pattern);
  if (Status s = b.take_status(); !s) {
    undo_nodes(g, first_new);
    return refuse("the replacement does not fit: " + s.error().message);
  }
  if (const std::string change = type_change(g, m->roots(), made); !change.empty()) {
    undo_nodes(g, first_new);
    return refuse(change);
  }
  LedgerEntry entry{c.pass, std::string(row.name), row.numerics, reason, std::string(row.doc), node_text(g, m->nodes()),
                    {},     b.origins(),           std::nullopt};
  std::vector<ValueId> read;
  for (const NodeId id : m->nodes()) read.insert(read.end(), g.node(id).inputs.begin(), g.node(id).inputs.end());
  for (size_t i = 0; i < made.size(); ++i) take_over(g, m->roots()[i], made[i], first_new);
  for (const NodeId id : std::views::reverse(m->nodes())) {
    const auto& outs = g.node(id).outputs;
    if (g.node(id).alive && std::all_of(outs.begin(), outs.end(), [&](ValueId v) { return g.use_count(v) == 0; }))
      g.erase(id);
  }
  release_unused(g, read);
  std::vector<NodeId> fresh;
  for (size_t i = first_new; i < g.node_slots(); ++i)
    if (g.node(NodeId{static_cast<uint32_t>(i)}).alive) fresh.push_back(NodeId{static_cast<uint32_t>(i)});
  entry.after = node_text(g, fresh);
  c.ledger.add(std::move(entry));
  if (nodes_made) *nodes_made = std::move(fresh);
  return true;
}

Result<size_t> RewriteSet::apply(Graph& g, PassContext& c, int sweeps) const {
  size_t total = 0;
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    size_t applied = 0;
    for (const NodeId id : g.topological()) {
      const auto rules = by_root_.find(g.node(id).op->name);
      if (rules == by_root_.end()) continue;
      for (const size_t i : rules->second) {
        if (!g.node(id).alive) break;
        if (apply_at(g, c, rows_[i], id, "fewer or cheaper operators")) {
          ++applied;
          break;
        }
      }
    }
    if (applied == 0) break;
    total += applied;
    g.erase_dead();
  }
  return total;
}

namespace {

Status check_names(const ExprNode& e, bool pattern) {
  if (e.op.empty()) return {};
  const OpDef* row = Registry::global().find(e.op);
  if (!row) return Diag(diag::syntax, "there is no operator " + e.op);
  for (const auto& [key, text] : e.attrs) {
    if (key == "rest") {
      if (!text.starts_with('$')) return Diag(diag::syntax, "rest= takes a $name");
      continue;
    }
    const auto def =
        std::find_if(row->attrs.begin(), row->attrs.end(), [&](const AttrDef& d) { return d.name == key; });
    if (def == row->attrs.end()) return Diag(diag::syntax, "operator " + e.op + " has no attribute " + key);
    if (!text.starts_with('$')) NPU_TRY(parse_attr(text, def->kind));
  }
  if (!pattern && e.args.size() > row->in.size() && (row->in.empty() || row->in.back().kind != Port::variadic))
    return Diag(diag::syntax, "operator " + e.op + " takes fewer inputs");
  for (const ExprNode& arg : e.args) NPU_TRY(check_names(arg, pattern));
  return {};
}

// Every name the replacement uses is bound by the pattern, or by the replacement before; every root gets a result.
class Bindings {
 public:
  explicit Bindings(const std::vector<Statement>& match) {
    for (const Statement& s : match) {
      values_.insert(s.results.begin(), s.results.end());
      collect(s.expr);
    }
  }

  Status check(const std::vector<Statement>& replace, const Pattern& p) {
    std::set<std::string, std::less<>> made;
    for (const Statement& s : replace) {
      NPU_TRY(check(s.expr, made));
      made.insert(s.results.begin(), s.results.end());
    }
    for (const size_t r : p.roots)
      if (!made.contains(p.values[r].name))
        return Diag(diag::syntax, "the replacement does not make %" + p.values[r].name);
    return {};
  }

 private:
  void collect(const ExprNode& e) {
    if (e.op.empty()) {
      if (e.name.starts_with('$')) {
        numbers_.insert(e.name.substr(1));
      } else if (!e.number) {
        values_.insert(e.name);
      }
    }
    for (const auto& [key, text] : e.attrs) {
      if (!text.starts_with('$')) continue;
      if (key == "rest") {
        rests_.insert(text.substr(1));
      } else if (const auto def = attr_of(e.op, key)) {
        attrs_.emplace(text.substr(1), def->kind);
      }
    }
    for (const ExprNode& arg : e.args) collect(arg);
  }

  static const AttrDef* attr_of(const std::string& op_name, const std::string& key) {
    const OpDef* row = Registry::global().find(op_name);
    if (!row) return nullptr;
    const auto def =
        std::find_if(row->attrs.begin(), row->attrs.end(), [&](const AttrDef& d) { return d.name == key; });
    return def == row->attrs.end() ? nullptr : &*def;
  }

  Status check(const ExprNode& e, const std::set<std::string, std::less<>>& made) const {
    const auto unbound = [](const std::string& what) { return Diag(diag::syntax, what + " is bound nowhere"); };
    if (e.op.empty() && !e.number && e.name != "_") {
      if (e.name.starts_with('$')) {
        const std::string n = e.name.substr(1);
        const auto a = attrs_.find(n);
        const bool number = a != attrs_.end() && (a->second == AttrKind::real || a->second == AttrKind::integer);
        if (!numbers_.contains(n) && !number) return unbound("the number $" + n);
      } else if (!values_.contains(e.name) && !made.contains(e.name)) {
        return unbound("%" + e.name);
      }
    }
    for (const auto& [key, text] : e.attrs) {
      if (!text.starts_with('$')) continue;
      const std::string n = text.substr(1);
      if (key == "rest") {
        if (!rests_.contains(n)) return unbound("rest=$" + n);
        continue;
      }
      const AttrDef* def = attr_of(e.op, key);
      const auto a = attrs_.find(n);
      const bool fits = a != attrs_.end() ? def && a->second == def->kind
                                          : numbers_.contains(n) && def && def->kind == AttrKind::real;
      if (!fits) return unbound(key + "=$" + n);
    }
    for (const ExprNode& arg : e.args) NPU_TRY(check(arg, made));
    return {};
  }

  std::set<std::string, std::less<>> values_, numbers_, rests_;
  std::map<std::string, AttrKind, std::less<>> attrs_;
};

}  // namespace

Status check_rewrite(const Rewrite& row) {
  NPU_ASSIGN(const std::vector<Statement> match, parse_statements(row.match));
  for (const Statement& s : match) NPU_TRY(check_names(s.expr, true));
  NPU_ASSIGN(const Pattern pattern, Pattern::parse(row.match, row.replace));
  if (row.replace.empty() && !row.build) return Diag(diag::syntax, "a rewrite needs a replacement");
  if (row.replace.empty()) return {};
  NPU_ASSIGN(const std::vector<Statement> replace, parse_statements(row.replace));
  for (const Statement& s : replace) NPU_TRY(check_names(s.expr, false));
  return Bindings(match).check(replace, pattern);
}

}  // namespace npuport
