// Padding and the exchange of space and channels.
#include <fmt/format.h>

#include <algorithm>

#include "ops/support/kernel.h"
#include "ops/support/remap.h"
#include "ops/support/rows.h"

namespace npuport {
namespace {

Types infer_pad(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  const Ints& pads = c.attrs.ints("pads");
  const std::string& mode = c.attrs.s("mode");
  Shape y = c.in[0]->shape;
  if (mode != "constant" && mode != "reflect" && mode != "replicate" && mode != "circular") {
    return infer_error(diag::bad_attribute, c, "mode = \"" + mode + "\"");
  }
  if (pads.size() != 2 * y.size()) {
    return infer_error(diag::bad_attribute, c, fmt::format("pads has {} entries, not 2 x rank", pads.size()));
  }
  for (size_t d = 0; d < y.size(); ++d) {
    const int64_t begin = pads[d], end = pads[d + y.size()], most = std::max(begin, end);
    if (begin < 0 || end < 0) return infer_error(diag::bad_attribute, c, "a padding is negative", "Use slice.");
    if (most > (int64_t{1} << 40)) return infer_error(diag::too_large, c, "a padding is too large");
    const bool fits = most == 0 || mode == "constant" || (mode == "reflect" && most < y[d]) ||
                      (mode == "replicate" && y[d] > 0) || (mode == "circular" && most <= y[d]);
    if (!fits) {
      return infer_error(diag::shape_mismatch, c,
                         fmt::format("{} padding of {} on dim {} with {} elements", mode, most, d, y[d]));
    }
    y[d] += begin + end;
  }
  return one_output(c.in[0]->dtype, std::move(y));
}

// Source index per output index along one dim for the modes that copy from the input.
Ints source_indices(int64_t size, int64_t begin, int64_t end, const std::string& mode) {
  Ints source;
  for (int64_t i = -begin; i < size + end; ++i) {
    int64_t k = i;
    if (mode == "reflect") k = i < 0 ? -i : (i >= size ? 2 * size - 2 - i : i);
    if (mode == "replicate") k = std::clamp<int64_t>(i, 0, size - 1);
    if (mode == "circular") k = i < 0 ? i + size : (i >= size ? i - size : i);
    source.push_back(k);
  }
  return source;
}

Status pad_constant(const EvalCall& c) {
  const std::span<const int64_t> shape = c.in[0].shape;
  const Ints& pads = c.attrs.ints("pads");
  const Ints out_strides = strides_of(c.out[0].shape);
  const double value = c.attrs.f("value");
  int64_t offset = 0;
  for (size_t d = 0; d < shape.size(); ++d) offset += pads[d] * out_strides[d];
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    T* y = c.out[0].template as<T>();
    const T fill = static_cast<T>(static_cast<compute_t<T>>(value));
    std::fill_n(y, c.out[0].count(), fill);
    if (c.in[0].count() == 0) return;
    copy_strided(static_cast<int>(sizeof(T)), shape, c.in[0].data, strides_of(shape), y + offset, out_strides);
  });
  return kernel_status(ok, c);
}

Status eval_pad(const EvalCall& c) {
  const std::string& mode = c.attrs.s("mode");
  if (mode == "constant") return pad_constant(c);
  const std::span<const int64_t> shape = c.in[0].shape;
  const Ints& pads = c.attrs.ints("pads");
  const Ints strides = strides_of(shape);
  const size_t rank = shape.size();
  std::vector<Ints> source;  // element offsets per dim
  for (size_t d = 0; d < rank; ++d) {
    source.push_back(source_indices(shape[d], pads[d], pads[d + rank], mode));
    for (int64_t& k : source.back()) k *= strides[d];
  }
  if (rank == 0) source.push_back({0});
  const std::span<const int64_t> out = c.out[0].shape;
  const int64_t width = out.empty() ? 1 : out.back();
  const int64_t lines = width == 0 ? 0 : c.out[0].count() / width;
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    for (int64_t line = 0; line < lines; ++line) {
      int64_t rest = line, at = 0;
      for (size_t d = rank; d-- > 1;) {
        at += source[d - 1][static_cast<size_t>(rest % out[d - 1])];
        rest /= out[d - 1];
      }
      for (const int64_t k : source.back()) *y++ = x[at + k];
    }
  });
  return kernel_status(ok, c);
}

std::optional<Ints> remap_pad(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall&) {
  for (Attr& a : attrs) {
    if (a.name != "pads") continue;
    const Ints pads = std::get<Ints>(a.value);
    const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(perm.size());
    Ints moved = permuted_list(Ints(pads.begin(), middle), perm);
    const Ints ends = permuted_list(Ints(middle, pads.end()), perm);
    moved.insert(moved.end(), ends.begin(), ends.end());
    a.value = std::move(moved);
  }
  return Ints(perm.begin(), perm.end());
}

// Positions of channels, height and width of a rank-4 tensor.
struct Layout {
  size_t c, h, w;
};
Layout layout_of(const AttrView& attrs) { return attrs.s("layout") == "nhwc" ? Layout{3, 1, 2} : Layout{1, 2, 3}; }

Status check_block(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(expect_rank(c, 0, 4, 4));
  const std::string &mode = c.attrs.s("mode"), &layout = c.attrs.s("layout");
  if (c.attrs.i("block") < 1 || c.attrs.i("block") > (1 << 15)) {
    return infer_error(diag::bad_attribute, c, "block is out of range");
  }
  if (mode != "crd" && mode != "dcr") return infer_error(diag::bad_attribute, c, "mode = \"" + mode + "\"");
  if (layout != "nchw" && layout != "nhwc") {
    return infer_error(diag::bad_attribute, c, "layout = \"" + layout + "\"");
  }
  return {};
}

Types infer_depth_to_space(const InferCall& c) {
  NPU_TRY(check_block(c));
  const Layout l = layout_of(c.attrs);
  const int64_t block = c.attrs.i("block");
  Shape y = c.in[0]->shape;
  if (y[l.c] % (block * block) != 0) {
    return infer_error(diag::shape_mismatch, c,
                       fmt::format("{} channels are no multiple of block^2 = {}", y[l.c], block * block));
  }
  y[l.c] /= block * block;
  y[l.h] *= block;
  y[l.w] *= block;
  return one_output(c.in[0]->dtype, std::move(y));
}

Types infer_space_to_depth(const InferCall& c) {
  NPU_TRY(check_block(c));
  const Layout l = layout_of(c.attrs);
  const int64_t block = c.attrs.i("block");
  Shape y = c.in[0]->shape;
  if (y[l.h] % block != 0 || y[l.w] % block != 0) {
    return infer_error(diag::shape_mismatch, c,
                       fmt::format("{}x{} is no multiple of block = {}", y[l.h], y[l.w], block));
  }
  y[l.c] *= block * block;
  y[l.h] /= block;
  y[l.w] /= block;
  return one_output(c.in[0]->dtype, std::move(y));
}

// Both directions: the six loops (n, c, h, i, w, j) seen from the deep and from the wide tensor.
Status exchange(const EvalCall& c, bool to_space) {
  if (bits(c.in[0].dtype) < 8) return no_kernel(c);
  const Layout l = layout_of(c.attrs);
  const int64_t block = c.attrs.i("block");
  const std::span<const int64_t> deep_shape = to_space ? c.in[0].shape : std::span<const int64_t>(c.out[0].shape);
  const std::span<const int64_t> wide_shape = to_space ? std::span<const int64_t>(c.out[0].shape) : c.in[0].shape;
  const Ints ds = strides_of(deep_shape), ws = strides_of(wide_shape);
  const int64_t channels = wide_shape[l.c];
  const Shape loops = {deep_shape[0], channels, deep_shape[l.h], block, deep_shape[l.w], block};
  const bool crd = c.attrs.s("mode") == "crd";
  const int64_t c_step = crd ? block * block : 1, j_step = crd ? 1 : channels;
  const Ints deep = {ds[0], c_step * ds[l.c], ds[l.h], block * j_step * ds[l.c], ds[l.w], j_step * ds[l.c]};
  const Ints wide = {ws[0], ws[l.c], block * ws[l.h], ws[l.h], block * ws[l.w], ws[l.w]};
  copy_strided(bits(c.in[0].dtype) / 8, loops, c.in[0].data, to_space ? deep : wide, c.out[0].data,
               to_space ? wide : deep);
  return {};
}

constexpr AttrDef pad_attrs[] = {
    {"pads", AttrKind::integers, "", "begin of every dimension, then end of every dimension"},
    {"mode", AttrKind::string, "\"constant\"", "constant, reflect, replicate or circular"},
    {"value", AttrKind::real, "0.0", "what constant padding writes"}};
constexpr AttrDef block_attrs[] = {
    {"block", AttrKind::integer, "", "edge of the square of pixels"},
    {"mode", AttrKind::string, "\"crd\"", "crd: channel-major (pixel_shuffle); dcr: block-major (TFLite)"},
    {"layout", AttrKind::string, "\"nchw\"", "nchw or nhwc"}};

constexpr OpDef rows[] = {
    {.name = "pad",
     .doc =
         "Adds elements around the input: a constant, its mirror image without the edge, its edge, or its other side",
     .in = ports::x,
     .out = ports::y,
     .attrs = pad_attrs,
     .infer = infer_pad,
     .eval = eval_pad,
     .axes = {AxisRule::remap, remap_pad},
     .quant = QuantRule::same_as_input},
    {.name = "depth_to_space",
     .doc = "Spreads groups of block^2 channels over squares of pixels",
     .in = ports::x,
     .out = ports::y,
     .attrs = block_attrs,
     .infer = infer_depth_to_space,
     .eval = [](const EvalCall& c) { return exchange(c, true); },
     .axes = {AxisRule::spatial},
     .quant = QuantRule::same_as_input},
    {.name = "space_to_depth",
     .doc = "Gathers squares of pixels into groups of block^2 channels; inverse of depth_to_space",
     .in = ports::x,
     .out = ports::y,
     .attrs = block_attrs,
     .infer = infer_space_to_depth,
     .eval = [](const EvalCall& c) { return exchange(c, false); },
     .axes = {AxisRule::spatial},
     .quant = QuantRule::same_as_input},
};

}  // namespace

std::span<const OpDef> ops_spatial() { return rows; }

}  // namespace npuport
