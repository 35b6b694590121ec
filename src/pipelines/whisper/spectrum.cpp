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

constexpr size_t kComplex = kWindow / 2;
constexpr std::array<size_t, 4> kRadices = {4, 2, 5, 5};

// Sixteen windows side by side. The compiler splits it where registers are shorter. Unaligned, so that plain float
// arrays can be read as such.
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
typedef int32_t IntLanes __attribute__((vector_size(kLanes * sizeof(int32_t)), aligned(4), may_alias));

struct Complex {
  Lanes re, im;
};

NPU_INLINE void radix2(const Complex (&a)[5], Complex (&b)[5]) {
  b[0].re = a[0].re + a[1].re, b[0].im = a[0].im + a[1].im;
  b[1].re = a[0].re - a[1].re, b[1].im = a[0].im - a[1].im;
}

NPU_INLINE void radix4(const Complex (&a)[5], Complex (&b)[5]) {
  const Lanes sum02r = a[0].re + a[2].re, sum02i = a[0].im + a[2].im;
  const Lanes dif02r = a[0].re - a[2].re, dif02i = a[0].im - a[2].im;
  const Lanes sum13r = a[1].re + a[3].re, sum13i = a[1].im + a[3].im;
  const Lanes dif13r = a[1].re - a[3].re, dif13i = a[1].im - a[3].im;
  b[0].re = sum02r + sum13r, b[0].im = sum02i + sum13i;
  b[1].re = dif02r + dif13i, b[1].im = dif02i - dif13r;
  b[2].re = sum02r - sum13r, b[2].im = sum02i - sum13i;
  b[3].re = dif02r - dif13i, b[3].im = dif02i + dif13r;
}

NPU_INLINE void radix5(const Complex (&a)[5], Complex (&b)[5]) {
  constexpr float c1 = 0.30901699437494742f, c2 = -0.80901699437494742f;  // cos 72°, cos 144°
  constexpr float s1 = 0.95105651629515357f, s2 = 0.58778525229247313f;   // sin 72°, sin 144°
  const Lanes t1r = a[1].re + a[4].re, t1i = a[1].im + a[4].im;
  const Lanes t2r = a[2].re + a[3].re, t2i = a[2].im + a[3].im;
  const Lanes t3r = a[1].re - a[4].re, t3i = a[1].im - a[4].im;
  const Lanes t4r = a[2].re - a[3].re, t4i = a[2].im - a[3].im;
  const Lanes m1r = a[0].re + c1 * t1r + c2 * t2r, m1i = a[0].im + c1 * t1i + c2 * t2i;
  const Lanes m2r = a[0].re + c2 * t1r + c1 * t2r, m2i = a[0].im + c2 * t1i + c1 * t2i;
  const Lanes n1r = s1 * t3r + s2 * t4r, n1i = s1 * t3i + s2 * t4i;
  const Lanes n2r = s2 * t3r - s1 * t4r, n2i = s2 * t3i - s1 * t4i;
  b[0].re = a[0].re + t1r + t2r, b[0].im = a[0].im + t1i + t2i;
  b[1].re = m1r + n1i, b[1].im = m1i - n1r;
  b[2].re = m2r + n2i, b[2].im = m2i - n2r;
  b[3].re = m2r - n2i, b[3].im = m2i + n2r;
  b[4].re = m1r - n1i, b[4].im = m1i + n1r;
}

// One Stockham stage: `length` points left to transform, `stride` transforms already interleaved.
template <size_t Radix>
NPU_INLINE void stage(const Complex* from, Complex* to, size_t length, size_t stride, const float*& wr,
                      const float*& wi) {
  const size_t m = length / Radix;
  for (size_t p = 0; p < m; ++p) {
    for (size_t q = 0; q < stride; ++q) {
      Complex a[5], b[5];
      for (size_t j = 0; j < Radix; ++j) a[j] = from[q + stride * (p + m * j)];
      if constexpr (Radix == 2) radix2(a, b);
      if constexpr (Radix == 4) radix4(a, b);
      if constexpr (Radix == 5) radix5(a, b);
      Complex* out = to + q + stride * Radix * p;
      out[0] = b[0];
      for (size_t k = 1; k < Radix; ++k) {
        out[stride * k].re = b[k].re * wr[k] - b[k].im * wi[k];
        out[stride * k].im = b[k].re * wi[k] + b[k].im * wr[k];
      }
    }
    wr += Radix;
    wi += Radix;
  }
}

struct Tables {
  const float *hann, *wr, *wi, *split_re, *split_im;
};

NPU_CLONES void windows(const float* samples, float* power, const Tables& t) {
  // Sample 160·q + r of the sound in row r, column q: what sixteen windows hold at one place lies side by side.
  constexpr size_t columns = kLanes + kWindow / kHop;
  float turned[kHop][columns];
  for (size_t q = 0; q < columns; ++q)
    for (size_t r = 0, n = q + 1 < columns ? kHop : kWindow % kHop; r < n; ++r) turned[r][q] = samples[kHop * q + r];
  Complex a[kComplex], b[kComplex];
  for (size_t n = 0; n < kComplex; ++n) {
    const float* even = &turned[2 * n % kHop][2 * n / kHop];  // its right neighbour in time is one row below
    a[n].re = *reinterpret_cast<const Lanes*>(even) * t.hann[2 * n];
    a[n].im = *reinterpret_cast<const Lanes*>(even + columns) * t.hann[2 * n + 1];
  }
  const float *wr = t.wr, *wi = t.wi;
  stage<4>(a, b, 200, 1, wr, wi);
  stage<2>(b, a, 50, 4, wr, wi);
  stage<5>(a, b, 25, 8, wr, wi);
  stage<5>(b, a, 5, 40, wr, wi);
  Lanes* out = reinterpret_cast<Lanes*>(power);
  for (size_t k = 0; k <= kComplex; ++k) {
    const Complex &z = a[k % kComplex], &y = a[(kComplex - k) % kComplex];
    // Even samples' spectrum e = (z + y*)/2, odd samples' o = (z - y*)/2i; X[k] = e + w·o.
    const Lanes er = (z.re + y.re) * 0.5f, ei = (z.im - y.im) * 0.5f;
    const Lanes odr = (z.im + y.im) * 0.5f, odi = (y.re - z.re) * 0.5f;
    const Lanes re = er + t.split_re[k] * odr - t.split_im[k] * odi;
    const Lanes im = ei + t.split_re[k] * odi + t.split_im[k] * odr;
    out[k] = re * re + im * im;
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

NPU_CLONES void bands(const float* power, const MelFilter* filters, size_t count, float* out, float* loudest) {
  const Lanes* bins = reinterpret_cast<const Lanes*>(power);
  Lanes most = *reinterpret_cast<const Lanes*>(loudest);
  for (size_t m = 0; m < count; ++m) {
    Lanes sum = {};
    const float* w = filters[m].weights.data();
    const Lanes* at = bins + filters[m].first;
    for (size_t k = 0, n = filters[m].weights.size(); k < n; ++k) sum += w[k] * at[k];
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

void log_mel(const float* power, const std::vector<MelFilter>& filters, float* out, float* loudest) {
  bands(power, filters.data(), filters.size(), out, loudest);
}

PowerSpectrum::PowerSpectrum() {
  constexpr double pi = std::numbers::pi;
  for (size_t n = 0; n < kWindow; ++n) {
    const double s = std::sin(pi * static_cast<double>(n) / kWindow);
    hann_[n] = static_cast<float>(s * s);
  }
  size_t length = kComplex;
  for (const size_t radix : kRadices) {
    for (size_t p = 0; p < length / radix; ++p)
      for (size_t k = 0; k < radix; ++k) {
        const double angle = -2 * pi * static_cast<double>(p * k) / static_cast<double>(length);
        twiddle_re_.push_back(static_cast<float>(std::cos(angle)));
        twiddle_im_.push_back(static_cast<float>(std::sin(angle)));
      }
    length /= radix;
  }
  for (size_t k = 0; k < kBins; ++k) {
    const double angle = -2 * pi * static_cast<double>(k) / kWindow;
    split_re_[k] = static_cast<float>(std::cos(angle));
    split_im_[k] = static_cast<float>(std::sin(angle));
  }
}

void PowerSpectrum::compute(const float* samples, float* power) const {
  const Tables tables{hann_.data(), twiddle_re_.data(), twiddle_im_.data(), split_re_.data(), split_im_.data()};
  windows(samples, power, tables);
}

}  // namespace npuport::whisper
