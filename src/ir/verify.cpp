#include <algorithm>

#include "base/diag_codes.h"
#include "ir/graph.h"

namespace npuport {
namespace {

Diag broken(const Graph& g, NodeId id, const std::string& what) {
  const Node& n = g.node(id);
  Diag d(diag::verify_graph, what, "please report this with the model");
  d.at_node(std::string(n.op->name) + " #" + std::to_string(id.v));
  if (!n.origins.empty()) d.at_source(n.origins.front().source);
  return d;
}

Status check_edges(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  for (uint32_t slot = 0; slot < n.inputs.size(); ++slot) {
    const ValueId in = n.inputs[slot];
    if (!in.valid()) continue;
    if (in.v >= g.value_slots() || !g.value(in).alive) return broken(g, id, "uses a dead value");
    const auto& uses = g.value(in).uses;
    if (std::count(uses.begin(), uses.end(), Use{id, slot}) != 1)
      return broken(g, id, "is not recorded as a user of " + g.value(in).name);
  }
  for (uint32_t slot = 0; slot < n.outputs.size(); ++slot) {
    const Value& v = g.value(n.outputs[slot]);
    if (!v.alive || v.producer != id || v.slot != slot) return broken(g, id, "does not own its output " + v.name);
  }
  return {};
}

Status check_types(const Graph& g, NodeId id, Stage stage) {
  const Node& n = g.node(id);
  bool known = true;
  for (const ValueId in : n.inputs)
    if (in.valid() && !g.type(in).known()) known = false;
  if (!n.op->infer || !known) {
    if (stage != Stage::imported) return broken(g, id, "has a result of unknown type after import");
    return {};
  }
  Graph probe;  // infers with the same rules as construction does
  std::vector<ValueId> inputs;
  for (const ValueId in : n.inputs) {
    if (!in.valid()) {
      inputs.push_back({});
    } else if (g.is_constant(in)) {
      inputs.push_back(probe.add_constant(g.value(in).name, g.value(in).constant));
    } else {
      inputs.push_back(probe.add_input(g.value(in).name, g.type(in)));
    }
  }
  const Result<NodeId> fresh = probe.add(*n.op, inputs, n.attrs);
  if (!fresh) return broken(g, id, "no longer infers: " + fresh.error().message);
  const Node& again = probe.node(*fresh);
  if (again.outputs.size() != n.outputs.size()) return broken(g, id, "infers another number of outputs");
  for (size_t i = 0; i < n.outputs.size(); ++i)
    if (!(probe.type(again.outputs[i]) == g.type(n.outputs[i])))
      return broken(
          g, id, "infers " + to_string(probe.type(again.outputs[i])) + " but holds " + to_string(g.type(n.outputs[i])));
  return {};
}

}  // namespace

Status verify(const Graph& g, Stage stage) {
  const std::vector<NodeId> order = g.topological();
  if (order.size() != g.node_count()) return Diag(diag::verify_graph, "the graph has a cycle");
  for (const NodeId id : order) {
    NPU_TRY(check_edges(g, id));
    NPU_TRY(check_types(g, id, stage));
  }
  for (const ValueId out : g.outputs())
    if (!out.valid() || out.v >= g.value_slots() || !g.value(out).alive)
      return Diag(diag::verify_graph, "a graph output is dead");
  for (const ValueId in : g.inputs())
    if (!in.valid() || g.value(in).producer.valid() || g.value(in).constant)
      return Diag(diag::verify_graph, "a graph input is produced inside");
  return {};
}

}  // namespace npuport
