// Proofs of a diagnosis: a changed graph against the imported one, on samples or, without any, on made-up inputs.
#pragma once

#include "app/diagnose_run.h"
#include "exec/executor.h"

namespace npuport::app {

// What one output of one sample came to.
struct OutputCheck {
  std::string sample, output;
  double max_diff = 0;                  // against the imported graph
  double relative = 0;                  // ‖Δ‖ / ‖reference − mean‖
  std::optional<double> iou;            // outputs of rank 4: of the areas above 0
  std::optional<double> baseline_diff;  // against PyTorch's output, where the sample holds it
};

class DiagnoseProof {
 public:
  // Runs the imported graph on every sample.
  static Result<DiagnoseProof> create(const App& app, const DiagnoseRequest& request);

  // All outputs of all samples.
  Result<std::vector<OutputCheck>> check(const Graph& g, const IoContract& io) const;
  // Judges one more change by its class, and takes it as the present state when it holds. Exact changes are held
  // against the state before them (1e-4 of the spread or 1e-3 absolute), approximate ones against the imported graph (2
  // % of the largest magnitude). Evidence::max_diff is against the imported graph.
  Result<Evidence> prove(const Graph& g, const IoContract& io, Numerics numerics);
  // Values of `g` by name on the first sample; `names` only.
  Result<std::map<std::string, Tensor>> values(const Graph& g, const IoContract& io, const std::set<std::string>& names,
                                               bool reference_kernels) const;
  // Inputs of the file for the first sample.
  Result<std::vector<Tensor>> file_inputs(const IoContract& io) const;
  bool made_up() const { return made_up_; }
  size_t samples() const { return samples_.size(); }

 private:
  std::vector<DiagnoseSample> samples_;
  // Outputs by sample of the graph, on the original interface.
  Result<std::vector<std::vector<Tensor>>> run(const Graph& g, const IoContract& io) const;

  std::vector<std::vector<Tensor>> reference_, present_;  // of the imported graph, and with the changes so far
  std::vector<std::string> outputs_;
  int threads_ = 0;
  bool made_up_ = false;
};

// Seconds the host needs for its part of a model on one thread: the best of five runs on zeros.
Result<double> host_seconds(const Graph& g);

}  // namespace npuport::app
