// The Python helper (python/npuport_torch): found beside the binary, run by the user's interpreter.
#pragma once

#include "app/app.h"
#include "base/subprocess.h"

namespace npuport::app {

// Runs `tool -m npuport_torch ARGS…`; `tool` is "python", "litert-python" or "onnxruntime-python". tool_missing with
// what to set when the interpreter is not configured or the helper's folder is not found (NPUPORT_HELPER overrides).
Result<ProcessResult> run_helper(const App& app, const std::string& tool, const std::vector<std::string>& args,
                                 std::chrono::seconds timeout, bool forward_stderr);

}  // namespace npuport::app
