// From an imported graph to one the target can run, and running that on the model's own interface.
#pragma once

#include <set>

#include "app/port_steps.h"

namespace npuport::app {

// Runs the pass pipeline for a target on `g`, in place.
struct PrepareRequest {
  const Target& target;
  PassOptions options;
  std::set<std::string> keep;  // operators left as they are by decision
  bool measure = false;        // run every change on made-up inputs and enter the difference into the ledger
};
Status prepare_graph(const App& app, Graph& g, IoContract& contract, Ledger& ledger, const PrepareRequest& request);

// The same for a part of a port, honouring options and decisions: fills rewritten, contract and ledger.
Status prepare_part(PortContext& c, PartRun& p);

// The rewritten graph with its host steps, on tensors of the imported interface.
Result<std::vector<Tensor>> run_part(PartRun& p, std::span<const Tensor> inputs);

}  // namespace npuport::app
