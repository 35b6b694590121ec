// From an imported graph to one the target can run, and running that on the model's own interface.
#pragma once

#include <functional>
#include <set>

#include "app/port_steps.h"
#include "target/check.h"

namespace npuport::app {

// Runs the pass pipeline for a target on `g`, in place.
struct PrepareRequest {
  const Target& target;
  PassOptions options;
  std::set<std::string> keep = {};  // operators left as they are by decision
  bool measure = false;             // run every change on made-up inputs and enter the difference into the ledger
  // Gives the imported graph once more, for another opset. None: `fit_graph` keeps a copy, and with it all constants.
  std::function<Result<Graph>()> import_again = nullptr;
};
Status prepare_graph(const App& app, Graph& g, IoContract& contract, Ledger& ledger, const PrepareRequest& request);

// A graph rewritten for a target, and what is left to say about it.
struct Fit {
  int opset = 0;              // at which the target takes it, or its own when it takes it at none; 0 for other formats
  std::vector<Finding> left;  // what the target refuses at that opset
  std::vector<std::string> tries;  // one sentence for each opset that was given up
};
// `prepare_graph`, then the target's rules. An ONNX target that still refuses nodes which it would take at a lower
// opset (an operator is written another way there) gets the graph at the newest such opset: from the target's own down
// to 13. Each try is logged.
Result<Fit> fit_graph(const App& app, Graph& g, IoContract& contract, Ledger& ledger, const PrepareRequest& request);

// The target as it judges files of `opset` (0: as it is).
Target at_opset(const Target& target, int opset);

// `--opset N` over the target's own; 0 leaves it. `usage` for a number out of range or a target of another format.
Status choose_opset(Target& target, int opset);

// `fit_graph` for a part of a port, honouring options and decisions: fills rewritten, contract, ledger and opset;
// returns what the target refuses.
Result<std::vector<Finding>> prepare_part(PortContext& c, PartRun& p);

// The rewritten graph with its host steps, on tensors of the imported interface.
Result<std::vector<Tensor>> run_part(const PartRun& p, std::span<const Tensor> inputs);
// The same on a sample of the part; steps 3, 4 and 8 share one run of the graph.
Result<std::vector<Tensor>> run_sample(const PartRun& p, BoundSample& sample);

// The rewritten graph alone on a sample's tensors as the file takes them. Runs once per sample; outputs up to 128 MB
// are kept with it.
Result<std::vector<Tensor>> run_rewritten(const PartRun& p, BoundSample& sample, std::span<const Tensor> file_inputs);

}  // namespace npuport::app
