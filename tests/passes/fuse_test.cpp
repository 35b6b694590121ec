#include "passes/fuse.h"

#include <set>

#include "passes/cleanup.h"
#include "passes/layout.h"
#include "support.h"

namespace npuport::testing {
namespace {

struct Case {
  const char* rewrite;  // row that must (or must not) fire
  const char* body;
  std::map<std::string, int> ops;  // what is left, for cases that fire
};

std::set<std::string> fired(const Ledger& l) {
  std::set<std::string> out;
  for (const LedgerEntry& e : l.entries()) out.insert(e.rewrite);
  return out;
}

#define X44 "input %x: f32[1,4,4,4]\n"
#define X8 "input %x: f32[2,3,8]\n"
#define CONV "const %w: f32[6,4,3,3] = #a\n const %b: f32[6] = [0.1,0.2,0.3,0.4,0.5,0.6]\n %h = conv2d(%x, %w, %b)\n"
#define SCALAR(NAME, V) "const %" NAME ": f32[] = [" V "]\n"
#define LN_HEAD "%m = reduce_mean(%x) axes=[-1] keepdims=true\n %d = sub(%x, %m)\n"

// Each case fires exactly the named row and leaves exactly these operators.
const Case kFires[] = {
    {"layer_norm_pow_div",
     X8 SCALAR("two", "2.0") SCALAR("e", "1e-05") LN_HEAD
     "%q = pow(%d, %two)\n %v = reduce_mean(%q) axes=[2] keepdims=true\n %s = add(%v, %e)\n %r = sqrt(%s)\n %y = "
     "div(%d, %r)\n output %y",
     {{"layer_norm", 1}}},
    {"layer_norm_mul_rsqrt",
     X8 SCALAR("e", "1e-05") LN_HEAD
     "%q = mul(%d, %d)\n %v = reduce_mean(%q) axes=[-1] keepdims=true\n %s = add(%e, %v)\n %r = rsqrt(%s)\n %y = "
     "mul(%r, %d)\n output %y",
     {{"layer_norm", 1}}},
    {"layer_norm_bias",
     X8 "const %g: f32[8] = [1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0]\n const %c: f32[1,1,8] = "
        "[1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0]\n %n = layer_norm(%x)\n %k = mul(%n, %g)\n %y = add(%c, %k)\n output %y",
     {{"layer_norm", 1}}},
    {"rms_norm_pow",
     X8 SCALAR("two", "2.0") SCALAR("e", "1e-06") "%q = pow(%x, %two)\n %v = reduce_mean(%q) axes=[-1] keepdims=true\n "
                                                  "%s = add(%v, %e)\n %r = rsqrt(%s)\n %y = "
                                                  "mul(%x, %r)\n output %y",
     {{"rms_norm", 1}}},
    {"gelu_erf_div_half_first",
     X8 SCALAR("h", "0.5") SCALAR("s", "1.4142135623730951") SCALAR(
         "o",
         "1.0") "%a = mul(%x, %h)\n %b = div(%x, %s)\n %c = erf(%b)\n %d = add(%c, %o)\n %y = mul(%a, %d)\n output %y",
     {{"gelu", 1}}},
    {"gelu_erf_mul_half_inside",
     X8 SCALAR("h", "0.5") SCALAR("s", "0.7071067811865476") SCALAR(
         "o",
         "1.0") "%b = mul(%s, %x)\n %c = erf(%b)\n %d = add(%o, %c)\n %a = mul(%h, %d)\n %y = mul(%x, %a)\n output %y",
     {{"gelu", 1}}},
    {"gelu_tanh_pow_half_first",
     X8 SCALAR("h", "0.5") SCALAR("t", "3.0") SCALAR("k", "0.044715") SCALAR("s", "0.7978845608028654")
         SCALAR("o", "1.0") "%a = mul(%h, %x)\n %p = pow(%x, %t)\n %q = mul(%k, %p)\n %r = add(%x, %q)\n %u = mul(%s, "
                            "%r)\n %v = tanh(%u)\n "
                            "%w = add(%o, %v)\n %y = mul(%a, %w)\n output %y",
     {{"gelu", 1}}},
    {"silu", X8 "%s = sigmoid(%x)\n %y = mul(%s, %x)\n output %y", {{"silu", 1}}},
    {"hard_swish_div",
     X8 SCALAR("t", "3.0") SCALAR(
         "s",
         "6.0") "%a = add(%x, %t)\n %c = clamp(%a) min=0.0 max=6.0\n %m = mul(%x, %c)\n %y = div(%m, %s)\n output %y",
     {{"hard_swish", 1}}},
    {"hard_sigmoid_div",
     X8 SCALAR("t", "3.0")
         SCALAR("s", "6.0") "%a = add(%x, %t)\n %c = clamp(%a) min=0.0 max=6.0\n %y = div(%c, %s)\n output %y",
     {{"hard_sigmoid", 1}}},
    {"pixel_shuffle",
     "input %x: f32[1,8,3,5]\n %a = reshape(%x) shape=[1,2,2,2,3,5]\n %t = transpose(%a) perm=[0,1,4,2,5,3]\n %y = "
     "reshape(%t) shape=[1,2,6,10]\n output %y",
     {{"depth_to_space", 1}}},
    {"pixel_unshuffle",
     "input %x: f32[1,2,6,10]\n %a = reshape(%x) shape=[1,2,3,2,5,2]\n %t = transpose(%a) perm=[0,1,3,5,2,4]\n %y = "
     "reshape(%t) shape=[1,8,3,5]\n output %y",
     {{"space_to_depth", 1}}},
    {"batch_norm_into_conv2d",
     X44 CONV "const %v: f32[6] = [0.5,1.0,1.5,2.0,2.5,3.0]\n %y = batch_norm(%h, %b, %v, %b, %v)\n output %y",
     {{"conv2d", 1}}},
    {"batch_norm_into_conv_transpose2d",
     X44 "const %w: f32[4,6,2,2] = #a\n const %v: f32[6] = [0.5,1.0,1.5,2.0,2.5,3.0]\n %h = conv_transpose2d(%x, %w) "
         "stride=[2,2]\n %y = batch_norm(%h, _, %v, %v, %v)\n output %y",
     {{"conv_transpose2d", 1}}},
    {"batch_norm_into_linear",
     "input %x: f32[3,4]\n const %w: f32[2,4] = [1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0]\n const %v: f32[2] = [0.5,1.0]\n %h "
     "= linear(%x, %w)\n %y = batch_norm(%h, %v, _, %v, %v)\n output %y",
     {{"linear", 1}}},
    {"batch_norm_as_factor_and_term",
     X44 "const %v: f32[4] = [0.5,1.0,1.5,2.0]\n %y = batch_norm(%x, %v, _, %v, %v)\n output %y",
     {{"mul", 1}, {"add", 1}}},
    {"factor_into_conv2d",
     X44 CONV "const %k: f32[6,1,1] = [0.5,1.0,1.5,2.0,2.5,3.0]\n %y = mul(%k, %h)\n output %y",
     {{"conv2d", 1}}},
    {"term_into_conv2d",
     X44 CONV "const %k: f32[1,6,1,1] = [0.5,1.0,1.5,2.0,2.5,3.0]\n %y = add(%h, %k)\n output %y",
     {{"conv2d", 1}}},
    {"negation_into_conv2d", X44 CONV SCALAR("k", "3.0") "%y = sub(%k, %h)\n output %y", {{"conv2d", 1}}},
    {"term_into_linear",
     X8 "const %w: f32[8,5] = #a\n const %k: f32[5] = [0.5,1.0,1.5,2.0,2.5]\n %h = matmul(%x, %w)\n %y = add(%h, %k)\n "
        "output %y",
     {{"linear", 1}}},
    {"relu_into_conv2d", X44 CONV "%y = relu(%h)\n output %y", {{"conv2d", 1}}},
    {"relu6_into_conv2d", X44 CONV "%y = clamp(%h) min=0.0 max=6.0\n output %y", {{"conv2d", 1}}},
    {"relu_into_linear",
     X8 "const %w: f32[5,8] = #a\n %h = linear(%x, %w)\n %y = clamp(%h) min=0.0\n output %y",
     {{"linear", 1}}},
    {"padding_into_conv2d",
     X44
     "const %w: f32[6,4,3,3] = #a\n %p = pad(%x) pads=[0,0,1,2,0,0,0,1]\n %y = conv2d(%p, %w) pad_begin=[1,0]\n output "
     "%y",
     {{"conv2d", 1}}},
    {"conv1d_as_2d",
     "input %x: f32[1,4,9]\n const %w: f32[6,4,3] = #a\n %y = conv1d(%x, %w) stride=[2] pad_begin=[1] pad_end=[1]\n "
     "output %y",
     {{"conv2d", 1}, {"reshape", 2}}},
    {"max_pool1d_as_2d",
     "input %x: f32[1,4,9]\n %y = max_pool1d(%x) kernel=[3] stride=[2] pad_begin=[1] pad_end=[1]\n output %y",
     {{"max_pool2d", 1}, {"reshape", 2}}},
    {"global_average", X44 "%y = adaptive_avg_pool2d(%x) output_size=[1,1]\n output %y", {{"reduce_mean", 1}}},
    {"regular_adaptive_average", X44 "%y = adaptive_avg_pool2d(%x) output_size=[2,1]\n output %y", {{"avg_pool2d", 1}}},
    {"regular_adaptive_maximum",
     X44 "%y, %i = adaptive_max_pool2d(%x) output_size=[2,2]\n output %y",
     {{"max_pool2d", 1}}},
    {"matmul_as_linear",
     X8 "const %w: f32[5,8] = #a\n %y = matmul(%x, %w) transpose_b=true\n output %y",
     {{"linear", 1}}},
    {"scale_into_left_operand",
     X8 "input %k: f32[2,3,8]\n const %w: f32[8,8] = #a\n" SCALAR(
         "s", "0.125") "%q = linear(%x, %w)\n %m = matmul(%q, %k) transpose_b=true\n %y = mul(%m, %s)\n output %y",
     {{"linear", 1}, {"matmul", 1}}},
    {"scale_through_transpose",
     X8 "input %k: f32[2,2,4,3]\n const %w: f32[8,8] = #a\n" SCALAR(
         "s", "3.0") "%q = linear(%x, %w)\n %r = reshape(%q) shape=[2,3,2,4]\n %t = transpose(%r) perm=[0,2,1,3]\n %z "
                     "= div(%t, %s)\n "
                     "%y = matmul(%z, %k)\n output %y",
     {{"linear", 1}, {"matmul", 1}, {"reshape", 1}, {"transpose", 1}}},
};

TEST(Fuse, RowsAreWellFormedAndNamedOnce) {
  ops::register_all();
  std::set<std::string_view> names;
  for (const auto rows : {fuse_rewrites(), absorb_rewrites()})
    for (const Rewrite& r : rows) {
      const Status s = check_rewrite(r);
      EXPECT_TRUE(s) << r.name << ": " << s.error().message;
      EXPECT_FALSE(r.doc.empty()) << r.name;
      EXPECT_TRUE(names.insert(r.name).second) << r.name;
    }
}

TEST(Fuse, EachCaseFiresItsRowAndKeepsTheNumbers) {
  for (const Case& k : kFires) {
    SCOPED_TRACE(k.rewrite);
    const Graph before = graph_of(k.body);
    const Ran r = run_passes_on({&fuse_pass, &cleanup_pass}, before);
    EXPECT_TRUE(fired(r.ledger).contains(k.rewrite)) << print(r.graph);
    EXPECT_EQ(op_counts(r.graph), k.ops) << print(r.graph);
    EXPECT_LT(difference(before, r.graph), 2e-5);
    EXPECT_EQ(r.graph.value(r.graph.outputs()[0]).name, "y");
  }
}

TEST(Fuse, RefusalsNameTheReason) {
  const Ran r =
      run_pass(fuse_pass, graph_of(X44 CONV "const %v: f32[6] = [0.5,1.0,1.5,2.0,2.5,3.0]\n %y = batch_norm(%h, "
                                            "%b, %v, %b, %v)\n output %y, %h"));
  EXPECT_THAT(r.log, ::testing::Contains(::testing::HasSubstr("%h inside the pattern is used elsewhere")));
}

TEST(Fuse, OriginsOfAllPartsAreKept) {
  const Graph g =
      graph_of(X44
               "const %w: f32[6,4,3,3] = #a\n %h = conv2d(%x, %w) @\"net.conv\" \"m.py:3\" \"aten::conv2d\"\n "
               "%y = relu(%h) @\"net.act\" \"m.py:4\" \"aten::relu\"\n output %y");
  const Ran r = run_pass(fuse_pass, g);
  ASSERT_EQ(r.graph.node_count(), 1U);
  const Node& n = r.graph.node(r.graph.topological()[0]);
  ASSERT_EQ(n.origins.size(), 2U);
  EXPECT_EQ(n.origins[0].scope, "net.conv");
  EXPECT_EQ(n.origins[1].scope, "net.act");
}

Ran absorbed(const Graph& before) {
  PassOptions o;
  o.io_layout = IoLayout::channels_last;
  return run_passes_on({&fuse_pass, &cleanup_pass, &channels_last_pass, &cleanup_pass, &absorb_pass, &cleanup_pass},
                       before, o);
}

TEST(Absorb, FlattenBeforeLinearLeavesNoTranspose) {
  // H = W = C: only the axes' meaning tells them apart.
  const Graph before =
      graph_of(X44
               "const %w: f32[4,4,1,1] = "
               "[1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,1.5,2.5,3.5,4.5,5.5,6.5,7.5]\n const %l: f32[3,64] "
               "= #a\n %c = conv2d(%x, %w)\n %f = reshape(%c) shape=[1,64]\n %y = linear(%f, %l)\n "
               "output %y");
  const Ran r = absorbed(before);
  EXPECT_EQ(op_counts(r.graph).count("transpose"), 0U) << print(r.graph);
  EXPECT_LT(difference(before, r.graph, r.io), 1e-4);
}

TEST(Absorb, UnflattenAfterLinearLeavesNoTranspose) {
  const Graph before = graph_of(
      "input %x: f32[2,5]\n const %l: f32[64,5] = #a\n const %b: f32[64] = #a\n const %w: "
      "f32[4,4,3,3] = #a\n %f = linear(%x, %l, %b)\n %r = reshape(%f) shape=[2,4,4,4]\n %y = "
      "conv2d(%r, %w)\n output %y");
  const Ran r = absorbed(before);
  EXPECT_EQ(op_counts(r.graph).count("transpose"), 0U) << print(r.graph);
  EXPECT_LT(difference(before, r.graph, r.io), 1e-4);
}

TEST(Absorb, ChannelShuffleBecomesConcat) {
  const Graph before = graph_of(
      "input %x: f32[1,6,6,6]\n const %w: f32[6,6,1,1] = #a\n %c = conv2d(%x, %w)\n %r = "
      "reshape(%c) shape=[1,2,3,6,6]\n %t = transpose(%r) perm=[0,2,1,3,4]\n %s = reshape(%t) "
      "shape=[1,6,6,6]\n %y = conv2d(%s, %w)\n output %y");
  const Ran r = absorbed(before);
  EXPECT_EQ(op_counts(r.graph).count("transpose"), 0U) << print(r.graph);
  EXPECT_EQ(op_counts(r.graph)["concat"], 1) << print(r.graph);
  EXPECT_LT(difference(before, r.graph, r.io), 1e-4);
}

TEST(Absorb, PixelShuffleAndUnshuffleBecomeBlockMajor) {
  const Graph before = graph_of(
      "input %x: f32[1,2,4,4]\n const %w: f32[12,8,3,3] = #a\n const %b: f32[12] = "
      "[1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,10.0,11.0,12.0]\n %s = space_to_depth(%x) block=2\n "
      "%c = conv2d(%s, %w, %b) pad_begin=[1,1] pad_end=[1,1]\n %y = depth_to_space(%c) block=2\n "
      "output %y");
  const Ran r = absorbed(before);
  for (const NodeId id : r.graph.topological())
    for (const Attr& a : r.graph.node(id).attrs)
      if (a.name == "mode") {
        EXPECT_EQ(std::get<std::string>(a.value), "dcr");
      }
  EXPECT_EQ(r.graph.node_count(), 3U) << print(r.graph);
  EXPECT_LT(difference(before, r.graph, r.io), 1e-4);
}

}  // namespace
}  // namespace npuport::testing
