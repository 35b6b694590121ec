// What decoding loops ask of a decoder's logits.
#pragma once

#include <span>

#include "base/result.h"

namespace npuport {

// gate_failed naming the first id whose logit is NaN.
Status check_logits(std::span<const float> logits);
// log Σ exp(x); −inf for nothing or nothing but −inf.
double log_sum_exp(std::span<const float> x);

}  // namespace npuport
