#include "ops/support/aten_index.h"

#include <algorithm>

namespace npuport::aten {
namespace {

bool is_mask(Builder& b, ValueId v) { return b.dtype(v) == DType::boolean || b.dtype(v) == DType::u8; }

// Positions of the true elements, one i64 vector per axis of the mask.
std::vector<ValueId> true_positions(Builder& b, const Tensor& mask) {
  std::vector<Ints> at(mask.shape.size());
  const Ints strides = strides_of(mask.shape);
  for (int64_t i = 0; i < mask.count(); ++i) {
    if (get_int(mask, i) == 0) continue;
    for (size_t d = 0; d < at.size(); ++d) at[d].push_back(i / strides[d] % mask.shape[d]);
  }
  std::vector<ValueId> out;
  for (const Ints& list : at) out.push_back(b.ints(list));
  return out;
}

// One entry per axis of x (invalid = not indexed), masks replaced by positions.
std::optional<std::vector<ValueId>> per_axis(AtenCall& c, ValueId x, const std::vector<ValueId>& indices) {
  std::vector<ValueId> out;
  for (const ValueId v : indices) {
    if (!v.valid() || !is_mask(c.b, v)) {
      out.push_back(v.valid() ? as_index(c.b, v) : v);
      continue;
    }
    const Tensor* known = c.b.constant_of(v);
    if (known == nullptr) {
      refuse(c, diag::data_dependent, "indexing with a mask that depends on the inputs: the result's size is not fixed",
             "Use torch.where, or multiply by the mask.");
      return std::nullopt;
    }
    const Shape& shape = c.b.shape(x);
    for (size_t d = 0; d < known->shape.size(); ++d) {
      if (out.size() + d >= shape.size() || shape[out.size() + d] != known->shape[d]) {
        refuse(c, diag::shape_mismatch, "the mask " + to_string(known->shape) + " does not fit " + to_string(shape));
        return std::nullopt;
      }
    }
    if (known->shape.empty()) {
      refuse(c, diag::unsupported, "indexing with a 0-dimensional mask");
      return std::nullopt;
    }
    for (const ValueId p : true_positions(c.b, *known)) out.push_back(p);
  }
  if (out.size() > c.b.shape(x).size()) {
    refuse(c, diag::index_range, "too many indices for a tensor of shape " + to_string(c.b.shape(x)));
    return std::nullopt;
  }
  out.resize(c.b.shape(x).size());
  return out;
}

bool never_negative(Builder& b, ValueId v) {
  const Node* n = b.graph().producer(v);
  if (n == nullptr) return false;
  const std::string_view op = n->op->name;
  if (op == "arg_max" || op == "arg_min" || op == "searchsorted") return true;
  if (op == "topk" || op == "sort") return n->outputs.size() == 2 && n->outputs[1] == v;
  if (op == "clamp") return n->attr().f("min") >= 0;
  if (op == "cast") return b.dtype(n->inputs[0]) == DType::boolean || never_negative(b, n->inputs[0]);
  if (op == "reshape" || op == "expand" || op == "transpose" || op == "slice") return never_negative(b, n->inputs[0]);
  return false;
}

// A constant index with negative entries wrapped; an entry out of range fails.
ValueId constant_index(Builder& b, const Tensor& t, int64_t size) {
  Tensor fixed = Tensor::zeros(DType::i64, t.shape);
  const std::span<int64_t> to = fixed.mut<int64_t>();
  for (int64_t i = 0; i < t.count(); ++i) {
    const int64_t k = get_int(t, i);
    if (k < -size || k >= size) {
      b.fail(Diag(diag::index_range,
                  "index " + std::to_string(k) + " is out of range for a dimension of size " + std::to_string(size)));
      return {};
    }
    to[static_cast<size_t>(i)] = k < 0 ? k + size : k;
  }
  return b.constant(std::move(fixed));
}

// All index tensors joined into tuples [..., k].
ValueId tuples(Builder& b, const IndexPlan& plan) {
  std::vector<ValueId> columns;
  const int64_t axis = static_cast<int64_t>(plan.index_shape.size());
  for (const ValueId v : plan.indices) {
    columns.push_back(unsqueeze(b, b.cast(b.expand(v, plan.index_shape), DType::i64), axis));
  }
  return concat(b, std::move(columns), axis);
}

// Constant indices of several axes as one index into those axes flattened.
std::optional<Ints> linear_positions(Builder& b, const IndexPlan& plan) {
  Ints linear(static_cast<size_t>(element_count(plan.index_shape)), 0);
  for (size_t d = 0; d < plan.indices.size(); ++d) {
    const Tensor* t = b.constant_of(b.expand(plan.indices[d], plan.index_shape));
    if (t == nullptr) return std::nullopt;
    const int64_t size = b.shape(plan.data)[d];
    for (size_t i = 0; i < linear.size(); ++i) linear[i] = linear[i] * size + get_int(*t, static_cast<int64_t>(i));
  }
  return linear;
}

}  // namespace

ValueId wrap_negative(Builder& b, ValueId index, int64_t size) {
  if (const Tensor* t = b.constant_of(index)) return constant_index(b, *t, size);
  if (b.failed() || never_negative(b, index)) return index;
  const DType t = b.dtype(index);
  const ValueId below = b.op("less", {index, b.scalar(0.0, t)});
  return b.op("where", {below, b.add(index, b.scalar(static_cast<double>(size), t)), index});
}

std::optional<IndexPlan> plan_index(AtenCall& c, ValueId x, const std::vector<ValueId>& indices) {
  const std::optional<std::vector<ValueId>> axes = per_axis(c, x, indices);
  if (!axes) return std::nullopt;
  IndexPlan plan;
  plan.original = x;
  Ints rest;
  const Shape shape = c.b.shape(x);
  for (size_t d = 0; d < axes->size(); ++d) {
    const ValueId v = (*axes)[d];
    if (!v.valid()) {
      rest.push_back(static_cast<int64_t>(d));
      continue;
    }
    plan.perm.push_back(static_cast<int64_t>(d));
    plan.indices.push_back(wrap_negative(c.b, v, shape[d]));
    Result<Shape> both = broadcast_shapes(plan.index_shape, c.b.shape(v));
    if (!both) {
      c.fail(both.error());
      return std::nullopt;
    }
    plan.index_shape = std::move(*both);
  }
  const size_t n = plan.perm.size();
  // Indexed axes side by side: the index dims take their place. Apart: they go to the front.
  const bool adjacent = n > 0 && plan.perm.back() - plan.perm.front() + 1 == static_cast<int64_t>(n);
  plan.result_axis = adjacent ? plan.perm.front() : 0;
  plan.perm.insert(plan.perm.end(), rest.begin(), rest.end());
  plan.data = c.b.transpose(x, plan.perm);
  if (c.b.failed()) return std::nullopt;
  return plan;
}

namespace {

// Moves the leading `n` dims behind the next `before` dims.
ValueId lead_to(Builder& b, ValueId v, size_t n, int64_t before) {
  Ints perm;
  const int64_t count = static_cast<int64_t>(n), rank = static_cast<int64_t>(b.shape(v).size());
  for (int64_t i = 0; i < before; ++i) perm.push_back(count + i);
  for (int64_t i = 0; i < count; ++i) perm.push_back(i);
  for (int64_t i = count + before; i < rank; ++i) perm.push_back(i);
  return b.transpose(v, std::move(perm));
}

// The inverse: dims [before, before + n) to the front.
ValueId lead_from(Builder& b, ValueId v, size_t n, int64_t before) {
  Ints perm;
  const int64_t count = static_cast<int64_t>(n), rank = static_cast<int64_t>(b.shape(v).size());
  for (int64_t i = 0; i < count; ++i) perm.push_back(before + i);
  for (int64_t i = 0; i < before; ++i) perm.push_back(i);
  for (int64_t i = count + before; i < rank; ++i) perm.push_back(i);
  return b.transpose(v, std::move(perm));
}

}  // namespace

ValueId read_indexed(Builder& b, const IndexPlan& plan) {
  const size_t n = plan.indices.size();
  if (n == 0) return plan.original;
  if (n == 1) {
    const int64_t axis = plan.perm[0];
    const Tensor* known = b.constant_of(plan.indices[0]);
    if (known != nullptr && known->shape.size() == 1) {
      Ints at;
      for (int64_t i = 0; i < known->count(); ++i) at.push_back(get_int(*known, i));
      return take_constant(b, plan.original, at, axis);
    }
    return b.op("gather", {plan.original, plan.indices[0]}, {{"axis", axis}});
  }
  ValueId y;
  if (const std::optional<Ints> linear = linear_positions(b, plan)) {
    Shape shape = b.shape(plan.data);
    const int64_t rows = element_count(std::span(shape).first(n));
    shape.erase(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(n));
    Shape result = plan.index_shape;
    result.insert(result.end(), shape.begin(), shape.end());
    shape.insert(shape.begin(), rows);
    y = b.reshape(take_constant(b, b.reshape(plan.data, std::move(shape)), *linear, 0), std::move(result));
  } else {
    y = b.op("gather_nd", {plan.data, tuples(b, plan)});
  }
  return lead_to(b, y, plan.index_shape.size(), plan.result_axis);
}

ValueId write_indexed(Builder& b, const IndexPlan& plan, ValueId values, std::string_view reduction) {
  const size_t n = plan.indices.size(), index_rank = plan.index_shape.size();
  if (n == 0) {
    const ValueId wide = b.expand(values, b.shape(plan.original));
    return reduction == "add" ? b.add(plan.original, wide) : wide;
  }
  const Shape& data = b.shape(plan.data);
  const Shape rest(data.begin() + static_cast<std::ptrdiff_t>(n), data.end());
  Shape read(rest.begin(), rest.begin() + plan.result_axis);
  read.insert(read.end(), plan.index_shape.begin(), plan.index_shape.end());
  read.insert(read.end(), rest.begin() + plan.result_axis, rest.end());
  const ValueId wide = lead_from(b, b.expand(values, read), index_rank, plan.result_axis);
  if (element_count(read) == 0) return plan.original;
  const ValueId y = b.op("scatter_nd", {plan.data, tuples(b, plan), wide}, {{"reduction", std::string(reduction)}});
  Ints inverse(plan.perm.size());
  for (size_t i = 0; i < plan.perm.size(); ++i) inverse[static_cast<size_t>(plan.perm[i])] = static_cast<int64_t>(i);
  return b.transpose(y, std::move(inverse));
}

ValueId single_mask(Builder& b, ValueId x, const std::vector<ValueId>& indices) {
  ValueId mask;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (!indices[i].valid()) continue;
    if (i != 0 || mask.valid()) return {};
    mask = indices[i];
  }
  if (!mask.valid() || !is_mask(b, mask)) return {};
  Shape shape = b.shape(mask);
  const Shape& full_shape = b.shape(x);
  if (shape.size() > full_shape.size() || !std::equal(shape.begin(), shape.end(), full_shape.begin())) return {};
  shape.resize(full_shape.size(), 1);
  return b.reshape(as_bool(b, mask), std::move(shape));
}

}  // namespace npuport::aten
