// Transposed convolutions: conv_transpose1d, conv_transpose2d, conv_transpose3d.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ops/support/compute.h"
#include "ops/support/conv_rows.h"
#include "ops/support/gemm.h"
#include "ops/support/spatial.h"

namespace npuport {
namespace {

constexpr auto kAttrs1 = conv_rows::transposed_attrs(1);
constexpr auto kAttrs2 = conv_rows::transposed_attrs(2);
constexpr auto kAttrs3 = conv_rows::transposed_attrs(3);
constexpr std::string_view kDoc =
    "The transpose of the convolution with the same attributes: y[n,o,p*stride - pad_begin + k*dilation] += "
    "x[n,c,p] * weight[c,o,k], plus bias[o], then activation; weight [C,O/groups,K...]; output size "
    "(in-1)*stride - pad_begin - pad_end + (K-1)*dilation + 1 + output_padding.";

// Size of output dim i; `shape_mismatch` when nothing is left.
Result<int64_t> output_size(const InferCall& c, int64_t in, const Window& w, int64_t extra, size_t i) {
  const int64_t size = (in - 1) * w.stride[i] - w.pad_begin[i] - w.pad_end[i] + w.reach(i) + extra;
  if (size >= 1) return size;
  return Diag(diag::shape_mismatch,
              fmt::format("{}: padding {}+{} leaves no output for input size {}, kernel {}, stride {}", c.op.name,
                          w.pad_begin[i], w.pad_end[i], in, w.kernel[i], w.stride[i]));
}

conv_rows::Channels channels(const Shape& weight, int64_t groups) { return {weight[0], weight[1] * groups}; }

template <size_t rank>
Result<std::vector<TensorType>> infer(const InferCall& c) {
  NPU_ASSIGN(Planes p, conv_rows::read_operands(c, rank, channels));
  NPU_ASSIGN(const Window w, read_window(c, std::span(c.in[1]->shape).subspan(2)));
  const Ints& extra = c.attrs.ints("output_padding");
  if (extra.size() != rank) {
    return Diag(diag::bad_attribute,
                fmt::format("{}: output_padding has {} values, {} are needed", c.op.name, extra.size(), rank));
  }
  for (size_t i = 3 - rank; i < 3; ++i) {
    const int64_t e = extra[i + rank - 3];
    if (e < 0 || e >= std::max(w.stride[i], w.dilation[i])) {
      return Diag(diag::bad_attribute,
                  fmt::format("{}: output_padding {} must be smaller than stride or dilation", c.op.name, e));
    }
    NPU_ASSIGN(p.size[i], output_size(c, p.size[i], w, e, i));
  }
  return conv_rows::result_type(c, rank, p);
}

int64_t macs(const InferCall& c, std::span<const TensorType>) {
  return element_count(c.in[0]->shape) * element_count(std::span(c.in[1]->shape).subspan(1));
}

// Adds one row of the column matrix (one tap of one output channel, for input pixels [begin, end)) into the output.
template <class T>
void scatter_tap(const T* row, const Planes& in, const Planes& out, const Window& w, const Int3& tap, int64_t begin,
                 int64_t end, T* plane) {
  Int3 base;
  for (size_t i = 0; i < 3; ++i) base[i] = tap[i] * w.dilation[i] - w.pad_begin[i];
  for (int64_t p = begin; p < end; ++p, ++row) {
    const int64_t iw = p % in.size[2], ih = p / in.size[2] % in.size[1], id = p / (in.size[2] * in.size[1]);
    const int64_t od = id * w.stride[0] + base[0], oh = ih * w.stride[1] + base[1], ow = iw * w.stride[2] + base[2];
    if (od < 0 || od >= out.size[0] || oh < 0 || oh >= out.size[1] || ow < 0 || ow >= out.size[2]) continue;
    plane[out.at(od, oh, ow)] += *row;
  }
}

template <class T>
void deconvolve(const EvalCall& c, size_t rank) {
  const Operand<T> x(c.in[0]), weight(c.in[1]), bias(c.has(2) ? c.in[2] : View{});
  Target<T> y(c.out[0]);
  const bool nhwc = channels_last(c.attrs);
  const Planes in = planes_of(c.in[0].shape, nhwc), out = planes_of(c.out[0].shape, nhwc);
  const Window w = window_of(c.attrs, c.in[1].shape.subspan(2, rank));
  const int64_t groups = c.attrs.i("groups");
  const int64_t in_c = in.c / groups, out_c = out.c / groups, rows = out_c * w.taps();
  const int64_t width = std::clamp<int64_t>((int64_t{1} << 20) / std::max<int64_t>(rows, 1), 16, 4096);
  const int64_t block = std::min(width, std::max<int64_t>(in.pixels(), 1));
  std::vector<T> columns(static_cast<size_t>(rows * block));
  std::fill_n(y.data(), c.out[0].count(), T{});
  for (int64_t n = 0; n < in.n; ++n) {
    for (int64_t g = 0; g < groups; ++g) {
      const Strided<T> filters{weight.data() + g * in_c * rows, 1, rows};
      for (int64_t p0 = 0; p0 < in.pixels(); p0 += block) {
        const int64_t count = std::min(block, in.pixels() - p0);
        const T* pixels = x.data() + in.offset(n, g * in_c) + p0 * in.stride[2];
        gemm<T>(rows, count, in_c, filters, {pixels, in.stride_c, in.stride[2]}, columns.data(), count);
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t t = r % w.taps();
          const Int3 tap{t / (w.kernel[1] * w.kernel[2]), t / w.kernel[2] % w.kernel[1], t % w.kernel[2]};
          scatter_tap(columns.data() + r * count, in, out, w, tap, p0, p0 + count,
                      y.data() + out.offset(n, g * out_c + r / w.taps()));
        }
      }
    }
  }
  const Activation act = *parse_activation(c.attrs.s("activation"));
  for (int64_t n = 0; n < out.n; ++n) {
    for (int64_t o = 0; o < out.c; ++o) {
      T* plane = y.data() + out.offset(n, o);
      const T add = bias.data() ? bias[o] : T{};
      for (int64_t p = 0; p < out.pixels(); ++p) {
        plane[p * out.stride[2]] = activate(plane[p * out.stride[2]] + add, act);
      }
    }
  }
  y.store();
}

template <size_t rank>
Status eval(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { deconvolve<T>(c, rank); });
  return {};
}

constexpr OpDef kRows[] = {
    conv_rows::row("conv_transpose1d", 1, kDoc, kAttrs1, infer<1>, eval<1>, macs),
    conv_rows::row("conv_transpose2d", 2, kDoc, kAttrs2, infer<2>, eval<2>, macs),
    conv_rows::row("conv_transpose3d", 3, kDoc, kAttrs3, infer<3>, eval<3>, macs),
};

}  // namespace

std::span<const OpDef> ops_conv_transpose() { return kRows; }

}  // namespace npuport
