// Activation functions, clamp, softmax; steps of quantisation.
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

template <Name name>
void write_alpha(OnnxEmit& c) {
  c.give(c.unary(name, c.in(0), {{"alpha", c.attr().f("alpha")}}));
}

// Before opset 12: elu scaled, alpha * elu(x / alpha) for x < 0 and x above.
void write_celu(OnnxEmit& c) {
  if (c.opset() >= 12) return write_alpha<"Celu">(c);
  const double alpha = c.attr().f("alpha");
  const int32_t x = c.in(0), zero = c.like(x, 0);
  const int32_t below = c.sub(c.unary("Exp", c.div(x, c.like(x, alpha))), c.like(x, 1));
  c.give(c.where(c.compare("Greater", x, zero), x, c.mul(below, c.like(x, alpha))));
}

void write_selu(OnnxEmit& c) {
  c.give(c.unary("Selu", c.in(0), {{"alpha", 1.6732632423543772}, {"gamma", 1.0507009873554805}}));
}

// Gelu is an operator from opset 20 on.
void write_gelu(OnnxEmit& c) {
  const int32_t x = c.in(0), half = c.like(x, 0.5), one = c.like(x, 1);
  if (c.attr().s("approximate") == "tanh") {
    const int32_t cube = c.mul(c.mul(x, x), x);
    const int32_t inner =
        c.mul(c.add(x, c.mul(cube, c.like(x, 0.044715))), c.like(x, std::numbers::sqrt2 * std::numbers::inv_sqrtpi));
    return c.give(c.mul(c.mul(x, half), c.add(c.unary("Tanh", inner), one)));
  }
  // The form that compilers know as GELU: x / sqrt(2), erf, + 1, * x, * 0.5.
  const int32_t erf = c.unary("Erf", c.div(x, c.like(x, std::numbers::sqrt2)));
  c.give(c.mul(c.mul(x, c.add(erf, one)), half));
}

void write_silu(OnnxEmit& c) { c.give(c.mul(c.in(0), c.unary("Sigmoid", c.in(0)))); }

int32_t hard_sigmoid(OnnxEmit& c, int32_t x) { return c.unary("HardSigmoid", x, {{"alpha", 1.0 / 6}, {"beta", 0.5}}); }

void write_hard_sigmoid(OnnxEmit& c) { c.give(hard_sigmoid(c, c.in(0))); }

void write_hard_swish(OnnxEmit& c) {
  if (c.opset() >= 14) return c.give(c.unary("HardSwish", c.in(0)));
  c.give(c.mul(c.in(0), hard_sigmoid(c, c.in(0))));
}

// x above the threshold is what Softplus gives there up to e^-threshold.
void write_softplus(OnnxEmit& c) {
  const double beta = c.attr().f("beta"), threshold = c.attr().f("threshold");
  const int32_t x = c.in(0);
  const int32_t scaled = beta == 1 ? x : c.mul(x, c.like(x, beta));
  int32_t y = c.unary("Softplus", scaled);
  if (beta != 1) y = c.div(y, c.like(x, beta));
  if (threshold < 16) y = c.where(c.compare("Greater", scaled, c.like(x, threshold)), x, y);
  c.give(y);
}

void write_mish(OnnxEmit& c) { c.give(c.mul(c.in(0), c.unary("Tanh", c.unary("Softplus", c.in(0))))); }

void write_shrink(OnnxEmit& c) {
  const double lambd = c.attr().f("lambd");
  c.give(c.unary("Shrink", c.in(0), {{"bias", c.node().op->name == "soft_shrink" ? lambd : 0.0}, {"lambd", lambd}}));
}

void write_threshold(OnnxEmit& c) {
  const int32_t x = c.in(0);
  const int32_t low = c.compare("LessOrEqual", x, c.like(x, c.attr().f("threshold")));
  c.give(c.where(low, c.like(x, c.attr().f("value")), x));
}

void write_log_sigmoid(OnnxEmit& c) { c.give(c.unary("Neg", c.unary("Softplus", c.unary("Neg", c.in(0))))); }

// Before opset 12 Clip takes floats only.
void write_clamp(OnnxEmit& c) {
  const double low = c.attr().f("min"), high = c.attr().f("max");
  const int32_t x = c.in(0);
  if (is_float(c.dtype(0)) || (c.opset() >= 12 && (low != 0 || std::isfinite(high)))) {
    // When min > max the result is max; Clip says so from opset 13 on.
    return c.give(clip(c, x, low > high ? high : low, high));
  }
  int32_t y = x;
  if (std::isfinite(low)) y = c.where(c.compare("Less", y, c.like(x, low)), c.like(x, low), y);
  if (std::isfinite(high)) y = c.where(c.compare("Greater", y, c.like(x, high)), c.like(x, high), y);
  c.give(y);
}

// The slope broadcasts from the right: [channels, 1, …].
void write_prelu(OnnxEmit& c) {
  const int64_t slopes = element_count(c.shape(1)), rank = static_cast<int64_t>(c.rank(0));
  Shape shape;
  if (slopes > 1) {
    shape.assign(static_cast<size_t>(rank - c.attr().i("axis")), 1);
    shape[0] = slopes;
  } else if (rank > 0) {
    shape = {1};
  }
  c.give(c.op("PRelu", {c.in(0), c.reshape(c.in(1), shape)}, c.out_dtype(), c.out_shape()));
}

// Before opset 13 Softmax flattens what lies behind the axis: only the last one means the same.
template <Name name>
void write_softmax(OnnxEmit& c) {
  const size_t rank = c.rank(0);
  int32_t x = c.in(0);
  if (rank == 0) return c.give(c.unary(name, c.reshape(x, {1}), {{"axis", 0}}));
  const auto axis = static_cast<size_t>(axis_of(c, rank));
  if (c.opset() >= 13 || axis + 1 == rank) {
    return c.give(c.unary(name, x, {{"axis", static_cast<int64_t>(axis)}}));
  }
  Ints swap;
  for (size_t d = 0; d < rank; ++d) swap.push_back(static_cast<int64_t>(d));
  std::swap(swap[axis], swap[rank - 1]);
  x = c.unary(name, c.transpose(x, swap), {{"axis", static_cast<int64_t>(rank) - 1}});
  c.give(c.transpose(x, swap));
}

// Written as arithmetic: compilers of float models refuse QuantizeLinear.
void write_fake_quantize(OnnxEmit& c) {
  const int64_t axis = c.attr().i("axis");
  Shape shape(c.rank(0), 1);
  if (axis >= 0) shape[static_cast<size_t>(axis)] = element_count(c.shape(1));
  const int32_t x = c.in(0), scale = c.reshape(c.in(1), shape);
  const int32_t zero = c.cast(c.reshape(c.in(2), shape), c.dtype(0));
  const int32_t steps = c.unary("Round", c.add(zero, c.mul(x, c.unary("Reciprocal", scale))));
  const int32_t clipped =
      clip(c, steps, static_cast<double>(c.attr().i("quant_min")), static_cast<double>(c.attr().i("quant_max")));
  c.give(c.mul(c.sub(clipped, zero), scale));
}

void write_nested_rows(OnnxEmit& c) {
  Shape shape(c.rank(0), 1);
  std::copy_n(c.shape(1).begin(), 2, shape.begin());
  const int32_t x = c.in(0);
  c.give(c.where(c.reshape(c.in(1), shape), x, c.like(x, 0)));
}

constexpr OnnxWriter rows[] = {
    {"leaky_relu", write_alpha<"LeakyRelu">},
    {"elu", write_alpha<"Elu">},
    {"celu", write_celu},
    {"selu", write_selu},
    {"gelu", write_gelu},
    {"silu", write_silu},
    {"hard_swish", write_hard_swish},
    {"hard_sigmoid", write_hard_sigmoid},
    {"softplus", write_softplus},
    {"softsign", same1<"Softsign">},
    {"mish", write_mish},
    {"hard_shrink", write_shrink},
    {"soft_shrink", write_shrink},
    {"threshold", write_threshold},
    {"log_sigmoid", write_log_sigmoid},
    {"clamp", write_clamp},
    {"prelu", write_prelu},
    {"softmax", write_softmax<"Softmax">},
    {"log_softmax", write_softmax<"LogSoftmax">},
    {"fake_quantize", write_fake_quantize},
    {"nested_rows", write_nested_rows},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_activation() { return rows; }

}  // namespace npuport
