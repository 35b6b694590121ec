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

// ---- operators on quantised numbers, of ai.onnx and of ONNX Runtime (com.microsoft): the plain operator between real
// numbers. Scales are single numbers unless said otherwise.

// What operator `type` of ai.onnx computes of other operands under the attributes of this one.
ValueId plain(OnnxRead& c, std::string_view type, std::vector<ValueId> in, int opset = 13) {
  const OnnxRow* row = onnx_row("", type, opset);
  OnnxOperator o = c.stored();
  o.type = std::string(type);
  o.domain.clear();
  o.in.assign(in.size(), 0);
  for (size_t k = 0; k < in.size(); ++k) o.in[k] = in[k].valid() ? 0 : -1;
  o.out = {0};
  if (c.stopped()) return {};
  OnnxRead inner(c.b, *row, o, opset, std::move(in));
  onnx_read(inner);
  if (inner.refusal()) c.refuse(*inner.refusal());
  return c.stopped() ? ValueId{} : inner.values()[0];
}

// Operand k less its zero point, k + 2, as float32 whole numbers. `line` is the shape of zero points that are many.
ValueId centred(OnnxRead& c, size_t k, const Shape& line = {}) {
  Builder& b = c.b;
  const ValueId x = b.cast(c.in(k), DType::f32);
  if (!c.has(k + 2)) return x;
  const ValueId zero = c.in(k + 2);
  if (c.stopped()) return {};
  return b.sub(x, b.cast(b.reshape(zero, element_count(b.shape(zero)) == 1 ? Shape{} : line), DType::f32));
}

ValueId number(OnnxRead& c, size_t k, const Shape& line = {}) {
  const ValueId v = c.in(k);
  if (c.stopped()) return {};
  return c.b.reshape(v, element_count(c.b.shape(v)) == 1 ? Shape{} : line);
}

ValueId dequantized(OnnxRead& c, size_t k) { return c.b.mul(centred(c, k), number(c, k + 1)); }

// Gives y by the scale in operand k and the zero point in k + 1.
void give_quantized(OnnxRead& c, ValueId y, size_t k) {
  const DType to = c.has(k + 1) ? c.b.dtype(c.in(k + 1)) : DType::u8;
  const ValueId scale = number(c, k), zero = c.has(k + 1) ? number(c, k + 1) : ValueId{};
  if (c.stopped()) return;
  if (!range_of(to)) return c.refuse(fmt::format("to {}", name(to)));
  c.ret(quantized(c.b, y, scale, zero, to));
}

// Sums of products of whole numbers, scaled once: exact in float32 below 2^24.
void read_qlinear_conv(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId w = c.in(3);
  if (c.stopped()) return;
  Shape outer(b.shape(w).size(), 1), channels = outer;
  if (outer.size() < 3) return c.refuse("of vectors");
  outer[0] = channels[1] = b.shape(w)[0];
  std::vector<ValueId> in{centred(c, 0), centred(c, 3, outer)};
  if (c.has(8)) in.push_back(b.cast(c.in(8), DType::f32));
  const ValueId sum = plain(c, "Conv", std::move(in));
  const ValueId unit = b.mul(number(c, 1), number(c, 4, channels));
  if (!c.stopped()) give_quantized(c, b.mul(sum, unit), 6);
}

// alpha · (A'B' + C) · scales; real when no scale of the result is given.
void read_qgemm(OnnxRead& c) {
  Builder& b = c.b;
  if (c.stopped()) return;
  const auto of = [&](size_t k, std::string_view transposed) {
    const ValueId v = centred(c, k);
    return c.i(transposed, 0) != 0 && !c.stopped() ? b.transpose(v, {1, 0}) : v;
  };
  if (c.rank(0) != 2 || c.rank(3) != 2) return c.refuse("of other than matrices");
  ValueId sum = b.op("matmul", {of(0, "transA"), of(3, "transB")});
  if (c.has(6)) sum = b.add(sum, b.cast(c.in(6), DType::f32));
  if (c.stopped()) return;
  const ValueId unit = b.mul(number(c, 1), number(c, 4, {element_count(c.shape(4))}));
  const ValueId y = b.mul(sum, b.mul(unit, ox::like(b, sum, c.f("alpha", 1))));
  if (c.stopped()) return;
  if (!c.has(7)) return c.ret(y);
  give_quantized(c, y, 7);
}

void read_qlinear_add(OnnxRead& c) {
  const ValueId y = c.b.add(dequantized(c, 0), dequantized(c, 3));
  if (!c.stopped()) give_quantized(c, y, 6);
}
void read_qlinear_mul(OnnxRead& c) {
  const ValueId y = c.b.mul(dequantized(c, 0), dequantized(c, 3));
  if (!c.stopped()) give_quantized(c, y, 6);
}

// "QLinearSigmoid": the operator after the prefix. Before opset 13 Softmax took all behind its axis for one row.
void read_qlinear_unary(OnnxRead& c) {
  if (c.i("channels_last", 0) != 0) return c.refuse("with channels last");
  const std::string type = c.type().substr(std::string_view("QLinear").size());
  const ValueId y = plain(c, type, {dequantized(c, 0)}, c.i("opset", 13) < 13 ? 12 : 13);
  if (!c.stopped()) give_quantized(c, y, 3);
}

void read_qlinear_concat(OnnxRead& c) {
  std::vector<ValueId> parts;
  for (size_t k = 2; k + 2 < c.arity(); k += 3) parts.push_back(dequantized(c, k));
  if (parts.empty()) return c.refuse("of nothing");
  const ValueId y = plain(c, "Concat", std::move(parts));
  if (!c.stopped()) give_quantized(c, y, 0);
}

void read_qlinear_where(OnnxRead& c) {
  const ValueId y = plain(c, "Where", {c.in(0), dequantized(c, 1), dequantized(c, 4)});
  if (!c.stopped()) give_quantized(c, y, 7);
}

constexpr std::string_view kMs = "com.microsoft";

constexpr OnnxRow rows[] = {
    {.name = "DequantizeLinear", .since = 10, .read = read_dequantize},
    {.name = "DequantizeLinear", .domain = kMs, .read = read_dequantize},
    {.name = "QuantizeLinear", .domain = kMs, .read = read_quantize},
    {.name = "QLinearConv", .since = 10, .read = read_qlinear_conv},
    {.name = "QLinearConv", .domain = kMs, .read = read_qlinear_conv},
    {.name = "QGemm", .domain = kMs, .read = read_qgemm},
    {.name = "QLinearAdd", .domain = kMs, .read = read_qlinear_add},
    {.name = "QLinearMul", .domain = kMs, .read = read_qlinear_mul},
    {.name = "QLinearSigmoid", .domain = kMs, .read = read_qlinear_unary},
    {.name = "QLinearLeakyRelu", .domain = kMs, .read = read_qlinear_unary},
    {.name = "QLinearAveragePool", .domain = kMs, .read = read_qlinear_unary},
    {.name = "QLinearGlobalAveragePool", .domain = kMs, .read = read_qlinear_unary},
    {.name = "QLinearReduceMean", .domain = kMs, .read = read_qlinear_unary},
    {.name = "QLinearSoftmax", .domain = kMs, .read = read_qlinear_unary},
    {.name = "QLinearConcat", .domain = kMs, .read = read_qlinear_concat},
    {.name = "QLinearWhere", .domain = kMs, .read = read_qlinear_where},
    {.name = "QuantizeLinear", .since = 10, .read = read_quantize},
    {.name = "DynamicQuantizeLinear", .since = 11, .read = read_dynamic_quantize},
    {.name = "QLinearMatMul", .since = 10, .read = read_qlinear_matmul},
};

}  // namespace

std::span<const OnnxRow> onnx_quantize() { return rows; }

}  // namespace npuport
