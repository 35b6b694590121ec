// PyTorch's outputs as samples hold them: whole, or, where an output is too large to keep (Whisper's [1,448,51865]
// logits are 93 MB), chosen elements of it. Arrays `out.K`; a partial one has `out.K.index` (i64, ascending places in
// the flattened output) and `out.K.shape` (i64) beside it.
#pragma once

#include "exec/compare.h"
#include "ir/npy.h"

namespace npuport {

struct Baseline {
  Tensor values;                // the whole output, or its chosen elements (rank 1)
  std::optional<Tensor> index;  // i64 [n]: where `values` lie in the flattened output; absent = whole
  Shape shape;                  // of the whole output
};

// out.0, out.1, … until the first gap. bad_input_data naming the array when a partial one is inconsistent: index not
// i64 of the values' length, not ascending, or outside the shape.
Result<std::vector<Baseline>> read_baselines(const NamedTensors& arrays);

// One output against its baseline under a gate. For a partial baseline the whole output's shape must be the baseline's
// and all its elements finite; the figures are those of the chosen elements, `worst_index` counts in the whole output.
Comparison compare(const Tensor& got, const Baseline& baseline, const Gate& gate);
// All outputs of a sample: the worst one, as compare_all for whole tensors.
Comparison compare_all(std::span<const Tensor> got, std::span<const Baseline> baseline, const Gate& gate);

}  // namespace npuport
