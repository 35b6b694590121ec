// Reductions, positions of extrema, running sums.
#include <limits>

#include "ops/support/aten_stats.h"
#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

struct Reduction {
  ValueId x;
  Ints axes;
  bool keepdims = true;
  bool nothing = false;  // no axes and noop_with_empty_axes
};

// `since`: opset that made axes an input.
Reduction reduction(OnnxRead& c, int since) {
  Reduction r{c.in(0), {}, c.i("keepdims", 1) != 0};
  const std::optional<Ints> axes = c.ints_or_input("axes", 1, since);
  if (c.stopped()) return r;
  const size_t rank = c.b.shape(r.x).size();
  if (axes && !axes->empty()) {
    r.axes = rank == 0 ? Ints{} : c.axes(*axes, rank);
  } else if (c.opset() >= since && c.i("noop_with_empty_axes", 0) != 0) {
    r.nothing = true;
  } else {
    r.axes = ox::all_axes(rank);
  }
  return r;
}

ValueId reduced(OnnxRead& c, std::string_view op, const Reduction& r, ValueId x) {
  return r.axes.empty() ? x : ox::reduce(c.b, op, x, r.axes, r.keepdims);
}

// Element-wise work before and after a sum; integers are computed in double where `real` is set.
void read_sum(OnnxRead& c, int since, std::string_view before, std::string_view after, bool in_real) {
  const Reduction r = reduction(c, since);
  if (c.stopped()) return;
  const DType type = c.b.dtype(r.x);
  ValueId x = in_real && !is_float(type) ? c.b.cast(r.x, DType::f64) : r.x;
  if (!before.empty()) x = c.b.op(before, {x});
  x = reduced(c, "reduce_sum", r, x);
  if (!after.empty()) x = c.b.op(after, {x});
  c.ret(c.b.cast(x, type));
}
void read_reduce_sum(OnnxRead& c) { read_sum(c, 13, "", "", false); }
void read_l1(OnnxRead& c) { read_sum(c, 18, "abs", "", false); }
void read_l2(OnnxRead& c) { read_sum(c, 18, "square", "sqrt", true); }
void read_sum_square(OnnxRead& c) { read_sum(c, 18, "square", "", false); }
void read_log_sum(OnnxRead& c) { read_sum(c, 18, "", "log", true); }

void read_log_sum_exp(OnnxRead& c) {
  const Reduction r = reduction(c, 18);
  if (c.stopped()) return;
  if (r.nothing) return c.ret(r.x);
  const DType type = c.b.dtype(r.x);
  const Shape shape = c.b.shape(r.x);
  const ValueId x = is_float(type) ? r.x : c.b.cast(r.x, DType::f64);
  if (element_count(shape) == 0) {
    return c.ret(c.b.cast(c.b.op("log", {reduced(c, "reduce_sum", r, c.b.op("exp", {x}))}), type));
  }
  c.ret(c.b.cast(aten::log_sum_exp(c.b, x, r.axes, r.keepdims), type));
}

void read_mean(OnnxRead& c) {
  const Reduction r = reduction(c, 18);
  if (c.stopped()) return;
  const DType type = c.b.dtype(r.x);
  const ValueId x = is_float(type) ? r.x : c.b.cast(r.x, DType::f64);
  c.ret(c.b.cast(reduced(c, "reduce_mean", r, x), type));
}

void read_prod(OnnxRead& c) {
  const Reduction r = reduction(c, 18);
  if (!c.stopped()) c.ret(reduced(c, "reduce_prod", r, r.x));
}

Shape reduced_shape(const Shape& shape, const Reduction& r) {
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool gone = std::find(r.axes.begin(), r.axes.end(), static_cast<int64_t>(i)) != r.axes.end();
    if (!gone) out.push_back(shape[i]);
    if (gone && r.keepdims) out.push_back(1);
  }
  return out;
}

// The extremum of nothing is the type's smallest (largest) value.
void read_extremum(OnnxRead& c, bool largest) {
  const int since = 18;
  const Reduction r = reduction(c, since);
  if (c.stopped()) return;
  Builder& b = c.b;
  const DType type = b.dtype(r.x);
  const Shape shape = b.shape(r.x);
  if (element_count(shape) == 0 && !r.axes.empty()) {
    const Shape out = reduced_shape(shape, r);
    if (is_float(type)) {
      const double inf = std::numeric_limits<double>::infinity();
      return c.ret(ox::full(b, out, ox::real(largest ? -inf : inf), type));
    }
    if (type == DType::boolean) return c.ret(ox::full(b, out, ox::integer(largest ? 0 : 1), type));
    return c.refuse("of an empty set of integers");
  }
  if (type == DType::boolean) return c.ret(reduced(c, largest ? "reduce_any" : "reduce_all", r, r.x));
  c.ret(reduced(c, largest ? "reduce_max" : "reduce_min", r, r.x));
}
void read_max(OnnxRead& c) { read_extremum(c, true); }
void read_min(OnnxRead& c) { read_extremum(c, false); }

void read_arg(OnnxRead& c, std::string_view op) {
  ValueId x = c.in(0);
  if (c.stopped()) return;
  const int64_t axis = c.axis_attr("axis", 0);
  const bool keepdims = c.i("keepdims", 1) != 0;
  const bool last = c.opset() >= 12 && c.i("select_last_index", 0) != 0;
  if (c.stopped()) return;
  const Shape& shape = c.b.shape(x);
  const int64_t size = shape.empty() ? 1 : shape[static_cast<size_t>(axis)];
  if (last) x = ox::flip(c.b, x, axis);
  const ValueId at = c.b.op(op, {x}, {{"axis", axis}, {"keepdims", keepdims}});
  c.ret(last ? c.b.sub(c.b.constant(Tensor::scalar<int64_t>(size - 1)), at) : at);
}
void read_arg_max(OnnxRead& c) { read_arg(c, "arg_max"); }
void read_arg_min(OnnxRead& c) { read_arg(c, "arg_min"); }

// exclusive: element i leaves out x[i]; reverse: from the end.
void read_running(OnnxRead& c, std::string_view op, int64_t neutral) {
  Builder& b = c.b;
  ValueId x = c.in(0);
  const int64_t wanted = c.const_int(1);
  const bool exclusive = c.i("exclusive", 0) != 0, reverse = c.i("reverse", 0) != 0;
  if (c.stopped()) return;
  const Shape shape = b.shape(x);
  const int64_t axis = c.axis(wanted, shape.size());
  if (c.stopped() || shape.empty()) return c.fail(Diag(diag::shape_mismatch, "a running sum of a single number"));
  const int64_t size = shape[static_cast<size_t>(axis)];
  if (size == 0) return c.ret(x);
  if (reverse) x = ox::flip(b, x, axis);
  ValueId y = b.op(op, {x}, {{"axis", axis}});
  if (exclusive) {
    Shape first = shape;
    first[static_cast<size_t>(axis)] = 1;
    const ValueId start = ox::full(b, first, ox::integer(neutral), b.dtype(x));
    y = size == 1 ? start : ox::concat(b, {start, ox::slice(b, y, axis, 0, size - 1)}, axis);
  }
  c.ret(reverse ? ox::flip(b, y, axis) : y);
}
void read_cumsum(OnnxRead& c) { read_running(c, "cumsum", 0); }
void read_cumprod(OnnxRead& c) { read_running(c, "cumprod", 1); }

constexpr OnnxRow rows[] = {
    {.name = "ReduceSum", .read = read_reduce_sum},
    {.name = "ReduceMean", .read = read_mean},
    {.name = "ReduceMax", .read = read_max},
    {.name = "ReduceMin", .read = read_min},
    {.name = "ReduceProd", .read = read_prod},
    {.name = "ReduceL1", .read = read_l1},
    {.name = "ReduceL2", .read = read_l2},
    {.name = "ReduceLogSum", .read = read_log_sum},
    {.name = "ReduceLogSumExp", .read = read_log_sum_exp},
    {.name = "ReduceSumSquare", .read = read_sum_square},
    {.name = "ArgMax", .read = read_arg_max},
    {.name = "ArgMin", .read = read_arg_min},
    {.name = "CumSum", .since = 11, .read = read_cumsum},
    {.name = "CumProd", .since = 26, .read = read_cumprod},
};

}  // namespace

std::span<const OnnxRow> onnx_reduce() { return rows; }

}  // namespace npuport
