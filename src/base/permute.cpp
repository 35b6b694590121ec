#include "base/permute.h"

#include "base/diag_codes.h"

namespace npuport {
namespace {

// Walks the result in order; the innermost dimension is a plain strided loop.
template <class Item>
void copy_permuted(const std::byte* from, std::byte* to, const Shape& shape, const std::vector<int64_t>& step, Item) {
  const size_t outer = shape.size() - 1;
  const int64_t inner = shape[outer], inner_step = step[outer];
  const int64_t rows = inner == 0 ? 0 : element_count(shape) / inner;
  const auto* source = reinterpret_cast<const Item*>(from);
  auto* target = reinterpret_cast<Item*>(to);
  Shape index(shape.size());
  int64_t at = 0;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < inner; ++i) *target++ = source[at + i * inner_step];
    for (size_t d = outer; d-- > 0;) {
      at += step[d];
      if (++index[d] < shape[d]) break;
      at -= step[d] * shape[d];
      index[d] = 0;
    }
  }
}

template <class Fn>
void with_item_size(size_t bytes, Fn&& fn) {
  if (bytes == 1) fn(uint8_t{});
  if (bytes == 2) fn(uint16_t{});
  if (bytes == 4) fn(uint32_t{});
  if (bytes == 8) fn(uint64_t{});
}

}  // namespace

Shape permuted_shape(const Shape& s, const Shape& permutation) {
  if (permutation.empty()) return s;
  Shape out;
  for (const int64_t d : permutation) out.push_back(s[static_cast<size_t>(d)]);
  return out;
}

Result<Tensor> permute(const Tensor& t, const Shape& permutation) {
  if (permutation.empty()) return t;
  if (permutation.size() != t.shape.size())
    return Diag(diag::shape_mismatch, "a tensor of rank " + std::to_string(t.shape.size()) +
                                          " cannot take the border permutation of rank " +
                                          std::to_string(permutation.size()));
  if (bits(t.dtype) < 8)
    return Diag(diag::unsupported, "packed 4-bit tensors cannot be permuted at the border",
                "make the port's inputs and outputs of 8 bits or more");
  const std::vector<int64_t> strides = strides_of(t.shape);
  Shape shape;
  std::vector<int64_t> step;  // of the source, in elements, per dimension of the result
  for (const int64_t d : permutation) {
    shape.push_back(t.shape[static_cast<size_t>(d)]);
    step.push_back(strides[static_cast<size_t>(d)]);
  }
  Tensor out = Tensor::zeros(t.dtype, shape);
  const auto item = static_cast<size_t>(byte_size(t.dtype, 1));
  with_item_size(item, [&](auto size) { copy_permuted(t.data, out.mutable_data(), shape, step, size); });
  return out;
}

}  // namespace npuport
