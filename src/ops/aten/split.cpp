// ATen: cutting, joining and padding.
#include <algorithm>
#include <limits>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// Python slice bounds: None and int64 extremes are open, negative ones count from the end, the rest is clipped.
int64_t bound(int64_t value, int64_t size) { return std::clamp<int64_t>(value < 0 ? value + size : value, 0, size); }

void slice_tensor(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape& shape = c.b.shape(x);
  if (shape.empty()) return refuse(c, diag::shape_mismatch, "slice of a scalar");
  const int64_t axis = c.axis("dim", shape.size()), size = shape[axis], step = c.i("step");
  if (step < 1) return refuse(c, diag::bad_attribute, "slice step must be positive");
  const int64_t start = c.is_none("start") ? 0 : bound(c.i("start"), size);
  const int64_t end = std::max(start, c.is_none("end") ? size : bound(c.i("end"), size));
  c.ret(slice(c.b, x, axis, start, end, std::min(step, std::max<int64_t>(size, 1))));
}

// The i-th slice along `axis`, without that axis.
ValueId selected(AtenCall& c, ValueId x, int64_t axis, int64_t i) {
  const Shape& shape = c.b.shape(x);
  const int64_t size = shape.empty() ? 0 : shape[axis];
  if (i < -size || i >= size) {
    refuse(c, diag::index_range,
           "select: index " + std::to_string(i) + " of a dimension with " + std::to_string(size) + " elements");
    return {};
  }
  if (i < 0) i += size;
  return squeeze(c.b, slice(c.b, x, axis, i, i + 1), axis);
}

void select(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(selected(c, x, c.axis("dim", c.b.shape(x).size()), c.i("index")));
}

void unbind(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size());
  if (shape.empty()) return refuse(c, diag::shape_mismatch, "unbind of a scalar");
  std::vector<ValueId> out;
  for (int64_t i = 0; i < shape[axis]; ++i) out.push_back(selected(c, x, axis, i));
  c.ret_list(std::move(out));
}

void narrow(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape& shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size()), size = shape.empty() ? 0 : shape[axis];
  int64_t start = c.i("start");
  const int64_t length = c.i("length");
  if (start < 0) start += size;
  if (start < 0 || start > size || length < 0 || length > size - start) {
    return refuse(c, diag::index_range, "narrow: start and length lie outside of the dimension");
  }
  c.ret(slice(c.b, x, axis, start, start + length));
}

void ret_parts(AtenCall& c, ValueId x, int64_t axis, const Ints& sizes) {
  if (sizes.size() == 1) return c.ret_list({x});
  c.ret_list(c.b.ops("split", {x}, {{"axis", axis}, {"sizes", sizes}}));
}

// Parts of `size` elements, the last one smaller.
void ret_equal_parts(AtenCall& c, ValueId x, int64_t axis, int64_t size) {
  const Shape& shape = c.b.shape(x);
  if (shape.empty()) return refuse(c, diag::shape_mismatch, "split of a scalar");
  const int64_t total = shape[axis];
  if (size < 0 || (size == 0 && total != 0)) return refuse(c, diag::bad_attribute, "split: bad part size");
  Ints sizes;
  for (int64_t at = 0; at < total; at += size) sizes.push_back(std::min(size, total - at));
  if (sizes.empty()) sizes.push_back(0);
  ret_parts(c, x, axis, sizes);
}

void split_size(AtenCall& c) {
  const ValueId x = c.tensor("self");
  ret_equal_parts(c, x, c.axis("dim", c.b.shape(x).size()), c.i("split_size"));
}

template <const char* arg>
void split_sizes(AtenCall& c) {
  const ValueId x = c.tensor("self");
  ret_parts(c, x, c.axis("dim", c.b.shape(x).size()), c.ints(arg));
}
constexpr char kSplitSize[] = "split_size", kSplitSizes[] = "split_sizes";

void chunk(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape& shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size()), chunks = c.i("chunks");
  if (chunks < 1 || shape.empty()) return refuse(c, diag::bad_attribute, "chunk: chunks must be positive");
  const int64_t total = shape[axis];
  if (total == 0) return ret_parts(c, x, axis, Ints(static_cast<size_t>(chunks), 0));
  ret_equal_parts(c, x, axis, (total + chunks - 1) / chunks);
}

void tensor_split_sections(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape& shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size()), n = c.i("sections");
  if (n < 1 || shape.empty()) return refuse(c, diag::bad_attribute, "tensor_split: sections must be positive");
  Ints sizes;
  for (int64_t i = 0; i < n; ++i) sizes.push_back(shape[axis] / n + (i < shape[axis] % n ? 1 : 0));
  ret_parts(c, x, axis, sizes);
}

// Cut points work like slice bounds, so parts may overlap or be empty.
void tensor_split_indices(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size());
  if (shape.empty()) return refuse(c, diag::shape_mismatch, "tensor_split of a scalar");
  Ints cuts = c.ints("indices");
  cuts.push_back(shape[axis]);
  std::vector<ValueId> out;
  int64_t last = 0;
  for (const int64_t cut : cuts) {
    const int64_t start = bound(last, shape[axis]);
    out.push_back(slice(c.b, x, axis, start, std::max(start, bound(cut, shape[axis]))));
    last = cut;
  }
  c.ret_list(std::move(out));
}

// 1-D tensors without elements are skipped whatever the others' rank (PyTorch's legacy rule).
ValueId joined(AtenCall& c, std::vector<ValueId> parts, std::string_view dim) {
  std::erase_if(parts, [&](ValueId v) { return c.b.shape(v) == Shape{0}; });
  if (parts.empty()) return c.tensors("tensors").empty() ? ValueId{} : c.tensors("tensors")[0];
  return concat(c.b, parts, c.axis(dim, c.b.shape(parts[0]).size()));
}
void cat(AtenCall& c) { c.ret(joined(c, c.tensors("tensors"), "dim")); }
void concatenate(AtenCall& c) { c.ret(joined(c, c.tensors("tensors"), "dim")); }

void stack(AtenCall& c) {
  std::vector<ValueId> parts = c.tensors("tensors");
  if (parts.empty()) return refuse(c, diag::raised, "stack expects a non-empty list of tensors");
  const int64_t axis = c.axis("dim", c.b.shape(parts[0]).size() + 1);
  for (ValueId& v : parts) v = unsqueeze(c.b, v, axis);
  c.ret(concat(c.b, std::move(parts), axis));
}

// hstack, vstack, dstack, column_stack: at least `rank` dimensions, then joined along `axis`.
void stack_at(AtenCall& c, size_t rank, int64_t axis, bool as_columns = false) {
  std::vector<ValueId> parts = c.tensors("tensors");
  if (parts.empty()) return refuse(c, diag::raised, "stacking expects a non-empty list of tensors");
  for (ValueId& v : parts) {
    Shape shape = c.b.shape(v);
    if (as_columns && shape.size() < 2) shape = {element_count(shape), 1};
    if (shape.size() < rank) {
      if (rank == 3 && !shape.empty()) shape.push_back(1);
      shape.insert(shape.begin(), rank - shape.size(), 1);
    }
    v = c.b.reshape(v, std::move(shape));
  }
  if (rank == 1 && c.b.shape(parts[0]).size() == 1) axis = 0;
  c.ret(concat(c.b, std::move(parts), axis));
}

// pads as in PyTorch: (left, right) of the last dimension first. Negative entries cut.
ValueId padded(AtenCall& c, ValueId x, const Ints& pads, std::string_view mode, double value) {
  const size_t rank = c.b.shape(x).size();
  if (pads.size() % 2 != 0 || pads.size() / 2 > rank) {
    refuse(c, diag::bad_attribute, "pad: wrong number of paddings");
    return {};
  }
  Ints begin(rank, 0), end(rank, 0);
  for (size_t k = 0; k < pads.size() / 2; ++k) {
    begin[rank - 1 - k] = pads[2 * k];
    end[rank - 1 - k] = pads[2 * k + 1];
  }
  bool needed = false;
  Ints all;
  for (size_t d = 0; d < rank; ++d) {
    const int64_t size = c.b.shape(x)[d], from = std::max<int64_t>(0, -begin[d]);
    const int64_t to = size - std::max<int64_t>(0, -end[d]);
    if (from > size || to < from) {
      refuse(c, diag::shape_mismatch, "pad: a negative padding cuts more than there is");
      return {};
    }
    x = slice(c.b, x, static_cast<int64_t>(d), from, to);
    begin[d] = std::max<int64_t>(begin[d], 0);
    end[d] = std::max<int64_t>(end[d], 0);
    needed = needed || begin[d] > 0 || end[d] > 0;
  }
  if (!needed) return x;
  all.insert(all.end(), begin.begin(), begin.end());
  all.insert(all.end(), end.begin(), end.end());
  return c.b.op("pad", {x}, {{"pads", all}, {"mode", std::string(mode)}, {"value", value}});
}

void pad(AtenCall& c) {
  const std::string mode = c.s("mode");
  c.ret(padded(c, c.tensor("self"), c.ints("pad"), mode, c.is_none("value") ? 0.0 : c.f("value")));
}
void constant_pad(AtenCall& c) {
  c.ret(padded(c, c.tensor("self"), c.ints("pad"), "constant", c.scalar("value").as_double()));
}
template <const char* mode>
void pad_mode(AtenCall& c) {
  c.ret(padded(c, c.tensor("self"), c.ints("padding"), mode, 0.0));
}
void pad_circular(AtenCall& c) { c.ret(padded(c, c.tensor("self"), c.ints("pad"), "circular", 0.0)); }
constexpr char kReflect[] = "reflect", kReplicate[] = "replicate";

// self with the slice [start, end) along dim replaced: what lies before, src, what lies behind.
void slice_scatter(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size()), size = shape.empty() ? 0 : shape[axis], step = c.i("step");
  const int64_t start = c.is_none("start") ? 0 : bound(c.i("start"), size);
  const int64_t end = std::max(start, c.is_none("end") ? size : bound(c.i("end"), size));
  const ValueId source = c.b.cast(c.tensor("src"), c.b.dtype(x));
  if (step == 1) {
    std::vector<ValueId> parts;
    if (start > 0) parts.push_back(slice(c.b, x, axis, 0, start));
    if (end > start) {
      Shape part = shape;
      part[axis] = end - start;
      parts.push_back(c.b.expand(source, part));
    }
    if (end < size) parts.push_back(slice(c.b, x, axis, end, size));
    return c.ret(parts.empty() ? x : concat(c.b, std::move(parts), axis));
  }
  if (step < 1) return refuse(c, diag::bad_attribute, "slice_scatter: step must be positive");
  Ints at;
  for (int64_t i = start; i < end; i += step) at.push_back(i);
  const ValueId rows = c.b.reshape(c.b.ints(at), {static_cast<int64_t>(at.size()), 1});
  const ValueId moved = move_axis(c.b, x, axis, 0), moved_source = move_axis(c.b, source, axis, 0);
  c.ret(move_axis(c.b, c.b.op("scatter_nd", {moved, rows, moved_source}), 0, axis));
}

void select_scatter(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size()), size = shape.empty() ? 0 : shape[axis];
  int64_t i = c.i("index");
  if (i < -size || i >= size) return refuse(c, diag::index_range, "select_scatter: the index is out of range");
  if (i < 0) i += size;
  std::vector<ValueId> parts;
  if (i > 0) parts.push_back(slice(c.b, x, axis, 0, i));
  parts.push_back(unsqueeze(c.b, c.b.cast(c.tensor("src"), c.b.dtype(x)), axis));
  if (i + 1 < size) parts.push_back(slice(c.b, x, axis, i + 1, size));
  c.ret(concat(c.b, std::move(parts), axis));
}

void block_diag(AtenCall& c) {
  std::vector<ValueId> parts = c.tensors("tensors");
  Shape sizes;
  int64_t width = 0, before = 0;
  for (ValueId& v : parts) {
    const Shape shape = c.b.shape(v);
    if (shape.size() > 2) return refuse(c, diag::shape_mismatch, "block_diag takes at most 2 dimensions");
    if (shape.size() < 2) v = c.b.reshape(v, {1, element_count(shape)});
    width += c.b.failed() ? 0 : c.b.shape(v)[1];
  }
  for (ValueId& v : parts) {
    const int64_t own = c.b.failed() ? 0 : c.b.shape(v)[1];
    v = padded(c, v, {before, width - before - own}, "constant", 0.0);
    before += own;
  }
  if (parts.empty()) return refuse(c, diag::raised, "block_diag of no tensors");
  c.ret(concat(c.b, std::move(parts), 0));
}

constexpr Promote C = Promote::common, N = Promote::none;

constexpr AtenRow rows[] = {
    {"slice.Tensor(Tensor(a) self, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor(a)",
     {},
     N,
     slice_tensor},
    {"select.int(Tensor(a) self, int dim, int index) -> Tensor(a)", {}, N, select},
    {"unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]", {}, N, unbind},
    {"narrow(Tensor(a) self, int dim, int start, int length) -> Tensor(a)", {}, N, narrow},
    {"narrow_copy(Tensor self, int dim, int start, int length) -> Tensor", {}, N, narrow},
    {"split.Tensor(Tensor(a -> *) self, int split_size, int dim=0) -> Tensor(a)[]", {}, N, split_size},
    {"split.sizes(Tensor(a -> *) self, int[] split_size, int dim=0) -> Tensor(a)[]", {}, N, split_sizes<kSplitSize>},
    {"split(Tensor(a -> *) self, int[] split_sizes, int dim=0) -> Tensor(a)[]", {}, N, split_sizes<kSplitSizes>},
    {"split_with_sizes(Tensor(a -> *) self, int[] split_sizes, int dim=0) -> Tensor(a)[]",
     {},
     N,
     split_sizes<kSplitSizes>},
    {"unsafe_split.Tensor(Tensor self, int split_size, int dim=0) -> Tensor[]", {}, N, split_size},
    {"unsafe_split_with_sizes(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]", {}, N, split_sizes<kSplitSizes>},
    {"chunk(Tensor(a -> *) self, int chunks, int dim=0) -> Tensor(a)[]", {}, N, chunk},
    {"unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]", {}, N, chunk},
    {"tensor_split.sections(Tensor(a -> *) self, int sections, int dim=0) -> Tensor(a)[]",
     {},
     N,
     tensor_split_sections},
    {"tensor_split.indices(Tensor(a -> *) self, int[] indices, int dim=0) -> Tensor(a)[]", {}, N, tensor_split_indices},
    {"cat(Tensor[] tensors, int dim=0) -> Tensor", {}, C, cat},
    {"concat(Tensor[] tensors, int dim=0) -> Tensor", {}, C, concatenate},
    {"concatenate(Tensor[] tensors, int dim=0) -> Tensor", {}, C, concatenate},
    {"stack(Tensor[] tensors, int dim=0) -> Tensor", {}, C, stack},
    {"hstack(Tensor[] tensors) -> Tensor", {}, C, [](AtenCall& c) { stack_at(c, 1, 1); }},
    {"vstack(Tensor[] tensors) -> Tensor", {}, C, [](AtenCall& c) { stack_at(c, 2, 0); }},
    {"row_stack(Tensor[] tensors) -> Tensor", {}, C, [](AtenCall& c) { stack_at(c, 2, 0); }},
    {"dstack(Tensor[] tensors) -> Tensor", {}, C, [](AtenCall& c) { stack_at(c, 3, 2); }},
    {"column_stack(Tensor[] tensors) -> Tensor", {}, C, [](AtenCall& c) { stack_at(c, 2, 1, true); }},
    {"block_diag(Tensor[] tensors) -> Tensor", {}, C, block_diag},
    {"pad(Tensor self, int[] pad, str mode=\"constant\", float? value=None) -> Tensor", {}, N, pad},
    {"constant_pad_nd(Tensor self, int[] pad, Scalar value=0) -> Tensor", {}, N, constant_pad},
    {"reflection_pad1d(Tensor self, int[2] padding) -> Tensor", {}, N, pad_mode<kReflect>},
    {"reflection_pad2d(Tensor self, int[4] padding) -> Tensor", {}, N, pad_mode<kReflect>},
    {"reflection_pad3d(Tensor self, int[6] padding) -> Tensor", {}, N, pad_mode<kReflect>},
    {"replication_pad1d(Tensor self, int[2] padding) -> Tensor", {}, N, pad_mode<kReplicate>},
    {"replication_pad2d(Tensor self, int[4] padding) -> Tensor", {}, N, pad_mode<kReplicate>},
    {"replication_pad3d(Tensor self, int[6] padding) -> Tensor", {}, N, pad_mode<kReplicate>},
    {"_pad_circular(Tensor self, int[] pad) -> Tensor", {}, N, pad_circular},
    {"slice_scatter(Tensor self, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
     {},
     N,
     slice_scatter},
    {"select_scatter(Tensor self, Tensor src, int dim, int index) -> Tensor", {}, N, select_scatter},
};

}  // namespace

std::span<const AtenRow> aten_split() { return rows; }

}  // namespace npuport
