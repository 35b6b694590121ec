#include "app/prover.h"

#include <fmt/format.h>

#include <algorithm>
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

template <class T>
Difference difference_of(std::span<const T> a, std::span<const T> b) {
  Difference d;
  const auto number = [](T v) { return static_cast<double>(v); };
  double mean = 0;
  for (const T v : a) mean += std::isfinite(number(v)) ? number(v) / static_cast<double>(a.size()) : 0;
  double error = 0, spread = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = number(a[i]), y = number(b[i]);
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

Difference difference(const Tensor& a, const Tensor& b) {
  Difference d;
  if (a.dtype != b.dtype || a.shape != b.shape) return {0, 0, false};
  dispatch(a.dtype, [&]<class T>() { d = difference_of(a.as<T>(), b.as<T>()); });
  return d;
}

bool same_value(const Graph& a, const Graph& b, ValueId v) {
  if (!v.valid()) return true;
  const Value &x = a.value(v), &y = b.value(v);
  return x.type == y.type && x.constant == y.constant && x.producer == y.producer;
}

// The same nodes, under the same ids, over the same constants: what a copy is until something is changed.
bool same_graph(const Graph& a, const Graph& b) {
  if (a.inputs() != b.inputs() || a.outputs() != b.outputs() || a.value_slots() != b.value_slots()) return false;
  const std::vector<NodeId> order = a.topological();
  if (order != b.topological()) return false;
  const auto same = [&](ValueId v) { return same_value(a, b, v); };
  for (const NodeId id : order) {
    const Node &x = a.node(id), &y = b.node(id);
    if (x.op != y.op || x.inputs != y.inputs || x.outputs != y.outputs || !(x.attrs == y.attrs)) return false;
    if (!std::all_of(x.inputs.begin(), x.inputs.end(), same)) return false;
  }
  return std::all_of(a.inputs().begin(), a.inputs().end(), same) &&
         std::all_of(a.outputs().begin(), a.outputs().end(), same);
}

}  // namespace

Result<Evidence> RandomProver::prove(const Graph& before, const Graph& after, const LedgerEntry& entry) {
  if (total_macs(before) > max_macs_)
    return Evidence{true, std::nullopt, "too large to run per change; the step's proof covers it"};
  if (!last_ || !same_graph(*last_, before)) {
    make_inputs(before);
    NPU_ASSIGN(results_, execute(before, inputs_));
  }
  last_.reset();
  const std::vector<Tensor> a = std::move(results_);
  NPU_ASSIGN(std::vector<Tensor> b, execute(after, inputs_));
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
  if (e.holds && before.inputs() == after.inputs()) {
    last_ = after;
    results_ = std::move(b);
  }
  return e;
}

void RandomProver::make_inputs(const Graph& g) {
  std::vector<TensorType> types;
  for (const ValueId v : g.inputs()) types.push_back(g.type(v));
  std::vector<std::string> names;
  for (const ValueId v : g.inputs()) names.push_back(g.value(v).name);
  if (types == types_ && names == names_) return;
  inputs_.clear();
  for (size_t i = 0; i < types.size(); ++i) {
    const auto range = ranges_.find(names[i]);
    inputs_.push_back(
        made_up(types[i], range == ranges_.end() ? nullptr : &range->second, static_cast<uint32_t>(i + 1)));
  }
  types_ = std::move(types);
  names_ = std::move(names);
}

}  // namespace npuport::app
