// Vendor compilers: one row per compiler that finds it, runs it, and judges what it did. A compiler's word counts for
// little: the verdict comes from artefact, log and exit code together.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
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

// Where the cure of a refusal lies.
enum class Cure : uint8_t {
  none,         // nothing to cure, or nothing known
  rewrite,      // an operator or shape: rewrite the graph (step 3 of `port`)
  file,         // the model file is damaged or of the wrong kind: write it again (step 5)
  environment,  // the tool's own surroundings: a library, a licence, memory
  options,      // an argument it does not take
};
std::string_view name(Cure c);

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
  std::string model;               // the file to compile
  std::string look_into;           // the file to read shapes from where `model` is only a name (scripts); empty = model
  std::string output;              // the artefact to make
  std::string log;                 // file that receives the complete log
  std::string work_folder;         // scratch folder of this run; compilers leave files where they stand
  std::vector<std::string> extra;  // the user's own arguments, already split
  std::vector<std::string> drop;   // default arguments not to give
  std::string profile;             // named set of flags of the driver; empty = its default
  std::map<std::string, std::string> options;  // driver-specific settings: {"precision_mode": "allow_mix_precision"}
  std::chrono::milliseconds timeout{std::chrono::minutes(10)};
  uint64_t memory_limit = 0;  // bytes of address space of the child, 0 = none
  const std::atomic<bool>* cancel = nullptr;
  const std::string& readable_model() const { return look_into.empty() ? model : look_into; }
  // The log on disk keeps its first and its last bytes; what is between them is replaced by a note.
  uint64_t log_head = uint64_t{256} << 20, log_tail = uint64_t{16} << 20;
};

struct CompileOutcome {
  CompileVerdict verdict = CompileVerdict::skipped;
  std::string reason;                              // one sentence: why this verdict
  Cure cure = Cure::none;                          // where to look when the verdict is no
  std::vector<std::vector<std::string>> commands;  // every argv that ran (or would run), in order
  std::map<std::string, std::string> env;          // what was added to the environment
  std::string artefact, log;                       // paths; artefact empty when there is none
  std::vector<CompilerFinding> findings;
  std::map<std::string, std::string> metrics;  // memory, cycles, placement counts, in the compiler's own words
  Json placement;                              // per operator, where the compiler prints it
  double seconds = 0;
  bool cached = false;
};

// A named set of flags.
struct FlagProfile {
  std::string_view name;
  std::vector<std::string> flags;  // in place of the target's options
  std::string_view why;
};
// What a flag does, for the report.
struct FlagNote {
  std::string_view flag, why;
};

// One compiler.
struct Driver {
  std::string_view name;  // "ncc-tflite"
  std::string_view tool;  // the tool's name in --tool NAME=PATH; empty = the first word of the target's command
  std::string_view doc;
  std::string_view input;   // format it reads: "tflite", "onnx", "torchscript"; empty = any
  std::string_view suffix;  // of what it makes: ".dla"; empty = the target says
  // Asks the program at `path` for its version and help. tool_missing when there is none.
  Result<ToolFacts> (*probe)(const std::string& path);
  // The commands `compile` would run, without running anything: for --dry-run, scripts and bundles. `tool` may be
  // unprobed (a bare name as path). usage for arguments the compiler does not take.
  Result<std::vector<std::vector<std::string>>> (*commands)(const ToolFacts& tool, const Target& target,
                                                            const CompileRequest& request);
  // Runs it. Errors only for our own faults (disk full, bad options); a compiler's "no" is an outcome. Paths are
  // absolute, the work folder exists. Called through `compile` below.
  Result<CompileOutcome> (*run)(const ToolFacts& tool, const Target& target, const CompileRequest& request);
  // What has to be added to the environment. Null: nothing.
  std::map<std::string, std::string> (*environment)(const ToolFacts& tool) = nullptr;
  // Named sets of flags, and what flags do. Null: none.
  std::span<const FlagProfile> (*profiles)() = nullptr;
  std::span<const FlagNote> (*notes)() = nullptr;
  // Files the commands need in the work folder (a generated script): name → contents. Null: none.
  Result<std::map<std::string, std::string>> (*files)(const Target& target, const CompileRequest& request) = nullptr;
  // Where the tool itself puts the artefact, when that is not `output`; `run` moves it. Null: it takes a name.
  std::string (*produces)(const CompileRequest& request) = nullptr;

  std::map<std::string, std::string> added_environment(const ToolFacts& t) const {
    return environment ? environment(t) : std::map<std::string, std::string>();
  }
  std::span<const FlagProfile> flag_profiles() const { return profiles ? profiles() : std::span<const FlagProfile>(); }
  std::span<const FlagNote> flag_notes() const { return notes ? notes() : std::span<const FlagNote>(); }
};

std::span<const Driver> drivers();
// Null when there is no driver of that name.
const Driver* find_driver(std::string_view name);
// The driver for a file of that format: the target's own when it reads the format, else another of the target's vendor
// that does (mtk_converter for TorchScript on MediaTek targets). usage when there is none.
Result<const Driver*> driver_for(const Target& target, std::string_view format);
// Name of the tool a driver needs for a target.
std::string driver_tool(const Driver& d, const Target& target);
// Suffix of what it makes.
std::string driver_suffix(const Driver& d, const Target& target);

// Compiles: makes paths absolute and folders, checks the model is there, runs the driver, moves the artefact into
// place. With `cache` (a folder, empty = none) an outcome of the same model, arguments and tool is taken from there;
// crashes and timeouts are not kept. file_not_found, usage, not_writable, interrupted; never an error for a compiler's
// "no".
Result<CompileOutcome> compile(const Driver& d, const ToolFacts& tool, const Target& target, CompileRequest request,
                               const std::string& cache = {});

Json to_json(const CompileOutcome& o);
// corrupt when it is no outcome.
Result<CompileOutcome> outcome_from_json(const Json& j);

// What diagnosis needs of any compiler: one verdict on one model file. `folder` is an empty scratch folder.
using Judge = std::function<Result<CompileOutcome>(const std::string& model, const std::string& folder)>;
// A judge that compiles with `base` (its model, output, log and work folder are set per call).
Judge make_judge(const Driver& d, ToolFacts tool, Target target, CompileRequest base, std::string cache = {});

}  // namespace npuport
