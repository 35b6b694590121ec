// Element-wise arithmetic, comparisons, logic and selection.
#include <cmath>
#include <numbers>

#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

// Integers before opset 12 have comparisons only.
template <Name name>
void write_extremum(OnnxEmit& c) {
  const int32_t a = c.in(0), b = c.in(1);
  if (is_float(c.dtype(0)) || c.opset() >= 12) return c.give(c.binary(name, a, b));
  const int32_t less = c.compare("Less", a, b);
  c.give(std::string_view(name) == "Max" ? c.where(less, b, a) : c.where(less, a, b));
}

void write_mod(OnnxEmit& c) { c.give(python_mod(c, c.in(0), c.in(1))); }

void write_fmod(OnnxEmit& c) { c.give(c.binary("Mod", c.in(0), c.in(1), {{"fmod", 1}})); }

// floor(a / b): without the remainder the division is whole, so rounding it cannot fall on the wrong side.
void write_floor_div(OnnxEmit& c) {
  const int32_t a = c.in(0), b = c.in(1);
  const int32_t whole = c.div(c.sub(a, python_mod(c, a, b)), b);
  if (!is_float(c.dtype(0))) return c.give(whole);
  const Tensor* divisor = c.constant_of(1);
  bool zero = divisor == nullptr;
  for (int64_t i = 0; !zero && i < divisor->count(); ++i) zero = get_double(*divisor, i) == 0;
  const int32_t quotient = c.unary("Round", whole);
  if (!zero) return c.give(quotient);
  c.give(c.where(c.compare("Equal", b, c.like(b, 0)), c.div(a, b), quotient));
}

void write_trunc_div(OnnxEmit& c) {
  const int32_t q = c.div(c.in(0), c.in(1));
  if (!is_float(c.dtype(0))) return c.give(q);
  c.give(c.mul(c.unary("Sign", q), c.unary("Floor", c.unary("Abs", q))));
}

// The angle of atan(a / b), moved by pi to the left half plane; 0 / 0 is 0.
void write_atan2(OnnxEmit& c) {
  const int32_t a = c.in(0), b = c.in(1), zero = c.like(a, 0);
  const int32_t slope = c.unary("Atan", c.div(a, b));
  const int32_t turn = c.where(c.compare("Less", a, zero), c.like(a, -std::numbers::pi), c.like(a, std::numbers::pi));
  const int32_t angle = c.where(c.compare("Less", b, zero), c.add(slope, turn), slope);
  const int32_t origin = c.binary("And", c.compare("Equal", a, zero), c.compare("Equal", b, zero));
  c.give(c.where(origin, zero, angle));
}

void write_squared_difference(OnnxEmit& c) {
  const int32_t d = c.sub(c.in(0), c.in(1));
  c.give(c.mul(d, d));
}

void write_not_equal(OnnxEmit& c) { c.give(c.unary("Not", c.compare("Equal", c.in(0), c.in(1)))); }

template <Name name>
void write_logical(OnnxEmit& c) {
  c.give(c.binary(name, truth(c, c.in(0)), truth(c, c.in(1))));
}

template <Name name>
void write_bitwise(OnnxEmit& c) {
  if (c.dtype(0) != DType::boolean) {
    return c.refuse("bitwise operators on integers begin with opset 18; on bools they are written");
  }
  c.give(c.binary(name, c.in(0), c.in(1)));
}

// 2^b of a shift count; constants only, as counts beyond the width have a meaning of their own.
int32_t power_of_two(OnnxEmit& c) {
  const Tensor* count = c.constant_of(1);
  if (count == nullptr || bits(c.dtype(0)) < 32) {
    c.refuse("ONNX shifts unsigned integers only; a constant count of 32 or 64-bit integers is written as a factor");
    return -1;
  }
  Tensor factors = Tensor::zeros(DType::i64, count->shape);
  for (int64_t i = 0; i < count->count(); ++i) {
    const int64_t n = get_int(*count, i);
    if (n < 0 || n > bits(c.dtype(0)) - 2) c.refuse("a shift count lies outside the width");
    factors.mut<int64_t>()[static_cast<size_t>(i)] = int64_t{1} << std::clamp<int64_t>(n, 0, 62);
  }
  return c.constant(cast_tensor(factors, c.dtype(0)));
}

void write_shift_left(OnnxEmit& c) {
  const int32_t factor = power_of_two(c);
  if (!c.refused()) c.give(c.mul(c.in(0), factor));
}

void write_shift_right(OnnxEmit& c) {
  const int32_t factor = power_of_two(c);
  if (!c.refused()) c.give(c.div(c.sub(c.in(0), c.binary("Mod", c.in(0), factor)), factor));
}

void write_where(OnnxEmit& c) { c.give(c.where(c.in(0), c.in(1), c.in(2))); }

constexpr OnnxWriter rows[] = {
    {"add", same2<"Add">},
    {"sub", same2<"Sub">},
    {"mul", same2<"Mul">},
    {"div", same2<"Div">},
    {"pow", same2<"Pow">},
    {"maximum", write_extremum<"Max">},
    {"minimum", write_extremum<"Min">},
    {"mod", write_mod},
    {"fmod", write_fmod},
    {"floor_div", write_floor_div},
    {"trunc_div", write_trunc_div},
    {"atan2", write_atan2},
    {"squared_difference", write_squared_difference},
    {"bitwise_and", write_bitwise<"And">},
    {"bitwise_or", write_bitwise<"Or">},
    {"bitwise_xor", write_bitwise<"Xor">},
    {"shift_left", write_shift_left},
    {"shift_right", write_shift_right},
    {"equal", compare2<"Equal">},
    {"not_equal", write_not_equal},
    {"less", compare2<"Less">},
    {"less_equal", compare2<"LessOrEqual">},
    {"greater", compare2<"Greater">},
    {"greater_equal", compare2<"GreaterOrEqual">},
    {"logical_and", write_logical<"And">},
    {"logical_or", write_logical<"Or">},
    {"logical_xor", write_logical<"Xor">},
    {"where", write_where},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_binary() { return rows; }

}  // namespace npuport
