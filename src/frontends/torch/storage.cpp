#include "frontends/torch/storage.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/diag_codes.h"

namespace npuport {
namespace {

constexpr int64_t max_expanded_bytes = int64_t{256} << 20;

Diag outside(const TensorRecord& r, std::string why) {
  return Diag(
      diag::corrupt,
      fmt::format("a tensor of shape {} lies outside its storage {}: {}", to_string(r.sizes), r.storage.key, why),
      "save or download the file again");
}

// Strides as if the dimensions of size 1 had the stride of a dense tensor: theirs is never used.
std::vector<int64_t> effective_strides(const TensorRecord& r) {
  std::vector<int64_t> strides = r.strides;
  const std::vector<int64_t> dense = strides_of(r.sizes);
  for (size_t i = 0; i < strides.size(); ++i)
    if (r.sizes[i] == 1) strides[i] = dense[i];
  return strides;
}

// Copies elements in row-major order of `sizes`.
void gather(const TensorRecord& r, std::span<const int64_t> strides, const std::byte* from, std::byte* to,
            size_t item) {
  const int64_t count = element_count(r.sizes);
  std::vector<int64_t> index(r.sizes.size(), 0);
  const std::byte* at = from;
  const int64_t last_size = r.sizes.empty() ? 1 : r.sizes.back();
  const int64_t last_stride = r.sizes.empty() ? 0 : strides.back() * static_cast<int64_t>(item);
  for (int64_t done = 0; done < count; done += last_size) {
    for (int64_t i = 0; i < last_size; ++i, to += item) std::memcpy(to, at + i * last_stride, item);
    for (size_t d = r.sizes.size(); d-- > 1;) {
      const int64_t step = strides[d - 1] * static_cast<int64_t>(item);
      at += step;
      if (++index[d - 1] < r.sizes[d - 1]) break;
      at -= step * r.sizes[d - 1];
      index[d - 1] = 0;
    }
  }
}

void swap_bytes(std::byte* data, int64_t count, size_t item) {
  for (int64_t i = 0; i < count; ++i)
    std::reverse(data + i * static_cast<int64_t>(item), data + (i + 1) * static_cast<int64_t>(item));
}

// A C++ bool may hold nothing but 0 and 1.
bool all_booleans(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return std::to_integer<int>(b) <= 1; });
}

}  // namespace

Status check_record(const TensorRecord& r) {
  if (r.storage.dtype == DType::unknown)
    return Diag(diag::unsupported, fmt::format("tensors of element type {} are not supported", r.storage.dtype_name),
                "convert the tensor to a real type before saving");
  NPU_TRY(check_shape(r.sizes));
  if (element_count(r.sizes) == 0) return {};
  int64_t left = r.storage.count - 1 - r.offset;  // elements behind the first one
  bool inside = r.offset >= 0 && left >= 0;
  for (size_t i = 0; i < r.sizes.size() && inside; ++i) {
    const int64_t steps = r.sizes[i] - 1;
    inside = r.strides[i] >= 0 && (r.strides[i] == 0 || steps <= left / r.strides[i]);
    if (inside) left -= steps * r.strides[i];
  }
  if (!inside) return outside(r, fmt::format("it holds {} elements", r.storage.count));
  return {};
}

Status check_storage(const TensorRecord& r, uint64_t bytes) {
  const auto item = static_cast<uint64_t>(std::max<int64_t>(r.storage.item_bytes, 1));
  if (static_cast<uint64_t>(r.storage.count) <= bytes / item) return {};
  return outside(r, fmt::format("{} elements are declared, {} bytes are there", r.storage.count, bytes));
}

std::string tensor_identity(const TensorRecord& r) {
  return fmt::format("{}/{} {} {} {} {}", r.storage.pool, r.storage.key, static_cast<int>(r.storage.dtype), r.offset,
                     fmt::join(r.sizes, ","), fmt::join(effective_strides(r), ","));
}

Result<Tensor> make_tensor(const TensorRecord& r, std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                           bool big_endian) {
  NPU_TRY(check_record(r));
  NPU_TRY(check_storage(r, bytes.size()));
  const auto item = static_cast<size_t>(r.storage.item_bytes);
  const int64_t count = element_count(r.sizes);
  if (count == 0) return Tensor::zeros(r.storage.dtype, r.sizes);
  const std::byte* first = bytes.data() + static_cast<size_t>(r.offset) * item;
  const std::vector<int64_t> strides = effective_strides(r);
  const int64_t size = byte_size(r.storage.dtype, count);
  const bool in_order = strides == strides_of(r.sizes);
  const bool swapped = big_endian && item > 1;
  const bool aligned = reinterpret_cast<uintptr_t>(first) % item == 0;
  const bool valid = r.storage.dtype != DType::boolean || !in_order || all_booleans({first, static_cast<size_t>(size)});
  if (in_order && aligned && !swapped && valid) {
    Tensor t;
    t.dtype = r.storage.dtype;
    t.shape = r.sizes;
    t.owner = std::move(owner);
    t.data = first;
    return t;
  }
  if (size > max_expanded_bytes && static_cast<uint64_t>(size) > bytes.size())
    return Diag(diag::too_large,
                fmt::format("a tensor of shape {} repeats its elements to {} bytes", to_string(r.sizes), size),
                "save the tensor without expand");
  Tensor t = Tensor::zeros(r.storage.dtype, r.sizes);
  std::byte* to = t.mutable_data();
  if (in_order) {
    std::memcpy(to, first, static_cast<size_t>(size));
  } else {
    gather(r, strides, first, to, item);
  }
  if (swapped) swap_bytes(to, count, item);
  if (r.storage.dtype == DType::boolean)
    for (int64_t i = 0; i < count; ++i) to[i] = to[i] == std::byte{0} ? std::byte{0} : std::byte{1};
  return t;
}

}  // namespace npuport
