// Vectors of NPU_SIMD_BYTES bytes and the functions on them; included once per instruction set.
#pragma once

#include <cstdint>

#ifndef NPU_SIMD_BYTES
#error "include from simd_*.cpp"
#endif

namespace npuport::simd {
namespace {

using Vec = float __attribute__((vector_size(NPU_SIMD_BYTES)));
using VecI = int32_t __attribute__((vector_size(NPU_SIMD_BYTES)));
// The same without alignment, for loads and stores.
using VecU = float __attribute__((vector_size(NPU_SIMD_BYTES), aligned(4), may_alias));
constexpr int64_t W = NPU_SIMD_BYTES / 4;

inline Vec load(const float* p) { return *reinterpret_cast<const VecU*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<VecU*>(p) = v; }
inline Vec splat(float x) { return x - Vec{}; }
inline Vec pick(VecI mask, Vec a, Vec b) { return mask ? a : b; }
// NaN alone differs from itself.
inline VecI is_nan(Vec v) { return v != v; }
inline VecI bits_of(Vec v) { return reinterpret_cast<VecI>(v); }
inline Vec from_bits(VecI v) { return reinterpret_cast<Vec>(v); }

// NaN in `a` stays; both give a when a is NaN.
inline Vec at_least(Vec a, Vec low) { return pick(a < low, low, a); }
inline Vec at_most(Vec a, Vec high) { return pick(a > high, high, a); }
inline Vec absolute(Vec a) { return from_bits(bits_of(a) & 0x7fffffff); }

// Lanes 0 … W − 1 as a pack, so that shuffles have constant masks.
template <int... L>
struct Lanes {};
#if NPU_SIMD_BYTES == 64
using AllLanes = Lanes<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>;
#elif NPU_SIMD_BYTES == 32
using AllLanes = Lanes<0, 1, 2, 3, 4, 5, 6, 7>;
#else
using AllLanes = Lanes<0, 1, 2, 3>;
#endif

// v with lane l exchanged for lane l ^ H.
template <int H, int... L>
inline Vec crossed(Vec v, Lanes<L...>) {
  return __builtin_shufflevector(v, v, (L ^ H)...);
}

// Folds a vector in halves: f(v, v crossed at W / 2), then at W / 4, …; the result stands in every lane.
template <int H = W / 2, class Fn>
inline Vec folded(Vec v, Fn f) {
  const Vec half = f(v, crossed<H>(v, AllLanes{}));
  if constexpr (H > 1)
    return folded<H / 2>(half, f);
  else
    return half;
}

inline float total(Vec v) {
  return folded(v, [](Vec a, Vec b) { return a + b; })[0];
}

// With NaN in a lane, which one it gives is open.
inline float largest(Vec v) {
  return folded(v, [](Vec a, Vec b) { return pick(b > a, b, a); })[0];
}

// Exchanges the quarters of two rows of a square: lanes with bit H of `a` for lanes without it of `b`.
template <int H, int... L>
inline void exchange(Vec& a, Vec& b, Lanes<L...>) {
  const Vec x = __builtin_shufflevector(a, b, ((L & H) ? L - H + static_cast<int>(W) : L)...);
  b = __builtin_shufflevector(a, b, ((L & H) ? L + static_cast<int>(W) : L + H)...);
  a = x;
}

template <int H = W / 2>
inline __attribute__((always_inline)) void transpose_rows(Vec* r) {
  for (int i = 0; i < W; ++i) {
    if ((i & H) == 0) exchange<H>(r[i], r[i + H], AllLanes{});
  }
  if constexpr (H > 1) transpose_rows<H / 2>(r);
}

// to[c][r] = from[r][c] of a square of W rows and columns; bit patterns stay as they are.
inline void transpose_square(const float* from, int64_t from_row, float* to, int64_t to_row) {
  Vec r[W];
  for (int i = 0; i < W; ++i) r[i] = load(from + i * from_row);
  transpose_rows(r);
  for (int i = 0; i < W; ++i) store(to + i * to_row, r[i]);
}

inline Vec square_root(Vec v) {
  Vec r{};
  for (int64_t i = 0; i < W; ++i) r[i] = __builtin_sqrtf(v[i]);
  return r;
}

// e^x, at most 1 ulp or so off; 0 below the smallest normal result, +inf above the largest, NaN stays. Cephes' expf:
// x = n·ln 2 + r, |r| ≤ ln 2 / 2, polynomial for e^r.
inline Vec exponential(Vec x) {
  constexpr float kLow = -87.3365447F, kHigh = 88.7228317F, kMagic = 12582912.0F;  // 1.5 · 2^23 rounds to an integer
  const Vec c = at_most(at_least(x, splat(kLow)), splat(kHigh));
  Vec n = c * 1.44269504F + kMagic;
  const VecI power = bits_of(n) - 0x4b400000;
  n = n - kMagic;
  const Vec r = (c - n * 0.693359375F) + n * 2.12194440e-4F;
  Vec p = splat(1.9875691500e-4F);
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  // 2^n in two factors: n reaches 128.
  const VecI half = power >> 1;
  const Vec y = p * from_bits((half + 127) << 23) * from_bits((power - half + 127) << 23);
  const Vec inf = splat(__builtin_inff());
  return pick(x < kLow, Vec{}, pick(x > kHigh, inf, y));
}

// e^x for x ≤ 0 as softmax needs it: 2^(x·log2 e) without the exact reduction, so that the relative error grows with
// |x|, to 5e-6 where the result is 1e-38. 0 below the smallest normal result, NaN stays. Polynomial of Cephes' exp2f.
inline Vec exponential_of_negative(Vec x) {
  constexpr float kMagic = 12582912.0F;
  const Vec t = at_least(x * 1.44269504F, splat(-126));
  const Vec n = t + kMagic;
  const VecI power = bits_of(n) - (0x4b400000 - 127);
  const Vec r = t - (n - kMagic);
  Vec p = splat(1.535336188319500e-4F);
  p = p * r + 1.339887440266574e-3F;
  p = p * r + 9.618437357674640e-3F;
  p = p * r + 5.550332471162809e-2F;
  p = p * r + 2.402264791363012e-1F;
  p = p * r + 6.931472028550421e-1F;
  p = p * r + 1.0F;
  return pick(x < -87.3365447F, Vec{}, p * from_bits(power << 23));
}

// Natural logarithm (Cephes' logf); −inf of 0, NaN below.
inline Vec logarithm(Vec x) {
  const Vec tiny = x * 8388608.0F;  // denormals become normal
  const VecI small = x < 1.17549435e-38F;
  const Vec v = pick(small, tiny, x);
  VecI e = ((bits_of(v) >> 23) & 0xff) - 126;
  e = e - (small & 23);
  Vec m = from_bits((bits_of(v) & 0x007fffff) | 0x3f000000);  // [0.5, 1)
  const VecI low = m < 0.707106781F;
  e = e + low;  // a true lane is −1
  m = pick(low, m + m, m) - 1.0F;
  const Vec z = m * m;
  Vec p = splat(7.0376836292e-2F);
  p = p * m - 1.1514610310e-1F;
  p = p * m + 1.1676998740e-1F;
  p = p * m - 1.2420140846e-1F;
  p = p * m + 1.4249322787e-1F;
  p = p * m - 1.6668057665e-1F;
  p = p * m + 2.0000714765e-1F;
  p = p * m - 2.4999993993e-1F;
  p = p * m + 3.3333331174e-1F;
  const Vec n = __builtin_convertvector(e, Vec);
  const Vec y = m + (p * m * z + n * -2.12194440e-4F - z * 0.5F) + n * 0.693359375F;
  const Vec inf = splat(__builtin_inff());
  const Vec special = pick(x == 0.0F, -inf, pick(x < 0.0F, splat(__builtin_nanf("")), pick(x == inf, inf, y)));
  return pick(is_nan(x), x, special);
}

// Cephes' tanhf: a polynomial near 0, where 1 − 2 / (e^2x + 1) would cancel.
inline Vec tangent_h(Vec x) {
  const Vec a = absolute(x), z = x * x;
  Vec p = splat(-5.70498872745e-3F);
  p = p * z + 2.06390887954e-2F;
  p = p * z - 5.37397155531e-2F;
  p = p * z + 1.33314422036e-1F;
  p = p * z - 3.33332819422e-1F;
  const Vec near = p * z * x + x;
  const Vec far = 1.0F - 2.0F / (exponential(a + a) + 1.0F);
  const Vec with_sign = from_bits(bits_of(far) | (bits_of(x) & INT32_MIN));
  return pick(a < 0.625F, near, with_sign);
}

// Error function. Below 1 a polynomial in x² (Cephes' erff); above, Abramowitz and Stegun 7.1.26, off by at
// most 1.5e-7.
inline Vec error_function(Vec x) {
  const Vec a = absolute(x), z = x * x;
  Vec p = splat(7.853861353153693e-5F);
  p = p * z - 8.010193625184903e-4F;
  p = p * z + 5.188327685732524e-3F;
  p = p * z - 2.685381193529856e-2F;
  p = p * z + 1.128358514861418e-1F;
  p = p * z - 3.761262582423300e-1F;
  p = p * z + 1.128379165726710F;
  const Vec near = p * x;
  const Vec t = 1.0F / (a * 0.3275911F + 1.0F);
  Vec q = splat(1.061405429F);
  q = q * t - 1.453152027F;
  q = q * t + 1.421413741F;
  q = q * t - 0.284496736F;
  q = q * t + 0.254829592F;
  const Vec far = 1.0F - q * t * exponential(-z);
  const Vec with_sign = from_bits(bits_of(far) | (bits_of(x) & INT32_MIN));
  return pick(a < 1.0F, near, pick(is_nan(x), x, with_sign));
}

inline Vec logistic(Vec x) { return 1.0F / (exponential(-x) + 1.0F); }

}  // namespace
}  // namespace npuport::simd
