// ATen upsampling: every mode, by size or by scale factors.
#include <fmt/format.h>

#include <cmath>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

struct Kind {
  size_t rank;
  const char* mode;
  bool antialias = false;
};

// `scales` may be empty, or hold 0 for "not given".
void emit(AtenCall& c, ValueId x, const Kind& kind, Ints size, Reals scales, bool align_corners) {
  const Shape in = c.b.shape(x);
  if (c.b.failed()) return;
  if (in.size() != kind.rank + 2) {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("upsampling in {} dims needs an input of rank {}, it has {}",
                                                         kind.rank, kind.rank + 2, in.size())));
  }
  size = aten_nn::repeat_to(size, kind.rank, 0);
  if (scales.size() == 1) scales.resize(kind.rank, scales[0]);
  bool needed = false, same = true;
  for (size_t i = 0; i < kind.rank; ++i) {
    const auto from = static_cast<double>(in[i + 2]);
    const bool given = scales.size() == kind.rank && scales[i] > 0;
    if (size[i] == 0 && given) size[i] = static_cast<int64_t>(std::floor(from * scales[i]));
    same = same && size[i] == in[i + 2];
    // A given factor matters only where its ratio is not the ratio of the sizes.
    const auto plain = static_cast<float>(from) / static_cast<float>(size[i]);
    if (given && static_cast<float>(1.0 / scales[i]) != plain) needed = true;
    if (!given && i < scales.size()) scales[i] = size[i] > 0 ? static_cast<double>(size[i]) / from : 1.0;
  }
  needed = needed && !align_corners;
  if (same && !needed) return c.ret(x);
  if (!needed) scales.clear();
  c.ret(c.b.op(fmt::format("resize{}d", kind.rank), {x},
               {{"size", size},
                {"mode", kind.mode},
                {"align_corners", align_corners},
                {"scales", scales},
                {"antialias", kind.antialias}}));
}

// Overload vec: either the size or the factors are None.
template <auto kind, bool align>
void by_list(AtenCall& c) {
  if (c.is_none("output_size") && c.is_none("scale_factors")) {
    return c.fail(Diag(diag::bad_attribute, "upsampling needs either a size or scale factors"));
  }
  emit(c, c.tensor("input"), kind(), c.ints("output_size"), c.reals("scale_factors"), align && c.flag("align_corners"));
}

double factor(AtenCall& c, std::string_view arg) { return c.is_none(arg) ? 0.0 : c.f(arg); }

// The size is given; factors, when given too, set the ratio.
template <auto kind, bool align>
void by_size(AtenCall& c) {
  constexpr size_t rank = kind().rank;
  Reals scales;
  if constexpr (rank == 1) scales = {factor(c, "scales")};
  if constexpr (rank == 2) scales = {factor(c, "scales_h"), factor(c, "scales_w")};
  if constexpr (rank == 3) scales = {factor(c, "scales_d"), factor(c, "scales_h"), factor(c, "scales_w")};
  emit(c, c.tensor("self"), kind(), c.ints("output_size"), std::move(scales), align && c.flag("align_corners"));
}

constexpr Kind nearest1() { return {1, "nearest"}; }
constexpr Kind nearest2() { return {2, "nearest"}; }
constexpr Kind nearest3() { return {3, "nearest"}; }
constexpr Kind exact1() { return {1, "nearest_exact"}; }
constexpr Kind exact2() { return {2, "nearest_exact"}; }
constexpr Kind exact3() { return {3, "nearest_exact"}; }
constexpr Kind linear1() { return {1, "linear"}; }
constexpr Kind linear2() { return {2, "linear"}; }
constexpr Kind linear3() { return {3, "linear"}; }
constexpr Kind cubic2() { return {2, "cubic"}; }
constexpr Kind linear2_aa() { return {2, "linear", true}; }
constexpr Kind cubic2_aa() { return {2, "cubic", true}; }
constexpr Kind lanczos2_aa() { return {2, "lanczos", true}; }

constexpr AtenRow kRows[] = {
    {.schema = "upsample_nearest1d.vec(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor",
     .fn = by_list<nearest1, false>},
    {.schema = "upsample_nearest1d(Tensor self, int[1] output_size, float? scales=None) -> Tensor",
     .fn = by_size<nearest1, false>},
    {.schema = "upsample_nearest2d.vec(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor",
     .fn = by_list<nearest2, false>},
    {.schema = "upsample_nearest2d(Tensor self, int[2] output_size, float? scales_h=None, float? scales_w=None) -> "
               "Tensor",
     .fn = by_size<nearest2, false>},
    {.schema = "upsample_nearest3d.vec(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor",
     .fn = by_list<nearest3, false>},
    {.schema = "upsample_nearest3d(Tensor self, int[3] output_size, float? scales_d=None, float? scales_h=None, float? "
               "scales_w=None) -> Tensor",
     .fn = by_size<nearest3, false>},
    {.schema = "_upsample_nearest_exact1d.vec(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor",
     .fn = by_list<exact1, false>},
    {.schema = "_upsample_nearest_exact1d(Tensor self, int[1] output_size, float? scales=None) -> Tensor",
     .fn = by_size<exact1, false>},
    {.schema = "_upsample_nearest_exact2d.vec(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor",
     .fn = by_list<exact2, false>},
    {.schema = "_upsample_nearest_exact2d(Tensor self, int[2] output_size, float? scales_h=None, float? "
               "scales_w=None) -> Tensor",
     .fn = by_size<exact2, false>},
    {.schema = "_upsample_nearest_exact3d.vec(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor",
     .fn = by_list<exact3, false>},
    {.schema = "_upsample_nearest_exact3d(Tensor self, int[3] output_size, float? scales_d=None, float? scales_h=None, "
               "float? scales_w=None) -> Tensor",
     .fn = by_size<exact3, false>},
    {.schema = "upsample_linear1d.vec(Tensor input, int[]? output_size, bool align_corners, float[]? scale_factors) -> "
               "Tensor",
     .fn = by_list<linear1, true>},
    {.schema = "upsample_linear1d(Tensor self, int[1] output_size, bool align_corners, float? scales=None) -> Tensor",
     .fn = by_size<linear1, true>},
    {.schema = "upsample_bilinear2d.vec(Tensor input, int[]? output_size, bool align_corners, float[]? scale_factors) "
               "-> Tensor",
     .fn = by_list<linear2, true>},
    {.schema = "upsample_bilinear2d(Tensor self, int[2] output_size, bool align_corners, float? scales_h=None, float? "
               "scales_w=None) -> Tensor",
     .fn = by_size<linear2, true>},
    {.schema = "upsample_trilinear3d.vec(Tensor input, int[]? output_size, bool align_corners, float[]? scale_factors) "
               "-> Tensor",
     .fn = by_list<linear3, true>},
    {.schema = "upsample_trilinear3d(Tensor self, int[3] output_size, bool align_corners, float? scales_d=None, float? "
               "scales_h=None, float? scales_w=None) -> Tensor",
     .fn = by_size<linear3, true>},
    {.schema = "upsample_bicubic2d.vec(Tensor input, int[]? output_size, bool align_corners, float[]? scale_factors) "
               "-> Tensor",
     .fn = by_list<cubic2, true>},
    {.schema = "upsample_bicubic2d(Tensor self, int[2] output_size, bool align_corners, float? scales_h=None, float? "
               "scales_w=None) -> Tensor",
     .fn = by_size<cubic2, true>},
    {.schema = "_upsample_bilinear2d_aa.vec(Tensor input, int[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .fn = by_list<linear2_aa, true>},
    {.schema = "_upsample_bilinear2d_aa(Tensor self, int[2] output_size, bool align_corners, float? scales_h=None, "
               "float? scales_w=None) -> Tensor",
     .fn = by_size<linear2_aa, true>},
    {.schema = "_upsample_bicubic2d_aa.vec(Tensor input, int[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .fn = by_list<cubic2_aa, true>},
    {.schema = "_upsample_bicubic2d_aa(Tensor self, int[2] output_size, bool align_corners, float? scales_h=None, "
               "float? scales_w=None) -> Tensor",
     .fn = by_size<cubic2_aa, true>},
    {.schema = "_upsample_lanczos2d_aa.vec(Tensor input, int[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .fn = by_list<lanczos2_aa, true>},
    {.schema = "_upsample_lanczos2d_aa(Tensor self, int[2] output_size, bool align_corners, float? scales_h=None, "
               "float? scales_w=None) -> Tensor",
     .fn = by_size<lanczos2_aa, true>},
};

}  // namespace

std::span<const AtenRow> aten_resize() { return kRows; }

}  // namespace npuport
