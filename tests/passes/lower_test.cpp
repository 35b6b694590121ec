#include "passes/lower.h"

#include "lower_support.h"
#include "passes/domain.h"
#include "passes/pipeline.h"

namespace npuport::testing {
namespace {

TEST(Lower, RowsAreWellFormedAndNamedOnce) {
  ops::register_all();
  std::set<std::string_view> names;
  for (const Rewrite& r : lower_rewrites()) {
    const Status s = check_rewrite(r);
    EXPECT_TRUE(s) << r.name << ": " << s.error().message;
    EXPECT_FALSE(r.doc.empty()) << r.name;
    EXPECT_TRUE(names.insert(r.name).second) << r.name;
  }
}

struct Case {
  const char* rewrite;
  std::set<std::string> refused;
  const char* body;
  double tolerance = 2e-5;
  std::map<std::string, ValueRange> ranges = {};
  bool approximate = false;
};

#define X8 "input %x: f32[2,3,8]\n"
#define IMG "input %x: f32[1,5,4,4]\n"

// The named row fires, no finding is left, the numbers stay.
const Case kCases[] = {
    {"layer_norm_as_means",
     {"layer_norm"},
     X8 "const %w: f32[8] = [1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0]\n %y = layer_norm(%x, %w, %w)\n output %y"},
    {"rms_norm_as_means", {"rms_norm"}, X8 "%y = rms_norm(%x) eps=1e-06\n output %y"},
    {"group_norm_as_means",
     {"group_norm"},
     "input %x: f32[2,6,3,4]\n const %w: f32[6] = [1.0,2.0,3.0,4.0,5.0,6.0]\n %y = group_norm(%x, %w, %w) groups=2\n "
     "output %y"},
    {"group_norm_as_means",
     {"group_norm"},
     "input %x: f32[2,3,4,6]\n const %w: f32[6] = [1.0,2.0,3.0,4.0,5.0,6.0]\n %y = group_norm(%x, %w, %w) groups=3 "
     "axis=3\n output %y"},
    {"instance_norm_as_means", {"instance_norm"}, IMG "%y = instance_norm(%x)\n output %y"},
    {"elu_as_parts", {"elu", "where"}, X8 "%y = elu(%x) alpha=0.7\n output %y"},
    {"celu_as_parts", {"celu", "elu", "where"}, X8 "%y = celu(%x) alpha=0.7\n output %y"},
    {"selu_as_parts", {"selu", "elu", "where"}, X8 "%y = selu(%x)\n output %y"},
    {"leaky_relu_as_prelu", {"leaky_relu"}, IMG "%y = leaky_relu(%x) alpha=1.5\n output %y", 0},
    {"leaky_relu_as_maximum", {"leaky_relu", "prelu"}, X8 "%y = leaky_relu(%x) alpha=0.2\n output %y"},
    {"leaky_relu_as_parts",
     {"leaky_relu", "prelu", "where", "greater"},
     X8 "%y = leaky_relu(%x) alpha=1.5\n output %y"},
    {"silu_as_product", {"silu"}, X8 "%y = silu(%x)\n output %y"},
    {"hard_sigmoid_as_clamp", {"hard_sigmoid"}, X8 "%y = hard_sigmoid(%x)\n output %y"},
    {"hard_swish_as_clamp", {"hard_swish"}, X8 "%y = hard_swish(%x)\n output %y"},
    {"softplus_as_logarithm", {"softplus", "where", "log1p"}, X8 "%y = softplus(%x) beta=1.5\n output %y"},
    {"log_sigmoid_as_logarithm", {"log_sigmoid", "log1p"}, X8 "%y = log_sigmoid(%x)\n output %y"},
    {"mish_as_quotient", {"mish", "log1p", "log"}, X8 "%y = mish(%x)\n output %y"},
    {"soft_shrink_as_relus", {"soft_shrink", "sign"}, X8 "%y = soft_shrink(%x) lambd=0.3\n output %y"},
    {"gelu_tanh_as_formula", {"gelu"}, X8 "%y = gelu(%x) approximate=\"tanh\"\n output %y"},
    {"gelu_erf_to_tanh", {"erf"}, X8 "%e = erf(%x)\n %y = gelu(%e)\n output %y", 1e-3, {}, true},
    {"erf_as_polynomial", {"erf"}, X8 "%y = erf(%x)\n output %y", 1e-6, {}, true},
    {"softplus_as_polynomial",
     {"softplus", "log", "log1p"},
     X8 "%y = softplus(%x) beta=1.5\n output %y",
     1e-6,
     {},
     true},
    {"log_sigmoid_as_polynomial",
     {"log_sigmoid", "log", "log1p"},
     X8 "%y = log_sigmoid(%x)\n output %y",
     1e-6,
     {},
     true},
    {"affine_as_depthwise",
     {"mul"},
     "input %x: f32[1,3,4,2]\n const %s: f32[2] = [2.0,-3.0]\n const %t: f32[1,1,1,2] = [0.5,1.0]\n %p = mul(%x, "
     "%s)\n %y = add(%p, %t)\n output %y"},
    {"log_softmax_as_softmax", {"log_softmax"}, X8 "%y = log_softmax(%x)\n output %y"},
    {"power_as_products", {"pow"}, X8 "const %e: f32[] = [3.0]\n %y = pow(%x, %e)\n output %y"},
    {"trunc_div_as_trunc",
     {"trunc_div"},
     "input %a: f32[2,3]\n const %b: f32[] = [2.0]\n %y = trunc_div(%a, %b)\n output %y"},
    {"atan2_of_equal_shapes", {}, "input %a: f32[2,3]\n input %b: f32[1,3]\n %y = atan2(%a, %b)\n output %y"},
    {"softmax_on_last_axis", {}, "input %x: f32[]\n %y = softmax(%x) axis=0\n output %y"},
    {"trunc_as_floor", {"trunc"}, X8 "%y = trunc(%x)\n output %y"},
    {"masked_fill_as_term",
     {"where", "logical_not"},
     "input %x: f32[2,3,3]\n const %m: bool[3,3] = [true,false,false,true,true,false,true,true,true]\n const %f: f32[] "
     "= "
     "[-inf]\n %s = where(%m, %x, %f)\n %y = softmax(%s)\n output %y"},
    {"masked_fill_as_term",  // a row wholly masked by a finite value stays uniform
     {"where"},
     "input %x: f32[2,3,3]\n const %m: bool[3,3] = [false,false,false,true,true,false,true,true,true]\n const %f: "
     "f32[] = "
     "[-1000000.0]\n %s = where(%m, %x, %f)\n %y = softmax(%s)\n output %y"},
    {"inverse_masked_fill_as_term",
     {"where"},
     "input %x: f32[2,3,3]\n const %m: bool[3,3] = [false,true,true,false,false,true,false,false,false]\n const %f: "
     "f32[] "
     "= [-inf]\n %s = where(%m, %f, %x)\n %y = softmax(%s)\n output %y"},
    {"selection_as_arithmetic",
     {"where", "equal"},
     X8 "input %k: i32[2,3,1]\n %l = cast(%k) to=f32\n const %v: f32[] = [2.0]\n %c = equal(%l, %v)\n %n = mul(%x, "
        "%x)\n %y = where(%c, %x, "
        "%n)\n output %y",
     2e-5,
     {{"k", {0, 5, true}}}},
    {"selection_as_arithmetic",  // bounded: finite on both sides
     {"where"},
     "input %x: f32[4]\n const %m: bool[4] = [true,false,true,false]\n %c = clamp(%x) min=-5.0 max=3.0\n %l = "
     "exp(%c)\n "
     "%y = where(%m, %l, %x)\n output %y"},
    {"bool_as_number",
     {"less", "logical_and", "greater_equal"},
     "input %l: i32[6]\n const %a: i32[] = [1]\n const %b: i32[] = [4]\n %c = greater_equal(%l, %a)\n %d = less(%l, "
     "%b)\n "
     "%e = logical_and(%c, %d)\n %y = cast(%e) to=f32\n output %y",
     0,
     {{"l", {0, 5, true}}}},
    {"triangle_as_factor", {"trilu"}, "input %x: f32[2,4,4]\n %y = trilu(%x) upper=false\n output %y"},
    {"one_hot_as_arithmetic",
     {"one_hot"},
     "input %l: i32[2,3]\n %y = one_hot(%l) depth=5 dtype=f32\n output %y",
     0,
     {{"l", {0, 4, true}}}},
    {"gather_as_slices",
     {"gather"},
     "input %x: f32[2,5,3]\n const %i: i64[] = [-2]\n %y = gather(%x, %i) axis=1\n output %y",
     0},
    {"gather_as_slices",
     {"gather"},
     "input %x: f32[2,9,3]\n const %i: i64[5] = [1,3,5,0,8]\n %y = gather(%x, %i) axis=1\n output %y",
     0},
    {"flip_as_slices", {"flip"}, "input %x: f32[2,3,4]\n %y = flip(%x) axes=[1,2]\n output %y", 0},
    {"cumsum_as_linear", {"cumsum"}, X8 "%y = cumsum(%x) axis=-1\n output %y"},
    {"sort_as_topk", {"sort"}, X8 "%y, %i = sort(%x) descending=true\n output %y", 0},
    {"expand_as_tile", {"expand"}, "input %x: f32[2,1,3]\n %y = expand(%x) shape=[4,2,5,3]\n output %y", 0},
    {"implicit_broadcast_left_of_add",
     {"expand", "tile"},
     "input %x: f32[1,3]\n input %z: f32[4,3]\n %e = expand(%x) shape=[4,3]\n %y = add(%e, %z)\n output %y",
     0},
    {"padding_by_pieces",
     {"pad"},
     "input %x: f32[2,3,4]\n %y = pad(%x) pads=[0,2,1,0,1,3] mode=\"replicate\"\n output %y",
     0},
    {"padding_by_pieces",
     {"pad"},
     "input %x: f32[2,3,4]\n %y = pad(%x) pads=[0,2,1,0,1,3] mode=\"circular\"\n output %y",
     0},
    {"padding_by_pieces",
     {"pad"},
     "input %x: f32[2,3,4]\n %y = pad(%x) pads=[0,2,1,0,1,3] mode=\"reflect\"\n output %y",
     0},
    {"grouped_conv_transpose_as_convs",
     {},
     "input %x: f32[1,4,3,3]\n const %w: f32[4,3,2,2] = #a\n const %b: f32[6] = [1.0,2.0,3.0,4.0,5.0,6.0]\n %y = "
     "conv_transpose2d(%x, %w, %b) stride=[2,2] groups=2\n output %y"},
    {"dilated_conv_transpose_as_sparse",
     {},
     "input %x: f32[1,4,3,3]\n const %w: f32[4,3,2,2] = #a\n %y = conv_transpose2d(%x, %w) stride=[2,1] "
     "dilation=[2,3]\n "
     "output %y"},
    {"output_padding_as_input_rows",
     {},
     "input %x: f32[1,4,3,3]\n const %w: f32[4,3,2,2] = #a\n const %b: f32[3] = [1.0,2.0,3.0]\n %y = "
     "conv_transpose2d(%x, "
     "%w, %b) stride=[3,2] output_padding=[2,1]\n output %y"},
    {"grouped_conv_as_convs",
     {},
     "input %x: f32[1,4,5,5]\n const %w: f32[6,2,3,3] = #a\n const %b: f32[6] = [1.0,2.0,3.0,4.0,5.0,6.0]\n %y = "
     "conv2d(%x, %w, %b) groups=2\n output %y"},
    {"adaptive_average_by_axes",
     {"adaptive_avg_pool2d"},
     "input %x: f32[1,3,7,5]\n %y = adaptive_avg_pool2d(%x) output_size=[3,2]\n output %y"},
    {"adaptive_maximum_by_axes",
     {"adaptive_max_pool2d"},
     "input %x: f32[1,3,7,5]\n %y, %i = adaptive_max_pool2d(%x) output_size=[3,2]\n output %y",
     0},
    {"resize_as_products",
     {"resize2d"},
     "input %x: f32[1,5,4,3]\n %y = resize2d(%x) size=[7,9] mode=\"cubic\" layout=\"nhwc\"\n output %y"},
    {"bitwise_and_of_bools",
     {"bitwise_and"},
     "input %a: bool[2,1,3]\n input %b: bool[4,1]\n %y = bitwise_and(%a, %b)\n output %y",
     0},
    {"bitwise_or_of_bools",
     {"bitwise_or"},
     "input %a: bool[2,3]\n input %b: bool[2,3]\n %y = bitwise_or(%a, %b)\n output %y",
     0},
    {"bitwise_xor_of_bools",
     {"bitwise_xor"},
     "input %a: bool[2,3]\n input %b: bool[2,3]\n %y = bitwise_xor(%a, %b)\n output %y",
     0},
    {"logical_xor_of_bools",
     {"logical_xor"},
     "input %a: bool[2,3]\n input %b: bool[2,3]\n %y = logical_xor(%a, %b)\n output %y",
     0},
    {"logical_not_of_number", {"logical_not"}, "input %x: i32[2,3]\n %y = logical_not(%x)\n output %y", 0},
    {"logical_and_of_numbers",
     {"logical_or"},
     "input %a: f32[9]\n input %b: i32[9]\n %c = round(%a)\n %d = cast(%b) to=f32\n %y = logical_and(%c, %d)\n "
     "output %y",
     0},
    {"isinf_as_comparison",
     {"isinf"},
     "input %x: f32[9]\n const %z: f32[] = [0.0]\n %r = round(%x)\n %q = div(%x, %r)\n %y = isinf(%q)\n output %y",
     0},
    {"fake_quantize_as_steps",
     {"fake_quantize"},
     IMG "const %s: f32[5] = [0.5,0.1,0.2,0.05,0.3]\n const %z: f32[5] = [0.0,3.0,-2.0,1.0,0.0]\n %y = "
         "fake_quantize(%x, %s, %z) quant_min=-4 quant_max=7 axis=1\n output %y",
     1e-6},
    {"fake_quantize_as_steps",
     {"fake_quantize"},
     IMG "const %s: f32[1] = [0.5]\n const %z: f32[1] = [3.0]\n %y = fake_quantize(%x, %s, %z) quant_min=0 "
         "quant_max=7\n output %y",
     1e-6},
    {"cumprod_by_doubling", {"cumprod"}, "input %x: f32[2,7,3]\n %y = cumprod(%x) axis=1\n output %y"},
    {"cumprod_by_doubling", {"cumprod"}, "input %x: f32[3,8]\n %y = cumprod(%x) axis=-1\n output %y"},
    {"gather_elements_flat",
     {"gather_elements"},
     "input %x: f32[2,5,3]\n input %i: i64[2,4,2]\n %y = gather_elements(%x, %i) axis=1\n output %y",
     0},
    {"gather_elements_flat",
     {"gather_elements"},
     "input %x: f32[2,5]\n const %i: i64[2,3] = [0,-1,2,4,-5,1]\n %y = gather_elements(%x, %i) axis=-1\n output %y",
     0},
    {"scatter_elements_flat",
     {"scatter_elements"},
     "input %x: f32[2,5,3]\n input %i: i64[2,4,2]\n input %u: f32[2,4,2]\n %y = scatter_elements(%x, %i, %u) axis=1 "
     "reduction=\"add\"\n output %y",
     1e-6},
    {"scatter_rows_as_pieces",
     {"scatter_nd"},
     "input %x: f32[6,2]\n const %i: i64[3,1] = [4,1,2]\n input %u: f32[3,2]\n %y = scatter_nd(%x, %i, %u)\n output %y",
     0},
    {"scatter_blocks_once",
     {"scatter_elements"},
     "input %x: f32[6]\n const %i: i64[3] = [4,0,2]\n input %u: f32[3]\n %y = scatter_elements(%x, %i, %u) axis=0\n "
     "output %y",
     0},
    {"scatter_one_number",
     {"scatter_elements"},
     "input %x: f32[3,5]\n input %i: i64[3,2]\n const %u: f32[3,2] = [2.5,2.5,2.5,2.5,2.5,2.5]\n %y = "
     "scatter_elements(%x, %i, %u) axis=1\n output %y",
     0},
    {"scatter_sum_apart",
     {},
     "input %x: f32[5,2]\n input %i: i32[3,1]\n input %u: f32[3,2]\n %y = scatter_nd(%x, %i, %u) "
     "reduction=\"add\"\n output %y",
     1e-6},
    {"scatter_by_int32",
     {},
     "const %x: f32[5,2] = [0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0]\n input %i: i64[3,1]\n input %u: f32[3,2]\n %y = "
     "scatter_nd(%x, %i, %u) reduction=\"add\"\n output %y",
     1e-6},
    {"grid_sample_as_gathers",
     {"grid_sample"},
     "input %x: f32[2,3,4,5]\n input %g: f32[2,3,6,2]\n %y = grid_sample(%x, %g)\n output %y"},
    {"grid_sample_as_gathers",
     {"grid_sample"},
     "input %x: f32[1,3,4,5]\n input %g: f32[1,3,6,2]\n %y = grid_sample(%x, %g) mode=\"nearest\" "
     "padding_mode=\"border\"\n output %y"},
    {"grid_sample_as_gathers",
     {"grid_sample"},
     "input %x: f32[1,3,4,5]\n input %g: f32[1,9,9,2]\n %y = grid_sample(%x, %g) mode=\"cubic\" "
     "padding_mode=\"reflection\"\n output %y",
     5e-5},
    {"grid_sample_as_gathers",
     {"grid_sample"},
     "input %x: f32[1,3,4,5]\n input %g: f32[1,9,9,2]\n %y = grid_sample(%x, %g) mode=\"cubic\" "
     "align_corners=true\n output %y",
     5e-5},
    {"grid_sample_as_gathers",
     {"grid_sample"},
     "input %x: f32[1,1,4,1]\n input %g: f32[1,9,9,2]\n %y = grid_sample(%x, %g) padding_mode=\"reflection\" "
     "align_corners=true\n output %y"},
    {"grid_sample_as_gathers",
     {"grid_sample"},
     "input %x: f32[2,3,4,5,2]\n input %g: f32[2,2,3,2,3]\n %y = grid_sample(%x, %g) align_corners=true\n output %y"},
    {"resize1d_as_linear",
     {"resize1d"},
     "input %x: f32[2,3,5]\n %y = resize1d(%x) size=[8] mode=\"linear\" align_corners=true\n output %y"},
    {"resize3d_as_linear",
     {"resize3d"},
     "input %x: f32[1,2,3,4,5]\n %y = resize3d(%x) size=[6,4,3] mode=\"linear\"\n output %y"},
    {"resize3d_as_linear", {"resize3d"}, "input %x: f32[1,2,3,4,5]\n %y = resize3d(%x) size=[6,7,3]\n output %y", 0},
    {"max_pool3d_in_two",
     {"max_pool3d"},
     "input %x: f32[2,3,5,6,7]\n %y = max_pool3d(%x) kernel=[2,3,2] stride=[2,1,3] pad_begin=[1,1,0] pad_end=[1,1,1] "
     "ceil_mode=true\n output %y",
     0},
    {"avg_pool3d_in_two",
     {"avg_pool3d"},
     "input %x: f32[2,3,5,6,7]\n %y = avg_pool3d(%x) kernel=[2,3,2] stride=[2,1,3] pad_begin=[1,1,0] pad_end=[1,1,0] "
     "ceil_mode=true count_include_pad=false\n output %y"},
    {"avg_pool3d_in_two",
     {"avg_pool3d"},
     "input %x: f32[2,3,5,6,7]\n %y = avg_pool3d(%x) kernel=[2,3,2] stride=[2,1,3] pad_begin=[1,1,0] "
     "pad_end=[1,1,0]\n output %y"},
};

// Refuses what the case's row is about even where the operator itself is fine in another form.
class CaseLegality : public Legality {
 public:
  explicit CaseLegality(const Case& k) : k_(k), names_(k.refused) {}
  std::vector<Diag> check(const Graph& g, NodeId id) const override {
    std::vector<Diag> out = names_.check(g, id);
    const Node& n = g.node(id);
    const std::string_view row = k_.rewrite;
    const auto refuse = [&] { out.push_back(Diag(diag::illegal_for_target, "refused")); };
    if (row.starts_with("grouped_") && n.attr().has("groups") && n.attr().i("groups") != 1) refuse();
    if (row.starts_with("dilated_") && n.op->name == "conv_transpose2d" && n.attr().ints("dilation") != Ints{1, 1})
      refuse();
    if (row.starts_with("output_") && n.op->name == "conv_transpose2d" && n.attr().ints("output_padding") != Ints{0, 0})
      refuse();
    if (row == "logical_and_of_numbers" && n.op->name == "logical_and" && g.type(n.inputs[0]).dtype != DType::boolean)
      refuse();
    if (row.starts_with("scatter_") && n.op->name == "scatter_nd") {
      const std::optional<double> base = uniform_value(g, n.inputs[0]);
      const bool wide = g.type(n.inputs[1]).dtype == DType::i64 && !g.is_constant(n.inputs[1]);
      if (wide || !base || *base != 0 || n.attr().s("reduction") != "add") refuse();
    }
    if (row == "atan2_of_equal_shapes" && n.op->name == "atan2" && g.shape(n.inputs[0]) != g.shape(n.inputs[1]))
      refuse();
    if (row == "softmax_on_last_axis" && n.op->name == "softmax" && g.shape(n.inputs[0]).empty()) refuse();
    if (row == "gelu_erf_to_tanh" && n.op->name == "gelu" && n.attr().s("approximate") == "none") refuse();
    return out;
  }

 private:
  const Case& k_;
  Refusing names_;
};

TEST(Lower, EachCaseFiresItsRowAndLeavesNothing) {
  for (const Case& k : kCases) {
    SCOPED_TRACE(k.rewrite);
    const Graph before = graph_of(k.body);
    PassOptions options;
    options.ranges = k.ranges;
    options.allow_approximate = k.approximate;
    const Lowered l = lowered(before, CaseLegality(k), options);
    EXPECT_TRUE(fired(l.ran.ledger).contains(k.rewrite)) << print(l.ran.graph);
    EXPECT_EQ(l.left, 0U) << print(l.ran.graph);
    EXPECT_LE(difference(before, l.ran.graph), k.tolerance) << print(l.ran.graph);
  }
}

// Sine and cosine in the middle of a net, over many turns; near the inputs the host computes them.
TEST(Lower, SineInsideTheNetIsAPolynomialWhereAllowed) {
  const Graph before = graph_of(
      "input %x: f32[1,300]\n const %w: f32[300,300] = #a\n const %u: f32[4,300] = #b\n const %k: f32[] = [20.0]\n %l "
      "= "
      "linear(%x, %w)\n %t = mul(%l, %k)\n %s = sin(%t)\n %c = cos(%t)\n %a = linear(%s, %u)\n output %a, %s, %c");
  const Refusing legality({"sin", "cos"});
  PassOptions options;
  EXPECT_EQ(lowered(before, legality, options).left, 2U);
  options.allow_approximate = true;
  const Lowered l = lowered(before, legality, options);
  EXPECT_EQ(l.left, 0U) << print(l.ran.graph);
  EXPECT_EQ(fired(l.ran.ledger), (std::set<std::string>{"sine_as_polynomial", "cosine_as_polynomial"}));
  EXPECT_LT(difference(before, l.ran.graph), 2e-4);  // angles of several hundred: their rounding
  const Graph encoding = graph_of("input %x: f32[1,8]\n %s = sin(%x)\n %y = relu(%s)\n output %y");
  EXPECT_EQ(lowered(encoding, Refusing({"sin"}), options).left, 1U);
}

// A logarithm between two layers; near an end the host computes it. Whatever is made of logarithms follows.
TEST(Lower, LogInsideTheNetIsComputedByRootsWhereAllowed) {
  const auto net = [](const std::string& middle) {
    return graph_of(
        "input %x: f32[1,300]\n const %w: f32[300,300] = #a\n const %u: f32[300,300] = #b\n %l = linear(%x, "
        "%w)\n " +
        middle + "\n %y = linear(%s, %u)\n output %y, %s");
  };
  PassOptions options;
  for (const char* middle : {"%a = exp(%l)\n %s = log(%a)", "%a = abs(%l)\n %s = log1p(%a)", "%s = log_softmax(%l)"}) {
    SCOPED_TRACE(middle);
    const Refusing legality({"log", "log1p", "log2", "log_softmax"});
    const Graph before = net(middle);
    options.allow_approximate = false;
    EXPECT_EQ(lowered(before, legality, options).left, 1U);
    options.allow_approximate = true;
    const Lowered l = lowered(before, legality, options);
    EXPECT_EQ(l.left, 0U) << print(l.ran.graph);
    EXPECT_TRUE(fired(l.ran.ledger).contains("log_by_roots"));
    EXPECT_LT(difference(before, l.ran.graph), 2e-5);
  }
  const Refusing legality({"log"});
  const Graph encoding = graph_of("input %x: f32[1,8]\n %a = exp(%x)\n %s = log(%a)\n %y = relu(%s)\n output %y");
  EXPECT_EQ(lowered(encoding, legality, options).left, 1U);
  const Graph scores = graph_of(
      "input %x: f32[1,3000]\n const %w: f32[3000,3000] = #a\n %l = linear(%x, %w)\n %a = exp(%l)\n %y = log(%a)\n "
      "output %y");
  EXPECT_EQ(lowered(scores, legality, options).left, 1U);
}

// From the smallest normal number to 8e37, negative ones included.
TEST(Lower, LogByRootsIsRightOverTheWholeRange) {
  PassOptions options;
  options.allow_approximate = true;
  const RewriteSet rules(lower_rewrites());
  const Rewrite* row = rules.find("log_by_roots");
  ASSERT_NE(row, nullptr);
  Graph g = graph_of("input %x: f32[600]\n %y = log(%x)\n output %y");
  // The row's formula alone: its check keeps it away from a graph this small.
  Rewrite bare = *row;
  bare.check = nullptr;
  const RewriteSet one(std::span(&bare, 1));
  Ledger ledger;
  PassContext c{options, ledger, nullptr, nullptr, nullptr, {}, {}, nullptr};
  ASSERT_TRUE(one.apply(g, c, 1).ok());
  Tensor x = Tensor::zeros(DType::f32, {600});
  for (int64_t i = 0; i < 600; ++i)
    x.mut<float>()[i] = static_cast<float>(1.2e-38 * std::pow(10.0, 0.126 * static_cast<double>(i)));
  x.mut<float>()[599] = -1;
  const auto got = execute(g, std::vector<Tensor>{x});
  ASSERT_TRUE(got.ok());
  for (int64_t i = 0; i < 599; ++i) {
    const double wanted = std::log(get_double(x, i));
    EXPECT_NEAR(get_double((*got)[0], i), wanted, 4e-7 + 2.4e-7 * std::fabs(wanted)) << get_double(x, i);
  }
  EXPECT_TRUE(std::isnan(get_double((*got)[0], 599)));
}

TEST(Lower, LabelEqualityIsExactOnTheWholeDomain) {
  const char* body =
      "input %x: f32[11]\n const %o: f32[] = [1.0]\n const %v: f32[] = [3.0]\n %d = sub(%x, %v)\n %a = abs(%d)\n %s = "
      "sub(%o, "
      "%a)\n %y = clamp(%s) min=0.0 max=1.0\n output %y";
  const Graph before = graph_of(body);
  PassOptions options;
  options.ranges["x"] = {-5, 5, true};
  const Lowered l = lowered(before, Refusing({"abs", "maximum"}), options);
  EXPECT_TRUE(fired(l.ran.ledger).contains("label_equality_clamped"));
  EXPECT_EQ(op_counts(l.ran.graph).count("abs"), 0U);
  Tensor x = Tensor::zeros(DType::f32, {11});
  for (int i = 0; i < 11; ++i) x.mut<float>()[static_cast<size_t>(i)] = static_cast<float>(i - 5);
  const std::vector<Tensor> in{x};
  const auto a = execute(before, in), b = execute(l.ran.graph, in);
  ASSERT_TRUE(a && b);
  EXPECT_TRUE(identical((*a)[0], (*b)[0]));
}

TEST(Lower, ProverRefusalTakesTheChangeBack) {
  class No : public Prover {
   public:
    Result<Evidence> prove(const Graph&, const Graph&, const LedgerEntry&) override {
      ++asked;
      return Evidence{false, 1.0, "the numbers differ"};
    }
    int asked = 0;
  };
  ops::register_all();
  const Graph before = graph_of(X8 "%y = silu(%x)\n output %y");
  Graph g = before;
  IoContract io = identity_io(g);
  Ledger ledger;
  PassOptions options;
  Refusing legality({"silu"});
  No prover;
  PassContext c{options, ledger, &io, &legality, &prover, {}, {}};
  const PassDef* passes[] = {&lower_pass};
  ASSERT_TRUE(run_passes(g, passes, c));
  EXPECT_EQ(print(g), print(before));
  EXPECT_EQ(ledger.size(), 0U);
  EXPECT_EQ(prover.asked, 1);
}

TEST(Lower, DecisionsOfTheUserCount) {
  PassOptions options;
  options.decisions["y"] = "keep";
  const Lowered kept = lowered(graph_of(X8 "%y = silu(%x)\n output %y"), Refusing({"silu"}), options);
  EXPECT_EQ(kept.left, 1U);
  options.decisions["y"] = "leaky_relu_as_parts";
  const Lowered named =
      lowered(graph_of(X8 "%y = leaky_relu(%x) alpha=0.5\n output %y"), Refusing({"leaky_relu"}), options);
  EXPECT_TRUE(fired(named.ran.ledger).contains("leaky_relu_as_parts"));
}

TEST(Lower, WrittenOutTermsFoldIntoTheConvolutionBefore) {
  const Graph before = graph_of(
      "input %x: f32[1,4,4,4]\n const %w: f32[4,4,1,1] = "
      "[1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0]\n %c = "
      "conv2d(%x, %w)\n %y = hard_sigmoid(%c)\n output %y");
  const Prepared p = prepared(before, Refusing({"hard_sigmoid"}));
  EXPECT_EQ(op_counts(p.graph), (std::map<std::string, int>{{"conv2d", 1}, {"mul", 1}, {"transpose", 2}}))
      << print(p.graph);
  EXPECT_LT(difference(before, p.graph, p.io), 1e-5);
}

// ---- element types

TEST(Dtypes, HalfBecomesFloat) {
  const Graph before = graph_of(
      "input %x: f16[4]\n const %w: f16[4] = [0.5,1.0,1.5,2.0]\n %a = mul(%x, %w)\n %y = cast(%a) to=f16\n output %y");
  const Prepared p = prepared(before, Refusing({}));
  EXPECT_EQ(p.graph.type(p.graph.inputs()[0]).dtype, DType::f32);
  EXPECT_EQ(p.io.file_inputs[0].dtype, DType::f32);
  EXPECT_EQ(p.io.file_outputs[0].dtype, DType::f32);
  EXPECT_LT(difference(before, p.graph, p.io), 1e-2);
}

TEST(Dtypes, IntegersNarrowOnlyWhereTheyFit) {
  const Graph before = graph_of(
      "input %i: i64[3]\n input %j: i64[3]\n const %k: i64[] = [7]\n const %big: i64[] = [5000000000]\n %a = add(%i, "
      "%k)\n %b "
      "= mul(%a, %big)\n %c = add(%j, %k)\n output %a, %b, %c");
  PassOptions options;
  options.narrow_int64 = true;
  options.ranges["i"] = {0, 100, true};
  const Prepared p = prepared(before, Refusing({}), options);
  ASSERT_EQ(p.graph.outputs().size(), 3U);
  EXPECT_EQ(p.graph.type(p.graph.outputs()[0]).dtype, DType::i32);
  EXPECT_EQ(p.graph.type(p.graph.outputs()[1]).dtype, DType::i64);  // 7 * 5e9 does not fit
  EXPECT_EQ(p.graph.type(p.graph.outputs()[2]).dtype, DType::i64);  // nothing is known about j
  EXPECT_EQ(difference(before, p.graph, p.io), 0.0);
  options.assume_int32 = true;
  const Prepared q = prepared(before, Refusing({}), options);
  EXPECT_EQ(q.graph.type(q.graph.outputs()[2]).dtype, DType::i32);
}

}  // namespace
}  // namespace npuport::testing
