// Resizing, sampling, regions.
#include <fmt/format.h>

#include <cmath>

#include "ir/registry.h"
#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

// One spatial dim: `scale` as the node gives it, 0 = none.
struct Axis {
  size_t dim;
  int64_t in, out;
  double scale;
};

std::vector<Axis> axes_of_resize(const OnnxEmit& c, const Shape& in, const Shape& out) {
  const Reals& scales = c.attr().reals("scales");
  std::vector<Axis> axes;
  for (size_t d = 2; d < in.size(); ++d) {
    const Axis a{d, in[d], out[d], scales.empty() ? 0 : scales[d - 2]};
    if (a.in != a.out || (a.scale != 0 && a.scale != 1)) axes.push_back(a);
  }
  return axes;
}

// Source positions of nearest neighbours: as our row has them, and as runtimes compute them from the sizes. float
// arithmetic may put the two on different sides of a border.
Ints nearest_wanted(const Axis& a, bool exact) {
  const float ratio =
      a.scale > 0 ? static_cast<float>(1.0 / a.scale) : static_cast<float>(a.in) / static_cast<float>(a.out);
  Ints index;
  for (int64_t o = 0; o < a.out; ++o) {
    const float at = exact ? (static_cast<float>(o) + 0.5F) * ratio : static_cast<float>(o) * ratio;
    index.push_back(std::clamp<int64_t>(static_cast<int64_t>(std::floor(at)), 0, a.in - 1));
  }
  return index;
}

Ints nearest_of_runtime(const Axis& a, bool exact) {
  const float scale = static_cast<float>(a.out) / static_cast<float>(a.in);
  Ints index;
  for (int64_t o = 0; o < a.out; ++o) {
    const float at =
        exact ? std::round((static_cast<float>(o) + 0.5F) / scale - 0.5F) : std::floor(static_cast<float>(o) / scale);
    index.push_back(std::clamp<int64_t>(static_cast<int64_t>(at), 0, a.in - 1));
  }
  return index;
}

bool plain_nearest(const std::vector<Axis>& axes, bool exact) {
  return std::all_of(axes.begin(), axes.end(),
                     [&](const Axis& a) { return nearest_wanted(a, exact) == nearest_of_runtime(a, exact); });
}

// The node's scales are those of the sizes.
bool plain_scales(const std::vector<Axis>& axes) {
  return std::all_of(axes.begin(), axes.end(), [](const Axis& a) {
    const double ratio = static_cast<double>(a.out) / static_cast<double>(a.in);
    return a.scale == 0 || std::fabs(a.scale - ratio) <= 1e-7 * ratio;
  });
}

// Weights [in, out] of the row along one dim: what it makes of unit vectors.
Result<Tensor> weights_of(const OnnxEmit& c, const Axis& a) {
  Tensor unit = Tensor::zeros(DType::f32, {1, a.in, a.in});
  for (int64_t i = 0; i < a.in; ++i) unit.mut<float>()[static_cast<size_t>(i * a.in + i)] = 1;
  const std::vector<Attr> attrs{{"size", Ints{a.out}},
                                {"mode", c.attr().s("mode")},
                                {"align_corners", c.attr().b("align_corners")},
                                {"scales", a.scale == 0 ? Reals{} : Reals{a.scale}},
                                {"antialias", c.attr().b("antialias")}};
  const Tensor* in[] = {&unit};
  NPU_ASSIGN(std::vector<Tensor> out, evaluate(*Registry::global().find("resize1d"), in, attrs));
  out[0].shape = {a.in, a.out};
  return std::move(out[0]);
}

// What Resize cannot say is a product with the weights along each dim.
int32_t by_weights(OnnxEmit& c, int32_t x, const std::vector<Axis>& axes) {
  for (const Axis& a : axes) {
    const Result<Tensor> weights = weights_of(c, a);
    if (!weights) {
      c.refuse(weights.error().message);
      return x;
    }
    const int32_t matrix = c.constant(cast_tensor(*weights, c.tensor(x).dtype));
    Ints swap;
    for (size_t d = 0; d < c.tensor(x).shape.size(); ++d) swap.push_back(static_cast<int64_t>(d));
    std::swap(swap[a.dim], swap.back());
    const int32_t rows = c.transpose(x, swap);
    Shape shape = c.tensor(rows).shape;
    shape.back() = a.out;
    x = c.transpose(c.op("MatMul", {rows, matrix}, c.tensor(x).dtype, std::move(shape)), swap);
  }
  return x;
}

int32_t by_indices(OnnxEmit& c, int32_t x, const std::vector<Axis>& axes, bool exact) {
  for (const Axis& a : axes) {
    Shape shape = c.tensor(x).shape;
    shape[a.dim] = a.out;
    x = c.op("Gather", {x, c.ints(nearest_wanted(a, exact))}, c.tensor(x).dtype, std::move(shape),
             {{"axis", static_cast<int64_t>(a.dim)}});
  }
  return x;
}

// Whole factors are said as scales, anything else as sizes: `scales` rounds, and `sizes` is the rarer form.
int32_t by_resize(OnnxEmit& c, int32_t x, const Shape& out, const std::string& mode) {
  const Shape in = c.tensor(x).shape;
  bool whole = true;
  std::vector<float> scales;
  for (size_t d = 0; d < in.size(); ++d) {
    whole &= out[d] % in[d] == 0;
    scales.push_back(static_cast<float>(out[d]) / static_cast<float>(in[d]));
  }
  const bool nearest = mode == "nearest" || mode == "nearest_exact";
  const std::string transform = c.attr().b("align_corners") && !nearest ? "align_corners"
                                : mode == "nearest"                     ? "asymmetric"
                                                                        : "half_pixel";
  std::vector<OnnxAttr> attrs{{"coordinate_transformation_mode", transform},
                              {"mode", nearest           ? "nearest"
                                       : mode == "cubic" ? "cubic"
                                                         : "linear"}};
  if (mode == "cubic") attrs.insert(attrs.begin() + 1, {{"cubic_coeff_a", -0.75}, {"exclude_outside", 0}});
  if (nearest) attrs.emplace_back("nearest_mode", mode == "nearest" ? "floor" : "round_prefer_ceil");
  const int32_t nothing = c.opset() < 13 ? c.constant(Tensor::zeros(DType::f32, {0})) : -1;
  std::vector<int32_t> operands{x, nothing};
  if (whole) {
    operands.push_back(
        c.constant(Tensor::of<float>({static_cast<int64_t>(scales.size())}, std::span<const float>(scales))));
  } else {
    operands.push_back(nothing);
    operands.push_back(c.ints(out));
  }
  return c.op("Resize", std::move(operands), c.tensor(x).dtype, Shape(out), std::move(attrs));
}

void write_resize(OnnxEmit& c) {
  int32_t x = planes_in(c, c.in(0));
  const Shape in = c.tensor(x).shape, out = planes_shape(c);
  const std::string& mode = c.attr().s("mode");
  const std::vector<Axis> axes = axes_of_resize(c, in, out);
  const bool nearest = mode == "nearest" || mode == "nearest_exact";
  if (axes.empty()) return c.give(planes_out(c, x));
  if (nearest && !plain_nearest(axes, mode == "nearest_exact")) {
    return c.give(planes_out(c, by_indices(c, x, axes, mode == "nearest_exact")));
  }
  const bool said = nearest || (!c.attr().b("antialias") && plain_scales(axes) && (mode != "cubic" || in.size() == 4));
  if (!said) return c.give(planes_out(c, by_weights(c, x, axes)));
  if (in.size() != 3) return c.give(planes_out(c, by_resize(c, x, out, mode)));
  // Signals as images of one row.
  x = c.reshape(x, {in[0], in[1], 1, in[2]});
  c.give(c.reshape(by_resize(c, x, {out[0], out[1], 1, out[2]}, mode), out));
}

// GridSample begins with opset 16, for volumes with 20.
void write_grid_sample(OnnxEmit& c) {
  if (c.opset() < 16 || c.rank(0) != 4) {
    return c.refuse(c.rank(0) == 4 ? "GridSample begins with opset 16" : "GridSample of volumes begins with opset 20");
  }
  const std::string& mode = c.attr().s("mode");
  c.give(c.op("GridSample", {c.in(0), c.in(1)}, c.out_dtype(), c.out_shape(),
              {{"align_corners", c.attr().b("align_corners")},
               {"mode", mode == "linear"  ? "bilinear"
                        : mode == "cubic" ? "bicubic"
                                          : mode},
               {"padding_mode", c.attr().s("padding_mode")}}));
}

// Boxes [image, left, top, right, bottom] fall into images and corners. Half-pixel alignment begins with opset 16.
void write_roi_align(OnnxEmit& c) {
  const bool aligned = c.attr().b("aligned");
  if (aligned && c.opset() < 16) return c.refuse("RoiAlign with aligned boxes begins with opset 16");
  const int64_t boxes = c.shape(1)[0];
  const int32_t rois = c.in(1);
  const int32_t images = c.cast(c.reshape(c.slice(rois, 1, 0, 1), {boxes}), DType::i64);
  std::vector<OnnxAttr> attrs{{"mode", "avg"},
                              {"output_height", c.attr().ints("output_size")[0]},
                              {"output_width", c.attr().ints("output_size")[1]},
                              {"sampling_ratio", std::max<int64_t>(c.attr().i("sampling_ratio"), 0)},
                              {"spatial_scale", c.attr().f("spatial_scale")}};
  if (c.opset() >= 16) {
    attrs.insert(attrs.begin(), {"coordinate_transformation_mode", aligned ? "half_pixel" : "output_half_pixel"});
  }
  c.give(c.op("RoiAlign", {c.in(0), c.slice(rois, 1, 1, 5), images}, c.out_dtype(), c.out_shape(), std::move(attrs)));
}

constexpr OnnxWriter rows[] = {
    {"resize1d", write_resize},         {"resize2d", write_resize},     {"resize3d", write_resize},
    {"grid_sample", write_grid_sample}, {"roi_align", write_roi_align},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_resize() { return rows; }

}  // namespace npuport
