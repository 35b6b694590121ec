#include "ops/support/infer.h"

#include <fmt/format.h>

#include <algorithm>

namespace npuport {

bool in_set(DType t, unsigned set) {
  if (is_float(t)) return (set & types::floating) != 0;
  if (is_integer(t)) return (set & types::integer) != 0;
  return t == DType::boolean && (set & types::boolean) != 0;
}

std::string describe_set(unsigned set) {
  std::string text;
  const auto append = [&](unsigned bit, std::string_view word) {
    if ((set & bit) == 0) return;
    if (!text.empty()) text += " or ";
    text += word;
  };
  append(types::floating, "float");
  append(types::integer, "integer");
  append(types::boolean, "bool");
  return text;
}

Diag infer_error(const DiagCode& code, const InferCall& c, std::string message, std::string hint) {
  std::string inputs;
  for (const TensorType* t : c.in) {
    if (!inputs.empty()) inputs += ", ";
    inputs += t == nullptr ? std::string("_") : to_string(*t);
  }
  Diag d(code, fmt::format("{}({}): {}", c.op.name, inputs, message), std::move(hint));
  d.at_node(c.op.name);
  return d;
}

Status expect_types(const InferCall& c, size_t input, unsigned set) {
  if (!c.has(input)) return infer_error(diag::shape_mismatch, c, fmt::format("input {} is missing", input));
  if (in_set(c.in[input]->dtype, set)) return {};
  return infer_error(
      diag::dtype_mismatch, c,
      fmt::format("input {} is {}, expected {}", input, long_name(c.in[input]->dtype), describe_set(set)),
      "Insert a cast.");
}

Status expect_same_dtype(const InferCall& c, size_t a, size_t b) {
  if (!c.has(a) || !c.has(b)) {
    return infer_error(diag::shape_mismatch, c, fmt::format("input {} is missing", c.has(a) ? b : a));
  }
  if (c.in[a]->dtype == c.in[b]->dtype) return {};
  return infer_error(diag::dtype_mismatch, c,
                     fmt::format("inputs {} and {} differ in type: {} and {}", a, b, long_name(c.in[a]->dtype),
                                 long_name(c.in[b]->dtype)),
                     "Insert a cast; operator rows do not promote types.");
}

Status expect_rank(const InferCall& c, size_t input, size_t low, size_t high) {
  if (!c.has(input)) return infer_error(diag::shape_mismatch, c, fmt::format("input {} is missing", input));
  const size_t rank = c.in[input]->shape.size();
  if (rank >= low && rank <= high) return {};
  const std::string wanted = low == high  ? fmt::format("{}", low)
                             : high >= 64 ? fmt::format("at least {}", low)
                                          : fmt::format("{} to {}", low, high);
  return infer_error(diag::shape_mismatch, c, fmt::format("input {} has rank {}, expected {}", input, rank, wanted));
}

Status expect_index(const InferCall& c, size_t input) {
  if (!c.has(input)) return infer_error(diag::shape_mismatch, c, fmt::format("input {} is missing", input));
  const DType t = c.in[input]->dtype;
  if (t == DType::i32 || t == DType::i64) return {};
  return infer_error(diag::dtype_mismatch, c,
                     fmt::format("indices (input {}) are {}, expected int32 or int64", input, long_name(t)));
}

Result<int64_t> axis_of(const InferCall& c, std::string_view name, size_t rank) {
  Result<int64_t> axis = normalise_axis(c.attrs.i(name), rank == 0 ? 1 : rank);
  if (axis) return axis;
  return infer_error(diag::index_range, c,
                     fmt::format("{} = {} is out of range for rank {}", name, c.attrs.i(name), rank));
}

Result<Ints> axes_of(const InferCall& c, std::string_view name, size_t rank) {
  Ints axes;
  for (const int64_t value : c.attrs.ints(name)) {
    const Result<int64_t> axis = normalise_axis(value, rank == 0 ? 1 : rank);
    if (!axis) {
      return infer_error(diag::index_range, c, fmt::format("{} has {}, out of range for rank {}", name, value, rank));
    }
    axes.push_back(*axis);
  }
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    return infer_error(diag::bad_attribute, c, fmt::format("{} names an axis twice", name));
  }
  return axes;
}

int64_t known_axis(const AttrView& attrs, std::string_view name, size_t rank) {
  const int64_t axis = attrs.i(name);
  return axis < 0 ? axis + static_cast<int64_t>(rank == 0 ? 1 : rank) : axis;
}

Ints known_axes(const AttrView& attrs, std::string_view name, size_t rank) {
  Ints axes = attrs.ints(name);
  for (int64_t& axis : axes) {
    if (axis < 0) axis += static_cast<int64_t>(rank == 0 ? 1 : rank);
  }
  std::sort(axes.begin(), axes.end());
  return axes;
}

Types one_output(DType dtype, Shape shape) {
  NPU_TRY(check_shape(shape));
  std::vector<TensorType> out(1);
  out[0].dtype = dtype;
  out[0].shape = std::move(shape);
  return out;
}

Types infer_same_in(const InferCall& c, unsigned set) {
  NPU_TRY(expect_types(c, 0, set));
  return one_output(c.in[0]->dtype, c.in[0]->shape);
}

Types infer_broadcast_in(const InferCall& c, unsigned set, DType result) {
  NPU_TRY(expect_types(c, 0, set));
  Shape shape = c.in[0]->shape;
  for (size_t i = 1; i < c.in.size(); ++i) {
    NPU_TRY(expect_same_dtype(c, 0, i));
    Result<Shape> both = broadcast_shapes(shape, c.in[i]->shape);
    if (!both) {
      return infer_error(diag::shape_mismatch, c, "the shapes do not broadcast",
                         "Dimensions, aligned at the last one, must be equal or 1.");
    }
    shape = std::move(*both);
  }
  return one_output(result == DType::unknown ? c.in[0]->dtype : result, std::move(shape));
}

}  // namespace npuport
