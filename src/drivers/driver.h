// Vendor compilers: one row per compiler that finds it, runs it, and judges what it did. A compiler's word counts for
// little: the verdict comes from artefact, log and exit code together.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "target/target.h"

namespace npuport {

enum class CompileVerdict : uint8_t {
  accepted,   // artefact there and of the right kind, no error in the log, exit code 0
  refused,    // the compiler said no: an operator, a shape, the model's size
  crashed,    // killed by a signal, or an internal error of the compiler
  timed_out,  // stopped by us
  no_output,  // exit code 0 and no error, but no artefact or garbage in its place
  misplaced,  // compiled, but parts run elsewhere than on the NPU (Vela, RKNN placement tables)
  skipped,    // the tool is not here
};
std::string_view name(CompileVerdict v);

// One complaint of a compiler, as far as its log tells.
struct CompilerFinding {
  std::string op;      // the format's operator name, "GATHER"
  std::string node;    // name or index of the node in the file
  std::string tensor;  // name of a tensor it speaks of
  std::string reason;  // the compiler's words
  std::string code;    // its error code, "E19010"
};

// Where a tool is and what it says it is.
struct ToolFacts {
  std::string path;                              // as configured; empty = not configured
  std::string version;                           // as printed; empty = it would not say
  std::string digest;                            // SHA-256 of the program, part of every cache key
  std::map<std::string, std::string> abilities;  // what its help text offers: {"dla-flag": "--dla-file", …}
};

struct CompileRequest {
  std::string model;                           // the file to compile
  std::string output;                          // the artefact to make
  std::string log;                             // file that receives the complete log
  std::string work_folder;                     // scratch folder of this run; compilers leave files where they stand
  std::vector<std::string> extra;              // the user's own arguments, already split
  std::string profile;                         // named set of flags of the driver; empty = its default
  std::map<std::string, std::string> options;  // driver-specific settings: {"precision_mode": "allow_mix_precision"}
  std::chrono::milliseconds timeout{std::chrono::minutes(10)};
  uint64_t memory_limit = 0;  // bytes of address space of the child, 0 = none
  const std::atomic<bool>* cancel = nullptr;
};

struct CompileOutcome {
  CompileVerdict verdict = CompileVerdict::skipped;
  std::string reason;                              // one sentence: why this verdict
  std::vector<std::vector<std::string>> commands;  // every argv that ran (or would run), in order
  std::map<std::string, std::string> env;          // what was added to the environment
  std::string artefact, log;                       // paths; artefact empty when there is none
  std::vector<CompilerFinding> findings;
  std::map<std::string, std::string> metrics;  // memory, cycles, placement counts, in the compiler's own words
  Json placement;                              // per operator, where the compiler prints it
  double seconds = 0;
  bool cached = false;
};

// One compiler.
struct Driver {
  std::string_view name;  // "ncc-tflite"; also the tool's name in --tool NAME=PATH
  std::string_view doc;
  std::string_view input;   // format it reads: "tflite", "onnx", "torchscript"
  std::string_view suffix;  // of what it makes: ".dla"
  // Asks the program at `path` for its version and help. tool_missing when there is none.
  Result<ToolFacts> (*probe)(const std::string& path);
  // The commands `compile` would run, without running anything: for --dry-run, scripts and bundles.
  Result<std::vector<std::vector<std::string>>> (*commands)(const ToolFacts& tool, const Target& target,
                                                            const CompileRequest& request);
  // Runs it. Errors only for our own faults (disk full, bad options); a compiler's "no" is an outcome.
  Result<CompileOutcome> (*compile)(const ToolFacts& tool, const Target& target, const CompileRequest& request);
};

std::span<const Driver> drivers();
// Null when there is no driver of that name.
const Driver* find_driver(std::string_view name);

// What diagnosis needs of any compiler: one verdict on one model file. `folder` is an empty scratch folder.
using Judge = std::function<Result<CompileOutcome>(const std::string& model, const std::string& folder)>;

}  // namespace npuport
