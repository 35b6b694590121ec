// Measures what a single change of the graph does: both versions run on the same made-up inputs.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "passes/context.h"

namespace npuport::app {

// Inputs are deterministic pseudo-random numbers: floats from a unit normal distribution, integers uniform in their
// declared range ([0, 2) without one). The tolerance follows the class of the change: exact and exact-on-domain changes
// must agree to 1e-4 of the outputs' spread, approximate ones are only measured. Graphs above `max_macs` are not run:
// the step's own proof on the samples covers them. Successive changes of one graph run each version once.
class RandomProver : public Prover {
 public:
  explicit RandomProver(std::map<std::string, ValueRange> ranges, int64_t max_macs = 4'000'000'000)
      : ranges_(std::move(ranges)), max_macs_(max_macs) {}
  Result<Evidence> prove(const Graph& before, const Graph& after, const LedgerEntry& entry) override;

 private:
  void make_inputs(const Graph& g);

  std::map<std::string, ValueRange> ranges_;
  int64_t max_macs_;
  std::vector<TensorType> types_;  // of inputs_
  std::vector<std::string> names_;
  std::vector<Tensor> inputs_;
  std::optional<Graph> last_;  // the version that gave results_ on inputs_
  std::vector<Tensor> results_;
};

}  // namespace npuport::app
