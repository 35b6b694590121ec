// One function per verb. Arguments are plain structs so that tests and the port pipeline call them without a shell.
#pragma once

#include <optional>

#include "app/app.h"
#include "app/runnable.h"
#include "exec/compare.h"

namespace npuport::app {

struct InspectArgs {
  std::vector<std::string> files;
};
CommandResult inspect(const App& app, const InspectArgs& args);

struct RunArgs {
  std::string model, output;  // output: .npz; empty = print a summary only
  ModelOptions options;
  std::vector<std::string> inputs;  // --input NAME=FILE.npy
  bool profile = false;
  bool reference = false;         // reference kernels only
  std::vector<std::string> dump;  // value names to add to the output, or "all"
};
CommandResult run_model(const App& app, const RunArgs& args);

struct ConvertArgs {
  std::string model, output, target = "generic-tflite", io_layout = "nchw";
  ModelOptions options;
  bool float16 = false;
  bool split_host = false;
  bool allow_approximate = false;
  bool assume_int32 = false;
  int opset = 0;         // of .onnx: the newest to try; 0 = the target's
  std::string rewrites;  // file with the user's own rewrites; empty = none
};
CommandResult convert(const App& app, const ConvertArgs& args);

struct VerifyArgs {
  std::string a, b;  // b: a model or a .npz of saved outputs; empty = a's samples hold the baseline
  ModelOptions options;
  Gate gate;
  bool bisect = false;
  std::string layers;  // saved inner values (`trace --layers`) as the reference of the bisection
};
CommandResult verify_models(const App& app, const VerifyArgs& args);

struct AnalyzeArgs {
  std::string model, target, output;  // output: folder for operator_analysis.{md,json}; empty = print
  std::string rewrites;
  ModelOptions options;
};
CommandResult analyze(const App& app, const AnalyzeArgs& args);

struct TargetsArgs {
  std::string name;  // empty = list
};
CommandResult targets(const App& app, const TargetsArgs& args);

struct LessonsArgs {
  std::string id;  // empty: all
};
CommandResult lessons(const App& app, const LessonsArgs& args);
// docs/lessons.md: the table of base/lessons.h for people.
std::string lessons_markdown();

CommandResult doctor(const App& app);

struct CompileArgs {
  std::string file, target, output;  // output: folder
  std::string driver, profile, bundle, cache;
  std::vector<std::string> extra;     // --compiler-arg, each split into words
  std::vector<std::string> drop;      // default arguments not to give
  std::vector<std::string> settings;  // KEY=VALUE for the driver
  double timeout = 600;               // seconds
  uint64_t memory_mb = 0;             // address space of the compiler, 0 = no limit
  bool dry_run = false, no_cache = false;
};
CommandResult compile_model(const App& app, const CompileArgs& args);

struct TraceArgs {
  std::vector<std::string> helper_args;  // passed on to the Python helper
};
CommandResult trace(const App& app, const TraceArgs& args);

struct PortArgs {
  std::vector<std::string> models;  // MODEL, part=MODEL …, or port.toml
  std::string target, output;
  std::vector<std::string> samples;  // FILE|DIR or part=FILE|DIR
  std::vector<std::string> shapes;
  std::string name;
  std::string gate;
  std::string io_layout;  // empty = the target's default
  std::string rewrites;   // file with the user's own rewrites; empty = none
  bool strict = false, allow_approximate = false, assume_int32 = false, float16 = false;
  bool init = false;             // write port.toml only
  bool force = false;            // ignore what earlier runs left
  std::string bundle;            // folder for the compiler's inputs and commands, to be run elsewhere
  double compile_timeout = 600;  // seconds for one run of the compiler
  int opset = 0;                 // of .onnx targets, instead of the target's; 0 = the target's
  bool no_diagnose = false;      // leave it at the compiler's refusal
};
CommandResult port(const App& app, const PortArgs& args);

struct UpscaleArgs {
  std::vector<std::string> pictures;
  std::string model, output, part, backend;
  std::optional<int> overlap;
  std::string reference;  // picture to compare the result with
  int border = 0;         // pixels left out of the comparison at each edge
  bool gate = false;      // FAIL (exit code 1) unless PSNR against the reference is above 40 dB
  int quality = 95;       // JPEG
  int benchmark = 0;      // repetitions; 0 = no figures
};
CommandResult upscale(const App& app, const UpscaleArgs& args);

}  // namespace npuport::app
