// ATen: views and rearrangements that keep every element.
#include <algorithm>
#include <numeric>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// A target shape with at most one -1, worked out for `count` elements.
Shape completed(AtenCall& c, Shape shape, int64_t count) {
  int64_t known = 1;
  int64_t* open = nullptr;
  for (int64_t& d : shape) {
    if (d == -1 && open == nullptr)
      open = &d;
    else if (d < 0 || (d != 0 && known > (int64_t{1} << 40) / d)) {
      refuse(c, diag::shape_mismatch, "a reshape to an impossible size");
      return {};
    } else
      known *= d;
  }
  if (open != nullptr) {
    if (known == 0 || count % known != 0) {
      refuse(c, diag::shape_mismatch, "the -1 of a reshape has no integer solution");
      return {};
    }
    *open = count / known;
  }
  return shape;
}

template <const char* arg>
void reshape(AtenCall& c) {
  const ValueId x = c.tensor("self");
  Shape shape = completed(c, c.ints(arg), element_count(c.b.shape(x)));
  c.ret(c.b.reshape(x, std::move(shape)));
}
constexpr char kSize[] = "size", kShape[] = "shape";

void reshape_like(AtenCall& c) { c.ret(c.b.reshape(c.tensor("self"), c.shape("other"))); }

void flatten(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  if (shape.empty()) return c.ret(c.b.reshape(x, {1}));
  const int64_t first = c.axis("start_dim", shape.size()), last = c.axis("end_dim", shape.size());
  if (first > last) return refuse(c, diag::bad_attribute, "flatten: start_dim is behind end_dim");
  Shape y(shape.begin(), shape.begin() + first);
  y.push_back(element_count(std::span(shape).subspan(first, last - first + 1)));
  y.insert(y.end(), shape.begin() + last + 1, shape.end());
  c.ret(c.b.reshape(x, std::move(y)));
}

void unflatten(AtenCall& c) {
  const ValueId x = c.tensor("self");
  Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size());
  if (shape.empty()) return refuse(c, diag::shape_mismatch, "unflatten of a scalar");
  const Shape parts = completed(c, c.ints("sizes"), shape[axis]);
  shape.erase(shape.begin() + axis);
  shape.insert(shape.begin() + axis, parts.begin(), parts.end());
  c.ret(c.b.reshape(x, std::move(shape)));
}

void ravel(AtenCall& c) { c.ret(flat(c.b, c.tensor("self"))); }

template <const char* first, const char* second>
void swap_axes(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  if (rank == 0) return c.ret(x);
  Ints perm = all_axes(rank);
  std::swap(perm[c.axis(first, rank)], perm[c.axis(second, rank)]);
  c.ret(c.b.transpose(x, std::move(perm)));
}
constexpr char kDim0[] = "dim0", kDim1[] = "dim1", kAxis0[] = "axis0", kAxis1[] = "axis1";

void swap_last(AtenCall& c) {
  const ValueId x = c.tensor("self");
  Ints perm = all_axes(c.b.shape(x).size());
  if (perm.size() < 2) return refuse(c, diag::shape_mismatch, "a matrix transpose needs at least two dimensions");
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  c.ret(c.b.transpose(x, std::move(perm)));
}

void reverse_axes(AtenCall& c) {
  const ValueId x = c.tensor("self");
  Ints perm = all_axes(c.b.shape(x).size());
  std::reverse(perm.begin(), perm.end());
  c.ret(c.b.transpose(x, std::move(perm)));
}

void permute(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.transpose(x, axis_list(c, "dims", c.b.shape(x).size())));
}

// The moved axes land at `destination`, the others keep their order around them.
void move_axes(AtenCall& c, const Ints& source, const Ints& destination) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  if (source.size() != destination.size() || c.b.failed()) {
    return refuse(c, diag::bad_attribute, "movedim: source and destination differ in length");
  }
  Ints perm(rank, -1), rest;
  for (size_t i = 0; i < source.size() && rank > 0; ++i) perm[destination[i]] = source[i];
  for (int64_t axis = 0; axis < static_cast<int64_t>(rank); ++axis) {
    if (std::find(source.begin(), source.end(), axis) == source.end()) rest.push_back(axis);
  }
  size_t next = 0;
  for (int64_t& p : perm) {
    if (p < 0 && next < rest.size()) p = rest[next++];
  }
  c.ret(c.b.transpose(x, std::move(perm)));
}
void movedim(AtenCall& c) {
  const size_t rank = c.shape("self").size();
  move_axes(c, axis_list(c, "source", rank), axis_list(c, "destination", rank));
}
void movedim_int(AtenCall& c) {
  const size_t rank = c.shape("self").size();
  move_axes(c, {c.axis("source", rank)}, {c.axis("destination", rank)});
}

void unsqueeze_dim(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(unsqueeze(c.b, x, c.axis("dim", c.b.shape(x).size() + 1)));
}

ValueId without_ones(Builder& b, ValueId x, const Ints& axes) {
  const Shape shape = b.shape(x);
  Shape y;
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool named = std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) != axes.end();
    if (!(named && shape[d] == 1)) y.push_back(shape[d]);
  }
  return b.reshape(x, std::move(y));
}
void squeeze_all(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(without_ones(c.b, x, all_axes(c.b.shape(x).size())));
}
void squeeze_dim(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(without_ones(c.b, x, {c.axis("dim", c.b.shape(x).size())}));
}
void squeeze_dims(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(without_ones(c.b, x, axis_list(c, "dim", c.b.shape(x).size())));
}

// -1 keeps the size of an existing dimension.
void expand(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape& shape = c.b.shape(x);
  Ints size = c.ints("size");
  if (size.size() < shape.size()) return refuse(c, diag::shape_mismatch, "expand to fewer dimensions");
  const size_t added = size.size() - shape.size();
  for (size_t d = 0; d < size.size(); ++d) {
    if (size[d] == -1 && d >= added) size[d] = shape[d - added];
  }
  c.ret(c.b.expand(x, std::move(size)));
}

void expand_as(AtenCall& c) { c.ret(c.b.expand(c.tensor("self"), c.shape("other"))); }

void broadcast_tensors(AtenCall& c) {
  std::vector<ValueId> values = c.tensors("tensors");
  Shape shape;
  for (const ValueId v : values) {
    Result<Shape> both = broadcast_shapes(shape, c.b.shape(v));
    if (!both) return c.fail(both.error());
    shape = std::move(*both);
  }
  for (ValueId& v : values) v = c.b.expand(v, shape);
  c.ret_list(std::move(values));
}

// torch.repeat: missing leading dimensions count as 1. torch.tile: missing repeats count as 1.
ValueId tiled(Builder& b, ValueId x, Ints repeats) {
  Shape shape = b.shape(x);
  if (shape.size() < repeats.size()) shape.insert(shape.begin(), repeats.size() - shape.size(), 1);
  if (repeats.size() < shape.size()) repeats.insert(repeats.begin(), shape.size() - repeats.size(), 1);
  x = b.reshape(x, shape);
  bool spread = true, nothing = true;
  for (size_t d = 0; d < shape.size(); ++d) {
    nothing = nothing && repeats[d] == 1;
    spread = spread && (shape[d] == 1 || repeats[d] == 1);
  }
  if (nothing) return x;
  if (!spread) return b.op("tile", {x}, {{"repeats", std::move(repeats)}});
  for (size_t d = 0; d < shape.size(); ++d) shape[d] *= repeats[d];
  return b.expand(x, std::move(shape));
}
void repeat(AtenCall& c) {
  if (c.ints("repeats").size() < c.shape("self").size()) {
    return refuse(c, diag::shape_mismatch, "repeat: fewer repeats than dimensions");
  }
  c.ret(tiled(c.b, c.tensor("self"), c.ints("repeats")));
}
void tile(AtenCall& c) { c.ret(tiled(c.b, c.tensor("self"), c.ints("dims"))); }

void atleast(AtenCall& c, size_t rank) {
  const ValueId x = c.tensor("self");
  Shape shape = c.b.shape(x);
  if (shape.size() < rank) {
    // 1-D becomes [1, N] and [1, N, 1]; 2-D becomes [M, N, 1].
    if (rank == 3 && !shape.empty()) shape.push_back(1);
    shape.insert(shape.begin(), rank - shape.size(), 1);
  }
  c.ret(c.b.reshape(x, std::move(shape)));
}

void meshgrid(AtenCall& c, bool xy) {
  std::vector<ValueId> values = c.tensors("tensors");
  if (values.empty()) return refuse(c, diag::raised, "meshgrid of no tensors");
  const bool swapped = xy && values.size() > 1;
  if (swapped) std::swap(values[0], values[1]);
  Shape shape;
  for (const ValueId v : values) shape.push_back(element_count(c.b.shape(v)));
  std::vector<ValueId> out;
  for (size_t i = 0; i < values.size(); ++i) {
    Shape line(shape.size(), 1);
    line[i] = shape[i];
    out.push_back(c.b.expand(c.b.reshape(values[i], line), shape));
  }
  if (swapped) std::swap(out[0], out[1]);
  c.ret_list(std::move(out));
}
void meshgrid_ij(AtenCall& c) { meshgrid(c, false); }
void meshgrid_indexing(AtenCall& c) { meshgrid(c, c.s("indexing") == "xy"); }

void shape_as_tensor(AtenCall& c) { c.ret(c.b.ints(c.shape("self"))); }

void flip(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Ints dims = axis_list(c, "dims", c.b.shape(x).size());
  c.ret(dims.empty() ? x : c.b.op("flip", {x}, {{"axes", dims}}));
}
template <int64_t axis>
void flip_axis(AtenCall& c) {
  c.ret(c.b.op("flip", {c.tensor("self")}, {{"axes", Ints{axis}}}));
}

void rot90(AtenCall& c) {
  ValueId x = c.tensor("self");
  const Ints dims = axis_list(c, "dims", c.b.shape(x).size());
  if (dims.size() != 2 || dims[0] == dims[1]) return refuse(c, diag::bad_attribute, "rot90 needs two different dims");
  const int64_t turns = ((c.i("k") % 4) + 4) % 4;
  Ints perm = all_axes(c.b.shape(x).size());
  std::swap(perm[dims[0]], perm[dims[1]]);
  if (turns == 2) x = c.b.op("flip", {x}, {{"axes", dims}});
  if (turns == 1) x = c.b.transpose(c.b.op("flip", {x}, {{"axes", Ints{dims[1]}}}), perm);
  if (turns == 3) x = c.b.op("flip", {c.b.transpose(x, perm)}, {{"axes", Ints{dims[1]}}});
  c.ret(x);
}

ValueId rolled(Builder& b, ValueId x, int64_t shift, int64_t axis) {
  const int64_t size = b.failed() ? 0 : b.shape(x)[axis];
  if (size == 0) return x;
  shift = ((shift % size) + size) % size;
  if (shift == 0) return x;
  return concat(b, {slice(b, x, axis, size - shift, size), slice(b, x, axis, 0, size - shift)}, axis);
}
void roll(AtenCall& c) {
  ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const Ints shifts = c.ints("shifts"), dims = axis_list(c, "dims", shape.size());
  if (dims.empty() && shifts.size() == 1) {
    return c.ret(c.b.reshape(rolled(c.b, flat(c.b, x), shifts[0], 0), shape));
  }
  if (dims.size() != shifts.size()) return refuse(c, diag::bad_attribute, "roll: shifts and dims differ in length");
  for (size_t i = 0; i < dims.size() && !shape.empty(); ++i) x = rolled(c.b, x, shifts[i], dims[i]);
  c.ret(x);
}

void channel_shuffle(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t groups = c.i("groups");
  if (shape.size() < 3 || groups < 1 || shape[1] % groups != 0) {
    return refuse(c, diag::shape_mismatch, "channel_shuffle: the channels are no multiple of the groups");
  }
  Shape split = shape;
  split[1] = groups;
  split.insert(split.begin() + 2, shape[1] / groups);
  Ints perm = all_axes(split.size());
  std::swap(perm[1], perm[2]);
  c.ret(c.b.reshape(c.b.transpose(c.b.reshape(x, split), perm), shape));
}

// Leading dimensions beyond the batch are folded into it.
template <const char* op, const char* factor>
void shuffle_pixels(AtenCall& c) {
  ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  if (shape.size() < 3) return refuse(c, diag::shape_mismatch, "pixel shuffle needs at least 3 dimensions");
  const size_t outer = shape.size() - 3;
  Shape four = {element_count(std::span(shape).first(outer)), shape[outer], shape[outer + 1], shape[outer + 2]};
  const ValueId y = c.b.op(op, {c.b.reshape(x, four)}, {{"block", c.i(factor)}, {"mode", "crd"}});
  if (c.b.failed()) return;
  Shape out(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(outer));
  out.insert(out.end(), c.b.shape(y).begin() + 1, c.b.shape(y).end());
  c.ret(c.b.reshape(y, std::move(out)));
}
constexpr char kDepthToSpace[] = "depth_to_space", kSpaceToDepth[] = "space_to_depth";
constexpr char kUpscale[] = "upscale_factor", kDownscale[] = "downscale_factor";

constexpr Promote N = Promote::none;

constexpr AtenRow rows[] = {
    {"view(Tensor(a) self, int[] size) -> Tensor(a)", {}, N, reshape<kSize>},
    {"_unsafe_view(Tensor self, int[] size) -> Tensor", {}, N, reshape<kSize>},
    {"reshape(Tensor(a) self, int[] shape) -> Tensor(a)", {}, N, reshape<kShape>},
    {"_reshape_alias(Tensor(a) self, int[] size, int[] stride) -> Tensor(a)", {}, N, reshape<kSize>},
    {"view_as(Tensor(a) self, Tensor other) -> Tensor(a)", {}, N, reshape_like},
    {"reshape_as(Tensor(a) self, Tensor other) -> Tensor(a)", {}, N, reshape_like},
    {"flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)", {}, N, flatten},
    {"unflatten.int(Tensor(a) self, int dim, int[] sizes) -> Tensor(a)", {}, N, unflatten},
    {"ravel(Tensor(a) self) -> Tensor(a)", {}, N, ravel},
    {"transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", {}, N, swap_axes<kDim0, kDim1>},
    {"swapdims(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", {}, N, swap_axes<kDim0, kDim1>},
    {"swapaxes(Tensor(a) self, int axis0, int axis1) -> Tensor(a)", {}, N, swap_axes<kAxis0, kAxis1>},
    {"t(Tensor(a) self) -> Tensor(a)", {}, N, reverse_axes},
    {"numpy_T(Tensor(a) self) -> Tensor(a)", {}, N, reverse_axes},
    {"mT(Tensor(a) self) -> Tensor(a)", {}, N, swap_last},
    {"mH(Tensor(a) self) -> Tensor(a)", {}, N, swap_last},
    {"adjoint(Tensor(a) self) -> Tensor(a)", {}, N, swap_last},
    {"permute(Tensor(a) self, int[] dims) -> Tensor(a)", {}, N, permute},
    {"movedim.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)", {}, N, movedim},
    {"movedim.int(Tensor(a) self, int source, int destination) -> Tensor(a)", {}, N, movedim_int},
    {"moveaxis.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)", {}, N, movedim},
    {"moveaxis.int(Tensor(a) self, int source, int destination) -> Tensor(a)", {}, N, movedim_int},
    {"unsqueeze(Tensor(a) self, int dim) -> Tensor(a)", {}, N, unsqueeze_dim},
    {"squeeze(Tensor(a) self) -> Tensor(a)", {}, N, squeeze_all},
    {"squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)", {}, N, squeeze_dim},
    {"squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)", {}, N, squeeze_dims},
    {"expand(Tensor(a) self, int[] size, *, bool implicit=False) -> Tensor(a)", {}, N, expand},
    {"broadcast_to(Tensor(a) self, int[] size) -> Tensor(a)", {}, N, expand},
    {"expand_as(Tensor(a) self, Tensor other) -> Tensor(a)", {}, N, expand_as},
    {"broadcast_tensors(Tensor[] tensors) -> Tensor[]", {}, N, broadcast_tensors},
    {"repeat(Tensor self, int[] repeats) -> Tensor", {}, N, repeat},
    {"tile(Tensor self, int[] dims) -> Tensor", {}, N, tile},
    {"atleast_1d(Tensor self) -> Tensor", {}, N, [](AtenCall& c) { atleast(c, 1); }},
    {"atleast_2d(Tensor self) -> Tensor", {}, N, [](AtenCall& c) { atleast(c, 2); }},
    {"atleast_3d(Tensor self) -> Tensor", {}, N, [](AtenCall& c) { atleast(c, 3); }},
    {"meshgrid(Tensor[] tensors) -> Tensor[]", {}, N, meshgrid_ij},
    {"meshgrid.indexing(Tensor[] tensors, *, str indexing) -> Tensor[]", {}, N, meshgrid_indexing},
    {"_shape_as_tensor(Tensor self) -> Tensor", {}, N, shape_as_tensor},
    {"flip(Tensor self, int[] dims) -> Tensor", {}, N, flip},
    {"fliplr(Tensor self) -> Tensor", {}, N, flip_axis<1>},
    {"flipud(Tensor self) -> Tensor", {}, N, flip_axis<0>},
    {"rot90(Tensor self, int k=1, int[] dims=[0,1]) -> Tensor", {}, N, rot90},
    {"roll(Tensor self, int[1] shifts, int[1] dims=[]) -> Tensor", {}, N, roll},
    {"channel_shuffle(Tensor self, int groups) -> Tensor", {}, N, channel_shuffle},
    {"native_channel_shuffle(Tensor self, int groups) -> Tensor", {}, N, channel_shuffle},
    {"pixel_shuffle(Tensor self, int upscale_factor) -> Tensor", {}, N, shuffle_pixels<kDepthToSpace, kUpscale>},
    {"pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor", {}, N, shuffle_pixels<kSpaceToDepth, kDownscale>},
};

}  // namespace

std::span<const AtenRow> aten_shape() { return rows; }

}  // namespace npuport
