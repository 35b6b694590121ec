// ATen: sums, means, extrema and the like over axes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/support/aten_help.h"
#include "ops/support/aten_stats.h"

namespace npuport {
namespace {

using namespace aten;

// sum, prod, cumsum, cumprod: the given dtype, else integers and bools as i64.
ValueId summand(AtenCall& c) {
  const ValueId x = c.tensor("self");
  if (const std::optional<DType> dtype = c.dtype("dtype")) return c.b.cast(x, *dtype);
  return is_float(c.b.dtype(x)) ? x : c.b.cast(x, DType::i64);
}

template <const char* op>
void total(AtenCall& c) {
  const ValueId x = summand(c);
  c.ret(reduce(c.b, op, x, all_axes(c.b.shape(x).size()), false));
}
template <const char* op>
void total_over(AtenCall& c) {
  const ValueId x = summand(c);
  c.ret(reduce(c.b, op, x, axes_or_all(c, "dim", c.b.shape(x).size()), c.flag("keepdim")));
}
void product_over(AtenCall& c) {
  const ValueId x = summand(c);
  const size_t rank = c.b.shape(x).size();
  const int64_t axis = c.axis("dim", rank);
  c.ret(reduce(c.b, "reduce_prod", x, rank == 0 ? Ints{} : Ints{axis}, c.flag("keepdim")));
}
constexpr char kSum[] = "reduce_sum", kProd[] = "reduce_prod";

ValueId mean_operand(AtenCall& c) {
  ValueId x = c.tensor("self");
  if (const std::optional<DType> dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  if (!is_float(c.b.dtype(x))) {
    refuse(c, diag::dtype_mismatch, "mean of an integer tensor needs a floating dtype",
           "Use x.float().mean() or mean(dtype=torch.float32).");
  }
  return x;
}
void mean(AtenCall& c) {
  const ValueId x = mean_operand(c);
  c.ret(reduce(c.b, "reduce_mean", x, all_axes(c.b.shape(x).size()), false));
}
void mean_over(AtenCall& c) {
  const ValueId x = mean_operand(c);
  c.ret(reduce(c.b, "reduce_mean", x, axes_or_all(c, "dim", c.b.shape(x).size()), c.flag("keepdim")));
}

// NaN counts as 0 in the sum and not at all in the mean.
ValueId without_nan(Builder& b, ValueId x) {
  if (!is_float(b.dtype(x))) return x;
  return b.op("where", {b.op("isnan", {x}), b.scalar(0.0, b.dtype(x)), x});
}
void nansum(AtenCall& c) {
  const ValueId x = without_nan(c.b, summand(c));
  c.ret(reduce(c.b, "reduce_sum", x, axes_or_all(c, "dim", c.b.shape(x).size()), c.flag("keepdim")));
}
void nanmean(AtenCall& c) {
  const ValueId x = mean_operand(c);
  const DType t = c.b.dtype(x);
  const Ints axes = axes_or_all(c, "dim", c.b.shape(x).size());
  const ValueId valid = c.b.cast(c.b.op("logical_not", {c.b.op("isnan", {x})}), t);
  const ValueId count = reduce(c.b, "reduce_sum", valid, axes, c.flag("keepdim"));
  c.ret(c.b.div(reduce(c.b, "reduce_sum", without_nan(c.b, x), axes, c.flag("keepdim")), count));
}

template <const char* op>
void extremum(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(reduce(c.b, op, x, all_axes(c.b.shape(x).size()), false));
}
template <const char* op>
void extremum_over(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(reduce(c.b, op, x, axes_or_all(c, "dim", c.b.shape(x).size()), c.flag("keepdim")));
}
constexpr char kMax[] = "reduce_max", kMin[] = "reduce_min";

template <const char* op, const char* arg>
void extremum_and_place(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  const int64_t axis = c.axis("dim", rank);
  const bool keep = c.flag("keepdim");
  c.ret(reduce(c.b, op, x, rank == 0 ? Ints{} : Ints{axis}, keep));
  c.ret(c.b.op(arg, {x}, {{"axis", axis}, {"keepdims", keep}}));
}
constexpr char kArgMax[] = "arg_max", kArgMin[] = "arg_min";

void aminmax(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  Ints axes = all_axes(rank);
  if (!c.is_none("dim") && rank > 0) axes = {c.axis("dim", rank)};
  c.ret(reduce(c.b, kMin, x, axes, c.flag("keepdim")));
  c.ret(reduce(c.b, kMax, x, axes, c.flag("keepdim")));
}

template <const char* op>
void position(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  if (!c.is_none("dim")) {
    return c.ret(c.b.op(op, {x}, {{"axis", c.axis("dim", rank)}, {"keepdims", c.flag("keepdim")}}));
  }
  const ValueId y = c.b.op(op, {flat(c.b, x)}, {{"axis", 0}, {"keepdims", false}});
  c.ret(c.flag("keepdim") ? c.b.reshape(y, Shape(rank, 1)) : y);
}

// The result is bool, but uint8 for uint8 tensors.
ValueId truth(Builder& b, std::string_view op, ValueId x, Ints axes, bool keepdims) {
  const ValueId y = reduce(b, op, as_bool(b, x), std::move(axes), keepdims);
  return b.dtype(x) == DType::u8 ? b.cast(y, DType::u8) : y;
}
template <const char* op>
void truth_of_all(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(truth(c.b, op, x, all_axes(c.b.shape(x).size()), false));
}
template <const char* op>
void truth_over(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  const int64_t axis = c.axis("dim", rank);
  c.ret(truth(c.b, op, x, rank == 0 ? Ints{} : Ints{axis}, c.flag("keepdim")));
}
template <const char* op>
void truth_over_several(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(truth(c.b, op, x, axes_or_all(c, "dim", c.b.shape(x).size()), c.flag("keepdim")));
}
constexpr char kAny[] = "reduce_any", kAll[] = "reduce_all";

void count_nonzero(AtenCall& c, const Ints& axes) {
  const ValueId x = c.b.cast(as_bool(c.b, c.tensor("self")), DType::i64);
  c.ret(reduce(c.b, "reduce_sum", x, axes, false));
}
void count_nonzero_list(AtenCall& c) { count_nonzero(c, axes_or_all(c, "dim", c.shape("self").size())); }
void count_nonzero_one(AtenCall& c) {
  const size_t rank = c.shape("self").size();
  count_nonzero(c, c.is_none("dim") || rank == 0 ? all_axes(rank) : Ints{c.axis("dim", rank)});
}

// correction 1 (unbiased) or 0; nothing given means 1.
template <bool standard>
void spread_all(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(spread(c, x, all_axes(c.b.shape(x).size()), c.flag("unbiased") ? 1 : 0, false, standard).value);
}
template <bool standard>
void spread_dim(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Ints axes = axes_or_all(c, "dim", c.b.shape(x).size());
  c.ret(spread(c, x, axes, c.flag("unbiased") ? 1 : 0, c.flag("keepdim"), standard).value);
}
double correction_of(AtenCall& c) { return c.is_none("correction") ? 1.0 : c.scalar("correction").as_double(); }
template <bool standard>
void spread_correction(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Ints axes = axes_or_all(c, "dim", c.b.shape(x).size());
  c.ret(spread(c, x, axes, correction_of(c), c.flag("keepdim"), standard).value);
}
template <bool standard>
void spread_and_mean(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Spread s = spread(c, x, all_axes(c.b.shape(x).size()), c.flag("unbiased") ? 1 : 0, false, standard);
  c.ret(s.value);
  c.ret(s.mean);
}
template <bool standard>
void spread_and_mean_dim(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Ints axes = axes_or_all(c, "dim", c.b.shape(x).size());
  const Spread s = spread(c, x, axes, c.flag("unbiased") ? 1 : 0, c.flag("keepdim"), standard);
  c.ret(s.value);
  c.ret(s.mean);
}
template <bool standard>
void spread_and_mean_correction(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Ints axes = axes_or_all(c, "dim", c.b.shape(x).size());
  const Spread s = spread(c, x, axes, correction_of(c), c.flag("keepdim"), standard);
  c.ret(s.value);
  c.ret(s.mean);
}

void logsumexp_over(AtenCall& c) {
  const ValueId x = as_float(c.b, c.tensor("self"));
  c.ret(log_sum_exp(c.b, x, axes_or_all(c, "dim", c.b.shape(x).size()), c.flag("keepdim")));
}

void norm_all(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(vector_norm(c.b, x, c.scalar("p").as_double(), all_axes(c.b.shape(x).size()), false));
}
double norm_order(AtenCall& c) { return c.is_none("p") ? 2.0 : c.scalar("p").as_double(); }
void norm_over(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(vector_norm(c.b, x, norm_order(c), axes_or_all(c, "dim", c.b.shape(x).size()), c.flag("keepdim")));
}
void norm_over_dtype(AtenCall& c) {
  ValueId x = c.tensor("self");
  if (const std::optional<DType> dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  c.ret(vector_norm(c.b, x, norm_order(c), axes_or_all(c, "dim", c.b.shape(x).size()), c.flag("keepdim")));
}
void norm_all_dtype(AtenCall& c) {
  ValueId x = c.tensor("self");
  if (const std::optional<DType> dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  c.ret(vector_norm(c.b, x, norm_order(c), all_axes(c.b.shape(x).size()), false));
}
void linalg_vector_norm(AtenCall& c) {
  ValueId x = c.tensor("self");
  if (const std::optional<DType> dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  const Ints axes = axes_or_all(c, "dim", c.b.shape(x).size());
  c.ret(vector_norm(c.b, x, c.scalar("ord").as_double(), axes, c.flag("keepdim")));
}
// Without ord: the 2-norm of everything named, whatever the rank. With ord only vectors are covered.
void linalg_norm(AtenCall& c) {
  ValueId x = c.tensor("self");
  if (const std::optional<DType> dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  const Ints axes = axes_or_all(c, "dim", c.b.shape(x).size());
  if (!c.is_none("ord") && axes.size() != 1) {
    return refuse(c, diag::unsupported, "linalg_norm of a matrix with ord",
                  "Use torch.linalg.vector_norm, or the Frobenius norm (ord=None).");
  }
  c.ret(vector_norm(c.b, x, c.is_none("ord") ? 2.0 : c.scalar("ord").as_double(), axes, c.flag("keepdim")));
}
void dist(AtenCall& c) {
  const ValueId d = c.b.sub(c.tensor("self"), c.tensor("other"));
  c.ret(vector_norm(c.b, d, c.scalar("p").as_double(), all_axes(c.b.shape(d).size()), false));
}

template <const char* op>
void running(AtenCall& c) {
  const ValueId x = summand(c);
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size());
  const ValueId y = c.b.op(op, {shape.empty() ? flat(c.b, x) : x}, {{"axis", axis}});
  c.ret(c.b.reshape(y, shape));
}
constexpr char kCumsum[] = "cumsum", kCumprod[] = "cumprod";

template <const char* op>
void running_extremum(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const std::vector<ValueId> out =
      c.b.ops(op, {shape.empty() ? flat(c.b, x) : x}, {{"axis", c.axis("dim", shape.size())}});
  for (const ValueId v : out) c.ret(c.b.reshape(v, shape));
}
constexpr char kCummax[] = "cummax", kCummin[] = "cummin";

// Relative to the maximum of the whole line: terms far below it vanish, which rounding would do as well.
void logcumsumexp(AtenCall& c) {
  const ValueId x = as_float(c.b, c.tensor("self"));
  const Shape shape = c.b.shape(x);
  if (shape.empty() || element_count(shape) == 0) return c.ret(x);
  const int64_t axis = c.axis("dim", shape.size());
  const DType t = c.b.dtype(x);
  const ValueId top = reduce(c.b, kMax, x, {axis}, true);
  const ValueId shift = c.b.op("where", {c.b.op("isinf", {top}), c.b.scalar(0.0, t), top});
  const ValueId wide = c.b.cast(c.b.sub(x, shift), DType::f64);
  const ValueId sums = c.b.op("cumsum", {c.b.op("exp", {wide})}, {{"axis", axis}});
  c.ret(c.b.add(c.b.cast(c.b.op("log", {sums}), t), shift));
}

void trace(AtenCall& c) {
  ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  if (shape.size() != 2) return refuse(c, diag::shape_mismatch, "trace expects a matrix");
  if (!is_float(c.b.dtype(x))) x = c.b.cast(x, DType::i64);
  Ints at;
  for (int64_t i = 0; i < std::min(shape[0], shape[1]); ++i) at.push_back(i * (shape[1] + 1));
  c.ret(reduce(c.b, "reduce_sum", take_constant(c.b, flat(c.b, x), at, 0), {0}, false));
}

constexpr Promote N = Promote::none, C = Promote::common;

constexpr AtenRow rows[] = {
    {"sum(Tensor self, *, ScalarType? dtype=None) -> Tensor", {}, N, total<kSum>},
    {"sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
     {},
     N,
     total_over<kSum>},
    {"prod(Tensor self, *, ScalarType? dtype=None) -> Tensor", {}, N, total<kProd>},
    {"prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
     {},
     N,
     product_over},
    {"mean(Tensor self, *, ScalarType? dtype=None) -> Tensor", {}, N, mean},
    {"mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", {}, N, mean_over},
    {"nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", {}, N, nansum},
    {"nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", {}, N, nanmean},
    {"max(Tensor self) -> Tensor", {}, N, extremum<kMax>},
    {"min(Tensor self) -> Tensor", {}, N, extremum<kMin>},
    {"max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     {},
     N,
     extremum_and_place<kMax, kArgMax>},
    {"min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     {},
     N,
     extremum_and_place<kMin, kArgMin>},
    {"amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", {}, N, extremum_over<kMax>},
    {"amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", {}, N, extremum_over<kMin>},
    {"aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)", {}, N, aminmax},
    {"argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", {}, N, position<kArgMax>},
    {"argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", {}, N, position<kArgMin>},
    {"any(Tensor self) -> Tensor", {}, N, truth_of_all<kAny>},
    {"any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor", {}, N, truth_over<kAny>},
    {"any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor", {}, N, truth_over_several<kAny>},
    {"all(Tensor self) -> Tensor", {}, N, truth_of_all<kAll>},
    {"all.dim(Tensor self, int dim, bool keepdim=False) -> Tensor", {}, N, truth_over<kAll>},
    {"all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor", {}, N, truth_over_several<kAll>},
    {"_is_all_true(Tensor self) -> Tensor", {}, N, truth_of_all<kAll>},
    {"_is_any_true(Tensor self) -> Tensor", {}, N, truth_of_all<kAny>},
    {"count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor", {}, N, count_nonzero_list},
    {"count_nonzero(Tensor self, int? dim=None) -> Tensor", {}, N, count_nonzero_one},
    {"var(Tensor self, bool unbiased=True) -> Tensor", {}, N, spread_all<false>},
    {"var.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor", {}, N, spread_dim<false>},
    {"var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",
     {},
     N,
     spread_correction<false>},
    {"std(Tensor self, bool unbiased=True) -> Tensor", {}, N, spread_all<true>},
    {"std.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor", {}, N, spread_dim<true>},
    {"std.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",
     {},
     N,
     spread_correction<true>},
    {"var_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)", {}, N, spread_and_mean<false>},
    {"var_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)",
     {},
     N,
     spread_and_mean_dim<false>},
    {"var_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, "
     "Tensor)",
     {},
     N,
     spread_and_mean_correction<false>},
    {"std_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)", {}, N, spread_and_mean<true>},
    {"std_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)",
     {},
     N,
     spread_and_mean_dim<true>},
    {"std_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, "
     "Tensor)",
     {},
     N,
     spread_and_mean_correction<true>},
    {"logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", {}, N, logsumexp_over},
    {"special_logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", {}, N, logsumexp_over},
    {"norm.Scalar(Tensor self, Scalar p=2) -> Tensor", {}, N, norm_all},
    {"norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False) -> Tensor", {}, N, norm_over},
    {"norm.ScalarOpt_dim_dtype(Tensor self, Scalar? p, int[1] dim, bool keepdim, *, ScalarType dtype) -> Tensor",
     {},
     N,
     norm_over_dtype},
    {"norm.ScalarOpt_dtype(Tensor self, Scalar? p, *, ScalarType dtype) -> Tensor", {}, N, norm_all_dtype},
    {"linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) "
     "-> Tensor",
     {},
     N,
     linalg_vector_norm},
    {"linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> "
     "Tensor",
     {},
     N,
     linalg_norm},
    {"dist(Tensor self, Tensor other, Scalar p=2) -> Tensor", {}, C, dist},
    {"cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", {}, N, running<kCumsum>},
    {"cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", {}, N, running<kCumprod>},
    {"cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)", {}, N, running_extremum<kCummax>},
    {"cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)", {}, N, running_extremum<kCummin>},
    {"logcumsumexp(Tensor self, int dim) -> Tensor", {}, N, logcumsumexp},
    {"trace(Tensor self) -> Tensor", {}, N, trace},
};

}  // namespace

std::span<const AtenRow> aten_reduce() { return rows; }

}  // namespace npuport
