#include "ir/cost.h"

namespace npuport {

int64_t node_macs(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  if (!n.op->macs) return 0;
  std::vector<const TensorType*> in;
  std::vector<const Tensor*> constants;
  std::vector<TensorType> out;
  for (const ValueId v : n.inputs) {
    in.push_back(v.valid() ? &g.type(v) : nullptr);
    constants.push_back(v.valid() ? g.value(v).constant.get() : nullptr);
  }
  for (const ValueId v : n.outputs) out.push_back(g.type(v));
  return n.op->macs({*n.op, in, constants, n.attr()}, out);
}

int64_t total_macs(const Graph& g) {
  int64_t sum = 0;
  for (const NodeId id : g.topological()) sum += node_macs(g, id);
  return sum;
}

}  // namespace npuport
