// ATen grid sampling, affine grids and sliding-window unfolding.
#include <fmt/format.h>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

void grid_sampler(AtenCall& c) {
  constexpr const char* kModes[] = {"linear", "nearest", "cubic"};
  constexpr const char* kPaddings[] = {"zeros", "border", "reflection"};
  const int64_t mode = c.i("interpolation_mode"), padding = c.i("padding_mode");
  if (mode < 0 || mode > 2 || padding < 0 || padding > 2) {
    return c.fail(Diag(diag::bad_attribute, fmt::format("grid_sampler: mode {} or padding mode {}", mode, padding)));
  }
  c.ret(c.b.op(
      "grid_sample", {c.tensor("input"), c.tensor("grid")},
      {{"mode", kModes[mode]}, {"padding_mode", kPaddings[padding]}, {"align_corners", c.flag("align_corners")}}));
}

// `n` evenly spaced coordinates over [-1, 1]: of corner centres, or of all centres inside the edges.
std::vector<double> coordinates(int64_t n, bool align_corners) {
  std::vector<double> v(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const auto k = static_cast<double>(i), size = static_cast<double>(n);
    const double corner = n > 1 ? -1.0 + 2.0 * k / (size - 1.0) : 0.0;
    v[static_cast<size_t>(i)] = align_corners ? corner : (2.0 * k + 1.0) / size - 1.0;
  }
  return v;
}

// theta [N, d, d+1] times the homogeneous coordinates of every output element.
void affine_grid(AtenCall& c) {
  Builder& b = c.b;
  const ValueId theta = c.tensor("theta");
  const Ints size = c.ints("size");
  const size_t dims = size.size() < 2 ? 0 : size.size() - 2;
  if (dims < 2 || dims > 3 ||
      b.shape(theta) != Shape{size[0], static_cast<int64_t>(dims), static_cast<int64_t>(dims) + 1}) {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("affine_grid_generator: theta {} does not fit size {}",
                                                         to_string(b.shape(theta)), to_string(size))));
  }
  const std::span<const int64_t> spatial = std::span(size).subspan(2);
  std::vector<std::vector<double>> axes;
  for (const int64_t n : spatial) axes.push_back(coordinates(n, c.flag("align_corners")));
  const int64_t pixels = element_count(spatial);
  Tensor base = Tensor::zeros(DType::f32, {1, pixels, static_cast<int64_t>(dims) + 1});
  const auto v = base.mut<float>();
  for (int64_t p = 0; p < pixels; ++p) {
    int64_t rest = p;
    for (size_t d = dims; d-- > 0;) {
      const double at = axes[d][static_cast<size_t>(rest % spatial[d])];
      v[static_cast<size_t>(p) * (dims + 1) + (dims - 1 - d)] = static_cast<float>(at);
      rest /= spatial[d];
    }
    v[static_cast<size_t>(p) * (dims + 1) + dims] = 1.0F;
  }
  const ValueId points = b.constant(cast_tensor(base, b.dtype(theta)));
  Shape out{size[0]};
  out.insert(out.end(), spatial.begin(), spatial.end());
  out.push_back(static_cast<int64_t>(dims));
  c.ret(b.reshape(b.op("matmul", {points, theta}, {{"transpose_b", true}}), std::move(out)));
}

struct Blocks {
  Ints kernel, stride, pad, dilation;
  int64_t taps() const { return kernel[0] * kernel[1]; }
  // Windows that tile the image: only the order of elements changes.
  bool tile(int64_t h, int64_t w) const {
    return kernel == stride && pad == Ints{0, 0} && dilation == Ints{1, 1} && h % kernel[0] == 0 && w % kernel[1] == 0;
  }
};

Blocks blocks_of(AtenCall& c) {
  return {aten_nn::repeat_to(c.ints("kernel_size"), 2, 1), aten_nn::repeat_to(c.ints("stride"), 2, 1),
          aten_nn::repeat_to(c.ints("padding"), 2, 0), aten_nn::repeat_to(c.ints("dilation"), 2, 1)};
}

// Weights [channels * taps, 1, kh, kw] that pick one tap each.
ValueId pickers(Builder& b, int64_t channels, const Blocks& k, DType dtype) {
  Tensor t = Tensor::zeros(DType::f32, {channels * k.taps(), 1, k.kernel[0], k.kernel[1]});
  const auto v = t.mut<float>();
  for (int64_t i = 0; i < channels * k.taps(); ++i) v[static_cast<size_t>(i * k.taps() + i % k.taps())] = 1.0F;
  return b.constant(cast_tensor(t, dtype));
}

// [N,C,H,W] → [N, C*taps, windows], as a grouped convolution that copies, or pure data movement for tiles.
void im2col(AtenCall& c) {
  Builder& b = c.b;
  const Blocks k = blocks_of(c);
  const aten_nn::Batched x(b, c.tensor("self"), 2);
  const Shape s = b.shape(x.value);
  if (b.failed() || s.size() != 4) {
    return c.fail(Diag(diag::shape_mismatch, "im2col needs an input of rank 3 or 4"));
  }
  ValueId y;
  if (k.tile(s[2], s[3])) {
    const int64_t rows = s[2] / k.kernel[0], columns = s[3] / k.kernel[1];
    y = b.reshape(x.value, {s[0] * s[1], rows, k.kernel[0], columns, k.kernel[1]});
    y = b.reshape(b.transpose(y, {0, 2, 4, 1, 3}), {s[0], s[1] * k.taps(), rows * columns});
  } else {
    y = b.op(
        "conv2d", {x.value, pickers(b, s[1], k, b.dtype(x.value))},
        {{"stride", k.stride}, {"pad_begin", k.pad}, {"pad_end", k.pad}, {"dilation", k.dilation}, {"groups", s[1]}});
    const Shape o = b.shape(y);
    if (b.failed()) return;
    y = b.reshape(y, {o[0], o[1], o[2] * o[3]});
  }
  c.ret(x.restore(b, y));
}

// The sum of windows [N, C*taps, windows] at their places in [N,C,H,W]: the transpose of im2col.
void col2im(AtenCall& c) {
  Builder& b = c.b;
  const Blocks k = blocks_of(c);
  const Ints size = aten_nn::repeat_to(c.ints("output_size"), 2, 1);
  const aten_nn::Batched x(b, c.tensor("self"), 1);
  const Shape s = b.shape(x.value);
  if (b.failed()) return;
  Ints windows(2), extra(2);
  for (size_t i = 0; i < 2; ++i) {
    const int64_t room = size[i] + 2 * k.pad[i] - k.dilation[i] * (k.kernel[i] - 1) - 1;
    if (room < 0 || k.stride[i] < 1) return c.fail(Diag(diag::shape_mismatch, "col2im: the window exceeds the output"));
    windows[i] = room / k.stride[i] + 1;
    extra[i] = room % k.stride[i];
  }
  if (s.size() != 3 || s[2] != windows[0] * windows[1] || s[1] % k.taps() != 0) {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("col2im: input {} does not hold {}x{} windows of {} elements",
                                                         to_string(s), windows[0], windows[1], k.taps())));
  }
  const int64_t channels = s[1] / k.taps();
  ValueId y;
  if (k.tile(size[0], size[1])) {
    y = b.reshape(x.value, {s[0] * channels, k.kernel[0], k.kernel[1], windows[0], windows[1]});
    y = b.reshape(b.transpose(y, {0, 3, 1, 4, 2}), {s[0], channels, size[0], size[1]});
  } else {
    y = b.op("conv_transpose2d",
             {b.reshape(x.value, {s[0], s[1], windows[0], windows[1]}), pickers(b, channels, k, b.dtype(x.value))},
             {{"stride", k.stride},
              {"pad_begin", k.pad},
              {"pad_end", k.pad},
              {"dilation", k.dilation},
              {"output_padding", extra},
              {"groups", channels}});
  }
  c.ret(x.restore(b, y));
}

constexpr AtenRow kRows[] = {
    {.schema =
         "grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> "
         "Tensor",
     .fn = grid_sampler},
    {.schema = "grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool "
               "align_corners) -> Tensor",
     .fn = grid_sampler},
    {.schema = "grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool "
               "align_corners) -> Tensor",
     .fn = grid_sampler},
    {.schema = "affine_grid_generator(Tensor theta, int[] size, bool align_corners) -> Tensor", .fn = affine_grid},
    {.schema = "im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
     .fn = im2col},
    {.schema = "col2im(Tensor self, int[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] "
               "stride) -> Tensor",
     .fn = col2im},
};

}  // namespace

std::span<const AtenRow> aten_sampling() { return kRows; }

}  // namespace npuport
