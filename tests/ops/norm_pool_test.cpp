// Norms, pools, resizing, sampling: cases small enough to check by eye, and what is refused.
#include <cmath>
#include <limits>

#include "ops/nn_support.h"
#include "ops/support/einsum.h"

namespace npuport {
namespace {

using nn_test::failure;
using nn_test::max_diff;
using nn_test::permuted;
using nn_test::random_tensor;
using nn_test::run;
using nn_test::try_run;

TEST(Norm, LayerAndRms) {
  const Tensor x = Tensor::of<float>({1, 2}, {3, 5}), w = Tensor::of<float>({2}, {2, 10}),
               b = Tensor::of<float>({2}, {1, 0});
  EXPECT_LT(max_diff(run("layer_norm", {&x, &w, &b}, {{"eps", 0.0}}), Tensor::of<float>({1, 2}, {-1, 10})), 1e-6);
  EXPECT_LT(max_diff(run("layer_norm", {&x}, {{"eps", 3.0}}), Tensor::of<float>({1, 2}, {-0.5F, 0.5F})), 1e-6);
  const float rms = std::sqrt(17.0F);
  EXPECT_LT(max_diff(run("rms_norm", {&x, &w}, {{"eps", 0.0}}), Tensor::of<float>({1, 2}, {6 / rms, 50 / rms})), 1e-6);
}

// A large mean must not drown the variance.
TEST(Norm, LargeMean) {
  Tensor x = Tensor::zeros(DType::f32, {1, 64});
  for (size_t i = 0; i < 64; ++i) x.mut<float>()[i] = 10000.0F + (i % 2 ? 0.5F : -0.5F);
  const Tensor y = run("layer_norm", {&x}, {{"eps", 0.0}});
  EXPECT_NEAR(get_double(y, 0), -1, 1e-6);
  EXPECT_NEAR(get_double(y, 1), 1, 1e-6);
}

TEST(Norm, ChannelAxisMayMove) {
  const Tensor x = random_tensor({2, 6, 3, 4}, 1), w = random_tensor({6}, 2), b = random_tensor({6}, 3),
               m = random_tensor({6}, 4), v = Tensor::of<float>({6}, {1, 2, 3, 4, 5, 6}),
               turned = permuted(x, {0, 2, 3, 1});
  const auto same = [&](std::string_view op, const std::vector<const Tensor*>& rest, std::vector<Attr> attrs) {
    std::vector<const Tensor*> in = {&x};
    in.insert(in.end(), rest.begin(), rest.end());
    const Tensor want = run(op, in, attrs);
    attrs.emplace_back("axis", 3);
    in[0] = &turned;
    EXPECT_LT(max_diff(permuted(run(op, in, attrs), {0, 3, 1, 2}), want), 1e-6) << op;
  };
  same("batch_norm", {&w, &b, &m, &v}, {});
  same("group_norm", {&w, &b}, {{"groups", 2}});
  same("instance_norm", {&w, &b}, {});
}

TEST(Norm, AxisRuleMovesTheChannelAxis) {
  std::vector<Attr> attrs = {{"eps", 1e-5}, {"axis", 1}};
  const InferCall unused{op("batch_norm"), {}, {}, AttrView(attrs)};
  const Ints to_nhwc = {0, 2, 3, 1};
  ASSERT_TRUE(op("batch_norm").axes.remap_fn(attrs, to_nhwc, unused));
  EXPECT_EQ(attrs[1], Attr("axis", 3));
  std::vector<Attr> last = {{"normalized_rank", 1}, {"eps", 1e-5}};
  const InferCall call{op("layer_norm"), {}, {}, AttrView(last)};
  EXPECT_FALSE(op("layer_norm").axes.remap_fn(last, to_nhwc, call));
  EXPECT_TRUE(op("layer_norm").axes.remap_fn(last, Ints{1, 0, 2, 3}, call));
}

TEST(Norm, Refuses) {
  const Tensor x = random_tensor({2, 6, 4}, 1), w = random_tensor({5}, 2), i = cast_tensor(x, DType::i32);
  EXPECT_THAT(failure("layer_norm", {&x, &w}), testing::HasSubstr("weight is f32[5]"));
  EXPECT_THAT(failure("layer_norm", {&x}, {{"normalized_rank", 4}}), testing::HasSubstr("normalized_rank 4"));
  EXPECT_THAT(failure("group_norm", {&x}, {{"groups", 4}}), testing::HasSubstr("6 channels"));
  EXPECT_THAT(failure("instance_norm", {&i}), testing::HasSubstr("i32[2,6,4]"));
}

TEST(Pool, CeilModeNeverStartsInThePadding) {
  const Tensor x = Tensor::of<float>({1, 1, 5}, {1, 2, 3, 4, 5});
  const std::vector<Attr> base = {{"kernel", Ints{2}}, {"stride", Ints{2}}};
  EXPECT_EQ(run("max_pool1d", {&x}, base).shape, (Shape{1, 1, 2}));
  std::vector<Attr> up = base;
  up.emplace_back("ceil_mode", true);
  EXPECT_EQ(max_diff(run("max_pool1d", {&x}, up), Tensor::of<float>({1, 1, 3}, {2, 4, 5})), 0);
  // Size 3 with padding 1 and stride 4: a second window would start in the padding behind the input.
  const Tensor y = Tensor::of<float>({1, 1, 3}, {1, 2, 3});
  EXPECT_EQ(
      run("max_pool1d", {&y},
          {{"kernel", Ints{3}}, {"stride", Ints{4}}, {"pad_begin", Ints{1}}, {"pad_end", Ints{1}}, {"ceil_mode", true}})
          .shape,
      (Shape{1, 1, 1}));
}

TEST(Pool, AverageDivisors) {
  const Tensor x = Tensor::of<float>({1, 1, 3}, {3, 6, 9});
  const std::vector<Attr> base = {{"kernel", Ints{2}}, {"stride", Ints{2}}, {"pad_begin", Ints{1}}};
  const auto with = [&](Attr a) {
    std::vector<Attr> all = base;
    all.push_back(std::move(a));
    return run("avg_pool1d", {&x}, all);
  };
  EXPECT_EQ(max_diff(run("avg_pool1d", {&x}, base), Tensor::of<float>({1, 1, 2}, {1.5F, 7.5F})), 0);
  EXPECT_EQ(max_diff(with({"count_include_pad", false}), Tensor::of<float>({1, 1, 2}, {3, 7.5F})), 0);
  EXPECT_EQ(max_diff(with({"divisor_override", 3}), Tensor::of<float>({1, 1, 2}, {1, 5})), 0);
}

TEST(Pool, NanWinsAndLayoutsAgree) {
  Tensor x = random_tensor({2, 3, 7, 6}, 1);
  x.mut<float>()[10] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Attr> attrs = {{"kernel", Ints{3, 2}}, {"stride", Ints{2, 2}}};
  EXPECT_TRUE(std::isnan(get_double(run("max_pool2d", {&x}, attrs), 2)));
  x.mut<float>()[10] = 0;
  const Tensor turned = permuted(x, {0, 2, 3, 1});
  std::vector<Attr> nhwc = attrs;
  nhwc.emplace_back("layout", "nhwc");
  for (const std::string_view op : {"max_pool2d", "avg_pool2d"}) {
    EXPECT_EQ(max_diff(permuted(run(op, {&turned}, nhwc), {0, 3, 1, 2}), run(op, {&x}, attrs)), 0) << op;
  }
  const std::vector<Attr> sizes = {{"output_size", Ints{3, 4}}},
                          sizes_nhwc = {{"output_size", Ints{3, 4}}, {"layout", "nhwc"}};
  EXPECT_EQ(max_diff(permuted(run("adaptive_avg_pool2d", {&turned}, sizes_nhwc), {0, 3, 1, 2}),
                     run("adaptive_avg_pool2d", {&x}, sizes)),
            0);
  EXPECT_THAT(failure("max_pool2d", {&x}, {{"kernel", Ints{9, 2}}, {"stride", Ints{1, 1}}}),
              testing::HasSubstr("kernel of size 9"));
}

TEST(Resize, HandCases) {
  const Tensor x = Tensor::of<float>({1, 1, 2}, {0, 4});
  const auto to4 = [&](const char* mode, bool align) {
    return run("resize1d", {&x}, {{"size", Ints{4}}, {"mode", mode}, {"align_corners", align}});
  };
  EXPECT_EQ(max_diff(to4("nearest", false), Tensor::of<float>({1, 1, 4}, {0, 0, 4, 4})), 0);
  EXPECT_EQ(max_diff(to4("linear", false), Tensor::of<float>({1, 1, 4}, {0, 1, 3, 4})), 0);
  EXPECT_LT(max_diff(to4("linear", true), Tensor::of<float>({1, 1, 4}, {0, 4.0F / 3, 8.0F / 3, 4})), 1e-6);
  const Tensor wide = Tensor::of<float>({1, 1, 4}, {0, 1, 2, 3});
  EXPECT_EQ(max_diff(run("resize1d", {&wide}, {{"size", Ints{2}}, {"mode", "nearest"}}),
                     Tensor::of<float>({1, 1, 2}, {0, 2})),
            0);
  EXPECT_EQ(max_diff(run("resize1d", {&wide}, {{"size", Ints{2}}, {"mode", "nearest_exact"}}),
                     Tensor::of<float>({1, 1, 2}, {1, 3})),
            0);
  const Tensor image = random_tensor({2, 3, 5, 4}, 1), turned = permuted(image, {0, 2, 3, 1});
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    const std::vector<Attr> a = {{"size", Ints{7, 3}}, {"mode", mode}};
    std::vector<Attr> n = a;
    n.emplace_back("layout", "nhwc");
    EXPECT_EQ(max_diff(permuted(run("resize2d", {&turned}, n), {0, 3, 1, 2}), run("resize2d", {&image}, a)), 0) << mode;
  }
  EXPECT_THAT(failure("resize1d", {&x}, {{"size", Ints{4}}, {"mode", "area"}}), testing::HasSubstr("mode \"area\""));
  EXPECT_THAT(failure("resize1d", {&x}, {{"size", Ints{0}}}), testing::HasSubstr("cannot resize"));
}

// Shrinking 300 → 3 with antialias: every output is the mean over about a third, so a ramp stays a ramp.
TEST(Resize, AntialiasAverages) {
  Tensor x = Tensor::zeros(DType::f32, {1, 1, 1, 300});
  for (size_t i = 0; i < 300; ++i) x.mut<float>()[i] = static_cast<float>(i);
  const Tensor y = run("resize2d", {&x}, {{"size", Ints{1, 3}}, {"mode", "linear"}, {"antialias", true}});
  EXPECT_NEAR(get_double(y, 1), 149.5, 0.01);
  EXPECT_GT(get_double(y, 0), 45);
}

TEST(GridSample, CentresAndBorders) {
  const Tensor x = Tensor::of<float>({1, 1, 2, 2}, {1, 2, 3, 4});
  const Tensor grid = Tensor::of<float>({1, 1, 4, 2}, {-1, -1, 1, -1, 0, 0, 2, 2});
  const auto at = [&](const char* padding, bool align) {
    return run("grid_sample", {&x, &grid}, {{"padding_mode", padding}, {"align_corners", align}});
  };
  EXPECT_EQ(max_diff(at("zeros", true), Tensor::of<float>({1, 1, 1, 4}, {1, 2, 2.5F, 1})), 0);
  EXPECT_EQ(max_diff(at("zeros", false), Tensor::of<float>({1, 1, 1, 4}, {0.25F, 0.5F, 2.5F, 0})), 0);
  EXPECT_EQ(max_diff(at("border", true), Tensor::of<float>({1, 1, 1, 4}, {1, 2, 2.5F, 4})), 0);
  const Tensor wrong = random_tensor({1, 1, 4, 3}, 1);
  EXPECT_THAT(failure("grid_sample", {&x, &wrong}), testing::HasSubstr("needs a grid"));
}

TEST(FakeQuantize, RoundsHalvesToEvenAndClamps) {
  const Tensor x = Tensor::of<float>({5}, {0.5F, 1.5F, -100, 100, 2.4F}), scale = Tensor::of<float>({1}, {1}),
               zero = Tensor::of<int32_t>({1}, {2});
  EXPECT_EQ(max_diff(run("fake_quantize", {&x, &scale, &zero}, {{"quant_min", 0}, {"quant_max", 15}}),
                     Tensor::of<float>({5}, {0, 2, -2, 13, 2})),
            0);
  EXPECT_THAT(failure("fake_quantize", {&x, &scale, &zero}, {{"quant_min", 0}, {"quant_max", 15}, {"axis", 0}}),
              testing::HasSubstr("5 values are needed"));
}

TEST(Einsum, RefusesWhatDoesNotFit) {
  const auto message = [](std::string_view equation, std::vector<Shape> shapes) {
    Graph g;
    Builder b(g, true);
    std::vector<ValueId> in;
    for (Shape& s : shapes) in.push_back(b.constant(random_tensor(std::move(s), 1)));
    einsum(b, equation, in);
    const Status s = b.take_status();
    return s.ok() ? std::string() : s.error().message;
  };
  EXPECT_EQ(message("ij,jk->ik", {{2, 3}, {3, 4}}), "");
  EXPECT_THAT(message("ij,jk->ik", {{2, 3}, {4, 4}}), testing::HasSubstr("sizes 3 and 4"));
  EXPECT_THAT(message("ij->ik", {{2, 3}}), testing::HasSubstr("output index"));
  EXPECT_THAT(message("ij->ii", {{2, 3}}), testing::HasSubstr("output index"));
  EXPECT_THAT(message("ij", {{2, 3}, {2, 3}}), testing::HasSubstr("2 operands"));
  EXPECT_THAT(message("i1->i", {{2, 3}}), testing::HasSubstr("letters"));
  EXPECT_THAT(message("ijk->k", {{2, 3}}), testing::HasSubstr("3 indices"));
  EXPECT_THAT(message("ijk...->k", {{2, 3}}), testing::HasSubstr("too few dims"));
}

}  // namespace
}  // namespace npuport
