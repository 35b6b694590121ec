// What PyTorch's view operators do to indices: which part of the base they show, and with which strides.
#pragma once

#include <optional>

#include "frontends/torch/script_value.h"
#include "ir/attr.h"

namespace npuport {

struct ViewCall {
  std::string_view op;           // "aten::select"
  std::span<const IValue> args;  // after the tensor, defaults filled in
  size_t output = 0;             // element of a list result
};

// The view shows [begin, begin + length) of one dimension and everything of the others (select, slice with step 1,
// narrow, split, chunk, unbind …). Nullopt for all other views.
struct ViewRange {
  int64_t dim = 0, begin = 0, length = 0;
};
std::optional<ViewRange> view_range(const ViewCall& call, const Shape& base);

// The view permutes dimensions (transpose, permute, t, movedim …): out dim i = base dim perm[i].
std::optional<Ints> view_permutation(const ViewCall& call, size_t rank);

// Operators that keep all elements in row-major order: view, reshape, unsqueeze, squeeze, flatten, unflatten …
bool is_reshape(std::string_view op);

// Strides of the view in the base's memory, or nullopt when unknown or (reshape) when PyTorch has to copy.
std::optional<Ints> view_strides(const ViewCall& call, const Shape& base, const Ints& strides, const Shape& out);

}  // namespace npuport
