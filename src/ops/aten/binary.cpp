// ATen: arithmetic of two and three tensors.
#include <cmath>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// The second operand: a tensor, or a Scalar in the promoted type of self.
ValueId second(AtenCall& c, bool scalar) {
  return scalar ? number_like(c, "other", c.tensor("self")) : c.tensor("other");
}

// y * alpha; integers stay integers.
ValueId scaled(AtenCall& c, ValueId y) {
  const AtenScalar alpha = c.scalar("alpha");
  return alpha.as_double() == 1.0 ? y : c.b.mul(y, number(c.b, alpha, c.b.dtype(y)));
}

template <bool scalar>
void add(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = second(c, scalar);
  if (c.b.dtype(x) == DType::boolean) return c.ret(c.b.op("logical_or", {x, y}));
  c.ret(c.b.add(x, scaled(c, y)));
}

template <bool scalar>
void subtract(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.sub(x, scaled(c, second(c, scalar))));
}

template <bool scalar>
void subtract_from(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = second(c, scalar);
  c.ret(c.b.sub(y, scaled(c, x)));
}

template <bool scalar>
void multiply(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = second(c, scalar);
  c.ret(c.b.op(c.b.dtype(x) == DType::boolean ? "logical_and" : "mul", {x, y}));
}

// True division unless a rounding mode asks for the integer quotient.
template <bool scalar>
void divide_mode(AtenCall& c) {
  ValueId x = c.tensor("self"), y = second(c, scalar);
  if (c.is_none("rounding_mode")) return c.ret(c.b.div(as_float(c.b, x), as_float(c.b, y)));
  const std::string mode = c.s("rounding_mode");
  if (mode == "floor") return c.ret(c.b.op("floor_div", {x, y}));
  if (mode == "trunc") return c.ret(c.b.op("trunc_div", {x, y}));
  refuse(c, diag::bad_attribute, "div: rounding_mode \"" + mode + "\"", "PyTorch knows \"floor\" and \"trunc\".");
}

// x^e for the exponents PyTorch treats specially, with the operators NPUs have.
ValueId power_of(Builder& b, ValueId x, double e) {
  const auto inverse = [&](ValueId v) { return b.op("reciprocal", {v}); };
  if (e == 1) return x;
  if (e == 2) return b.op("square", {x});
  if (e == 3) return b.mul(b.op("square", {x}), x);
  if (is_float(b.dtype(x))) {
    if (e == 0.5) return b.op("sqrt", {x});
    if (e == -0.5) return b.op("rsqrt", {x});
    if (e == -1) return inverse(x);
    if (e == -2) return inverse(b.op("square", {x}));
  }
  return {};
}

void power_scalar(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const AtenScalar e = c.scalar("exponent");
  if (!is_float(c.b.dtype(x)) && e.as_double() < 0) {
    return refuse(c, diag::raised, "Integers to negative integer powers are not allowed.");
  }
  const ValueId known = power_of(c.b, x, e.as_double());
  c.ret(known.valid() ? known : c.b.op("pow", {x, number(c.b, e, c.b.dtype(x))}));
}

void power_of_scalar(AtenCall& c) {
  const ValueId e = c.tensor("exponent");
  c.ret(c.b.op("pow", {number_like(c, "self", e), e}));
}

template <const char* op>
void scalar_first(AtenCall& c) {
  const ValueId y = c.tensor("other");
  c.ret(c.b.op(op, {number_like(c, "self", y), y}));
}
constexpr char kMod[] = "mod", kAnd[] = "bitwise_and", kOr[] = "bitwise_or", kXor[] = "bitwise_xor";

// fmax and fmin: NaN only when both are NaN.
template <const char* op>
void ignoring_nan(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = c.tensor("other");
  const ValueId both = c.b.op(op, {x, y});
  if (!is_float(c.b.dtype(x))) return c.ret(both);
  const ValueId without_x = c.b.op("where", {c.b.op("isnan", {x}), y, both});
  c.ret(c.b.op("where", {c.b.op("isnan", {y}), x, without_x}));
}
constexpr char kMaximum[] = "maximum", kMinimum[] = "minimum";

// self + value * a op b
template <const char* op>
void add_combined(AtenCall& c) {
  const ValueId x = c.tensor("self");
  ValueId product = c.b.op(op, {c.tensor("tensor1"), c.tensor("tensor2")});
  const AtenScalar value = c.scalar("value");
  if (value.as_double() != 1.0) product = c.b.mul(product, number(c.b, value, c.b.dtype(x)));
  c.ret(c.b.add(x, product));
}
constexpr char kMul[] = "mul", kDiv[] = "div";

// The form PyTorch uses keeps lerp(a, b, 1) == b.
ValueId lerp(Builder& b, ValueId x, ValueId end, ValueId weight) {
  const DType t = b.dtype(x);
  const ValueId half = b.scalar(0.5, t), one = b.scalar(1.0, t), difference = b.sub(end, x);
  const ValueId from_start = b.add(x, b.mul(weight, difference));
  const ValueId from_end = b.sub(end, b.mul(difference, b.sub(one, weight)));
  return b.op("where", {b.op("less", {b.op("abs", {weight}), half}), from_start, from_end});
}

void lerp_tensor(AtenCall& c) { c.ret(lerp(c.b, c.tensor("self"), c.tensor("end"), c.tensor("weight"))); }
void lerp_scalar(AtenCall& c) {
  const ValueId x = c.tensor("self"), end = c.tensor("end");
  const double w = c.scalar("weight").as_double();
  const DType t = c.b.dtype(x);
  const ValueId difference = c.b.sub(end, x);
  if (std::fabs(w) < 0.5) return c.ret(c.b.add(x, c.b.mul(c.b.scalar(w, t), difference)));
  c.ret(c.b.sub(end, c.b.mul(difference, c.b.scalar(1.0 - w, t))));
}

void hypot(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = c.tensor("other");
  c.ret(c.b.op("sqrt", {c.b.add(c.b.op("square", {x}), c.b.op("square", {y}))}));
}

template <bool scalar>
void xlogy(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = second(c, scalar);
  const ValueId zero = c.b.scalar(0.0, c.b.dtype(x));
  const ValueId product = c.b.mul(x, c.b.op("log", {y}));
  const ValueId value = c.b.op("where", {c.b.op("equal", {x, zero}), zero, product});
  c.ret(c.b.op("where", {c.b.op("isnan", {y}), y, value}));
}

// max + log(1 + base^-|x - y|); equal infinities give themselves.
template <bool base_two>
void logaddexp(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = c.tensor("other");
  const DType t = c.b.dtype(x);
  const ValueId most = c.b.op("maximum", {x, y});
  ValueId gap = c.b.op("neg", {c.b.op("abs", {c.b.sub(x, y)})});
  if (base_two) gap = c.b.mul(gap, c.b.scalar(std::log(2.0), t));
  ValueId rest = c.b.op("log1p", {c.b.op("exp", {gap})});
  if (base_two) rest = c.b.mul(rest, c.b.scalar(1.0 / std::log(2.0), t));
  const ValueId equal_infinity = c.b.op("logical_and", {c.b.op("isinf", {x}), c.b.op("equal", {x, y})});
  c.ret(c.b.op("where", {equal_infinity, x, c.b.add(most, rest)}));
}

// The sign of y, counting -0 as negative (1 / -0 = -inf), on |x|.
template <bool scalar>
void copysign(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = second(c, scalar);
  const ValueId zero = c.b.scalar(0.0, c.b.dtype(x)), size = c.b.op("abs", {x});
  const ValueId negative_zero =
      c.b.op("logical_and", {c.b.op("equal", {y, zero}), c.b.op("less", {c.b.op("reciprocal", {y}), zero})});
  const ValueId negative = c.b.op("logical_or", {c.b.op("less", {y, zero}), negative_zero});
  c.ret(c.b.op("where", {negative, c.b.op("neg", {size}), size}));
}

void heaviside(AtenCall& c) {
  const ValueId x = c.tensor("self"), values = c.tensor("values");
  const DType t = c.b.dtype(x);
  const ValueId zero = c.b.scalar(0.0, t), one = c.b.scalar(1.0, t);
  const ValueId step = c.b.op("where", {c.b.op("less", {x, zero}), zero, one});
  c.ret(c.b.op("where", {c.b.op("equal", {x, zero}), values, step}));
}

void ldexp(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.mul(x, c.b.op("pow", {c.b.scalar(2.0, c.b.dtype(x)), c.tensor("other")})));
}

constexpr Promote C = Promote::common, F = Promote::to_float, N = Promote::none;

constexpr AtenRow rows[] = {
    {"add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", {}, C, add<false>},
    {"add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", {}, C, add<true>},
    {"sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", {}, C, subtract<false>},
    {"sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", {}, C, subtract<true>},
    {"subtract.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", {}, C, subtract<false>},
    {"subtract.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", {}, C, subtract<true>},
    {"rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", {}, C, subtract_from<false>},
    {"rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", {}, C, subtract_from<true>},
    {"mul.Tensor(Tensor self, Tensor other) -> Tensor", {}, C, multiply<false>},
    {"mul.Scalar(Tensor self, Scalar other) -> Tensor", {}, C, multiply<true>},
    {"multiply.Tensor(Tensor self, Tensor other) -> Tensor", {}, C, multiply<false>},
    {"multiply.Scalar(Tensor self, Scalar other) -> Tensor", {}, C, multiply<true>},
    {"div.Tensor(Tensor self, Tensor other) -> Tensor", "div", F},
    {"div.Scalar(Tensor self, Scalar other) -> Tensor", "div", F},
    {"div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor", {}, C, divide_mode<false>},
    {"div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor", {}, C, divide_mode<true>},
    {"divide.Tensor(Tensor self, Tensor other) -> Tensor", "div", F},
    {"divide.Scalar(Tensor self, Scalar other) -> Tensor", "div", F},
    {"divide.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor", {}, C, divide_mode<false>},
    {"divide.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor", {}, C, divide_mode<true>},
    {"true_divide.Tensor(Tensor self, Tensor other) -> Tensor", "div", F},
    {"true_divide.Scalar(Tensor self, Scalar other) -> Tensor", "div", F},
    {"floor_divide(Tensor self, Tensor other) -> Tensor", "floor_div", C},
    {"floor_divide.Scalar(Tensor self, Scalar other) -> Tensor", "floor_div", C},
    {"remainder.Tensor(Tensor self, Tensor other) -> Tensor", "mod", C},
    {"remainder.Scalar(Tensor self, Scalar other) -> Tensor", "mod", C},
    {"remainder.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", {}, C, scalar_first<kMod>},
    {"fmod.Tensor(Tensor self, Tensor other) -> Tensor", "fmod", C},
    {"fmod.Scalar(Tensor self, Scalar other) -> Tensor", "fmod", C},
    {"pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor", "pow", C},
    {"pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", {}, C, power_scalar},
    {"pow.Scalar(Scalar self, Tensor exponent) -> Tensor", {}, C, power_of_scalar},
    {"maximum(Tensor self, Tensor other) -> Tensor", "maximum", C},
    {"minimum(Tensor self, Tensor other) -> Tensor", "minimum", C},
    {"max.other(Tensor self, Tensor other) -> Tensor", "maximum", C},
    {"min.other(Tensor self, Tensor other) -> Tensor", "minimum", C},
    {"fmax(Tensor self, Tensor other) -> Tensor", {}, C, ignoring_nan<kMaximum>},
    {"fmin(Tensor self, Tensor other) -> Tensor", {}, C, ignoring_nan<kMinimum>},
    {"atan2(Tensor self, Tensor other) -> Tensor", "atan2", F},
    {"arctan2(Tensor self, Tensor other) -> Tensor", "atan2", F},
    {"hypot(Tensor self, Tensor other) -> Tensor", {}, C, hypot},
    {"xlogy.Tensor(Tensor self, Tensor other) -> Tensor", {}, F, xlogy<false>},
    {"xlogy.Scalar_Other(Tensor self, Scalar other) -> Tensor", {}, F, xlogy<true>},
    {"logaddexp(Tensor self, Tensor other) -> Tensor", {}, F, logaddexp<false>},
    {"logaddexp2(Tensor self, Tensor other) -> Tensor", {}, F, logaddexp<true>},
    {"copysign.Tensor(Tensor self, Tensor other) -> Tensor", {}, F, copysign<false>},
    {"copysign.Scalar(Tensor self, Scalar other) -> Tensor", {}, F, copysign<true>},
    {"heaviside(Tensor self, Tensor values) -> Tensor", {}, N, heaviside},
    {"ldexp.Tensor(Tensor self, Tensor other) -> Tensor", {}, F, ldexp},
    {"addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", {}, C, add_combined<kMul>},
    {"addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", {}, C, add_combined<kDiv>},
    {"lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor", {}, N, lerp_scalar},
    {"lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor", {}, N, lerp_tensor},
    {"bitwise_and.Tensor(Tensor self, Tensor other) -> Tensor", "bitwise_and", C},
    {"bitwise_and.Scalar(Tensor self, Scalar other) -> Tensor", "bitwise_and", C},
    {"bitwise_and.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", {}, C, scalar_first<kAnd>},
    {"bitwise_or.Tensor(Tensor self, Tensor other) -> Tensor", "bitwise_or", C},
    {"bitwise_or.Scalar(Tensor self, Scalar other) -> Tensor", "bitwise_or", C},
    {"bitwise_or.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", {}, C, scalar_first<kOr>},
    {"bitwise_xor.Tensor(Tensor self, Tensor other) -> Tensor", "bitwise_xor", C},
    {"bitwise_xor.Scalar(Tensor self, Scalar other) -> Tensor", "bitwise_xor", C},
    {"bitwise_xor.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", {}, C, scalar_first<kXor>},
    {"__and__.Tensor(Tensor self, Tensor other) -> Tensor", "bitwise_and", C},
    {"__and__.Scalar(Tensor self, Scalar other) -> Tensor", "bitwise_and", C},
    {"__or__.Tensor(Tensor self, Tensor other) -> Tensor", "bitwise_or", C},
    {"__or__.Scalar(Tensor self, Scalar other) -> Tensor", "bitwise_or", C},
    {"__xor__.Tensor(Tensor self, Tensor other) -> Tensor", "bitwise_xor", C},
    {"__xor__.Scalar(Tensor self, Scalar other) -> Tensor", "bitwise_xor", C},
    {"__lshift__.Tensor(Tensor self, Tensor other) -> Tensor", "shift_left", C},
    {"__lshift__.Scalar(Tensor self, Scalar other) -> Tensor", "shift_left", C},
    {"__rshift__.Tensor(Tensor self, Tensor other) -> Tensor", "shift_right", C},
    {"__rshift__.Scalar(Tensor self, Scalar other) -> Tensor", "shift_right", C},
    {"bitwise_left_shift.Tensor(Tensor self, Tensor other) -> Tensor", "shift_left", C},
    {"bitwise_left_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor", "shift_left", C},
    {"bitwise_right_shift.Tensor(Tensor self, Tensor other) -> Tensor", "shift_right", C},
    {"bitwise_right_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor", "shift_right", C},
};

}  // namespace

std::span<const AtenRow> aten_binary() { return rows; }

}  // namespace npuport
