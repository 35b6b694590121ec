// What `compile`, `port` and `diagnose` share about vendor compilers: finding one, its commands for elsewhere, bundles.
#pragma once

#include "app/app.h"
#include "drivers/driver.h"

namespace npuport::app {

struct Compiler {
  const Driver* driver = nullptr;
  std::string tool;  // the tool's name in --tool NAME=PATH
  ToolFacts facts;   // path empty when the tool is not configured; then only commands can be printed
  bool here() const { return !facts.path.empty(); }
};

// The compiler of a target for files of `format`, or the driver called `driver` when that is not empty. Configured
// tools are asked for version and help: tool_missing, not_readable, tool_failed when that is impossible.
Result<Compiler> find_compiler(const App& app, const Target& target, std::string_view format,
                               const std::string& driver = {});

// tool_missing, with how to configure it.
Diag compiler_missing(const Compiler& c);

// The commands, with the tool's bare name where it is not configured.
Result<std::vector<std::vector<std::string>>> compile_commands(const Compiler& c, const Target& target,
                                                               const CompileRequest& request);

// One model of a bundle or script: paths relative to the folder the script stands in (or `up` from it).
struct CompileJob {
  std::string model, output;
  CompileRequest request;  // profile, extra, options
};

// A POSIX script that compiles the jobs with the tool in $NAME (NCC_TFLITE), checks that each file appears, and keeps
// the log. It changes into the folder `up` of its own ("." or "..") first; `checked` = it compares SHA256SUMS before.
Result<std::string> compile_script(const Compiler& c, const Target& target, const std::vector<CompileJob>& jobs,
                                   const std::string& up, bool checked);

// A folder to take elsewhere: models (source path, job), further files (path in the bundle, contents), compile.sh,
// SHA256SUMS, README.txt. usage when the folder is there and not empty.
struct BundleFile {
  std::string source;  // file to copy; empty = `text` is the contents
  std::string name;    // path in the bundle
  std::string text;
};
Result<std::vector<std::string>> write_bundle(const std::string& folder, const Compiler& c, const Target& target,
                                              const std::vector<CompileJob>& jobs, std::vector<BundleFile> files);

// One paragraph per finding and figure, for terminals.
std::string outcome_text(const CompileOutcome& o);
// The findings of a compile as problems of a report, each with the next step; the first says what happened as a whole.
std::vector<Diag> outcome_problems(const CompileOutcome& o, const std::string& tool, const std::string& model);

}  // namespace npuport::app
