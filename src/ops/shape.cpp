// Data movement: the same numbers at other places.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ops/support/kernel.h"
#include "ops/support/remap.h"
#include "ops/support/rows.h"

namespace npuport {
namespace {

int element_bytes(DType t) { return bits(t) / 8; }

Status copy_all(const EvalCall& c) {
  if (bits(c.in[0].dtype) < 8) return no_kernel(c);
  const size_t bytes = static_cast<size_t>(byte_size(c.in[0].dtype, c.in[0].count()));
  if (bytes != 0) std::memcpy(c.out[0].data, c.in[0].data, bytes);
  return {};
}

// Out = the input read with other strides, from element `offset`.
Status copy_from(const EvalCall& c, const Ints& strides, int64_t offset = 0) {
  const int size = element_bytes(c.in[0].dtype);
  if (bits(c.in[0].dtype) < 8) return no_kernel(c);
  copy_strided(size, c.out[0].shape, static_cast<const std::byte*>(c.in[0].data) + offset * size, strides,
               c.out[0].data, strides_of(c.out[0].shape));
  return {};
}

Types infer_reshape(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  const Ints& shape = c.attrs.ints("shape");
  NPU_TRY(check_shape(shape));
  if (element_count(shape) != element_count(c.in[0]->shape)) {
    return infer_error(diag::shape_mismatch, c,
                       fmt::format("shape {} holds {} elements, the input {}", to_string(shape), element_count(shape),
                                   element_count(c.in[0]->shape)));
  }
  return one_output(c.in[0]->dtype, shape);
}

Types infer_transpose(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  const Ints& perm = c.attrs.ints("perm");
  const Shape& x = c.in[0]->shape;
  Ints sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  Ints expected(x.size());
  std::iota(expected.begin(), expected.end(), 0);
  if (sorted != expected) {
    return infer_error(diag::bad_attribute, c,
                       fmt::format("perm {} is no permutation of {} axes", to_text(AttrValue(perm)), x.size()));
  }
  Shape y;
  for (const int64_t axis : perm) y.push_back(x[static_cast<size_t>(axis)]);
  return one_output(c.in[0]->dtype, std::move(y));
}

Status eval_transpose(const EvalCall& c) {
  const Ints in = strides_of(c.in[0].shape);
  Ints strides;
  for (const int64_t axis : c.attrs.ints("perm")) strides.push_back(in[static_cast<size_t>(axis)]);
  return copy_from(c, strides);
}

Types infer_expand(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  const Ints& shape = c.attrs.ints("shape");
  NPU_TRY(check_shape(shape));
  const Result<Shape> both = broadcast_shapes(c.in[0]->shape, shape);
  if (!both || *both != shape) {
    return infer_error(diag::shape_mismatch, c, fmt::format("the input does not expand to {}", to_string(shape)));
  }
  return one_output(c.in[0]->dtype, shape);
}

Status eval_expand(const EvalCall& c) { return copy_from(c, broadcast_strides(c.in[0].shape, c.out[0].shape)); }

std::optional<Ints> remap_expand(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall& c) {
  if (c.in[0]->shape.size() != perm.size()) return std::nullopt;
  for (Attr& a : attrs) {
    if (a.name == "shape" || a.name == "repeats") a.value = permuted_list(std::get<Ints>(a.value), perm);
  }
  return Ints(perm.begin(), perm.end());
}

std::optional<Ints> remap_slice(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall&) {
  for (Attr& a : attrs) {
    if (a.name != "axes") continue;
    for (int64_t& axis : std::get<Ints>(a.value)) axis = permuted_axis(axis, perm);
  }
  return Ints(perm.begin(), perm.end());
}

Types infer_concat(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(expect_rank(c, 0, 1));
  Shape y = c.in[0]->shape;
  NPU_ASSIGN(const int64_t axis, axis_of(c, "axis", y.size()));
  for (size_t i = 1; i < c.in.size(); ++i) {
    NPU_TRY(expect_same_dtype(c, 0, i));
    const Shape& x = c.in[i]->shape;
    bool fits = x.size() == y.size();
    for (size_t d = 0; fits && d < y.size(); ++d) fits = static_cast<int64_t>(d) == axis || x[d] == y[d];
    if (!fits) {
      return infer_error(diag::shape_mismatch, c,
                         fmt::format("input {} differs from input 0 outside of axis {}", i, axis));
    }
    y[static_cast<size_t>(axis)] += x[static_cast<size_t>(axis)];
  }
  return one_output(c.in[0]->dtype, std::move(y));
}

// Bytes of everything inside `axis`, and how many such blocks lie outside of it.
struct Blocks {
  int64_t outer, inner_bytes;
};
Blocks blocks_of(std::span<const int64_t> shape, size_t axis, DType dtype) {
  return {element_count(shape.first(axis)), element_count(shape.subspan(axis + 1)) * element_bytes(dtype)};
}

Status eval_concat(const EvalCall& c) {
  if (bits(c.in[0].dtype) < 8) return no_kernel(c);
  const size_t axis = static_cast<size_t>(known_axis(c.attrs, "axis", c.out[0].shape.size()));
  const auto [outer, inner] = blocks_of(c.out[0].shape, axis, c.out[0].dtype);
  std::byte* y = static_cast<std::byte*>(c.out[0].data);
  for (int64_t o = 0; o < outer; ++o) {
    for (const View& x : c.in) {
      const int64_t bytes = x.shape[axis] * inner;
      if (bytes == 0) continue;
      std::memcpy(y, static_cast<const std::byte*>(x.data) + o * bytes, static_cast<size_t>(bytes));
      y += bytes;
    }
  }
  return {};
}

Types infer_split(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(expect_rank(c, 0, 1));
  const Shape& x = c.in[0]->shape;
  NPU_ASSIGN(const int64_t axis, axis_of(c, "axis", x.size()));
  const Ints& sizes = c.attrs.ints("sizes");
  int64_t left = x[static_cast<size_t>(axis)];
  bool fits = !sizes.empty();
  std::vector<TensorType> out;
  for (const int64_t size : sizes) {
    fits = fits && size >= 0 && size <= left;
    if (!fits) break;
    left -= size;
    out.push_back(*c.in[0]);
    out.back().quant = nullptr;
    out.back().shape[static_cast<size_t>(axis)] = size;
  }
  if (!fits || left != 0) {
    return infer_error(
        diag::shape_mismatch, c,
        fmt::format("sizes {} do not add up to dim {} of {}", to_text(AttrValue(sizes)), axis, to_string(x)));
  }
  return out;
}

Status eval_split(const EvalCall& c) {
  if (bits(c.in[0].dtype) < 8) return no_kernel(c);
  const size_t axis = static_cast<size_t>(known_axis(c.attrs, "axis", c.in[0].shape.size()));
  const auto [outer, inner] = blocks_of(c.in[0].shape, axis, c.in[0].dtype);
  const std::byte* x = static_cast<const std::byte*>(c.in[0].data);
  for (int64_t o = 0; o < outer; ++o) {
    for (const MutView& y : c.out) {
      const int64_t bytes = y.shape[axis] * inner;
      if (bytes == 0) continue;
      std::memcpy(static_cast<std::byte*>(y.data) + o * bytes, x, static_cast<size_t>(bytes));
      x += bytes;
    }
  }
  return {};
}

Types infer_slice(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  Shape y = c.in[0]->shape;
  NPU_ASSIGN(const Ints unique, axes_of(c, "axes", y.size()));
  const Ints& axes = c.attrs.ints("axes");
  const Ints &starts = c.attrs.ints("starts"), &ends = c.attrs.ints("ends"), &steps = c.attrs.ints("steps");
  if (starts.size() != axes.size() || ends.size() != axes.size() || steps.size() != axes.size()) {
    return infer_error(diag::bad_attribute, c, "starts, ends, axes and steps differ in length");
  }
  if (y.empty() && !axes.empty()) return infer_error(diag::shape_mismatch, c, "a single number has no axis to cut");
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t& size = y.at(static_cast<size_t>(axes[i] < 0 ? axes[i] + static_cast<int64_t>(y.size()) : axes[i]));
    if (starts[i] < 0 || starts[i] > ends[i] || ends[i] > size || steps[i] < 1) {
      return infer_error(
          diag::bad_attribute, c,
          fmt::format("slice {}:{}:{} of axis {} with {} elements", starts[i], ends[i], steps[i], axes[i], size),
          "0 <= start <= end <= size and step >= 1 is the canonical form.");
    }
    size = ends[i] > starts[i] ? (ends[i] - starts[i] - 1) / steps[i] + 1 : 0;
  }
  return one_output(c.in[0]->dtype, std::move(y));
}

Status eval_slice(const EvalCall& c) {
  Ints strides = strides_of(c.in[0].shape);
  const Ints &axes = c.attrs.ints("axes"), &starts = c.attrs.ints("starts"), &steps = c.attrs.ints("steps");
  int64_t offset = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t& stride = strides[axes[i] < 0 ? axes[i] + static_cast<int64_t>(strides.size()) : axes[i]];
    offset += starts[i] * stride;
    stride *= steps[i];
  }
  return copy_from(c, strides, c.out[0].count() == 0 ? 0 : offset);
}

Types infer_flip(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(axes_of(c, "axes", c.in[0]->shape.size()));
  return infer_same<types::any>(c);
}

Status eval_flip(const EvalCall& c) {
  const std::span<const int64_t> shape = c.in[0].shape;
  if (shape.empty() || c.out[0].count() == 0) return copy_all(c);
  Ints strides = strides_of(shape);
  int64_t offset = 0;
  for (const int64_t axis : known_axes(c.attrs, "axes", shape.size())) {
    offset += (shape[axis] - 1) * strides[axis];
    strides[axis] = -strides[axis];
  }
  return copy_from(c, strides, offset);
}

Types infer_tile(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  const Ints& repeats = c.attrs.ints("repeats");
  Shape y = c.in[0]->shape;
  if (repeats.size() != y.size() || std::any_of(repeats.begin(), repeats.end(), [](int64_t r) { return r < 0; })) {
    return infer_error(diag::bad_attribute, c, "repeats needs one count >= 0 per dimension");
  }
  for (size_t d = 0; d < y.size(); ++d) {
    if (repeats[d] > (int64_t{1} << 40)) return infer_error(diag::too_large, c, "the result is too large");
    y[d] *= repeats[d];
  }
  return one_output(c.in[0]->dtype, std::move(y));
}

Status eval_tile(const EvalCall& c) {
  if (bits(c.in[0].dtype) < 8) return no_kernel(c);
  const Ints in = strides_of(c.in[0].shape);
  Shape shape;
  Ints strides;
  for (size_t d = 0; d < in.size(); ++d) {
    shape.insert(shape.end(), {c.attrs.ints("repeats")[d], c.in[0].shape[d]});
    strides.insert(strides.end(), {0, in[d]});
  }
  copy_strided(element_bytes(c.in[0].dtype), shape, c.in[0].data, strides, c.out[0].data, strides_of(shape));
  return {};
}

constexpr AttrDef reshape_attrs[] = {{"shape", AttrKind::integers, "", "every dimension, none inferred"}};
constexpr AttrDef transpose_attrs[] = {{"perm", AttrKind::integers, "", "out dim i = in dim perm[i]"}};
constexpr AttrDef expand_attrs[] = {{"shape", AttrKind::integers, "", "shape of the result"}};
constexpr AttrDef concat_attrs[] = {{"axis", AttrKind::integer, "", "where the inputs line up"}};
constexpr AttrDef split_attrs[] = {{"axis", AttrKind::integer, "", "the axis that is cut"},
                                   {"sizes", AttrKind::integers, "", "length of each part"}};
constexpr AttrDef slice_attrs[] = {{"starts", AttrKind::integers, "", "first index per axis, >= 0"},
                                   {"ends", AttrKind::integers, "", "one past the last index, <= size"},
                                   {"axes", AttrKind::integers, "", "the axes that are cut"},
                                   {"steps", AttrKind::integers, "", "distance of taken elements, >= 1"}};
constexpr AttrDef flip_attrs[] = {{"axes", AttrKind::integers, "", "the axes that are reversed"}};
constexpr AttrDef tile_attrs[] = {{"repeats", AttrKind::integers, "", "copies per dimension"}};

constexpr OpDef movement(std::string_view name, std::string_view doc, std::span<const AttrDef> attrs, InferFn infer,
                         EvalFn eval, AxisRule axes = {}) {
  return {.name = name,
          .doc = doc,
          .in = ports::x,
          .out = ports::y,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .axes = axes,
          .quant = QuantRule::same_as_input};
}

constexpr OpDef concat_row() {
  OpDef row = movement("concat", "The inputs one after another along axis", concat_attrs, infer_concat, eval_concat,
                       {AxisRule::remap, remap_axis});
  row.in = ports::list_x;
  return row;
}

constexpr OpDef split_row() {
  OpDef row = movement("split", "Consecutive parts along axis", split_attrs, infer_split, eval_split,
                       {AxisRule::remap, remap_axis});
  row.out = ports::list_y;
  return row;
}

constexpr OpDef rows[] = {
    movement("reshape", "The same elements in row-major order under another shape", reshape_attrs, infer_reshape,
             copy_all),
    movement("transpose", "Out dim i = in dim perm[i]", transpose_attrs, infer_transpose, eval_transpose),
    movement("expand", "Broadcasts the input to shape", expand_attrs, infer_expand, eval_expand,
             {AxisRule::remap, remap_expand}),
    concat_row(),
    split_row(),
    movement("slice", "x[start:end:step] on each named axis; canonical non-negative bounds", slice_attrs, infer_slice,
             eval_slice, {AxisRule::remap, remap_slice}),
    movement("flip", "Reversed order along axes", flip_attrs, infer_flip, eval_flip, {AxisRule::remap, remap_axes}),
    movement("tile", "The whole input repeated along every dimension", tile_attrs, infer_tile, eval_tile,
             {AxisRule::remap, remap_expand}),
};

}  // namespace

std::span<const OpDef> ops_shape() { return rows; }

}  // namespace npuport
