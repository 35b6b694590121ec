// The state of one `port` run: what each step made, proved and said. Filled by port_steps, read by the report.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "app/analysis.h"
#include "app/project.h"
#include "exec/compare.h"
#include "exec/executor.h"
#include "passes/context.h"
#include "passes/io_contract.h"
#include "target/target.h"

namespace npuport::app {

// One comparison that was made.
struct Proof {
  std::string part, what;  // "imported = baseline", "rewritten = imported", "LiteRT = rewritten"
  std::string sample;
  std::string gate;  // "general", "image", "text" …
  Comparison result;
  bool reused = false;  // taken from an earlier run whose inputs are the same
};

struct PortStep {
  int number = 0;
  std::string id, title;
  Verdict verdict = Verdict::skip;
  std::string reason;  // for SKIP, UNVERIFIED and FAIL
  double seconds = 0;
  bool reused = false;
  std::vector<Proof> proofs;
  std::vector<std::string> files;  // artefacts, relative to the output folder
  std::vector<Diag> problems;      // findings, warnings, with their cures as hints
  Json details;                    // step-specific figures
};

// One sample of a part, bound to its inputs.
struct BoundSample {
  std::string name;  // file stem
  std::vector<Tensor> inputs;
  std::vector<Baseline> baseline;  // PyTorch's outputs; empty when the file has none
  std::vector<Tensor> imported;    // the imported graph's outputs
  std::vector<Tensor>
      rewritten;  // the rewritten graph's, as the file has them; empty until it ran, or too large to keep
};

struct PartRun {
  const ProjectPart* spec = nullptr;
  std::string model_hash, shape_tag, file_name;  // file_name: models/… of the written file
  ImportedModel imported;
  std::vector<InputSpec> inputs;
  std::vector<BoundSample> samples;
  Graph rewritten;
  IoContract contract;
  Ledger ledger;
  Analysis analysis;
  std::shared_ptr<Executor> rewritten_executor;
  size_t operators_imported = 0, operators_written = 0;
  int64_t weight_bytes = 0;
  int opset = 0;                            // of the written file; 0 where the format has none
  std::vector<std::string> opset_tries;     // those given up before it
  int opset_limit = 0;                      // the newest opset whose file the compiler takes; 0: it refused none
  std::vector<std::string> refused_opsets;  // what it said about newer ones
};

// The gate of the steps that compare a part with itself (import, rewrite, write): the general one, with the part's own
// limits where its gate is general.
inline Gate general_gate(const ProjectPart& p) { return p.gate.kind == GateKind::general ? p.gate : Gate{}; }

struct PortOptions {
  bool strict = false, allow_approximate = false, assume_int32 = false, float16 = false, force = false;
  bool nhwc = true;
  std::string bundle;            // folder to pack the compiler's inputs and commands into; empty = none
  double compile_timeout = 600;  // seconds for one run of the compiler
  std::string rewrites_file;
  std::shared_ptr<const UserRewrites> rewrites;  // what it holds; may be none
  bool diagnose = true;                          // hunt for the culprits when the compiler refuses
};

struct PortRun {
  App app;
  Project project;
  Target target;
  PortOptions options;
  std::string out;  // output folder
  std::vector<PartRun> parts;
  std::vector<PortStep> steps;
  Json task_results;  // per sample: expected and got

  Verdict verdict() const;  // worst of all steps
  std::string path(const std::string& relative) const { return out + "/" + relative; }
};

}  // namespace npuport::app
