// Parts of the model that run on the host.
#pragma once

#include "passes/context.h"

namespace npuport {

// Moves what the target refuses out of the graph: an illegal node with everything it is computed from (prefix), when
// that takes few multiply-accumulates (2^20), or with everything computed from it (suffix), likewise, whichever takes
// less work. Lookups of
// constant tables by an input become steps of kind "embedding_lookup", the rest of either side one step of kind
// "graph". The values at the frontier become inputs and outputs of the graph; the contract records all of it.
extern const PassDef split_to_host_pass;

}  // namespace npuport
