// Special functions the kernels share.
#pragma once

#include <cmath>
#include <cstdint>

namespace npuport {

// 1 / (1 + e^-x) in the form PyTorch computes.
template <class T>
T logistic(T x) {
  return T{1} / (T{1} + std::exp(-x));
}

// Inverse error function on [-1, 1] (±inf at the ends, NaN outside): central or tail rational approximation, then two
// Newton steps on erf. Coefficients: algorithm of "calc_erfinv" in PyTorch's Math.h (after MATLAB's erfinv).
double inverse_erf(double y);
float inverse_erf(float y);
// log |gamma(x)| without touching the C library's global sign.
double log_gamma(double x);
float log_gamma(float x);

// Truncation toward zero; NaN and what lies outside int64 give INT64_MIN, as x86 hardware (and PyTorch there) does.
int64_t float_to_int64(double x);

}  // namespace npuport
