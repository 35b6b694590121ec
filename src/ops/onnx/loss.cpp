// Losses.
#include <fmt/format.h>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

// -weight[target] · log_p[target], ignored targets 0; then none, the sum, or the mean over the weights.
ValueId nll(OnnxRead& c, ValueId logs, ValueId target, ValueId weight) {
  Builder& b = c.b;
  const Shape s = b.shape(logs), ts = b.shape(target);
  const std::string reduction = c.s("reduction", "mean");
  Shape wanted{s.empty() ? 0 : s[0]};
  if (s.size() > 2) wanted.insert(wanted.end(), s.begin() + 2, s.end());
  if (s.size() < 2 || ts != wanted || (reduction != "mean" && reduction != "sum" && reduction != "none")) {
    c.fail(Diag(diag::shape_mismatch, fmt::format("{}: input {}, target {}, reduction {}", c.type(), to_string(s),
                                                  to_string(ts), reduction)));
    return {};
  }
  target = b.cast(target, DType::i64);
  const DType type = b.dtype(logs);
  ValueId keep;
  if (c.has_attr("ignore_index")) {
    const ValueId ignored = b.constant(Tensor::scalar<int64_t>(c.i("ignore_index", 0)));
    keep = b.op("not_equal", {target, ignored});
    target = b.op("where", {keep, target, b.constant(Tensor::scalar<int64_t>(0))});
  }
  const ValueId at = ox::unsqueeze(b, target, 1);
  ValueId loss = b.op("neg", {ox::squeeze(b, b.op("gather_elements", {logs, at}, {{"axis", 1}}), 1)});
  ValueId weights = weight.valid() ? b.op("gather", {weight, target}, {{"axis", 0}}) : ValueId{};
  if (keep.valid()) {
    const ValueId factor = b.cast(keep, type);
    weights = weights.valid() ? b.mul(weights, factor) : factor;
    loss = b.op("where", {keep, loss, b.scalar(0, type)});
  }
  if (weights.valid()) loss = b.mul(loss, weights);
  if (reduction == "none") return loss;
  const Ints all = ox::all_axes(ts.size());
  const ValueId sum = ox::reduce(b, "reduce_sum", loss, all, false);
  if (reduction == "sum") return sum;
  return weights.valid() ? b.div(sum, ox::reduce(b, "reduce_sum", weights, all, false))
                         : ox::reduce(b, "reduce_mean", loss, all, false);
}

void read_nll(OnnxRead& c) {
  const ValueId logs = c.in(0), target = c.in(1);
  if (!c.stopped()) c.ret(nll(c, logs, target, c.has(2) ? c.in(2) : ValueId{}));
}

void read_cross_entropy(OnnxRead& c) {
  const ValueId scores = c.in(0), target = c.in(1);
  if (c.stopped()) return;
  const ValueId logs = c.b.op("log_softmax", {scores}, {{"axis", 1}});
  c.ret(0, nll(c, logs, target, c.has(2) ? c.in(2) : ValueId{}));
  c.ret(1, logs);
}

constexpr OnnxRow rows[] = {
    {.name = "NegativeLogLikelihoodLoss", .since = 12, .read = read_nll},
    {.name = "SoftmaxCrossEntropyLoss", .since = 12, .read = read_cross_entropy},
};

}  // namespace

std::span<const OnnxRow> onnx_loss() { return rows; }

}  // namespace npuport
