// Divide and conquer on a refused model: hunt, cure, compile again, until the compiler takes it or nothing is left to
// try.
#pragma once

#include "app/app.h"
#include "app/samples.h"
#include "drivers/diagnose/cure.h"
#include "drivers/driver.h"
#include "passes/context.h"
#include "passes/io_contract.h"

namespace npuport::app {

// A sample on the model's original interface.
struct DiagnoseSample {
  std::string name;
  std::vector<Tensor> inputs;
  std::vector<Baseline> baseline;  // PyTorch's outputs; may be empty
};

struct DiagnoseRequest {
  std::string name;  // of the model, for titles
  Graph imported;    // what the cured model has to equal
  Graph graph;       // what is compiled: every operator has a form in the target's file format
  IoContract io;     // of `graph`
  Ledger ledger;     // what was done to it so far
  std::vector<DiagnoseSample> samples;
  const Target* target = nullptr;
  const Driver* driver = nullptr;
  ToolFacts tool;
  std::string original;  // the user's own file when the compiler reads its format; empty otherwise
  std::string folder;    // where everything goes: OUT/diagnose
  PassOptions passes;    // ranges, allow_approximate, split_host
  std::vector<std::string> cuts;
  std::string whitelist;  // file to read and extend; empty = folder/whitelist.json
  std::vector<std::string> compiler_arguments;
  size_t max_compiles = 0;
  int repeats = 1, rounds = 6;
  std::chrono::milliseconds timeout{std::chrono::minutes(10)};
  bool cure = true;
};

struct DiagnoseResult {
  bool compiles = false;  // as it is, or cured and proven
  bool cured = false;     // by changes
  std::string sentence;   // the verdict in one line
  Json report;            // what folder/report.json holds
};

// Writes report.html, report.json, whitelist.json, parts/, culprits/, and the cured model with its ledger below
// request.folder. Verdicts are kept in folder/cache: the same command goes on where it stopped. Errors: our own faults
// only (disk full, interrupted).
Result<DiagnoseResult> run_diagnosis(const App& app, DiagnoseRequest request);

// Renders the report's document and nothing else.
std::string diagnose_html(const Json& report);
// The same for a terminal.
std::string diagnose_text(const Json& report);

// Writes `g` in the target's file format.
Status write_for_target(const App& app, const Target& target, const Graph& g, const std::string& path);
// ".tflite", ".onnx"
std::string model_suffix(const Target& target);

}  // namespace npuport::app
