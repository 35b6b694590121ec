// What a compiler's refusal of an .onnx file is followed by before anything else: the file at lower opsets.
#pragma once

#include "app/compile_tool.h"
#include "app/port_steps.h"

namespace npuport::app {

// Rewrites and writes the part for each lower opset down to 13 and lets the compiler judge it. The first that is
// accepted becomes the part's limit (`opset_limit`, `refused_opsets`) and true is returned: the steps from the analysis
// on must be done and proven again. False, with the tries in the step's details, when none is, or the target's format
// has no opsets. `refusal` is what it said about the file as it is.
Result<bool> lower_opset(PortContext& c, const Compiler& compiler, PartRun& p, const CompileOutcome& refusal,
                         PortStep& s);

// Takes over the limits an earlier run found with the same models, target, options and compiler.
void recall_opsets(PortContext& c);

}  // namespace npuport::app
