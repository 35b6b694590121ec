// Resizing and sampling.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

// What happens along one axis.
struct Axis {
  int64_t in = 0, out = 0;
  double scale = 1;           // as given, or out / in
  double start = 0, end = 1;  // roi of tf_crop_and_resize
  bool sized = false;         // the scale is out / in
};

struct Resize {
  std::string mode, where, nearest;
  double cubic = -0.75, fill = 0;
  bool outside = false, antialias = false;
};

// Where element `o` of the result lies in the input, in elements.
double source(const Resize& r, const Axis& a, int64_t o) {
  const auto x = static_cast<double>(o);
  const double in = static_cast<double>(a.in), out = static_cast<double>(a.out);
  if (r.where == "align_corners") {
    const double length = a.scale * in;  // not rounded where a scale was given
    return length == 1 ? 0 : x * (in - 1) / (length - 1);
  }
  // Of whole sizes in one step, so that what falls on a border stays there.
  const auto back = [&](double v) { return a.sized ? v * in / out : v / a.scale; };
  if (r.where == "asymmetric") return back(x);
  if (r.where == "pytorch_half_pixel") return a.out == 1 ? 0 : back(x + 0.5) - 0.5;
  if (r.where == "tf_half_pixel_for_nn") return back(x + 0.5);
  if (r.where == "tf_crop_and_resize") {
    if (a.out == 1) return 0.5 * (a.start + a.end) * (in - 1);
    return a.start * (in - 1) + x * (a.end - a.start) * (in - 1) / (out - 1);
  }
  if (r.where == "half_pixel_symmetric") {
    // The result is centred over the input even where scale and size disagree.
    const double adjustment = out / (a.scale * in);
    return in / 2 * (1 - adjustment) + (x + 0.5) / a.scale - 0.5;
  }
  return back(x + 0.5) - 0.5;
}

int64_t nearest_of(const Resize& r, double x) {
  if (r.nearest == "floor") return static_cast<int64_t>(std::floor(x));
  if (r.nearest == "ceil") return static_cast<int64_t>(std::ceil(x));
  if (r.nearest == "round_prefer_ceil") return static_cast<int64_t>(std::floor(x + 0.5));
  return static_cast<int64_t>(std::ceil(x - 0.5));
}

double cubic_weight(double a, double x) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// One row of the interpolation matrix: weights of the input elements for result element `o`.
Reals weights(const Resize& r, const Axis& a, int64_t o) {
  Reals row(static_cast<size_t>(a.in), 0.0);
  const double x = source(r, a, o);
  const auto add = [&](int64_t k, double w) { row[static_cast<size_t>(std::clamp<int64_t>(k, 0, a.in - 1))] += w; };
  const auto base = static_cast<int64_t>(std::floor(x));
  // When shrinking with antialias the filter widens by the ratio and is normalised.
  const double stretch = r.antialias ? std::min(a.scale, 1.0) : 1.0;
  const bool linear = r.mode == "linear";
  const auto reach = static_cast<int64_t>(std::ceil((linear ? 1.0 : 2.0) / stretch));
  double sum = 0;
  std::vector<std::pair<int64_t, double>> taps;
  for (int64_t k = base - reach; k <= base + reach + 1; ++k) {
    const double d = (static_cast<double>(k) - x) * stretch;
    const double w = linear ? std::max(1 - std::fabs(d), 0.0) : cubic_weight(r.cubic, d);
    const bool inside = k >= 0 && k < a.in;
    if (w == 0 || (r.outside && !inside)) continue;
    taps.emplace_back(k, w);
    sum += w;
  }
  for (const auto& [k, w] : taps) add(k, r.outside || r.antialias ? w / sum : w);
  return row;
}

// Each axis by itself: a gather for nearest, a product with a constant matrix otherwise.
ValueId along(Builder& b, ValueId x, int64_t axis, const Resize& r, const Axis& a) {
  if (r.mode == "nearest") {
    Ints at;
    for (int64_t o = 0; o < a.out; ++o) at.push_back(std::clamp<int64_t>(nearest_of(r, source(r, a, o)), 0, a.in - 1));
    return aten::take_constant(b, x, at, axis);
  }
  Tensor m = Tensor::zeros(DType::f64, {a.out, a.in});
  for (int64_t o = 0; o < a.out; ++o) {
    const Reals row = weights(r, a, o);
    std::copy(row.begin(), row.end(), m.mut<double>().begin() + o * a.in);
  }
  const auto last = static_cast<int64_t>(b.shape(x).size()) - 1;
  const ValueId matrix = b.constant(cast_tensor(m, b.dtype(x)));
  const ValueId lines = ox::move_axis(b, x, axis, last);
  if (last == 0) {
    const ValueId y = b.op("matmul", {b.reshape(lines, {1, a.in}), matrix}, {{"transpose_b", true}});
    return b.reshape(y, {a.out});
  }
  return ox::move_axis(b, b.op("matmul", {lines, matrix}, {{"transpose_b", true}}), last, axis);
}

// resize1d to resize3d where they mean the same; invalid otherwise.
ValueId plain(OnnxRead& c, ValueId x, const Resize& r, const std::vector<Axis>& axes) {
  const size_t rank = axes.size();
  if (rank < 3 || rank > 5 || !is_float(c.b.dtype(x)) || r.outside || r.antialias) return {};
  Ints size;
  Reals scales;
  for (size_t d = 0; d < rank; ++d) {
    if (d < 2 && axes[d].in != axes[d].out) return {};
    if (d < 2) continue;
    size.push_back(axes[d].out);
    scales.push_back(axes[d].scale);
    if (axes[d].out == 1 && axes[d].in != 1 && r.where != "half_pixel") return {};
    const double exact = axes[d].scale * static_cast<double>(axes[d].in);
    if (r.where == "align_corners" && std::fabs(exact - static_cast<double>(axes[d].out)) > 1e-6) return {};
  }
  std::string mode = r.mode;
  bool corners = false;
  if (r.mode == "nearest") {
    const bool whole =
        std::all_of(axes.begin(), axes.end(), [](const Axis& a) { return a.scale == std::floor(a.scale); });
    const bool floored = r.where == "asymmetric" && r.nearest == "floor";
    // For whole ratios the rounded centre is the floor as well.
    const bool centred =
        whole && (r.where == "half_pixel" || r.where == "pytorch_half_pixel") && r.nearest == "round_prefer_floor";
    if (!floored && !centred) return {};
  } else {
    corners = r.where == "align_corners";
    if (!corners && r.where != "half_pixel" && r.where != "pytorch_half_pixel") return {};
    if (r.mode == "cubic" && (r.cubic != -0.75 || rank != 4)) return {};
  }
  std::vector<Attr> attrs{{"size", size}, {"mode", mode}, {"align_corners", corners}};
  if (!corners) attrs.emplace_back("scales", scales);
  return c.b.op(fmt::format("resize{}d", rank - 2), {x}, std::move(attrs));
}

void resize(OnnxRead& c, const Resize& r, const std::vector<Axis>& axes) {
  Builder& b = c.b;
  ValueId x = c.in(0);
  if (c.stopped()) return;
  const bool integers = !is_float(b.dtype(x));
  if (integers && r.mode != "nearest") return c.refuse("of integers");
  bool same = r.where != "tf_crop_and_resize";
  for (const Axis& a : axes) {
    if (a.in < 1 || a.out < 1) return c.refuse("of an empty tensor");
    if (a.out > (1 << 20)) return c.fail(Diag(diag::too_large, fmt::format("a size of {}", a.out)));
    if (r.mode != "nearest" && a.in * a.out > (1 << 26)) return c.refuse("of an axis that long");
    same = same && a.in == a.out && a.scale == 1;
  }
  if (same) return c.ret(x);
  if (const ValueId y = plain(c, x, r, axes); y.valid() || c.stopped()) return c.ret(y);
  const DType type = b.dtype(x);
  std::vector<std::vector<bool>> outside(axes.size());
  for (size_t d = 0; d < axes.size() && !b.failed(); ++d) {
    const Axis& a = axes[d];
    if (r.where == "tf_crop_and_resize") {
      for (int64_t o = 0; o < a.out; ++o) {
        const double at = source(r, a, o);
        outside[d].push_back(at < 0 || at > static_cast<double>(a.in - 1));
      }
    } else if (a.in == a.out && a.scale == 1) {
      continue;
    }
    x = along(b, x, static_cast<int64_t>(d), r, a);
  }
  // What lies outside the crop in any dim takes the extrapolation value.
  for (size_t d = 0; d < axes.size() && !b.failed(); ++d) {
    if (std::find(outside[d].begin(), outside[d].end(), true) == outside[d].end()) continue;
    Shape line(axes.size(), 1);
    line[d] = axes[d].out;
    Tensor mask = Tensor::zeros(DType::boolean, line);
    for (size_t i = 0; i < outside[d].size(); ++i) mask.mut<bool>()[i] = outside[d][i];
    x = b.op("where", {b.constant(std::move(mask)), b.scalar(r.fill, type), x});
  }
  c.ret(x);
}

// sizes with an aspect ratio that is kept: the scale that fits all axes.
void keep_ratio(const std::string& policy, std::vector<Axis>& axes, const Ints& chosen) {
  std::optional<double> scale;
  for (const int64_t d : chosen) {
    const double s = axes[static_cast<size_t>(d)].scale;
    if (!scale) scale = s;
    scale = policy == "not_larger" ? std::min(*scale, s) : std::max(*scale, s);
  }
  for (const int64_t d : chosen) {
    Axis& a = axes[static_cast<size_t>(d)];
    a.scale = *scale;
    a.out = static_cast<int64_t>(std::floor(*scale * static_cast<double>(a.in) + 0.5));
  }
}

void read_resize(OnnxRead& c) {
  const Shape shape = c.shape(0);
  Resize r{c.s("mode", "nearest"), c.s("coordinate_transformation_mode", "half_pixel"),
           c.s("nearest_mode", "round_prefer_floor")};
  r.cubic = c.f("cubic_coeff_a", -0.75);
  r.fill = c.f("extrapolation_value", 0);
  r.outside = c.i("exclude_outside", 0) != 0;
  r.antialias = c.i("antialias", 0) != 0;
  const bool first = c.opset() < 11;  // opset 10: inputs x, scales; asymmetric, floor
  if (first) r.where = "asymmetric", r.nearest = "floor";
  const size_t scales_at = first ? 1 : 2;
  const Ints chosen = c.has_attr("axes") ? c.axes(c.ints("axes"), shape.size()) : ox::all_axes(shape.size());
  const auto empty = [&](size_t k) { return !c.has(k) || element_count(c.shape(k)) == 0; };
  if (c.stopped()) return;
  const Reals scales = empty(scales_at) ? Reals{} : c.const_reals(scales_at);
  const Ints sizes = !first && !empty(3) ? c.const_ints(3) : Ints{};
  const Reals roi = !first && r.where == "tf_crop_and_resize" && !empty(1) ? c.const_reals(1) : Reals{};
  if (c.stopped()) return;
  if ((scales.size() != chosen.size()) == (sizes.size() != chosen.size()) && !shape.empty()) {
    return c.fail(Diag(diag::corrupt, "Resize needs scales or sizes, one for each axis"));
  }
  if (r.mode != "nearest" && r.mode != "linear" && r.mode != "cubic") {
    return c.fail(Diag(diag::bad_attribute, "mode = " + r.mode));
  }
  std::vector<Axis> axes;
  for (const int64_t n : shape) axes.push_back({n, n});
  for (size_t i = 0; i < chosen.size(); ++i) {
    Axis& a = axes[static_cast<size_t>(chosen[i])];
    if (!scales.empty()) {
      a.scale = scales[i];
      if (!(a.scale > 0) || a.scale * static_cast<double>(a.in) > 1e9) {
        return c.fail(Diag(diag::bad_attribute, fmt::format("a scale of {}", a.scale)));
      }
      a.out = static_cast<int64_t>(std::floor(static_cast<double>(a.in) * a.scale));
    } else {
      a.out = sizes[i];
      a.scale = static_cast<double>(a.out) / static_cast<double>(std::max<int64_t>(a.in, 1));
      a.sized = a.out > 0 && c.s("keep_aspect_ratio_policy", "stretch") == "stretch";
    }
    if (!roi.empty()) {
      if (roi.size() != 2 * chosen.size()) return c.fail(Diag(diag::corrupt, "roi of Resize"));
      a.start = roi[i], a.end = roi[i + chosen.size()];
    }
  }
  if (first && r.mode == "nearest" &&
      std::any_of(axes.begin(), axes.end(), [](const Axis& a) { return a.scale < 1; })) {
    return c.refuse("nearest, shrinking, of opset 10: the standard does not say which neighbour");
  }
  const std::string policy = c.s("keep_aspect_ratio_policy", "stretch");
  if (!sizes.empty() && policy != "stretch") keep_ratio(policy, axes, chosen);
  resize(c, r, axes);
}

void read_upsample(OnnxRead& c) {
  const Shape shape = c.shape(0);
  Resize r{c.s("mode", "nearest"), "asymmetric", "floor"};
  const Reals scales = c.opset() < 9 ? c.reals("scales") : c.const_reals(1);
  if (c.stopped()) return;
  if (scales.size() != shape.size()) return c.fail(Diag(diag::corrupt, "Upsample needs a scale for each dim"));
  if (r.mode == "bilinear") r.mode = "linear";
  std::vector<Axis> axes;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (!(scales[d] > 0) || scales[d] * static_cast<double>(shape[d]) > 1e9) {
      return c.fail(Diag(diag::bad_attribute, fmt::format("a scale of {}", scales[d])));
    }
    axes.push_back({shape[d], static_cast<int64_t>(std::floor(static_cast<double>(shape[d]) * scales[d])), scales[d]});
  }
  resize(c, r, axes);
}

void read_grid_sample(OnnxRead& c) {
  const ValueId x = c.in(0), grid = c.in(1);
  std::string mode = c.s("mode", "linear");
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  if (c.stopped()) return;
  if (mode == "cubic" && c.b.shape(x).size() != 4) return c.refuse("cubic in three dims");
  c.ret(c.b.op("grid_sample", {x, c.b.cast(grid, c.b.dtype(x))},
               {{"mode", mode},
                {"padding_mode", c.s("padding_mode", "zeros")},
                {"align_corners", c.i("align_corners", 0) != 0}}));
}

// theta · (x, y[, z], 1) at every place of a grid over [-1, 1].
void read_affine_grid(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId theta = c.in(0);
  const Ints size = c.const_ints(1);
  const bool corners = c.i("align_corners", 0) != 0;
  if (c.stopped()) return;
  const size_t n = size.size() < 4 ? 0 : size.size() - 2;
  const auto d = static_cast<int64_t>(n);
  if (n < 2 || n > 3 || !check_shape(size) || b.shape(theta) != Shape{size[0], d, d + 1}) {
    return c.fail(Diag(diag::shape_mismatch, "theta or size of AffineGrid"));
  }
  const Shape space(size.begin() + 2, size.end());
  const int64_t places = element_count(space);
  if (places > (1 << 24)) return c.fail(Diag(diag::too_large, "a grid of " + to_string(size)));
  Tensor base = Tensor::zeros(DType::f64, {places, d + 1});
  for (int64_t p = 0; p < places; ++p) {
    int64_t rest = p;
    for (size_t i = n; i-- > 0;) {
      const auto at = static_cast<double>(rest % space[i]), count = static_cast<double>(space[i]);
      rest /= space[i];
      const double v = corners ? (space[i] == 1 ? 0.0 : 2 * at / (count - 1) - 1) : (2 * at + 1) / count - 1;
      base.mut<double>()[static_cast<size_t>(p * (d + 1)) + (n - 1 - i)] = v;
    }
    base.mut<double>()[static_cast<size_t>(p * (d + 1) + d)] = 1;
  }
  const ValueId grid = b.op("matmul", {b.constant(cast_tensor(base, b.dtype(theta))), theta}, {{"transpose_b", true}});
  Shape out{size[0]};
  out.insert(out.end(), space.begin(), space.end());
  out.push_back(d);
  c.ret(b.reshape(grid, out));
}

constexpr OnnxRow rows[] = {
    {.name = "Resize", .since = 10, .read = read_resize},
    {.name = "Upsample", .since = 7, .until = 9, .read = read_upsample},
    {.name = "GridSample", .since = 16, .read = read_grid_sample},
    {.name = "AffineGrid", .since = 20, .read = read_affine_grid},
};

}  // namespace

std::span<const OnnxRow> onnx_resize() { return rows; }

}  // namespace npuport
