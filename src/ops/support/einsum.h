// Tensor contractions written in reshape, transpose, reduce_sum, mul and matmul.
#pragma once

#include "ir/builder.h"

namespace npuport {

// One dim = one label; equal labels are the same index. Labels are arbitrary numbers.
struct Labelled {
  ValueId value;
  Ints labels;
};

// Σ over all labels not in `out` of the product of the operands; the result's dims follow `out`. A label may repeat
// inside an operand (diagonal), and a size of 1 broadcasts. Fails on `b` (`shape_mismatch`) when sizes differ or an
// output label is in no operand or repeats.
ValueId contract(Builder& b, std::vector<Labelled> operands, const Ints& out);

// torch.einsum: labels are letters, "..." stands for the remaining dims, a missing "->" means every label that appears
// once, in alphabetical order. `bad_attribute` for an equation that does not fit.
ValueId einsum(Builder& b, std::string_view equation, const std::vector<ValueId>& operands);

}  // namespace npuport
