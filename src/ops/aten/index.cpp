// ATen: indexing, gathering and scattering.
#include <algorithm>

#include "ops/support/aten_help.h"
#include "ops/support/aten_index.h"

namespace npuport {
namespace {

using namespace aten;

void index(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const std::optional<IndexPlan> plan = plan_index(c, x, c.tensors("indices"));
  if (plan) c.ret(read_indexed(c.b, *plan));
}

void index_put(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const ValueId values = c.b.cast(c.tensor("values"), c.b.dtype(x));
  const std::vector<ValueId> indices = c.tensors("indices");
  const bool accumulate = c.flag("accumulate");
  if (const ValueId mask = single_mask(c.b, x, indices); mask.valid() && element_count(c.b.shape(values)) == 1) {
    const ValueId one = c.b.reshape(values, {});
    return c.ret(c.b.op("where", {mask, accumulate ? c.b.add(x, one) : one, x}));
  }
  const std::optional<IndexPlan> plan = plan_index(c, x, indices);
  if (plan) c.ret(write_indexed(c.b, *plan, values, accumulate ? "add" : "none"));
}

void embedding(AtenCall& c) {
  const ValueId ids = c.tensor("indices");
  c.ret(c.b.op("embedding", {c.tensor("weight"), as_index(c.b, ids)}));
}

void index_select(AtenCall& c) {
  const ValueId x = c.tensor("self"), at = as_index(c.b, c.tensor("index"));
  const int64_t axis = c.axis("dim", c.b.shape(x).size());
  if (c.b.shape(x).empty()) return c.ret(c.b.reshape(c.b.op("gather", {flat(c.b, x), flat(c.b, at)}), {}));
  c.ret(c.b.op("gather", {x, flat(c.b, at)}, {{"axis", axis}}));
}

// A 0-dimensional self or index counts as 1-dimensional.
struct Lined {
  ValueId data, index;
  int64_t axis;
  bool scalar;  // the result goes back to rank 0
};
Lined lined(AtenCall& c) {
  const ValueId x = c.tensor("self"), at = as_index(c.b, c.tensor("index"));
  const bool scalar = c.b.shape(x).empty();
  Lined l{scalar ? flat(c.b, x) : x, c.b.shape(at).empty() ? flat(c.b, at) : at, 0, scalar};
  l.axis = c.axis("dim", c.b.shape(l.data).size());
  return l;
}

void gather(AtenCall& c) {
  const Lined l = lined(c);
  const Shape shape = c.shape("index");
  if (element_count(shape) == 0) return c.ret(full(c.b, shape, integer(0), c.b.dtype(l.data)));
  const ValueId y = c.b.op("gather_elements", {l.data, l.index}, {{"axis", l.axis}});
  c.ret(c.b.reshape(y, shape));
}

// Only the part of src that the index covers is used.
ValueId covered(AtenCall& c, ValueId source, ValueId index) {
  if (c.b.shape(source).empty()) source = flat(c.b, source);
  const Shape want = c.b.shape(index);
  for (size_t d = 0; d < want.size() && d < c.b.shape(source).size(); ++d) {
    const int64_t have = c.b.shape(source)[d];
    if (want[d] > have) {
      refuse(c, diag::shape_mismatch, "scatter: index is larger than src");
      return source;
    }
    source = slice(c.b, source, static_cast<int64_t>(d), 0, want[d]);
  }
  return source;
}

ValueId scattered(AtenCall& c, const Lined& l, ValueId updates, std::string_view reduction) {
  if (element_count(c.b.shape(l.index)) == 0) return c.tensor("self");
  updates = c.b.cast(updates, c.b.dtype(l.data));
  const ValueId y = c.b.op("scatter_elements", {l.data, l.index, covered(c, updates, l.index)},
                           {{"axis", l.axis}, {"reduction", std::string(reduction)}});
  return l.scalar ? c.b.reshape(y, {}) : y;
}

ValueId filled_updates(AtenCall& c, const Lined& l) {
  return full(c.b, c.b.shape(l.index), c.scalar("value"), c.b.dtype(l.data));
}

std::string_view reduction_name(AtenCall& c) {
  const std::string name = c.s("reduce");
  if (name == "add" || name == "sum") return "add";
  if (name == "multiply" || name == "prod") return "mul";
  if (name == "amax") return "max";
  if (name == "amin") return "min";
  refuse(c, diag::unsupported, "scatter with reduce=\"" + name + "\"");
  return "none";
}

void scatter_src(AtenCall& c) { c.ret(scattered(c, lined(c), c.tensor("src"), "none")); }
void scatter_value(AtenCall& c) {
  const Lined l = lined(c);
  c.ret(scattered(c, l, filled_updates(c, l), "none"));
}
void scatter_src_reduce(AtenCall& c) { c.ret(scattered(c, lined(c), c.tensor("src"), reduction_name(c))); }
void scatter_value_reduce(AtenCall& c) {
  const Lined l = lined(c);
  c.ret(scattered(c, l, filled_updates(c, l), reduction_name(c)));
}
void scatter_add(AtenCall& c) { c.ret(scattered(c, lined(c), c.tensor("src"), "add")); }

// include_self=False: cells that receive something start from the reduction's neutral element. A mean is a sum divided
// by the number of contributions.
void scatter_reduce(AtenCall& c) {
  Lined l = lined(c);
  const bool mean = c.s("reduce") == "mean", with_self = c.flag("include_self");
  const std::string_view kind = mean ? "add" : reduction_name(c);
  if (c.b.failed() || element_count(c.b.shape(l.index)) == 0) return c.ret(c.tensor("self"));
  const DType t = c.b.dtype(l.data);
  const auto like_index = [&](double v) { return full(c.b, c.b.shape(l.index), real(v), t); };
  const ValueId zeros = full(c.b, c.b.shape(l.data), integer(0), t);
  const Attr axis{"axis", l.axis};
  const ValueId old = l.data;
  const ValueId counts = c.b.op("scatter_elements", {zeros, l.index, like_index(1)}, {axis, {"reduction", "add"}});
  const ValueId touched = c.b.op("greater", {counts, c.b.scalar(0.0, t)});
  if (!with_self && (kind == "add" || kind == "mul")) {
    const ValueId start = c.b.scalar(kind == "add" ? 0.0 : 1.0, t);
    l.data = c.b.op("where", {touched, start, old});
  } else if (!with_self) {
    // The first write replaces: write one contribution per cell, then reduce over all of them.
    const ValueId source = covered(c, c.b.cast(c.tensor("src"), t), l.index);
    l.data = c.b.op("scatter_elements", {old, l.index, source}, {axis, {"reduction", "none"}});
  }
  ValueId y = scattered(c, l, c.tensor("src"), kind);
  if (mean) {
    const ValueId one = c.b.scalar(1.0, t);
    ValueId n = with_self ? c.b.add(counts, one) : c.b.op("maximum", {counts, one});
    if (l.scalar) n = c.b.reshape(n, {});
    y = c.b.op(is_float(t) ? "div" : "floor_div", {y, n});
  }
  c.ret(y);
}

// index_add, index_copy, index_fill: whole slices along dim, as rows of the axis moved to the front.
ValueId with_slices(AtenCall& c, ValueId source, std::string_view reduction) {
  const Lined l = lined(c);
  if (c.b.failed()) return {};
  const int64_t n = element_count(c.b.shape(l.index));
  if (n == 0) return c.tensor("self");
  const ValueId rows = c.b.reshape(l.index, {n, 1});
  const ValueId front = move_axis(c.b, l.data, l.axis, 0);
  Shape shape = c.b.shape(front);
  shape[0] = n;
  source = c.b.cast(source, c.b.dtype(l.data));
  if (c.b.shape(source).size() == shape.size()) source = move_axis(c.b, source, l.axis, 0);
  const ValueId y =
      c.b.op("scatter_nd", {front, rows, c.b.expand(source, shape)}, {{"reduction", std::string(reduction)}});
  const ValueId back = move_axis(c.b, y, 0, l.axis);
  return l.scalar ? c.b.reshape(back, {}) : back;
}

void index_add(AtenCall& c) {
  ValueId source = c.b.cast(c.tensor("source"), c.b.dtype(c.tensor("self")));
  if (c.scalar("alpha").as_double() != 1.0) source = c.b.mul(source, number_like(c, "alpha", source));
  c.ret(with_slices(c, source, "add"));
}
void index_copy(AtenCall& c) { c.ret(with_slices(c, c.tensor("source"), "none")); }
void index_fill_scalar(AtenCall& c) { c.ret(with_slices(c, number_like(c, "value", c.tensor("self")), "none")); }
void index_fill_tensor(AtenCall& c) { c.ret(with_slices(c, c.tensor("value"), "none")); }

void take(AtenCall& c) {
  const ValueId x = flat(c.b, c.tensor("self")), index = as_index(c.b, c.tensor("index"));
  if (c.b.failed()) return;
  c.ret(c.b.op("gather", {x, wrap_negative(c.b, index, c.b.shape(x)[0])}));
}

void take_along_dim(AtenCall& c) {
  ValueId x = c.tensor("self"), at = as_index(c.b, c.tensor("indices"));
  if (c.is_none("dim")) {
    return c.ret(c.b.op("gather_elements", {flat(c.b, x), flat(c.b, at)}, {{"axis", 0}}));
  }
  const size_t rank = c.b.shape(x).size();
  const int64_t axis = c.axis("dim", rank);
  if (c.b.shape(at).size() != rank) return refuse(c, diag::shape_mismatch, "take_along_dim: the ranks differ");
  Shape xs = c.b.shape(x), is = c.b.shape(at);
  for (size_t d = 0; d < rank; ++d) {
    if (static_cast<int64_t>(d) == axis) continue;
    xs[d] = is[d] = xs[d] == 1 ? is[d] : xs[d];
  }
  c.ret(c.b.op("gather_elements", {c.b.expand(x, xs), c.b.expand(at, is)}, {{"axis", axis}}));
}

void one_hot(AtenCall& c) {
  const ValueId x = c.tensor("self");
  int64_t depth = c.i("num_classes");
  if (depth < 0) {
    const Tensor* known = c.b.constant_of(x);
    if (known == nullptr || known->count() == 0) {
      return refuse(c, diag::data_dependent, "one_hot without num_classes depends on the values", "Pass num_classes.");
    }
    for (int64_t i = 0; i < known->count(); ++i) depth = std::max(depth, get_int(*known, i) + 1);
  }
  c.ret(c.b.op("one_hot", {as_index(c.b, x)}, {{"depth", depth}, {"dtype", DType::i64}}));
}

template <bool upper>
void triangle(AtenCall& c) {
  c.ret(c.b.op("trilu", {c.tensor("self")}, {{"upper", upper}, {"diagonal", c.i("diagonal")}}));
}

// A constant mask makes the positions constant; a computed one makes the amount of data depend on values.
void masked_scatter(AtenCall& c) {
  const ValueId x = c.tensor("self"), mask = c.b.expand(as_bool(c.b, c.tensor("mask")), c.b.shape(x));
  const Tensor* known = c.b.constant_of(mask);
  if (known == nullptr) {
    return refuse(c, diag::data_dependent, "masked_scatter with a mask that depends on the inputs",
                  "Use torch.where with a full-size source.");
  }
  Ints at;
  for (int64_t i = 0; i < known->count(); ++i) {
    if (get_int(*known, i) != 0) at.push_back(i);
  }
  const int64_t n = static_cast<int64_t>(at.size());
  const ValueId source = flat(c.b, c.b.cast(c.tensor("source"), c.b.dtype(x)));
  if (n == 0) return c.ret(x);
  if (element_count(c.b.shape(source)) < n) return refuse(c, diag::shape_mismatch, "masked_scatter: source too small");
  const ValueId y =
      c.b.op("scatter_nd", {flat(c.b, x), c.b.reshape(c.b.ints(at), {n, 1}), slice(c.b, source, 0, 0, n)});
  c.ret(c.b.reshape(y, c.b.shape(x)));
}

void masked_select(AtenCall& c) {
  const ValueId x = c.tensor("self"), mask = as_bool(c.b, c.tensor("mask"));
  const Result<Shape> shape = broadcast_shapes(c.b.shape(x), c.b.shape(mask));
  if (!shape) return c.fail(shape.error());
  const ValueId wide = c.b.expand(mask, *shape);
  const Tensor* known = c.b.constant_of(wide);
  if (known == nullptr) {
    return refuse(c, diag::data_dependent, "masked_select: the size of the result depends on input values");
  }
  Ints at;
  for (int64_t i = 0; i < known->count(); ++i) {
    if (get_int(*known, i) != 0) at.push_back(i);
  }
  c.ret(take_constant(c.b, flat(c.b, c.b.expand(x, *shape)), at, 0));
}

// Positions of the true elements: rows of coordinates, or one vector per axis. Their number must be known.
std::optional<std::vector<Ints>> known_positions(AtenCall& c, ValueId x) {
  const Tensor* known = c.b.constant_of(as_bool(c.b, x));
  if (known == nullptr) {
    refuse(c, diag::data_dependent, "the number of non-zero elements depends on the inputs",
           "Use torch.where(condition, a, b), or multiply by the mask.");
    return std::nullopt;
  }
  std::vector<Ints> at(known->shape.size());
  const Ints strides = strides_of(known->shape);
  for (int64_t i = 0; i < known->count(); ++i) {
    if (get_int(*known, i) == 0) continue;
    for (size_t d = 0; d < at.size(); ++d) at[d].push_back(i / strides[d] % known->shape[d]);
  }
  return at;
}
void nonzero(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const std::optional<std::vector<Ints>> at = known_positions(c, x);
  if (!at) return;
  if (at->empty()) {  // no dimensions: one row without coordinates, or none
    const int64_t rows = get_int(*c.b.constant_of(as_bool(c.b, x)), 0) != 0;
    return c.ret(c.b.constant(Tensor::zeros(DType::i64, {rows, 0})));
  }
  Ints rows;
  for (size_t i = 0; i < at->front().size(); ++i) {
    for (const Ints& column : *at) rows.push_back(column[i]);
  }
  const Shape shape = {static_cast<int64_t>(at->front().size()), static_cast<int64_t>(at->size())};
  c.ret(c.b.constant(Tensor::of<int64_t>(shape, std::span<const int64_t>(rows))));
}
template <const char* arg>
void nonzero_columns(AtenCall& c) {
  const ValueId x = c.tensor(arg);
  if (c.b.shape(x).empty()) return refuse(c, diag::unsupported, "nonzero of a 0-dimensional tensor");
  const std::optional<std::vector<Ints>> at = known_positions(c, x);
  if (!at) return;
  std::vector<ValueId> columns;
  for (const Ints& column : *at) columns.push_back(c.b.ints(column));
  c.ret_list(std::move(columns));
}
constexpr char kSelf[] = "self", kCondition[] = "condition";

constexpr Promote N = Promote::none;

constexpr AtenRow rows[] = {
    {"index.Tensor(Tensor self, Tensor?[] indices) -> Tensor", {}, N, index},
    {"index.Tensor_hacked_twin(Tensor self, Tensor[] indices) -> Tensor", {}, N, index},
    {"_unsafe_index.Tensor(Tensor self, Tensor?[] indices) -> Tensor", {}, N, index},
    {"index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor", {}, N, index_put},
    {"index_put.hacked_twin(Tensor self, Tensor[] indices, Tensor values, bool accumulate=False) -> Tensor",
     {},
     N,
     index_put},
    {"_unsafe_index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
     {},
     N,
     index_put},
    {"embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) "
     "-> Tensor",
     {},
     N,
     embedding},
    {"index_select(Tensor self, int dim, Tensor index) -> Tensor", {}, N, index_select},
    {"gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor", {}, N, gather},
    {"scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", {}, N, scatter_src},
    {"scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", {}, N, scatter_value},
    {"scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor",
     {},
     N,
     scatter_src_reduce},
    {"scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor",
     {},
     N,
     scatter_value_reduce},
    {"scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", {}, N, scatter_add},
    {"scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> "
     "Tensor",
     {},
     N,
     scatter_reduce},
    {"index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor", {}, N, index_add},
    {"index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor", {}, N, index_copy},
    {"index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", {}, N, index_fill_scalar},
    {"index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor", {}, N, index_fill_tensor},
    {"take(Tensor self, Tensor index) -> Tensor", {}, N, take},
    {"take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor", {}, N, take_along_dim},
    {"one_hot(Tensor self, int num_classes=-1) -> Tensor", {}, N, one_hot},
    {"triu(Tensor self, int diagonal=0) -> Tensor", {}, N, triangle<true>},
    {"tril(Tensor self, int diagonal=0) -> Tensor", {}, N, triangle<false>},
    {"masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", {}, N, masked_scatter},
    {"nonzero(Tensor self) -> Tensor", {}, N, nonzero},
    {"argwhere(Tensor self) -> Tensor", {}, N, nonzero},
    {"nonzero_numpy(Tensor self) -> Tensor[]", {}, N, nonzero_columns<kSelf>},
    {"where(Tensor condition) -> Tensor[]", {}, N, nonzero_columns<kCondition>},
    {"masked_select(Tensor self, Tensor mask) -> Tensor", {}, N, masked_select},
};

}  // namespace

std::span<const AtenRow> aten_index() { return rows; }

}  // namespace npuport
