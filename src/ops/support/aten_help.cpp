#include "ops/support/aten_help.h"

#include <algorithm>
#include <numeric>

namespace npuport::aten {

ValueId number(Builder& b, const AtenScalar& value, DType dtype) {
  const Tensor t = value.kind == AtenScalar::real ? Tensor::scalar(value.f) : Tensor::scalar(value.i);
  return b.constant(cast_tensor(t, dtype));
}

ValueId number_like(AtenCall& c, std::string_view arg, ValueId like) {
  return number(c.b, c.scalar(arg), c.b.dtype(like));
}

Ints all_axes(size_t rank) {
  Ints axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

Ints axis_list(AtenCall& c, std::string_view arg, size_t rank) {
  Ints axes = c.ints(arg);
  for (int64_t& axis : axes) {
    const Result<int64_t> known = normalise_axis(axis, rank == 0 ? 1 : rank);
    if (!known) c.fail(known.error());
    axis = known ? *known : 0;
  }
  return axes;
}

Ints axes_or_all(AtenCall& c, std::string_view arg, size_t rank) {
  if (c.is_none(arg) || c.ints(arg).empty()) return all_axes(rank);
  Ints axes = axis_list(c, arg, rank);
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    refuse(c, diag::bad_attribute, "an axis appears twice in " + std::string(arg));
  }
  if (rank == 0) axes.clear();
  return axes;
}

ValueId as_index(Builder& b, ValueId v) {
  const DType t = b.dtype(v);
  return t == DType::i32 || t == DType::i64 ? v : b.cast(v, DType::i64);
}

ValueId as_bool(Builder& b, ValueId v) { return b.cast(v, DType::boolean); }

ValueId as_float(Builder& b, ValueId v) { return is_float(b.dtype(v)) ? v : b.cast(v, DType::f32); }

DType wide_float(DType t) { return t == DType::f16 || t == DType::bf16 ? DType::f32 : t; }

ValueId slice(Builder& b, ValueId x, int64_t axis, int64_t start, int64_t end, int64_t step) {
  if (b.failed()) return x;
  const Shape& shape = b.shape(x);
  if (start == 0 && step == 1 && axis < static_cast<int64_t>(shape.size()) && end == shape[axis]) return x;
  return b.op("slice", {x},
              {{"starts", Ints{start}}, {"ends", Ints{end}}, {"axes", Ints{axis}}, {"steps", Ints{step}}});
}

ValueId concat(Builder& b, std::vector<ValueId> parts, int64_t axis) {
  if (parts.size() == 1) return parts[0];
  return b.op("concat", std::move(parts), {{"axis", axis}});
}

ValueId unsqueeze(Builder& b, ValueId x, int64_t axis) {
  Shape shape = b.shape(x);
  if (axis < 0 || axis > static_cast<int64_t>(shape.size())) return x;
  shape.insert(shape.begin() + axis, 1);
  return b.reshape(x, std::move(shape));
}

ValueId squeeze(Builder& b, ValueId x, int64_t axis) {
  Shape shape = b.shape(x);
  if (axis < 0 || axis >= static_cast<int64_t>(shape.size())) return x;
  shape.erase(shape.begin() + axis);
  return b.reshape(x, std::move(shape));
}

ValueId reduce(Builder& b, std::string_view op, ValueId x, Ints axes, bool keepdims) {
  return b.op(op, {x}, {{"axes", std::move(axes)}, {"keepdims", keepdims}});
}

ValueId move_axis(Builder& b, ValueId x, int64_t from, int64_t to) {
  Ints perm = all_axes(b.shape(x).size());
  if (b.failed() || perm.empty()) return x;
  perm.erase(perm.begin() + from);
  perm.insert(perm.begin() + to, from);
  return b.transpose(x, std::move(perm));
}

ValueId flat(Builder& b, ValueId x) { return b.reshape(x, {element_count(b.shape(x))}); }

ValueId full(Builder& b, Shape shape, const AtenScalar& value, DType dtype) {
  if (Status s = check_shape(shape); !s) {
    b.fail(std::move(s).error());
    return {};
  }
  constexpr int64_t most = 1 << 20;
  const ValueId one = number(b, value, dtype);
  if (element_count(shape) > most) return b.expand(one, std::move(shape));
  const Tensor& element = *b.constant_of(one);
  Tensor t = Tensor::zeros(dtype, std::move(shape));
  const size_t size = static_cast<size_t>(bits(dtype) / 8);
  for (int64_t i = 0; i < t.count(); ++i) {
    std::memcpy(t.mutable_data() + static_cast<size_t>(i) * size, element.data, size);
  }
  return b.constant(std::move(t));
}

ValueId take_constant(Builder& b, ValueId data, const Ints& at, int64_t axis) {
  const int64_t n = static_cast<int64_t>(at.size());
  const int64_t step = n > 1 ? at[1] - at[0] : 1;
  bool progression = n > 0 && step > 0;
  for (int64_t i = 1; progression && i < n; ++i) progression = at[i] - at[i - 1] == step;
  if (progression) return slice(b, data, axis, at[0], at.back() + 1, step);
  return b.op("gather", {data, b.ints(at)}, {{"axis", axis}});
}

void identity(AtenCall& c) { c.ret(c.tensor("self")); }

void refuse(AtenCall& c, const DiagCode& code, std::string message, std::string hint) {
  c.fail(Diag(code, std::move(message), std::move(hint)));
}

}  // namespace npuport::aten
