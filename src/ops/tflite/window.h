// Sliding windows in the format's terms: it knows no explicit padding, only SAME and VALID.
#pragma once

#include <algorithm>

#include "ops/tflite/options.h"

namespace npuport::tfl {

// One spatial dim of a convolution or pool.
struct WindowDim {
  int64_t in, out, kernel, stride, dilation, pad_begin;

  int64_t reach() const { return dilation * (kernel - 1) + 1; }
  // Input positions the windows touch, counted from the first padded one.
  int64_t needed() const { return (out - 1) * stride + reach(); }
  int64_t same_total() const { return std::max<int64_t>(needed() - in, 0); }
  bool is_valid() const { return pad_begin == 0 && needed() <= in && needed() + stride > in; }
  bool is_same() const { return out == (in + stride - 1) / stride && pad_begin == same_total() / 2; }
  // Padding after the last element that any window touches.
  int64_t pad_end() const { return std::max<int64_t>(needed() - in - pad_begin, 0); }
};

// How a windowed operator can be said: its Padding value, after explicit padding by PAD when that is needed.
struct Padding {
  double value = kValid;
  bool explicit_pads = false;
};

inline Padding padding_of(std::span<const WindowDim> dims) {
  const auto all = [&](auto test) { return std::all_of(dims.begin(), dims.end(), test); };
  if (all([](const WindowDim& d) { return d.is_valid(); })) return {kValid, false};
  if (all([](const WindowDim& d) { return d.is_same(); })) return {kSame, false};
  return {kValid, true};
}

// The i32 [rank,2] operand of PAD for channels-last data with the given spatial dims.
inline int32_t paddings(TfliteEmit& c, std::span<const WindowDim> dims) {
  const auto rank = static_cast<int64_t>(dims.size()) + 2;
  Tensor t = Tensor::zeros(DType::i32, {rank, 2});
  for (size_t i = 0; i < dims.size(); ++i) {
    t.mut<int32_t>()[2 * (i + 1)] = static_cast<int32_t>(dims[i].pad_begin);
    t.mut<int32_t>()[2 * (i + 1) + 1] = static_cast<int32_t>(dims[i].pad_end());
  }
  return c.constant(std::move(t));
}

// Shape of channels-last data after that.
inline Shape padded_shape(const Shape& x, std::span<const WindowDim> dims) {
  Shape s = x;
  for (size_t i = 0; i < dims.size(); ++i) s[i + 1] += dims[i].pad_begin + dims[i].pad_end();
  return s;
}

// x padded with zeros when `p` asks for it.
inline int32_t zero_padded(TfliteEmit& c, int32_t x, const Padding& p, std::span<const WindowDim> dims) {
  if (!p.explicit_pads) return x;
  return c.op("PAD", {x, paddings(c, dims)}, c.tensor(x).dtype, padded_shape(c.tensor(x).shape, dims));
}

// Reading: explicit pads {begin, end} of one dim.
struct Pads {
  int64_t begin = 0, end = 0;
};
inline Pads pads_of(int64_t padding, int64_t in, int64_t kernel, int64_t stride, int64_t dilation) {
  if (padding != static_cast<int64_t>(kSame) || stride < 1) return {};
  const WindowDim d{in, (in + stride - 1) / stride, kernel, stride, dilation, 0};
  const int64_t total = d.same_total();
  return {total / 2, total - total / 2};
}

// True when the node's layout is nhwc; refuses otherwise.
inline bool needs_nhwc(TfliteEmit& c) {
  if (c.attr().s("layout") == "nhwc") return true;
  c.refuse("TFLite needs layout nhwc (the pass channels_last makes it)");
  return false;
}

}  // namespace npuport::tfl
