// From an imported part to a graph the target can run, and running that on the part's original interface.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// Runs the passes on a copy of the imported graph; fills rewritten, contract and ledger.
Status prepare_part(PortContext& c, PartRun& p);

// The rewritten graph with its host steps, on tensors of the imported interface.
Result<std::vector<Tensor>> run_part(PartRun& p, std::span<const Tensor> inputs);

}  // namespace npuport::app
