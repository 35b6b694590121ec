#include "ops/support/conv_rows.h"

#include <fmt/format.h>

namespace npuport::conv_rows {
namespace {

// Ranks, equal float dtypes, layout, activation and groups >= 1.
Status check_operands(const InferCall& c, size_t rank) {
  NPU_TRY(check_image(c, 0, rank));
  NPU_TRY(check_activation(c));
  const TensorType &x = *c.in[0], &weight = *c.in[1];
  if (weight.shape.size() != rank + 2) {
    return Diag(diag::shape_mismatch,
                fmt::format("{}: weight is {} but needs rank {}", c.op.name, to_string(weight), rank + 2));
  }
  if (!is_float(x.dtype)) {
    return Diag(diag::dtype_mismatch, fmt::format("{}: x is {}, a float type is needed", c.op.name, to_string(x)));
  }
  for (size_t i = 1; i < c.in.size(); ++i) {
    if (!c.has(i) || c.in[i]->dtype == x.dtype) continue;
    return Diag(diag::dtype_mismatch, fmt::format("{}: {} is {}, but x is {}", c.op.name, c.op.in[i].name,
                                                  name(c.in[i]->dtype), name(x.dtype)));
  }
  if (c.attrs.i("groups") < 1) {
    return Diag(diag::bad_attribute, fmt::format("{}: groups is {}", c.op.name, c.attrs.i("groups")));
  }
  return {};
}

// bias, when present, must be [channels].
Status check_bias(const InferCall& c, int64_t channels) {
  if (!c.has(2) || c.in[2]->shape == Shape{channels}) return {};
  return Diag(diag::shape_mismatch, fmt::format("{}: bias is {}, but there are {} output channels", c.op.name,
                                                to_string(*c.in[2]), channels));
}

}  // namespace

Result<Planes> read_operands(const InferCall& c, size_t rank, Channels (*channels)(const Shape&, int64_t)) {
  NPU_TRY(check_operands(c, rank));
  const TensorType &x = *c.in[0], &weight = *c.in[1];
  const int64_t groups = c.attrs.i("groups");
  const Channels wanted = channels(weight.shape, groups);
  Planes p = planes_of(x.shape, channels_last(c.attrs));
  if (p.c != wanted.in) {
    return Diag(diag::shape_mismatch,
                fmt::format("{}: weight {} with groups={} needs {} input channels, but x is {} ({} channels)",
                            c.op.name, to_string(weight), groups, wanted.in, to_string(x), p.c));
  }
  if (weight.shape[0] % groups != 0) {
    return Diag(diag::shape_mismatch,
                fmt::format("{}: {} channels (first dim of weight {}) do not divide into {} groups", c.op.name,
                            weight.shape[0], to_string(weight), groups));
  }
  NPU_TRY(check_bias(c, wanted.out));
  p.c = wanted.out;
  return p;
}

Result<std::vector<TensorType>> result_type(const InferCall& c, size_t rank, const Planes& out) {
  Shape shape = shape_of(out, rank, channels_last(c.attrs));
  NPU_TRY(check_shape(shape));
  return std::vector<TensorType>{{c.in[0]->dtype, std::move(shape), nullptr}};
}

}  // namespace npuport::conv_rows
