// Statistics that several ATen rows are made of.
#pragma once

#include "ops/support/aten_help.h"

namespace npuport::aten {

struct Spread {
  ValueId value, mean;
};
// Variance (or standard deviation) over axes: sum((x - mean)^2) / max(0, n - correction); f16 and bf16 in f32.
Spread spread(AtenCall& c, ValueId x, const Ints& axes, double correction, bool keepdims, bool standard);
// log(sum(e^x)) relative to the maximum; infinite maxima are kept.
ValueId log_sum_exp(Builder& b, ValueId x, const Ints& axes, bool keepdims);
// (sum |x|^p)^(1/p); p = inf, -inf and 0 (count of non-zeros) as in torch.linalg.vector_norm; f16 and bf16 in f32.
ValueId vector_norm(Builder& b, ValueId x, double p, const Ints& axes, bool keepdims);

}  // namespace npuport::aten
