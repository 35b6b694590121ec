// Short forms for hooks of ONNX rows.
#pragma once

#include "base/diag_codes.h"
#include "ops/onnx.h"
#include "ops/support/aten_help.h"

namespace npuport::ox {

using aten::all_axes;
using aten::concat;
using aten::flat;
using aten::full;
using aten::integer;
using aten::move_axis;
using aten::real;
using aten::reduce;
using aten::slice;
using aten::squeeze;
using aten::unsqueeze;

// v as a rank-0 constant of x's element type.
inline ValueId like(Builder& b, ValueId x, double v) { return b.scalar(v, b.dtype(x)); }
inline ValueId times(Builder& b, ValueId x, double v) { return v == 1.0 ? x : b.mul(x, like(b, x, v)); }
inline ValueId plus(Builder& b, ValueId x, double v) { return v == 0.0 ? x : b.add(x, like(b, x, v)); }
inline ValueId one(Builder& b, std::string_view op, ValueId x) { return b.op(op, {x}); }

// int64 vector constant of any shape.
ValueId constant_ints(Builder& b, Shape shape, const Ints& v);
// x with its order along `axis` reversed.
ValueId flip(Builder& b, ValueId x, int64_t axis);
// Fills up a rank-1 x … with leading dims of size 1.
ValueId to_rank(Builder& b, ValueId x, size_t rank);

// The window attributes of convolutions and pools; pads resolved from auto_pad for the given input size.
struct OnnxWindow {
  Ints kernel, stride, dilation, pad_begin, pad_end;
  bool ok = false;
};
// `kernel`: kernel_shape, or what the weight says. `spatial`: sizes of x's spatial dims.
OnnxWindow window(OnnxRead& c, Ints kernel, std::span<const int64_t> spatial);

// Row name with the number of spatial dims: ("conv", 2) → "conv2d"; refuses other than 1 to 3.
std::string spatial_op(OnnxRead& c, std::string_view base, size_t spatial_rank, std::string_view suffix = "d");

}  // namespace npuport::ox
