// Pooling: max_pool, max_pool_with_indices and avg_pool in one to three spatial dims.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/support/compute.h"
#include "ops/support/conv_rows.h"
#include "ops/support/spatial.h"

namespace npuport {
namespace {

using conv_rows::kOnes;
using conv_rows::kZeros;

constexpr PortDef kIn[] = {{"x"}};
constexpr PortDef kOut[] = {{"y"}};
constexpr PortDef kIndexedOut[] = {{"y"}, {"indices"}};

constexpr AttrDef kKernel = {"kernel", AttrKind::integers, "", "window size per spatial dim"};
constexpr AttrDef kStride = {"stride", AttrKind::integers, "", "step of the window per spatial dim"};
constexpr AttrDef kCeil = {"ceil_mode", AttrKind::boolean, "false",
                           "round the output size up; a window never starts in the padding at the end"};
constexpr AttrDef kLayout = {"layout", AttrKind::string, "\"nchw\"", "nchw or nhwc"};

constexpr std::array<AttrDef, 7> max_attrs(size_t rank) {
  return {{kKernel,
           kStride,
           {"pad_begin", AttrKind::integers, kZeros[rank - 1], "padding (never the maximum) before the first element"},
           {"pad_end", AttrKind::integers, kZeros[rank - 1], "padding after the last element"},
           {"dilation", AttrKind::integers, kOnes[rank - 1], "distance between taps"},
           kCeil,
           kLayout}};
}

constexpr std::array<AttrDef, 8> avg_attrs(size_t rank) {
  return {{kKernel,
           kStride,
           {"pad_begin", AttrKind::integers, kZeros[rank - 1], "zeros before the first element"},
           {"pad_end", AttrKind::integers, kZeros[rank - 1], "zeros after the last element"},
           kCeil,
           {"count_include_pad", AttrKind::boolean, "true", "padding counts in the divisor"},
           {"divisor_override", AttrKind::integer, "0", "divide by this instead of the count; 0 = the count"},
           kLayout}};
}

constexpr auto kMax1 = max_attrs(1);
constexpr auto kMax2 = max_attrs(2);
constexpr auto kMax3 = max_attrs(3);
constexpr auto kAvg1 = avg_attrs(1);
constexpr auto kAvg2 = avg_attrs(2);
constexpr auto kAvg3 = avg_attrs(3);

// PyTorch's pooling_output_shape.
Result<int64_t> pooled_size(int64_t in, const Window& w, size_t i, bool ceil_mode) {
  NPU_ASSIGN(const int64_t floor_size, window_output(in, w, i));
  const int64_t span = in + w.pad_begin[i] + w.pad_end[i] - w.reach(i);
  const bool one_more = ceil_mode && span % w.stride[i] != 0 && floor_size * w.stride[i] < in + w.pad_begin[i];
  return floor_size + (one_more ? 1 : 0);
}

template <size_t rank>
Result<Shape> pooled_shape(const InferCall& c) {
  NPU_TRY(check_image(c, 0, rank));
  const Ints& kernel = c.attrs.ints("kernel");
  if (kernel.size() != rank) {
    return Diag(diag::bad_attribute,
                fmt::format("{}: kernel has {} values, {} are needed", c.op.name, kernel.size(), rank));
  }
  NPU_ASSIGN(const Window w, read_window(c, kernel));
  Planes p = planes_of(c.in[0]->shape, channels_last(c.attrs));
  for (size_t i = 3 - rank; i < 3; ++i) {
    NPU_ASSIGN(p.size[i], pooled_size(p.size[i], w, i, c.attrs.b("ceil_mode")));
  }
  return shape_of(p, rank, channels_last(c.attrs));
}

template <size_t rank>
Result<std::vector<TensorType>> infer_max(const InferCall& c) {
  NPU_ASSIGN(Shape out, pooled_shape<rank>(c));
  if (c.in[0]->dtype == DType::boolean) {
    return Diag(diag::dtype_mismatch, fmt::format("{}: x is bool, a number type is needed", c.op.name));
  }
  std::vector<TensorType> types{{c.in[0]->dtype, out, nullptr}};
  if (c.op.out.size() == 2) types.push_back({DType::i64, std::move(out), nullptr});
  return types;
}

template <size_t rank>
Result<std::vector<TensorType>> infer_avg(const InferCall& c) {
  NPU_ASSIGN(Shape out, pooled_shape<rank>(c));
  if (!is_float(c.in[0]->dtype)) {
    return Diag(diag::dtype_mismatch,
                fmt::format("{}: x is {}, a float type is needed", c.op.name, to_string(*c.in[0])));
  }
  if (c.attrs.i("divisor_override") < 0) {
    return Diag(diag::bad_attribute, fmt::format("{}: divisor_override is negative", c.op.name));
  }
  return std::vector<TensorType>{{c.in[0]->dtype, std::move(out), nullptr}};
}

// Calls fn(batch, channel, od, oh, ow) for every output element.
template <class Fn>
void for_outputs(const Planes& out, Fn&& fn) {
  for (int64_t n = 0; n < out.n; ++n) {
    for (int64_t c = 0; c < out.c; ++c) {
      for (int64_t d = 0; d < out.size[0]; ++d) {
        for (int64_t h = 0; h < out.size[1]; ++h) {
          for (int64_t w = 0; w < out.size[2]; ++w) fn(n, c, Int3{d, h, w});
        }
      }
    }
  }
}

// Input positions of one window along dim i: first, one past the last, step.
struct Taps {
  int64_t begin, end, step;
};

Taps taps_of(const Window& w, size_t i, int64_t o, int64_t in) {
  const int64_t start = o * w.stride[i] - w.pad_begin[i];
  const int64_t skipped = start < 0 ? (-start + w.dilation[i] - 1) / w.dilation[i] : 0;
  return {start + skipped * w.dilation[i], std::min(start + w.reach(i), in), w.dilation[i]};
}

// NaN wins over every number, as in PyTorch. Padding never wins; a window over padding alone gives the lowest value.
template <class T>
void max_pool(const EvalCall& c, size_t rank) {
  const Operand<T> x(c.in[0]);
  Target<T> y(c.out[0]);
  const bool nhwc = channels_last(c.attrs);
  const Planes in = planes_of(c.in[0].shape, nhwc), out = planes_of(c.out[0].shape, nhwc);
  const Window w = window_of(c.attrs, std::span<const int64_t>(c.attrs.ints("kernel")).first(rank));
  int64_t* indices = c.out.size() == 2 ? c.out[1].as<int64_t>() : nullptr;
  for_outputs(out, [&](int64_t n, int64_t ch, const Int3& o) {
    const Taps d = taps_of(w, 0, o[0], in.size[0]), h = taps_of(w, 1, o[1], in.size[1]),
               v = taps_of(w, 2, o[2], in.size[2]);
    T best =
        std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
    int64_t where = (std::min(d.begin, in.size[0] - 1) * in.size[1] + std::min(h.begin, in.size[1] - 1)) * in.size[2] +
                    std::min(v.begin, in.size[2] - 1);
    for (int64_t id = d.begin; id < d.end; id += d.step) {
      for (int64_t ih = h.begin; ih < h.end; ih += h.step) {
        for (int64_t iw = v.begin; iw < v.end; iw += v.step) {
          const T value = x[in.offset(n, ch) + in.at(id, ih, iw)];
          if (!(value > best || value != value)) continue;
          best = value;
          where = (id * in.size[1] + ih) * in.size[2] + iw;
        }
      }
    }
    const int64_t at = out.offset(n, ch) + out.at(o[0], o[1], o[2]);
    y.data()[at] = best;
    if (indices) indices[at] = where;
  });
  y.store();
}

template <class T>
void avg_pool(const EvalCall& c, size_t rank) {
  const Operand<T> x(c.in[0]);
  Target<T> y(c.out[0]);
  const bool nhwc = channels_last(c.attrs);
  const Planes in = planes_of(c.in[0].shape, nhwc), out = planes_of(c.out[0].shape, nhwc);
  const Window w = window_of(c.attrs, std::span<const int64_t>(c.attrs.ints("kernel")).first(rank));
  const int64_t divisor = c.attrs.i("divisor_override");
  const bool include_pad = c.attrs.b("count_include_pad");
  for_outputs(out, [&](int64_t n, int64_t ch, const Int3& o) {
    Int3 begin, end;
    int64_t padded = 1, inside = 1;
    for (size_t i = 0; i < 3; ++i) {
      const int64_t start = o[i] * w.stride[i] - w.pad_begin[i];
      padded *= std::min(start + w.kernel[i], in.size[i] + w.pad_end[i]) - start;
      begin[i] = std::max<int64_t>(start, 0);
      end[i] = std::min(start + w.kernel[i], in.size[i]);
      inside *= std::max<int64_t>(end[i] - begin[i], 0);
    }
    double sum = 0;
    for (int64_t id = begin[0]; id < end[0]; ++id) {
      for (int64_t ih = begin[1]; ih < end[1]; ++ih) {
        for (int64_t iw = begin[2]; iw < end[2]; ++iw) sum += double(x[in.offset(n, ch) + in.at(id, ih, iw)]);
      }
    }
    const int64_t count = divisor ? divisor : include_pad ? padded : inside;
    y.data()[out.offset(n, ch) + out.at(o[0], o[1], o[2])] =
        inside == 0 ? T{} : static_cast<T>(sum / static_cast<double>(count));
  });
  y.store();
}

template <size_t rank>
Status eval_max(const EvalCall& c) {
  with_compute(c.in[0].dtype, [&]<class T>() { max_pool<T>(c, rank); });
  return {};
}

template <size_t rank>
Status eval_avg(const EvalCall& c) {
  with_float_compute(c.in[0].dtype, [&]<class T>() { avg_pool<T>(c, rank); });
  return {};
}

constexpr AxisRule axes_of(size_t rank) { return {rank == 2 ? AxisRule::spatial : AxisRule::opaque}; }

template <size_t rank>
constexpr OpDef max_row(std::string_view name, std::span<const AttrDef> attrs) {
  return {.name = name,
          .doc = "Maximum over each window of x [N,C,spatial...].",
          .in = kIn,
          .out = kOut,
          .attrs = rank == 2 ? attrs : attrs.first(attrs.size() - 1),
          .infer = infer_max<rank>,
          .eval = eval_max<rank>,
          .axes = axes_of(rank),
          .quant = QuantRule::same_as_input};
}

template <size_t rank>
constexpr OpDef indexed_row(std::string_view name, std::span<const AttrDef> attrs) {
  OpDef row = max_row<rank>(name, attrs.first(attrs.size() - 1));
  row.attrs = attrs.first(attrs.size() - 1);
  row.doc = "max_pool with, as second result, the row-major index of each maximum inside its input plane (i64).";
  row.out = kIndexedOut;
  row.axes = {AxisRule::opaque};
  return row;
}

template <size_t rank>
constexpr OpDef avg_row(std::string_view name, std::span<const AttrDef> attrs) {
  return {.name = name,
          .doc = "Mean over each window of x [N,C,spatial...].",
          .in = kIn,
          .out = kOut,
          .attrs = rank == 2 ? attrs : attrs.first(attrs.size() - 1),
          .infer = infer_avg<rank>,
          .eval = eval_avg<rank>,
          .exact = Exactness::accumulation,
          .axes = axes_of(rank),
          .quant = QuantRule::same_as_input};
}

constexpr OpDef kRows[] = {
    max_row<1>("max_pool1d", kMax1),
    max_row<2>("max_pool2d", kMax2),
    max_row<3>("max_pool3d", kMax3),
    indexed_row<1>("max_pool1d_with_indices", kMax1),
    indexed_row<2>("max_pool2d_with_indices", kMax2),
    indexed_row<3>("max_pool3d_with_indices", kMax3),
    avg_row<1>("avg_pool1d", kAvg1),
    avg_row<2>("avg_pool2d", kAvg2),
    avg_row<3>("avg_pool3d", kAvg3),
};

}  // namespace

std::span<const OpDef> ops_pool() { return kRows; }

}  // namespace npuport
