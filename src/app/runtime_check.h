// The second opinion on a written file: the runtime everybody uses for its format, run by the user's Python. LiteRT for
// .tflite (--tool litert-python=PATH), ONNX Runtime for .onnx (--tool onnxruntime-python=PATH).
// And the same question to the device itself about the compiled file.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// "litert-python" or "onnxruntime-python", by the target's format.
std::string runtime_tool(const Target& target);

// One proof per sample, or a note in the step's details when no interpreter is configured. A file with operators the
// runtime lacks is UNVERIFIED here, naming them.
Status check_with_runtime(PortContext& c, PartRun& p, const std::string& path, PortStep& s);

// The compiled file against PyTorch, by a program that can run it: --tool device-runner=PATH, called as
// `PATH MODEL IN.npz OUT.npz` (in.0, in.1 … in; arrays in the order of the file's outputs out), be it on this machine's
// NPU or a script that goes to a board. One proof per sample with a baseline, one row per output in the details; a note
// when no runner is configured. A runner that fails is UNVERIFIED. `kind`: how people call the file, "OM".
Status check_on_device(PortContext& c, PartRun& p, const std::string& path, const std::string& kind, PortStep& s);

}  // namespace npuport::app
