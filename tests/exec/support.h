// Graphs with random weights, and the comparison of the executor's two ways of running one.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/diag.h"
#include "exec/executor.h"
#include "ir/builder.h"
#include "ir/registry.h"
#include "ir/text.h"

namespace npuport::testing {

inline Tensor random_tensor(Shape shape, unsigned seed, float low = -1, float high = 1) {
  Tensor t = Tensor::zeros(DType::f32, std::move(shape));
  std::mt19937 gen(seed);
  std::uniform_real_distribution<float> dist(low, high);
  for (float& v : t.mut<float>()) v = dist(gen);
  return t;
}

inline TensorType f32(Shape s) { return {DType::f32, std::move(s), nullptr}; }

// A graph under construction whose inputs get random data.
struct Net {
  Graph g;
  Builder b{g};
  std::vector<Tensor> inputs;
  unsigned seed = 1;

  ValueId input(Shape s) {
    inputs.push_back(random_tensor(s, ++seed));
    return g.add_input("x" + std::to_string(inputs.size()), f32(std::move(s)));
  }
  ValueId weight(Shape s, float low = -1, float high = 1) {
    return b.constant(random_tensor(std::move(s), ++seed, low, high));
  }
  // Weights of a sum over `fan` products, so that results stay near 1.
  ValueId scaled(Shape s, int64_t fan) {
    const float bound = 1.7F / std::sqrt(static_cast<float>(fan));
    return weight(std::move(s), -bound, bound);
  }
  void finish(std::vector<ValueId> outputs) {
    const Status s = b.take_status();
    ASSERT_TRUE(s.ok()) << (s.ok() ? "" : to_text(const_cast<Status&>(s).error()));
    g.set_outputs(std::move(outputs));
  }
};

struct Ran {
  std::vector<Tensor> outputs;
  std::vector<NodeTime> profile;
  bool used(std::string_view kernel) const {
    return std::any_of(profile.begin(), profile.end(),
                       [&](const NodeTime& t) { return t.kernel.find(kernel) != std::string::npos; });
  }
  size_t steps() const { return profile.size(); }
  std::string kernels() const {
    std::string s;
    for (const NodeTime& t : profile) s += t.op + ":" + t.kernel + " ";
    return s;
  }
};

inline Ran run(const Graph& g, std::span<const Tensor> inputs, ExecOptions options) {
  options.profile = true;
  Result<Executor> e = Executor::create(g, options);
  EXPECT_TRUE(e.ok()) << (e.ok() ? "" : to_text(e.error()));
  if (!e) return {};
  Result<std::vector<Tensor>> out = e->run(inputs);
  EXPECT_TRUE(out.ok()) << (out.ok() ? "" : to_text(out.error()));
  if (!out) return {};
  return {*out, e->profile()};
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  if (a.shape != b.shape || a.dtype != b.dtype) return INFINITY;
  double worst = 0;
  for (int64_t i = 0; i < a.count(); ++i) {
    const double x = get_double(a, i), y = get_double(b, i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x == y) continue;
    const double d = std::abs(x - y) / std::max(1.0, std::abs(y));
    worst = std::max(worst, std::isnan(d) ? INFINITY : d);
  }
  return worst;
}

// Overrides against reference kernels; 1 and 2 threads must give the same bytes. Returns the run with overrides.
inline Ran expect_like_reference(const Net& net, double tolerance = 2e-5) {
  const Ran want = run(net.g, net.inputs, {.threads = 1, .overrides = false});
  const Ran one = run(net.g, net.inputs, {.threads = 1});
  const Ran two = run(net.g, net.inputs, {.threads = 2});
  EXPECT_EQ(want.outputs.size(), one.outputs.size());
  for (size_t i = 0; i < one.outputs.size() && i < want.outputs.size(); ++i) {
    EXPECT_LE(largest_difference(one.outputs[i], want.outputs[i]), tolerance) << "output " << i << "\n"
                                                                              << print(net.g) << one.kernels();
    EXPECT_TRUE(identical(one.outputs[i], two.outputs[i])) << "threads change output " << i << "\n"
                                                           << print(net.g) << one.kernels();
  }
  return one;
}

}  // namespace npuport::testing
