// Element-wise arithmetic of two inputs, NumPy broadcasting.
#include "ops/support/kernel.h"
#include "ops/support/rows.h"

namespace npuport {
namespace {

// Integer arithmetic wraps around: computed modulo 2^64, then narrowed.
template <class T>
constexpr uint64_t wide(T x) {
  return static_cast<uint64_t>(x);
}

template <auto Float, auto Wrapped>
constexpr auto arithmetic = [](auto a, decltype(a) b) {
  using T = decltype(a);
  if constexpr (std::is_floating_point_v<T>)
    return Float(a, b);
  else
    return static_cast<T>(Wrapped(wide(a), wide(b)));
};
constexpr auto plus = [](auto a, decltype(a) b) { return a + b; };
constexpr auto minus = [](auto a, decltype(a) b) { return a - b; };
constexpr auto times = [](auto a, decltype(a) b) { return a * b; };

constexpr auto larger = [](auto a, decltype(a) b) { return a != a ? a : (b != b ? b : (a < b ? b : a)); };
constexpr auto smaller = [](auto a, decltype(a) b) { return a != a ? a : (b != b ? b : (b < a ? b : a)); };

template <class T>
T integer_quotient(T a, T b) {
  if constexpr (std::is_signed_v<T>) {
    if (b == T{-1}) return static_cast<T>(uint64_t{0} - wide(a));  // the smallest integer wraps around
  }
  return static_cast<T>(a / b);
}

template <class T>
T integer_remainder(T a, T b) {
  if constexpr (std::is_signed_v<T>) {
    if (b == T{-1}) return T{0};
  }
  return static_cast<T>(a % b);
}

// Rounds toward minus infinity the way PyTorch does (div_floor), so that quotient and remainder stay consistent.
constexpr auto floor_quotient = [](auto a, decltype(a) b) {
  using T = decltype(a);
  if constexpr (std::is_floating_point_v<T>) {
    if (b == T{0}) return a / b;
    const T mod = std::fmod(a, b);
    T div = (a - mod) / b;
    if (mod != T{0} && (b < T{0}) != (mod < T{0})) div -= T{1};
    if (div == T{0}) return std::copysign(T{0}, a / b);
    const T floored = std::floor(div);
    return div - floored > T{0.5} ? floored + T{1} : floored;
  } else {
    const T quotient = integer_quotient(a, b);
    const T rest = integer_remainder(a, b);
    return rest != T{0} && (rest < T{0}) != (b < T{0}) ? static_cast<T>(quotient - 1) : quotient;
  }
};
constexpr auto truncated_quotient = [](auto a, decltype(a) b) {
  if constexpr (std::is_floating_point_v<decltype(a)>)
    return std::trunc(a / b);
  else
    return integer_quotient(a, b);
};
constexpr auto floor_remainder = [](auto a, decltype(a) b) {
  using T = decltype(a);
  if constexpr (std::is_floating_point_v<T>) {
    const T mod = std::fmod(a, b);
    return mod != T{0} && (b < T{0}) != (mod < T{0}) ? mod + b : mod;
  } else {
    const T rest = integer_remainder(a, b);
    return rest != T{0} && (rest < T{0}) != (b < T{0}) ? static_cast<T>(rest + b) : rest;
  }
};
constexpr auto truncated_remainder = [](auto a, decltype(a) b) {
  if constexpr (std::is_floating_point_v<decltype(a)>)
    return std::fmod(a, b);
  else
    return integer_remainder(a, b);
};

constexpr auto power = [](auto a, decltype(a) b) {
  using T = decltype(a);
  if constexpr (std::is_floating_point_v<T>) {
    return std::pow(a, b);
  } else {
    if constexpr (std::is_signed_v<T>) {
      if (b < T{0}) {
        if (a == T{1}) return T{1};
        if (a == T{-1}) return b % 2 == 0 ? T{1} : T{-1};
        return T{0};
      }
    }
    uint64_t result = 1, base = wide(a), e = wide(b);
    for (; e != 0; e >>= 1) {
      if ((e & 1) != 0) result *= base;
      base *= base;
    }
    return static_cast<T>(result);
  }
};

// A shift by the width or more, or by a negative count, leaves only zeros (sign bits for a right shift).
constexpr auto shifted_left = [](auto a, decltype(a) b) {
  using T = decltype(a);
  if (wide(b) >= sizeof(T) * 8) return T{0};
  return static_cast<T>(wide(a) << b);
};
constexpr auto shifted_right = [](auto a, decltype(a) b) {
  using T = decltype(a);
  constexpr uint64_t width = sizeof(T) * 8;
  if (wide(b) >= width) return static_cast<T>(a >> (width - 1) >> (std::is_signed_v<T> ? 0 : 1));
  return static_cast<T>(a >> b);
};

template <auto F>
Status eval_division(const EvalCall& c) {
  Status divisor;
  dispatch_in<types::integer>(c.in[1].dtype, [&]<class T>() {
    const T* b = c.in[1].template as<T>();
    const int64_t n = c.out[0].count() == 0 ? 0 : c.in[1].count();
    for (int64_t i = 0; i < n && divisor.ok(); ++i) {
      if (b[i] == T{0}) divisor = eval_error(diag::bad_input_data, c, "integer division by zero");
    }
  });
  NPU_TRY(std::move(divisor));
  return eval_binary<F, types::number>(c);
}

template <auto F, unsigned set>
constexpr OpDef binary(std::string_view name, std::string_view doc, Exactness exact, bool commutative,
                       QuantRule quant = QuantRule::free_output) {
  return {.name = name,
          .doc = doc,
          .in = ports::ab,
          .out = ports::y,
          .infer = infer_broadcast<set>,
          .eval = eval_binary<F, set>,
          .exact = exact,
          .axes = {AxisRule::elementwise},
          .quant = quant,
          .commutative = commutative};
}

template <auto F>
constexpr OpDef division(std::string_view name, std::string_view doc) {
  OpDef row = binary<F, types::number>(name, doc, Exactness::rounding, false);
  row.eval = eval_division<F>;
  return row;
}

template <auto Op>
constexpr auto bits_of = [](auto a, decltype(a) b) { return static_cast<decltype(a)>(Op(wide(a), wide(b))); };

using enum Exactness;
constexpr unsigned num = types::number;
constexpr QuantRule i = QuantRule::integer;

constexpr OpDef rows[] = {
    binary<arithmetic<plus, plus>, num>("add", "a + b; integers wrap around", rounding, true),
    binary<arithmetic<minus, minus>, num>("sub", "a - b; integers wrap around", rounding, false),
    binary<arithmetic<times, times>, num>("mul", "a * b; integers wrap around", rounding, true),
    binary<[](auto a, decltype(a) b) { return a / b; }, types::floating>("div", "a / b of floats", rounding, false),
    binary<power, num>("pow", "a^b; integers wrap around, a negative integer exponent rounds toward zero", approximate,
                       false),
    binary<larger, types::any>("maximum", "The larger of a and b; NaN when either is NaN", bit_exact, true),
    binary<smaller, types::any>("minimum", "The smaller of a and b; NaN when either is NaN", bit_exact, true),
    division<floor_remainder>("mod", "a - b * floor(a / b): the sign of the divisor (Python's %)"),
    division<truncated_remainder>("fmod", "a - b * trunc(a / b): the sign of the dividend (C's fmod)"),
    division<floor_quotient>("floor_div", "floor(a / b)"),
    division<truncated_quotient>("trunc_div", "trunc(a / b)"),
    binary<[](auto a, decltype(a) b) { return std::atan2(a, b); }, types::floating>(
        "atan2", "Angle of the point (b, a) in radians", approximate, false),
    binary<[](auto a, decltype(a) b) {
      const auto d = arithmetic<minus, minus>(a, b);
      return arithmetic<times, times>(d, d);
    },
           num>("squared_difference", "(a - b)^2", rounding, true),
    binary<bits_of<[](uint64_t a, uint64_t b) { return a & b; }>, types::integral>("bitwise_and", "a & b", bit_exact,
                                                                                   true, i),
    binary<bits_of<[](uint64_t a, uint64_t b) { return a | b; }>, types::integral>("bitwise_or", "a | b", bit_exact,
                                                                                   true, i),
    binary<bits_of<[](uint64_t a, uint64_t b) { return a ^ b; }>, types::integral>("bitwise_xor", "a ^ b", bit_exact,
                                                                                   true, i),
    binary<shifted_left, types::integer>("shift_left", "a << b; 0 for a count outside the width", bit_exact, false, i),
    binary<shifted_right, types::integer>("shift_right", "Arithmetic a >> b; sign bits for a count outside the width",
                                          bit_exact, false, i),
};

}  // namespace

std::span<const OpDef> ops_binary() { return rows; }

}  // namespace npuport
