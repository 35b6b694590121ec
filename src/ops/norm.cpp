// Normalisations: batch_norm, group_norm, instance_norm, layer_norm, rms_norm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/diag_codes.h"
#include "ir/op_def.h"
#include "ops/support/compute.h"

namespace npuport {
namespace {

constexpr PortDef kOut[] = {{"y"}};
constexpr PortDef kBatchIn[] = {{"x"}, {"weight", Port::optional}, {"bias", Port::optional}, {"mean"}, {"var"}};
constexpr PortDef kAffineIn[] = {{"x"}, {"weight", Port::optional}, {"bias", Port::optional}};
constexpr PortDef kRmsIn[] = {{"x"}, {"weight", Port::optional}};
constexpr AttrDef kEps = {"eps", AttrKind::real, "1e-05", "added to the variance"};
constexpr AttrDef kAxis = {"axis", AttrKind::integer, "1", "the channel dim"};
constexpr AttrDef kNormalizedRank = {"normalized_rank", AttrKind::integer, "1", "how many last dims are normalised"};
constexpr AttrDef kChannelAttrs[] = {kEps, kAxis};
constexpr AttrDef kGroupAttrs[] = {
    {"groups", AttrKind::integer, "", "channels fall into this many groups of neighbours"}, kEps, kAxis};
constexpr AttrDef kLastAttrs[] = {kNormalizedRank, kEps};

Status check_float(const InferCall& c) {
  for (size_t i = 0; i < c.in.size(); ++i) {
    if (!c.has(i) || (is_float(c.in[i]->dtype) && c.in[i]->dtype == c.in[0]->dtype)) continue;
    return Diag(diag::dtype_mismatch, fmt::format("{}: {} is {}; all inputs need the float type of x ({})", c.op.name,
                                                  c.op.in[i].name, to_string(*c.in[i]), to_string(*c.in[0])));
  }
  return {};
}

std::vector<TensorType> same_as_x(const InferCall& c) { return {{c.in[0]->dtype, c.in[0]->shape, nullptr}}; }

Status check_parameter(const InferCall& c, size_t input, const Shape& wanted) {
  if (!c.has(input) || c.in[input]->shape == wanted) return {};
  return Diag(diag::shape_mismatch, fmt::format("{}: {} is {}, but x {} needs shape {}", c.op.name, c.op.in[input].name,
                                                to_string(*c.in[input]), to_string(*c.in[0]), to_string(wanted)));
}

// The channel axis of a row with attribute axis; group statistics need it after the batch dim.
Result<size_t> channel_axis(const InferCall& c, int64_t least) {
  const int64_t axis = c.attrs.i("axis"), rank = static_cast<int64_t>(c.in[0]->shape.size());
  if (axis >= least && axis < rank) return static_cast<size_t>(axis);
  return Diag(diag::shape_mismatch,
              fmt::format("{}: x {} has no channel dim {}", c.op.name, to_string(*c.in[0]), axis));
}

Result<std::vector<TensorType>> infer_batch(const InferCall& c) {
  NPU_TRY(check_float(c));
  NPU_ASSIGN(const size_t axis, channel_axis(c, 0));
  for (size_t i = 1; i < c.in.size(); ++i) NPU_TRY(check_parameter(c, i, {c.in[0]->shape[axis]}));
  return same_as_x(c);
}

Result<std::vector<TensorType>> infer_group(const InferCall& c) {
  NPU_TRY(check_float(c));
  NPU_ASSIGN(const size_t axis, channel_axis(c, 1));
  const int64_t channels = c.in[0]->shape[axis];
  const int64_t groups = c.attrs.has("groups") ? c.attrs.i("groups") : 1;
  if (groups < 1 || channels % groups != 0) {
    return Diag(diag::shape_mismatch, fmt::format("{}: {} channels of {} do not divide into {} groups", c.op.name,
                                                  channels, to_string(*c.in[0]), groups));
  }
  for (size_t i = 1; i < c.in.size(); ++i) NPU_TRY(check_parameter(c, i, {channels}));
  return same_as_x(c);
}

Result<std::vector<TensorType>> infer_last(const InferCall& c) {
  NPU_TRY(check_float(c));
  const Shape& x = c.in[0]->shape;
  const int64_t n = c.attrs.i("normalized_rank");
  if (n < 1 || n > static_cast<int64_t>(x.size())) {
    return Diag(diag::bad_attribute,
                fmt::format("{}: normalized_rank {} does not fit x {}", c.op.name, n, to_string(*c.in[0])));
  }
  const Shape wanted(x.end() - n, x.end());
  for (size_t i = 1; i < c.in.size(); ++i) NPU_TRY(check_parameter(c, i, wanted));
  return same_as_x(c);
}

// x seen as [outer, channels, inner] around `axis`.
struct ChannelView {
  int64_t outer, channels, inner;
};

ChannelView channel_view(std::span<const int64_t> shape, size_t axis) {
  return {element_count(shape.first(axis)), shape[axis], element_count(shape.subspan(axis + 1))};
}

View optional_input(const EvalCall& c, size_t i) { return c.has(i) ? c.in[i] : View{}; }

template <class T>
void batch_norm(const EvalCall& c) {
  const Operand<T> x(c.in[0]), weight(optional_input(c, 1)), bias(optional_input(c, 2)), mean(c.in[3]), var(c.in[4]);
  Target<T> y(c.out[0]);
  const ChannelView v = channel_view(c.in[0].shape, static_cast<size_t>(c.attrs.i("axis")));
  const double eps = c.attrs.f("eps");
  std::vector<T> scale(static_cast<size_t>(v.channels)), shift(scale.size());
  for (int64_t ch = 0; ch < v.channels; ++ch) {
    const size_t i = static_cast<size_t>(ch);
    const double s = (weight.data() ? double(weight[ch]) : 1.0) / std::sqrt(double(var[ch]) + eps);
    scale[i] = static_cast<T>(s);
    shift[i] = static_cast<T>((bias.data() ? double(bias[ch]) : 0.0) - double(mean[ch]) * s);
  }
  const T* src = x.data();
  T* dst = y.data();
  for (int64_t o = 0; o < v.outer; ++o) {
    for (size_t ch = 0; ch < scale.size(); ++ch) {
      for (int64_t i = 0; i < v.inner; ++i) *dst++ = *src++ * scale[ch] + shift[ch];
    }
  }
  y.store();
}

Status eval_batch(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { batch_norm<T>(c); });
  return {};
}

struct Moments {
  double mean, inverse_deviation;
};

Moments moments(double sum, double squares_about_mean, int64_t count, double eps) {
  const double n = static_cast<double>(count);
  return {sum / n, 1.0 / std::sqrt(squares_about_mean / n + eps)};
}

// Calls fn(offset) for the first element of every run of `inner` elements of group g of batch n.
template <class Fn>
void for_group_runs(const ChannelView& v, int64_t middle, int64_t n, int64_t g, int64_t group_size, Fn&& fn) {
  for (int64_t m = 0; m < middle; ++m) {
    for (int64_t k = 0; k < group_size; ++k) {
      const int64_t ch = g * group_size + k;
      fn(((n * middle + m) * v.channels + ch) * v.inner, ch);
    }
  }
}

// Statistics over every dim but the first, per batch element and group of channels.
template <class T>
void group_norm(const EvalCall& c) {
  const Operand<T> x(c.in[0]), weight(optional_input(c, 1)), bias(optional_input(c, 2));
  Target<T> y(c.out[0]);
  const ChannelView v = channel_view(c.in[0].shape, static_cast<size_t>(c.attrs.i("axis")));
  const int64_t groups = c.attrs.has("groups") ? c.attrs.i("groups") : v.channels;
  const int64_t size = groups ? v.channels / groups : 0;
  const int64_t batch = c.in[0].shape[0], middle = batch ? v.outer / batch : 0, count = middle * size * v.inner;
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t g = 0; g < groups; ++g) {
      double sum = 0, squares = 0;
      for_group_runs(v, middle, n, g, size, [&](int64_t at, int64_t) {
        for (int64_t i = 0; i < v.inner; ++i) sum += double(x[at + i]);
      });
      const double mean = sum / static_cast<double>(count);
      for_group_runs(v, middle, n, g, size, [&](int64_t at, int64_t) {
        for (int64_t i = 0; i < v.inner; ++i) squares += (double(x[at + i]) - mean) * (double(x[at + i]) - mean);
      });
      const Moments m = moments(sum, squares, count, c.attrs.f("eps"));
      for_group_runs(v, middle, n, g, size, [&](int64_t at, int64_t ch) {
        const double scale = m.inverse_deviation * (weight.data() ? double(weight[ch]) : 1.0);
        const double shift = (bias.data() ? double(bias[ch]) : 0.0) - m.mean * scale;
        for (int64_t i = 0; i < v.inner; ++i) y.data()[at + i] = static_cast<T>(double(x[at + i]) * scale + shift);
      });
    }
  }
  y.store();
}

Status eval_group(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { group_norm<T>(c); });
  return {};
}

// layer_norm (centred) and rms_norm over the last normalized_rank dims.
template <class T, bool centred>
void last_norm(const EvalCall& c) {
  const Operand<T> x(c.in[0]), weight(optional_input(c, 1)), bias(optional_input(c, 2));
  Target<T> y(c.out[0]);
  const std::span<const int64_t> shape = c.in[0].shape;
  const size_t split = shape.size() - static_cast<size_t>(c.attrs.i("normalized_rank"));
  const int64_t rows = element_count(shape.first(split)), width = element_count(shape.subspan(split));
  for (int64_t r = 0; r < rows; ++r) {
    const T* src = x.data() + r * width;
    T* dst = y.data() + r * width;
    double sum = 0, squares = 0;
    if (centred) {
      for (int64_t i = 0; i < width; ++i) sum += double(src[i]);
    }
    const double mean = centred ? sum / static_cast<double>(width) : 0.0;
    for (int64_t i = 0; i < width; ++i) squares += (double(src[i]) - mean) * (double(src[i]) - mean);
    const Moments m = moments(sum, squares, width, c.attrs.f("eps"));
    for (int64_t i = 0; i < width; ++i) {
      const double unit = (double(src[i]) - m.mean) * m.inverse_deviation;
      dst[i] = static_cast<T>(unit * (weight.data() ? double(weight[i]) : 1.0) + (bias.data() ? double(bias[i]) : 0.0));
    }
  }
  y.store();
}

template <bool centred>
Status eval_last(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { last_norm<T, centred>(c); });
  return {};
}

std::optional<Ints> remap_channel(std::vector<Attr>& attrs, std::span<const int64_t> perm, bool batch_first) {
  if (perm.empty() || (batch_first && perm[0] != 0)) return std::nullopt;
  for (Attr& a : attrs) {
    if (a.name != "axis") continue;
    a.value = static_cast<int64_t>(std::find(perm.begin(), perm.end(), std::get<int64_t>(a.value)) - perm.begin());
  }
  return Ints(perm.begin(), perm.end());
}

std::optional<Ints> remap_batch(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall&) {
  return remap_channel(attrs, perm, false);
}

std::optional<Ints> remap_group(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall&) {
  return remap_channel(attrs, perm, true);
}

// The normalised last dims must stay where they are.
std::optional<Ints> remap_last(std::vector<Attr>&, std::span<const int64_t> perm, const InferCall& c) {
  const size_t kept = perm.size() - static_cast<size_t>(c.attrs.i("normalized_rank"));
  for (size_t i = kept; i < perm.size(); ++i) {
    if (perm[i] != static_cast<int64_t>(i)) return std::nullopt;
  }
  return Ints(perm.begin(), perm.end());
}

constexpr OpDef kRows[] = {
    {.name = "batch_norm",
     .doc = "(x - mean) / sqrt(var + eps) * weight + bias with given statistics per channel.",
     .in = kBatchIn,
     .out = kOut,
     .attrs = kChannelAttrs,
     .infer = infer_batch,
     .eval = eval_batch,
     .exact = Exactness::rounding,
     .axes = {AxisRule::remap, remap_batch}},
    {.name = "group_norm",
     .doc = "(x - mean) / sqrt(var + eps) * weight + bias with statistics over all dims but the first, per group of "
            "channels; weight and bias per channel.",
     .in = kAffineIn,
     .out = kOut,
     .attrs = kGroupAttrs,
     .infer = infer_group,
     .eval = eval_group,
     .exact = Exactness::accumulation,
     .axes = {AxisRule::remap, remap_group}},
    {.name = "instance_norm",
     .doc = "group_norm with one channel per group.",
     .in = kAffineIn,
     .out = kOut,
     .attrs = kChannelAttrs,
     .infer = infer_group,
     .eval = eval_group,
     .exact = Exactness::accumulation,
     .axes = {AxisRule::remap, remap_group}},
    {.name = "layer_norm",
     .doc = "(x - mean) / sqrt(var + eps) * weight + bias with statistics over the last normalized_rank dims.",
     .in = kAffineIn,
     .out = kOut,
     .attrs = kLastAttrs,
     .infer = infer_last,
     .eval = eval_last<true>,
     .exact = Exactness::accumulation,
     .axes = {AxisRule::remap, remap_last}},
    {.name = "rms_norm",
     .doc = "x / sqrt(mean(x^2) + eps) * weight with the mean over the last normalized_rank dims.",
     .in = kRmsIn,
     .out = kOut,
     .attrs = kLastAttrs,
     .infer = infer_last,
     .eval = eval_last<false>,
     .exact = Exactness::accumulation,
     .axes = {AxisRule::remap, remap_last}},
};

}  // namespace

std::span<const OpDef> ops_norm() { return kRows; }

}  // namespace npuport
