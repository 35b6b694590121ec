// ATen: order statistics.
#include <algorithm>
#include <cmath>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

std::vector<ValueId> sorted(AtenCall& c, ValueId x, int64_t axis, bool descending) {
  return c.b.ops("sort", {x}, {{"axis", axis}, {"descending", descending}, {"stable", true}});
}

void sort(AtenCall& c) {
  const ValueId x = c.tensor("self");
  for (const ValueId v : sorted(c, x, c.axis("dim", c.b.shape(x).size()), c.flag("descending"))) c.ret(v);
}
void argsort(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const std::vector<ValueId> out = sorted(c, x, c.axis("dim", c.b.shape(x).size()), c.flag("descending"));
  if (out.size() == 2) c.ret(out[1]);
}
void msort(AtenCall& c) {
  const std::vector<ValueId> out = sorted(c, c.tensor("self"), 0, false);
  if (out.size() == 2) c.ret(out[0]);
}

void topk(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Attr axis{"axis", c.axis("dim", c.b.shape(x).size())};
  const std::vector<Attr> attrs = {{"k", c.i("k")}, axis, {"largest", c.flag("largest")}, {"sorted", c.flag("sorted")}};
  for (const ValueId v : c.b.ops("topk", {x}, attrs)) c.ret(v);
}

// Element `rank` (from 0) of the ascending order along the axis, with its position.
struct Ranked {
  ValueId value, place;
};
Ranked ranked(AtenCall& c, ValueId x, int64_t axis, int64_t rank, bool keepdim) {
  const std::vector<ValueId> out = sorted(c, x, axis, false);
  if (out.size() != 2) return {};
  if (c.b.shape(x).empty()) return {out[0], out[1]};
  Ranked r{slice(c.b, out[0], axis, rank, rank + 1), slice(c.b, out[1], axis, rank, rank + 1)};
  if (!keepdim) r = {squeeze(c.b, r.value, axis), squeeze(c.b, r.place, axis)};
  return r;
}

void kthvalue(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size()), size = shape.empty() ? 1 : shape[axis], k = c.i("k");
  if (k < 1 || k > size) return refuse(c, diag::bad_attribute, "kthvalue: k is out of range");
  const Ranked r = ranked(c, x, axis, k - 1, c.flag("keepdim"));
  c.ret(r.value);
  c.ret(r.place);
}

// The lower of the two middle elements; NaN when there is one (NaN sorts last).
ValueId median_value(AtenCall& c, ValueId x, int64_t axis, bool keepdim) {
  const int64_t size = c.b.shape(x).empty() ? 1 : c.b.shape(x)[axis];
  ValueId y = ranked(c, x, axis, std::max<int64_t>(0, (size - 1) / 2), keepdim).value;
  if (is_float(c.b.dtype(x)) && !c.b.shape(x).empty()) {
    const ValueId nan = reduce(c.b, "reduce_any", c.b.op("isnan", {x}), {axis}, keepdim);
    y = c.b.op("where", {nan, c.b.scalar(std::nan(""), c.b.dtype(x)), y});
  }
  return y;
}
void median(AtenCall& c) { c.ret(median_value(c, flat(c.b, c.tensor("self")), 0, false)); }
void median_dim(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size()), size = shape.empty() ? 1 : shape[axis];
  c.ret(median_value(c, x, axis, c.flag("keepdim")));
  ValueId place = ranked(c, x, axis, std::max<int64_t>(0, (size - 1) / 2), c.flag("keepdim")).place;
  if (is_float(c.b.dtype(x)) && !shape.empty()) {
    const ValueId nans = c.b.op("isnan", {x});
    const ValueId first = c.b.op("arg_max", {nans}, {{"axis", axis}, {"keepdims", c.flag("keepdim")}});
    place = c.b.op("where", {reduce(c.b, "reduce_any", nans, {axis}, c.flag("keepdim")), first, place});
  }
  c.ret(place);
}

// Quantiles at constant q: linear interpolation (or lower, higher, nearest, midpoint) between sorted neighbours.
void quantile(AtenCall& c, const Reals& q, bool scalar_q) {
  ValueId x = c.tensor("self");
  const size_t rank = c.b.shape(x).size();
  const DType t = c.b.dtype(x);
  const bool keepdim = c.flag("keepdim");
  int64_t axis = 0;
  if (c.is_none("dim"))
    x = flat(c.b, x);
  else
    axis = c.axis("dim", rank);
  const int64_t n = c.b.shape(x).empty() ? 1 : c.b.shape(x)[axis];
  if (!is_float(t) || n == 0) return refuse(c, diag::dtype_mismatch, "quantile needs a non-empty float tensor");
  const std::vector<ValueId> order = sorted(c, c.b.shape(x).empty() ? flat(c.b, x) : x, axis, false);
  if (order.empty()) return;
  const std::string mode = c.s("interpolation");
  std::vector<ValueId> parts;
  for (const double at : q) {
    const double place = at * static_cast<double>(n - 1);
    double low = std::floor(place), fraction = place - low;
    if (mode == "lower") fraction = 0;
    if (mode == "higher") fraction = fraction > 0 ? 1 : 0;
    if (mode == "nearest") fraction = std::nearbyint(place) - low;
    if (mode == "midpoint") fraction = fraction > 0 ? 0.5 : 0;
    const int64_t i = static_cast<int64_t>(low);
    const ValueId below = slice(c.b, order[0], axis, i, i + 1);
    ValueId y = below;
    if (fraction > 0) {
      const ValueId above = slice(c.b, order[0], axis, i + 1, i + 2);
      y = c.b.add(below, c.b.mul(c.b.sub(above, below), c.b.scalar(fraction, t)));
    }
    parts.push_back(y);
  }
  const ValueId nan = reduce(c.b, "reduce_any", c.b.op("isnan", {order[0]}), {axis}, true);
  for (ValueId& y : parts) {
    y = c.b.op("where", {nan, c.b.scalar(std::nan(""), t), y});
    if (c.is_none("dim"))
      y = c.b.reshape(y, keepdim ? Shape(rank, 1) : Shape{});
    else if (!keepdim)
      y = squeeze(c.b, y, axis);
    if (!scalar_q) y = unsqueeze(c.b, y, 0);
  }
  c.ret(concat(c.b, std::move(parts), 0));
}
void quantile_scalar(AtenCall& c) { quantile(c, {c.f("q")}, true); }
void quantile_tensor(AtenCall& c) {
  const Tensor* q = c.b.constant_of(c.tensor("q"));
  if (q == nullptr) return refuse(c, diag::data_dependent, "quantile at a position that depends on the inputs");
  Reals at;
  for (int64_t i = 0; i < q->count(); ++i) at.push_back(get_double(*q, i));
  if (at.empty()) return refuse(c, diag::bad_attribute, "quantile of no positions");
  quantile(c, at, q->shape.empty());
}

void searchsorted(AtenCall& c) {
  const bool right = c.flag("right") || (!c.is_none("side") && c.s("side") == "right");
  if (!c.is_none("sorter") && c.tensor("sorter").valid()) {
    return refuse(c, diag::unsupported, "searchsorted with sorter", "Sort the sequence first.");
  }
  const ValueId y = c.b.op("searchsorted", {c.tensor("sorted_sequence"), c.tensor("self")}, {{"right", right}});
  c.ret(c.flag("out_int32") ? c.b.cast(y, DType::i32) : y);
}
void searchsorted_scalar(AtenCall& c) {
  const bool right = c.flag("right") || (!c.is_none("side") && c.s("side") == "right");
  const ValueId sorted_values = c.tensor("sorted_sequence");
  const ValueId y = c.b.op("searchsorted", {sorted_values, number_like(c, "self", sorted_values)}, {{"right", right}});
  c.ret(c.flag("out_int32") ? c.b.cast(y, DType::i32) : y);
}

// bucketize's `right` means boundaries[i-1] <= x: searchsorted with right.
void bucketize(AtenCall& c) {
  const ValueId y = c.b.op("searchsorted", {c.tensor("boundaries"), c.tensor("self")}, {{"right", c.flag("right")}});
  c.ret(c.flag("out_int32") ? c.b.cast(y, DType::i32) : y);
}

// Bins of equal width between constant limits; the last bin is closed. min = max asks for the data's own range.
void histc(AtenCall& c) {
  const ValueId x = flat(c.b, c.tensor("self"));
  const DType t = c.b.dtype(x);
  const int64_t bins = c.i("bins");
  const double low = c.scalar("min").as_double(), high = c.scalar("max").as_double();
  if (low == high || !is_float(t) || bins < 1) {
    return refuse(c, diag::data_dependent, "histc without limits takes them from the data",
                  "Pass min and max to torch.histc.");
  }
  const ValueId min = c.b.scalar(low, t), max = c.b.scalar(high, t);
  const ValueId scaled = c.b.mul(c.b.sub(x, min), c.b.scalar(static_cast<double>(bins), t));
  ValueId bin = c.b.op("floor", {c.b.div(scaled, c.b.sub(max, min))});
  bin = c.b.op("minimum", {bin, c.b.scalar(static_cast<double>(bins - 1), t)});
  const ValueId inside = c.b.op("logical_and", {c.b.op("greater_equal", {x, min}), c.b.op("less_equal", {x, max})});
  bin = c.b.op("where", {inside, bin, c.b.scalar(-1.0, t)});
  Ints order(static_cast<size_t>(bins));
  for (int64_t i = 0; i < bins; ++i) order[static_cast<size_t>(i)] = i;
  const ValueId names = c.b.cast(c.b.reshape(c.b.ints(order), {bins, 1}), t);
  c.ret(reduce(c.b, "reduce_sum", c.b.cast(c.b.op("equal", {names, bin}), t), {1}, false));
}

constexpr Promote C = Promote::common, N = Promote::none;

constexpr AtenRow rows[] = {
    {"sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)", {}, N, sort},
    {"sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
     {},
     N,
     sort},
    {"argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor", {}, N, argsort},
    {"argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor", {}, N, argsort},
    {"msort(Tensor self) -> Tensor", {}, N, msort},
    {"topk(Tensor self, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
     {},
     N,
     topk},
    {"kthvalue(Tensor self, int k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
     {},
     N,
     kthvalue},
    {"median(Tensor self) -> Tensor", {}, N, median},
    {"median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", {}, N, median_dim},
    {"quantile(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor",
     {},
     N,
     quantile_tensor},
    {"quantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> "
     "Tensor",
     {},
     N,
     quantile_scalar},
    {"searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? "
     "side=None, Tensor? sorter=None) -> Tensor",
     {},
     C,
     searchsorted},
    {"searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, str? "
     "side=None, Tensor? sorter=None) -> Tensor",
     {},
     C,
     searchsorted_scalar},
    {"bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
     {},
     C,
     bucketize},
    {"histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor", {}, N, histc},
};

}  // namespace

std::span<const AtenRow> aten_sort() { return rows; }

}  // namespace npuport
