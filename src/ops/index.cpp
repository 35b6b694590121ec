// Reading from and writing to computed positions. Indices may be negative and then count from the end; an index
// outside of its axis is an `index_range` error.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ops/support/kernel.h"
#include "ops/support/rows.h"

namespace npuport {
namespace {

// The index tensor as non-negative positions below `size`.
Result<Ints> positions(const EvalCall& c, const View& indices, int64_t size) {
  Ints out(static_cast<size_t>(indices.count()));
  int64_t bad = 0;
  bool ok = true;
  const auto read = [&]<class T>() {
    const T* p = indices.as<T>();
    for (size_t i = 0; i < out.size(); ++i) {
      const int64_t k = p[i];
      out[i] = k < 0 ? k + size : k;
      if (k < -size || k >= size) {
        if (ok) bad = k;
        ok = false;
      }
    }
  };
  if (indices.dtype == DType::i32)
    read.operator()<int32_t>();
  else
    read.operator()<int64_t>();
  if (!ok) return eval_error(diag::index_range, c, fmt::format("index {} is out of range for size {}", bad, size));
  return out;
}

Types infer_gather(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(expect_rank(c, 0, 1));
  NPU_TRY(expect_index(c, 1));
  const Shape& data = c.in[0]->shape;
  NPU_ASSIGN(const int64_t axis, axis_of(c, "axis", data.size()));
  Shape y(data.begin(), data.begin() + axis);
  y.insert(y.end(), c.in[1]->shape.begin(), c.in[1]->shape.end());
  y.insert(y.end(), data.begin() + axis + 1, data.end());
  return one_output(c.in[0]->dtype, std::move(y));
}

Status take(const EvalCall& c, const View& data, const View& indices, size_t axis) {
  if (bits(data.dtype) < 8) return no_kernel(c);
  NPU_ASSIGN(const Ints at, positions(c, indices, data.shape[axis]));
  const int64_t outer = element_count(data.shape.first(axis));
  const int64_t block = element_count(data.shape.subspan(axis + 1)) * (bits(data.dtype) / 8);
  const std::byte* x = static_cast<const std::byte*>(data.data);
  std::byte* y = static_cast<std::byte*>(c.out[0].data);
  if (block == 0) return {};
  for (int64_t o = 0; o < outer; ++o) {
    for (const int64_t k : at) {
      std::memcpy(y, x + (o * data.shape[axis] + k) * block, static_cast<size_t>(block));
      y += block;
    }
  }
  return {};
}

Status eval_gather(const EvalCall& c) {
  return take(c, c.in[0], c.in[1], static_cast<size_t>(known_axis(c.attrs, "axis", c.in[0].shape.size())));
}

Types infer_embedding(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(expect_rank(c, 0, 2, 2));
  NPU_TRY(expect_index(c, 1));
  Shape y = c.in[1]->shape;
  y.push_back(c.in[0]->shape[1]);
  return one_output(c.in[0]->dtype, std::move(y));
}

Status eval_embedding(const EvalCall& c) { return take(c, c.in[0], c.in[1], 0); }

// Shapes of gather_elements and scatter_elements: same rank, indices no larger than data outside of axis.
Status check_elements(const InferCall& c, bool limit_axis) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(expect_index(c, 1));
  const Shape &data = c.in[0]->shape, &indices = c.in[1]->shape;
  NPU_TRY(expect_rank(c, 1, data.size(), data.size()));
  NPU_ASSIGN(const int64_t axis, axis_of(c, "axis", data.size()));
  for (size_t d = 0; d < data.size(); ++d) {
    if (indices[d] <= data[d] || (static_cast<int64_t>(d) == axis && !limit_axis)) continue;
    return infer_error(diag::shape_mismatch, c, fmt::format("indices are larger than data on axis {}", d));
  }
  return {};
}

Types infer_gather_elements(const InferCall& c) {
  NPU_TRY(check_elements(c, false));
  return one_output(c.in[0]->dtype, c.in[1]->shape);
}

// Calls visit(element of data, position in indices) for every index; the axis step is replaced by the index.
template <class Fn>
void visit_elements(std::span<const int64_t> data, std::span<const int64_t> indices, size_t axis, const Ints& at,
                    Fn&& visit) {
  Ints base = strides_of(data);
  const int64_t axis_step = base.empty() ? 1 : base[axis];
  if (!base.empty()) base[axis] = 0;
  const Loop<2> loop = make_loop<2>(indices, {base, strides_of(indices)});
  run_rows(loop, [&](const auto& from, int64_t n, const auto& step) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t k = from[1] + i * step[1];
      visit(from[0] + i * step[0] + at[static_cast<size_t>(k)] * axis_step, k);
    }
  });
}

Status eval_gather_elements(const EvalCall& c) {
  const std::span<const int64_t> data = c.in[0].shape;
  const size_t axis = static_cast<size_t>(known_axis(c.attrs, "axis", data.size()));
  NPU_ASSIGN(const Ints at, positions(c, c.in[1], data.empty() ? 1 : data[axis]));
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    visit_elements(data, c.in[1].shape, axis, at, [&](int64_t from, int64_t to) { y[to] = x[from]; });
  });
  return kernel_status(ok, c);
}

Types infer_gather_nd(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(expect_index(c, 1));
  NPU_TRY(expect_rank(c, 1, 1));
  const Shape &data = c.in[0]->shape, &indices = c.in[1]->shape;
  const int64_t depth = indices.back();
  if (depth > static_cast<int64_t>(data.size())) {
    return infer_error(diag::shape_mismatch, c, "the index tuples are longer than data's rank");
  }
  Shape y(indices.begin(), indices.end() - 1);
  y.insert(y.end(), data.begin() + depth, data.end());
  return one_output(c.in[0]->dtype, std::move(y));
}

// Element offsets of the blocks that the index tuples name, and the size of a block in elements.
struct BlockList {
  Ints offsets;
  int64_t block = 1;
};
Result<BlockList> tuple_blocks(const EvalCall& c) {
  const std::span<const int64_t> data = c.in[0].shape, shape = c.in[1].shape;
  const int64_t depth = shape.back();
  const Ints strides = strides_of(data);
  BlockList list;
  list.offsets.assign(static_cast<size_t>(element_count(shape.first(shape.size() - 1))), 0);
  for (int64_t d = 0; d < depth; ++d) {
    for (size_t i = 0; i < list.offsets.size(); ++i) {
      const int64_t at = static_cast<int64_t>(i) * depth + d;
      int64_t k = c.in[1].dtype == DType::i32 ? c.in[1].as<int32_t>()[at] : c.in[1].as<int64_t>()[at];
      if (k < -data[d] || k >= data[d]) {
        return eval_error(diag::index_range, c, fmt::format("index {} is out of range for size {}", k, data[d]));
      }
      if (k < 0) k += data[d];
      list.offsets[i] += k * strides[d];
    }
  }
  list.block = element_count(data.subspan(static_cast<size_t>(depth)));
  return list;
}

Status eval_gather_nd(const EvalCall& c) {
  NPU_ASSIGN(const BlockList list, tuple_blocks(c));
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    for (const int64_t offset : list.offsets) y = std::copy_n(x + offset, list.block, y);
  });
  return kernel_status(ok, c);
}

Status check_reduction(const InferCall& c) {
  const std::string& kind = c.attrs.s("reduction");
  for (const std::string_view known : {"none", "add", "mul", "max", "min"}) {
    if (kind == known) return {};
  }
  return infer_error(diag::bad_attribute, c, "reduction = \"" + kind + "\"");
}

Types infer_scatter_elements(const InferCall& c) {
  NPU_TRY(check_elements(c, false));
  NPU_TRY(expect_same_dtype(c, 0, 2));
  NPU_TRY(check_reduction(c));
  if (c.in[2]->shape != c.in[1]->shape) {
    return infer_error(diag::shape_mismatch, c, "updates and indices differ in shape");
  }
  return one_output(c.in[0]->dtype, c.in[0]->shape);
}

// y = one of the reductions of the old and the new value; sums of bools are "or", products "and".
template <class T>
void store(T& cell, T update, char kind) {
  using C = compute_t<T>;
  const C a = static_cast<C>(cell), b = static_cast<C>(update);
  if (kind == 'n') {
    cell = update;
  } else if (kind == 'a' || kind == 'm') {
    if constexpr (is_floating_v<T>) {
      cell = static_cast<T>(kind == 'a' ? a + b : a * b);
    } else {
      const uint64_t u = static_cast<uint64_t>(a), v = static_cast<uint64_t>(b);
      cell = static_cast<T>(kind == 'a' ? u + v : u * v);
    }
  } else if (a == a) {
    const bool replace = b != b || (kind == '>' ? b > a : b < a);
    if (replace) cell = update;
  }
}

char reduction_code(const std::string& kind) {
  if (kind == "add") return 'a';
  if (kind == "mul") return 'm';
  if (kind == "max") return '>';
  return kind == "min" ? '<' : 'n';
}

Status eval_scatter_elements(const EvalCall& c) {
  const std::span<const int64_t> data = c.in[0].shape;
  const size_t axis = static_cast<size_t>(known_axis(c.attrs, "axis", data.size()));
  NPU_ASSIGN(const Ints at, positions(c, c.in[1], data.empty() ? 1 : data[axis]));
  const char kind = reduction_code(c.attrs.s("reduction"));
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    const T* updates = c.in[2].template as<T>();
    T* y = c.out[0].template as<T>();
    std::copy_n(c.in[0].template as<T>(), c.out[0].count(), y);
    visit_elements(data, c.in[1].shape, axis, at, [&](int64_t to, int64_t from) { store(y[to], updates[from], kind); });
  });
  return kernel_status(ok, c);
}

Types infer_scatter_nd(const InferCall& c) {
  NPU_ASSIGN(const std::vector<TensorType> read, infer_gather_nd(c));
  NPU_TRY(expect_same_dtype(c, 0, 2));
  NPU_TRY(check_reduction(c));
  if (c.in[2]->shape != read[0].shape) {
    return infer_error(diag::shape_mismatch, c, "updates must have shape " + to_string(read[0].shape));
  }
  return one_output(c.in[0]->dtype, c.in[0]->shape);
}

Status eval_scatter_nd(const EvalCall& c) {
  NPU_ASSIGN(const BlockList list, tuple_blocks(c));
  const char kind = reduction_code(c.attrs.s("reduction"));
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    const T* update = c.in[2].template as<T>();
    T* y = c.out[0].template as<T>();
    std::copy_n(c.in[0].template as<T>(), c.out[0].count(), y);
    for (const int64_t offset : list.offsets) {
      for (int64_t i = 0; i < list.block; ++i) store(y[offset + i], *update++, kind);
    }
  });
  return kernel_status(ok, c);
}

Types infer_one_hot(const InferCall& c) {
  NPU_TRY(expect_index(c, 0));
  Shape y = c.in[0]->shape;
  if (c.attrs.i("depth") < 1) return infer_error(diag::bad_attribute, c, "depth must be positive");
  y.push_back(c.attrs.i("depth"));
  return one_output(c.attrs.dtype("dtype"), std::move(y));
}

// An index outside of [0, depth) gives a row of zeros.
Status eval_one_hot(const EvalCall& c) {
  const int64_t depth = c.attrs.i("depth"), n = c.in[0].count();
  const bool ok = dispatch_in<types::any>(c.out[0].dtype, [&]<class T>() {
    T* y = c.out[0].template as<T>();
    std::fill_n(y, n * depth, T{});
    for (int64_t i = 0; i < n; ++i) {
      const int64_t k =
          c.in[0].dtype == DType::i32 ? c.in[0].template as<int32_t>()[i] : c.in[0].template as<int64_t>()[i];
      if (k >= 0 && k < depth) y[i * depth + k] = static_cast<T>(compute_t<T>{1});
    }
  });
  return kernel_status(ok, c);
}

Types infer_trilu(const InferCall& c) {
  NPU_TRY(expect_rank(c, 0, 2));
  return infer_same<types::any>(c);
}

Status eval_trilu(const EvalCall& c) {
  const std::span<const int64_t> shape = c.in[0].shape;
  const int64_t rows = shape[shape.size() - 2], cols = shape.back();
  const int64_t matrices = element_count(shape.first(shape.size() - 2));
  const bool upper = c.attrs.b("upper");
  const int64_t diagonal = c.attrs.i("diagonal");
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    for (int64_t m = 0; m < matrices; ++m) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t k = 0; k < cols; ++k, ++x, ++y) {
          // k - r against the diagonal, without overflow for huge diagonals.
          *y = (upper ? k - r >= diagonal : k - r <= diagonal) ? *x : T{};
        }
      }
    }
  });
  return kernel_status(ok, c);
}

constexpr AttrDef axis_0[] = {{"axis", AttrKind::integer, "0", "the axis the indices run along"}};
constexpr AttrDef axis_required[] = {{"axis", AttrKind::integer, "", "the axis the indices run along"}};
constexpr AttrDef scatter_elements_attrs[] = {
    {"axis", AttrKind::integer, "", "the axis the indices run along"},
    {"reduction", AttrKind::string, "\"none\"", "none (the last wins), add, mul, max or min with the old value"}};
constexpr AttrDef scatter_nd_attrs[] = {
    {"reduction", AttrKind::string, "\"none\"", "none (the last wins), add, mul, max or min with the old value"}};
constexpr AttrDef one_hot_attrs[] = {{"depth", AttrKind::integer, "", "size of the new last axis"},
                                     {"dtype", AttrKind::dtype, "i64", "element type of the result"}};
constexpr AttrDef trilu_attrs[] = {{"upper", AttrKind::boolean, "true", "keep the upper triangle, else the lower"},
                                   {"diagonal", AttrKind::integer, "0", "0 = main, above > 0, below < 0"}};
constexpr PortDef embedding_in[] = {{"table"}, {"ids"}};
constexpr PortDef indices_in[] = {{"indices"}};

constexpr OpDef rows[] = {
    {.name = "gather",
     .doc = "data's slices along axis at the indices (np.take)",
     .in = ports::data_indices,
     .out = ports::y,
     .attrs = axis_0,
     .infer = infer_gather,
     .eval = eval_gather,
     .quant = QuantRule::same_as_input},
    {.name = "embedding",
     .doc = "Rows of the table at the ids; a gather that split_to_host can move to the host",
     .in = embedding_in,
     .out = ports::y,
     .infer = infer_embedding,
     .eval = eval_embedding,
     .quant = QuantRule::same_as_input},
    {.name = "gather_elements",
     .doc = "y[i][j] = data[indices[i][j]][j] along axis (torch.gather)",
     .in = ports::data_indices,
     .out = ports::y,
     .attrs = axis_required,
     .infer = infer_gather_elements,
     .eval = eval_gather_elements,
     .quant = QuantRule::same_as_input},
    {.name = "gather_nd",
     .doc = "Blocks of data named by index tuples in the last axis of indices",
     .in = ports::data_indices,
     .out = ports::y,
     .infer = infer_gather_nd,
     .eval = eval_gather_nd,
     .quant = QuantRule::same_as_input},
    {.name = "scatter_elements",
     .doc = "A copy of data with updates written at indices along axis, in row-major order of the indices",
     .in = ports::data_indices_updates,
     .out = ports::y,
     .attrs = scatter_elements_attrs,
     .infer = infer_scatter_elements,
     .eval = eval_scatter_elements,
     .exact = Exactness::accumulation},
    {.name = "scatter_nd",
     .doc = "A copy of data with blocks replaced (or reduced) at index tuples, in order",
     .in = ports::data_indices_updates,
     .out = ports::y,
     .attrs = scatter_nd_attrs,
     .infer = infer_scatter_nd,
     .eval = eval_scatter_nd,
     .exact = Exactness::accumulation},
    {.name = "one_hot",
     .doc = "1 at the index along a new last axis, 0 elsewhere; zeros for an index out of range",
     .in = indices_in,
     .out = ports::y,
     .attrs = one_hot_attrs,
     .infer = infer_one_hot,
     .eval = eval_one_hot},
    {.name = "trilu",
     .doc = "Zero below (above) a diagonal of the last two axes",
     .in = ports::x,
     .out = ports::y,
     .attrs = trilu_attrs,
     .infer = infer_trilu,
     .eval = eval_trilu,
     .quant = QuantRule::same_as_input},
};

}  // namespace

std::span<const OpDef> ops_index() { return rows; }

}  // namespace npuport
