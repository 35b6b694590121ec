// Element-wise operators of one input.
#include <numbers>

#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

void write_expm1(OnnxEmit& c) {
  const int32_t x = c.in(0);
  c.give(c.sub(c.unary("Exp", x), c.like(x, 1)));
}

void write_log1p(OnnxEmit& c) {
  const int32_t x = c.in(0);
  c.give(c.unary("Log", c.add(x, c.like(x, 1))));
}

template <int base>
void write_log(OnnxEmit& c) {
  const int32_t x = c.in(0);
  c.give(c.mul(c.unary("Log", x), c.like(x, base == 2 ? std::numbers::log2e : std::numbers::log10e)));
}

void write_rsqrt(OnnxEmit& c) { c.give(c.unary("Reciprocal", c.unary("Sqrt", c.in(0)))); }

void write_square(OnnxEmit& c) { c.give(c.mul(c.in(0), c.in(0))); }

void write_trunc(OnnxEmit& c) {
  const int32_t x = c.in(0);
  c.give(c.mul(c.unary("Sign", x), c.unary("Floor", c.unary("Abs", x))));
}

// Integers before opset 14: max(x, 0).
void write_relu(OnnxEmit& c) {
  const int32_t x = c.in(0);
  if (is_float(c.dtype(0)) || c.opset() >= 14) return c.give(c.unary("Relu", x));
  const int32_t zero = c.like(x, 0);
  c.give(c.where(c.compare("Less", x, zero), zero, x));
}

void write_logical_not(OnnxEmit& c) { c.give(c.unary("Not", truth(c, c.in(0)))); }

void write_bitwise_not(OnnxEmit& c) {
  const int32_t x = c.in(0);
  if (c.dtype(0) == DType::boolean) return c.give(c.unary("Not", x));
  if (!is_signed(c.dtype(0))) return c.give(c.sub(c.like(x, c.dtype(0) == DType::u8 ? 255 : 65535), x));
  c.give(c.sub(c.like(x, -1), x));
}

template <Name name>
void write_predicate(OnnxEmit& c) {
  c.give(c.op(name, {c.in(0)}, DType::boolean, c.out_shape()));
}

void write_cast(OnnxEmit& c) { c.give(c.cast(c.in(0), c.out_dtype())); }

constexpr OnnxWriter rows[] = {
    {"abs", same1<"Abs">},
    {"neg", same1<"Neg">},
    {"exp", same1<"Exp">},
    {"expm1", write_expm1},
    {"log", same1<"Log">},
    {"log1p", write_log1p},
    {"log2", write_log<2>},
    {"log10", write_log<10>},
    {"sqrt", same1<"Sqrt">},
    {"rsqrt", write_rsqrt},
    {"reciprocal", same1<"Reciprocal">},
    {"sin", same1<"Sin">},
    {"cos", same1<"Cos">},
    {"tan", same1<"Tan">},
    {"asin", same1<"Asin">},
    {"acos", same1<"Acos">},
    {"atan", same1<"Atan">},
    {"sinh", same1<"Sinh">},
    {"cosh", same1<"Cosh">},
    {"asinh", same1<"Asinh">},
    {"acosh", same1<"Acosh">},
    {"atanh", same1<"Atanh">},
    {"erf", same1<"Erf">},
    {"floor", same1<"Floor">},
    {"ceil", same1<"Ceil">},
    {"round", same1<"Round">},
    {"trunc", write_trunc},
    {"sign", same1<"Sign">},
    {"square", write_square},
    {"relu", write_relu},
    {"sigmoid", same1<"Sigmoid">},
    {"tanh", same1<"Tanh">},
    {"logical_not", write_logical_not},
    {"bitwise_not", write_bitwise_not},
    {"isnan", write_predicate<"IsNaN">},
    {"isinf", write_predicate<"IsInf">},
    {"cast", write_cast},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_unary() { return rows; }

}  // namespace npuport
