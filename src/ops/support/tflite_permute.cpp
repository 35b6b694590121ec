#include "ops/support/tflite_permute.h"

#include <algorithm>

namespace npuport {
namespace {

// Copies one run along the innermost dim with a stride in elements.
template <class T>
void copy_run(const std::byte* from, int64_t stride, int64_t count, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * sizeof(T), from + i * stride * sizeof(T), sizeof(T));
}

void copy_run(int64_t size, const std::byte* from, int64_t stride, int64_t count, std::byte* to) {
  switch (size) {
    case 1:
      return copy_run<uint8_t>(from, stride, count, to);
    case 2:
      return copy_run<uint16_t>(from, stride, count, to);
    case 4:
      return copy_run<uint32_t>(from, stride, count, to);
    default:
      return copy_run<uint64_t>(from, stride, count, to);
  }
}

}  // namespace

void permute_rows(const Tensor& source, std::span<const int64_t> perm, int64_t begin, int64_t end, std::byte* out) {
  const size_t rank = perm.size();
  const int64_t size = byte_size(source.dtype, 1);
  if (rank == 0) {
    std::memcpy(out, source.data, static_cast<size_t>(size));
    return;
  }
  const auto from = strides_of(source.shape);
  Shape shape(rank);
  std::vector<int64_t> stride(rank);
  for (size_t i = 0; i < rank; ++i) {
    shape[i] = source.shape[static_cast<size_t>(perm[i])];
    stride[i] = from[static_cast<size_t>(perm[i])];
  }
  // Dim 0 runs over [begin, end); with rank 1 it is the innermost run itself.
  const int64_t run = rank == 1 ? end - begin : shape[rank - 1];
  int64_t runs = rank == 1 ? 1 : end - begin;
  for (size_t i = 1; i + 1 < rank; ++i) runs *= shape[i];
  if (run == 0) return;
  std::vector<int64_t> index(rank, 0);
  index[0] = begin;
  int64_t offset = begin * stride[0];
  for (int64_t r = 0; r < runs; ++r) {
    copy_run(size, source.data + offset * size, stride[rank - 1], run, out);
    out += run * size;
    for (size_t d = rank - 1; d-- > 0;) {
      offset += stride[d];
      if (++index[d] < shape[d] || d == 0) break;
      offset -= stride[d] * shape[d];
      index[d] = 0;
    }
  }
}

Tensor permute(const Tensor& source, std::span<const int64_t> perm) {
  Shape shape(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) shape[i] = source.shape[static_cast<size_t>(perm[i])];
  Tensor out = Tensor::zeros(source.dtype, shape);
  if (out.count() > 0) permute_rows(source, perm, 0, perm.empty() ? 1 : shape[0], out.mutable_data());
  return out;
}

}  // namespace npuport
