#include "ops/support/special.h"

#include <limits>
#include <numbers>

namespace npuport {

double inverse_erf(double y) {
  constexpr double a[4] = {0.886226899, -1.645349621, 0.914624893, -0.140543331};
  constexpr double b[4] = {-2.118377725, 1.442710462, -0.329097515, 0.012229801};
  constexpr double c[4] = {-1.970840454, -1.624906493, 3.429567803, 1.641345311};
  constexpr double d[2] = {3.543889200, 1.637067800};
  const double size = std::fabs(y);
  if (!(size <= 1.0)) return std::numeric_limits<double>::quiet_NaN();
  if (size == 1.0) return std::copysign(std::numeric_limits<double>::infinity(), y);
  double x;
  if (size <= 0.7) {
    const double z = y * y;
    x = y * (((a[3] * z + a[2]) * z + a[1]) * z + a[0]) / ((((b[3] * z + b[2]) * z + b[1]) * z + b[0]) * z + 1.0);
  } else {
    const double z = std::sqrt(-std::log((1.0 - size) / 2.0));
    x = std::copysign((((c[3] * z + c[2]) * z + c[1]) * z + c[0]) / ((d[1] * z + d[0]) * z + 1.0), y);
  }
  for (int step = 0; step < 2; ++step) {
    x -= (std::erf(x) - y) / (2.0 * std::numbers::inv_sqrtpi * std::exp(-x * x));
  }
  return x;
}

float inverse_erf(float y) { return static_cast<float>(inverse_erf(static_cast<double>(y))); }

double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

float log_gamma(float x) { return static_cast<float>(log_gamma(static_cast<double>(x))); }

int64_t float_to_int64(double x) {
  constexpr double limit = 9223372036854775808.0;  // 2^63
  if (!(x >= -limit && x < limit)) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(x);
}

}  // namespace npuport
