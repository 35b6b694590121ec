// Adaptive pooling whose windows do not all have one size: window i covers [floor(i*in/out), ceil((i+1)*in/out)).
#include <fmt/format.h>

#include <limits>
#include <vector>

#include "ops/support/compute.h"
#include "ops/support/spatial.h"

namespace npuport {
namespace {

constexpr PortDef kIn[] = {{"x"}};
constexpr PortDef kOut[] = {{"y"}};
constexpr PortDef kIndexedOut[] = {{"y"}, {"indices"}};
constexpr AttrDef kAttrs[] = {
    {"output_size", AttrKind::integers, "", "result size per spatial dim"},
    {"layout", AttrKind::string, "\"nchw\"", "nchw or nhwc"},
};
constexpr std::span<const AttrDef> kSizeOnly = std::span(kAttrs).first(1);

template <size_t rank>
Result<std::vector<TensorType>> infer(const InferCall& c) {
  NPU_TRY(check_image(c, 0, rank));
  const TensorType& x = *c.in[0];
  if (!is_float(x.dtype)) {
    return Diag(diag::dtype_mismatch, fmt::format("{}: x is {}, a float type is needed", c.op.name, to_string(x)));
  }
  const Ints& size = c.attrs.ints("output_size");
  if (size.size() != rank) {
    return Diag(diag::bad_attribute,
                fmt::format("{}: output_size has {} values, {} are needed", c.op.name, size.size(), rank));
  }
  Planes p = planes_of(x.shape, channels_last(c.attrs));
  for (size_t i = 0; i < rank; ++i) {
    if (size[i] < 0 || p.size[3 - rank + i] < 1) {
      return Diag(diag::bad_attribute, fmt::format("{}: cannot pool x {} to {}", c.op.name, to_string(x),
                                                   to_string(std::span<const int64_t>(size))));
    }
    p.size[3 - rank + i] = size[i];
  }
  Shape out = shape_of(p, rank, channels_last(c.attrs));
  NPU_TRY(check_shape(out));
  std::vector<TensorType> types{{x.dtype, out, nullptr}};
  if (c.op.out.size() == 2) types.push_back({DType::i64, std::move(out), nullptr});
  return types;
}

struct Span3 {
  Int3 begin, end;
};

Span3 window_at(const Planes& in, const Planes& out, const Int3& o) {
  Span3 s;
  for (size_t i = 0; i < 3; ++i) {
    s.begin[i] = o[i] * in.size[i] / out.size[i];
    s.end[i] = ((o[i] + 1) * in.size[i] + out.size[i] - 1) / out.size[i];
  }
  return s;
}

// Calls fn(element offset, index in the plane) for every element of the window.
template <class Fn>
void for_window(const Planes& in, int64_t plane, const Span3& s, Fn&& fn) {
  for (int64_t d = s.begin[0]; d < s.end[0]; ++d) {
    for (int64_t h = s.begin[1]; h < s.end[1]; ++h) {
      for (int64_t w = s.begin[2]; w < s.end[2]; ++w) {
        fn(plane + in.at(d, h, w), (d * in.size[1] + h) * in.size[2] + w);
      }
    }
  }
}

template <class T, bool maximum>
void pool(const EvalCall& c) {
  const Operand<T> x(c.in[0]);
  Target<T> y(c.out[0]);
  const Planes in = planes_of(c.in[0].shape, channels_last(c.attrs));
  const Planes out = planes_of(c.out[0].shape, channels_last(c.attrs));
  int64_t* indices = maximum ? c.out[1].as<int64_t>() : nullptr;
  for (int64_t n = 0; n < out.n; ++n) {
    for (int64_t ch = 0; ch < out.c; ++ch) {
      for (int64_t p = 0; p < out.pixels(); ++p) {
        const Int3 o{p / (out.size[1] * out.size[2]), p / out.size[2] % out.size[1], p % out.size[2]};
        const Span3 s = window_at(in, out, o);
        const int64_t at = out.offset(n, ch) + out.at(o[0], o[1], o[2]);
        if constexpr (maximum) {
          T best = -std::numeric_limits<T>::infinity();
          int64_t where = (s.begin[0] * in.size[1] + s.begin[1]) * in.size[2] + s.begin[2];
          for_window(in, in.offset(n, ch), s, [&](int64_t from, int64_t index) {
            if (x[from] > best || x[from] != x[from]) best = x[from], where = index;
          });
          y.data()[at] = best;
          indices[at] = where;
        } else {
          double sum = 0;
          int64_t count = 0;
          for_window(in, in.offset(n, ch), s, [&](int64_t from, int64_t) { sum += double(x[from]), ++count; });
          y.data()[at] = static_cast<T>(sum / static_cast<double>(count));
        }
      }
    }
  }
  y.store();
}

template <bool maximum>
Status eval(const EvalCall& c) {
  with_float_compute(c.in[0].dtype, [&]<class T>() { pool<T, maximum>(c); });
  return {};
}

template <size_t rank>
constexpr OpDef avg_row(std::string_view name) {
  return {.name = name,
          .doc = "Mean over windows that divide each spatial dim of x [N,C,spatial...] into output_size parts.",
          .in = kIn,
          .out = kOut,
          .attrs = rank == 2 ? std::span<const AttrDef>(kAttrs) : kSizeOnly,
          .infer = infer<rank>,
          .eval = eval<false>,
          .exact = Exactness::accumulation,
          .axes = {rank == 2 ? AxisRule::spatial : AxisRule::opaque},
          .quant = QuantRule::same_as_input};
}

template <size_t rank>
constexpr OpDef max_row(std::string_view name) {
  return {.name = name,
          .doc =
              "Maximum over windows that divide each spatial dim of x [N,C,spatial...] into output_size parts, and "
              "its row-major index inside the input plane (i64).",
          .in = kIn,
          .out = kIndexedOut,
          .attrs = kSizeOnly,
          .infer = infer<rank>,
          .eval = eval<true>,
          .quant = QuantRule::same_as_input};
}

constexpr OpDef kRows[] = {
    avg_row<1>("adaptive_avg_pool1d"), avg_row<2>("adaptive_avg_pool2d"), avg_row<3>("adaptive_avg_pool3d"),
    max_row<1>("adaptive_max_pool1d"), max_row<2>("adaptive_max_pool2d"), max_row<3>("adaptive_max_pool3d"),
};

}  // namespace

std::span<const OpDef> ops_adaptive_pool() { return kRows; }

}  // namespace npuport
