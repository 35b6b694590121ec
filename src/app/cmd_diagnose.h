// The verb `diagnose`.
#pragma once

#include "app/app.h"
#include "app/runnable.h"

namespace npuport::app {

struct DiagnoseArgs {
  std::string model, target, output;
  ModelOptions options;
  std::string compiler;            // command with {input} and {output}; empty = the target's own
  std::vector<std::string> extra;  // further arguments of the compiler
  std::vector<std::string> cuts, ranges;
  std::string whitelist;    // file; empty = in the output folder
  size_t max_compiles = 0;  // 0 = no limit
  int repeats = 1, rounds = 6;
  double timeout = 600;  // seconds a compile
  bool allow_approximate = false, no_host = false, no_cure = false;
};
CommandResult diagnose(const App& app, const DiagnoseArgs& args);

}  // namespace npuport::app
