// Targets: an NPU and its compiler, as data. The shipped ones (targets/*.toml) are compiled into the binary; a user's
// file adds one or replaces one of the same name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "target/expr.h"

namespace npuport {

enum class Confidence { measured, documented, assumed };
std::string_view name(Confidence c);

// Where a statement comes from.
struct Citation {
  std::string source;
  Confidence confidence = Confidence::assumed;
};

enum class Support { supported, refused, unlisted };
std::string_view name(Support s);

// One operator of the format (TFLite "CONV_2D"), as one source sees it.
struct OperatorStatement {
  Support support = Support::unlisted;
  Citation evidence;
  // Format "onnx": the opsets a `supported` holds for; empty = every one. Elsewhere the operator is refused.
  std::vector<int> opsets = {};
};

// A limit: `require` must hold for every node of operator `op` ("*" = every operator).
struct Rule {
  std::string id;
  std::string op;
  Expr require;
  std::string why;  // the sentence users read: message, docs page and web page alike
  Citation evidence;
};

// How a line of a compiler's log is read (driver "generic"): the first group, or the groups in order of `fields`.
struct LogPattern {
  std::string kind;                 // "refused", "error", "ignore", "metric"
  std::string pattern;              // ECMAScript regular expression, searched in every line
  std::vector<std::string> fields;  // "op", "node", "tensor", "reason", "code"; for metrics "name", "value"
};

struct CompilerSpec {
  std::string driver;                // "ncc-tflite"; empty = the target has no compiler
  std::vector<std::string> options;  // beyond what identity gives
  // Driver "generic": a command with {input} and {output}, split into words like a shell does, run without one.
  std::string command;
  std::string suffix;                           // of what the command makes, ".bin"
  std::map<std::string, std::string> settings;  // driver-specific: accelerator, precision_mode …
  std::vector<LogPattern> log;
};

struct Target {
  std::string name, title, vendor, format;             // format: "tflite" or "onnx"
  std::map<std::string, std::string> identity;         // soc, arch, l1_kb, mdla … in the vendor's words
  std::string file;                                    // where it was loaded from; "built-in:NAME"
  std::map<std::string, OperatorStatement> operators;  // by format operator name; the strongest statement of all lists
  // What an operator no list mentions means: refused (needs a rewrite) or supported (open formats).
  bool unlisted_is_ok = false;
  std::vector<std::string> dtypes;  // element types the NPU computes in; empty = any
  std::vector<Rule> rules;
  CompilerSpec compiler;
  std::vector<std::string> prefer;             // rewrite ids tried first, in order
  std::vector<std::string> allow_approximate;  // approximate rewrites this target allows by name
  bool nhwc_io = false;                        // `port` turns 4-D inputs and outputs to NHWC
  int opset = 17;                              // format "onnx": the newest the compiler takes, 11 to 17

  OperatorStatement statement(std::string_view format_operator) const;
};

// Text that changes whenever anything about the target does (for keys of cached results).
std::string target_fingerprint(const Target& t);

// Names of the built-in targets, sorted.
std::vector<std::string> builtin_targets();
// A built-in name, or the path of a TOML file (recognised by '/' or ".toml"). `usage` with the nearest names when
// unknown; `syntax`, `unknown_key` with the file's line for bad files.
Result<Target> load_target(const std::string& name_or_path);
// Parses TOML text; `file` is for messages. `extends = "name"` starts from another target.
Result<Target> parse_target(std::string_view toml, const std::string& file);

}  // namespace npuport
