// Convolutions: conv1d, conv2d, conv3d.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ops/support/compute.h"
#include "ops/support/conv_rows.h"
#include "ops/support/gemm.h"
#include "ops/support/spatial.h"

namespace npuport {
namespace {

using conv_rows::kDocs;

constexpr auto kAttrs1 = conv_rows::attrs(1);
constexpr auto kAttrs2 = conv_rows::attrs(2);
constexpr auto kAttrs3 = conv_rows::attrs(3);

conv_rows::Channels channels(const Shape& weight, int64_t groups) { return {weight[1] * groups, weight[0]}; }

template <size_t rank>
Result<std::vector<TensorType>> infer(const InferCall& c) {
  NPU_ASSIGN(Planes p, conv_rows::read_operands(c, rank, channels));
  NPU_ASSIGN(const Window w, read_window(c, std::span(c.in[1]->shape).subspan(2)));
  for (size_t i = 3 - rank; i < 3; ++i) {
    NPU_ASSIGN(p.size[i], window_output(p.size[i], w, i));
  }
  return conv_rows::result_type(c, rank, p);
}

int64_t macs(const InferCall& c, std::span<const TensorType> out) {
  const Shape& weight = c.in[1]->shape;
  const int64_t taps = element_count(std::span(weight).subspan(1));
  return element_count(out[0].shape) * taps;
}

// A run of output pixels [begin, end) in row-major order of (d, h, w).
struct PixelRange {
  int64_t begin, end;
};

// One row of the column matrix: input values under one tap for a run of output pixels.
template <class T>
void gather_tap(const T* plane, const Planes& in, const Planes& out, const Window& w, const Int3& tap, PixelRange run,
                T* row) {
  Int3 base;
  for (size_t i = 0; i < 3; ++i) base[i] = tap[i] * w.dilation[i] - w.pad_begin[i];
  for (int64_t p = run.begin; p < run.end;) {
    const int64_t ow = p % out.size[2], oh = p / out.size[2] % out.size[1], od = p / (out.size[2] * out.size[1]);
    const int64_t count = std::min(out.size[2] - ow, run.end - p);
    const int64_t id = od * w.stride[0] + base[0], ih = oh * w.stride[1] + base[1];
    if (id < 0 || id >= in.size[0] || ih < 0 || ih >= in.size[1]) {
      std::fill_n(row, count, T{});
    } else {
      const T* line = plane + in.at(id, ih, 0);
      int64_t iw = ow * w.stride[2] + base[2];
      for (int64_t j = 0; j < count; ++j, iw += w.stride[2]) {
        row[j] = iw < 0 || iw >= in.size[2] ? T{} : line[iw * in.stride[2]];
      }
    }
    row += count;
    p += count;
  }
}

template <class T>
void gather_columns(const T* planes, const Planes& in, const Planes& out, const Window& w, int64_t channels,
                    PixelRange run, T* columns) {
  const int64_t width = run.end - run.begin;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t t = 0; t < w.taps(); ++t) {
      const Int3 tap{t / (w.kernel[1] * w.kernel[2]), t / w.kernel[2] % w.kernel[1], t % w.kernel[2]};
      gather_tap(planes + c * in.stride_c, in, out, w, tap, run, columns);
      columns += width;
    }
  }
}

bool is_pointwise(const Window& w) {
  return w.taps() == 1 && w.stride == Int3{1, 1, 1} && w.pad_begin == Int3{0, 0, 0} && w.pad_end == Int3{0, 0, 0};
}

template <class T>
void convolve(const EvalCall& c, size_t rank) {
  const Operand<T> x(c.in[0]), weight(c.in[1]), bias(c.has(2) ? c.in[2] : View{});
  Target<T> y(c.out[0]);
  const bool nhwc = channels_last(c.attrs);
  const Planes in = planes_of(c.in[0].shape, nhwc), out = planes_of(c.out[0].shape, nhwc);
  const Window w = window_of(c.attrs, c.in[1].shape.subspan(2, rank));
  const int64_t groups = c.attrs.i("groups");
  const int64_t in_c = in.c / groups, out_c = out.c / groups, depth = in_c * w.taps();
  const Activation act = *parse_activation(c.attrs.s("activation"));
  const bool pointwise = is_pointwise(w);
  // Blocks of pixels keep the column matrix within a few megabytes whatever the image size.
  const int64_t width = std::clamp<int64_t>((int64_t{1} << 19) / std::max<int64_t>(depth, 1), 64, 4096);
  const int64_t block = std::min(width, std::max<int64_t>(out.pixels(), 1));
  std::vector<T> columns(pointwise ? 0 : static_cast<size_t>(depth * block));
  std::vector<T> sums(static_cast<size_t>(out_c * block));
  for (int64_t n = 0; n < out.n; ++n) {
    for (int64_t g = 0; g < groups; ++g) {
      const T* planes = x.data() + in.offset(n, g * in_c);
      const Strided<T> filters{weight.data() + g * out_c * depth, depth, 1};
      for (int64_t p0 = 0; p0 < out.pixels(); p0 += block) {
        const int64_t count = std::min(block, out.pixels() - p0);
        Strided<T> cols{columns.data(), count, 1};
        if (pointwise) {
          cols = {planes + p0 * in.stride[2], in.stride_c, in.stride[2]};
        } else {
          gather_columns(planes, in, out, w, in_c, {p0, p0 + count}, columns.data());
        }
        gemm<T>(out_c, count, depth, filters, cols, sums.data(), count);
        for (int64_t o = 0; o < out_c; ++o) {
          const T add = bias.data() ? bias[g * out_c + o] : T{};
          T* dst = y.data() + out.offset(n, g * out_c + o) + p0 * out.stride[2];
          for (int64_t j = 0; j < count; ++j) dst[j * out.stride[2]] = activate(sums[o * count + j] + add, act);
        }
      }
    }
  }
  y.store();
}

template <size_t rank>
Status eval(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { convolve<T>(c, rank); });
  return {};
}

constexpr OpDef kRows[] = {
    conv_rows::row("conv1d", 1, kDocs[0], kAttrs1, infer<1>, eval<1>, macs),
    conv_rows::row("conv2d", 2, kDocs[1], kAttrs2, infer<2>, eval<2>, macs),
    conv_rows::row("conv3d", 3, kDocs[2], kAttrs3, infer<3>, eval<3>, macs),
};

}  // namespace

std::span<const OpDef> ops_conv() { return kRows; }

}  // namespace npuport
