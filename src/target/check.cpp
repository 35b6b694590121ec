#include "target/check.h"

#include <algorithm>

#include "base/diag_codes.h"

namespace npuport {
namespace {

std::string node_text(const Graph& g, const Node& n) {
  std::string s(n.op->name);
  if (!n.outputs.empty()) s += " %" + g.value(n.outputs.front()).name + ": " + to_string(g.type(n.outputs.front()));
  return s;
}

void check_operators(NodeId id, const Target& target, const FormatView& view, std::vector<Finding>& out) {
  for (const std::string& op : view.operators) {
    const OperatorStatement s = target.statement(op);
    if (s.support == Support::supported && !s.opsets.empty() &&
        std::find(s.opsets.begin(), s.opsets.end(), target.opset) == s.opsets.end()) {
      std::string list;
      for (const int opset : s.opsets) list += (list.empty() ? "" : ", ") + std::to_string(opset);
      out.push_back({id, op, "operator-opset",
                     target.title + " takes " + op + " at opset " + list + ", not at " + std::to_string(target.opset),
                     "", s.evidence});
      continue;
    }
    if (s.support == Support::supported || (s.support == Support::unlisted && target.unlisted_is_ok)) continue;
    const bool refused = s.support == Support::refused;
    out.push_back({id, op, refused ? "operator-refused" : "operator-unlisted",
                   refused ? target.title + " does not run " + op : "no list of " + target.title + " mentions " + op,
                   "", s.evidence});
  }
}

void check_dtypes(const Graph& g, NodeId id, const Target& target, std::vector<Finding>& out) {
  if (target.dtypes.empty()) return;
  const Node& n = g.node(id);
  const auto allowed = [&](ValueId v) {
    return !v.valid() ||
           std::find(target.dtypes.begin(), target.dtypes.end(), name(g.type(v).dtype)) != target.dtypes.end();
  };
  const auto report = [&](ValueId v) {
    std::string list;
    for (const std::string& t : target.dtypes) list += (list.empty() ? "" : ", ") + t;
    out.push_back({id,
                   "",
                   "dtype",
                   target.title + " computes in " + list + " only",
                   "%" + g.value(v).name + ": " + to_string(g.type(v)),
                   {target.file, Confidence::documented}});
  };
  for (const ValueId v : n.inputs)
    if (!allowed(v) && !g.is_constant(v)) return report(v);
  for (const ValueId v : n.outputs)
    if (!allowed(v)) return report(v);
}

}  // namespace

Diag Finding::to_diag(const Graph& g) const {
  const Node& n = g.node(node);
  Diag d(diag::illegal_for_target, why + (actual.empty() ? "" : " (" + actual + ")"),
         "source: " + evidence.source + " (" + std::string(name(evidence.confidence)) + ")");
  d.at_node(node_text(g, n));
  if (!n.outputs.empty()) d.at_tensor(g.value(n.outputs.front()).name);
  if (!n.origins.empty()) d.at_source(n.origins.front().source);
  return d;
}

std::vector<Finding> check_node(const Graph& g, NodeId id, const Target& target, const FormatMapper& format) {
  std::vector<Finding> out;
  const FormatView view = format(g, id);
  if (!view.refusal.empty())
    out.push_back({id, "", "not-representable", view.refusal, "", {target.format + " format", Confidence::measured}});
  check_operators(id, target, view, out);
  check_dtypes(g, id, target, out);
  for (const Rule& rule : target.rules) {
    if (rule.op != "*" && rule.op != g.node(id).op->name) continue;
    const Expr::Outcome o = rule.require.test(g, id);
    if (!o.holds)
      out.push_back(
          {id, view.operators.empty() ? "" : view.operators.front(), rule.id, rule.why, o.actual, rule.evidence});
  }
  return out;
}

std::vector<Finding> check(const Graph& g, const Target& target, const FormatMapper& format) {
  std::vector<Finding> out;
  for (const NodeId id : g.topological()) {
    std::vector<Finding> found = check_node(g, id, target, format);
    out.insert(out.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  return out;
}

}  // namespace npuport
