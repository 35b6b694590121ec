// Measures what a single change of the graph does: both versions run on the same made-up inputs.
#pragma once

#include <map>

#include "passes/context.h"

namespace npuport::app {

// Inputs are deterministic pseudo-random numbers: floats from a unit normal distribution, integers uniform in their
// declared range ([0, 2) without one). The tolerance follows the class of the change: exact and exact-on-domain changes
// must agree to 1e-4 of the outputs' spread, approximate ones are only measured. Graphs above `max_macs` are not run:
// the step's own proof on the samples covers them.
class RandomProver : public Prover {
 public:
  explicit RandomProver(std::map<std::string, ValueRange> ranges, int64_t max_macs = 4'000'000'000)
      : ranges_(std::move(ranges)), max_macs_(max_macs) {}
  Result<Evidence> prove(const Graph& before, const Graph& after, const LedgerEntry& entry) override;

 private:
  std::map<std::string, ValueRange> ranges_;
  int64_t max_macs_;
};

}  // namespace npuport::app
