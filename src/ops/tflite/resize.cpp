// Resizing: sizes as an operand; where the samples lie by two flags.
#include <fmt/format.h>

#include <cmath>

#include "base/diag_codes.h"
#include "ops/tflite/window.h"

namespace npuport {
namespace {

using namespace tfl;

void resize(TfliteEmit& c, std::string_view name, bool align, bool half) {
  c.op(name, {c.in(0), c.i32(c.attr().ints("size"))}, {c.out()},
       {{"align_corners", align ? 1.0 : 0.0}, {"half_pixel_centers", half ? 1.0 : 0.0}});
}

// True when the ratio in/out of every dim is what an explicit scale says: the format derives it from the sizes.
bool derived_ratios(const TfliteEmit& c) {
  const Reals& scales = c.attr().reals("scales");
  for (size_t i = 0; i < scales.size(); ++i) {
    const auto in = static_cast<double>(c.shape(0)[i + 1]), out = static_cast<double>(c.out_shape()[i + 1]);
    if (in * scales[i] != out) return false;
  }
  return true;
}

void write_bilinear(TfliteEmit& c) {
  if (c.attr().s("mode") != "linear") return c.refuse("");
  if (!needs_nhwc(c)) return;
  const bool align = c.attr().b("align_corners");
  if (c.attr().b("antialias")) return c.refuse("RESIZE_BILINEAR does not widen its filter (antialias)");
  if (!align && !derived_ratios(c)) return c.refuse("RESIZE_BILINEAR takes its ratio from the sizes, not from scales");
  resize(c, "RESIZE_BILINEAR", align, !align);
}

// nearest is floor(o * in/out), nearest_exact floor((o + 0.5) * in/out).
void write_nearest(TfliteEmit& c) {
  const std::string& mode = c.attr().s("mode");
  if (mode != "nearest" && mode != "nearest_exact") {
    return c.refuse(mode == "linear" ? "" : fmt::format("TFLite cannot resize by mode {}", mode));
  }
  if (!needs_nhwc(c)) return;
  if (!derived_ratios(c)) return c.refuse("RESIZE_NEAREST_NEIGHBOR takes its ratio from the sizes, not from scales");
  resize(c, "RESIZE_NEAREST_NEIGHBOR", false, mode == "nearest_exact");
}

void read_bilinear(TfliteRead& c) {
  const bool align = c.flag("align_corners");
  if (!align && !c.flag("half_pixel_centers")) {
    return c.fail(Diag(diag::unsupported, "sampling without half-pixel centres is not supported"));
  }
  c.ret(c.b.op("resize2d", {c.in(0)},
               {{"size", c.const_ints(1)}, {"mode", "linear"}, {"align_corners", align}, {"layout", "nhwc"}}));
}
void read_nearest(TfliteRead& c) {
  if (c.flag("align_corners")) return c.fail(Diag(diag::unsupported, "aligned corners are not supported"));
  c.ret(c.b.op("resize2d", {c.in(0)},
               {{"size", c.const_ints(1)},
                {"mode", c.flag("half_pixel_centers") ? "nearest_exact" : "nearest"},
                {"layout", "nhwc"}}));
}

int v_bilinear(const TfliteSignature& s) { return s.op.option("half_pixel_centers") != 0 ? 3 : 1; }
int v_nearest(const TfliteSignature& s) {
  return s.op.option("half_pixel_centers") != 0 || s.op.option("align_corners") != 0 ? 3 : 1;
}

constexpr TfliteRow kRows[] = {
    {.name = "RESIZE_BILINEAR",
     .code = 23,
     .options = &kResizeBilinearOptions,
     .ours = {"resize2d"},
     .version = v_bilinear,
     .types = f32,
     .write = write_bilinear,
     .read = read_bilinear,
     .runtime = "2.2.0"},
    {.name = "RESIZE_NEAREST_NEIGHBOR",
     .code = 97,
     .options = &kResizeNearestNeighborOptions,
     .ours = {"resize2d"},
     .version = v_nearest,
     .types = f32 | i32 | u8 | i8,
     .write = write_nearest,
     .read = read_nearest,
     .runtime = "2.3.0"},
};

}  // namespace

std::span<const TfliteRow> tflite_resize() { return kRows; }

}  // namespace npuport
