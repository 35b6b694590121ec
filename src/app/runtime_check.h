// The second opinion on a written file: the runtime everybody uses for its format, run by the user's Python. LiteRT for
// .tflite (--tool litert-python=PATH), ONNX Runtime for .onnx (--tool onnxruntime-python=PATH).
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// "litert-python" or "onnxruntime-python", by the target's format.
std::string runtime_tool(const Target& target);

// One proof per sample, or a note in the step's details when no interpreter is configured. A file with operators the
// runtime lacks is UNVERIFIED here, naming them.
Status check_with_runtime(PortContext& c, PartRun& p, const std::string& path, PortStep& s);

}  // namespace npuport::app
