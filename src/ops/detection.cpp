// Operators of detection heads: roi_align, deform_conv2d.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/support/compute.h"
#include "ops/support/conv_rows.h"
#include "ops/support/gemm.h"
#include "ops/support/spatial.h"

namespace npuport {
namespace {

constexpr PortDef kOut[] = {{"y"}};
constexpr PortDef kRoiIn[] = {{"x"}, {"rois"}};
constexpr AttrDef kRoiAttrs[] = {
    {"output_size", AttrKind::integers, "", "rows and columns of bins"},
    {"spatial_scale", AttrKind::real, "1.0", "from box coordinates to elements of x"},
    {"sampling_ratio", AttrKind::integer, "0", "samples per bin and dim; 0 or less = ceil(bin size)"},
    {"aligned", AttrKind::boolean, "false", "shift boxes by half an element"},
};
constexpr PortDef kDeformIn[] = {{"x"}, {"weight"}, {"offset"}, {"mask", Port::optional}, {"bias", Port::optional}};
constexpr AttrDef kDeformAttrs[] = {
    {"stride", AttrKind::integers, "[1,1]", "step of the window per spatial dim"},
    {"pad_begin", AttrKind::integers, "[0,0]", "zeros before the first element per spatial dim"},
    {"pad_end", AttrKind::integers, "[0,0]", "zeros after the last element per spatial dim"},
    {"dilation", AttrKind::integers, "[1,1]", "distance between taps per spatial dim"},
    {"groups", AttrKind::integer, "1", "input and output channels fall into this many independent groups"},
    {"offset_groups", AttrKind::integer, "1", "groups of input channels with offsets of their own"},
};

Status check_floats(const InferCall& c) {
  for (size_t i = 0; i < c.in.size(); ++i) {
    if (!c.has(i) || (is_float(c.in[i]->dtype) && c.in[i]->dtype == c.in[0]->dtype)) continue;
    return Diag(diag::dtype_mismatch, fmt::format("{}: {} is {}; all inputs need the float type of x ({})", c.op.name,
                                                  c.op.in[i].name, to_string(*c.in[i]), to_string(*c.in[0])));
  }
  return {};
}

Result<std::vector<TensorType>> infer_roi(const InferCall& c) {
  NPU_TRY(check_floats(c));
  const TensorType &x = *c.in[0], &rois = *c.in[1];
  const Ints& size = c.attrs.ints("output_size");
  const bool fits = x.shape.size() == 4 && rois.shape.size() == 2 && rois.shape[1] == 5;
  if (!fits) {
    return Diag(diag::shape_mismatch,
                fmt::format("roi_align: x {} and rois {} must be [N,C,H,W] and [K,5]", to_string(x), to_string(rois)));
  }
  if (size.size() != 2 || size[0] < 1 || size[1] < 1 || size[0] > 65536 || size[1] > 65536 ||
      c.attrs.i("sampling_ratio") > 65536) {
    return Diag(diag::bad_attribute, "roi_align: output_size needs two sizes from 1 to 65536");
  }
  return std::vector<TensorType>{{x.dtype, {rois.shape[0], x.shape[1], size[0], size[1]}, nullptr}};
}

// Bilinear value at (h, w); 0 more than one element outside.
template <class T>
T bilinear(const T* plane, int64_t height, int64_t width, T h, T w) {
  if (!(h > T(-1) && h < static_cast<T>(height) && w > T(-1) && w < static_cast<T>(width))) return T(0);
  const auto at = [&](int64_t y, int64_t x) {
    return y < 0 || x < 0 || y >= height || x >= width ? T(0) : plane[y * width + x];
  };
  const T fh = std::floor(h), fw = std::floor(w), dh = h - fh, dw = w - fw;
  const auto y = static_cast<int64_t>(fh), x = static_cast<int64_t>(fw);
  return (T(1) - dh) * ((T(1) - dw) * at(y, x) + dw * at(y, x + 1)) +
         dh * ((T(1) - dw) * at(y + 1, x) + dw * at(y + 1, x + 1));
}

// torchvision's roi_align clamps positions up to one element outside onto the border.
template <class T>
T border_sample(const T* plane, int64_t height, int64_t width, T h, T w) {
  if (h < T(-1) || h > static_cast<T>(height) || w < T(-1) || w > static_cast<T>(width)) return T(0);
  h = std::clamp(h, T(0), static_cast<T>(height - 1));
  w = std::clamp(w, T(0), static_cast<T>(width - 1));
  return bilinear(plane, height, width, h, w);
}

template <class T>
Status align(const EvalCall& c) {
  const Operand<T> x(c.in[0]), rois(c.in[1]);
  Target<T> y(c.out[0]);
  const int64_t batch = c.in[0].shape[0], channels = c.in[0].shape[1], height = c.in[0].shape[2],
                width = c.in[0].shape[3];
  const Ints& size = c.attrs.ints("output_size");
  const T scale = static_cast<T>(c.attrs.f("spatial_scale")), shift = c.attrs.b("aligned") ? T(0.5) : T(0);
  T* out = y.data();
  for (int64_t k = 0; k < c.in[1].shape[0]; ++k) {
    const T* box = rois.data() + k * 5;
    const T index = box[0];
    if (!(index >= T(0) && index < static_cast<T>(batch))) {
      return Diag(diag::index_range, fmt::format("roi_align: box {} names image {} of {}", k, double(index), batch));
    }
    const T left = box[1] * scale - shift, top = box[2] * scale - shift;
    T roi_w = box[3] * scale - shift - left, roi_h = box[4] * scale - shift - top;
    if (!c.attrs.b("aligned")) roi_w = std::max(roi_w, T(1)), roi_h = std::max(roi_h, T(1));
    const T bin_h = roi_h / static_cast<T>(size[0]), bin_w = roi_w / static_cast<T>(size[1]);
    if (!(std::abs(bin_h) <= T(65536) && std::abs(bin_w) <= T(65536))) {
      return Diag(diag::bad_input_data, fmt::format("roi_align: box {} is not finite or absurdly large", k));
    }
    const auto samples = [&](T bin) {
      const int64_t given = c.attrs.i("sampling_ratio");
      return given > 0 ? given : std::max<int64_t>(static_cast<int64_t>(std::ceil(bin)), 0);
    };
    const int64_t grid_h = samples(bin_h), grid_w = samples(bin_w);
    const T count = static_cast<T>(std::max<int64_t>(grid_h * grid_w, 1));
    for (int64_t ch = 0; ch < channels; ++ch) {
      const T* plane = x.data() + (static_cast<int64_t>(index) * channels + ch) * height * width;
      for (int64_t p = 0; p < size[0] * size[1]; ++p) {
        const int64_t row = p / size[1], column = p % size[1];
        const T h0 = top + static_cast<T>(row) * bin_h, w0 = left + static_cast<T>(column) * bin_w;
        T sum = 0;
        for (int64_t s = 0; s < grid_h * grid_w; ++s) {
          const int64_t i = s / grid_w, j = s % grid_w;
          const T h = h0 + (static_cast<T>(i) + T(0.5)) * bin_h / static_cast<T>(grid_h);
          const T w = w0 + (static_cast<T>(j) + T(0.5)) * bin_w / static_cast<T>(grid_w);
          sum += border_sample(plane, height, width, h, w);
        }
        *out++ = sum / count;
      }
    }
  }
  y.store();
  return {};
}

Status eval_roi(const EvalCall& c) {
  Status s;
  with_float_compute(c.out[0].dtype, [&]<class T>() { s = align<T>(c); });
  return s;
}

Result<std::vector<TensorType>> infer_deform(const InferCall& c) {
  NPU_TRY(check_floats(c));
  const Shape &x = c.in[0]->shape, &weight = c.in[1]->shape, &offset = c.in[2]->shape;
  const int64_t groups = c.attrs.i("groups"), offsets = c.attrs.i("offset_groups");
  const bool fits = x.size() == 4 && weight.size() == 4 && offset.size() == 4 && groups >= 1 && offsets >= 1 &&
                    weight[1] * groups == x[1] && weight[0] % groups == 0 && x[1] % offsets == 0;
  if (!fits) {
    return Diag(diag::shape_mismatch,
                fmt::format("deform_conv2d: x {}, weight {}, offset {} with groups={}, "
                            "offset_groups={} do not fit",
                            to_string(*c.in[0]), to_string(*c.in[1]), to_string(*c.in[2]), groups, offsets));
  }
  NPU_ASSIGN(const Window w, read_window(c, std::span(weight).subspan(2)));
  NPU_ASSIGN(const int64_t height, window_output(x[2], w, 1));
  NPU_ASSIGN(const int64_t width, window_output(x[3], w, 2));
  const Shape wanted{x[0], 2 * offsets * w.taps(), height, width}, mask{x[0], offsets * w.taps(), height, width};
  if (offset != wanted || (c.has(3) && c.in[3]->shape != mask)) {
    return Diag(diag::shape_mismatch, fmt::format("deform_conv2d: offset {} needs shape {} and mask {}",
                                                  to_string(*c.in[2]), to_string(wanted), to_string(mask)));
  }
  if (c.has(4) && c.in[4]->shape != Shape{weight[0]}) {
    return Diag(diag::shape_mismatch, fmt::format("deform_conv2d: bias is {}, but there are {} output channels",
                                                  to_string(*c.in[4]), weight[0]));
  }
  return std::vector<TensorType>{{c.in[0]->dtype, {x[0], weight[0], height, width}, nullptr}};
}

int64_t macs_deform(const InferCall& c, std::span<const TensorType> out) {
  return element_count(out[0].shape) * element_count(std::span(c.in[1]->shape).subspan(1));
}

// Samples of one row of output pixels: columns[channel * taps + tap][ow].
template <class T>
void gather_row(const EvalCall& c, const Operand<T>& x, const Operand<T>& offset, const Operand<T>& mask,
                const Window& w, int64_t n, int64_t oh, T* columns) {
  const std::span<const int64_t> in = c.in[0].shape, out = c.out[0].shape;
  const int64_t taps = w.taps(), pixels = out[2] * out[3], per_group = in[1] / c.attrs.i("offset_groups");
  for (int64_t ch = 0; ch < in[1]; ++ch) {
    const T* plane = x.data() + (n * in[1] + ch) * in[2] * in[3];
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t slot = ch / per_group * taps + t, groups_taps = in[1] / per_group * taps;
      const T* dh = offset.data() + (n * groups_taps + slot) * 2 * pixels + oh * out[3];
      const T* m = mask.data() ? mask.data() + (n * groups_taps + slot) * pixels + oh * out[3] : nullptr;
      const int64_t base_h = oh * w.stride[1] - w.pad_begin[1] + t / w.kernel[2] * w.dilation[1];
      for (int64_t ow = 0; ow < out[3]; ++ow) {
        const int64_t base_w = ow * w.stride[2] - w.pad_begin[2] + t % w.kernel[2] * w.dilation[2];
        const T v =
            bilinear(plane, in[2], in[3], static_cast<T>(base_h) + dh[ow], static_cast<T>(base_w) + dh[pixels + ow]);
        *columns++ = m ? v * m[ow] : v;
      }
    }
  }
}

template <class T>
void deform(const EvalCall& c) {
  const Operand<T> x(c.in[0]), weight(c.in[1]), offset(c.in[2]), mask(c.has(3) ? c.in[3] : View{}),
      bias(c.has(4) ? c.in[4] : View{});
  Target<T> y(c.out[0]);
  const Window w = window_of(c.attrs, c.in[1].shape.subspan(2));
  const std::span<const int64_t> out = c.out[0].shape;
  const int64_t groups = c.attrs.i("groups"), out_c = out[1] / groups, depth = c.in[1].shape[1] * w.taps();
  std::vector<T> columns(static_cast<size_t>(groups * depth * out[3])), sums(static_cast<size_t>(out_c * out[3]));
  for (int64_t n = 0; n < out[0]; ++n) {
    for (int64_t oh = 0; oh < out[2]; ++oh) {
      gather_row(c, x, offset, mask, w, n, oh, columns.data());
      for (int64_t g = 0; g < groups; ++g) {
        gemm<T>(out_c, out[3], depth, {weight.data() + g * out_c * depth, depth, 1},
                {columns.data() + g * depth * out[3], out[3], 1}, sums.data(), out[3]);
        for (int64_t o = 0; o < out_c * out[3]; ++o) {
          const int64_t ch = g * out_c + o / out[3];
          y.data()[((n * out[1] + ch) * out[2] + oh) * out[3] + o % out[3]] =
              sums[static_cast<size_t>(o)] + (bias.data() ? bias[ch] : T(0));
        }
      }
    }
  }
  y.store();
}

Status eval_deform(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { deform<T>(c); });
  return {};
}

constexpr OpDef kRows[] = {
    {.name = "roi_align",
     .doc = "Mean of bilinear samples in each bin of each box; rois [K,5] = image, left, top, right, bottom.",
     .in = kRoiIn,
     .out = kOut,
     .attrs = kRoiAttrs,
     .infer = infer_roi,
     .eval = eval_roi,
     .exact = Exactness::accumulation},
    {.name = "deform_conv2d",
     .doc = "conv2d whose taps are moved by offset [N, 2*offset_groups*KH*KW, H, W] (dh, dw per tap; bilinear) and "
            "scaled by mask.",
     .in = kDeformIn,
     .out = kOut,
     .attrs = kDeformAttrs,
     .infer = infer_deform,
     .eval = eval_deform,
     .macs = macs_deform,
     .exact = Exactness::accumulation},
};

}  // namespace

std::span<const OpDef> ops_detection() { return kRows; }

}  // namespace npuport
