// Rows for limits of size: long dims, large kernels, strides. Each fires where a limit is passed, leaves nothing
// beyond it, keeps the numbers, and stays away where one thing is off.
#include <algorithm>

#include "lower_support.h"
#include "passes/lower.h"

namespace npuport::testing {
namespace {

struct Limits {
  int64_t dim = 1 << 20, kernel = 1 << 20, stride = 1 << 20;
};

class Limited : public Legality {
 public:
  explicit Limited(Limits limits) : limits_(limits) {}
  std::vector<Diag> check(const Graph& g, NodeId id) const override {
    std::vector<Diag> out;
    const Node& n = g.node(id);
    const auto refuse = [&](int64_t value, int64_t limit, const char* what) {
      if (value > limit) out.push_back(Diag(diag::illegal_for_target, what));
    };
    const auto largest = [](const Shape& s) { return s.empty() ? 0 : *std::max_element(s.begin(), s.end()); };
    for (const ValueId v : n.outputs) refuse(largest(g.shape(v)), limits_.dim, "dim");
    if (n.op->name == "conv2d") {
      const Shape& w = g.shape(n.inputs[1]);
      refuse(std::max(w[2], w[3]), limits_.kernel, "kernel");
    }
    if (n.attr().has("kernel")) refuse(largest(n.attr().ints("kernel")), limits_.kernel, "kernel");
    if (n.attr().has("stride")) refuse(largest(n.attr().ints("stride")), limits_.stride, "stride");
    return out;
  }

 private:
  Limits limits_;
};

struct Case {
  const char* rewrite;
  Limits limits;
  const char* body;
  double tolerance = 2e-5;
};

constexpr Limits kDim{.dim = 12};
constexpr Limits kKernel{.kernel = 3};
constexpr Limits kStride{.stride = 2};

const Case kCases[] = {
    {"product_by_halves_of_right", kDim,
     "input %a: f32[1,4,8]\n input %u: f32[1,6,4,8]\n %f = reshape(%u) shape=[1,24,8]\n %m = matmul(%a, %f) "
     "transpose_b=true\n %y = reshape(%m) shape=[1,4,6,4]\n output %y",
     0},
    {"product_by_halves_of_right", kDim,  // channels first, an odd number of rows, halves of halves
     "input %a: f32[2,4,8]\n input %u: f32[2,8,9,5]\n %f = reshape(%u) shape=[2,8,45]\n %m = matmul(%a, %f)\n %y = "
     "reshape(%m) shape=[2,4,9,5]\n output %y",
     0},
    {"product_by_halves_of_left", kDim,
     "input %u: f32[1,6,4,8]\n input %b: f32[1,8,3]\n %f = reshape(%u) shape=[1,24,8]\n %m = matmul(%f, %b)\n %y = "
     "reshape(%m) shape=[1,6,4,3]\n output %y",
     0},
    {"product_by_halves_of_left", kDim,
     "input %u: f32[8,6,4]\n input %b: f32[8,3]\n %f = reshape(%u) shape=[8,24]\n %m = matmul(%f, %b) "
     "transpose_a=true\n %y = reshape(%m) shape=[6,4,3]\n output %y",
     0},
    {"patches_as_depth", kStride,
     "input %x: f32[1,3,8,12]\n const %w: f32[5,3,4,4] = #a\n const %b: f32[5] = [1.0,2.0,3.0,4.0,5.0]\n %y = "
     "conv2d(%x, %w, %b) stride=[4,4] activation=\"relu\"\n output %y"},
    {"patches_as_depth", kStride,
     "input %x: f32[1,8,12,3]\n const %w: f32[5,3,4,4] = #a\n %y = conv2d(%x, %w) stride=[4,4] layout=\"nhwc\"\n "
     "output "
     "%y"},
    {"conv_kernel_by_halves", kKernel,
     "input %x: f32[1,3,13,11]\n const %w: f32[4,3,7,5] = #a\n const %b: f32[4] = [1.0,-2.0,0.5,-1.0]\n %y = "
     "conv2d(%x, %w, %b) pad_begin=[3,2] pad_end=[3,2] activation=\"relu\"\n output %y"},
    {"conv_kernel_by_halves", kKernel,  // depthwise, dilated, strided, channels last
     "input %x: f32[1,20,17,4]\n const %w: f32[4,1,6,4] = #a\n %y = conv2d(%x, %w) groups=4 stride=[2,3] "
     "dilation=[2,1] pad_begin=[1,0] pad_end=[4,2] activation=\"relu6\" layout=\"nhwc\"\n output %y"},
    {"conv_kernel_by_halves", kKernel,
     "input %x: f32[1,2,4,9]\n const %w: f32[4,2,1,9] = #a\n %y = conv2d(%x, %w) pad_begin=[0,4] pad_end=[0,4] "
     "activation=\"relu_n1_to_1\"\n output %y"},
    {"conv_stride_by_steps", kStride,
     "input %x: f32[1,3,13,19]\n const %w: f32[4,3,3,3] = #a\n %y = conv2d(%x, %w) stride=[4,6] pad_begin=[1,1] "
     "pad_end=[1,0]\n output %y",
     0},
    {"conv_stride_by_steps", kStride,
     "input %x: f32[1,13,19,3]\n const %w: f32[4,3,3,3] = #a\n %y = conv2d(%x, %w) stride=[3,3] layout=\"nhwc\"\n "
     "output %y",
     0},
    {"max_pool_in_two", kKernel, "input %x: f32[1,3,17,11]\n %y = max_pool2d(%x) kernel=[9,2] stride=[2,2]\n output %y",
     0},
    {"max_pool_in_two", kKernel,
     "input %x: f32[1,9,11,3]\n %y = max_pool2d(%x) kernel=[4,5] stride=[1,3] pad_begin=[2,2] pad_end=[2,1] "
     "layout=\"nhwc\"\n output %y",
     0},
    {"avg_pool_in_two", kKernel, "input %x: f32[1,3,18,8]\n %y = avg_pool2d(%x) kernel=[9,4] stride=[9,4]\n output %y"},
    {"avg_pool_in_two", kKernel,  // one window: the stride does not matter
     "input %x: f32[1,8,8,3]\n %y = avg_pool2d(%x) kernel=[8,8] stride=[1,1] layout=\"nhwc\"\n output %y"},
    {"max_pool_stride_by_steps", kStride,
     "input %x: f32[1,3,17,11]\n %y = max_pool2d(%x) kernel=[2,3] stride=[5,4] pad_begin=[1,1] pad_end=[0,1]\n output "
     "%y",
     0},
    {"avg_pool_stride_by_steps", kStride,
     "input %x: f32[1,3,17,11]\n %y = avg_pool2d(%x) kernel=[2,3] stride=[5,4] pad_begin=[1,1] pad_end=[0,1] "
     "count_include_pad=false\n output %y",
     0},
};

TEST(LowerLimits, EachCaseFiresItsRowAndLeavesNothing) {
  for (const Case& k : kCases) {
    SCOPED_TRACE(k.body);
    const Graph before = graph_of(k.body);
    const Limited legality(k.limits);
    EXPECT_FALSE(illegal_nodes(before, legality).empty());
    const Lowered l = lowered(before, legality);
    EXPECT_TRUE(fired(l.ran.ledger).contains(k.rewrite)) << print(l.ran.graph);
    EXPECT_EQ(l.left, 0U) << print(l.ran.graph);
    EXPECT_LE(difference(before, l.ran.graph), k.tolerance) << print(l.ran.graph);
  }
}

// One thing off each.
const Case kNearMisses[] = {
    {"product_by_halves_of_right", kDim,  // the reshape joins a row with its channels
     "input %a: f32[1,4,16]\n input %u: f32[1,18,4,4]\n %f = reshape(%u) shape=[1,18,16]\n %m = matmul(%a, %f) "
     "transpose_b=true\n %y = reshape(%m) shape=[1,4,6,3]\n output %y"},
    {"product_by_halves_of_right", kDim,  // rows are parted elsewhere after the product
     "input %a: f32[1,4,8]\n input %u: f32[1,6,4,8]\n %f = reshape(%u) shape=[1,24,8]\n %m = matmul(%a, %f) "
     "transpose_b=true\n %y = reshape(%m) shape=[1,4,4,6]\n output %y"},
    {"product_by_halves_of_right", kDim,  // the joined dim is the one summed over
     "input %a: f32[1,4,24]\n input %u: f32[1,6,4,8]\n %f = reshape(%u) shape=[1,24,8]\n %m = matmul(%a, %f)\n %y = "
     "reshape(%m) shape=[1,4,2,4]\n output %y"},
    {"product_by_halves_of_right", kDim,  // the product is used whole, too
     "input %a: f32[1,4,8]\n input %u: f32[1,6,4,8]\n %f = reshape(%u) shape=[1,24,8]\n %m = matmul(%a, %f) "
     "transpose_b=true\n %y = reshape(%m) shape=[1,4,6,4]\n output %y, %m"},
    {"patches_as_depth", kStride,  // windows overlap
     "input %x: f32[1,3,8,12]\n const %w: f32[5,3,5,5] = #a\n %y = conv2d(%x, %w) stride=[4,4]\n output %y"},
    {"patches_as_depth", kStride,  // the image is no multiple
     "input %x: f32[1,3,9,12]\n const %w: f32[5,3,4,4] = #a\n %y = conv2d(%x, %w) stride=[4,4]\n output %y"},
    {"patches_as_depth", kStride,  // padded
     "input %x: f32[1,3,8,12]\n const %w: f32[5,3,4,4] = #a\n %y = conv2d(%x, %w) stride=[4,4] pad_begin=[1,1] "
     "pad_end=[3,3]\n output %y"},
    {"conv_kernel_by_halves", kKernel,  // the weights are computed
     "input %x: f32[1,3,13,11]\n input %w: f32[4,3,7,5]\n %y = conv2d(%x, %w)\n output %y"},
    {"max_pool_in_two", kKernel,
     "input %x: f32[1,3,17,11]\n %y = max_pool2d(%x) kernel=[5,5] stride=[2,2] ceil_mode=true\n output %y"},
    {"max_pool_in_two", kKernel,
     "input %x: f32[1,3,17,11]\n %y = max_pool2d(%x) kernel=[5,5] stride=[2,2] dilation=[2,2]\n output %y"},
    {"avg_pool_in_two", kKernel,  // windows overlap
     "input %x: f32[1,3,16,8]\n %y = avg_pool2d(%x) kernel=[4,4] stride=[2,2]\n output %y"},
    {"avg_pool_in_two", kKernel,  // a prime number of rows
     "input %x: f32[1,3,14,8]\n %y = avg_pool2d(%x) kernel=[7,2] stride=[7,2]\n output %y"},
};

TEST(LowerLimits, NearMissesDoNotFire) {
  for (const Case& k : kNearMisses) {
    SCOPED_TRACE(k.body);
    const Graph before = graph_of(k.body);
    const Lowered l = lowered(before, Limited(k.limits));
    EXPECT_FALSE(fired(l.ran.ledger).contains(k.rewrite)) << print(l.ran.graph);
    EXPECT_LE(difference(before, l.ran.graph), 2e-5) << print(l.ran.graph);
  }
}

// Structure of SAM's mask product: two halves, their reshapes, one concatenation; the ledger says what and why.
TEST(LowerLimits, MaskProductKeepsItsImage) {
  const Graph before = graph_of(kCases[0].body);
  const Lowered l = lowered(before, Limited(Limits{.dim = 12}));
  const std::map<std::string, int> counts = op_counts(l.ran.graph);
  const std::map<std::string, int> wanted{{"split", 1}, {"reshape", 4}, {"matmul", 2}, {"concat", 1}};
  EXPECT_EQ(counts, wanted) << print(l.ran.graph);
  ASSERT_FALSE(l.ran.ledger.entries().empty());
  const LedgerEntry& e = l.ran.ledger.entries().front();
  EXPECT_EQ(e.numerics, Numerics::exact);
  EXPECT_EQ(e.reason, "dim");
  EXPECT_NE(e.argument.find("half"), std::string::npos);
}

}  // namespace
}  // namespace npuport::testing
