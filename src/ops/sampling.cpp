// Sampling at computed positions: grid_sample in two and three spatial dims.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "ops/support/compute.h"
#include "ops/support/spatial.h"

namespace npuport {
namespace {

constexpr PortDef kIn[] = {{"x"}, {"grid"}};
constexpr PortDef kOut[] = {{"y"}};
constexpr AttrDef kAttrs[] = {
    {"mode", AttrKind::string, "\"linear\"", "nearest, linear or cubic (two spatial dims only)"},
    {"padding_mode", AttrKind::string, "\"zeros\"", "outside x: zeros, border or reflection"},
    {"align_corners", AttrKind::boolean, "false", "-1 and 1 are the centres, not the edges, of the corner elements"},
};

enum class Mode : uint8_t { nearest, linear, cubic };
enum class Padding : uint8_t { zeros, border, reflection };

std::optional<Mode> parse_mode(std::string_view s) {
  if (s == "nearest") return Mode::nearest;
  if (s == "linear") return Mode::linear;
  if (s == "cubic") return Mode::cubic;
  return std::nullopt;
}

std::optional<Padding> parse_padding(std::string_view s) {
  if (s == "zeros") return Padding::zeros;
  if (s == "border") return Padding::border;
  if (s == "reflection") return Padding::reflection;
  return std::nullopt;
}

Result<std::vector<TensorType>> infer(const InferCall& c) {
  const TensorType &x = *c.in[0], &grid = *c.in[1];
  const size_t rank = x.shape.size();
  const bool fits = (rank == 4 || rank == 5) && grid.shape.size() == rank && grid.shape[0] == x.shape[0] &&
                    grid.shape.back() == static_cast<int64_t>(rank) - 2;
  if (!fits) {
    return Diag(diag::shape_mismatch, fmt::format("grid_sample: x {} needs a grid [N, spatial..., {}], not {}",
                                                  to_string(x), rank < 3 ? 2 : rank - 2, to_string(grid)));
  }
  if (!is_float(x.dtype) || x.dtype != grid.dtype) {
    return Diag(diag::dtype_mismatch,
                fmt::format("grid_sample: x {} and grid {} need one float type", to_string(x), to_string(grid)));
  }
  const std::optional<Mode> mode = parse_mode(c.attrs.s("mode"));
  if (!mode || !parse_padding(c.attrs.s("padding_mode")) || (mode == Mode::cubic && rank == 5)) {
    return Diag(diag::bad_attribute, fmt::format("grid_sample: mode \"{}\", padding_mode \"{}\" for rank {}",
                                                 c.attrs.s("mode"), c.attrs.s("padding_mode"), rank));
  }
  if (std::any_of(x.shape.begin() + 2, x.shape.end(), [](int64_t n) { return n < 1; })) {
    return Diag(diag::shape_mismatch, fmt::format("grid_sample: x {} has no elements to sample", to_string(x)));
  }
  Shape out = grid.shape;
  out.pop_back();
  out.insert(out.begin() + 1, x.shape[1]);
  NPU_TRY(check_shape(out));
  return std::vector<TensorType>{{x.dtype, std::move(out), nullptr}};
}

// Reflects v at low/2 and high/2, as often as needed.
template <class T>
T reflect(T v, int64_t low, int64_t high) {
  if (low == high) return T(0);
  const T least = static_cast<T>(low) / T(2), span = static_cast<T>(high - low) / T(2);
  v = std::abs(v - least);
  const T extra = std::fmod(v, span);
  const bool even = std::fmod(std::floor(v / span), T(2)) == T(0);
  return even ? extra + least : span - extra + least;
}

template <class T>
T clip(T v, int64_t size) {
  // NaN and infinities go to the first element, as in PyTorch's comparisons.
  return std::min(static_cast<T>(size - 1), v > T(0) ? v : T(0));
}

template <class T>
struct Sampler {
  Padding padding;
  bool align_corners;

  // [-1, 1] to element positions.
  T position(T v, int64_t size) const {
    const T n = static_cast<T>(size);
    return align_corners ? (v + T(1)) / T(2) * (n - T(1)) : ((v + T(1)) * n - T(1)) / T(2);
  }
  T pad(T v, int64_t size) const {
    if (padding == Padding::zeros) return v;
    if (padding == Padding::reflection)
      v = align_corners ? reflect(v, 0, 2 * (size - 1)) : reflect(v, -1, 2 * size - 1);
    return clip(v, size);
  }
};

// Elements along one dim and their weights; index -1 = outside.
template <class T>
struct Taps {
  int count = 0;
  int64_t index[4];
  T weight[4];

  void add(T at, T w, int64_t size) {
    index[count] = at >= T(0) && at <= static_cast<T>(size - 1) ? static_cast<int64_t>(at) : -1;
    weight[count++] = w;
  }
};

// Keys' cubic kernel with a = -0.75 at distance d.
template <class T>
T cubic(T d) {
  constexpr T a = T(-0.75);
  d = std::abs(d);
  if (d <= T(1)) return ((a + T(2)) * d - (a + T(3))) * d * d + T(1);
  return ((a * d - T(5) * a) * d + T(8) * a) * d - T(4) * a;
}

template <class T>
Taps<T> taps_at(const Sampler<T>& s, Mode mode, T coordinate, int64_t size) {
  Taps<T> taps;
  const T raw = s.position(coordinate, size);
  if (mode == Mode::cubic) {
    const T low = std::floor(raw), part = raw - low;
    for (int k = -1; k <= 2; ++k) taps.add(s.pad(low + static_cast<T>(k), size), cubic(part - static_cast<T>(k)), size);
    return taps;
  }
  const T v = s.pad(raw, size);
  if (mode == Mode::nearest) {
    taps.add(std::nearbyint(v), T(1), size);
    return taps;
  }
  const T low = std::floor(v);
  taps.add(low, low + T(1) - v, size);
  taps.add(low + T(1), v - low, size);
  return taps;
}

template <class T>
void sample(const EvalCall& c) {
  const Operand<T> x(c.in[0]), grid(c.in[1]);
  Target<T> y(c.out[0]);
  const Mode mode = *parse_mode(c.attrs.s("mode"));
  const Sampler<T> s{*parse_padding(c.attrs.s("padding_mode")), c.attrs.b("align_corners")};
  const Planes in = planes_of(c.in[0].shape, false), out = planes_of(c.out[0].shape, false);
  const int64_t dims = static_cast<int64_t>(c.in[0].shape.size()) - 2;
  for (int64_t n = 0; n < out.n; ++n) {
    for (int64_t p = 0; p < out.pixels(); ++p) {
      const T* at = grid.data() + (n * out.pixels() + p) * dims;
      // The grid holds (x, y[, z]): the last spatial dim comes first.
      Taps<T> d;
      d.add(T(0), T(1), 1);
      if (dims == 3) d = taps_at(s, mode, at[2], in.size[0]);
      const Taps<T> h = taps_at(s, mode, at[1], in.size[1]), w = taps_at(s, mode, at[0], in.size[2]);
      // The elements inside and their weights are those of every channel.
      int count = 0;
      std::array<int64_t, 64> offset;
      std::array<T, 64> weight;
      for (int a = 0; a < d.count; ++a) {
        for (int b = 0; b < h.count; ++b) {
          for (int e = 0; e < w.count; ++e) {
            if (d.index[a] < 0 || h.index[b] < 0 || w.index[e] < 0) continue;
            offset[static_cast<size_t>(count)] = in.at(d.index[a], h.index[b], w.index[e]);
            weight[static_cast<size_t>(count++)] = d.weight[a] * h.weight[b] * w.weight[e];
          }
        }
      }
      for (int64_t ch = 0; ch < out.c; ++ch) {
        const T* plane = x.data() + in.offset(n, ch);
        T sum = 0;
        for (size_t k = 0; k < static_cast<size_t>(count); ++k) sum += plane[offset[k]] * weight[k];
        y.data()[out.offset(n, ch) + p] = sum;
      }
    }
  }
  y.store();
}

Status eval(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { sample<T>(c); });
  return {};
}

constexpr OpDef kRows[] = {
    {.name = "grid_sample",
     .doc = "y[n,c,p] = x[n,c] interpolated at grid[n,p] = (x, y[, z]) in [-1, 1]; x [N,C,H,W] or [N,C,D,H,W].",
     .in = kIn,
     .out = kOut,
     .attrs = kAttrs,
     .infer = infer,
     .eval = eval,
     .exact = Exactness::accumulation},
};

}  // namespace

std::span<const OpDef> ops_sampling() { return kRows; }

}  // namespace npuport
