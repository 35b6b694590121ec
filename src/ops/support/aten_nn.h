// Helpers for the ATen hooks of the neural families.
#pragma once

#include "ops/aten.h"

namespace npuport::aten_nn {

// A list argument as `n` values: one value is repeated, an empty list becomes `fill`, others stay as they are.
Ints repeat_to(const Ints& v, size_t n, int64_t fill);

// Builder shorthands; axes may be negative.
ValueId reduce(Builder& b, std::string_view op, ValueId x, Ints axes, bool keepdims);
ValueId mul_scalar(Builder& b, ValueId x, double factor);  // x itself for factor 1
ValueId add_scalar(Builder& b, ValueId x, double term);    // x itself for term 0
// Swaps the last two dims.
ValueId swap_last(Builder& b, ValueId x);
// x.reshape with a dim of size 1 inserted at / removed from `axis` (0 <= axis).
ValueId unsqueeze(Builder& b, ValueId x, size_t axis);
ValueId squeeze(Builder& b, ValueId x, size_t axis);
// Elements [begin, end) along `axis`.
ValueId slice(Builder& b, ValueId x, int64_t axis, int64_t begin, int64_t end);

// An image batch [N, C, spatial…]; the unbatched form [C, spatial…] gets a batch dim that restore() removes again.
struct Batched {
  ValueId value;
  bool added = false;

  Batched(Builder& b, ValueId x, size_t spatial_rank);
  ValueId restore(Builder& b, ValueId y) const;
};

}  // namespace npuport::aten_nn
