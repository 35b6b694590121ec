// The real LiteRT as an oracle for written models.
#pragma once

#include "support/oracle.h"
#include "support/temp_folder.h"

namespace npuport::testing {

// The interpreter with ai_edge_litert; empty when NPUPORT_TEST_LITERT_PYTHON is not set or "none".
inline std::string litert_python() {
  const char* named = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
  return named == nullptr || std::string_view(named) == "none" ? "" : named;
}

// As run_oracle, in a folder of its own.
inline Result<std::vector<OracleResult>> run_litert(const std::vector<OracleCase>& cases) {
  const TempFolder folder;
  return run_oracle("LiteRT", litert_python(), "litert_run.py", folder.path(), cases);
}

}  // namespace npuport::testing
