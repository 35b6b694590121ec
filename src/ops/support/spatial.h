// What convolutions, pools and resizing share: one, two or three spatial dimensions seen as three, in either layout.
#pragma once

#include <array>
#include <cmath>

#include "base/diag_codes.h"
#include "ir/op_def.h"

namespace npuport {

using Int3 = std::array<int64_t, 3>;

// An image batch [N, C, D, H, W] with missing leading spatial dims = 1, and its strides in elements.
struct Planes {
  int64_t n = 1, c = 1;
  Int3 size{1, 1, 1};
  int64_t stride_n = 0, stride_c = 0;
  Int3 stride{0, 0, 0};

  int64_t pixels() const { return size[0] * size[1] * size[2]; }
  int64_t offset(int64_t batch, int64_t channel) const { return batch * stride_n + channel * stride_c; }
  int64_t at(int64_t d, int64_t h, int64_t w) const { return d * stride[0] + h * stride[1] + w * stride[2]; }
};

// `shape` is [N, C, spatial…] or, with channels_last, [N, spatial…, C]; one to three spatial dims.
Planes planes_of(std::span<const int64_t> shape, bool channels_last);
// The inverse, with `rank` spatial dims.
Shape shape_of(const Planes& p, size_t rank, bool channels_last);

// A sliding window; entries of missing leading dims are neutral.
struct Window {
  Int3 kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad_begin{0, 0, 0}, pad_end{0, 0, 0};

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  // Distance from the first to one past the last tap.
  int64_t reach(size_t i) const { return dilation[i] * (kernel[i] - 1) + 1; }
};

// Right-aligned copy into three entries, `fill` in front.
Int3 align3(std::span<const int64_t> v, int64_t fill);

// Reads attributes stride, pad_begin, pad_end and, where the row has it, dilation; kernel from `kernel`. Refuses wrong
// lengths, strides or dilations below 1, kernels below 1, negative or absurd values (`bad_attribute`).
Result<Window> read_window(const InferCall& c, std::span<const int64_t> kernel);
// The same without checks, for kernels (inference has already checked).
Window window_of(AttrView attrs, std::span<const int64_t> kernel);

// floor((in + pads - reach) / stride) + 1; `shape_mismatch` naming the sizes when the window does not fit.
Result<int64_t> window_output(int64_t in, const Window& w, size_t i);

// True when attribute layout is "nhwc"; false also for rows without it.
bool channels_last(AttrView attrs);
// `bad_attribute` unless layout, when the row has it, is "nchw" or "nhwc".
Status check_layout(const InferCall& c);
// Rank and float checks of an image batch with `rank` spatial dims, naming the operator.
Status check_image(const InferCall& c, size_t input, size_t rank);

// Fused activations of convolutions and linear layers.
enum class Activation : uint8_t { none, relu, relu6, relu_n1_to_1 };
// nullopt for an unknown name.
std::optional<Activation> parse_activation(std::string_view name);
Status check_activation(const InferCall& c);

// NaN stays NaN, as in PyTorch.
template <class T>
T activate(T v, Activation a) {
  switch (a) {
    case Activation::none:
      return v;
    case Activation::relu:
      return v < T(0) ? T(0) : v;
    case Activation::relu6:
      return v < T(0) ? T(0) : v > T(6) ? T(6) : v;
    case Activation::relu_n1_to_1:
      return v < T(-1) ? T(-1) : v > T(1) ? T(1) : v;
  }
  return v;
}

}  // namespace npuport
