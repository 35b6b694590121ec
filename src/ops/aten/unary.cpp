// ATen: element-wise functions of one tensor.
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// floor, ceil, round, trunc leave integers as they are.
template <const char* op>
void rounding(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(is_float(c.b.dtype(x)) ? c.b.op(op, {x}) : x);
}
constexpr char kFloor[] = "floor", kCeil[] = "ceil", kRound[] = "round", kTrunc[] = "trunc";

void round_decimals(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const DType t = c.b.dtype(x);
  const int64_t decimals = c.i("decimals");
  if (!is_float(t)) return c.ret(x);
  if (decimals == 0) return c.ret(c.b.op("round", {x}));
  // PyTorch scales by 10^|decimals| and divides or multiplies back, so that the factor is exact.
  const ValueId factor = c.b.scalar(std::pow(10.0, static_cast<double>(std::abs(decimals))), t);
  const ValueId scaled = c.b.op("round", {c.b.op(decimals > 0 ? "mul" : "div", {x, factor})});
  c.ret(c.b.op(decimals > 0 ? "div" : "mul", {scaled, factor}));
}

void absolute(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.dtype(x) == DType::boolean ? x : c.b.op("abs", {x}));
}

void sign(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.dtype(x) == DType::boolean ? x : c.b.op("sign", {x}));
}

void square(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.op("square", {c.b.dtype(x) == DType::boolean ? c.b.cast(x, DType::i64) : x}));
}

ValueId no_element(Builder& b, ValueId x, bool value) {
  return full(b, b.shape(x), AtenScalar{AtenScalar::boolean, value, 0}, DType::boolean);
}

template <const char* op>
void float_predicate(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(is_float(c.b.dtype(x)) ? c.b.op(op, {x}) : no_element(c.b, x, false));
}
constexpr char kIsnan[] = "isnan", kIsinf[] = "isinf";

void isfinite(AtenCall& c) {
  const ValueId x = c.tensor("self");
  if (!is_float(c.b.dtype(x))) return c.ret(no_element(c.b, x, true));
  const ValueId bad = c.b.op("logical_or", {c.b.op("isnan", {x}), c.b.op("isinf", {x})});
  c.ret(c.b.op("logical_not", {bad}));
}

template <int sign_of>
void is_signed_inf(AtenCall& c) {
  const ValueId x = c.tensor("self");
  if (!is_float(c.b.dtype(x))) return c.ret(no_element(c.b, x, false));
  const double inf = std::numeric_limits<double>::infinity();
  c.ret(c.b.op("equal", {x, c.b.scalar(sign_of > 0 ? inf : -inf, c.b.dtype(x))}));
}

void frac(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.sub(x, c.b.op("trunc", {x})));
}

void exp2(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.op("pow", {c.b.scalar(2.0, c.b.dtype(x)), x}));
}

template <int to_degrees>
void angle_unit(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const double factor = to_degrees != 0 ? 180.0 / std::numbers::pi : std::numbers::pi / 180.0;
  c.ret(c.b.mul(x, c.b.scalar(factor, c.b.dtype(x))));
}

void logit(AtenCall& c) {
  ValueId x = c.tensor("self");
  if (!c.is_none("eps")) x = c.b.op("clamp", {x}, {{"min", c.f("eps")}, {"max", 1.0 - c.f("eps")}});
  const ValueId one = c.b.scalar(1.0, c.b.dtype(x));
  c.ret(c.b.op("log", {c.b.div(x, c.b.sub(one, x))}));
}

void erfc(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.sub(c.b.scalar(1.0, c.b.dtype(x)), c.b.op("erf", {x})));
}

void sinc(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const ValueId zero = c.b.scalar(0.0, c.b.dtype(x)), one = c.b.scalar(1.0, c.b.dtype(x));
  const ValueId px = c.b.mul(x, c.b.scalar(std::numbers::pi, c.b.dtype(x)));
  c.ret(c.b.op("where", {c.b.op("equal", {x, zero}), one, c.b.div(c.b.op("sin", {px}), px)}));
}

double largest_finite(DType t) {
  if (t == DType::f16) return 65504.0;
  if (t == DType::bf16) return 3.3895313892515355e38;
  return t == DType::f32 ? static_cast<double>(std::numeric_limits<float>::max()) : std::numeric_limits<double>::max();
}

void nan_to_num(AtenCall& c) {
  ValueId x = c.tensor("self");
  const DType t = c.b.dtype(x);
  if (!is_float(t)) return c.ret(x);
  const auto constant = [&](std::string_view arg, double otherwise) {
    return c.b.scalar(c.is_none(arg) ? otherwise : c.f(arg), t);
  };
  const double inf = std::numeric_limits<double>::infinity();
  const ValueId high = c.b.op("equal", {x, c.b.scalar(inf, t)}), low = c.b.op("equal", {x, c.b.scalar(-inf, t)});
  const ValueId nan = c.b.op("isnan", {x});
  x = c.b.op("where", {nan, constant("nan", 0.0), x});
  x = c.b.op("where", {high, constant("posinf", largest_finite(t)), x});
  c.ret(c.b.op("where", {low, constant("neginf", -largest_finite(t)), x}));
}

void signbit(AtenCall& c) {
  const ValueId x = c.tensor("self");
  if (c.b.dtype(x) == DType::boolean) return c.ret(no_element(c.b, x, false));
  const ValueId zero = c.b.scalar(0.0, c.b.dtype(x)), below = c.b.op("less", {x, zero});
  if (!is_float(c.b.dtype(x))) return c.ret(below);
  // 1 / -0 = -inf tells the two zeros apart.
  const ValueId low_zero =
      c.b.op("logical_and", {c.b.op("equal", {x, zero}), c.b.op("less", {c.b.op("reciprocal", {x}), zero})});
  c.ret(c.b.op("logical_or", {below, low_zero}));
}

constexpr Promote F = Promote::to_float;

constexpr AtenRow rows[] = {
    {"abs(Tensor self) -> Tensor", {}, Promote::none, absolute},
    {"absolute(Tensor self) -> Tensor", {}, Promote::none, absolute},
    {"neg(Tensor self) -> Tensor", "neg"},
    {"negative(Tensor self) -> Tensor", "neg"},
    {"positive(Tensor(a) self) -> Tensor(a)", {}, Promote::none, identity},
    {"exp(Tensor self) -> Tensor", "exp", F},
    {"exp2(Tensor self) -> Tensor", {}, F, exp2},
    {"special_exp2(Tensor self) -> Tensor", {}, F, exp2},
    {"expm1(Tensor self) -> Tensor", "expm1", F},
    {"special_expm1(Tensor self) -> Tensor", "expm1", F},
    {"log(Tensor self) -> Tensor", "log", F},
    {"log1p(Tensor self) -> Tensor", "log1p", F},
    {"special_log1p(Tensor self) -> Tensor", "log1p", F},
    {"log2(Tensor self) -> Tensor", "log2", F},
    {"log10(Tensor self) -> Tensor", "log10", F},
    {"sqrt(Tensor self) -> Tensor", "sqrt", F},
    {"rsqrt(Tensor self) -> Tensor", "rsqrt", F},
    {"reciprocal(Tensor self) -> Tensor", "reciprocal", F},
    {"sin(Tensor self) -> Tensor", "sin", F},
    {"cos(Tensor self) -> Tensor", "cos", F},
    {"tan(Tensor self) -> Tensor", "tan", F},
    {"asin(Tensor self) -> Tensor", "asin", F},
    {"arcsin(Tensor self) -> Tensor", "asin", F},
    {"acos(Tensor self) -> Tensor", "acos", F},
    {"arccos(Tensor self) -> Tensor", "acos", F},
    {"atan(Tensor self) -> Tensor", "atan", F},
    {"arctan(Tensor self) -> Tensor", "atan", F},
    {"sinh(Tensor self) -> Tensor", "sinh", F},
    {"cosh(Tensor self) -> Tensor", "cosh", F},
    {"asinh(Tensor self) -> Tensor", "asinh", F},
    {"arcsinh(Tensor self) -> Tensor", "asinh", F},
    {"acosh(Tensor self) -> Tensor", "acosh", F},
    {"arccosh(Tensor self) -> Tensor", "acosh", F},
    {"atanh(Tensor self) -> Tensor", "atanh", F},
    {"arctanh(Tensor self) -> Tensor", "atanh", F},
    {"erf(Tensor self) -> Tensor", "erf", F},
    {"special_erf(Tensor self) -> Tensor", "erf", F},
    {"erfc(Tensor self) -> Tensor", {}, F, erfc},
    {"erfinv(Tensor self) -> Tensor", "erfinv", F},
    {"special_erfinv(Tensor self) -> Tensor", "erfinv", F},
    {"lgamma(Tensor self) -> Tensor", "lgamma", F},
    {"special_gammaln(Tensor self) -> Tensor", "lgamma", F},
    {"sinc(Tensor self) -> Tensor", {}, F, sinc},
    {"logit(Tensor self, float? eps=None) -> Tensor", {}, F, logit},
    {"special_logit(Tensor self, float? eps=None) -> Tensor", {}, F, logit},
    {"deg2rad(Tensor self) -> Tensor", {}, F, angle_unit<0>},
    {"rad2deg(Tensor self) -> Tensor", {}, F, angle_unit<1>},
    {"floor(Tensor self) -> Tensor", {}, Promote::none, rounding<kFloor>},
    {"ceil(Tensor self) -> Tensor", {}, Promote::none, rounding<kCeil>},
    {"round(Tensor self) -> Tensor", {}, Promote::none, rounding<kRound>},
    {"round.decimals(Tensor self, *, int decimals) -> Tensor", {}, Promote::none, round_decimals},
    {"trunc(Tensor self) -> Tensor", {}, Promote::none, rounding<kTrunc>},
    {"fix(Tensor self) -> Tensor", {}, Promote::none, rounding<kTrunc>},
    {"frac(Tensor self) -> Tensor", {}, Promote::none, frac},
    {"sign(Tensor self) -> Tensor", {}, Promote::none, sign},
    {"sgn(Tensor self) -> Tensor", {}, Promote::none, sign},
    {"signbit(Tensor self) -> Tensor", {}, Promote::none, signbit},
    {"square(Tensor self) -> Tensor", {}, Promote::none, square},
    {"logical_not(Tensor self) -> Tensor", "logical_not"},
    {"bitwise_not(Tensor self) -> Tensor", "bitwise_not"},
    {"isnan(Tensor self) -> Tensor", {}, Promote::none, float_predicate<kIsnan>},
    {"isinf(Tensor self) -> Tensor", {}, Promote::none, float_predicate<kIsinf>},
    {"isfinite(Tensor self) -> Tensor", {}, Promote::none, isfinite},
    {"isposinf(Tensor self) -> Tensor", {}, Promote::none, is_signed_inf<1>},
    {"isneginf(Tensor self) -> Tensor", {}, Promote::none, is_signed_inf<-1>},
    {"nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
     {},
     Promote::none,
     nan_to_num},
};

}  // namespace

std::span<const AtenRow> aten_unary() { return rows; }

}  // namespace npuport
