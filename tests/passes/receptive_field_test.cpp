#include "passes/receptive_field.h"

#include <gtest/gtest.h>

#include <random>

#include "exec/executor.h"
#include "ir/text.h"

namespace npuport {
namespace {

Graph parse(const std::string& text) {
  auto g = parse_graph(text);
  EXPECT_TRUE(g.ok()) << (g.ok() ? "" : to_text(g.error()));
  return std::move(*g);
}

std::string weights(const std::string& name, const std::string& shape, size_t count) {
  std::string out = "  const %" + name + ": f32[" + shape + "] = [";
  std::mt19937 random(static_cast<unsigned>(count));
  for (size_t i = 0; i < count; ++i)
    out += (i ? ", " : "") + std::to_string(0.01 * static_cast<double>(1 + random() % 90));
  return out + "]\n";
}

// How far a change at one input pixel shows, measured: the truth the analysis must not stay below.
int64_t measured(const Graph& g, int64_t factor) {
  const Shape& s = g.shape(g.inputs()[0]);
  const int64_t h = s[2], w = s[3], cy = h / 2, cx = w / 2;
  Tensor x = Tensor::zeros(DType::f32, s), lit = Tensor::zeros(DType::f32, s);
  lit.mut<float>()[static_cast<size_t>(cy * w + cx)] = 1;
  const auto base = execute(g, std::span(&x, 1)), moved = execute(g, std::span(&lit, 1));
  EXPECT_TRUE(base.ok() && moved.ok());
  const auto a = (*base)[0].as<float>(), b = (*moved)[0].as<float>();
  int64_t radius = 0;
  const int64_t oh = h * factor, ow = w * factor;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) {
      const int64_t at = static_cast<int64_t>(i), row = at / ow % oh / factor, column = at % ow / factor;
      radius = std::max({radius, std::abs(row - cy), std::abs(column - cx)});
    }
  return radius;
}

void expect_field(const std::string& text, int64_t factor, int64_t radius, int64_t step) {
  const Graph g = parse(text);
  const auto f = receptive_field(g);
  ASSERT_TRUE(f.has_value()) << text;
  EXPECT_EQ(f->radius, radius);
  EXPECT_EQ(f->step, step);
  EXPECT_GE(f->radius, measured(g, factor));
}

TEST(ReceptiveField, ConvolutionsAddUp) {
  expect_field("graph \"g\" {\n  input %x: f32[1,1,24,24]\n" + weights("a", "1,1,3,3", 9) +
                   weights("b", "1,1,5,5", 25) +
                   "  %y: f32[1,1,24,24] = conv2d(%x, %a) pad_begin=[1,1] pad_end=[1,1]\n"
                   "  %r: f32[1,1,24,24] = relu(%y)\n"
                   "  %z: f32[1,1,24,24] = conv2d(%r, %b) pad_begin=[4,4] pad_end=[4,4] dilation=[2,2]\n"
                   "  %s: f32[1,1,24,24] = add(%z, %y)\n  output %s\n}\n",
               1, 5, 1);
}

TEST(ReceptiveField, PixelShuffleAndTheConvolutionBehindIt) {
  expect_field("graph \"g\" {\n  input %x: f32[1,1,20,20]\n" + weights("a", "4,1,3,3", 36) +
                   weights("b", "1,1,3,3", 9) +
                   "  %y: f32[1,4,20,20] = conv2d(%x, %a) pad_begin=[1,1] pad_end=[1,1]\n"
                   "  %p: f32[1,1,40,40] = depth_to_space(%y) block=2\n"
                   "  %z: f32[1,1,40,40] = conv2d(%p, %b) pad_begin=[1,1] pad_end=[1,1]\n  output %z\n}\n",
               2, 2, 1);
}

TEST(ReceptiveField, StridesAndTransposedConvolutionsSetTheStep) {
  expect_field("graph \"g\" {\n  input %x: f32[1,1,32,32]\n" + weights("a", "1,1,4,4", 16) +
                   weights("b", "1,1,4,4", 16) +
                   "  %y: f32[1,1,16,16] = conv2d(%x, %a) stride=[2,2] pad_begin=[1,1] pad_end=[1,1]\n"
                   "  %z: f32[1,1,32,32] = conv_transpose2d(%y, %b) stride=[2,2] pad_begin=[1,1] pad_end=[1,1]\n"
                   "  output %z\n}\n",
               1, 3, 2);
}

TEST(ReceptiveField, WhatLooksAtTheWholePictureHasNone) {
  const auto none = [](const std::string& body) {
    return !receptive_field(parse("graph \"g\" {\n  input %x: f32[1,1,8,8]\n" + body + "}\n")).has_value();
  };
  EXPECT_TRUE(
      none("  %m: f32[1,1,1,1] = reduce_mean(%x) axes=[2,3] keepdims=true\n"
           "  %y: f32[1,1,8,8] = mul(%x, %m)\n  output %y\n"));
  EXPECT_TRUE(
      none("  %y: f32[1,1,64] = reshape(%x) shape=[1,1,64]\n"
           "  %z: f32[1,1,8,8] = reshape(%y) shape=[1,1,8,8]\n  output %z\n"));
  // A constant that differs from pixel to pixel makes a tile's place matter.
  EXPECT_TRUE(none(weights("c", "1,1,8,8", 64) + "  %y: f32[1,1,8,8] = add(%x, %c)\n  output %y\n"));
  EXPECT_FALSE(none(weights("c", "1,1,1,1", 1) + "  %y: f32[1,1,8,8] = add(%x, %c)\n  output %y\n"));
  // Not an enlargement by a whole number.
  EXPECT_TRUE(none(weights("a", "1,1,3,3", 9) + "  %y: f32[1,1,6,6] = conv2d(%x, %a)\n  output %y\n"));
}

}  // namespace
}  // namespace npuport
