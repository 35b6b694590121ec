// Parts of the model that run on the host.
#pragma once

#include "passes/context.h"

namespace npuport {

// Moves what the target refuses out of the graph: an illegal node with everything it is computed from (prefix), or with
// everything computed from it (suffix), whichever takes less work (then: fewer operators). A side moves only when that
// work is small (host_macs_limit) and the host's file format can hold it after lowering; a graph of which the host
// would run most operators stays as it is. Lookups of constant tables by an input become steps of kind
// "embedding_lookup", the rest of either side one step of kind "graph". The values at the frontier become inputs and
// outputs of the graph; the contract records all of it.
extern const PassDef split_to_host_pass;

// The most multiply-accumulates that one side of the graph may take with it.
int64_t host_macs_limit(const Graph& g);

}  // namespace npuport
