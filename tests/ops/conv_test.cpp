// Convolutions against loops written straight from the formula.
#include "ops/nn_support.h"

namespace npuport {
namespace {

using nn_test::failure;
using nn_test::max_diff;
using nn_test::permuted;
using nn_test::random_tensor;
using nn_test::run;

struct Case {
  Shape x, weight;
  Ints stride, begin, end, dilation;
  int64_t groups;
  bool bias;
};

std::vector<Attr> attrs_of(const Case& k) {
  return {
      {"stride", k.stride}, {"pad_begin", k.begin}, {"pad_end", k.end}, {"dilation", k.dilation}, {"groups", k.groups}};
}

// 2-D convolution of NCHW in double.
Tensor direct_conv2d(const Tensor& x, const Tensor& w, const Tensor* bias, const Case& k) {
  const auto size = [&](size_t i) {
    return (x.shape[i + 2] + k.begin[i] + k.end[i] - k.dilation[i] * (w.shape[i + 2] - 1) - 1) / k.stride[i] + 1;
  };
  const int64_t out_h = size(0), out_w = size(1), per_group = w.shape[0] / k.groups;
  Tensor y = Tensor::zeros(DType::f32, {x.shape[0], w.shape[0], out_h, out_w});
  int64_t at = 0;
  for (int64_t n = 0; n < x.shape[0]; ++n)
    for (int64_t o = 0; o < w.shape[0]; ++o)
      for (int64_t h = 0; h < out_h; ++h)
        for (int64_t v = 0; v < out_w; ++v, ++at) {
          double sum = bias ? get_double(*bias, o) : 0;
          for (int64_t c = 0; c < w.shape[1]; ++c)
            for (int64_t i = 0; i < w.shape[2]; ++i)
              for (int64_t j = 0; j < w.shape[3]; ++j) {
                const int64_t ih = h * k.stride[0] - k.begin[0] + i * k.dilation[0];
                const int64_t iw = v * k.stride[1] - k.begin[1] + j * k.dilation[1];
                if (ih < 0 || iw < 0 || ih >= x.shape[2] || iw >= x.shape[3]) continue;
                const int64_t ch = o / per_group * w.shape[1] + c;
                sum += get_double(x, ((n * x.shape[1] + ch) * x.shape[2] + ih) * x.shape[3] + iw) *
                       get_double(w, ((o * w.shape[1] + c) * w.shape[2] + i) * w.shape[3] + j);
              }
          y.mut<float>()[static_cast<size_t>(at)] = static_cast<float>(sum);
        }
  return y;
}

const Case kCases[] = {
    {{1, 3, 5, 7}, {4, 3, 3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 1, true},
    {{2, 4, 9, 6}, {6, 2, 3, 1}, {2, 1}, {0, 2}, {1, 0}, {1, 1}, 2, false},
    {{1, 5, 8, 8}, {5, 1, 3, 3}, {1, 2}, {2, 2}, {2, 2}, {2, 2}, 5, true},
    {{2, 7, 4, 5}, {9, 7, 1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, 1, true},
    {{1, 2, 1, 1}, {3, 2, 3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 1, true},
    {{1, 300, 3, 3}, {2, 300, 3, 3}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, 1, false},
    {{1, 1, 70, 80}, {1, 1, 5, 5}, {3, 3}, {2, 2}, {2, 2}, {1, 1}, 1, false},
};

TEST(Conv, EqualsTheFormula) {
  for (const Case& k : kCases) {
    const Tensor x = random_tensor(k.x, 1), w = random_tensor(k.weight, 2), bias = random_tensor({k.weight[0]}, 3);
    const Tensor want = direct_conv2d(x, w, k.bias ? &bias : nullptr, k);
    const Tensor got = run("conv2d", {&x, &w, k.bias ? &bias : nullptr}, attrs_of(k));
    EXPECT_LT(max_diff(got, want), 2e-5) << to_string(k.x) << " * " << to_string(k.weight);
    std::vector<Attr> nhwc = attrs_of(k);
    nhwc.emplace_back("layout", "nhwc");
    const Tensor turned = permuted(x, {0, 2, 3, 1});
    const Tensor last = run("conv2d", {&turned, &w, k.bias ? &bias : nullptr}, nhwc);
    EXPECT_EQ(max_diff(permuted(last, {0, 3, 1, 2}), got), 0) << "nhwc " << to_string(k.x);
  }
}

TEST(Conv, OneAndThreeDimensionsAgreeWithTwo) {
  const Tensor x = random_tensor({2, 3, 11}, 4), w = random_tensor({4, 3, 3}, 5);
  const std::vector<Attr> attrs = {{"stride", Ints{2}}, {"pad_begin", Ints{1}}, {"pad_end", Ints{2}}};
  Tensor x2 = x, w2 = w, y = run("conv1d", {&x, &w}, attrs);
  x2.shape = {2, 3, 1, 11}, w2.shape = {4, 3, 1, 3};
  const std::vector<Attr> attrs2 = {{"stride", Ints{1, 2}}, {"pad_begin", Ints{0, 1}}, {"pad_end", Ints{0, 2}}};
  Tensor y2 = run("conv2d", {&x2, &w2}, attrs2);
  y.shape = y2.shape;
  EXPECT_EQ(max_diff(y, y2), 0);

  const Tensor x3 = random_tensor({1, 2, 4, 5, 6}, 6), w3 = random_tensor({3, 2, 2, 1, 1}, 7);
  Tensor flat_x = x3, flat_w = w3;
  flat_x.shape = {1, 2, 4, 30}, flat_w.shape = {3, 2, 2, 1};
  Tensor y3 = run("conv3d", {&x3, &w3});
  EXPECT_EQ(y3.shape, (Shape{1, 3, 3, 5, 6}));
  y3.shape = {1, 3, 3, 30};
  EXPECT_EQ(max_diff(y3, run("conv2d", {&flat_x, &flat_w})), 0);
}

TEST(Conv, FusedActivation) {
  const Tensor x = Tensor::of<float>({1, 1, 1, 3}, {-9, 0.5F, 9}), w = Tensor::of<float>({1, 1, 1, 1}, {1});
  EXPECT_EQ(max_diff(run("conv2d", {&x, &w}, {{"activation", "relu6"}}), Tensor::of<float>({1, 1, 1, 3}, {0, 0.5F, 6})),
            0);
  EXPECT_EQ(max_diff(run("conv2d", {&x, &w}, {{"activation", "relu_n1_to_1"}}),
                     Tensor::of<float>({1, 1, 1, 3}, {-1, 0.5F, 1})),
            0);
}

// <conv(x), y> = <x, conv_transpose(y)> for every x and y: the definition of the transpose.
TEST(ConvTranspose, IsTheTransposeOfConv) {
  for (const Case& k : kCases) {
    const Tensor x = random_tensor(k.x, 1, DType::f64), w = random_tensor(k.weight, 2, DType::f64);
    const Tensor cx = run("conv2d", {&x, &w}, attrs_of(k));
    const Tensor y = random_tensor(cx.shape, 3, DType::f64);
    std::vector<Attr> attrs = attrs_of(k);
    Ints extra;
    for (size_t i = 0; i < 2; ++i) {
      const int64_t reach = k.dilation[i] * (k.weight[i + 2] - 1) + 1;
      extra.push_back((k.x[i + 2] + k.begin[i] + k.end[i] - reach) % k.stride[i]);
    }
    attrs.emplace_back("output_padding", extra);
    const Tensor ty = run("conv_transpose2d", {&y, &w}, attrs);
    ASSERT_EQ(ty.shape, x.shape);
    double left = 0, right = 0;
    for (int64_t i = 0; i < cx.count(); ++i) left += get_double(cx, i) * get_double(y, i);
    for (int64_t i = 0; i < x.count(); ++i) right += get_double(x, i) * get_double(ty, i);
    EXPECT_NEAR(left, right, 1e-9 * (1 + std::abs(left))) << to_string(k.x);
    attrs.emplace_back("layout", "nhwc");
    const Tensor turned = permuted(y, {0, 2, 3, 1});
    EXPECT_EQ(max_diff(permuted(run("conv_transpose2d", {&turned, &w}, attrs), {0, 3, 1, 2}), ty), 0);
  }
}

TEST(ConvTranspose, BiasAndActivation) {
  const Tensor x = Tensor::of<float>({1, 1, 2}, {1, 2}), w = Tensor::of<float>({1, 1, 2}, {1, -10}),
               bias = Tensor::of<float>({1}, {0.5F});
  EXPECT_EQ(max_diff(run("conv_transpose1d", {&x, &w, &bias}), Tensor::of<float>({1, 1, 3}, {1.5F, -7.5F, -19.5F})), 0);
  EXPECT_EQ(max_diff(run("conv_transpose1d", {&x, &w, &bias}, {{"activation", "relu"}}),
                     Tensor::of<float>({1, 1, 3}, {1.5F, 0, 0})),
            0);
}

TEST(Conv, RefusesWithNumbers) {
  const Tensor x = random_tensor({1, 3, 4, 4}, 1), w = random_tensor({4, 2, 3, 3}, 2),
               big = random_tensor({4, 3, 7, 7}, 3), bias = random_tensor({5}, 4), ok = random_tensor({4, 3, 3, 3}, 5);
  EXPECT_THAT(failure("conv2d", {&x, &w}), testing::HasSubstr("needs 2 input channels, but x is f32[1,3,4,4]"));
  EXPECT_THAT(failure("conv2d", {&x, &big}), testing::HasSubstr("kernel of size 7"));
  EXPECT_THAT(failure("conv2d", {&x, &ok, &bias}), testing::HasSubstr("bias is f32[5]"));
  EXPECT_THAT(failure("conv2d", {&x, &ok}, {{"stride", Ints{0, 1}}}), testing::HasSubstr("stride is 0"));
  EXPECT_THAT(failure("conv2d", {&x, &ok}, {{"stride", Ints{1}}}), testing::HasSubstr("stride has 1 values"));
  EXPECT_THAT(failure("conv2d", {&x, &ok}, {{"groups", 0}}), testing::HasSubstr("groups is 0"));
  EXPECT_THAT(failure("conv2d", {&x, &ok}, {{"layout", "hwc"}}), testing::HasSubstr("layout \"hwc\""));
  EXPECT_THAT(failure("conv2d", {&x, &ok}, {{"activation", "tanh"}}), testing::HasSubstr("activation \"tanh\""));
  EXPECT_THAT(failure("conv1d", {&x, &ok}), testing::HasSubstr("needs rank 3"));
  EXPECT_THAT(failure("conv_transpose2d", {&x, &ok}), testing::HasSubstr("needs 4 input channels"));
  const Tensor wt = random_tensor({3, 2, 1, 1}, 6);
  EXPECT_THAT(failure("conv_transpose2d", {&x, &wt}, {{"pad_begin", Ints{3, 3}}, {"pad_end", Ints{3, 3}}}),
              testing::HasSubstr("leaves no output"));
}

}  // namespace
}  // namespace npuport
