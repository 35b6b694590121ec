// ATen: rearrangements that read elements at computed places: diagonals, windows, repetitions, products of sets.
#include <algorithm>
#include <cstdlib>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// Length and flat start of a diagonal of a rows x cols matrix.
struct Diagonal {
  int64_t length, start;
};
Diagonal diagonal_of(int64_t rows, int64_t cols, int64_t offset) {
  if (std::abs(offset) > (int64_t{1} << 40)) return {0, 0};
  const int64_t r = std::max<int64_t>(0, -offset), k = std::max<int64_t>(0, offset);
  return {std::max<int64_t>(0, std::min(rows - r, cols - k)), r * cols + k};
}

// The diagonal becomes the last axis: the two axes move to the end, are flattened, and read with stride cols + 1.
ValueId take_diagonal(AtenCall& c, ValueId x, int64_t offset, int64_t axis1, int64_t axis2) {
  const size_t rank = c.b.shape(x).size();
  if (rank < 2 || axis1 == axis2) {
    refuse(c, diag::shape_mismatch, "diagonal needs two different dimensions");
    return {};
  }
  Ints perm;
  for (int64_t a = 0; a < static_cast<int64_t>(rank); ++a) {
    if (a != axis1 && a != axis2) perm.push_back(a);
  }
  perm.insert(perm.end(), {axis1, axis2});
  x = c.b.transpose(x, perm);
  Shape shape = c.b.shape(x);
  if (c.b.failed()) return {};
  const int64_t rows = shape[rank - 2], cols = shape[rank - 1];
  const Diagonal d = diagonal_of(rows, cols, offset);
  shape.pop_back();
  shape.back() = rows * cols;
  Ints at;
  for (int64_t i = 0; i < d.length; ++i) at.push_back(d.start + i * (cols + 1));
  return take_constant(c.b, c.b.reshape(x, shape), at, static_cast<int64_t>(rank) - 2);
}

void diagonal(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  c.ret(take_diagonal(c, x, c.i("offset"), c.axis("dim1", rank), c.axis("dim2", rank)));
}

// The last axis of x becomes the diagonal of a new square matrix in axes dim1, dim2 of the result.
ValueId embed_diagonal(AtenCall& c, ValueId x, int64_t offset, int64_t axis1, int64_t axis2) {
  Shape shape = c.b.shape(x);
  if (shape.empty() || axis1 == axis2) {
    refuse(c, diag::shape_mismatch, "diag_embed needs a vector and two different dimensions");
    return {};
  }
  const int64_t n = shape.back(), size = n + std::abs(offset);
  if (size > (1 << 13)) {
    refuse(c, diag::too_large, "diag_embed of " + std::to_string(n) + " elements");
    return {};
  }
  const DType t = c.b.dtype(x);
  // Every cell reads element row - first row, masked to the diagonal: no scatter is needed.
  Ints at(static_cast<size_t>(size * size), 0);
  Tensor mask = Tensor::zeros(DType::boolean, {size, size});
  const Diagonal d = diagonal_of(size, size, offset);
  for (int64_t i = 0; i < std::min(n, d.length); ++i) {
    at[static_cast<size_t>(d.start + i * (size + 1))] = i;
    mask.mut<bool>()[static_cast<size_t>(d.start + i * (size + 1))] = true;
  }
  const ValueId zero = c.b.scalar(0.0, t);
  ValueId y;
  if (n == 0) {
    shape.back() = size;
    shape.push_back(size);
    y = full(c.b, shape, integer(0), t);
  } else {
    const int64_t last = static_cast<int64_t>(shape.size()) - 1;
    const ValueId cells = c.b.op("gather", {x, c.b.reshape(c.b.ints(at), {size, size})}, {{"axis", last}});
    y = c.b.op("where", {c.b.constant(std::move(mask)), cells, zero});
  }
  const int64_t rank = static_cast<int64_t>(shape.size()) + (n == 0 ? 0 : 1);
  Ints perm(static_cast<size_t>(rank), -1);
  perm[static_cast<size_t>(axis1)] = rank - 2;
  perm[static_cast<size_t>(axis2)] = rank - 1;
  int64_t next = 0;
  for (int64_t& p : perm) {
    if (p < 0) p = next++;
  }
  return c.b.transpose(y, std::move(perm));
}

void diag_embed(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size() + 1;
  c.ret(embed_diagonal(c, x, c.i("offset"), c.axis("dim1", rank), c.axis("dim2", rank)));
}
void diag(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  if (rank == 1) return c.ret(embed_diagonal(c, x, c.i("diagonal"), 0, 1));
  if (rank == 2) return c.ret(take_diagonal(c, x, c.i("diagonal"), 0, 1));
  refuse(c, diag::shape_mismatch, "diag takes a vector or a matrix");
}
void diagflat(AtenCall& c) { c.ret(embed_diagonal(c, flat(c.b, c.tensor("self")), c.i("offset"), 0, 1)); }

// Windows of `size` every `step` along an axis; the window becomes a new last axis.
void unfold(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t size = c.i("size"), step = c.i("step");
  if (shape.empty()) {
    if (size != 1) return refuse(c, diag::shape_mismatch, "unfold of a scalar");
    return c.ret(flat(c.b, x));
  }
  const int64_t axis = c.axis("dimension", shape.size()), length = shape[axis];
  if (size < 0 || size > length || step < 1) {
    return refuse(c, diag::shape_mismatch, "unfold: the window does not fit the dimension");
  }
  const int64_t windows = (length - size) / step + 1;
  ValueId y;
  if (size == step && windows * size == length) {
    Shape cut = shape;
    cut[axis] = windows;
    cut.insert(cut.begin() + axis + 1, size);
    y = c.b.reshape(x, std::move(cut));
  } else {
    Ints at;
    for (int64_t w = 0; w < windows; ++w) {
      for (int64_t i = 0; i < size; ++i) at.push_back(w * step + i);
    }
    y = c.b.op("gather", {x, c.b.reshape(c.b.ints(at), {windows, size})}, {{"axis", axis}});
  }
  c.ret(move_axis(c.b, y, axis + 1, static_cast<int64_t>(shape.size())));
}

// Elements at offset + sum(index * stride) of the input in row-major order.
void as_strided(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape size = c.ints("size");
  const Ints stride = c.ints("stride");
  const int64_t total = element_count(c.b.shape(x));
  const int64_t offset = c.is_none("storage_offset") ? 0 : c.i("storage_offset");
  if (Status s = check_shape(size); !s || size.size() != stride.size() || element_count(size) > (1 << 26)) {
    return refuse(c, diag::bad_attribute, "as_strided: impossible size or stride");
  }
  Ints at(static_cast<size_t>(element_count(size)));
  for (int64_t i = 0; i < element_count(size); ++i) {
    int64_t rest = i, place = offset;
    for (size_t d = size.size(); d-- > 0;) {
      place += rest % size[d] * stride[d];
      rest /= size[d];
    }
    if (place < 0 || place >= total) {
      return refuse(c, diag::unsupported, "as_strided reaches outside of its tensor",
                    "Views of a larger storage are not supported: call as_strided on the whole tensor.");
    }
    at[static_cast<size_t>(i)] = place;
  }
  if (at.empty()) return c.ret(full(c.b, size, integer(0), c.b.dtype(x)));
  c.ret(c.b.reshape(take_constant(c.b, flat(c.b, x), at, 0), size));
}

// Every element n times in place: a new axis that is expanded and merged.
void repeat_each(AtenCall& c) {
  ValueId x = c.tensor("self");
  const int64_t n = c.i("repeats");
  int64_t axis = 0;
  if (c.is_none("dim"))
    x = flat(c.b, x);
  else
    axis = c.axis("dim", c.b.shape(x).size());
  if (c.b.shape(x).empty()) x = flat(c.b, x);
  if (n < 0 || n > (1 << 26)) return refuse(c, diag::bad_attribute, "repeat_interleave: bad number of repeats");
  Shape merged = c.b.shape(x);
  if (c.b.failed()) return;
  merged[axis] *= n;
  const ValueId wide = unsqueeze(c.b, x, axis + 1);
  Shape shape = c.b.shape(wide);
  shape[axis + 1] = n;
  c.ret(c.b.reshape(c.b.expand(wide, std::move(shape)), std::move(merged)));
}

// The positions 0,0,1,2,2,2 for repeats 2,1,3; repeats must be known.
std::optional<Ints> repeated_positions(AtenCall& c, ValueId repeats, int64_t size) {
  const Tensor* known = c.b.constant_of(repeats);
  if (known == nullptr) {
    refuse(c, diag::data_dependent, "repeat_interleave with repeats that depend on the inputs");
    return std::nullopt;
  }
  Ints at;
  for (int64_t i = 0; i < size; ++i) {
    const int64_t n = get_int(*known, known->count() == 1 ? 0 : i);
    if (n < 0 || static_cast<int64_t>(at.size()) + n > (1 << 26)) {
      refuse(c, diag::bad_attribute, "repeat_interleave: bad number of repeats");
      return std::nullopt;
    }
    at.insert(at.end(), static_cast<size_t>(n), i);
  }
  return at;
}
void repeat_counts(AtenCall& c) {
  const ValueId repeats = c.tensor("repeats");
  const std::optional<Ints> at = repeated_positions(c, repeats, element_count(c.b.shape(repeats)));
  if (at) c.ret(c.b.cast(c.b.ints(*at), c.b.dtype(repeats)));
}
void repeat_tensor(AtenCall& c) {
  ValueId x = c.tensor("self");
  int64_t axis = 0;
  if (c.is_none("dim"))
    x = flat(c.b, x);
  else
    axis = c.axis("dim", c.b.shape(x).size());
  const ValueId repeats = c.tensor("repeats");
  const int64_t size = c.b.shape(x).empty() ? 1 : c.b.shape(x)[axis], given = element_count(c.b.shape(repeats));
  if (given != 1 && given != size) {
    return refuse(c, diag::shape_mismatch, "repeat_interleave: repeats and the dimension differ in size");
  }
  if (const std::optional<Ints> at = repeated_positions(c, repeats, size)) c.ret(take_constant(c.b, x, *at, axis));
}

// All tuples of one element per input, as rows.
void cartesian_prod(AtenCall& c) {
  const std::vector<ValueId> lists = c.tensors("tensors");
  Shape shape;
  for (const ValueId v : lists) shape.push_back(element_count(c.b.shape(v)));
  if (lists.size() == 1) return c.ret(lists[0]);
  std::vector<ValueId> columns;
  for (size_t i = 0; i < lists.size(); ++i) {
    Shape line(shape.size(), 1);
    line[i] = shape[i];
    columns.push_back(c.b.reshape(c.b.expand(c.b.reshape(lists[i], line), shape), {element_count(shape), 1}));
  }
  if (columns.empty()) return refuse(c, diag::raised, "cartesian_prod of no tensors");
  c.ret(concat(c.b, std::move(columns), 1));
}

// Rows of r elements chosen in order of position.
void combinations(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const int64_t n = element_count(c.b.shape(x)), r = c.i("r");
  const bool again = c.flag("with_replacement");
  if (r < 1 || r > 8) return refuse(c, diag::bad_attribute, "combinations: r must be 1 to 8");
  Ints at, current;
  const auto extend = [&](auto&& self, int64_t from) -> bool {
    if (static_cast<int64_t>(current.size()) == r) {
      at.insert(at.end(), current.begin(), current.end());
      return at.size() <= (1u << 24);
    }
    for (int64_t i = from; i < n; ++i) {
      current.push_back(i);
      const bool fits = self(self, again ? i : i + 1);
      current.pop_back();
      if (!fits) return false;
    }
    return true;
  };
  if (!extend(extend, 0)) return refuse(c, diag::too_large, "combinations: too many rows");
  const int64_t rows = static_cast<int64_t>(at.size()) / r;
  if (rows == 0) return c.ret(full(c.b, {0, r}, integer(0), c.b.dtype(x)));
  c.ret(c.b.op("gather", {x, c.b.reshape(c.b.ints(at), {rows, r})}, {{"axis", 0}}));
}

void diagonal_scatter(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const size_t rank = shape.size();
  const int64_t axis1 = c.axis("dim1", rank), axis2 = c.axis("dim2", rank);
  if (rank < 2 || axis1 == axis2 || c.b.failed()) {
    return refuse(c, diag::shape_mismatch, "diagonal_scatter needs two different dimensions");
  }
  Ints perm = {axis1, axis2}, inverse(rank);
  for (int64_t a = 0; a < static_cast<int64_t>(rank); ++a) {
    if (a != axis1 && a != axis2) perm.push_back(a);
  }
  for (size_t i = 0; i < rank; ++i) inverse[perm[i]] = static_cast<int64_t>(i);
  const Diagonal d = diagonal_of(shape[axis1], shape[axis2], c.i("offset"));
  if (d.length == 0) return c.ret(x);
  Ints at;
  for (int64_t i = 0; i < d.length; ++i) {
    const int64_t place = d.start + i * (shape[axis2] + 1);
    at.insert(at.end(), {place / shape[axis2], place % shape[axis2]});
  }
  // src has the diagonal last; updates want it first.
  const ValueId source = c.b.cast(c.tensor("src"), c.b.dtype(x));
  const ValueId updates = move_axis(c.b, source, static_cast<int64_t>(rank) - 2, 0);
  const ValueId tuples = c.b.reshape(c.b.ints(at), {d.length, 2});
  c.ret(c.b.transpose(c.b.op("scatter_nd", {c.b.transpose(x, perm), tuples, updates}), inverse));
}

constexpr Promote N = Promote::none, C = Promote::common;

constexpr AtenRow rows[] = {
    {"diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)", {}, N, diagonal},
    {"diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", {}, N, diag_embed},
    {"diag(Tensor self, int diagonal=0) -> Tensor", {}, N, diag},
    {"diagflat(Tensor self, int offset=0) -> Tensor", {}, N, diagflat},
    {"diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
     {},
     N,
     diagonal_scatter},
    {"unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)", {}, N, unfold},
    {"as_strided(Tensor(a) self, int[] size, int[] stride, int? storage_offset=None) -> Tensor(a)", {}, N, as_strided},
    {"repeat_interleave.self_int(Tensor self, int repeats, int? dim=None, *, int? output_size=None) -> Tensor",
     {},
     N,
     repeat_each},
    {"repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, int? output_size=None) -> Tensor",
     {},
     N,
     repeat_tensor},
    {"repeat_interleave.Tensor(Tensor repeats, *, int? output_size=None) -> Tensor", {}, N, repeat_counts},
    {"cartesian_prod(Tensor[] tensors) -> Tensor", {}, C, cartesian_prod},
    {"combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor", {}, N, combinations},
};

}  // namespace

std::span<const AtenRow> aten_gather_views() { return rows; }

}  // namespace npuport
