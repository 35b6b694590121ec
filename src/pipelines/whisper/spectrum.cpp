#include "pipelines/whisper/spectrum.h"

#include <cmath>
#include <cstdint>
#include <numbers>

// One body, compiled also for AVX2 and AVX-512 where the compiler can choose at run time. No contraction to a·b + c, so
// all of them give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define NPU_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define NPU_CLONES
#endif
#define NPU_INLINE __attribute__((always_inline)) inline

namespace npuport::whisper {
namespace {

constexpr size_t kComplex = kWindow / 2;  // = 8 · 5 · 5
constexpr size_t kFirst = 25;             // butterflies of radix 8
constexpr size_t kGroups = 8;             // transforms of 25 points left behind them

// Sixteen windows side by side. The compiler splits it where registers are shorter. Unaligned, so that plain float
// arrays can be read as such.
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
typedef int32_t IntLanes __attribute__((vector_size(kLanes * sizeof(int32_t)), aligned(4), may_alias));
typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));

struct Complex {
  Lanes re, im;
};

NPU_INLINE void radix4(const Complex& a0, const Complex& a1, const Complex& a2, const Complex& a3, Complex (&b)[4]) {
  const Lanes sum02r = a0.re + a2.re, sum02i = a0.im + a2.im;
  const Lanes dif02r = a0.re - a2.re, dif02i = a0.im - a2.im;
  const Lanes sum13r = a1.re + a3.re, sum13i = a1.im + a3.im;
  const Lanes dif13r = a1.re - a3.re, dif13i = a1.im - a3.im;
  b[0].re = sum02r + sum13r, b[0].im = sum02i + sum13i;
  b[1].re = dif02r + dif13i, b[1].im = dif02i - dif13r;
  b[2].re = sum02r - sum13r, b[2].im = sum02i - sum13i;
  b[3].re = dif02r - dif13i, b[3].im = dif02i + dif13r;
}

NPU_INLINE void radix8(const Complex (&a)[8], Complex (&b)[8]) {
  constexpr float h = 0.70710678118654752f;  // cos 45°
  Complex e[4], o[4];
  radix4(a[0], a[2], a[4], a[6], e);
  radix4(a[1], a[3], a[5], a[7], o);
  const Complex turned[4] = {o[0],
                             {h * (o[1].re + o[1].im), h * (o[1].im - o[1].re)},
                             {o[2].im, -o[2].re},
                             {h * (o[3].im - o[3].re), -h * (o[3].re + o[3].im)}};
  for (size_t k = 0; k < 4; ++k) {
    b[k].re = e[k].re + turned[k].re, b[k].im = e[k].im + turned[k].im;
    b[k + 4].re = e[k].re - turned[k].re, b[k + 4].im = e[k].im - turned[k].im;
  }
}

// Of from[0], from[step] … from[4·step].
NPU_INLINE void radix5(const Complex* from, size_t step, Complex (&b)[5]) {
  constexpr float c1 = 0.30901699437494742f, c2 = -0.80901699437494742f;  // cos 72°, cos 144°
  constexpr float s1 = 0.95105651629515357f, s2 = 0.58778525229247313f;   // sin 72°, sin 144°
  const Complex &a0 = from[0], &a1 = from[step], &a2 = from[2 * step], &a3 = from[3 * step], &a4 = from[4 * step];
  const Lanes t1r = a1.re + a4.re, t1i = a1.im + a4.im;
  const Lanes t2r = a2.re + a3.re, t2i = a2.im + a3.im;
  const Lanes t3r = a1.re - a4.re, t3i = a1.im - a4.im;
  const Lanes t4r = a2.re - a3.re, t4i = a2.im - a3.im;
  const Lanes m1r = a0.re + c1 * t1r + c2 * t2r, m1i = a0.im + c1 * t1i + c2 * t2i;
  const Lanes m2r = a0.re + c2 * t1r + c1 * t2r, m2i = a0.im + c2 * t1i + c1 * t2i;
  const Lanes n1r = s1 * t3r + s2 * t4r, n1i = s1 * t3i + s2 * t4i;
  const Lanes n2r = s2 * t3r - s1 * t4r, n2i = s2 * t3i - s1 * t4i;
  b[0].re = a0.re + t1r + t2r, b[0].im = a0.im + t1i + t2i;
  b[1].re = m1r + n1i, b[1].im = m1i - n1r;
  b[2].re = m2r + n2i, b[2].im = m2i - n2r;
  b[3].re = m2r - n2i, b[3].im = m2i + n2r;
  b[4].re = m1r - n1i, b[4].im = m1i + n1r;
}

NPU_INLINE void turn_by(const Complex& v, float wr, float wi, Complex& out) {
  out.re = v.re * wr - v.im * wi;
  out.im = v.re * wi + v.im * wr;
}

struct Tables {
  const float *hann, *first, *second, *split_re, *split_im;
};

// Sample 160·q + r of the sound in row r, column q: what sixteen windows hold at one place lies side by side.
constexpr size_t kColumns = kLanes + kWindow / kHop, kRow = kColumns + 2;

NPU_INLINE void turn_samples(const float* samples, float (&turned)[kHop][kRow]) {
  for (size_t q = 0; q < kLanes; q += 4)
    for (size_t r = 0; r < kHop; r += 4) {
      const auto at = [&](size_t i) { return reinterpret_cast<const Four*>(samples + (q + i) * kHop + r); };
      const Four a = *at(0), b = *at(1), c = *at(2), d = *at(3);
      const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      const auto to = [&](size_t i) { return reinterpret_cast<Four*>(&turned[r + i][q]); };
      *to(0) = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
      *to(1) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
      *to(2) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
      *to(3) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
    }
  for (size_t q = kLanes; q < kColumns; ++q)
    for (size_t r = 0, n = q + 1 < kColumns ? kHop : kWindow % kHop; r < n; ++r) turned[r][q] = samples[kHop * q + r];
}

// Bins k and 200-k from the halves' spectrum: z = Z[k], y = Z[200-k]. Even samples' e = z + y*, odd samples' o = (z -
// y*)/i (twice their values; the window holds the half), X[k] = e + w·o, X[200-k] = (e - w·o)*.
NPU_INLINE void two_bins(const Complex& z, const Complex& y, size_t k, const Tables& t, Lanes* power) {
  const Lanes er = z.re + y.re, ei = z.im - y.im, odr = z.im + y.im, odi = y.re - z.re;
  const Lanes wr = t.split_re[k] * odr - t.split_im[k] * odi, wi = t.split_re[k] * odi + t.split_im[k] * odr;
  const Lanes re = er + wr, im = ei + wi, mre = er - wr, mim = ei - wi;
  power[k] = re * re + im * im;
  power[kComplex - k] = mre * mre + mim * mim;
}

// 200 = 8 · 5 · 5, the first two steps in place: Z[q + 8k + 40j] comes out of the third, whose inputs lie at q + 40k +
// 8i.
NPU_CLONES void windows(const float* samples, float* power, const Tables& t) {
  alignas(64) float turned[kHop][kRow];
  turn_samples(samples, turned);
  Complex z[kComplex];
  for (size_t p = 0; p < kFirst; ++p) {
    Complex a[8], b[8];
    for (size_t j = 0; j < 8; ++j) {
      const size_t n = 2 * (p + kFirst * j);
      const float* even = &turned[n % kHop][n / kHop];  // its right neighbour in time is one row below
      a[j].re = *reinterpret_cast<const Lanes*>(even) * t.hann[n];
      a[j].im = *reinterpret_cast<const Lanes*>(even + kRow) * t.hann[n + 1];
    }
    radix8(a, b);
    const float* w = t.first + 16 * p;
    z[8 * p] = b[0];
    for (size_t k = 1; k < 8; ++k) turn_by(b[k], w[2 * k], w[2 * k + 1], z[8 * p + k]);
  }
  for (size_t p = 0; p < 5; ++p)
    for (size_t q = 0; q < kGroups; ++q) {
      Complex b[5];
      radix5(z + q + 8 * p, 40, b);
      const float* w = t.second + 10 * p;
      z[q + 8 * p] = b[0];
      for (size_t k = 1; k < 5; ++k) turn_by(b[k], w[2 * k], w[2 * k + 1], z[q + 8 * (p + 5 * k)]);
    }
  Lanes* out = reinterpret_cast<Lanes*>(power);
  const auto third = [&z](size_t first, Complex(&b)[5]) { radix5(z + first % 8 + 40 * (first / 8), 8, b); };
  // The butterflies that give bins first + 40j and 40 - first + 40j mirror each other.
  Complex b[5], c[5];
  third(0, b);
  two_bins(b[0], b[0], 0, t, out);
  two_bins(b[1], b[4], 40, t, out);
  two_bins(b[2], b[3], 80, t, out);
  third(20, b);
  two_bins(b[0], b[4], 20, t, out);
  two_bins(b[1], b[3], 60, t, out);
  two_bins(b[2], b[2], 100, t, out);
  for (size_t first = 1; first < 20; ++first) {
    third(first, b);
    third(40 - first, c);
    for (size_t j = 0; j < 5; ++j) two_bins(b[j], c[4 - j], first + 40 * j, t, out);
  }
}

// log10 of positive normal numbers.
NPU_INLINE void log10_of(const Lanes& x, Lanes& out) {
  constexpr float log10_2 = 0.30102999566398120f, log10_e_twice = 0.86858896380650365f;
  const IntLanes bits = reinterpret_cast<const IntLanes&>(x);
  const IntLanes mantissa = (bits & 0x007FFFFF) | 0x3F800000;
  const Lanes m = reinterpret_cast<const Lanes&>(mantissa);  // 1 … 2
  const IntLanes upper = m > 1.41421356f;                    // -1 where true
  const Lanes centred = upper ? m * 0.5f : m;                // 0.71 … 1.41
  const Lanes exponent = __builtin_convertvector((bits >> 23) - 127 - upper, Lanes);
  const Lanes s = (centred - 1.0f) / (centred + 1.0f), q = s * s;
  const Lanes series = 1.0f + q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9))));
  out = exponent * log10_2 + log10_e_twice * s * series;
}

NPU_CLONES void bands(const float* power, const MelFilters& f, float* out, float* loudest) {
  const Lanes* bins = reinterpret_cast<const Lanes*>(power);
  const float* w = f.weights.data();
  Lanes most = *reinterpret_cast<const Lanes*>(loudest);
  for (size_t m = 0; m < f.bands.size(); ++m) {
    Lanes sum = {};
    const Lanes* at = bins + f.bands[m].first;
    for (size_t k = 0, n = f.bands[m].count; k < n; ++k) sum += *w++ * at[k];
    const Lanes audible = sum > kFloor ? sum : Lanes{} + kFloor;
    Lanes level;
    log10_of(audible, level);
    level = sum > kFloor ? level : Lanes{} + kSilence;
    most = level > most ? level : most;
    reinterpret_cast<Lanes*>(out)[m] = level;
  }
  *reinterpret_cast<Lanes*>(loudest) = most;
}

}  // namespace

void log_mel(const float* power, const MelFilters& filters, float* out, float* loudest) {
  bands(power, filters, out, loudest);
}

PowerSpectrum::PowerSpectrum() {
  constexpr double pi = std::numbers::pi;
  for (size_t n = 0; n < kWindow; ++n) {
    const double s = std::sin(pi * static_cast<double>(n) / kWindow);
    hann_[n] = static_cast<float>(s * s / 2);  // the half: see two_bins
  }
  const auto turns = [](size_t length, size_t radix, std::vector<float>& out) {
    for (size_t p = 0; p < length / radix; ++p)
      for (size_t k = 0; k < radix; ++k) {
        const double angle = -2 * pi * static_cast<double>(p * k) / static_cast<double>(length);
        out.push_back(static_cast<float>(std::cos(angle)));
        out.push_back(static_cast<float>(std::sin(angle)));
      }
  };
  turns(kComplex, kGroups, first_);
  turns(kFirst, 5, second_);
  for (size_t k = 0; k < split_re_.size(); ++k) {
    const double angle = -2 * pi * static_cast<double>(k) / kWindow;
    split_re_[k] = static_cast<float>(std::cos(angle));
    split_im_[k] = static_cast<float>(std::sin(angle));
  }
}

void PowerSpectrum::compute(const float* samples, float* power) const {
  const Tables tables{hann_.data(), first_.data(), second_.data(), split_re_.data(), split_im_.data()};
  windows(samples, power, tables);
}

}  // namespace npuport::whisper
