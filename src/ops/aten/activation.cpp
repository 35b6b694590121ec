// ATen: activation functions, clamp, softmax, dropout (identity in evaluation).
#include <limits>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

constexpr double kInf = std::numeric_limits<double>::infinity();

ValueId clamped(Builder& b, ValueId x, double min, double max) {
  return b.op("clamp", {x}, {{"min", min}, {"max", max}});
}

void relu6(AtenCall& c) { c.ret(clamped(c.b, c.tensor("self"), 0.0, 6.0)); }

void hardtanh(AtenCall& c) {
  c.ret(clamped(c.b, c.tensor("self"), c.scalar("min_val").as_double(), c.scalar("max_val").as_double()));
}

// A NaN bound makes everything NaN (PyTorch).
ValueId clamp_number(AtenCall& c, ValueId x, bool with_min, bool with_max) {
  const double min = with_min ? c.scalar("min").as_double() : -kInf;
  const double max = with_max ? c.scalar("max").as_double() : kInf;
  if (min == min && max == max) return clamped(c.b, x, min, max);
  return c.b.add(x, c.b.scalar(std::numeric_limits<double>::quiet_NaN(), c.b.dtype(x)));
}

void clamp(AtenCall& c) {
  const bool with_min = !c.is_none("min"), with_max = !c.is_none("max");
  if (!with_min && !with_max) return refuse(c, diag::raised, "clamp: at least one of min and max must not be None");
  c.ret(clamp_number(c, c.tensor("self"), with_min, with_max));
}
void clamp_min(AtenCall& c) { c.ret(clamp_number(c, c.tensor("self"), true, false)); }
void clamp_max(AtenCall& c) { c.ret(clamp_number(c, c.tensor("self"), false, true)); }

void clamp_tensor(AtenCall& c) {
  ValueId x = c.tensor("self");
  if (!c.is_none("min")) x = c.b.op("maximum", {x, c.tensor("min")});
  if (!c.is_none("max")) x = c.b.op("minimum", {x, c.tensor("max")});
  c.ret(x);
}

void leaky_relu(AtenCall& c) {
  c.ret(c.b.op("leaky_relu", {c.tensor("self")}, {{"alpha", c.scalar("negative_slope").as_double()}}));
}

// scale * (x > 0 ? x : alpha * (e^(input_scale * x) - 1))
void elu(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const DType t = c.b.dtype(x);
  const double alpha = c.scalar("alpha").as_double(), scale = c.scalar("scale").as_double();
  const double input_scale = c.scalar("input_scale").as_double();
  ValueId y;
  if (input_scale == 1.0) {
    y = c.b.op("elu", {x}, {{"alpha", alpha}});
  } else {
    const ValueId low = c.b.mul(c.b.op("expm1", {c.b.mul(x, c.b.scalar(input_scale, t))}), c.b.scalar(alpha, t));
    y = c.b.op("where", {c.b.op("greater", {x, c.b.scalar(0.0, t)}), x, low});
  }
  c.ret(scale == 1.0 ? y : c.b.mul(y, c.b.scalar(scale, t)));
}

void glu(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const Shape shape = c.b.shape(x);
  const int64_t axis = c.axis("dim", shape.size());
  if (shape.empty() || shape[axis] % 2 != 0) {
    return refuse(c, diag::shape_mismatch, "glu: the halved dimension must be even, got " + to_string(shape));
  }
  const int64_t half = shape[axis] / 2;
  const std::vector<ValueId> parts = c.b.ops("split", {x}, {{"axis", axis}, {"sizes", Ints{half, half}}});
  if (parts.size() == 2) c.ret(c.b.mul(parts[0], c.b.op("sigmoid", {parts[1]})));
}

void prelu(AtenCall& c) {
  const ValueId x = c.tensor("self");
  ValueId slope = c.tensor("weight");
  if (c.b.shape(slope).size() > 1) slope = flat(c.b, slope);
  c.ret(c.b.op("prelu", {x, slope}));
}

template <const char* op>
void soft_maximum(AtenCall& c) {
  ValueId x = c.tensor("self");
  const std::optional<DType> dtype = c.dtype("dtype");
  if (dtype)
    x = c.b.cast(x, *dtype);
  else
    x = as_float(c.b, x);
  c.ret(c.b.op(op, {x}, {{"axis", c.axis("dim", c.b.shape(x).size())}}));
}
// Rows of -inf only give zeros instead of NaN.
void safe_softmax(AtenCall& c) {
  ValueId x = as_float(c.b, c.tensor("self"));
  if (const std::optional<DType> dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  const int64_t axis = c.axis("dim", c.b.shape(x).size());
  const ValueId masked = c.b.op("equal", {x, c.b.scalar(-kInf, c.b.dtype(x))});
  const ValueId all = reduce(c.b, "reduce_all", masked, {axis}, true);
  c.ret(c.b.op("where", {all, c.b.scalar(0.0, c.b.dtype(x)), c.b.op("softmax", {x}, {{"axis", axis}})}));
}
// The core forms without dtype argument.
template <const char* op>
void soft_maximum_core(AtenCall& c) {
  ValueId x = c.tensor("self");
  if (c.flag("half_to_float")) x = c.b.cast(x, DType::f32);
  c.ret(c.b.op(op, {x}, {{"axis", c.axis("dim", c.b.shape(x).size())}}));
}
constexpr char kSoftmax[] = "softmax", kLogSoftmax[] = "log_softmax";

template <const char* tensor, const char* flag>
void dropout(AtenCall& c) {
  if (c.flag(flag) && c.f("p") > 0.0) {
    return refuse(c, diag::unsupported, "dropout in training mode is random",
                  "Call model.eval() before tracing or scripting the model.");
  }
  c.ret(c.tensor(tensor));
}
constexpr char kInput[] = "input", kTrain[] = "train";

// The leaky slope is the mean of the bounds outside of training.
void rrelu(AtenCall& c) {
  if (c.flag("training")) {
    return refuse(c, diag::unsupported, "rrelu in training mode is random",
                  "Call model.eval() before tracing or scripting the model.");
  }
  const double slope = (c.scalar("lower").as_double() + c.scalar("upper").as_double()) / 2;
  c.ret(c.b.op("leaky_relu", {c.tensor("self")}, {{"alpha", slope}}));
}

constexpr Promote C = Promote::common, F = Promote::to_float, N = Promote::none;

constexpr AtenRow rows[] = {
    {"relu(Tensor self) -> Tensor", "relu"},
    {"relu6(Tensor self) -> Tensor", {}, N, relu6},
    {"hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor", {}, N, hardtanh},
    {"sigmoid(Tensor self) -> Tensor", "sigmoid", F},
    {"special_expit(Tensor self) -> Tensor", "sigmoid", F},
    {"tanh(Tensor self) -> Tensor", "tanh", F},
    {"gelu(Tensor self, *, str approximate=\"none\") -> Tensor", "gelu"},
    {"silu(Tensor self) -> Tensor", "silu"},
    {"mish(Tensor self) -> Tensor", "mish"},
    {"hardsigmoid(Tensor self) -> Tensor", "hard_sigmoid"},
    {"hardswish(Tensor self) -> Tensor", "hard_swish"},
    {"log_sigmoid(Tensor self) -> Tensor", "log_sigmoid"},
    {"selu(Tensor self) -> Tensor", "selu"},
    {"celu(Tensor self, Scalar alpha=1.0) -> Tensor", "celu"},
    {"elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor", {}, N, elu},
    {"leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", {}, N, leaky_relu},
    {"prelu(Tensor self, Tensor weight) -> Tensor", {}, N, prelu},
    {"_prelu_kernel(Tensor self, Tensor weight) -> Tensor", {}, N, prelu},
    {"rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.3333333333333333, bool training=False, Generator? "
     "generator=None) -> Tensor",
     {},
     N,
     rrelu},
    {"softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor", "softplus"},
    {"hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor", "hard_shrink"},
    {"softshrink(Tensor self, Scalar lambd=0.5) -> Tensor", "soft_shrink"},
    {"threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor", "threshold"},
    {"glu(Tensor self, int dim=-1) -> Tensor", {}, N, glu},
    {"clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", {}, C, clamp},
    {"clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", {}, C, clamp_tensor},
    {"clip(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", {}, C, clamp},
    {"clip.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", {}, C, clamp_tensor},
    {"clamp_min(Tensor self, Scalar min) -> Tensor", {}, C, clamp_min},
    {"clamp_min.Tensor(Tensor self, Tensor min) -> Tensor", "maximum", C},
    {"clamp_max(Tensor self, Scalar max) -> Tensor", {}, C, clamp_max},
    {"clamp_max.Tensor(Tensor self, Tensor max) -> Tensor", "minimum", C},
    {"softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", {}, N, soft_maximum<kSoftmax>},
    {"_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", {}, N, soft_maximum_core<kSoftmax>},
    {"special_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", {}, N, soft_maximum<kSoftmax>},
    {"_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", {}, N, safe_softmax},
    {"log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", {}, N, soft_maximum<kLogSoftmax>},
    {"special_log_softmax(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor",
     {},
     N,
     soft_maximum<kLogSoftmax>},
    {"_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", {}, N, soft_maximum_core<kLogSoftmax>},
    {"dropout(Tensor input, float p, bool train) -> Tensor", {}, N, dropout<kInput, kTrain>},
    {"feature_dropout(Tensor input, float p, bool train) -> Tensor", {}, N, dropout<kInput, kTrain>},
    {"alpha_dropout(Tensor input, float p, bool train) -> Tensor", {}, N, dropout<kInput, kTrain>},
    {"feature_alpha_dropout(Tensor input, float p, bool train) -> Tensor", {}, N, dropout<kInput, kTrain>},
};

}  // namespace

std::span<const AtenRow> aten_activation() { return rows; }

}  // namespace npuport
