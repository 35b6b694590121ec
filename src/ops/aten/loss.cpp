// ATen losses. reduction: 0 = none, 1 = mean, 2 = sum.
#include <fmt/format.h>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

using aten_nn::add_scalar;
using aten_nn::mul_scalar;
using aten_nn::reduce;

Ints all_axes(const Builder& b, ValueId x) {
  Ints axes(b.shape(x).size());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
  return axes;
}

ValueId sum_all(Builder& b, ValueId x) {
  return b.shape(x).empty() ? x : reduce(b, "reduce_sum", x, all_axes(b, x), false);
}

ValueId reduced(AtenCall& c, ValueId loss) {
  const int64_t how = c.i("reduction");
  if (how == 0) return loss;
  if (how == 2 || c.b.shape(loss).empty()) return sum_all(c.b, loss);
  return reduce(c.b, "reduce_mean", loss, all_axes(c.b, loss), false);
}

ValueId constant_like(Builder& b, ValueId x, double v) { return b.scalar(v, b.dtype(x)); }

ValueId difference(AtenCall& c) { return c.b.sub(c.tensor("self"), c.tensor("target")); }

void mse(AtenCall& c) {
  const ValueId d = difference(c);
  c.ret(reduced(c, c.b.mul(d, d)));
}

void l1(AtenCall& c) { c.ret(reduced(c, c.b.op("abs", {difference(c)}))); }

// |d| < beta ? 0.5 d² / beta : |d| - 0.5 beta, and scaled by beta for huber.
ValueId smooth(AtenCall& c, double beta, double scale) {
  Builder& b = c.b;
  const ValueId d = b.op("abs", {difference(c)});
  if (beta == 0) return d;
  const ValueId near = mul_scalar(b, b.mul(d, d), 0.5 * scale / beta);
  const ValueId far = mul_scalar(b, add_scalar(b, d, -0.5 * beta), scale);
  return b.op("where", {b.op("less", {d, constant_like(b, d, beta)}), near, far});
}

void smooth_l1(AtenCall& c) { c.ret(reduced(c, smooth(c, c.f("beta"), 1.0))); }
void huber(AtenCall& c) { c.ret(reduced(c, smooth(c, c.f("delta"), c.f("delta")))); }

ValueId weighted(AtenCall& c, ValueId loss) {
  const ValueId w = c.tensor("weight");
  return w.valid() ? c.b.mul(loss, w) : loss;
}

// -(t·log p + (1-t)·log(1-p)), logarithms not below -100.
void bce(AtenCall& c) {
  Builder& b = c.b;
  const ValueId p = c.tensor("self"), t = c.tensor("target"), one = constant_like(b, p, 1),
                floor = constant_like(b, p, -100);
  const auto safe_log = [&](ValueId v) { return b.op("maximum", {b.op("log", {v}), floor}); };
  const ValueId sum = b.add(b.mul(t, safe_log(p)), b.mul(b.sub(one, t), safe_log(b.sub(one, p))));
  c.ret(reduced(c, weighted(c, b.op("neg", {sum}))));
}

// (1-t)·x + (1 + (pos_weight-1)·t)·softplus(-x).
void bce_with_logits(AtenCall& c) {
  Builder& b = c.b;
  const ValueId x = c.tensor("self"), t = c.tensor("target"), one = constant_like(b, x, 1);
  ValueId log_term = b.op("neg", {b.op("log_sigmoid", {x})});
  if (const ValueId pos = c.tensor("pos_weight"); pos.valid()) {
    log_term = b.mul(log_term, b.add(one, b.mul(b.sub(pos, one), t)));
  }
  c.ret(reduced(c, weighted(c, b.add(b.mul(b.sub(one, t), x), log_term))));
}

// t·(log t - x), zero where t is 0; with log_target e^t·(t - x).
void kl_div(AtenCall& c) {
  Builder& b = c.b;
  const ValueId x = c.tensor("self"), t = c.tensor("target");
  if (c.flag("log_target")) return c.ret(reduced(c, b.mul(b.op("exp", {t}), b.sub(t, x))));
  const ValueId zero = constant_like(b, t, 0), one = constant_like(b, t, 1);
  const ValueId positive = b.op("less", {zero, t});
  const ValueId log_t = b.op("log", {b.op("where", {positive, t, one})});
  c.ret(reduced(c, b.sub(b.op("where", {positive, b.mul(t, log_t), zero}), b.mul(t, x))));
}

// What the class losses share: log-probabilities [N, C, …] and class indices [N, …].
struct Classes {
  ValueId picked;  // -log p of the target class, 0 where ignored; [N, …]
  ValueId weight;  // of the target class, 0 where ignored; [N, …]
  ValueId live;    // 1 where not ignored
};

Classes pick_classes(AtenCall& c, ValueId log_p, size_t axis) {
  Builder& b = c.b;
  const ValueId target = c.tensor("target"), weight = c.tensor("weight");
  const ValueId ignored = b.op("equal", {target, b.scalar(static_cast<double>(c.i("ignore_index")), b.dtype(target))});
  const ValueId safe = b.op("where", {ignored, b.scalar(0, b.dtype(target)), target});
  const ValueId chosen =
      aten_nn::squeeze(b, b.op("gather_elements", {log_p, aten_nn::unsqueeze(b, safe, axis)}, {{"axis", axis}}), axis);
  Classes k;
  k.live = b.cast(b.op("logical_not", {ignored}), b.dtype(log_p));
  k.weight = weight.valid() ? b.mul(b.op("gather", {weight, safe}, {{"axis", 0}}), k.live) : k.live;
  k.picked = b.op("where", {ignored, constant_like(b, log_p, 0), b.op("neg", {chosen})});
  return k;
}

// Weighted mean, sum or nothing over the elements of `loss`, which are already weighted.
ValueId reduced_by_weight(AtenCall& c, ValueId loss, ValueId weight) {
  const int64_t how = c.i("reduction");
  if (how == 0) return loss;
  const ValueId sum = sum_all(c.b, loss);
  return how == 2 ? sum : c.b.div(sum, sum_all(c.b, weight));
}

size_t class_axis(AtenCall& c, ValueId x) { return c.b.shape(x).size() < 2 ? 0 : 1; }

void nll(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Classes k = pick_classes(c, x, class_axis(c, x));
  c.ret(reduced_by_weight(c, c.b.mul(k.picked, k.weight), k.weight));
}

void nll_forward(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Classes k = pick_classes(c, x, class_axis(c, x));
  c.ret(reduced_by_weight(c, c.b.mul(k.picked, k.weight), k.weight));
  c.ret(sum_all(c.b, k.weight));
}

// A weight per class, shaped to broadcast over log-probabilities [N, C, …].
ValueId class_weight(Builder& b, ValueId weight, ValueId like, size_t axis) {
  Shape s(b.shape(like).size(), 1);
  if (axis < s.size() && !b.shape(weight).empty()) s[axis] = b.shape(weight)[0];
  return b.reshape(weight, std::move(s));
}

// Targets are probabilities per class.
ValueId soft_cross_entropy(AtenCall& c, ValueId log_p, size_t axis) {
  Builder& b = c.b;
  const double smoothing = c.f("label_smoothing");
  const auto classes = static_cast<double>(b.shape(log_p)[axis]);
  ValueId target = c.tensor("target");
  if (smoothing > 0) target = add_scalar(b, mul_scalar(b, target, 1 - smoothing), smoothing / classes);
  ValueId terms = b.mul(log_p, target);
  if (const ValueId w = c.tensor("weight"); w.valid()) terms = b.mul(terms, class_weight(b, w, log_p, axis));
  const ValueId loss = b.op("neg", {reduce(b, "reduce_sum", terms, {static_cast<int64_t>(axis)}, false)});
  return reduced(c, loss);
}

void cross_entropy(AtenCall& c) {
  Builder& b = c.b;
  const ValueId x = c.tensor("self");
  const size_t axis = class_axis(c, x);
  const ValueId log_p = b.op("log_softmax", {x}, {{"axis", axis}});
  if (b.failed()) return;
  if (is_float(b.dtype(c.tensor("target")))) return c.ret(soft_cross_entropy(c, log_p, axis));
  const Classes k = pick_classes(c, log_p, axis);
  const double smoothing = c.f("label_smoothing");
  const ValueId hard = reduced_by_weight(c, b.mul(k.picked, k.weight), k.weight);
  if (smoothing == 0) return c.ret(hard);
  ValueId spread = log_p;
  if (const ValueId w = c.tensor("weight"); w.valid()) spread = b.mul(spread, class_weight(b, w, log_p, axis));
  spread = b.op("neg", {reduce(b, "reduce_sum", spread, {static_cast<int64_t>(axis)}, false)});
  const ValueId soft = reduced_by_weight(c, b.mul(spread, k.live), k.weight);
  const auto classes = static_cast<double>(b.shape(log_p)[axis]);
  c.ret(b.add(mul_scalar(b, hard, 1 - smoothing), mul_scalar(b, soft, smoothing / classes)));
}

// 1 - cos(x1, x2) for target 1, max(0, cos - margin) for -1; norms carry an epsilon of 1e-12.
void cosine_embedding(AtenCall& c) {
  Builder& b = c.b;
  const ValueId x = c.tensor("input1"), y = c.tensor("input2"), target = c.tensor("target");
  const int64_t axis = static_cast<int64_t>(b.shape(x).size()) - 1;
  const auto dot = [&](ValueId u, ValueId v) { return reduce(b, "reduce_sum", b.mul(u, v), {axis}, false); };
  const ValueId norm = b.op("sqrt", {b.mul(add_scalar(b, dot(x, x), 1e-12), add_scalar(b, dot(y, y), 1e-12))});
  const ValueId cosine = b.div(dot(x, y), norm), zero = constant_like(b, cosine, 0);
  const ValueId same = b.sub(constant_like(b, cosine, 1), cosine);
  const ValueId other = b.op("maximum", {add_scalar(b, cosine, -c.f("margin")), zero});
  const auto is = [&](double v) { return b.op("equal", {target, b.scalar(v, b.dtype(target))}); };
  const ValueId loss = b.op("where", {is(1), same, b.op("where", {is(-1), other, zero})});
  c.ret(reduced(c, loss));
}

constexpr Promote kCommon = Promote::common;
constexpr AtenRow kRows[] = {
    {.schema = "mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", .promote = kCommon, .fn = mse},
    {.schema = "l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", .promote = kCommon, .fn = l1},
    {.schema = "smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.0) -> Tensor",
     .promote = kCommon,
     .fn = smooth_l1},
    {.schema = "huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.0) -> Tensor",
     .promote = kCommon,
     .fn = huber},
    {.schema = "binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor",
     .fn = bce},
    {.schema = "binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? "
               "pos_weight=None, int reduction=1) -> Tensor",
     .fn = bce_with_logits},
    {.schema = "kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor", .fn = kl_div},
    {.schema = "nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> "
               "Tensor",
     .fn = nll},
    {.schema = "nll_loss2d(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> "
               "Tensor",
     .fn = nll},
    {.schema =
         "nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> "
         "Tensor",
     .fn = nll},
    {.schema = "nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, int ignore_index) -> "
               "(Tensor, Tensor)",
     .fn = nll_forward},
    {.schema = "nll_loss2d_forward(Tensor self, Tensor target, Tensor? weight, int reduction, int ignore_index) -> "
               "(Tensor, Tensor)",
     .fn = nll_forward},
    {.schema = "cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int "
               "ignore_index=-100, float label_smoothing=0.0) -> Tensor",
     .fn = cross_entropy},
    {.schema =
         "cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> "
         "Tensor",
     .fn = cosine_embedding},
};

}  // namespace

std::span<const AtenRow> aten_loss() { return kRows; }

}  // namespace npuport
