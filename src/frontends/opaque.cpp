#include "frontends/opaque.h"

#include <algorithm>

namespace npuport {

std::vector<OpaqueOperator> live_opaque(const Graph& g) {
  std::vector<OpaqueOperator> out;
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    if (n.op->name != "opaque" || !n.attr().s("detail").empty()) continue;
    const std::string& foreign = n.attr().s("foreign");
    const Origin origin = n.origins.empty() ? Origin{} : n.origins.front();
    const auto it = std::find_if(out.begin(), out.end(), [&](const auto& o) { return o.foreign == foreign; });
    if (it == out.end())
      out.push_back({foreign, {origin}});
    else
      it->places.push_back(origin);
  }
  return out;
}

}  // namespace npuport
