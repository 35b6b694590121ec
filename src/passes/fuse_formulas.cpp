// Operators a model spelled out in simpler ones.
#include <algorithm>

#include "passes/fuse_rows.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

// ---- layer_norm

// The mean runs over the last dims, dims kept; how many.
std::optional<int64_t> last_axes(const Graph& g, const Match& m) {
  const auto rank = static_cast<int64_t>(g.shape(m.value("x")).size());
  Ints axes = std::get<Ints>(m.attr("a"));
  for (int64_t& a : axes) a = a < 0 ? a + rank : a;
  std::sort(axes.begin(), axes.end());
  const auto n = static_cast<int64_t>(axes.size());
  for (int64_t i = 0; i < n; ++i)
    if (axes[static_cast<size_t>(i)] != rank - n + i) return std::nullopt;
  return n == 0 ? std::nullopt : std::optional(n);
}

Reason mean_over_last(const Graph& g, const Match& m) {
  if (!is_float(g.type(m.value("x")).dtype)) return "it is no float";
  return last_axes(g, m) ? Reason() : Reason("the mean does not run over the last dims");
}

std::vector<ValueId> build_layer_norm(Builder& b, const Match& m) {
  return {b.op("layer_norm", {m.value("x")}, {{"normalized_rank", *last_axes(b.graph(), m)}, {"eps", m.number("e")}})};
}
std::vector<ValueId> build_rms_norm(Builder& b, const Match& m) {
  return {b.op("rms_norm", {m.value("x")}, {{"normalized_rank", *last_axes(b.graph(), m)}, {"eps", m.number("e")}})};
}

// The constant has exactly the normalised shape.
Reason affine_shape(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  Shape k = g.shape(m.value("K"));
  while (k.size() > 1 && k.front() == 1 && k.size() > static_cast<size_t>(std::get<int64_t>(m.attr("n"))))
    k.erase(k.begin());
  const auto n = static_cast<size_t>(std::get<int64_t>(m.attr("n")));
  return k.size() == n && std::equal(k.begin(), k.end(), x.end() - static_cast<std::ptrdiff_t>(n))
             ? Reason()
             : Reason("the constant does not have the normalised shape");
}

ValueId shaped(Builder& b, const Match& m) {
  const Shape& x = b.shape(m.value("x"));
  const auto n = static_cast<std::ptrdiff_t>(std::get<int64_t>(m.attr("n")));
  const Shape wanted(x.end() - n, x.end());
  Tensor t = *b.constant_of(m.value("K"));
  if (t.shape == wanted) return m.value("K");
  t.shape = wanted;
  return b.constant(std::move(t));
}

std::vector<ValueId> build_weight(Builder& b, const Match& m) {
  return {b.op("layer_norm", {m.value("x"), shaped(b, m)}, {{"normalized_rank", m.attr("n")}, {"eps", m.attr("e")}})};
}
std::vector<ValueId> build_bias(Builder& b, const Match& m) {
  return {b.op("layer_norm", {m.value("x"), m.value("w.opt"), shaped(b, m)},
               {{"normalized_rank", m.attr("n")}, {"eps", m.attr("e")}})};
}
std::vector<ValueId> build_rms_weight(Builder& b, const Match& m) {
  return {b.op("rms_norm", {m.value("x"), shaped(b, m)}, {{"normalized_rank", m.attr("n")}, {"eps", m.attr("e")}})};
}

constexpr std::string_view kLayerNormDoc = "(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps): the definition.";
constexpr std::string_view kRmsDoc = "x / sqrt(mean(x^2) + eps): the definition.";
constexpr std::string_view kAffineDoc = "The operator's own factor and term are the last step of its definition.";

#define NPU_NORM_ROW(NAME, SQUARES, REST)                                                       \
  Rewrite {                                                                                     \
    .name = NAME, .doc = kLayerNormDoc,                                                         \
    .match = "%d = sub(%x, reduce_mean(%x, axes=$a, keepdims=true)); %v = reduce_mean(" SQUARES \
             ", axes=$a, keepdims=true); " REST,                                                \
    .check = mean_over_last, .build = build_layer_norm                                          \
  }
#define NPU_RMS_ROW(NAME, SQUARES, REST)                                                                   \
  Rewrite {                                                                                                \
    .name = NAME, .doc = kRmsDoc, .match = "%v = reduce_mean(" SQUARES ", axes=$a, keepdims=true); " REST, \
    .check = mean_over_last, .build = build_rms_norm                                                       \
  }

constexpr Rewrite kRows[] = {
    NPU_NORM_ROW("layer_norm_pow_div", "pow(%d, 2)", "%y = div(%d, sqrt(add(%v, $e)))"),
    NPU_NORM_ROW("layer_norm_pow_rsqrt", "pow(%d, 2)", "%y = mul(%d, rsqrt(add(%v, $e)))"),
    NPU_NORM_ROW("layer_norm_square_div", "square(%d)", "%y = div(%d, sqrt(add(%v, $e)))"),
    NPU_NORM_ROW("layer_norm_square_rsqrt", "square(%d)", "%y = mul(%d, rsqrt(add(%v, $e)))"),
    NPU_NORM_ROW("layer_norm_mul_div", "mul(%d, %d)", "%y = div(%d, sqrt(add(%v, $e)))"),
    NPU_NORM_ROW("layer_norm_mul_rsqrt", "mul(%d, %d)", "%y = mul(%d, rsqrt(add(%v, $e)))"),
    {.name = "layer_norm_weight",
     .doc = kAffineDoc,
     .match = "%y = mul(layer_norm(%x, _, _, normalized_rank=$n, eps=$e), %K)",
     .check = affine_shape,
     .build = build_weight},
    {.name = "layer_norm_bias",
     .doc = kAffineDoc,
     .match = "%y = add(layer_norm(%x, %w.opt, _, normalized_rank=$n, eps=$e), %K)",
     .check = affine_shape,
     .build = build_bias},
    NPU_RMS_ROW("rms_norm_pow", "pow(%x, 2)", "%y = mul(%x, rsqrt(add(%v, $e)))"),
    NPU_RMS_ROW("rms_norm_square", "square(%x)", "%y = mul(%x, rsqrt(add(%v, $e)))"),
    NPU_RMS_ROW("rms_norm_mul", "mul(%x, %x)", "%y = mul(%x, rsqrt(add(%v, $e)))"),
    NPU_RMS_ROW("rms_norm_pow_div", "pow(%x, 2)", "%y = div(%x, sqrt(add(%v, $e)))"),
    NPU_RMS_ROW("rms_norm_square_div", "square(%x)", "%y = div(%x, sqrt(add(%v, $e)))"),
    NPU_RMS_ROW("rms_norm_mul_div", "mul(%x, %x)", "%y = div(%x, sqrt(add(%v, $e)))"),
    {.name = "rms_norm_weight",
     .doc = kAffineDoc,
     .match = "%y = mul(rms_norm(%x, _, normalized_rank=$n, eps=$e), %K)",
     .check = affine_shape,
     .build = build_rms_weight},
};

#undef NPU_NORM_ROW
#undef NPU_RMS_ROW

// ---- gelu and friends

constexpr std::string_view kGeluErfDoc = "x * (1 + erf(x / sqrt(2))) / 2: the definition of gelu.";
constexpr std::string_view kGeluTanhDoc =
    "x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2: the definition of gelu's tanh form.";

// The three ways to multiply x, 1/2 and (1 + f).
#define NPU_THREE_PRODUCTS(NAME, DOC, F, REPLACE)                                                                    \
  Rewrite{                                                                                                           \
      .name = NAME "_half_first", .doc = DOC, .match = "%y = mul(mul(%x, 0.5), add(" F ", 1))", .replace = REPLACE}, \
      Rewrite{.name = NAME "_half_last",                                                                             \
              .doc = DOC,                                                                                            \
              .match = "%y = mul(mul(%x, add(" F ", 1)), 0.5)",                                                      \
              .replace = REPLACE},                                                                                   \
      Rewrite {                                                                                                      \
    .name = NAME "_half_inside", .doc = DOC, .match = "%y = mul(%x, mul(add(" F ", 1), 0.5))", .replace = REPLACE    \
  }

#define NPU_ERF "%y = gelu(%x, approximate=\"none\")"
#define NPU_TANH "%y = gelu(%x, approximate=\"tanh\")"

constexpr Rewrite kActivationRows[] = {
    NPU_THREE_PRODUCTS("gelu_erf_div", kGeluErfDoc, "erf(div(%x, 1.4142135))", NPU_ERF),
    NPU_THREE_PRODUCTS("gelu_erf_mul", kGeluErfDoc, "erf(mul(%x, 0.70710677))", NPU_ERF),
    NPU_THREE_PRODUCTS("gelu_tanh_pow", kGeluTanhDoc, "tanh(mul(add(%x, mul(pow(%x, 3), 0.044715)), 0.7978845608))",
                       NPU_TANH),
    NPU_THREE_PRODUCTS("gelu_tanh_cube", kGeluTanhDoc,
                       "tanh(mul(add(%x, mul(mul(mul(%x, %x), %x), 0.044715)), 0.7978845608))", NPU_TANH),
    NPU_THREE_PRODUCTS("gelu_tanh_product", kGeluTanhDoc,
                       "tanh(mul(add(%x, mul(mul(mul(%x, 0.044715), %x), %x)), 0.7978845608))", NPU_TANH),
    NPU_THREE_PRODUCTS("gelu_tanh_factored", kGeluTanhDoc,
                       "tanh(mul(mul(%x, 0.7978845608), add(mul(mul(%x, %x), 0.044715), 1)))", NPU_TANH),
    NPU_THREE_PRODUCTS("gelu_tanh_factored_product", kGeluTanhDoc,
                       "tanh(mul(mul(%x, 0.7978845608), add(mul(mul(%x, 0.044715), %x), 1)))", NPU_TANH),
    {.name = "silu",
     .doc = "x * sigmoid(x): the definition.",
     .match = "%y = mul(%x, sigmoid(%x))",
     .replace = "%y = silu(%x)"},
    {.name = "hard_sigmoid_div",
     .doc = "clamp(x + 3, 0, 6) / 6: the definition.",
     .match = "%y = div(clamp(add(%x, 3), min=0, max=6), 6)",
     .replace = "%y = hard_sigmoid(%x)"},
    {.name = "hard_sigmoid_mul",
     .doc = "clamp(x + 3, 0, 6) / 6: the definition, the quotient as a factor.",
     .match = "%y = mul(clamp(add(%x, 3), min=0, max=6), 0.16666667)",
     .replace = "%y = hard_sigmoid(%x)"},
    {.name = "hard_sigmoid_unit",
     .doc = "clamp(x/6 + 1/2, 0, 1) = clamp(x + 3, 0, 6) / 6.",
     .match = "%y = clamp(add(mul(%x, 0.16666667), 0.5), min=0, max=1)",
     .replace = "%y = hard_sigmoid(%x)"},
    {.name = "hard_swish",
     .doc = "x * clamp(x + 3, 0, 6) / 6: the definition.",
     .match = "%y = mul(%x, hard_sigmoid(%x))",
     .replace = "%y = hard_swish(%x)"},
    {.name = "hard_swish_div",
     .doc = "x * clamp(x + 3, 0, 6) / 6: the definition.",
     .match = "%y = div(mul(%x, clamp(add(%x, 3), min=0, max=6)), 6)",
     .replace = "%y = hard_swish(%x)"},
    {.name = "hard_swish_mul",
     .doc = "x * clamp(x + 3, 0, 6) / 6: the definition, the quotient as a factor.",
     .match = "%y = mul(mul(%x, clamp(add(%x, 3), min=0, max=6)), 0.16666667)",
     .replace = "%y = hard_swish(%x)"},
    {.name = "relu_of_minus_clamp",
     .doc = "clamp(x, 0, inf) = max(x, 0).",
     .match = "%y = clamp(%x, min=0)",
     .replace = "%y = relu(%x)"},
    {.name = "relu_of_maximum", .doc = "max(x, 0).", .match = "%y = maximum(%x, 0)", .replace = "%y = relu(%x)"},
};

#undef NPU_THREE_PRODUCTS
#undef NPU_ERF
#undef NPU_TANH

// ---- pixel shuffle

std::vector<ValueId> build_shuffle(Builder& b, const Match& m) {
  const Ints& a = std::get<Ints>(m.attr("a"));
  return {b.op("depth_to_space", {m.value("x")}, {{"block", a[2]}})};
}
Reason is_shuffle(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const Ints &a = std::get<Ints>(m.attr("a")), &s = std::get<Ints>(m.attr("b"));
  const bool fits = x.size() == 4 && a.size() == 6 && a[2] == a[3] && a[0] == x[0] && a[4] == x[2] && a[5] == x[3] &&
                    s == Ints{a[0], a[1], a[4] * a[2], a[5] * a[3]};
  return fits ? Reason() : Reason("the reshapes are no pixel shuffle");
}
std::vector<ValueId> build_unshuffle(Builder& b, const Match& m) {
  const Ints& a = std::get<Ints>(m.attr("a"));
  return {b.op("space_to_depth", {m.value("x")}, {{"block", a[3]}})};
}
Reason is_unshuffle(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const Ints &a = std::get<Ints>(m.attr("a")), &s = std::get<Ints>(m.attr("b"));
  const bool fits = x.size() == 4 && a.size() == 6 && a[3] == a[5] && a[0] == x[0] && a[1] == x[1] &&
                    a[2] * a[3] == x[2] && a[4] * a[5] == x[3] && s == Ints{a[0], a[1] * a[3] * a[5], a[2], a[4]};
  return fits ? Reason() : Reason("the reshapes are no pixel unshuffle");
}

constexpr Rewrite kShuffleRows[] = {
    {.name = "pixel_shuffle",
     .doc = "Channel c*r*r + i*r + j of pixel (h, w) goes to channel c of pixel (h*r + i, w*r + j): the definition.",
     .match = "%y = reshape(transpose(reshape(%x, shape=$a), perm=[0,1,4,2,5,3]), shape=$b)",
     .check = is_shuffle,
     .build = build_shuffle},
    {.name = "pixel_unshuffle",
     .doc = "Pixel (h*r + i, w*r + j) of channel c goes to channel c*r*r + i*r + j of pixel (h, w): the definition.",
     .match = "%y = reshape(transpose(reshape(%x, shape=$a), perm=[0,1,3,5,2,4]), shape=$b)",
     .check = is_unshuffle,
     .build = build_unshuffle},
};

}  // namespace

std::span<const Rewrite> formula_rewrites() {
  static const std::vector<Rewrite> all = [] {
    std::vector<Rewrite> v(std::begin(kRows), std::end(kRows));
    v.insert(v.end(), std::begin(kActivationRows), std::end(kActivationRows));
    v.insert(v.end(), std::begin(kShuffleRows), std::end(kShuffleRows));
    return v;
  }();
  return all;
}

}  // namespace npuport
