// Element-wise operators of one input.
#include "ops/support/kernel.h"
#include "ops/support/rows.h"
#include "ops/support/special.h"

namespace npuport {
namespace {

template <auto F, unsigned set>
constexpr OpDef pointwise(std::string_view name, std::string_view doc, Exactness exact = Exactness::approximate,
                          QuantRule quant = QuantRule::free_output) {
  return {.name = name,
          .doc = doc,
          .in = ports::x,
          .out = ports::y,
          .infer = infer_same<set>,
          .eval = eval_unary<F, set>,
          .exact = exact,
          .axes = {AxisRule::elementwise},
          .quant = quant};
}

template <auto F, unsigned set>
constexpr OpDef predicate(std::string_view name, std::string_view doc) {
  return {.name = name,
          .doc = doc,
          .in = ports::x,
          .out = ports::y,
          .infer = infer_bool<set>,
          .eval = eval_unary<F, set, true>,
          .axes = {AxisRule::elementwise}};
}

// Integers wrap around like PyTorch's: computed on the unsigned type.
constexpr auto absolute = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_floating_point_v<T>)
    return std::fabs(x);
  else if constexpr (std::is_signed_v<T>)
    return x < 0 ? static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x)) : x;
  else
    return x;
};
constexpr auto negate = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_floating_point_v<T>)
    return -x;
  else
    return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x));
};
constexpr auto signum = [](auto x) {
  using T = decltype(x);
  return static_cast<T>((x > T{0} ? 1 : 0) - (x < T{0} ? 1 : 0));
};
constexpr auto squared = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_floating_point_v<T>)
    return x * x;
  else
    return static_cast<T>(static_cast<uint64_t>(x) * static_cast<uint64_t>(x));
};
// NaN stays NaN.
constexpr auto rectify = [](auto x) { return x < decltype(x){0} ? decltype(x){0} : x; };
constexpr auto bit_invert = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_same_v<T, bool>)
    return !x;
  else
    return static_cast<T>(~static_cast<uint64_t>(x));
};

Types infer_cast(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  const DType to = c.attrs.dtype("to");
  if (to == DType::unknown) return infer_error(diag::bad_attribute, c, "the target type is unknown");
  return one_output(to, c.in[0]->shape);
}

template <class From, class To>
To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return static_cast<compute_t<From>>(x) != compute_t<From>{0};
  } else if constexpr (is_floating_v<To>) {
    if constexpr (std::is_same_v<From, double> || !is_half_v<To>)
      return static_cast<To>(static_cast<compute_t<To>>(x));
    else
      return static_cast<To>(static_cast<float>(x));
  } else if constexpr (is_floating_v<From>) {
    return static_cast<To>(float_to_int64(static_cast<double>(static_cast<compute_t<From>>(x))));
  } else {
    return static_cast<To>(x);
  }
}

Status eval_cast(const EvalCall& c) {
  bool done = false;
  dispatch(c.in[0].dtype, [&]<class From>() {
    done = dispatch(c.out[0].dtype, [&]<class To>() {
      const From* x = c.in[0].template as<From>();
      To* y = c.out[0].template as<To>();
      const int64_t n = c.out[0].count();
      for (int64_t i = 0; i < n; ++i) y[i] = convert<From, To>(x[i]);
    });
  });
  return kernel_status(done, c);
}

constexpr AttrDef cast_attrs[] = {{"to", AttrKind::dtype, "", "element type of the result"}};

using enum Exactness;
using enum QuantRule;

constexpr unsigned fl = types::floating;

constexpr OpDef rows[] = {
    pointwise<absolute, types::number>("abs", "|x|", bit_exact),
    pointwise<negate, types::number>("neg", "-x; integers wrap around", bit_exact),
    pointwise<[](auto x) { return std::exp(x); }, fl>("exp", "e^x"),
    pointwise<[](auto x) { return std::expm1(x); }, fl>("expm1", "e^x - 1, accurate near 0"),
    pointwise<[](auto x) { return std::log(x); }, fl>("log", "Natural logarithm"),
    pointwise<[](auto x) { return std::log1p(x); }, fl>("log1p", "log(1 + x), accurate near 0"),
    pointwise<[](auto x) { return std::log2(x); }, fl>("log2", "Logarithm of base 2"),
    pointwise<[](auto x) { return std::log10(x); }, fl>("log10", "Logarithm of base 10"),
    pointwise<[](auto x) { return std::sqrt(x); }, fl>("sqrt", "Square root; NaN below 0", rounding),
    pointwise<[](auto x) { return decltype(x){1} / std::sqrt(x); }, fl>("rsqrt", "1 / sqrt(x)", rounding),
    pointwise<[](auto x) { return decltype(x){1} / x; }, fl>("reciprocal", "1 / x", rounding),
    pointwise<[](auto x) { return std::sin(x); }, fl>("sin", "Sine of radians"),
    pointwise<[](auto x) { return std::cos(x); }, fl>("cos", "Cosine of radians"),
    pointwise<[](auto x) { return std::tan(x); }, fl>("tan", "Tangent of radians"),
    pointwise<[](auto x) { return std::asin(x); }, fl>("asin", "Inverse sine, radians"),
    pointwise<[](auto x) { return std::acos(x); }, fl>("acos", "Inverse cosine, radians"),
    pointwise<[](auto x) { return std::atan(x); }, fl>("atan", "Inverse tangent, radians"),
    pointwise<[](auto x) { return std::sinh(x); }, fl>("sinh", "Hyperbolic sine"),
    pointwise<[](auto x) { return std::cosh(x); }, fl>("cosh", "Hyperbolic cosine"),
    pointwise<[](auto x) { return std::asinh(x); }, fl>("asinh", "Inverse hyperbolic sine"),
    pointwise<[](auto x) { return std::acosh(x); }, fl>("acosh", "Inverse hyperbolic cosine"),
    pointwise<[](auto x) { return std::atanh(x); }, fl>("atanh", "Inverse hyperbolic tangent"),
    pointwise<[](auto x) { return std::erf(x); }, fl>("erf", "Error function"),
    pointwise<[](auto x) { return inverse_erf(x); }, fl>("erfinv", "Inverse of erf on (-1, 1)"),
    pointwise<[](auto x) { return log_gamma(x); }, fl>("lgamma", "log |gamma(x)|"),
    pointwise<[](auto x) { return std::floor(x); }, fl>("floor", "Largest integer not above x", bit_exact),
    pointwise<[](auto x) { return std::ceil(x); }, fl>("ceil", "Smallest integer not below x", bit_exact),
    pointwise<[](auto x) { return std::nearbyint(x); }, fl>("round", "Nearest integer, halves to even", bit_exact),
    pointwise<[](auto x) { return std::trunc(x); }, fl>("trunc", "Integer part, toward zero", bit_exact),
    pointwise<signum, types::number>("sign", "-1, 0 or 1; 0 for NaN", bit_exact),
    pointwise<squared, types::number>("square", "x * x; integers wrap around", rounding),
    pointwise<rectify, types::number>("relu", "max(x, 0); NaN stays", bit_exact, same_as_input),
    pointwise<[](auto x) { return logistic(x); }, fl>("sigmoid", "1 / (1 + e^-x)", approximate, fixed_output),
    pointwise<[](auto x) { return std::tanh(x); }, fl>("tanh", "Hyperbolic tangent", approximate, fixed_output),
    pointwise<bit_invert, types::integral>("bitwise_not", "~x; logical negation of bools", bit_exact, integer),
    predicate<[](auto x) { return x == decltype(x){0}; }, types::any>("logical_not", "x == 0, as bool"),
    predicate<[](auto x) { return std::isnan(x); }, fl>("isnan", "Whether x is NaN"),
    predicate<[](auto x) { return std::isinf(x); }, fl>("isinf", "Whether x is +inf or -inf"),
    {.name = "cast",
     .doc = "Another element type: float to integer truncates toward zero, anything to bool tests x != 0",
     .in = ports::x,
     .out = ports::y,
     .attrs = cast_attrs,
     .infer = infer_cast,
     .eval = eval_cast,
     .axes = {AxisRule::elementwise}},
};

}  // namespace

std::span<const OpDef> ops_unary() { return rows; }

}  // namespace npuport
