// Element-wise operators of one input, and activations.
#include <cmath>
#include <limits>

#include "ops/torch.h"

namespace npuport {
namespace {

void write_cast(TorchEmit& c) { c.ret("aten.to(" + c.in(0) + ", " + c.text(c.out_dtype()) + ")"); }

// aten::gelu takes `approximate` since 1.12 only; the tanh form is spelled out for older readers.
void write_gelu(TorchEmit& c) {
  if (c.attr().s("approximate") != "tanh") return c.ret(c.expand("F.gelu(%x)"));
  const std::string cube = c.let(c.expand("torch.mul(torch.mul(%x, %x), %x)"), "cube");
  const std::string inner = c.let(c.expand("torch.add(%x, torch.mul(") + cube + ", 0.044715))", "inner");
  const std::string scaled =
      c.let("torch.mul(" + inner + ", " + TorchEmit::text(std::sqrt(2.0 / M_PI)) + ")", "scaled");
  const std::string half = c.let(c.expand("torch.mul(%x, 0.5)"), "half_x");
  c.ret("torch.mul(" + half + ", torch.add(torch.tanh(" + scaled + "), 1.0))");
}

// ReLU6 and its kin are what PyTorch calls hardtanh.
void write_clamp(TorchEmit& c) {
  const double low = c.attr().f("min"), high = c.attr().f("max");
  const DType t = c.dtype(0);
  const bool floating = is_float(t), open_low = std::isinf(low), open_high = std::isinf(high);
  if (floating && ((low == 0 && high == 6) || (low == -1 && high == 1))) {
    return c.ret("F.hardtanh(" + c.in(0) + ", " + TorchEmit::text(low) + ", " + TorchEmit::text(high) + ")");
  }
  if (floating && low == 0 && open_high) return c.ret("torch.relu(" + c.in(0) + ")");
  // Infinite bounds on the far side change nothing; +inf as lower bound does.
  if ((open_low && low > 0) || (open_high && high < 0)) {
    return c.refuse("clamp to an infinite value");
  }
  if (open_low && open_high) return c.ret("torch.clone(" + c.in(0) + ")");
  const auto bound = [&](double v, bool open) { return open ? TorchEmit::none() : TorchEmit::number(v, t); };
  if (!floating && ((!open_low && std::fabs(low) > 9e15) || (!open_high && std::fabs(high) > 9e15))) {
    return c.refuse("a bound of clamp lies beyond what a real attribute holds exactly");
  }
  c.ret("torch.clamp(" + c.in(0) + ", " + bound(low, open_low) + ", " + bound(high, open_high) + ")");
}

void write_prelu(TorchEmit& c) {
  const int64_t axis = c.attr().i("axis"), rank = static_cast<int64_t>(c.rank(0)), slopes = element_count(c.shape(1));
  std::string slope = c.in(1);
  if (c.rank(1) != 1) slope = c.let("torch.reshape(" + slope + ", " + TorchEmit::text(Ints{slopes}) + ")", "slope");
  if (slopes == 1 || (axis == 1 && rank > 1)) return c.ret("torch.prelu(" + c.in(0) + ", " + slope + ")");
  Ints shape(static_cast<size_t>(rank), 1);
  shape[static_cast<size_t>(axis)] = slopes;
  const std::string wide = c.let("torch.reshape(" + slope + ", " + TorchEmit::text(shape) + ")", "slope");
  c.ret(c.expand("torch.where(torch.gt(%x, 0), %x, torch.mul(%x, ") + wide + "))");
}

constexpr TorchRow kRows[] = {
    {"abs", "torch.abs(%x)"},
    {"neg", "torch.neg(%x)"},
    {"exp", "torch.exp(%x)"},
    {"expm1", "torch.expm1(%x)"},
    {"log", "torch.log(%x)"},
    {"log1p", "torch.log1p(%x)"},
    {"log2", "torch.log2(%x)"},
    {"log10", "torch.log10(%x)"},
    {"sqrt", "torch.sqrt(%x)"},
    {"rsqrt", "torch.rsqrt(%x)"},
    {"reciprocal", "torch.reciprocal(%x)"},
    {"sin", "torch.sin(%x)"},
    {"cos", "torch.cos(%x)"},
    {"tan", "torch.tan(%x)"},
    {"asin", "torch.asin(%x)"},
    {"acos", "torch.acos(%x)"},
    {"atan", "torch.atan(%x)"},
    {"sinh", "torch.sinh(%x)"},
    {"cosh", "torch.cosh(%x)"},
    {"asinh", "torch.asinh(%x)"},
    {"acosh", "torch.acosh(%x)"},
    {"atanh", "torch.atanh(%x)"},
    {"erf", "torch.erf(%x)"},
    {"erfinv", "torch.erfinv(%x)"},
    {"lgamma", "torch.lgamma(%x)"},
    {"floor", "torch.floor(%x)"},
    {"ceil", "torch.ceil(%x)"},
    {"round", "torch.round(%x)"},
    {"trunc", "torch.trunc(%x)"},
    {"sign", "torch.sign(%x)"},
    {"square", "torch.mul(%x, %x)"},
    {"relu", "torch.relu(%x)"},
    {"sigmoid", "torch.sigmoid(%x)"},
    {"tanh", "torch.tanh(%x)"},
    {"bitwise_not", "torch.bitwise_not(%x)"},
    {"logical_not", "torch.logical_not(%x)"},
    {"isnan", "torch.isnan(%x)"},
    {"isinf", "torch.isinf(%x)"},
    {"cast", {}, write_cast},
    {"leaky_relu", "F.leaky_relu(%x, $alpha)"},
    {"elu", "F.elu(%x, $alpha)"},
    {"celu", "torch.celu(%x, $alpha)"},
    {"selu", "torch.selu(%x)"},
    {"gelu", {}, write_gelu},
    {"silu", "F.silu(%x)"},
    {"hard_swish", "F.hardswish(%x)"},
    {"hard_sigmoid", "F.hardsigmoid(%x)"},
    {"softplus", "F.softplus(%x, $beta, $threshold)"},
    {"softsign", "torch.div(%x, torch.add(torch.abs(%x), 1.0))", nullptr, 4},
    {"mish", "torch.mul(%x, torch.tanh(F.softplus(%x)))"},
    {"hard_shrink", "torch.hardshrink(%x, $lambd)"},
    {"soft_shrink", "F.softshrink(%x, $lambd)"},
    {"threshold", "torch.threshold(%x, $threshold, $value)"},
    {"log_sigmoid", "aten.log_sigmoid(%x)"},
    {"clamp", {}, write_clamp},
    {"prelu", {}, write_prelu},
    {"softmax", "torch.softmax(%x, $axis)"},
    {"log_softmax", "torch.log_softmax(%x, $axis)"},
};

}  // namespace

std::span<const TorchRow> torch_unary() { return kRows; }

}  // namespace npuport
