// Dimensions in another order.
#pragma once

#include "base/tensor.h"

namespace npuport {

// `t` with its dimensions permuted: dim i of the result is dim permutation[i] of `t`; empty = unchanged (shared).
// shape_mismatch when the ranks differ.
Result<Tensor> permute(const Tensor& t, const Shape& permutation);

// `s` with its dimensions in that order; empty permutation = `s`. The ranks must agree.
Shape permuted_shape(const Shape& s, const Shape& permutation);

}  // namespace npuport
