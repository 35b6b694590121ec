// Resizing of images and signals: resize1d, resize2d, resize3d.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "ops/support/compute.h"
#include "ops/support/spatial.h"

namespace npuport {
namespace {

constexpr PortDef kIn[] = {{"x"}};
constexpr PortDef kOut[] = {{"y"}};
constexpr AttrDef kAttrs[] = {
    {"size", AttrKind::integers, "", "result size per spatial dim"},
    {"mode", AttrKind::string, "\"nearest\"", "nearest, nearest_exact, linear, cubic or lanczos (antialias only)"},
    {"align_corners", AttrKind::boolean, "false", "corner elements keep their place: ratio (in-1)/(out-1)"},
    {"scales", AttrKind::reals, "[]", "per spatial dim: ratio 1/scale instead of in/out; empty = in/out"},
    {"antialias", AttrKind::boolean, "false", "widen the filter when shrinking"},
    {"layout", AttrKind::string, "\"nchw\"", "nchw or nhwc"},
};
constexpr std::string_view kDoc =
    "y[o] = sum over taps of x[source(o) + k] * filter: half-pixel source positions (o + 0.5) * ratio - 0.5, or "
    "o * ratio with align_corners; nearest takes floor(o * ratio), nearest_exact floor((o + 0.5) * ratio).";

enum class Mode : uint8_t { nearest, nearest_exact, linear, cubic, lanczos };

std::optional<Mode> parse_mode(std::string_view s) {
  if (s == "nearest") return Mode::nearest;
  if (s == "nearest_exact") return Mode::nearest_exact;
  if (s == "linear") return Mode::linear;
  if (s == "cubic") return Mode::cubic;
  if (s == "lanczos") return Mode::lanczos;
  return std::nullopt;
}

Status check_mode(const InferCall& c) {
  const std::optional<Mode> mode = parse_mode(c.attrs.s("mode"));
  const bool nearest = mode == Mode::nearest || mode == Mode::nearest_exact, antialias = c.attrs.b("antialias");
  if (!mode || (antialias && nearest) || (mode == Mode::lanczos && !antialias)) {
    return Diag(diag::bad_attribute,
                fmt::format("{}: mode \"{}\" with antialias={} is not known", c.op.name, c.attrs.s("mode"), antialias));
  }
  if (!nearest && !is_float(c.in[0]->dtype)) {
    return Diag(diag::dtype_mismatch, fmt::format("{}: mode {} needs a float type, x is {}", c.op.name,
                                                  c.attrs.s("mode"), to_string(*c.in[0])));
  }
  return {};
}

template <size_t rank>
Result<std::vector<TensorType>> infer(const InferCall& c) {
  NPU_TRY(check_image(c, 0, rank));
  NPU_TRY(check_mode(c));
  const Ints& size = c.attrs.ints("size");
  const Reals& scales = c.attrs.reals("scales");
  if (size.size() != rank || (!scales.empty() && scales.size() != rank)) {
    return Diag(diag::bad_attribute, fmt::format("{}: size has {} and scales {} values, {} are needed", c.op.name,
                                                 size.size(), scales.size(), rank));
  }
  Planes p = planes_of(c.in[0]->shape, channels_last(c.attrs));
  for (size_t i = 0; i < rank; ++i) {
    if (size[i] < 1 || p.size[3 - rank + i] < 1 || (!scales.empty() && !(scales[i] > 0))) {
      return Diag(diag::bad_attribute, fmt::format("{}: cannot resize {} to {}", c.op.name, to_string(*c.in[0]),
                                                   to_string(std::span<const int64_t>(size))));
    }
    p.size[3 - rank + i] = size[i];
  }
  Shape out = shape_of(p, rank, channels_last(c.attrs));
  NPU_TRY(check_shape(out));
  return std::vector<TensorType>{{c.in[0]->dtype, std::move(out), nullptr}};
}

// Which inputs each output along one dim takes, and how much of them: tap t of output o at [o * taps + t].
template <class T>
struct Table {
  int64_t taps = 1;
  std::vector<int64_t> index;
  std::vector<T> weight;
};

struct Axis {
  int64_t in, out;
  double scale;  // 0 = not given
  bool align_corners;
};

// Positions are computed in T, as PyTorch does: nearest neighbours flip with the last bit.
template <class T>
T ratio_of(const Axis& a) {
  if (a.align_corners) return a.out > 1 ? static_cast<T>(a.in - 1) / static_cast<T>(a.out - 1) : T(0);
  return a.scale > 0 ? static_cast<T>(1.0 / a.scale) : static_cast<T>(a.in) / static_cast<T>(a.out);
}

template <class T>
Table<T> nearest_table(const Axis& a, bool exact) {
  // PyTorch has float ratios here even for double images.
  const float ratio =
      a.scale > 0 ? static_cast<float>(1.0 / a.scale) : static_cast<float>(a.in) / static_cast<float>(a.out);
  Table<T> t;
  for (int64_t o = 0; o < a.out; ++o) {
    const float position = exact ? (static_cast<float>(o) + 0.5F) * ratio : static_cast<float>(o) * ratio;
    t.index.push_back(std::clamp<int64_t>(static_cast<int64_t>(std::floor(position)), 0, a.in - 1));
    t.weight.push_back(T(1));
  }
  return t;
}

template <class T>
T source_position(T ratio, int64_t o, bool align_corners) {
  return align_corners ? ratio * static_cast<T>(o) : ratio * (static_cast<T>(o) + T(0.5)) - T(0.5);
}

template <class T>
Table<T> linear_table(const Axis& a) {
  Table<T> t{2, {}, {}};
  for (int64_t o = 0; o < a.out; ++o) {
    const T position = std::max(source_position(ratio_of<T>(a), o, a.align_corners), T(0));
    const int64_t low = std::min(static_cast<int64_t>(position), a.in - 1);
    const T part = std::min(position - static_cast<T>(low), T(1));
    t.index.insert(t.index.end(), {low, std::min(low + 1, a.in - 1)});
    t.weight.insert(t.weight.end(), {T(1) - part, part});
  }
  return t;
}

// Keys' cubic convolution kernel with parameter a (R. Keys 1981).
template <class T>
T cubic_filter(T x, T a) {
  x = std::abs(x);
  if (x < T(1)) return ((a + T(2)) * x - (a + T(3))) * x * x + T(1);
  if (x < T(2)) return ((x - T(5)) * x + T(8)) * x * a - T(4) * a;
  return T(0);
}

template <class T>
Table<T> cubic_table(const Axis& a) {
  Table<T> t{4, {}, {}};
  for (int64_t o = 0; o < a.out; ++o) {
    const T position = source_position(ratio_of<T>(a), o, a.align_corners);
    const T low = std::floor(position);
    for (int64_t k = -1; k <= 2; ++k) {
      t.index.push_back(std::clamp<int64_t>(static_cast<int64_t>(low) + k, 0, a.in - 1));
      t.weight.push_back(cubic_filter<T>(position - low - static_cast<T>(k), T(-0.75)));
    }
  }
  return t;
}

template <class T>
T lanczos_filter(T x) {
  if (x <= T(-3) || x >= T(3)) return T(0);
  if (x == T(0)) return T(1);
  const T p = x * std::numbers::pi_v<T>;
  return T(3) * std::sin(p) * std::sin(p / T(3)) / (p * p);
}

template <class T>
T smooth_filter(Mode mode, T x) {
  if (mode == Mode::cubic) return cubic_filter<T>(x, T(-0.5));
  if (mode == Mode::lanczos) return lanczos_filter<T>(x);
  return std::max(T(1) - std::abs(x), T(0));
}

// Pillow's filter: its width grows with the ratio, weights are cut at the border and scaled to sum 1.
template <class T>
Table<T> antialias_table(const Axis& a, Mode mode) {
  const T ratio = ratio_of<T>(a), stretch = std::max(ratio, T(1));
  const T half = mode == Mode::linear ? T(1) : mode == Mode::cubic ? T(2) : T(3);
  const T support = half * stretch;
  Table<T> t{std::min(a.in, static_cast<int64_t>(std::ceil(support)) * 2 + 1), {}, {}};
  for (int64_t o = 0; o < a.out; ++o) {
    const T centre = ratio * (static_cast<T>(o) + T(0.5));
    const int64_t begin = std::max<int64_t>(static_cast<int64_t>(centre - support + T(0.5)), 0);
    const int64_t end = std::min(static_cast<int64_t>(centre + support + T(0.5)), a.in);
    T sum = 0;
    const size_t first = t.weight.size();
    for (int64_t k = 0; k < t.taps; ++k) {
      const bool inside = begin + k < end;
      const T w = inside ? smooth_filter<T>(mode, (static_cast<T>(begin + k) - centre + T(0.5)) / stretch) : T(0);
      t.index.push_back(std::min(begin + k, a.in - 1));
      t.weight.push_back(w);
      sum += w;
    }
    for (size_t k = first; sum != T(0) && k < t.weight.size(); ++k) t.weight[k] /= sum;
  }
  return t;
}

template <class T>
Table<T> make_table(const Axis& a, Mode mode, bool antialias) {
  if (mode == Mode::nearest || mode == Mode::nearest_exact) return nearest_table<T>(a, mode == Mode::nearest_exact);
  if (antialias) return antialias_table<T>(a, mode);
  return mode == Mode::linear ? linear_table<T>(a) : cubic_table<T>(a);
}

// The innermost dim: one sum per result, without the loops over rows.
template <class T>
void resample_row(const T* in, const Table<T>& t, int64_t out_size, T* out) {
  const int64_t* index = t.index.data();
  const T* weight = t.weight.data();
  if (t.taps == 1) {
    for (int64_t o = 0; o < out_size; ++o) out[o] = in[index[o]];
    return;
  }
  for (int64_t o = 0; o < out_size; ++o, index += t.taps, weight += t.taps) {
    T sum = in[index[0]] * weight[0];
    for (int64_t k = 1; k < t.taps; ++k) sum += in[index[k]] * weight[k];
    out[o] = sum;
  }
}

// out[outer, table.out, inner] from in[outer, size, inner].
template <class T>
void resample(const T* in, int64_t outer, int64_t size, int64_t inner, const Table<T>& t, int64_t out_size, T* out) {
  if (inner == 1) {
    for (int64_t n = 0; n < outer; ++n) resample_row(in + n * size, t, out_size, out + n * out_size);
    return;
  }
  for (int64_t n = 0; n < outer; ++n, in += size * inner) {
    for (int64_t o = 0; o < out_size; ++o, out += inner) {
      const int64_t* index = t.index.data() + o * t.taps;
      const T* weight = t.weight.data() + o * t.taps;
      const T* first = in + index[0] * inner;
      if (t.taps == 1) {
        std::copy_n(first, inner, out);
        continue;
      }
      for (int64_t i = 0; i < inner; ++i) out[i] = first[i] * weight[0];
      for (int64_t k = 1; k < t.taps; ++k) {
        const T* src = in + index[k] * inner;
        for (int64_t i = 0; i < inner; ++i) out[i] += src[i] * weight[k];
      }
    }
  }
}

template <class T>
void resize(const EvalCall& c, size_t rank) {
  const Operand<T> x(c.in[0]);
  Target<T> y(c.out[0]);
  const Mode mode = *parse_mode(c.attrs.s("mode"));
  const Reals& scales = c.attrs.reals("scales");
  const size_t first = channels_last(c.attrs) ? 1 : 2;
  Shape shape(c.in[0].shape.begin(), c.in[0].shape.end());
  std::vector<T> from(x.data(), x.data() + c.in[0].count()), to;
  for (size_t i = rank; i-- > 0;) {
    const size_t axis = first + i;
    const Axis a{shape[axis], c.attrs.ints("size")[i], scales.empty() ? 0.0 : scales[i], c.attrs.b("align_corners")};
    if (a.in == a.out && (scales.empty() || a.scale == 1.0)) continue;
    const Table<T> table = make_table<T>(a, mode, c.attrs.b("antialias"));
    const int64_t outer = element_count(std::span(shape).first(axis));
    const int64_t inner = element_count(std::span(shape).subspan(axis + 1));
    to.resize(static_cast<size_t>(outer * a.out * inner));
    resample(from.data(), outer, a.in, inner, table, a.out, to.data());
    shape[axis] = a.out;
    from.swap(to);
  }
  std::copy_n(from.data(), c.out[0].count(), y.data());
  y.store();
}

template <size_t rank>
Status eval(const EvalCall& c) {
  with_compute(c.in[0].dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, int64_t>) {
      // Only the nearest modes reach here; their tables hold no fractions.
      resize<double>(c, rank);
    } else {
      resize<T>(c, rank);
    }
  });
  return {};
}

template <size_t rank>
constexpr OpDef row(std::string_view name) {
  return {.name = name,
          .doc = kDoc,
          .in = kIn,
          .out = kOut,
          .attrs = std::span(kAttrs).first(rank == 2 ? 6 : 5),
          .infer = infer<rank>,
          .eval = eval<rank>,
          .exact = Exactness::accumulation,
          .axes = {rank == 2 ? AxisRule::spatial : AxisRule::opaque},
          .quant = QuantRule::same_as_input};
}

constexpr OpDef kRows[] = {row<1>("resize1d"), row<2>("resize2d"), row<3>("resize3d")};

}  // namespace

std::span<const OpDef> ops_resize() { return kRows; }

}  // namespace npuport
