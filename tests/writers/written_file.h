// What the tests of written files share.
#pragma once

#include <gtest/gtest.h>

#include "exec/executor.h"
#include "ir/builder.h"

namespace npuport::testing {

// Ascending from -count/2, times scale.
inline Tensor ramp(Shape shape, float scale) {
  Tensor t = Tensor::zeros(DType::f32, std::move(shape));
  float v = -static_cast<float>(t.count()) / 2;
  for (float& x : t.mut<float>()) x = scale * v++;
  return t;
}

inline std::string contents(const std::string& path) {
  auto text = read_file(path);
  EXPECT_TRUE(text.ok());
  return text.ok() ? *std::move(text) : "";
}

// By the reference kernels.
inline std::vector<Tensor> run(const Graph& g, const std::vector<Tensor>& in) {
  auto out = execute(g, in, {.threads = 1, .overrides = false});
  EXPECT_TRUE(out.ok()) << to_text(out.error());
  return out.ok() ? *std::move(out) : std::vector<Tensor>{};
}

inline void expect_near(const Tensor& a, const Tensor& b, double tolerance) {
  ASSERT_EQ(a.shape, b.shape);
  for (int64_t i = 0; i < a.count(); ++i) ASSERT_NEAR(get_double(a, i), get_double(b, i), tolerance) << i;
}

// Outputs that are an input, a constant or the same value twice; one input is not used.
struct OddOutputsGraph {
  Graph graph;
  std::vector<Tensor> inputs{Tensor::of<float>({2, 2}, {-1, 2, -3, 4}), Tensor::of<int64_t>({3}, {1, 2, 3})};

  OddOutputsGraph() {
    Builder b(graph);
    const ValueId x = graph.add_input("x", {DType::f32, {2, 2}, nullptr});
    graph.add_input("unused", {DType::i64, {3}, nullptr});
    const ValueId c = graph.add_constant("c", Tensor::of<float>({2}, {7, 8}));
    const ValueId y = b.op("relu", {x});
    graph.set_outputs({y, x, c, y});
  }
};

// The first case of an oracle's answer is `wanted` within the tolerance.
template <class Results>
void expect_outputs(const Results& results, const std::vector<Tensor>& wanted, double tolerance) {
  ASSERT_TRUE(results.ok()) << to_text(results.error());
  ASSERT_EQ((*results)[0].error, "");
  ASSERT_EQ((*results)[0].outputs.size(), wanted.size());
  for (size_t k = 0; k < wanted.size(); ++k) expect_near((*results)[0].outputs[k], wanted[k], tolerance);
}

// All cases of an oracle's answer give `wanted` as their first output; the second is a float16 file.
template <class Results>
void expect_forms(const Results& results, const Tensor& wanted, double tolerance) {
  ASSERT_TRUE(results.ok()) << to_text(results.error());
  for (size_t i = 0; i < results->size(); ++i) {
    ASSERT_EQ((*results)[i].error, "");
    expect_near((*results)[i].outputs[0], wanted, i == 1 ? 2e-3 : tolerance);
  }
}

}  // namespace npuport::testing
