// Element-wise functions in terms of simpler ones.
#include <cmath>

#include "passes/lower.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

ValueId number(Builder& b, double v, ValueId like) { return b.scalar(v, b.dtype(like)); }
double attr(const Match& m, const char* name) { return std::get<double>(m.attr(name)); }
ValueId relu(Builder& b, ValueId x) { return b.op("relu", {x}); }
ValueId neg(Builder& b, ValueId x) { return b.mul(x, number(b, -1, x)); }
ValueId scaled(Builder& b, ValueId x, double s) { return s == 1 ? x : b.mul(x, number(b, s, x)); }

// e^min(x/limit, 0) - 1
ValueId negative_part(Builder& b, ValueId x, double stretch) {
  const ValueId low = b.op("minimum", {scaled(b, x, 1 / stretch), number(b, 0, x)});
  return b.sub(b.op("exp", {low}), number(b, 1, x));
}
ValueId elu(Builder& b, ValueId x, double positive, double negative, double stretch) {
  return b.add(scaled(b, relu(b, x), positive), scaled(b, negative_part(b, x, stretch), negative));
}

std::vector<ValueId> build_elu(Builder& b, const Match& m) { return {elu(b, m.value("x"), 1, attr(m, "a"), 1)}; }
std::vector<ValueId> build_celu(Builder& b, const Match& m) {
  return {elu(b, m.value("x"), 1, attr(m, "a"), attr(m, "a"))};
}
std::vector<ValueId> build_selu(Builder& b, const Match& m) {
  constexpr double alpha = 1.6732632423543772848170429916717, scale = 1.0507009873554804934193349852946;
  return {elu(b, m.value("x"), scale, scale * alpha, 1)};
}

std::vector<ValueId> build_leaky_prelu(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const ValueId slope = b.reshape(number(b, attr(m, "a"), x), {1});
  return {b.op("prelu", {x, slope}, {{"axis", int64_t{1}}})};
}
std::vector<ValueId> build_leaky_maximum(Builder& b, const Match& m) {
  return {b.op("maximum", {m.value("x"), scaled(b, m.value("x"), attr(m, "a"))})};
}
Reason has_channels(const Graph& g, const Match& m) {
  return g.shape(m.value("x")).empty() ? Reason("a single number has no channels") : Reason();
}
Reason slope_below_one(const Graph&, const Match& m) {
  const double a = attr(m, "a");
  return a >= 0 && a <= 1 ? Reason() : Reason("the slope is not in [0, 1]");
}
std::vector<ValueId> build_leaky_parts(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  return {b.sub(relu(b, x), scaled(b, relu(b, neg(b, x)), attr(m, "a")))};
}

// log(1 + e^z) = max(z, 0) + log(1 + e^-|z|)
ValueId soft_maximum(Builder& b, ValueId z) {
  const ValueId small = b.op("exp", {neg(b, b.op("abs", {z}))});
  return b.add(relu(b, z), b.op("log", {b.add(small, number(b, 1, z))}));
}
std::vector<ValueId> build_softplus(Builder& b, const Match& m) {
  const double beta = attr(m, "b");
  return {scaled(b, soft_maximum(b, scaled(b, m.value("x"), beta)), 1 / beta)};
}
Reason threshold_far(const Graph&, const Match& m) {
  return attr(m, "b") > 0 && attr(m, "t") >= 15 ? Reason() : Reason("the linear part begins too early");
}
std::vector<ValueId> build_log_sigmoid(Builder& b, const Match& m) {
  return {neg(b, soft_maximum(b, neg(b, m.value("x"))))};
}
// tanh(log(1 + e^x)) = n / (n + 2) with n = e^x (e^x + 2); for x > 20 it is 1 in float.
std::vector<ValueId> build_mish(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const ValueId e = b.op("exp", {b.op("minimum", {x, number(b, 20, x)})});
  const ValueId n = b.mul(e, b.add(e, number(b, 2, x)));
  return {b.mul(x, b.div(n, b.add(n, number(b, 2, x))))};
}
std::vector<ValueId> build_soft_shrink(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const ValueId limit = number(b, attr(m, "l"), x);
  return {b.sub(relu(b, b.sub(x, limit)), relu(b, b.sub(neg(b, x), limit)))};
}
std::vector<ValueId> build_hard_sigmoid(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const ValueId c = b.op("clamp", {b.add(x, number(b, 3, x))}, {{"min", 0.0}, {"max", 6.0}});
  return {b.mul(c, number(b, 1.0 / 6, x))};
}
std::vector<ValueId> build_hard_swish(Builder& b, const Match& m) {
  return {b.mul(m.value("x"), build_hard_sigmoid(b, m)[0])};
}

// x Φ(x) with Φ through erf; used where there is an erf but no gelu.
std::vector<ValueId> build_erf_polynomial(Builder& b, const Match& m) {
  // Abramowitz and Stegun 7.1.26: |error| <= 1.5e-7.
  constexpr double kA[] = {0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429};
  const ValueId x = m.value("x");
  const ValueId a = b.op("abs", {x});
  const ValueId one = number(b, 1, x);
  const ValueId t = b.div(one, b.add(b.mul(a, number(b, 0.3275911, x)), one));
  ValueId p = number(b, kA[4], x);
  p = b.mul(t, p);
  for (int k = 3; k >= 0; --k) p = b.mul(b.add(p, number(b, kA[k], x)), t);
  const ValueId tail = b.mul(p, b.op("exp", {neg(b, b.mul(x, x))}));
  return {b.mul(b.op("sign", {x}), b.sub(one, tail))};
}

std::vector<ValueId> build_tanh_gelu(Builder& b, const Match& m) {
  return {b.op("gelu", {m.value("x")}, {{"approximate", "tanh"}})};
}
std::vector<ValueId> build_gelu_tanh_formula(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const ValueId cube = b.mul(b.mul(x, x), x);
  const ValueId inner = b.mul(b.add(x, b.mul(cube, number(b, 0.044715, x))), number(b, 0.7978845608028654, x));
  return {b.mul(b.mul(x, number(b, 0.5, x)), b.add(b.op("tanh", {inner}), number(b, 1, x)))};
}
std::vector<ValueId> build_gelu_erf_formula(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const ValueId e = b.op("erf", {b.mul(x, number(b, 0.7071067811865476, x))});
  return {b.mul(b.mul(x, number(b, 0.5, x)), b.add(e, number(b, 1, x)))};
}

// log(sum(e^(x - max))) subtracted: for formats without log_softmax.
std::vector<ValueId> build_log_softmax(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const Ints axes{std::get<int64_t>(m.attr("a"))};
  const ValueId top = b.op("reduce_max", {x}, {{"axes", axes}, {"keepdims", true}});
  const ValueId centred = b.sub(x, top);
  const ValueId sum = b.op("reduce_sum", {b.op("exp", {centred})}, {{"axes", axes}, {"keepdims", true}});
  return {b.sub(centred, b.op("log", {sum}))};
}

Reason of_floats(const Graph& g, const Match& m) {
  return is_float(g.type(m.value("y")).dtype) ? Reason() : Reason("integers are divided exactly");
}

Reason broadcasts(const Graph& g, const Match& m) {
  return g.shape(m.value("a")) == g.shape(m.value("b")) ? Reason("the shapes are equal") : Reason();
}
std::vector<ValueId> build_expanded_atan2(Builder& b, const Match& m) {
  const ValueId x = m.value("a"), y = m.value("b");
  const Shape shape = b.shape(m.value("y"));
  return {b.op("atan2", {b.expand(x, shape), b.expand(y, shape)})};
}

std::vector<ValueId> build_trunc(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  return {b.mul(b.op("sign", {x}), b.op("floor", {b.op("abs", {x})}))};
}
std::vector<ValueId> build_cbrt_free_pow(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const double e = m.number("e");
  if (e == 2) return {b.mul(x, x)};
  if (e == 3) return {b.mul(b.mul(x, x), x)};
  if (e == 4) {
    const ValueId s = b.mul(x, x);
    return {b.mul(s, s)};
  }
  if (e == 0.5) return {b.op("sqrt", {x})};
  if (e == -0.5) return {b.op("rsqrt", {x})};
  return {b.div(number(b, 1, x), x)};
}
Reason simple_exponent(const Graph& g, const Match& m) {
  if (!is_float(g.type(m.value("x")).dtype)) return "it is no float";
  for (const double e : {2.0, 3.0, 4.0, 0.5, -0.5, -1.0})
    if (m.number("e") == e) return std::nullopt;
  return "the exponent is none of 2, 3, 4, 1/2, -1/2, -1";
}

constexpr std::string_view kIdentity = "An identity of the functions; float rounding apart the same.";

constexpr Rewrite kRows[] = {
    {.name = "leaky_relu_as_prelu",
     .doc = "x > 0: x; else a*x: prelu with one slope for all channels.",
     .match = "%y = leaky_relu(%x, alpha=$a)",
     .check = has_channels,
     .build = build_leaky_prelu},
    {.name = "elu_as_parts",
     .doc = "x > 0: x; else alpha*(e^x - 1): the sum of relu(x) and alpha*(e^min(x,0) - 1).",
     .match = "%y = elu(%x, alpha=$a)",
     .build = build_elu},
    {.name = "celu_as_parts",
     .doc = "relu(x) + alpha*(e^(min(x,0)/alpha) - 1): the definition.",
     .match = "%y = celu(%x, alpha=$a)",
     .build = build_celu},
    {.name = "selu_as_parts",
     .doc = "scale*(relu(x) + alpha*(e^min(x,0) - 1)): the definition.",
     .match = "%y = selu(%x)",
     .build = build_selu},
    {.name = "leaky_relu_as_maximum",
     .doc = "For 0 <= a <= 1, max(x, a*x) is x where x > 0 and a*x elsewhere.",
     .match = "%y = leaky_relu(%x, alpha=$a)",
     .check = slope_below_one,
     .build = build_leaky_maximum},
    {.name = "leaky_relu_as_parts",
     .doc = "relu(x) - a*relu(-x).",
     .match = "%y = leaky_relu(%x, alpha=$a)",
     .build = build_leaky_parts},
    {.name = "silu_as_product",
     .doc = "x * sigmoid(x): the definition.",
     .match = "%y = silu(%x)",
     .replace = "%y = mul(%x, sigmoid(%x))"},
    {.name = "hard_sigmoid_as_clamp",
     .doc = "clamp(x + 3, 0, 6) / 6: the definition, the quotient as a factor.",
     .match = "%y = hard_sigmoid(%x)",
     .build = build_hard_sigmoid},
    {.name = "hard_swish_as_clamp",
     .doc = "x * clamp(x + 3, 0, 6) / 6: the definition, the quotient as a factor.",
     .match = "%y = hard_swish(%x)",
     .build = build_hard_swish},
    {.name = "softplus_as_logarithm",
     .doc = "log(1 + e^z) = max(z, 0) + log(1 + e^-|z|); beyond the threshold the last term is below half an ulp.",
     .match = "%y = softplus(%x, beta=$b, threshold=$t)",
     .check = threshold_far,
     .build = build_softplus},
    {.name = "log_sigmoid_as_logarithm",
     .doc = "log(sigmoid(x)) = -log(1 + e^-x).",
     .match = "%y = log_sigmoid(%x)",
     .build = build_log_sigmoid},
    {.name = "mish_as_quotient",
     .doc = "tanh(log(1 + e^x)) = n/(n + 2) with n = e^x (e^x + 2).",
     .match = "%y = mish(%x)",
     .build = build_mish},
    {.name = "soft_shrink_as_relus",
     .doc = "relu(x - l) - relu(-x - l).",
     .match = "%y = soft_shrink(%x, lambd=$l)",
     .build = build_soft_shrink},
    {.name = "softsign_as_quotient",
     .doc = "x / (1 + |x|): the definition.",
     .match = "%y = softsign(%x)",
     .replace = "%y = div(%x, add(abs(%x), 1))"},
    {.name = "gelu_tanh_as_formula",
     .doc = "The definition of gelu's tanh form.",
     .match = "%y = gelu(%x, approximate=\"tanh\")",
     .build = build_gelu_tanh_formula},
    {.name = "gelu_as_erf",
     .doc = "x * (1 + erf(x / sqrt(2))) / 2: the definition.",
     .match = "%y = gelu(%x, approximate=\"none\")",
     .build = build_gelu_erf_formula},
    {.name = "gelu_erf_to_tanh",
     .doc = "The tanh form differs from the erf form by at most 4.8e-4 (near |x| = 2.3).",
     .match = "%y = gelu(%x, approximate=\"none\")",
     .numerics = Numerics::approximate,
     .build = build_tanh_gelu},
    {.name = "erf_as_polynomial",
     .doc = "Abramowitz and Stegun 7.1.26: the absolute error is at most 1.5e-7 plus float rounding.",
     .match = "%y = erf(%x)",
     .numerics = Numerics::approximate,
     .build = build_erf_polynomial},
    {.name = "log_softmax_as_softmax",
     .doc = "x - max - log(sum(e^(x - max))): the definition.",
     .match = "%y = log_softmax(%x, axis=$a)",
     .build = build_log_softmax},
    {.name = "power_as_products",
     .doc = "Small whole and half exponents are products, quotients and square roots.",
     .match = "%y = pow(%x, $e)",
     .check = simple_exponent,
     .build = build_cbrt_free_pow},
    {.name = "square_as_product", .doc = "x * x.", .match = "%y = square(%x)", .replace = "%y = mul(%x, %x)"},
    {.name = "squared_difference_as_product",
     .doc = "(a - b)^2.",
     .match = "%y = squared_difference(%a, %b)",
     .replace = "%d = sub(%a, %b); %y = mul(%d, %d)"},
    {.name = "reciprocal_as_quotient", .doc = "1 / x.", .match = "%y = reciprocal(%x)", .replace = "%y = div(1, %x)"},
    {.name = "rsqrt_as_quotient", .doc = "1 / sqrt(x).", .match = "%y = rsqrt(%x)", .replace = "%y = div(1, sqrt(%x))"},
    {.name = "neg_as_product", .doc = "-x = x * -1.", .match = "%y = neg(%x)", .replace = "%y = mul(%x, -1)"},
    {.name = "abs_as_maximum",
     .doc = "|x| = max(x, -x).",
     .match = "%y = abs(%x)",
     .replace = "%y = maximum(%x, mul(%x, -1))"},
    {.name = "expm1_as_exp", .doc = kIdentity, .match = "%y = expm1(%x)", .replace = "%y = sub(exp(%x), 1)"},
    {.name = "log1p_as_log", .doc = kIdentity, .match = "%y = log1p(%x)", .replace = "%y = log(add(%x, 1))"},
    {.name = "log2_as_log",
     .doc = "log2(x) = log(x) / log(2).",
     .match = "%y = log2(%x)",
     .replace = "%y = mul(log(%x), 1.4426950408889634)"},
    {.name = "log10_as_log",
     .doc = "log10(x) = log(x) / log(10).",
     .match = "%y = log10(%x)",
     .replace = "%y = mul(log(%x), 0.4342944819032518)"},
    {.name = "tan_as_quotient",
     .doc = "sin(x) / cos(x).",
     .match = "%y = tan(%x)",
     .replace = "%y = div(sin(%x), cos(%x))"},
    {.name = "sinh_as_exp",
     .doc = "(e^x - e^-x) / 2.",
     .match = "%y = sinh(%x)",
     .replace = "%y = mul(sub(exp(%x), exp(mul(%x, -1))), 0.5)"},
    {.name = "cosh_as_exp",
     .doc = "(e^x + e^-x) / 2.",
     .match = "%y = cosh(%x)",
     .replace = "%y = mul(add(exp(%x), exp(mul(%x, -1))), 0.5)"},
    {.name = "asinh_as_log",
     .doc = "sign(x) * log(|x| + sqrt(x^2 + 1)).",
     .match = "%y = asinh(%x)",
     .replace = "%y = mul(sign(%x), log(add(abs(%x), sqrt(add(mul(%x, %x), 1)))))"},
    {.name = "acosh_as_log",
     .doc = "log(x + sqrt(x^2 - 1)).",
     .match = "%y = acosh(%x)",
     .replace = "%y = log(add(%x, sqrt(sub(mul(%x, %x), 1))))"},
    {.name = "atanh_as_log",
     .doc = "log((1 + x) / (1 - x)) / 2.",
     .match = "%y = atanh(%x)",
     .replace = "%y = mul(log(div(add(%x, 1), sub(1, %x))), 0.5)"},
    {.name = "atan_as_atan2",
     .doc = "atan(x) = atan2(x, 1).",
     .match = "%y = atan(%x)",
     .replace = "%y = atan2(%x, 1)"},
    {.name = "atan2_of_equal_shapes",
     .doc = "The broadcast spelled out: both operands are expanded to the result's shape.",
     .match = "%y = atan2(%a, %b)",
     .check = broadcasts,
     .build = build_expanded_atan2},
    {.name = "asin_as_atan2",
     .doc = "asin(x) = atan2(x, sqrt(1 - x^2)).",
     .match = "%y = asin(%x)",
     .replace = "%y = atan2(%x, sqrt(sub(1, mul(%x, %x))))"},
    {.name = "acos_as_atan2",
     .doc = "acos(x) = atan2(sqrt(1 - x^2), x).",
     .match = "%y = acos(%x)",
     .replace = "%y = atan2(sqrt(sub(1, mul(%x, %x))), %x)"},
    {.name = "trunc_as_floor",
     .doc = "trunc(x) = sign(x) * floor(|x|).",
     .match = "%y = trunc(%x)",
     .build = build_trunc},
    {.name = "trunc_div_as_trunc",
     .doc = "trunc_div(a, b) = trunc(a / b): the definition, for floats.",
     .match = "%y = trunc_div(%a, %b)",
     .replace = "%y = trunc(div(%a, %b))",
     .check = of_floats},
    {.name = "fmod_as_trunc",
     .doc = "a - b*trunc(a/b): the definition.",
     .match = "%y = fmod(%a, %b)",
     .replace = "%y = sub(%a, mul(%b, trunc(div(%a, %b))))"},
    {.name = "isnan_as_comparison",
     .doc = "Only NaN differs from itself.",
     .match = "%y = isnan(%x)",
     .replace = "%y = not_equal(%x, %x)"},
};

}  // namespace

std::span<const Rewrite> lower_activation_rows() { return kRows; }

}  // namespace npuport
