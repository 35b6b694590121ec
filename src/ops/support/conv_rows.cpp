#include "ops/support/conv_rows.h"

#include <fmt/format.h>

#include "ops/support/spatial.h"

namespace npuport::conv_rows {

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

Status check_bias(const InferCall& c, int64_t channels) {
  if (!c.has(2) || c.in[2]->shape == Shape{channels}) return {};
  return Diag(diag::shape_mismatch, fmt::format("{}: bias is {}, but there are {} output channels", c.op.name,
                                                to_string(*c.in[2]), channels));
}

}  // namespace npuport::conv_rows
