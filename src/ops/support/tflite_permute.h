// Constants with permuted dimensions, whole or a slice at a time.
#pragma once

#include "ir/tensor.h"

namespace npuport {

// Writes rows [begin, end) of the outermost dim of `source` permuted by `perm` (result dim i = source dim perm[i]) to
// `out`, in the source's element type. Element types of whole bytes only.
void permute_rows(const Tensor& source, std::span<const int64_t> perm, int64_t begin, int64_t end, std::byte* out);
// The whole of it. `perm` must be a permutation of the source's dims.
Tensor permute(const Tensor& source, std::span<const int64_t> perm);

}  // namespace npuport
