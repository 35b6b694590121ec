// Normalisation.
#include <fmt/format.h>

#include <array>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

// The batch's own mean and variance; what the running ones become are results 1 and 2. Opset 14 and newer.
void read_batch_norm_training(OnnxRead& c, double eps) {
  Builder& b = c.b;
  const ValueId x = c.in(0), scale = c.in(1), bias = c.in(2);
  const std::array running{c.in(3), c.in(4)};
  const double momentum = c.f("momentum", 0.9F);
  if (c.stopped()) return;
  const auto rank = static_cast<int64_t>(b.shape(x).size());
  if (rank < 2) return c.refuse("of a vector");
  Ints axes{0};
  for (int64_t d = 2; d < rank; ++d) axes.push_back(d);
  const ValueId mean = ox::reduce(b, "reduce_mean", x, axes, true);
  const ValueId var = ox::reduce(b, "reduce_mean", b.op("squared_difference", {x, mean}), axes, true);
  const Shape channels{b.shape(x)[1]};
  const std::array now{b.reshape(mean, channels), b.reshape(var, channels)};
  const DType t = b.dtype(x);
  c.ret(0, b.op("batch_norm", {x, b.cast(scale, t), b.cast(bias, t), now[0], now[1]}, {{"eps", eps}, {"axis", 1}}));
  for (size_t k = 0; k < 2; ++k) {
    if (!c.wants(k + 1)) continue;
    const DType u = b.dtype(running[k]);
    c.ret(k + 1, b.add(ox::times(b, running[k], momentum), ox::times(b, b.cast(now[k], u), 1 - momentum)));
  }
}

void read_batch_norm(OnnxRead& c) {
  const ValueId x = c.in(0);
  const double eps = c.f("epsilon", 1e-5F);
  if (c.opset() >= 14 && c.i("training_mode", 0) != 0) return read_batch_norm_training(c, eps);
  if (c.opset() < 14 && c.wants(1)) return c.refuse("in training mode");
  if (c.opset() < 9 && c.i("spatial", 1) == 0) return c.refuse("with spatial = 0");
  if (c.stopped()) return;
  std::vector<ValueId> in{x};
  for (size_t k = 1; k < 5; ++k) in.push_back(c.b.cast(c.in(k), c.b.dtype(x)));
  if (c.stopped()) return;
  if (c.b.shape(x).size() < 2) return c.refuse("of a vector");
  c.ret(c.b.op("batch_norm", std::move(in), {{"eps", eps}, {"axis", 1}}));
}

void read_instance_norm(OnnxRead& c) {
  const ValueId x = c.in(0), scale = c.in(1), bias = c.in(2);
  c.ret(c.b.op("instance_norm", {x, scale, bias}, {{"eps", c.f("epsilon", 1e-5F)}, {"axis", 1}}));
}

// Scale and bias per channel; until opset 20 per group.
void read_group_norm(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0);
  ValueId scale = c.in(1), bias = c.in(2);
  const int64_t groups = c.i("num_groups", 0);
  if (c.stopped()) return;
  const Shape xs = b.shape(x);
  if (xs.size() < 2 || groups < 1 || xs[1] % groups != 0) {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("{} groups for {}", groups, to_string(xs))));
  }
  if (c.opset() < 21) {
    const auto per_channel = [&](ValueId v) {
      return b.reshape(b.expand(b.reshape(v, {groups, 1}), {groups, xs[1] / groups}), {xs[1]});
    };
    scale = per_channel(scale), bias = per_channel(bias);
  }
  c.ret(b.op("group_norm", {x, scale, bias}, {{"groups", groups}, {"eps", c.f("epsilon", 1e-5F)}, {"axis", 1}}));
}

// The last dims from `axis`; `fits` when scale (and bias) have exactly their shape.
struct Normalised {
  ValueId x;
  int64_t axis = 0, rank = 0;
  Shape dims;
  double eps = 0;
};
Normalised normalised(OnnxRead& c) {
  Normalised n;
  n.x = c.in(0);
  if (c.stopped()) return n;
  const Shape& shape = c.b.shape(n.x);
  n.axis = c.axis_attr("axis", -1);
  n.eps = c.f("epsilon", 1e-5F);
  if (c.stopped()) return n;
  if (shape.empty()) {
    c.refuse("of a single number");
    return n;
  }
  n.rank = static_cast<int64_t>(shape.size()) - n.axis;
  n.dims.assign(shape.begin() + n.axis, shape.end());
  return n;
}

void read_layer_norm(OnnxRead& c) {
  Builder& b = c.b;
  const Normalised n = normalised(c);
  const ValueId scale = c.in(1);
  if (c.stopped()) return;
  const ValueId bias = c.has(2) ? c.in(2) : ValueId{};
  const auto fits = [&](ValueId v) { return !v.valid() || (b.shape(v) == n.dims && b.dtype(v) == b.dtype(n.x)); };
  const std::vector<Attr> attrs{{"normalized_rank", n.rank}, {"eps", n.eps}};
  ValueId y;
  if (fits(scale) && fits(bias)) {
    y = bias.valid() ? b.op("layer_norm", {n.x, scale, bias}, attrs) : b.op("layer_norm", {n.x, scale}, attrs);
  } else {
    y = b.mul(b.op("layer_norm", {n.x}, attrs), b.cast(scale, b.dtype(n.x)));
    if (bias.valid()) y = b.add(y, b.cast(bias, b.dtype(n.x)));
  }
  c.ret(0, y);
  if (!c.wants(1) && !c.wants(2)) return;
  Ints axes;
  for (int64_t a = n.axis; a < n.axis + n.rank; ++a) axes.push_back(a);
  const DType wide = c.i("stash_type", 1) == 1 ? DType::f32 : b.dtype(n.x);
  const ValueId x = b.cast(n.x, wide);
  const ValueId mean = ox::reduce(b, "reduce_mean", x, axes, true);
  const ValueId var = ox::reduce(b, "reduce_mean", b.op("squared_difference", {x, mean}), axes, true);
  c.ret(1, mean);
  c.ret(2, b.op("rsqrt", {ox::plus(b, var, n.eps)}));
}

void read_rms_norm(OnnxRead& c) {
  Builder& b = c.b;
  const Normalised n = normalised(c);
  const ValueId scale = c.in(1);
  if (c.stopped()) return;
  const std::vector<Attr> attrs{{"normalized_rank", n.rank}, {"eps", n.eps}};
  if (b.shape(scale) == n.dims && b.dtype(scale) == b.dtype(n.x)) {
    return c.ret(b.op("rms_norm", {n.x, scale}, attrs));
  }
  const ValueId y = b.op("rms_norm", {n.x}, attrs);
  c.ret(b.mul(b.cast(y, b.dtype(scale)), scale));
}

// x / (bias + alpha / size · Σ over neighbouring channels of x²)^beta
void read_lrn(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0);
  const double alpha = c.f("alpha", 1e-4F), beta = c.f("beta", 0.75), bias = c.f("bias", 1);
  const int64_t size = c.i("size", 0);
  if (c.stopped()) return;
  const Shape xs = b.shape(x);
  if (xs.size() < 2 || size < 1 || size > (1 << 20)) return c.fail(Diag(diag::bad_attribute, "size of LRN"));
  const int64_t space = element_count(std::span(xs).subspan(2));
  const ValueId squares = b.reshape(b.op("square", {x}), {xs[0], 1, xs[1], space});
  const int64_t before = (size - 1) / 2;
  const ValueId mean = b.op("avg_pool2d", {squares},
                            {{"kernel", Ints{size, 1}},
                             {"stride", Ints{1, 1}},
                             {"pad_begin", Ints{before, 0}},
                             {"pad_end", Ints{size - 1 - before, 0}},
                             {"count_include_pad", true},
                             {"divisor_override", size}});
  const ValueId base = ox::plus(b, ox::times(b, b.reshape(mean, xs), alpha), bias);
  c.ret(b.div(x, b.op("pow", {base, ox::like(b, x, beta)})));
}

// x divided by its 1- or 2-norm along an axis; zeros stay.
void read_lp_norm(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  const int64_t axis = c.axis_attr("axis", -1), p = c.i("p", 2);
  if (c.stopped()) return;
  if (p != 1 && p != 2) return c.fail(Diag(diag::bad_attribute, fmt::format("p = {}", p)));
  const ValueId sum = ox::reduce(b, "reduce_sum", b.op(p == 1 ? "abs" : "square", {x}), {axis}, true);
  const ValueId norm = p == 1 ? sum : b.op("sqrt", {sum});
  const ValueId zero = ox::like(b, x, 0);
  c.ret(b.op("where", {b.op("equal", {norm, zero}), zero, b.div(x, norm)}));
}

// (x - mean) / (√(mean(x²) - mean²) + 1e-9)
void read_mvn(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  const size_t rank = b.shape(x).size();
  const Ints axes = c.axes(c.has_attr("axes") ? c.ints("axes") : Ints{0, 2, 3}, rank);
  if (c.stopped()) return;
  const ValueId mean = ox::reduce(b, "reduce_mean", x, axes, true);
  const ValueId var = ox::reduce(b, "reduce_mean", b.op("squared_difference", {x, mean}), axes, true);
  c.ret(b.div(b.sub(x, mean), ox::plus(b, b.op("sqrt", {var}), 1e-9)));
}

constexpr OnnxRow rows[] = {
    {.name = "BatchNormalization", .since = 7, .read = read_batch_norm},
    {.name = "InstanceNormalization", .since = 6, .read = read_instance_norm},
    {.name = "GroupNormalization", .since = 18, .read = read_group_norm},
    // ONNX Runtime has stored it under opset 1 since before the standard had it.
    {.name = "LayerNormalization", .read = read_layer_norm},
    {.name = "SimplifiedLayerNormalization", .read = read_rms_norm},
    {.name = "RMSNormalization", .since = 23, .read = read_rms_norm},
    {.name = "LRN", .read = read_lrn},
    {.name = "LpNormalization", .read = read_lp_norm},
    {.name = "MeanVarianceNormalization", .since = 9, .read = read_mvn},
};

}  // namespace

std::span<const OnnxRow> onnx_norm() { return rows; }

}  // namespace npuport
