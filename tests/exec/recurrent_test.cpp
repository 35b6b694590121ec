// Recurrent layers and group normalisation on vectors against their rows.
#include "support.h"

namespace npuport {
namespace {

using namespace npuport::testing;

struct Layer {
  std::string op;
  int64_t gates;
};

TEST(Recurrent, LikeTheRows) {
  for (const Layer& layer : {Layer{"lstm", 4}, Layer{"gru", 3}, Layer{"rnn", 1}}) {
    for (const int64_t batch : {1, 3}) {
      for (const int64_t steps : {1, 5, 70}) {
        for (const bool reverse : {false, true}) {
          const int64_t hidden = 37, input = 21, wide = layer.gates * hidden;
          Net net;
          std::vector<ValueId> in = {net.input({steps, batch, input}), net.scaled({wide, input}, input),
                                     net.scaled({wide, hidden}, hidden), net.weight({wide}), net.weight({wide})};
          if (reverse) {
            in.push_back(net.input({batch, hidden}));
            if (layer.op == "lstm") in.push_back(net.input({batch, hidden}));
          }
          const std::vector<ValueId> out = net.b.ops(layer.op, in, {{"reverse", reverse}});
          net.finish(out);
          const Ran r = expect_like_reference(net, 5e-6);
          EXPECT_TRUE(r.used("recurrent")) << r.kernels();
        }
      }
    }
  }
}

TEST(Recurrent, LengthsMissingBiasesAndRelu) {
  for (const Layer& layer : {Layer{"lstm", 4}, Layer{"gru", 3}, Layer{"rnn", 1}}) {
    const int64_t hidden = 64, wide = layer.gates * hidden;
    Net net;
    std::vector<Attr> attrs = {{"lengths", Ints{4, 0, 9}}};
    if (layer.op == "rnn") attrs.push_back({"nonlinearity", "relu"});
    // Weights may come turned, as views of constants.
    const std::vector<ValueId> in = {net.input({9, 3, 16}), net.b.transpose(net.scaled({16, wide}, 16), {1, 0}),
                                     net.scaled({wide, hidden}, hidden)};
    net.finish(net.b.ops(layer.op, in, attrs));
    const Ran r = expect_like_reference(net, 5e-6);
    EXPECT_TRUE(r.used("recurrent")) << r.kernels();
    EXPECT_EQ(r.outputs[0].as<float>()[static_cast<size_t>(5 * 3 * hidden)], 0) << layer.op;
  }
}

TEST(Recurrent, ManyUnitsOnTwoThreads) {
  Net net;
  const ValueId x = net.input({3, 2, 300});
  const std::vector<ValueId> out =
      net.b.ops("lstm", {x, net.scaled({1600, 300}, 300), net.scaled({1600, 400}, 400), net.weight({1600})});
  net.finish(out);
  EXPECT_TRUE(expect_like_reference(net, 5e-6).used("recurrent"));
}

TEST(Recurrent, WhatStaysWithTheRow) {
  // A projection of the state, and weights that are computed.
  for (const bool projected : {false, true}) {
    Net net;
    const ValueId x = net.input({4, 2, 8});
    const ValueId w = projected ? net.scaled({20, 8}, 8) : net.input({20, 8});
    std::vector<ValueId> in = {x, w, net.scaled({20, projected ? 3 : 5}, 5)};
    if (projected) in.insert(in.end(), {ValueId{}, ValueId{}, ValueId{}, ValueId{}, net.scaled({3, 5}, 5)});
    net.finish(net.b.ops("lstm", in));
    EXPECT_FALSE(expect_like_reference(net, 5e-6).used("recurrent"));
  }
}

TEST(GroupNorm, LikeTheRows) {
  for (const Shape& shape : {Shape{1, 12, 7, 9}, Shape{2, 12, 40, 50}, Shape{3, 12}, Shape{2, 12, 3, 4, 5}}) {
    for (const int64_t groups : {1, 3, 12}) {
      for (const bool affine : {false, true}) {
        Net net;
        // Away from zero, where sums of squares would cancel.
        const ValueId x = net.b.add(net.input(shape), net.b.scalar(5));
        std::vector<ValueId> in = {x};
        if (affine) in.insert(in.end(), {net.weight({12}), net.weight({12})});
        std::vector<ValueId> out = {net.b.op("group_norm", in, {{"groups", groups}})};
        if (groups == 12) out.push_back(net.b.op("instance_norm", in));
        net.finish(out);
        EXPECT_FALSE(expect_like_reference(net, 2e-5).used("reference"));
      }
    }
  }
}

TEST(GroupNorm, ChannelsLast) {
  for (const int64_t groups : {1, 4, 20}) {
    Net net;
    const ValueId x = net.input({2, 30, 31, 20});
    const std::vector<ValueId> affine = {net.weight({20}), net.weight({20})};
    // Channels-last memory under both names for it: a turned view, and an axis at the end.
    const ValueId turned = net.b.transpose(net.b.op("exp", {x}), {0, 3, 1, 2});
    net.finish(
        {net.b.transpose(net.b.op("group_norm", {turned, affine[0], affine[1]}, {{"groups", groups}}), {0, 2, 3, 1}),
         net.b.op("group_norm", {x, affine[0], affine[1]}, {{"groups", groups}, {"axis", 3}})});
    const Ran r = expect_like_reference(net, 2e-5);
    EXPECT_FALSE(r.used("reference") || r.used("copy")) << r.kernels();
  }
}

}  // namespace
}  // namespace npuport
