// The bytes of a constant, straight from where they are to a file.
#pragma once

#include "base/atomic_file.h"
#include "ir/attr.h"

namespace npuport {

// Appends `source` with its dims permuted (stored dim i = dim perm[i]; empty = as they are), a piece at a time.
// `dtype`: that of the source, or f16 for f32. `name`: of the tensor, for messages. Errors: not_writable;
// not_representable for a number beyond float16.
Status stream_constant(AtomicFile& out, const Tensor& source, const Ints& perm, DType dtype, const std::string& name);

}  // namespace npuport
