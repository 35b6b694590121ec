// From a storage's bytes and a tensor's description to a dense tensor.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "frontends/torch/pickle.h"
#include "ir/tensor.h"

namespace npuport {

// The element type is one npuport has, and every element lies inside the storage as declared; `unsupported` naming the
// element type, or `corrupt`.
Status check_record(const TensorRecord& r);
// The storage's bytes are as many as declared; `corrupt` otherwise.
Status check_storage(const TensorRecord& r, uint64_t bytes);

// Equal for records that describe the same elements of the same storage in the same order.
std::string tensor_identity(const TensorRecord& r);

// Points into `bytes` (kept alive by `owner`) when the elements lie there in order, aligned and in our byte order; a
// dense copy otherwise. Errors as check_record, check_storage, and `too_large` for an expanded tensor above 256 MiB.
Result<Tensor> make_tensor(const TensorRecord& r, std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                           bool big_endian);

}  // namespace npuport
