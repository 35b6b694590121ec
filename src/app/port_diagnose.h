// What a failed gate of `port` is followed by: a second attempt with the reference kernels, then a bisection.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// The imported graph deviates from PyTorch on `sample`: tells kernels from weights and structure, names known traps
// (exec/traps.h), and says what to do next.
Status diagnose_import(PortContext& c, PartRun& p, const BoundSample& sample, PortStep& s);

// The rewritten graph deviates from the imported one on `sample`: names the first node that does, its weights, place
// and kind of repair.
Status diagnose_rewrite(PortContext& c, PartRun& p, const BoundSample& sample, PortStep& s);

// The written file, read back, deviates from the graph it was written from.
void diagnose_written(PortContext& c, const PartRun& p, const Graph& read_back, std::span<const Tensor> file_inputs,
                      PortStep& s);

}  // namespace npuport::app
