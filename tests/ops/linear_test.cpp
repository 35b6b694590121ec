#include "ops/nn_support.h"

namespace npuport {
namespace {

using nn_test::failure;
using nn_test::max_diff;
using nn_test::permuted;
using nn_test::random_tensor;
using nn_test::run;

// Sizes around the blocks of the kernel (4, 8, 64, 256, 512), in exact integer arithmetic.
TEST(Matmul, EveryBlockEdge) {
  const int64_t sizes[][3] = {{1, 1, 1},    {3, 5, 7},    {4, 8, 256},    {5, 9, 257}, {65, 17, 3},
                              {64, 512, 2}, {66, 513, 5}, {1, 1030, 300}, {0, 3, 4},   {2, 3, 0}};
  for (const auto& [m, n, k] : sizes) {
    Tensor a = Tensor::zeros(DType::i64, {m, k}), b = Tensor::zeros(DType::i64, {k, n});
    for (int64_t i = 0; i < m * k; ++i) a.mut<int64_t>()[static_cast<size_t>(i)] = i * 7 % 11 - 5;
    for (int64_t i = 0; i < n * k; ++i) b.mut<int64_t>()[static_cast<size_t>(i)] = i * 5 % 13 - 6;
    Tensor want = Tensor::zeros(DType::i64, {m, n});
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j)
        for (int64_t p = 0; p < k; ++p)
          want.mut<int64_t>()[static_cast<size_t>(i * n + j)] += get_int(a, i * k + p) * get_int(b, p * n + j);
    const Tensor at = permuted(a, {1, 0}), bt = permuted(b, {1, 0});
    EXPECT_TRUE(identical(run("matmul", {&a, &b}), want)) << m << " " << n << " " << k;
    EXPECT_TRUE(identical(run("matmul", {&at, &b}, {{"transpose_a", true}}), want)) << m << " " << n << " " << k;
    EXPECT_TRUE(identical(run("matmul", {&a, &bt}, {{"transpose_b", true}}), want)) << m << " " << n << " " << k;
    for (const DType t : {DType::f32, DType::f64}) {
      const Tensor af = cast_tensor(a, t), bf = cast_tensor(b, t), btf = cast_tensor(bt, t);
      EXPECT_EQ(max_diff(run("matmul", {&af, &bf}), want), 0);
      EXPECT_EQ(max_diff(run("linear", {&af, &btf}), want), 0);
    }
  }
}

TEST(Matmul, BroadcastsBatches) {
  const Tensor a = random_tensor({2, 1, 3, 4}, 1), b = random_tensor({5, 4, 2}, 2);
  const Tensor y = run("matmul", {&a, &b});
  ASSERT_EQ(y.shape, (Shape{2, 5, 3, 2}));
  for (int64_t i = 0; i < y.count(); ++i) {
    const int64_t n = i % 2, m = i / 2 % 3, q = i / 6 % 5, p = i / 30;
    double sum = 0;
    for (int64_t k = 0; k < 4; ++k) sum += get_double(a, (p * 3 + m) * 4 + k) * get_double(b, (q * 4 + k) * 2 + n);
    EXPECT_NEAR(get_double(y, i), sum, 1e-6);
  }
}

TEST(Matmul, HalfTypesComputeInFloat) {
  const Tensor a = Tensor::of<float>({1, 3}, {1, 2048, 1}), b = Tensor::of<float>({3, 1}, {1, 1, 1});
  const Tensor ah = cast_tensor(a, DType::f16), bh = cast_tensor(b, DType::f16);
  EXPECT_EQ(get_double(run("matmul", {&ah, &bh}), 0), 2050);  // 2049 would be lost in a half accumulator
}

TEST(Linear, BiasAndActivation) {
  const Tensor x = Tensor::of<float>({2, 2}, {1, 2, 3, 4}), w = Tensor::of<float>({1, 2}, {1, -1}),
               bias = Tensor::of<float>({1}, {0.5F});
  EXPECT_EQ(max_diff(run("linear", {&x, &w, &bias}), Tensor::of<float>({2, 1}, {-0.5F, -0.5F})), 0);
  EXPECT_EQ(max_diff(run("linear", {&x, &w, &bias}, {{"activation", "relu"}}), Tensor::of<float>({2, 1}, {0, 0})), 0);
}

TEST(Matmul, RefusesWithShapes) {
  const Tensor a = random_tensor({2, 3}, 1), b = random_tensor({2, 3}, 2), v = random_tensor({3}, 3),
               i = cast_tensor(a, DType::i32), x = random_tensor({2, 3, 3}, 4), z = random_tensor({5, 3, 3}, 4);
  EXPECT_THAT(failure("matmul", {&a, &b}), testing::HasSubstr("f32[2,3] times f32[2,3]: inner sizes 3 and 2"));
  EXPECT_THAT(failure("matmul", {&a, &v}), testing::HasSubstr("rank 2 or more"));
  EXPECT_THAT(failure("matmul", {&i, &b}, {{"transpose_a", true}}), testing::HasSubstr("i32 times f32"));
  EXPECT_NE(failure("matmul", {&x, &z}), "");
  EXPECT_THAT(failure("linear", {&x, &v}), testing::HasSubstr("[out, in]"));
}

}  // namespace
}  // namespace npuport
