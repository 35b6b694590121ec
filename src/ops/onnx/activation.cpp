// Activations.
#include <cmath>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

bool near(double a, double b) { return std::fabs(a - b) <= 1e-6 * std::fabs(b); }

constexpr OnnxAttrMap leaky[] = {{"alpha", "alpha", 0.01F}};
constexpr OnnxAttrMap unit[] = {{"alpha", "alpha", 1.0}};

void read_selu(OnnxRead& c) {
  const double alpha = c.f("alpha", 1.67326319217681884765625), gamma = c.f("gamma", 1.05070102214813232421875);
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  if (near(alpha, 1.6732632423543772) && near(gamma, 1.0507009873554805)) return c.ret(c.b.op("selu", {x}));
  c.ret(ox::times(c.b, c.b.op("elu", {x}, {{"alpha", alpha}}), gamma));
}

void read_hard_sigmoid(OnnxRead& c) {
  const double alpha = c.f("alpha", 0.2F), beta = c.f("beta", 0.5);
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  if (near(alpha, 1.0 / 6) && beta == 0.5) return c.ret(c.b.op("hard_sigmoid", {x}));
  const ValueId line = ox::plus(c.b, ox::times(c.b, x, alpha), beta);
  c.ret(c.b.op("clamp", {line}, {{"min", 0.0}, {"max", 1.0}}));
}

void read_softplus(OnnxRead& c) {
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  // Above the threshold log(1 + e^x) is x in the type's precision.
  const double threshold = c.b.dtype(x) == DType::f64 ? 40.0 : 20.0;
  c.ret(c.b.op("softplus", {x}, {{"beta", 1.0}, {"threshold", threshold}}));
}

void read_thresholded(OnnxRead& c) {
  const double alpha = c.f("alpha", 1.0);
  c.ret(c.b.op("threshold", {c.in(0)}, {{"threshold", alpha}, {"value", 0.0}}));
}

void read_shrink(OnnxRead& c) {
  const double bias = c.f("bias", 0.0), lambd = c.f("lambd", 0.5);
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  Builder& b = c.b;
  if (!is_float(b.dtype(x))) return c.refuse("of integers");
  if (bias == 0.0 && lambd >= 0) return c.ret(b.op("hard_shrink", {x}, {{"lambd", lambd}}));
  const ValueId below = b.op("less", {x, ox::like(b, x, -lambd)}), above = b.op("greater", {x, ox::like(b, x, lambd)});
  const ValueId positive = b.op("where", {above, ox::plus(b, x, -bias), ox::like(b, x, 0)});
  c.ret(b.op("where", {below, ox::plus(b, x, bias), positive}));
}

void read_prelu(OnnxRead& c) {
  const ValueId x = c.in(0), slope = c.in(1);
  if (c.stopped()) return;
  const Shape xs = c.b.shape(x), ss = c.b.shape(slope);
  // One slope, or one per channel.
  if (is_float(c.b.dtype(x)) && element_count(ss) == 1) {
    return c.ret(c.b.op("prelu", {x, c.b.reshape(slope, {1})}, {{"axis", xs.size() > 1 ? 1 : 0}}));
  }
  // Models of opset 6 that say they are newer: one slope per channel, without the dims of size 1.
  const bool bare = ss.size() == 1 && xs.size() > 2 && ss[0] == xs[1] && ss[0] != xs.back();
  const size_t channel = bare ? 0 : ss.size() + 1 >= xs.size() ? ss.size() + 1 - xs.size() : ss.size();
  if (is_float(c.b.dtype(x)) && xs.size() > 1 && channel < ss.size() && ss[channel] == xs[1] &&
      element_count(ss) == xs[1]) {
    return c.ret(c.b.op("prelu", {x, c.b.reshape(slope, {xs[1]})}, {{"axis", 1}}));
  }
  c.ret(c.b.op("where", {c.b.op("less", {x, ox::like(c.b, x, 0)}), c.b.mul(slope, x), x}));
}

void read_swish(OnnxRead& c) {
  const double alpha = c.f("alpha", 1.0);
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  if (alpha == 1.0) return c.ret(c.b.op("silu", {x}));
  c.ret(c.b.mul(x, c.b.op("sigmoid", {ox::times(c.b, x, alpha)})));
}

constexpr OnnxAttrMap gelu[] = {{"approximate", "approximate"}};

void read_clip(OnnxRead& c) {
  Builder& b = c.b;
  ValueId x = c.in(0);
  if (c.stopped()) return;
  const double inf = std::numeric_limits<double>::infinity();
  if (c.opset() < 11) {
    const double min = c.has_attr("min") ? c.f("min", 0) : -inf, max = c.has_attr("max") ? c.f("max", 0) : inf;
    return c.ret(b.op("clamp", {x}, {{"min", min}, {"max", max}}));
  }
  const auto constant = [&](size_t k) {
    return !c.has(k) || (b.constant_of(c.in(k)) && b.constant_of(c.in(k))->count() == 1);
  };
  if (is_float(b.dtype(x)) && constant(1) && constant(2)) {
    const double min = c.has(1) ? c.const_real(1) : -inf, max = c.has(2) ? c.const_real(2) : inf;
    if (min <= max) return c.ret(b.op("clamp", {x}, {{"min", min}, {"max", max}}));
  }
  if (c.has(1)) x = b.op("maximum", {x, c.in(1)});
  if (c.has(2)) x = b.op("minimum", {x, c.in(2)});
  c.ret(x);
}

// Until opset 12 the input is seen as a matrix, rows up to `axis` and columns from there; since 13 one axis counts.
void read_normalised(OnnxRead& c, ValueId (*fn)(Builder& b, ValueId x, int64_t axis)) {
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis_attr("axis", c.opset() < 13 ? 1 : -1);
  if (c.stopped()) return;
  if (c.opset() >= 13 || axis + 1 == static_cast<int64_t>(shape.size())) return c.ret(fn(c.b, x, axis));
  const int64_t rows = element_count(std::span(shape).first(static_cast<size_t>(axis)));
  const int64_t columns = element_count(std::span(shape).subspan(static_cast<size_t>(axis)));
  c.ret(c.b.reshape(fn(c.b, c.b.reshape(x, {rows, columns}), 1), shape));
}
void read_softmax(OnnxRead& c) {
  read_normalised(c, [](Builder& b, ValueId x, int64_t axis) { return b.op("softmax", {x}, {{"axis", axis}}); });
}
void read_log_softmax(OnnxRead& c) {
  read_normalised(c, [](Builder& b, ValueId x, int64_t axis) { return b.op("log_softmax", {x}, {{"axis", axis}}); });
}
void read_hardmax(OnnxRead& c) {
  read_normalised(c, [](Builder& b, ValueId x, int64_t axis) {
    const Shape shape = b.shape(x);
    const int64_t depth = shape.empty() ? 1 : shape[static_cast<size_t>(axis)];
    const ValueId at = b.op("arg_max", {x}, {{"axis", axis}, {"keepdims", false}});
    const ValueId hot = b.op("one_hot", {at}, {{"depth", depth}, {"dtype", b.dtype(x)}});
    return ox::move_axis(b, hot, static_cast<int64_t>(shape.size()) - 1, axis);
  });
}

constexpr OnnxRow rows[] = {
    {.name = "Relu", .since = 6, .ours = {"relu"}},
    {.name = "LeakyRelu", .since = 6, .ours = {"leaky_relu"}, .attrs = leaky},
    {.name = "Elu", .since = 6, .ours = {"elu"}, .attrs = unit},
    {.name = "Celu", .since = 12, .ours = {"celu"}, .attrs = unit},
    {.name = "Selu", .since = 6, .read = read_selu},
    {.name = "HardSigmoid", .since = 6, .read = read_hard_sigmoid},
    {.name = "HardSwish", .since = 14, .ours = {"hard_swish"}},
    {.name = "Softplus", .read = read_softplus},
    {.name = "Softsign", .ours = {"softsign"}},
    {.name = "ThresholdedRelu", .since = 10, .read = read_thresholded},
    {.name = "Shrink", .since = 9, .read = read_shrink},
    {.name = "PRelu", .since = 7, .read = read_prelu},
    {.name = "Gelu", .since = 20, .ours = {"gelu"}, .attrs = gelu},
    {.name = "Gelu",
     .domain = "com.microsoft",
     .until = 1,
     .read = [](OnnxRead& c) { c.ret(c.b.op("gelu", {c.in(0)})); }},
    {.name = "Mish", .since = 18, .ours = {"mish"}},
    {.name = "Swish", .since = 24, .read = read_swish},
    {.name = "Clip", .since = 6, .read = read_clip},
    {.name = "Softmax", .read = read_softmax},
    {.name = "LogSoftmax", .read = read_log_softmax},
    {.name = "Hardmax", .read = read_hardmax},
};

}  // namespace

std::span<const OnnxRow> onnx_activation() { return rows; }

}  // namespace npuport
