#include "ops/support/aten_nn.h"

#include <numeric>

namespace npuport::aten_nn {

Ints repeat_to(const Ints& v, size_t n, int64_t fill) {
  if (v.empty()) return Ints(n, fill);
  if (v.size() == 1) return Ints(n, v[0]);
  return v;
}

ValueId reduce(Builder& b, std::string_view op, ValueId x, Ints axes, bool keepdims) {
  return b.op(op, {x}, {{"axes", std::move(axes)}, {"keepdims", keepdims}});
}

ValueId mul_scalar(Builder& b, ValueId x, double factor) {
  return factor == 1.0 ? x : b.mul(x, b.scalar(factor, b.dtype(x)));
}

ValueId add_scalar(Builder& b, ValueId x, double term) {
  return term == 0.0 ? x : b.add(x, b.scalar(term, b.dtype(x)));
}

ValueId swap_last(Builder& b, ValueId x) {
  const size_t rank = b.shape(x).size();
  if (rank < 2) return x;
  Ints perm(rank);
  std::iota(perm.begin(), perm.end(), int64_t{0});
  std::swap(perm[rank - 1], perm[rank - 2]);
  return b.transpose(x, std::move(perm));
}

ValueId unsqueeze(Builder& b, ValueId x, size_t axis) {
  Shape s = b.shape(x);
  if (b.failed() || axis > s.size()) return x;
  s.insert(s.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return b.reshape(x, std::move(s));
}

ValueId squeeze(Builder& b, ValueId x, size_t axis) {
  Shape s = b.shape(x);
  if (b.failed() || axis >= s.size()) return x;
  s.erase(s.begin() + static_cast<std::ptrdiff_t>(axis));
  return b.reshape(x, std::move(s));
}

ValueId slice(Builder& b, ValueId x, int64_t axis, int64_t begin, int64_t end) {
  const Shape& s = b.shape(x);
  if (b.failed() || (begin == 0 && axis < static_cast<int64_t>(s.size()) && s[static_cast<size_t>(axis)] == end)) {
    return x;
  }
  return b.op("slice", {x}, {{"starts", Ints{begin}}, {"ends", Ints{end}}, {"axes", Ints{axis}}, {"steps", Ints{1}}});
}

Batched::Batched(Builder& b, ValueId x, size_t spatial_rank) : value(x), added(b.shape(x).size() == spatial_rank + 1) {
  if (added) value = unsqueeze(b, x, 0);
}

ValueId Batched::restore(Builder& b, ValueId y) const { return added ? squeeze(b, y, 0) : y; }

}  // namespace npuport::aten_nn
