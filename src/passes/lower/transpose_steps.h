// A transpose of any rank as a sequence of transposes of low rank with reshapes between them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ir/attr.h"

namespace npuport {

struct TransposeStep {
  Shape shape;  // view the data like this,
  Ints perm;    // then permute
};

// The shortest sequence with at most `most` dims per step; nullopt when three steps do not suffice. Empty for a
// permutation that moves dims of size 1 only.
std::optional<std::vector<TransposeStep>> transpose_steps(const Shape& shape, const Ints& perm, size_t most);

}  // namespace npuport
