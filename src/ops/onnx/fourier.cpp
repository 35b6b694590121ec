// Discrete Fourier transforms by their definition: one product with a constant matrix.
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

constexpr int64_t kMost = int64_t{1} << 24;  // elements of a matrix

// Rows (t, part of the input), columns (k, part of the result), parts real and imaginary (`parts` = 1: real alone):
// (re + i·im) · exp(∓2πi·kt/n), the inverse divided by n.
std::optional<Tensor> matrix(int64_t n, int64_t parts, int64_t bins, bool inverse, DType dtype) {
  if (n < 1 || n > kMost || parts * n * bins * 2 > kMost) return std::nullopt;
  Tensor t = Tensor::zeros(DType::f64, {parts * n, bins * 2});
  const double scale = inverse ? 1.0 / static_cast<double>(n) : 1.0, sign = inverse ? 1 : -1;
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t k = 0; k < bins; ++k) {
      // The angle is reduced exactly first.
      const double a = 2 * std::numbers::pi * static_cast<double>(row * k % n) / static_cast<double>(n);
      const double re = scale * std::cos(a), im = sign * scale * std::sin(a);
      double* at = t.mut<double>().data() + row * parts * bins * 2 + k * 2;
      at[0] = re, at[1] = im;
      if (parts == 2) at[bins * 2] = -im, at[bins * 2 + 1] = re;
    }
  }
  return cast_tensor(t, dtype);
}

// x [..., n, parts] → [..., bins, 2].
ValueId transformed(OnnxRead& c, ValueId x, bool inverse, bool onesided) {
  Builder& b = c.b;
  Shape s = b.shape(x);
  const int64_t parts = s.back(), n = s[s.size() - 2], bins = onesided ? n / 2 + 1 : n;
  if (parts != 1 && parts != 2) {
    c.fail(Diag(diag::shape_mismatch, fmt::format("{} of {}: the last dim is 1 or 2", c.type(), to_string(s))));
    return {};
  }
  std::optional<Tensor> m = matrix(n, parts, bins, inverse, b.dtype(x));
  if (!m) {
    c.refuse(fmt::format("of length {}", n));
    return {};
  }
  s.pop_back();
  s.back() = n * parts;
  const ValueId y = b.op("matmul", {b.reshape(x, s), b.constant(*std::move(m))});
  s.back() = bins;
  s.push_back(2);
  return b.reshape(y, s);
}

// Zeros after the end, or the end cut off.
ValueId resized(Builder& b, ValueId x, int64_t axis, int64_t n) {
  const Shape s = b.shape(x);
  const int64_t have = s[static_cast<size_t>(axis)];
  if (have >= n) return have == n ? x : ox::slice(b, x, axis, 0, n);
  Ints pads(2 * s.size(), 0);
  pads[s.size() + static_cast<size_t>(axis)] = n - have;
  return b.op("pad", {x}, {{"pads", pads}, {"mode", "constant"}, {"value", 0.0}});
}

void read_dft(OnnxRead& c) {
  Builder& b = c.b;
  ValueId x = c.in(0);
  if (c.stopped()) return;
  const auto rank = static_cast<int64_t>(b.shape(x).size());
  if (rank < 3) return c.fail(Diag(diag::shape_mismatch, "DFT of " + to_string(b.shape(x))));
  const int64_t given = c.opset() < 20 ? c.i("axis", 1) : c.has(2) ? c.const_int(2) : -2;
  const int64_t axis = c.axis(given, static_cast<size_t>(rank));
  const bool inverse = c.i("inverse", 0) != 0, onesided = c.i("onesided", 0) != 0;
  if (c.stopped()) return;
  if (axis == rank - 1) return c.fail(Diag(diag::bad_attribute, "DFT along the parts of numbers"));
  if (inverse && onesided) return c.refuse("inverse and one-sided");
  if (c.has(1)) {
    const int64_t n = c.const_int(1);
    if (c.stopped()) return;
    if (n < 1 || n > kMost) return c.refuse(fmt::format("of length {}", n));
    x = resized(b, x, axis, n);
  }
  const ValueId y = transformed(c, ox::move_axis(b, x, axis, rank - 2), inverse, onesided);
  if (!c.stopped()) c.ret(ox::move_axis(b, y, rank - 2, axis));
}

// Frames of the signal [batch, length, parts], each under the window and transformed: [batch, frames, bins, 2].
void read_stft(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0);
  const int64_t step = c.const_int(1);
  if (c.stopped()) return;
  const Shape s = b.shape(x);
  const Shape window = c.has(2) ? c.shape(2) : Shape{};
  int64_t n = window.size() == 1 ? window[0] : 0;
  if (c.has(3)) n = c.const_int(3);
  if (c.stopped()) return;
  if (s.size() != 3 || step < 1 || n < 1 || n > s[1] || (!window.empty() && window != Shape{n})) {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("STFT of {}, {} elements a frame", to_string(s), n)));
  }
  const int64_t frames = (s[1] - n) / step + 1;
  if (frames * n > kMost) return c.refuse("of more than 16 million places");
  Ints at;
  for (int64_t f = 0; f < frames; ++f) {
    for (int64_t i = 0; i < n; ++i) at.push_back(f * step + i);
  }
  ValueId y = b.op("gather", {x, ox::constant_ints(b, {frames, n}, at)}, {{"axis", 1}});
  if (!window.empty()) y = b.mul(y, b.reshape(b.cast(c.in(2), b.dtype(x)), {n, 1}));
  if (c.stopped()) return;
  y = transformed(c, y, false, c.i("onesided", 1) != 0);
  if (!c.stopped()) c.ret(y);
}

constexpr OnnxRow rows[] = {
    {.name = "DFT", .since = 17, .read = read_dft},
    {.name = "STFT", .since = 17, .read = read_stft},
};

}  // namespace

std::span<const OnnxRow> onnx_fourier() { return rows; }

}  // namespace npuport
