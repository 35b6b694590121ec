// The real PyTorch as an oracle for written models.
#pragma once

#include "support/oracle.h"
#include "support/temp_folder.h"

namespace npuport::testing {

// Whether torch_python() has PyTorch; asked once.
inline bool torch_there() {
  static const bool there = [] {
    ProcessOptions probe;
    probe.argv = {torch_python(), "-c", "import torch"};
    const Result<ProcessResult> r = run_process(probe);
    return r && r->ok();
  }();
  return there;
}

// As run_oracle; models are .pt files.
inline Result<std::vector<OracleResult>> run_torch(const std::string& python, const std::string& folder,
                                                   const std::vector<OracleCase>& cases) {
  return run_oracle("PyTorch", python, "torch_run.py", folder, cases);
}

}  // namespace npuport::testing
