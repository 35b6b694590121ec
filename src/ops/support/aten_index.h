// PyTorch's advanced indexing x[i, :, mask, …] in terms of gather and scatter.
#pragma once

#include <optional>

#include "ops/support/aten_help.h"

namespace npuport::aten {

// x's axes reordered so that the indexed ones come first, and one index tensor per indexed axis, all of shape
// `index_shape`.
struct IndexPlan {
  ValueId data;                  // permuted by `perm`
  Ints perm;                     // indexed axes, then the others in order
  std::vector<ValueId> indices;  // i64 or i32, non-negative where that is known or was arranged
  Shape index_shape;             // broadcast shape of the indices
  int64_t result_axis = 0;       // where the index dims appear in the result of a read
  ValueId original;              // x
};

// Bool and uint8 masks must be constant (`data_dependent` otherwise) and become positions. nullopt after a failure on
// c.b. With no index at all the plan has no indexed axis.
std::optional<IndexPlan> plan_index(AtenCall& c, ValueId x, const std::vector<ValueId>& indices);
// x[indices]
ValueId read_indexed(Builder& b, const IndexPlan& plan);
// x with x[indices] replaced by (reduced with) `values`, which broadcast to the shape of the read.
ValueId write_indexed(Builder& b, const IndexPlan& plan, ValueId values, std::string_view reduction);
// When `indices` is exactly one non-constant bool mask over leading axes of x: the mask with dims of size 1 appended
// for the others. Invalid otherwise.
ValueId single_mask(Builder& b, ValueId x, const std::vector<ValueId>& indices);

// Computed indices may be negative: adds `size` to those below 0, unless the producer shows that there are none.
ValueId wrap_negative(Builder& b, ValueId index, int64_t size);

}  // namespace npuport::aten
