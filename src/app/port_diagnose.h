// What a failed gate of `port` is followed by: a second attempt with the reference kernels, then a bisection.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// The imported graph deviates from PyTorch on `sample`: tells kernels from weights and structure, and what to do next.
Status diagnose_import(PortContext& c, PartRun& p, const BoundSample& sample, PortStep& s);

// The rewritten graph deviates from the imported one on `sample`: names the first node that does, its weights, place
// and kind of repair.
Status diagnose_rewrite(PortContext& c, PartRun& p, const BoundSample& sample, PortStep& s);

}  // namespace npuport::app
