#include "passes/pattern.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/diag_codes.h"

namespace npuport {
namespace {

class PatternBuilder {
 public:
  Status add(const Statement& s) {
    if (s.expr.op.empty()) return Diag(diag::syntax, "a pattern statement without an operator");
    const size_t node = call(s.expr);
    for (size_t slot = 0; slot < s.results.size(); ++slot) {
      const size_t v = result_of(node, slot);
      p.values[v].name = s.results[slot];
      if (!p.names.emplace(s.results[slot], v).second)
        return Diag(diag::syntax, "%" + s.results[slot] + " is defined twice in a pattern");
      defined.push_back(v);
      if (s.results[slot].ends_with(".all")) p.nodes[node].all_outputs = true;
    }
    return {};
  }

  Pattern p;
  std::vector<size_t> defined;  // results of statements, in order
  std::vector<bool> consumed;   // per value

 private:
  size_t add_value(PatternValue v) {
    p.values.push_back(std::move(v));
    consumed.push_back(false);
    return p.values.size() - 1;
  }

  size_t result_of(size_t node, size_t slot) {
    while (p.nodes[node].results.size() <= slot) {
      PatternValue v;
      v.kind = PatternValue::produced;
      v.node = node;
      v.slot = p.nodes[node].results.size();
      const size_t id = add_value(v);
      p.nodes[node].results.push_back(id);
    }
    return p.nodes[node].results[slot];
  }

  size_t operand(const ExprNode& e) {
    PatternValue v;
    if (e.number) {
      v.kind = PatternValue::number;
      v.number_value = *e.number;
      return add_value(v);
    }
    if (!e.op.empty()) return result_of(call(e), 0);
    if (e.name == "_") {
      v.kind = PatternValue::absent;
      return add_value(v);
    }
    const auto known = p.names.find(e.name);
    if (known != p.names.end()) return known->second;
    v.name = e.name;
    if (e.name.starts_with('$')) {
      v.kind = PatternValue::scalar;
      v.name = e.name.substr(1);
    } else if (e.name.ends_with(".opt")) {
      v.kind = PatternValue::optional;
    } else if (e.name.ends_with(".all")) {
      v.kind = PatternValue::all;
    } else if (std::isupper(static_cast<unsigned char>(e.name.front()))) {
      v.kind = PatternValue::constant;
    }
    const size_t id = add_value(v);
    p.names.emplace(e.name, id);
    return id;
  }

  size_t call(const ExprNode& e) {
    PatternNode n;
    n.op = e.op;
    n.attrs = e.attrs;
    for (const ExprNode& arg : e.args) {
      const size_t v = operand(arg);
      consumed[v] = true;
      n.args.push_back(v);
    }
    p.nodes.push_back(std::move(n));
    return p.nodes.size() - 1;
  }
};

bool close(double a, double b) {
  if (a == b) return true;
  return std::isfinite(a) && std::isfinite(b) && std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b));
}

bool attr_equal(const AttrValue& wanted, const AttrValue& got, std::string_view name, size_t rank) {
  if (wanted.index() != got.index()) return false;
  if (const auto* w = std::get_if<double>(&wanted)) return close(*w, std::get<double>(got));
  const auto wrap = [&](int64_t a) { return a < 0 ? a + static_cast<int64_t>(rank) : a; };
  if (name == "axis") {
    const auto* w = std::get_if<int64_t>(&wanted);
    if (w) return wrap(*w) == wrap(std::get<int64_t>(got));
  }
  if (name == "axes") {
    if (const auto* w = std::get_if<Ints>(&wanted)) {
      Ints a = *w, b = std::get<Ints>(got);
      for (int64_t& v : a) v = wrap(v);
      for (int64_t& v : b) v = wrap(v);
      std::sort(a.begin(), a.end());
      std::sort(b.begin(), b.end());
      return a == b;
    }
  }
  return wanted == got;
}

const AttrDef* schema(const OpDef& op, std::string_view name) {
  for (const AttrDef& d : op.attrs)
    if (d.name == name) return &d;
  return nullptr;
}

}  // namespace

std::optional<double> uniform_value(const Graph& g, ValueId v) {
  if (!g.is_constant(v)) return std::nullopt;
  const Tensor& t = *g.value(v).constant;
  const int64_t n = t.count();
  if (n == 0 || t.dtype == DType::unknown || t.dtype == DType::i4 || t.dtype == DType::u4) return std::nullopt;
  const double first = get_double(t, 0);
  for (int64_t i = 1; i < n; ++i)
    if (get_double(t, i) != first) return std::nullopt;
  return first;
}

Result<Pattern> Pattern::parse(std::string_view match, std::string_view replace) {
  NPU_ASSIGN(const std::vector<Statement> statements, parse_statements(match));
  PatternBuilder b;
  for (const Statement& s : statements) NPU_TRY(b.add(s));
  std::vector<std::string> redefined;
  if (!replace.empty()) {
    NPU_ASSIGN(const std::vector<Statement> after, parse_statements(replace));
    for (const Statement& s : after) redefined.insert(redefined.end(), s.results.begin(), s.results.end());
  }
  for (const size_t v : b.defined) {
    const bool again = std::count(redefined.begin(), redefined.end(), b.p.values[v].name) > 0;
    if (!b.consumed[v] && !replace.empty() && !again)
      return Diag(diag::syntax, "the replacement does not define %" + b.p.values[v].name);
    if (!b.consumed[v] || again) {
      b.p.roots.push_back(v);
      b.p.nodes[b.p.values[v].node].root = true;
    }
  }
  if (b.p.roots.empty()) return Diag(diag::syntax, "a pattern without a result");
  return std::move(b.p);
}

struct Matcher::State {
  std::vector<ValueId> values;
  std::vector<bool> bound;
  std::vector<NodeId> nodes;
  std::map<std::string, double, std::less<>> numbers;
  std::map<std::string, AttrValue, std::less<>> attrs;
  std::map<std::string, std::vector<Attr>, std::less<>> rests;
};

bool Matcher::match_value(size_t pv, ValueId v, State& s, const Next& next) {
  const PatternValue& p = p_.values[pv];
  if (s.bound[pv]) {
    if (s.values[pv] == v) return next(s);
    const bool same = v.valid() && s.values[pv].valid() && g_.is_constant(v) && g_.is_constant(s.values[pv]) &&
                      identical(*g_.value(v).constant, *g_.value(s.values[pv]).constant);
    return same && next(s);
  }
  if (p.kind == PatternValue::absent) return !v.valid() && next(s);
  if (!v.valid() && p.kind != PatternValue::optional) return false;
  if (p.kind == PatternValue::produced) {
    const NodeId producer = g_.value(v).producer;
    if (!producer.valid() || g_.value(v).slot != p.slot) return false;
    return match_node(p.node, producer, s, next);
  }
  if (p.kind == PatternValue::constant && !g_.is_constant(v)) return false;
  if (p.kind == PatternValue::number || p.kind == PatternValue::scalar) {
    const std::optional<double> u = uniform_value(g_, v);
    if (!u || (p.kind == PatternValue::number && !close(p.number_value, *u))) return false;
    if (p.kind == PatternValue::scalar) s.numbers[p.name] = *u;
  }
  s.bound[pv] = true;
  s.values[pv] = v;
  return next(s);
}

bool Matcher::match_attrs(const PatternNode& pn, const Node& n, State& s) {
  const size_t rank = !n.inputs.empty() && n.inputs[0].valid() ? g_.shape(n.inputs[0]).size() : 0;
  const std::string* rest = nullptr;
  std::vector<std::string_view> mentioned;
  for (const auto& [key, text] : pn.attrs) {
    if (key == "rest") {
      rest = &text;
      continue;
    }
    const AttrDef* def = schema(*n.op, key);
    if (!def) return false;
    mentioned.push_back(def->name);
    const AttrValue& got = n.attrs[static_cast<size_t>(def - n.op->attrs.data())].value;
    if (text.starts_with('$')) {
      const auto [it, fresh] = s.attrs.emplace(text.substr(1), got);
      if (!fresh && !attr_equal(it->second, got, key, rank)) return false;
      continue;
    }
    const Result<AttrValue> wanted = parse_attr(text, def->kind);
    if (!wanted || !attr_equal(*wanted, got, key, rank)) return false;
  }
  std::vector<Attr> others;
  for (size_t i = 0; i < n.attrs.size(); ++i) {
    const AttrDef& def = n.op->attrs[i];
    if (std::count(mentioned.begin(), mentioned.end(), def.name)) continue;
    if (rest) {
      others.push_back(n.attrs[i]);
      continue;
    }
    const Result<AttrValue> standard = parse_attr(def.default_text, def.kind);
    if (!standard || !attr_equal(*standard, n.attrs[i].value, def.name, rank)) return false;
  }
  if (rest) s.rests[rest->substr(1)] = std::move(others);
  return true;
}

bool Matcher::match_args(size_t pn, const Node& n, std::span<const size_t> order, size_t i, State& s,
                         const Next& next) {
  const PatternNode& p = p_.nodes[pn];
  if (i == p.args.size() || p_.values[p.args[i]].kind == PatternValue::all) return next(s);
  const size_t slot = i < order.size() ? order[i] : i;
  const ValueId v = slot < n.inputs.size() ? n.inputs[slot] : ValueId{};
  return match_value(p.args[i], v, s, [&](State& after) { return match_args(pn, n, order, i + 1, after, next); });
}

bool Matcher::match_node(size_t pn, NodeId id, State& s, const Next& next) {
  const PatternNode& p = p_.nodes[pn];
  const Node& n = g_.node(id);
  if (s.nodes[pn].valid()) return s.nodes[pn] == id && next(s);
  if (n.op->name != p.op || std::count(s.nodes.begin(), s.nodes.end(), id)) return false;
  const bool open = !p.args.empty() && p_.values[p.args.back()].kind == PatternValue::all;
  for (size_t i = p.args.size(); i < n.inputs.size() && !open; ++i)
    if (n.inputs[i].valid()) return false;
  if (p.results.size() > n.outputs.size()) return false;
  State saved = s;
  if (!match_attrs(p, n, s)) {
    s = std::move(saved);
    return false;
  }
  s.nodes[pn] = id;
  for (size_t slot = 0; slot < p.results.size(); ++slot) {
    s.values[p.results[slot]] = n.outputs[slot];
    s.bound[p.results[slot]] = true;
  }
  static constexpr size_t kStraight[] = {0, 1}, kSwapped[] = {1, 0};
  State entered = s;
  if (match_args(pn, n, kStraight, 0, s, next)) return true;
  if (n.op->commutative && p.args.size() >= 2) {
    s = std::move(entered);
    if (match_args(pn, n, kSwapped, 0, s, next)) return true;
  }
  s = std::move(saved);
  return false;
}

// Roots that the first one does not reach share an operand with what is bound already: look among its users.
bool Matcher::match_other_roots(size_t i, State& s, const Next& next) {
  while (i < p_.roots.size() && s.nodes[p_.values[p_.roots[i]].node].valid()) ++i;
  if (i == p_.roots.size()) return next(s);
  const size_t pn = p_.values[p_.roots[i]].node;
  for (const size_t arg : p_.nodes[pn].args) {
    if (!s.bound[arg] || !s.values[arg].valid()) continue;
    for (const Use& u : g_.value(s.values[arg]).uses)
      if (match_node(pn, u.node, s, [&](State& after) { return match_other_roots(i + 1, after, next); })) return true;
  }
  return false;
}

bool Matcher::inner_values_free(const State& s, std::string* why) const {
  for (size_t pn = 0; pn < p_.nodes.size(); ++pn) {
    if (p_.nodes[pn].all_outputs) continue;
    for (const ValueId out : g_.node(s.nodes[pn]).outputs) {
      const bool root = std::any_of(p_.roots.begin(), p_.roots.end(), [&](size_t r) { return s.values[r] == out; });
      if (root) continue;
      const auto& uses = g_.value(out).uses;
      const bool outside = g_.is_output(out) || std::any_of(uses.begin(), uses.end(), [&](const Use& u) {
                             return std::count(s.nodes.begin(), s.nodes.end(), u.node) == 0;
                           });
      if (!outside) continue;
      if (why) *why = "%" + g_.value(out).name + " inside the pattern is used elsewhere too";
      return false;
    }
  }
  return true;
}

std::optional<Match> Matcher::at(NodeId anchor, bool shared, std::string* why) {
  State s;
  s.values.resize(p_.values.size());
  s.bound.resize(p_.values.size(), false);
  s.nodes.resize(p_.nodes.size());
  std::optional<Match> found;
  match_node(p_.values[p_.roots.front()].node, anchor, s, [&](State& after) {
    return match_other_roots(1, after, [&](State& end) {
      if (std::any_of(end.nodes.begin(), end.nodes.end(), [](NodeId n) { return !n.valid(); })) return false;
      if (!shared && !inner_values_free(end, why)) return false;
      Match m;
      for (size_t i = 0; i < p_.values.size(); ++i)
        if (!p_.values[i].name.empty() && p_.values[i].kind != PatternValue::scalar)
          m.values_[p_.values[i].name] = end.values[i];
      m.numbers_ = end.numbers;
      m.attrs_ = end.attrs;
      m.rests_ = end.rests;
      m.nodes_ = end.nodes;
      for (const size_t r : p_.roots) {
        const PatternNode& made = p_.nodes[p_.values[r].node];
        if (!made.all_outputs) {
          m.roots_.push_back(end.values[r]);
          continue;
        }
        const auto& outs = g_.node(end.nodes[p_.values[r].node]).outputs;
        m.roots_.insert(m.roots_.end(), outs.begin(), outs.end());
      }
      found = std::move(m);
      return true;
    });
  });
  return found;
}

}  // namespace npuport
