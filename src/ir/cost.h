// What a graph costs, in multiply-accumulates.
#pragma once

#include "ir/graph.h"

namespace npuport {

// Multiply-accumulates of one run of a node by its row's formula; 0 when the row has none.
int64_t node_macs(const Graph& g, NodeId id);
// Sum over all live nodes.
int64_t total_macs(const Graph& g);

}  // namespace npuport
