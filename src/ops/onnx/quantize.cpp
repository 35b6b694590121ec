// Quantised numbers in real arithmetic: exact, and foldable where the operands are constants.
#include <fmt/format.h>

#include <algorithm>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

struct Range {
  double min, max;
};
std::optional<Range> range_of(DType t) {
  switch (t) {
    case DType::i8:
      return Range{-128, 127};
    case DType::u8:
      return Range{0, 255};
    case DType::i16:
      return Range{-32768, 32767};
    case DType::u16:
      return Range{0, 65535};
    default:
      return std::nullopt;
  }
}

// A scale or zero point shaped to broadcast with x: one number, one per index of the axis, or one per block along it.
ValueId spread(OnnxRead& c, ValueId v, const Shape& x) {
  Builder& b = c.b;
  const Shape vs = b.shape(v);
  if (element_count(vs) == 1 && vs.size() <= 1) return b.reshape(v, {});
  const int64_t axis = c.axis(c.i("axis", 1), x.size());
  const int64_t block = c.opset() < 21 ? 0 : c.i("block_size", 0);
  if (c.stopped()) return {};
  const auto a = static_cast<size_t>(axis);
  if (vs.size() == 1 && block == 0 && vs[0] == x[a]) {
    Shape line(x.size(), 1);
    line[a] = vs[0];
    return b.reshape(v, line);
  }
  Shape whole = vs;
  if (vs.size() == x.size() && block > 0) whole[a] = vs[a] * block;
  if (vs.size() != x.size() || block < 1 || whole[a] < x[a] || whole[a] - x[a] >= block) {
    c.fail(Diag(diag::shape_mismatch, fmt::format("{}: scale {} for {}", c.type(), to_string(vs), to_string(x))));
    return {};
  }
  Shape split = vs;
  split.insert(split.begin() + axis + 1, 1);
  Shape wide = split;
  wide[a + 1] = block;
  return ox::slice(b, b.reshape(b.expand(b.reshape(v, split), wide), whole), axis, 0, x[a]);
}

void read_dequantize(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0), scale = c.in(1);
  if (c.stopped()) return;
  const Shape shape = b.shape(x);
  const DType type = c.opset() >= 23 ? c.dtype_attr("output_dtype", b.dtype(scale)) : b.dtype(scale);
  const ValueId s = spread(c, scale, shape);
  ValueId zero = c.has(2) ? spread(c, c.in(2), shape) : ValueId{};
  if (c.stopped()) return;
  if (zero.valid()) {
    // No shift where the zero point is known to be 0.
    const Tensor* z = b.constant_of(zero);
    bool any = z == nullptr;
    for (int64_t i = 0; z != nullptr && i < z->count(); ++i) any = any || get_double(*z, i) != 0;
    if (!any) zero = {};
  }
  // i32 is subtracted before the conversion, so that nothing is rounded twice.
  ValueId centred = zero.valid() ? b.sub(b.cast(x, DType::i32), b.cast(zero, DType::i32)) : x;
  const DType wide = b.dtype(scale) == DType::f64 ? DType::f64 : DType::f32;
  c.ret(b.cast(b.mul(b.cast(centred, wide), b.cast(s, wide)), type));
}

// saturate(round(x / scale) + zero point), halves to even.
ValueId quantized(Builder& b, ValueId x, ValueId scale, ValueId zero, DType to) {
  const Range r = *range_of(to);
  const DType wide = b.dtype(x) == DType::f64 ? DType::f64 : DType::f32;
  ValueId y = b.op("round", {b.div(b.cast(x, wide), b.cast(scale, wide))});
  if (zero.valid()) y = b.add(y, b.cast(zero, wide));
  return b.cast(b.op("clamp", {y}, {{"min", r.min}, {"max", r.max}}), to);
}

void read_quantize(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0), scale = c.in(1);
  if (c.stopped()) return;
  const Shape shape = b.shape(x);
  DType to = c.has(2) ? b.dtype(c.in(2)) : DType::u8;
  if (c.opset() >= 21 && c.i("output_dtype", 0) != 0) to = c.dtype_attr("output_dtype", to);
  if (c.stopped()) return;
  if (!range_of(to)) return c.refuse(fmt::format("to {}", name(to)));
  if (is_integer(b.dtype(x))) return c.refuse("of integers");
  const ValueId s = spread(c, scale, shape);
  const ValueId zero = c.has(2) ? spread(c, c.in(2), shape) : ValueId{};
  if (!c.stopped()) c.ret(quantized(b, x, s, zero, to));
}

// u8 with the range of the data, 0 included.
void read_dynamic_quantize(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  const Shape shape = b.shape(x);
  if (element_count(shape) == 0) return c.refuse("of an empty tensor");
  const Ints all = ox::all_axes(shape.size());
  const ValueId nil = ox::like(b, x, 0);
  const ValueId high = b.op("maximum", {ox::reduce(b, "reduce_max", x, all, false), nil});
  const ValueId low = b.op("minimum", {ox::reduce(b, "reduce_min", x, all, false), nil});
  const ValueId scale = b.div(b.sub(high, low), ox::like(b, x, 255));
  const ValueId from_zero = b.op("clamp", {b.op("neg", {b.div(low, scale)})}, {{"min", 0.0}, {"max", 255.0}});
  const ValueId zero = b.cast(b.op("round", {from_zero}), DType::u8);
  c.ret(0, quantized(b, x, scale, zero, DType::u8));
  c.ret(1, scale);
  c.ret(2, zero);
}

// (a - zero) · scale, one scale or one per row (column).
ValueId real_of(OnnxRead& c, size_t k, bool rows) {
  Builder& b = c.b;
  const ValueId x = b.cast(c.in(k), DType::f64);
  ValueId scale = b.cast(c.in(k + 1), DType::f64), zero = b.cast(c.in(k + 2), DType::f64);
  if (c.stopped()) return {};
  const auto shaped = [&](ValueId v) {
    const Shape s = b.shape(v);
    if (element_count(s) == 1 && s.size() <= 1) return b.reshape(v, {});
    return s.size() == 1 && rows ? b.reshape(v, {s[0], 1}) : v;
  };
  return b.mul(b.sub(x, shaped(zero)), shaped(scale));
}

void read_qlinear_matmul(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = real_of(c, 0, true), w = real_of(c, 3, false);
  if (c.stopped()) return;
  if (b.shape(x).size() < 2 || b.shape(w).size() < 2) return c.refuse("of vectors");
  const DType to = b.dtype(c.in(7));
  if (!range_of(to)) return c.refuse(fmt::format("to {}", name(to)));
  const auto one = [&](ValueId v) { return element_count(b.shape(v)) == 1 ? b.reshape(v, {}) : v; };
  c.ret(quantized(b, b.op("matmul", {x, w}), one(b.cast(c.in(6), DType::f64)), one(c.in(7)), to));
}

constexpr OnnxRow rows[] = {
    {.name = "DequantizeLinear", .since = 10, .read = read_dequantize},
    {.name = "QuantizeLinear", .since = 10, .read = read_quantize},
    {.name = "DynamicQuantizeLinear", .since = 11, .read = read_dynamic_quantize},
    {.name = "QLinearMatMul", .since = 10, .read = read_qlinear_matmul},
};

}  // namespace

std::span<const OnnxRow> onnx_quantize() { return rows; }

}  // namespace npuport
