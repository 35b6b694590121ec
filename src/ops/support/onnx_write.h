// What the writers of ONNX operators share.
#pragma once

#include <algorithm>

#include "ops/onnx.h"

namespace npuport::onnx_write {

// An operator name as a template argument.
template <size_t N>
struct Name {
  char text[N];
  constexpr Name(const char (&s)[N]) { std::copy_n(s, N, text); }
  constexpr operator std::string_view() const { return {text, N - 1}; }
};

// The operator of the same meaning, no attributes.
template <Name name>
void same1(OnnxEmit& c) {
  c.give(c.unary(name, c.in(0)));
}
template <Name name>
void same2(OnnxEmit& c) {
  c.give(c.binary(name, c.in(0), c.in(1)));
}
template <Name name>
void compare2(OnnxEmit& c) {
  c.give(c.compare(name, c.in(0), c.in(1)));
}

// Attribute `axis` of the node in [0, rank).
inline int64_t axis_of(const OnnxEmit& c, size_t rank, std::string_view name = "axis") {
  const int64_t a = c.attr().i(name);
  return a < 0 ? a + static_cast<int64_t>(rank) : a;
}
inline Ints axes_of(const OnnxEmit& c, size_t rank) {
  Ints axes = c.attr().ints("axes");
  for (int64_t& a : axes) a += a < 0 ? static_cast<int64_t>(rank) : 0;
  return axes;
}
inline bool is_empty(const Shape& s) { return std::find(s.begin(), s.end(), 0) != s.end(); }

// Values as a float-like or integer constant of `dtype`.
inline int32_t numbers(OnnxEmit& c, DType dtype, Shape shape, std::span<const double> v) {
  return c.constant(cast_tensor(Tensor::of<double>(std::move(shape), v), dtype));
}
inline int32_t filled(OnnxEmit& c, DType dtype, Shape shape, double v) {
  Tensor t = Tensor::zeros(DType::f64, std::move(shape));
  std::fill_n(t.mut<double>().data(), t.count(), v);
  return c.constant(cast_tensor(t, dtype));
}

// y through the fused activation of attribute `activation`.
int32_t activated(OnnxEmit& c, int32_t y);

// Spatial operators see [N, C, spatial…]: `in` brings a channels-last operand into that order, `out` takes a result
// back, both by Transpose, and neither does anything for nodes in canonical layout.
int32_t planes_in(OnnxEmit& c, int32_t x);
int32_t planes_out(OnnxEmit& c, int32_t y);
// The shape of result k in canonical layout.
Shape planes_shape(const OnnxEmit& c, size_t k = 0);

// x clipped to [low, high]; an infinite bound is left open.
int32_t clip(OnnxEmit& c, int32_t x, double low, double high);
// Python's %, and C's fmod, of two tensors of one type.
int32_t python_mod(OnnxEmit& c, int32_t a, int32_t b);
// x as bool: x != 0.
int32_t truth(OnnxEmit& c, int32_t x);

}  // namespace npuport::onnx_write
