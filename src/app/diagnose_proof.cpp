#include "app/diagnose_proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "passes/io_contract.h"

namespace npuport::app {
namespace {

// Shares of the spread and of the largest magnitude. Counts of pixels jump where a sum is rounded another way, so exact
// changes are held to the general gate's absolute limit, too, not to the spread alone.
constexpr double kExact = 1e-4, kAbsolute = 1e-3, kApproximate = 0.02;

// Deterministic: floats from a normal distribution, whole numbers uniform in the declared range.
Tensor made_up_input(const TensorType& type, const ValueRange* range, uint32_t seed) {
  std::mt19937 random(seed);
  const auto uniform = [&] { return (static_cast<double>(random()) + 0.5) / 4294967296.0; };
  Tensor t = Tensor::zeros(DType::f64, type.shape);
  for (double& v : t.mut<double>()) {
    const double u = uniform();
    if (is_float(type.dtype) && !range) {
      v = std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * uniform());
    } else {
      const double low = range ? range->low : 0, high = range ? range->high : 1;
      const bool whole = !range || range->integers || !is_float(type.dtype);
      v = whole ? std::floor(low + u * (high - low + 1)) : low + u * (high - low);
    }
  }
  return cast_tensor(t, type.dtype);
}

// Output `k` of `all` against the reference; a missing one is infinitely far off.
OutputCheck compare_output(const Tensor& reference, std::span<const Tensor> all, size_t k) {
  OutputCheck c;
  const double bad = std::numeric_limits<double>::infinity();
  if (k >= all.size()) {
    c.max_diff = c.relative = bad;
    return c;
  }
  const Tensor& got = all[k];
  if (reference.shape != got.shape || reference.dtype != got.dtype) {
    c.max_diff = c.relative = bad;
    return c;
  }
  const int64_t n = reference.count();
  double mean = 0, error = 0, spread = 0;
  int64_t both = 0, either = 0;
  for (int64_t i = 0; i < n; ++i) mean += get_double(reference, i) / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) {
    const double x = get_double(reference, i), y = get_double(got, i), d = std::fabs(x - y);
    if (!(d <= c.max_diff)) c.max_diff = std::isnan(d) ? bad : d;
    error += d * d;
    spread += (x - mean) * (x - mean);
    both += x > 0 && y > 0;
    either += x > 0 || y > 0;
  }
  c.relative = error == 0 ? 0 : std::isfinite(error) ? std::sqrt(error / std::max(spread, 1e-30)) : bad;
  if (reference.shape.size() == 4 && is_float(reference.dtype))
    c.iou = either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
  return c;
}

double largest(const Tensor& t) {
  double m = 0;
  for (int64_t i = 0; i < t.count(); ++i) m = std::max(m, std::fabs(get_double(t, i)));
  return m;
}

}  // namespace

Result<DiagnoseProof> DiagnoseProof::create(const App& app, const DiagnoseRequest& request) {
  DiagnoseProof p;
  p.threads_ = app.threads;
  p.samples_ = request.samples;
  const Graph& g = request.imported;
  for (const ValueId v : g.outputs()) p.outputs_.push_back(g.value(v).name);
  if (p.samples_.empty()) {
    p.made_up_ = true;
    for (uint32_t k = 0; k < 2; ++k) {
      DiagnoseSample s{fmt::format("made up {}", k + 1), {}, {}};
      for (const ValueId v : g.inputs()) {
        const auto range = request.passes.ranges.find(g.value(v).name);
        s.inputs.push_back(made_up_input(g.type(v), range == request.passes.ranges.end() ? nullptr : &range->second,
                                         static_cast<uint32_t>(s.inputs.size() + 1 + 100 * k)));
      }
      p.samples_.push_back(std::move(s));
    }
  }
  ExecOptions options;
  options.threads = p.threads_;
  NPU_ASSIGN(Executor executor, Executor::create(g, options));
  for (const DiagnoseSample& s : p.samples_) {
    NPU_ASSIGN(std::vector<Tensor> out, executor.run(s.inputs));
    p.reference_.push_back(std::move(out));
  }
  p.present_ = p.reference_;
  return p;
}

Result<std::vector<std::vector<Tensor>>> DiagnoseProof::run(const Graph& g, const IoContract& io) const {
  ExecOptions options;
  options.threads = threads_;
  NPU_ASSIGN(Executor executor, Executor::create(g, options));
  const HostRunner runner = host_runner([&](std::span<const Tensor> in) { return executor.run(in); });
  std::vector<std::vector<Tensor>> out;
  for (const DiagnoseSample& s : samples_) {
    NPU_ASSIGN(std::vector<Tensor> got, run_original_interface(io, s.inputs, runner));
    out.push_back(std::move(got));
  }
  return out;
}

Result<std::vector<OutputCheck>> DiagnoseProof::check(const Graph& g, const IoContract& io) const {
  NPU_ASSIGN(const auto got, run(g, io));
  std::vector<OutputCheck> out;
  for (size_t s = 0; s < samples_.size(); ++s)
    for (size_t k = 0; k < reference_[s].size(); ++k) {
      OutputCheck c = compare_output(reference_[s][k], got[s], k);
      c.sample = samples_[s].name;
      c.output = k < outputs_.size() ? outputs_[k] : fmt::format("out.{}", k);
      if (k < samples_[s].baseline.size() && k < got[s].size())
        c.baseline_diff = compare(got[s][k], samples_[s].baseline[k], Gate{}).max_diff;
      out.push_back(std::move(c));
    }
  return out;
}

Result<Evidence> DiagnoseProof::prove(const Graph& g, const IoContract& io, Numerics numerics) {
  NPU_ASSIGN(auto got, run(g, io));
  Evidence e;
  e.max_diff = 0;
  for (size_t s = 0; s < samples_.size(); ++s)
    for (size_t k = 0; k < reference_[s].size(); ++k) {
      const OutputCheck whole = compare_output(reference_[s][k], got[s], k),
                        step = compare_output(present_[s][k], got[s], k);
      e.max_diff = std::max(*e.max_diff, whole.max_diff);
      const bool good = numerics == Numerics::approximate
                            ? whole.max_diff <= kApproximate * std::max(1.0, largest(reference_[s][k]))
                            : step.relative <= kExact || step.max_diff < kAbsolute;
      e.holds = e.holds && good;
    }
  e.detail = fmt::format("largest difference from the original {:.3g} over {} {}{}", *e.max_diff, samples_.size(),
                         made_up_               ? "made-up inputs"
                         : samples_.size() == 1 ? "sample"
                                                : "samples",
                         e.holds ? "" : ", which is too much");
  if (e.holds) present_ = std::move(got);
  return e;
}

Result<std::vector<Tensor>> DiagnoseProof::file_inputs(const IoContract& io) const {
  const HostRunner runner = host_runner({});
  return to_file_inputs(io, samples_.front().inputs, runner);
}

Result<std::map<std::string, Tensor>> DiagnoseProof::values(const Graph& g, const IoContract& io,
                                                            const std::set<std::string>& names,
                                                            bool reference_kernels) const {
  NPU_ASSIGN(const std::vector<Tensor> in, file_inputs(io));
  std::map<std::string, Tensor> out;
  for (size_t k = 0; k < in.size() && k < g.inputs().size(); ++k)
    if (const std::string& n = g.value(g.inputs()[k]).name; names.contains(n)) out[n] = in[k];
  ExecOptions options;
  options.threads = threads_;
  options.overrides = !reference_kernels;
  options.observer = [&](NodeId, const Node& n, std::span<const Tensor> results) {
    for (size_t k = 0; k < n.outputs.size() && k < results.size(); ++k)
      if (const std::string& name = g.value(n.outputs[k]).name; names.contains(name)) out[name] = results[k];
  };
  NPU_TRY(execute(g, in, options));
  return out;
}

Result<double> host_seconds(const Graph& g) {
  std::vector<Tensor> in;
  for (const ValueId v : g.inputs()) in.push_back(Tensor::zeros(g.type(v).dtype, g.shape(v)));
  ExecOptions options;
  options.threads = 1;
  NPU_ASSIGN(Executor executor, Executor::create(g, options));
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    NPU_TRY(executor.run(in));
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace npuport::app
