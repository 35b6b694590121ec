// Every oneDNN override against its row's reference kernel.
#include <gmock/gmock.h>

#include "support.h"

namespace npuport {
namespace {

using namespace npuport::testing;

struct ConvCase {
  int64_t n, c, h, w, o, kernel, stride, pad, dilation, groups;
};

ValueId conv(Net& net, ValueId x, const ConvCase& k, bool nhwc = false, bool bias = true) {
  const int64_t fan = k.c / k.groups * k.kernel * k.kernel;
  const ValueId w = net.scaled({k.o, k.c / k.groups, k.kernel, k.kernel}, fan);
  std::vector<ValueId> in = {x, w};
  if (bias) in.push_back(net.weight({k.o}));
  return net.b.op("conv2d", in,
                  {{"stride", Ints{k.stride, k.stride}},
                   {"pad_begin", Ints{k.pad, k.pad}},
                   {"pad_end", Ints{k.pad, k.pad}},
                   {"dilation", Ints{k.dilation, k.dilation}},
                   {"groups", k.groups},
                   {"layout", nhwc ? "nhwc" : "nchw"}});
}

constexpr ConvCase kConvs[] = {
    {1, 3, 17, 19, 16, 7, 2, 3, 1, 1},  {1, 16, 14, 14, 32, 3, 1, 1, 1, 1},  {2, 32, 9, 11, 16, 3, 1, 1, 1, 1},
    {1, 16, 8, 8, 24, 1, 1, 0, 1, 1},   {1, 24, 12, 12, 24, 3, 1, 1, 1, 24}, {1, 24, 12, 12, 24, 5, 2, 2, 1, 24},
    {1, 12, 10, 10, 18, 3, 1, 1, 1, 6}, {1, 5, 13, 9, 7, 3, 2, 1, 1, 1},     {1, 16, 20, 20, 16, 3, 1, 2, 2, 1},
    {1, 64, 30, 30, 64, 3, 1, 1, 1, 1}, {1, 6, 7, 7, 12, 2, 2, 0, 1, 1},     {1, 4, 6, 6, 8, 3, 1, 1, 1, 4},
    {3, 1, 5, 5, 1, 3, 1, 0, 1, 1},     {1, 48, 7, 7, 96, 1, 2, 0, 1, 1},    {1, 19, 11, 11, 33, 3, 1, 1, 1, 1},
};

TEST(OnednnConv, LikeTheRow) {
  for (const ConvCase& k : kConvs) {
    for (const bool nhwc : {false, true}) {
      Net net;
      const Shape in = nhwc ? Shape{k.n, k.h, k.w, k.c} : Shape{k.n, k.c, k.h, k.w};
      net.finish({conv(net, net.input(in), k, nhwc, k.c % 2 == 0)});
      EXPECT_TRUE(expect_like_reference(net).used("onednn"));
    }
  }
}

TEST(OnednnConv, BatchNormReluAndResidualRunInside) {
  for (const ConvCase& k : kConvs) {
    if (k.stride != 1 || k.dilation != 1 || k.kernel == 2 || k.pad != k.kernel / 2) continue;
    Net net;
    const ValueId x = net.input({k.n, k.c, k.h, k.w});
    const ValueId skip = net.b.op("relu", {conv(net, x, k)});
    ValueId y = conv(net, x, k);
    y = net.b.op("batch_norm", {y, net.weight({k.o}), net.weight({k.o}), net.weight({k.o}), net.weight({k.o}, 0.5, 2)});
    y = net.b.op("relu", {net.b.add(skip, y)});
    net.finish({y});
    const Ran r = expect_like_reference(net, 5e-5);
    for (const NodeTime& t : r.profile) EXPECT_NE(t.op, "batch_norm");
    for (const NodeTime& t : r.profile) EXPECT_NE(t.op, "add") << r.kernels();
  }
}

TEST(OnednnConv, ResidualThatLivesOnIsNotOverwritten) {
  Net net;
  const ValueId x = net.input({1, 16, 8, 8});
  const ConvCase k{1, 16, 8, 8, 16, 3, 1, 1, 1, 1};
  const ValueId skip = net.b.op("relu", {conv(net, x, k)});
  const ValueId y = net.b.add(conv(net, skip, k), skip);
  net.finish({y, net.b.op("neg", {skip}), net.b.add(conv(net, x, k), x)});
  expect_like_reference(net);
}

TEST(OnednnConv, EveryActivation) {
  for (const std::string op :
       {"relu", "sigmoid", "tanh", "silu", "gelu", "hard_swish", "hard_sigmoid", "leaky_relu", "elu"}) {
    Net net;
    const ConvCase k{1, 8, 9, 9, 16, 1, 1, 0, 1, 1};
    net.finish({net.b.op(op, {conv(net, net.input({1, 8, 9, 9}), k)})});
    EXPECT_EQ(expect_like_reference(net).steps(), 3U)
        << op;  // the convolution between turning its input and its result
  }
  Net net;
  const ConvCase k{1, 8, 9, 9, 16, 1, 1, 0, 1, 1};
  const ValueId y = net.b.op("clamp", {conv(net, net.input({1, 8, 9, 9}), k)}, {{"min", 0.0}, {"max", 6.0}});
  net.finish({y});
  expect_like_reference(net);
  for (const std::string act : {"relu", "relu6", "relu_n1_to_1"}) {
    Net fused;
    const ValueId x = fused.input({1, 8, 9, 9});
    fused.finish({fused.b.op("conv2d", {x, fused.weight({4, 8, 3, 3})}, {{"activation", act}})});
    expect_like_reference(fused);
  }
}

TEST(OnednnConv, OtherRanks) {
  Net one;
  one.finish({one.b.op("conv1d", {one.input({2, 8, 50}), one.scaled({16, 8, 3}, 24), one.weight({16})},
                       {{"stride", Ints{2}}, {"pad_begin", Ints{1}}, {"pad_end", Ints{2}}})});
  EXPECT_TRUE(expect_like_reference(one).used("onednn"));
  Net three;
  three.finish({three.b.op("conv3d", {three.input({1, 4, 6, 7, 8}), three.scaled({8, 2, 3, 3, 3}, 54)},
                           {{"groups", 2}, {"pad_begin", Ints{1, 1, 1}}, {"pad_end", Ints{1, 1, 1}}})});
  EXPECT_TRUE(expect_like_reference(three).used("onednn"));
}

TEST(OnednnConv, Transposed) {
  for (const int64_t groups : {1, 2, 4}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t extra : {0, 1}) {
        if (extra >= stride) continue;
        for (const bool nhwc : {false, true}) {
          Net net;
          const ValueId x = net.input(nhwc ? Shape{1, 6, 5, 8} : Shape{1, 8, 6, 5});
          const ValueId w = net.scaled({8, 12 / groups, 4, 4}, 8 * 16 / groups / stride);
          net.finish({net.b.op("conv_transpose2d", {x, w, net.weight({12})},
                               {{"stride", Ints{stride, stride}},
                                {"pad_begin", Ints{1, 1}},
                                {"pad_end", Ints{1, 1}},
                                {"output_padding", Ints{extra, extra}},
                                {"groups", groups},
                                {"layout", nhwc ? "nhwc" : "nchw"}})});
          expect_like_reference(net);
        }
      }
    }
  }
}

struct UpCase {
  int64_t n, c, h, w, o, kernel_h, kernel_w;
};

ValueId upsample(Net& net, const UpCase& k, bool nhwc, bool bias, std::vector<Attr> more = {}) {
  const ValueId x = net.input(nhwc ? Shape{k.n, k.h, k.w, k.c} : Shape{k.n, k.c, k.h, k.w});
  std::vector<ValueId> in = {x, net.scaled({k.c, k.o, k.kernel_h, k.kernel_w}, k.c)};
  if (bias) in.push_back(net.weight({k.o}));
  std::vector<Attr> attrs = {{"stride", Ints{k.kernel_h, k.kernel_w}}, {"layout", nhwc ? "nhwc" : "nchw"}};
  for (Attr& a : more) {
    std::erase_if(attrs, [&](const Attr& have) { return have.name == a.name; });
    attrs.push_back(std::move(a));
  }
  return net.b.op("conv_transpose2d", in, attrs);
}

constexpr UpCase kUps[] = {
    {1, 8, 6, 5, 12, 2, 2}, {2, 7, 5, 3, 9, 2, 2},     {1, 16, 4, 4, 5, 3, 3},  {3, 5, 1, 7, 1, 4, 4},
    {1, 1, 3, 1, 3, 2, 2},  {1, 33, 37, 41, 19, 2, 2}, {2, 12, 9, 8, 6, 3, 2},  {1, 64, 40, 33, 32, 2, 2},
    {1, 6, 5, 5, 4, 1, 3},  {1, 3, 47, 53, 2, 4, 4},   {1, 4, 1, 1, 600, 4, 4},
};

TEST(OnednnUpsample, LikeTheRow) {
  for (const UpCase& k : kUps) {
    for (const bool nhwc : {false, true}) {
      for (const bool bias : {false, true}) {
        for (const std::string act : {"none", "relu", "relu6", "relu_n1_to_1"}) {
          Net net;
          net.finish({upsample(net, k, nhwc, bias, {{"activation", act}})});
          const Ran r = expect_like_reference(net);
          EXPECT_TRUE(r.used("and tiles")) << r.kernels();
        }
      }
    }
  }
}

TEST(OnednnUpsample, BatchNormAndFunctionsRunInside) {
  for (const UpCase& k : kUps) {
    Net net;
    ValueId y = upsample(net, k, false, k.c % 2 == 0);
    y = net.b.op("batch_norm", {y, net.weight({k.o}), net.weight({k.o}), net.weight({k.o}), net.weight({k.o}, 0.5, 2)});
    net.finish({net.b.op("gelu", {y})});
    const Ran r = expect_like_reference(net, 5e-5);
    EXPECT_TRUE(r.used("and tiles")) << r.kernels();
    for (const NodeTime& t : r.profile) EXPECT_TRUE(t.op != "batch_norm" && t.op != "gelu") << r.kernels();
  }
}

// A chain keeps its channels last, and a residual is added by a step of its own.
TEST(OnednnUpsample, ChainWithResidual) {
  Net net;
  const ValueId once = net.b.op("relu", {upsample(net, {2, 16, 5, 7, 8, 2, 2}, false, true)});
  const ValueId w = net.scaled({8, 4, 2, 2}, 8);
  const ValueId twice = net.b.op("conv_transpose2d", {once, w}, {{"stride", Ints{2, 2}}});
  net.finish({net.b.add(twice, net.input({2, 4, 20, 28})), once});
  const Ran r = expect_like_reference(net);
  EXPECT_EQ(std::ranges::count_if(r.profile, [](const NodeTime& t) { return t.kernel.ends_with("and tiles"); }), 2)
      << r.kernels();
}

TEST(OnednnUpsample, OthersGoToTheDeconvolution) {
  const UpCase k{1, 8, 6, 5, 12, 2, 2}, wide{1, 8, 6, 5, 12, 3, 3};
  const struct {
    UpCase k;
    std::vector<Attr> more;
  } cases[] = {
      {wide, {{"pad_begin", Ints{1, 0}}}}, {wide, {{"pad_end", Ints{0, 1}}}}, {wide, {{"stride", Ints{2, 3}}}},
      {k, {{"stride", Ints{2, 1}}}},       {k, {{"stride", Ints{3, 3}}}},     {k, {{"output_padding", Ints{0, 1}}}},
      {k, {{"dilation", Ints{2, 1}}}},
  };
  for (const auto& c : cases) {
    for (const bool nhwc : {false, true}) {
      Net net;
      net.finish({upsample(net, c.k, nhwc, true, c.more)});
      EXPECT_FALSE(expect_like_reference(net).used("and tiles")) << print(net.g);
    }
  }
  Net grouped;
  grouped.finish({grouped.b.op("conv_transpose2d", {grouped.input({1, 8, 6, 5}), grouped.scaled({8, 6, 2, 2}, 4)},
                               {{"stride", Ints{2, 2}}, {"groups", 2}})});
  EXPECT_FALSE(expect_like_reference(grouped).used("and tiles"));
  Net computed;  // weights known only when it runs
  computed.finish({computed.b.op("conv_transpose2d", {computed.input({1, 8, 6, 5}), computed.input({8, 6, 2, 2})},
                                 {{"stride", Ints{2, 2}}})});
  EXPECT_FALSE(expect_like_reference(computed).used("and tiles"));
}

TEST(OnednnConv, LayoutsTravelWithoutTurning) {
  Net net;
  const ConvCase k{1, 32, 14, 14, 32, 1, 1, 0, 1, 1};
  ValueId x = net.input({1, 32, 14, 14});
  for (int i = 0; i < 4; ++i) x = net.b.op("relu", {conv(net, x, k)});
  net.finish({x});
  const Ran r = expect_like_reference(net);
  size_t turned = 0;
  for (const NodeTime& t : r.profile) turned += t.op == "reorder";
  EXPECT_LE(turned, 2U) << r.kernels();
}

TEST(OnednnPool, LikeTheRow) {
  for (const bool nhwc : {false, true}) {
    for (const bool ceil : {false, true}) {
      for (const int64_t size : {7, 8, 11}) {
        for (const std::string op : {"max_pool2d", "avg_pool2d"}) {
          for (const bool include : {false, true}) {
            if (include && op == "max_pool2d") continue;
            Net net;
            const ValueId x = net.input(nhwc ? Shape{1, size, size + 1, 8} : Shape{1, 8, size, size + 1});
            std::vector<Attr> attrs = {{"kernel", Ints{3, 3}},    {"stride", Ints{2, 2}},
                                       {"pad_begin", Ints{1, 1}}, {"pad_end", Ints{1, 1}},
                                       {"ceil_mode", ceil},       {"layout", nhwc ? "nhwc" : "nchw"}};
            if (op == "avg_pool2d") attrs.emplace_back("count_include_pad", include);
            net.finish({net.b.op(op, {x}, attrs)});
            const Ran r = expect_like_reference(net);
            EXPECT_TRUE(r.used("onednn") || (ceil && op == "avg_pool2d")) << r.kernels();
          }
        }
      }
    }
  }
}

TEST(OnednnPool, GlobalAverage) {
  Net net;
  const ValueId x = net.input({2, 24, 7, 5});
  net.finish({net.b.op("adaptive_avg_pool2d", {x}, {{"output_size", Ints{1, 1}}})});
  EXPECT_TRUE(expect_like_reference(net).used("onednn"));
}

TEST(OnednnResize, LikeTheRow) {
  for (const bool nhwc : {false, true}) {
    for (const std::string mode : {"nearest", "nearest_exact", "linear"}) {
      for (const Ints& size : {Ints{12, 18}, Ints{9, 25}, Ints{3, 4}, Ints{6, 9}}) {
        for (const bool corners : {false, true}) {
          if (corners && mode != "linear") continue;
          Net net;
          const ValueId x = net.input(nhwc ? Shape{1, 6, 9, 5} : Shape{1, 5, 6, 9});
          net.finish({net.b.op(
              "resize2d", {x},
              {{"size", size}, {"mode", mode}, {"align_corners", corners}, {"layout", nhwc ? "nhwc" : "nchw"}})});
          const Ran r = expect_like_reference(net);
          EXPECT_EQ(r.used("onednn"), !corners && (mode != "nearest" || (size[0] % 6 == 0 && size[1] % 9 == 0)));
        }
      }
    }
  }
}

TEST(OnednnMatmul, Linear) {
  for (const int64_t rows : {2, 7, 64, 150}) {
    for (const bool bias : {false, true}) {
      Net net;
      const ValueId x = net.input({rows, 96});
      std::vector<ValueId> in = {x, net.scaled({80, 96}, 96)};
      if (bias) in.push_back(net.weight({80}));
      const ValueId y = net.b.op("linear", in);
      const ValueId z = net.b.op("gelu", {y});
      net.finish({net.b.add(z, net.input({rows, 80}))});
      const Ran r = expect_like_reference(net);
      EXPECT_TRUE(r.used("onednn"));
      for (const NodeTime& t : r.profile) EXPECT_NE(t.op, "gelu");
    }
  }
}

TEST(OnednnMatmul, BatchesBroadcastAndTranspose) {
  struct Case {
    Shape a, b;
    bool ta, tb;
  };
  const Case cases[] = {{{5, 7}, {7, 6}, false, false},
                        {{2, 5, 7}, {7, 6}, false, false},
                        {{2, 3, 5, 7}, {2, 3, 7, 6}, false, false},
                        {{2, 3, 7, 5}, {2, 3, 7, 6}, true, false},
                        {{2, 3, 5, 7}, {2, 3, 6, 7}, false, true},
                        {{2, 1, 5, 7}, {1, 3, 7, 6}, false, false},
                        {{5, 7}, {4, 7, 6}, false, false},
                        {{3, 1, 64}, {3, 64, 33}, false, false}};
  for (const Case& c : cases) {
    for (const bool constant : {false, true}) {
      Net net;
      const ValueId a = net.input(c.a), b = constant ? net.weight(c.b) : net.input(c.b);
      net.finish({net.b.op("matmul", {a, b}, {{"transpose_a", c.ta}, {"transpose_b", c.tb}})});
      expect_like_reference(net);
    }
  }
}

TEST(OnednnMatmul, AttentionNeedsNoTurning) {
  Net net;
  const ValueId x = net.input({1, 20, 64});
  const auto heads = [&](ValueId v) {
    return net.b.transpose(
        net.b.reshape(net.b.op("linear", {v, net.scaled({64, 64}, 64), net.weight({64})}), {1, 20, 4, 16}),
        {0, 2, 1, 3});
  };
  const ValueId q = heads(x), k = heads(x), v = heads(x);
  const ValueId scores = net.b.mul(net.b.op("matmul", {q, net.b.transpose(k, {0, 1, 3, 2})}), net.b.scalar(0.25));
  const ValueId mixed = net.b.op("matmul", {net.b.op("softmax", {scores}), v});
  const ValueId joined = net.b.reshape(net.b.transpose(mixed, {0, 2, 1, 3}), {1, 20, 64});
  net.finish({net.b.op("linear", {joined, net.scaled({64, 64}, 64)})});
  const Ran r = expect_like_reference(net);
  for (const NodeTime& t : r.profile) EXPECT_NE(t.op, "reorder") << r.kernels();
}

TEST(OnednnMatmul, ConstantSeenThroughATranspose) {
  Net net;
  const ValueId w = net.b.transpose(net.scaled({48, 32}, 32), {1, 0});
  net.finish({net.b.add(net.b.op("matmul", {net.input({2, 9, 32}), w}), net.weight({48}))});
  const Ran r = expect_like_reference(net);
  EXPECT_EQ(r.steps(), 1U) << r.kernels();
}

}  // namespace
}  // namespace npuport
