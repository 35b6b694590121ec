#include "pipelines/logits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/diag_codes.h"

namespace npuport {

Status check_logits(std::span<const float> logits) {
  for (size_t i = 0; i < logits.size(); ++i)
    if (std::isnan(logits[i])) return Diag(diag::gate_failed, fmt::format("the decoder's logits hold NaN at id {}", i));
  return {};
}

double log_sum_exp(std::span<const float> x) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  float top = kNothing;
  for (const float v : x) top = std::max(top, v);
  if (top == kNothing) return -std::numeric_limits<double>::infinity();
  double sum = 0;
  for (const float v : x)
    if (v != kNothing) sum += std::exp(static_cast<double>(v) - top);
  return top + std::log(sum);
}

}  // namespace npuport
