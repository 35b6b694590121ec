// The steps of `port`, one function each. Every step makes something, proves it, and says so in a PortStep.
#pragma once

#include "app/output_folder.h"
#include "app/port_run.h"

namespace npuport::app {

// What the steps share: the run, its output folder, and hand-made decisions.
struct PortContext {
  PortRun& run;
  OutputFolder& folder;
  Decisions decisions;
  bool again = false;  // a part got a lower opset: everything from the analysis on has to be done with it
};

// Reads the decisions a person made in operator_analysis.{md,json} of an earlier run.
Status load_decisions(PortContext& c);

// A step's name in the state is its id; its key is a hash over everything it depends on. An error is an abort (bad
// input, disk full); an honest "no" is a step with verdict FAIL.
Result<PortStep> step_import(PortContext& c);
Result<PortStep> step_analyze(PortContext& c);
Result<PortStep> step_rewrite(PortContext& c);
Result<PortStep> step_model_gate(PortContext& c);
Result<PortStep> step_write(PortContext& c);
Result<PortStep> step_quantise(PortContext& c);
Result<PortStep> step_compile(PortContext& c);
Result<PortStep> step_debug(PortContext& c);

}  // namespace npuport::app
