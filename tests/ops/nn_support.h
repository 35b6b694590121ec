// Helpers for the tests of the neural operator families.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "ir/builder.h"
#include "ir/registry.h"

namespace npuport::nn_test {

inline Tensor random_tensor(Shape shape, unsigned seed, DType dtype = DType::f32) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  Tensor t = Tensor::zeros(DType::f32, std::move(shape));
  for (float& v : t.mut<float>()) v = uniform(rng);
  return cast_tensor(t, dtype);
}

// Runs one operator through a graph, so that defaults and inference are exercised too.
inline Result<std::vector<Tensor>> try_run(std::string_view name, const std::vector<const Tensor*>& in,
                                           std::vector<Attr> attrs = {}) {
  Graph g;
  Builder b(g, /*fold=*/true, int64_t{1} << 40);
  std::vector<ValueId> ids;
  for (const Tensor* t : in) ids.push_back(t ? b.constant(*t) : ValueId{});
  const std::vector<ValueId> out = b.ops(name, ids, std::move(attrs));
  NPU_TRY(b.take_status());
  std::vector<Tensor> results;
  for (const ValueId v : out) results.push_back(*b.constant_of(v));
  return results;
}

inline Tensor run(std::string_view name, const std::vector<const Tensor*>& in, std::vector<Attr> attrs = {}) {
  Result<std::vector<Tensor>> r = try_run(name, in, std::move(attrs));
  EXPECT_TRUE(r.ok()) << name << ": " << (r.ok() ? "" : r.error().message);
  return r.ok() ? (*r)[0] : Tensor::zeros(DType::f32, {});
}

// The message of the failure, or "" when the operator ran.
inline std::string failure(std::string_view name, const std::vector<const Tensor*>& in, std::vector<Attr> attrs = {}) {
  const Result<std::vector<Tensor>> r = try_run(name, in, std::move(attrs));
  return r.ok() ? std::string() : r.error().message;
}

// Largest absolute difference; infinite when shapes differ.
inline double max_diff(const Tensor& a, const Tensor& b) {
  if (a.shape != b.shape) return INFINITY;
  double worst = 0;
  for (int64_t i = 0; i < a.count(); ++i) worst = std::max(worst, std::abs(get_double(a, i) - get_double(b, i)));
  return worst;
}

inline Tensor permuted(const Tensor& t, const Ints& perm) {
  Tensor out = Tensor::zeros(t.dtype, {});
  Shape shape;
  for (const int64_t p : perm) shape.push_back(t.shape[static_cast<size_t>(p)]);
  out = Tensor::zeros(t.dtype, shape);
  const std::vector<int64_t> from = strides_of(t.shape);
  const int64_t width = byte_size(t.dtype, 1);
  for (int64_t i = 0; i < out.count(); ++i) {
    int64_t rest = i, at = 0;
    for (size_t d = shape.size(); d-- > 0;) {
      at += rest % shape[d] * from[static_cast<size_t>(perm[d])];
      rest /= shape[d];
    }
    std::memcpy(out.mutable_data() + i * width, t.data + at * width, static_cast<size_t>(width));
  }
  return out;
}

}  // namespace npuport::nn_test
