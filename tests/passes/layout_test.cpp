#include "passes/layout.h"

#include "passes/cleanup.h"
#include "support.h"

namespace npuport::testing {
namespace {

using ::testing::HasSubstr;

PassOptions nhwc_borders() {
  PassOptions o;
  o.io_layout = IoLayout::channels_last;
  return o;
}

Ran turn(Graph g, const PassOptions& options = nhwc_borders()) {
  return run_passes_on({&channels_last_pass, &cleanup_pass}, std::move(g), options);
}

// An EDSR of two blocks with H = W = C = 8 and a residual over all blocks.
constexpr std::string_view kEdsr = R"(
  input %x: f32[1,8,8,8]
  const %w: f32[8,8,3,3] = #a
  const %b: f32[8] = [0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8]
  const %u: f32[32,8,3,3] = #a
  const %m: f32[1,8,1,1] = [0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8]
  %c0 = sub(%x, %m)
  %h = conv2d(%c0, %w, %b) pad_begin=[1,1] pad_end=[1,1]
  %a0 = conv2d(%h, %w, %b) pad_begin=[1,1] pad_end=[1,1]
  %a1 = relu(%a0)
  %a2 = conv2d(%a1, %w) pad_begin=[1,1] pad_end=[1,1]
  %a3 = add(%a2, %h)
  %r = add(%a3, %h)
  %s = conv2d(%r, %u) pad_begin=[1,1] pad_end=[1,1]
  %p = depth_to_space(%s) block=2
  %y = add(%p, %m)
  output %y)";

TEST(ChannelsLast, EdsrHasNoTransposeWithChannelsLastBorders) {
  const Graph before = graph_of(kEdsr);
  const Ran r = turn(before);
  EXPECT_EQ(op_counts(r.graph).count("transpose"), 0U) << print(r.graph);
  EXPECT_EQ(op_counts(r.graph).count("reshape"), 0U) << print(r.graph);
  ASSERT_EQ(r.io.file_inputs.size(), 1U);
  EXPECT_EQ(r.io.file_inputs[0].permutation, kToNhwc);
  EXPECT_EQ(r.io.file_outputs[0].permutation, kToNhwc);
  EXPECT_EQ(r.graph.value(r.graph.inputs()[0]).name, "x");
  EXPECT_EQ(r.graph.value(r.graph.outputs()[0]).name, "y");
  EXPECT_LT(difference(before, r.graph, r.io), 1e-5);
}

TEST(ChannelsLast, KeptBordersCostOneTransposeEach) {
  const Graph before = graph_of(kEdsr);
  const Ran r = turn(before, {});
  EXPECT_EQ(op_counts(r.graph)["transpose"], 2) << print(r.graph);
  EXPECT_EQ(r.graph.type(r.graph.inputs()[0]), before.type(before.inputs()[0]));
  EXPECT_EQ(r.graph.value(r.graph.outputs()[0]).name, "y");
  EXPECT_LT(difference(before, r.graph, r.io), 1e-5);
}

TEST(ChannelsLast, GoldenText) {
  const Ran r = turn(graph_of(R"(
    input %x: f32[1,3,4,5]
    const %w: f32[2,3,1,1] = [1.0,2.0,3.0,4.0,5.0,6.0]
    %c: f32[1,2,4,5] = conv2d(%x, %w)
    %n: f32[1,2,4,5] = softmax(%c) axis=1
    %m: f32[1,2] = reduce_mean(%n) axes=[2,3] keepdims=false
    output %n, %m)"));
  Graph g = r.graph;
  g.metadata.clear();
  EXPECT_EQ(print(g), R"(graph "t" {
  input %x: f32[1,4,5,3]
  const %w: f32[2,3,1,1] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
  %c: f32[1,4,5,2] = conv2d(%x, %w) layout="nhwc"
  %n: f32[1,4,5,2] = softmax(%c) axis=3
  %m: f32[1,2] = reduce_mean(%n) axes=[1,2]
  output %n, %m
}
)");
}

TEST(ChannelsLast, AxesMoveWithConcatSliceAndPad) {
  const Graph before = graph_of(R"(
    input %x: f32[1,4,4,4]
    const %w: f32[4,4,3,3] = #a
    %c = conv2d(%x, %w) pad_begin=[1,1] pad_end=[1,1]
    %s = slice(%c) starts=[1] ends=[3] axes=[1] steps=[1]
    %k = concat(%s, %c, %s) axis=1
    %p = pad(%k) pads=[0,0,1,2,0,1,0,3]
    %y = avg_pool2d(%p) kernel=[2,2] stride=[2,2]
    output %y)");
  const Ran r = turn(before);
  EXPECT_EQ(op_counts(r.graph).count("transpose"), 0U) << print(r.graph);
  EXPECT_LT(difference(before, r.graph, r.io), 1e-5);
}

TEST(ChannelsLast, SequenceReshapesStayFree) {
  // Image to tokens and back, as vision transformers do.
  const Graph before = graph_of(R"(
    input %x: f32[1,6,6,6]
    const %w: f32[6,6,1,1] = #a
    const %l: f32[6,6] = #a
    %c = conv2d(%x, %w)
    %f: f32[1,6,36] = reshape(%c) shape=[1,6,36]
    %t = transpose(%f) perm=[0,2,1]
    %q = linear(%t, %l)
    %u = transpose(%q) perm=[0,2,1]
    %v = reshape(%u) shape=[1,6,6,6]
    %y = conv2d(%v, %w)
    output %y)");
  const Ran r = turn(before);
  EXPECT_EQ(op_counts(r.graph).count("transpose"), 0U) << print(r.graph);
  EXPECT_LT(difference(before, r.graph, r.io), 1e-5);
}

TEST(ChannelsLast, BroadcastOfLowerRankOperands) {
  const Graph before = graph_of(R"(
    input %x: f32[2,4,4,4]
    input %s: f32[4,1,1]
    input %v: f32[4]
    const %w: f32[4,4,1,1] = [1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,1.5,2.5,3.5,4.5,5.5,6.5,7.5]
    %c = conv2d(%x, %w)
    %a = mul(%c, %s)
    %y = add(%v, %a)
    output %y)");
  const Ran r = turn(before);
  EXPECT_EQ(op_counts(r.graph).count("transpose"), 0U) << print(r.graph);
  EXPECT_LT(difference(before, r.graph, r.io), 1e-5);
}

TEST(ChannelsLast, OperatorWithoutRuleGetsCanonicalOrder) {
  const Graph before = graph_of(R"(
    input %x: f32[1,4,4,4]
    const %w: f32[4,4,1,1] = [1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,1.5,2.5,3.5,4.5,5.5,6.5,7.5]
    %c = conv2d(%x, %w)
    %f = reshape(%c) shape=[1,64]
    %m = matmul(%c, %c)
    output %f, %m)");
  const Ran r = turn(before);
  EXPECT_EQ(op_counts(r.graph)["transpose"], 1) << print(r.graph);  // made once, used by both
  EXPECT_LT(difference(before, r.graph, r.io), 1e-4);
}

TEST(ChannelsLast, SwappedMatmulOperandBecomesAFlag) {
  const Graph before = graph_of(R"(
    input %a: f32[2,3,4]
    input %b: f32[2,5,4]
    %t = transpose(%b) perm=[0,2,1]
    %s = mul(%t, %t)
    %y = matmul(%a, %s)
    output %y)");
  const Ran r = turn(before);
  EXPECT_EQ(op_counts(r.graph).count("transpose"), 0U) << print(r.graph);
  EXPECT_THAT(print(r.graph), HasSubstr("transpose_b=true"));
  EXPECT_LT(difference(before, r.graph, r.io), 1e-5);
}

TEST(ChannelsLast, LeavesGraphsWithoutImagesAlone) {
  const Graph before = graph_of(R"(
    input %x: f32[1,4,4,4]
    %t = transpose(%x) perm=[0,2,1,3]
    %y = softmax(%t)
    output %y)");
  const Ran r = turn(before);
  EXPECT_TRUE(r.io.file_inputs[0].permutation.empty());
  EXPECT_LT(difference(before, r.graph, r.io), 1e-6);
}

}  // namespace
}  // namespace npuport::testing
