// ATen normalisations.
#include <fmt/format.h>

#include <limits>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

using aten_nn::reduce;

// x reshaped so that a per-channel vector broadcasts over [N, C, …] of the given rank.
ValueId per_channel(Builder& b, ValueId v, size_t rank) {
  Shape s(rank - 1, 1);
  s[0] = b.shape(v).empty() ? 1 : b.shape(v)[0];
  return b.reshape(v, std::move(s));
}

struct Statistics {
  ValueId mean, var;  // keepdims
};

Statistics statistics(Builder& b, ValueId x, const Ints& axes) {
  const ValueId mean = reduce(b, "reduce_mean", x, axes, true);
  const ValueId centred = b.sub(x, mean);
  return {mean, reduce(b, "reduce_mean", b.mul(centred, centred), axes, true)};
}

ValueId inverse_deviation(Builder& b, ValueId var, double eps) {
  return b.op("rsqrt", {aten_nn::add_scalar(b, var, eps)});
}

// Batch statistics of the very call (a batch norm in training mode): mean and variance over all dims but the channels.
ValueId batch_norm_of_batch(AtenCall& c, ValueId x, ValueId weight, ValueId bias) {
  Builder& b = c.b;
  const size_t rank = b.shape(x).size();
  if (rank > 2 && b.shape(x)[0] == 1) return b.op("instance_norm", {x, weight, bias}, {{"eps", c.f("eps")}});
  Ints axes{0};
  for (size_t i = 2; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  const Statistics s = statistics(b, x, axes);
  ValueId y = b.mul(b.sub(x, s.mean), inverse_deviation(b, s.var, c.f("eps")));
  if (weight.valid()) y = b.mul(y, per_channel(b, weight, rank));
  return bias.valid() ? b.add(y, per_channel(b, bias, rank)) : y;
}

ValueId with_running(AtenCall& c) {
  return c.b.op(
      "batch_norm",
      {c.tensor("input"), c.tensor("weight"), c.tensor("bias"), c.tensor("running_mean"), c.tensor("running_var")},
      {{"eps", c.f("eps")}});
}

bool check_rank(AtenCall& c, ValueId x, size_t least, std::string_view op) {
  if (c.b.shape(x).size() >= least) return true;
  c.fail(Diag(diag::shape_mismatch,
              fmt::format("{}: the input has rank {}, at least {} is needed", op, c.b.shape(x).size(), least)));
  return false;
}

void batch_norm(AtenCall& c) {
  const ValueId x = c.tensor("input");
  if (!check_rank(c, x, 2, "batch_norm")) return;
  const bool stored = !c.is_none("running_mean") && !c.is_none("running_var");
  c.ret(!c.flag("training") && stored ? with_running(c)
                                      : batch_norm_of_batch(c, x, c.tensor("weight"), c.tensor("bias")));
}

// (y, save_mean, save_rstd); the saved statistics are empty outside training.
void batch_norm_inference(AtenCall& c) {
  c.ret(with_running(c));
  for (int i = 0; i < 2; ++i) c.ret(c.b.constant(Tensor::zeros(c.b.dtype(c.tensor("input")), {0})));
}

void native_batch_norm(AtenCall& c) {
  if (!c.flag("training")) return batch_norm_inference(c);
  const ValueId x = c.tensor("input");
  if (!check_rank(c, x, 2, "native_batch_norm")) return;
  Ints axes{0};
  for (size_t i = 2; i < c.b.shape(x).size(); ++i) axes.push_back(static_cast<int64_t>(i));
  c.ret(batch_norm_of_batch(c, x, c.tensor("weight"), c.tensor("bias")));
  const Statistics s = statistics(c.b, x, axes);
  const Shape channels{c.b.failed() ? 0 : c.b.shape(x)[1]};
  c.ret(c.b.reshape(s.mean, channels));
  c.ret(c.b.reshape(inverse_deviation(c.b, s.var, c.f("eps")), channels));
}

void instance_norm(AtenCall& c) {
  const bool stored = !c.is_none("running_mean") && !c.is_none("running_var");
  if (!c.flag("use_input_stats") && stored) {
    c.ret(with_running(c));
    return;
  }
  c.ret(c.b.op("instance_norm", {c.tensor("input"), c.tensor("weight"), c.tensor("bias")}, {{"eps", c.f("eps")}}));
}

void layer_norm(AtenCall& c) {
  const auto rank = static_cast<int64_t>(c.ints("normalized_shape").size());
  c.ret(c.b.op("layer_norm", {c.tensor("input"), c.tensor("weight"), c.tensor("bias")},
               {{"normalized_rank", rank}, {"eps", c.f("eps")}}));
}

// (y, mean, rstd) over the last dims, kept with size 1.
void native_layer_norm(AtenCall& c) {
  layer_norm(c);
  const ValueId x = c.tensor("input");
  Ints axes;
  for (size_t i = 0; i < c.ints("normalized_shape").size(); ++i) axes.push_back(-1 - static_cast<int64_t>(i));
  const Statistics s = statistics(c.b, x, axes);
  c.ret(s.mean);
  c.ret(inverse_deviation(c.b, s.var, c.f("eps")));
}

void group_norm(AtenCall& c) {
  c.ret(c.b.op("group_norm", {c.tensor("input"), c.tensor("weight"), c.tensor("bias")},
               {{"groups", c.i("num_groups")}, {"eps", c.f("eps")}}));
}

// (y, mean, rstd) with statistics [N, groups].
void native_group_norm(AtenCall& c) {
  Builder& b = c.b;
  const ValueId x = c.tensor("input");
  c.ret(b.op("group_norm", {x, c.tensor("weight"), c.tensor("bias")}, {{"groups", c.i("group")}, {"eps", c.f("eps")}}));
  if (b.failed()) return;
  const int64_t n = c.i("N"), groups = c.i("group");
  const int64_t each = groups > 0 ? c.i("C") / groups * c.i("HxW") : 0;
  const Statistics s = statistics(b, b.reshape(x, {n, groups, each}), {2});
  c.ret(b.reshape(s.mean, {n, groups}));
  c.ret(b.reshape(inverse_deviation(b, s.var, c.f("eps")), {n, groups}));
}

// Without eps PyTorch takes the machine epsilon of the input's type (float for half types).
void rms_norm(AtenCall& c) {
  const ValueId x = c.tensor("input");
  const double fallback = c.b.dtype(x) == DType::f64 ? std::numeric_limits<double>::epsilon()
                                                     : double{std::numeric_limits<float>::epsilon()};
  const double eps = c.is_none("eps") ? fallback : c.f("eps");
  c.ret(c.b.op("rms_norm", {x, c.tensor("weight")},
               {{"normalized_rank", static_cast<int64_t>(c.ints("normalized_shape").size())}, {"eps", eps}}));
}

// weight = v * g / ‖v‖, the norm over all dims but `dim` (over everything for dim = -1).
void weight_norm(AtenCall& c) {
  Builder& b = c.b;
  const ValueId v = c.tensor("v"), g = c.tensor("g");
  const int64_t dim = c.i("dim");
  Ints axes;
  for (int64_t i = 0; i < static_cast<int64_t>(b.shape(v).size()); ++i) {
    if (dim == -1 || i != dim) axes.push_back(i);
  }
  const ValueId norm = b.op("sqrt", {reduce(b, "reduce_sum", b.mul(v, v), std::move(axes), true)});
  c.ret(b.mul(v, b.div(g, norm)));
}

void weight_norm_interface(AtenCall& c) {
  weight_norm(c);
  Builder& b = c.b;
  const ValueId v = c.tensor("v");
  Ints axes;
  for (int64_t i = 0; i < static_cast<int64_t>(b.shape(v).size()); ++i) {
    if (i != c.i("dim")) axes.push_back(i);
  }
  c.ret(b.op("sqrt", {reduce(b, "reduce_sum", b.mul(v, v), std::move(axes), true)}));
}

constexpr AtenRow kRows[] = {
    {.schema = "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool "
               "training, float momentum, float eps, bool cudnn_enabled) -> Tensor",
     .fn = batch_norm},
    {.schema = "_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, "
               "Tensor running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
     .fn = batch_norm_inference},
    {.schema = "native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? "
               "running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
     .fn = native_batch_norm},
    {.schema = "instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
               "bool use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor",
     .fn = instance_norm},
    {.schema = "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float "
               "eps=1e-05, bool cudnn_enable=True) -> Tensor",
     .fn = layer_norm},
    {.schema = "native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> "
               "(Tensor, Tensor, Tensor)",
     .fn = native_layer_norm},
    {.schema = "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool "
               "cudnn_enabled=True) -> Tensor",
     .fn = group_norm},
    {.schema = "native_group_norm(Tensor input, Tensor? weight, Tensor? bias, int N, int C, int HxW, int group, float "
               "eps) -> (Tensor, Tensor, Tensor)",
     .fn = native_group_norm},
    {.schema = "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
     .fn = rms_norm},
    {.schema = "_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor", .fn = weight_norm},
    {.schema = "_weight_norm_interface(Tensor v, Tensor g, int dim=0) -> (Tensor, Tensor)",
     .fn = weight_norm_interface},
};

}  // namespace

std::span<const AtenRow> aten_norm() { return kRows; }

}  // namespace npuport
