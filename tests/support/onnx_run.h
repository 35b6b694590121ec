// The onnx package's checker and ONNX Runtime as oracles for written models.
#pragma once

#include "support/oracle.h"

namespace npuport::testing {

// The interpreter with onnx and onnxruntime (the one with LiteRT); empty when it is not set, "none" or lacks them.
inline std::string onnx_python() {
  static const std::string found = [] {
    const char* named = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
    if (named == nullptr || std::string_view(named) == "none") return std::string();
    ProcessOptions probe;
    probe.argv = {named, "-c", "import onnx, onnxruntime"};
    const Result<ProcessResult> there = run_process(probe);
    return there && there->ok() ? std::string(named) : std::string();
  }();
  return found;
}

// As run_oracle; an error that begins with "checker: " says that the file breaks the standard.
inline Result<std::vector<OracleResult>> run_onnx(const std::string& folder, const std::vector<OracleCase>& cases) {
  return run_oracle("ONNX Runtime", onnx_python(), "onnx_run.py", folder, cases);
}

}  // namespace npuport::testing
