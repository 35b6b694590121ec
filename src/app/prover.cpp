#include "app/prover.h"

#include <fmt/format.h>

#include <cmath>
#include <random>

#include "exec/executor.h"
#include "ir/cost.h"

namespace npuport::app {
namespace {

constexpr double kTolerance = 1e-4;

// Same graph interface, same numbers, on any machine.
Tensor made_up(const TensorType& type, const ValueRange* range, uint32_t seed) {
  std::mt19937 random(seed);
  const auto uniform = [&] { return (static_cast<double>(random()) + 0.5) / 4294967296.0; };
  Tensor t = Tensor::zeros(DType::f64, type.shape);
  for (double& v : t.mut<double>()) {
    const double u = uniform();
    if (is_float(type.dtype)) {
      v = std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * uniform());
    } else {
      const double low = range ? range->low : 0, high = range ? range->high : 1;
      v = std::floor(low + u * (high - low + 1));
    }
  }
  return cast_tensor(t, type.dtype);
}

struct Difference {
  double max = 0, relative = 0;
  bool comparable = true;  // false: NaN or Inf at different places, or other types
};

Difference difference(const Tensor& a, const Tensor& b) {
  Difference d;
  if (a.dtype != b.dtype || a.shape != b.shape) return {0, 0, false};
  double mean = 0;
  const int64_t n = a.count();
  for (int64_t i = 0; i < n; ++i)
    mean += std::isfinite(get_double(a, i)) ? get_double(a, i) / static_cast<double>(n) : 0;
  double error = 0, spread = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double x = get_double(a, i), y = get_double(b, i);
    if (!std::isfinite(x) || !std::isfinite(y)) {
      if (!(x == y || (std::isnan(x) && std::isnan(y)))) d.comparable = false;
      continue;
    }
    d.max = std::max(d.max, std::fabs(x - y));
    error += (x - y) * (x - y);
    spread += (x - mean) * (x - mean);
  }
  d.relative = error == 0 ? 0 : std::sqrt(error / std::max(spread, 1e-30));
  return d;
}

}  // namespace

Result<Evidence> RandomProver::prove(const Graph& before, const Graph& after, const LedgerEntry& entry) {
  if (total_macs(before) > max_macs_)
    return Evidence{true, std::nullopt, "too large to run per change; the step's proof covers it"};
  std::vector<Tensor> inputs;
  for (const ValueId v : before.inputs()) {
    const auto range = ranges_.find(before.value(v).name);
    inputs.push_back(made_up(before.type(v), range == ranges_.end() ? nullptr : &range->second,
                             static_cast<uint32_t>(inputs.size() + 1)));
  }
  NPU_ASSIGN(const std::vector<Tensor> a, execute(before, inputs));
  NPU_ASSIGN(const std::vector<Tensor> b, execute(after, inputs));
  Evidence e;
  e.max_diff = 0;
  if (a.size() != b.size()) return Evidence{false, std::nullopt, "the change alters the number of outputs"};
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const Difference d = difference(a[i], b[i]);
    if (!d.comparable)
      return Evidence{false, std::nullopt,
                      fmt::format("output {} has another type, or NaN and infinities at other places", i)};
    e.max_diff = std::max(*e.max_diff, d.max);
    worst = std::max(worst, d.relative);
  }
  e.detail = fmt::format("largest difference {:.3g}, relative {:.3g}, on made-up inputs", *e.max_diff, worst);
  e.holds = entry.numerics == Numerics::approximate || worst <= kTolerance;
  return e;
}

}  // namespace npuport::app
