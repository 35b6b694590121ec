// What every command shares: global options, results, messages.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"

namespace npuport::app {

struct App {
  bool json = false;
  bool quiet = false;
  int verbose = 0;
  int threads = 0;                           // 0 = all cores
  int jobs = 1;                              // parallel processes
  std::map<std::string, std::string> tools;  // --tool NAME=PATH

  // A line on stderr unless quiet; level 1 and above need -v.
  void log(int level, const std::string& line) const;
  void warn(const Diag& d) const;
};

// What a command found. `text` goes to stdout for people, `json` for machines; the exit code is the honest verdict.
struct Outcome {
  int exit_code = 0;
  Json json;
  std::string text;
};
using CommandResult = Result<Outcome>;

Json diag_json(const Diag& d);

// The environment variable that names a tool: "ncc-tflite" → "NPUPORT_NCC_TFLITE".
std::string tool_variable(std::string_view name);

// The path of an external tool: --tool, then NPUPORT_<NAME>, then nothing (never by chance on PATH).
std::string tool_path(const App& app, const std::string& name);

// The version of this binary, "0.1.0".
std::string version();

}  // namespace npuport::app
