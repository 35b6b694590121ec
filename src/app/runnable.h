// Anything `run` and `verify` accept: a model file, a port's output folder, or its *_metadata.json.
#pragma once

#include "app/app.h"
#include "app/samples.h"
#include "exec/executor.h"
#include "passes/io_contract.h"

namespace npuport::app {

struct ModelOptions {
  std::vector<std::string> samples;  // --samples; the first one also gives shapes
  std::vector<std::string> shapes;   // --shape
  std::vector<SampleFile> given;     // samples in memory (`run --input`): give shapes where --samples does not
  std::string entry = "forward";
  std::string part;  // which part of a folder with several
  bool raw = false;  // ignore npuport.io
};

// A model ready to be looked at or run on data of its original interface.
class Runnable {
 public:
  // Imports; refuses opaque operators unless `allow_opaque`, listing all of them with counts and source lines. Where
  // the file is refused for unknown numbers (an `int` that picks a submodule), those of the first sample are put in,
  // with a warning; `run` then refuses other numbers (bad_input_data).
  static Result<Runnable> open(const App& app, const std::string& path, const ModelOptions& options,
                               bool allow_opaque = false);

  const ImportedModel& model() const { return model_; }
  const IoContract& contract() const { return contract_; }
  // The model's graph, given away: the constants are the caller's alone. Nothing else of the model is left to use.
  Graph take_graph() && { return std::move(model_.graph); }
  const std::string& path() const { return path_; }
  // The interface samples are written for.
  std::vector<InputSpec> inputs() const;
  std::vector<std::string> output_names() const;

  // Runs on tensors of the original interface; the executor is made on first use.
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, const ExecOptions& options);
  const Executor* executor() const { return executor_ ? executor_.get() : nullptr; }

 private:
  ImportedModel model_;
  IoContract contract_;
  std::string path_, folder_;
  // Inputs by position whose value decided the graph.
  std::vector<std::pair<size_t, std::shared_ptr<const Tensor>>> fixed_;
  std::shared_ptr<Executor> executor_;
};

// One Diag that lists every opaque operator with counts and up to three places each.
Diag opaque_diag(const std::vector<OpaqueOperator>& opaque);

}  // namespace npuport::app
