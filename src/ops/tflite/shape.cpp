// Data movement: reshape, transpose, broadcast, concatenate, split, slice, pad, tile, space and depth.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/diag_codes.h"
#include "ops/tflite/options.h"

namespace npuport {
namespace {

using namespace tfl;

// The shape operand counts; the options' copy is for old files. One dimension may be -1.
void read_reshape(TfliteRead& c) {
  const ValueId x = c.in(0);
  Ints shape = c.has(1) ? c.const_ints(1) : c.list("new_shape");
  if (c.b.failed()) return;
  if (c.has(1) && c.shape(1).size() == 1 && c.shape(1)[0] == 1 && shape == Ints{0} && !c.b.shape(x).empty()) shape = {};
  int64_t known = 1, unknown = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      unknown = static_cast<int64_t>(i);
    } else if (shape[i] < 0 || __builtin_mul_overflow(known, shape[i], &known)) {
      return c.fail(Diag(diag::corrupt, fmt::format("impossible shape {}", to_string(shape))));
    }
  }
  if (unknown >= 0) shape[static_cast<size_t>(unknown)] = known == 0 ? 0 : element_count(c.b.shape(x)) / known;
  c.ret(c.b.reshape(x, std::move(shape)));
}
void write_reshape(TfliteEmit& c) { c.reshape_to(c.in(0)); }

// SQUEEZE and EXPAND_DIMS: reshapes that name dims.
void read_squeeze(TfliteRead& c) {
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  const Shape& in = c.b.shape(x);
  const Ints& dims = c.list("squeeze_dims");
  Shape out;
  for (size_t i = 0; i < in.size(); ++i) {
    const bool named = std::any_of(dims.begin(), dims.end(), [&](int64_t d) {
      return d == static_cast<int64_t>(i) || d + static_cast<int64_t>(in.size()) == static_cast<int64_t>(i);
    });
    if (in[i] != 1 || !(dims.empty() || named)) out.push_back(in[i]);
  }
  c.ret(c.b.reshape(x, std::move(out)));
}
void read_expand_dims(TfliteRead& c) {
  const ValueId x = c.in(0);
  const int64_t axis = c.const_int(1);
  if (c.b.failed()) return;
  Shape out = c.b.shape(x);
  const auto at = normalise_axis(axis, out.size() + 1);
  if (!at) return c.fail(at.error());
  out.insert(out.begin() + *at, 1);
  c.ret(c.b.reshape(x, std::move(out)));
}

void read_concat(TfliteRead& c) {
  std::vector<ValueId> in;
  for (size_t k = 0; k < c.arity(); ++k) in.push_back(c.in(k));
  if (c.b.failed() || in.empty()) return c.fail(Diag(diag::corrupt, "nothing to concatenate"));
  const auto axis = normalise_axis(c.i("axis"), c.b.shape(in[0]).size());
  if (!axis) return c.fail(axis.error());
  c.ret(c.activated(c.b.op("concat", std::move(in), {{"axis", *axis}}), c.i(kActivation)));
}
int v_concat(const TfliteSignature& s) { return s.type() == DType::u32 ? 4 : 1; }

// PACK: each input gets the new dim, then they are concatenated. UNPACK the other way round.
void read_pack(TfliteRead& c) {
  std::vector<ValueId> in;
  if (c.arity() == 0) return c.fail(Diag(diag::corrupt, "nothing to pack"));
  Shape s = c.shape(0);
  const auto axis = normalise_axis(c.i("axis"), s.size() + 1);
  if (!axis) return c.fail(axis.error());
  s.insert(s.begin() + *axis, 1);
  for (size_t k = 0; k < c.arity(); ++k) in.push_back(c.b.reshape(c.in(k), s));
  c.ret(c.b.op("concat", std::move(in), {{"axis", *axis}}));
}
void read_unpack(TfliteRead& c) {
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  Shape s = c.b.shape(x);
  const auto axis = normalise_axis(c.i("axis"), s.size());
  if (!axis) return c.fail(axis.error());
  const int64_t parts = s[static_cast<size_t>(*axis)];
  if (parts != static_cast<int64_t>(c.results())) {
    return c.fail(Diag(diag::corrupt, fmt::format("{} results for {} slices", c.results(), parts)));
  }
  const auto out = c.b.ops("split", {x}, {{"axis", *axis}, {"sizes", Ints(static_cast<size_t>(parts), 1)}});
  s.erase(s.begin() + *axis);
  for (size_t k = 0; k < out.size(); ++k) c.ret(k, c.b.reshape(out[k], s));
}

void write_split(TfliteEmit& c) {
  const Ints& sizes = c.attr().ints("sizes");
  std::vector<int32_t> out;
  for (size_t k = 0; k < sizes.size(); ++k) out.push_back(c.out(k));
  const auto parts = static_cast<double>(sizes.size());
  const int32_t axis = c.i32(c.attr().i("axis"));
  const bool even = std::all_of(sizes.begin(), sizes.end(), [&](int64_t s) { return s == sizes[0]; });
  if (even) return c.op("SPLIT", {axis, c.in(0)}, std::move(out), {{"num_splits", parts}});
  c.op("SPLIT_V", {c.in(0), c.i32(sizes), axis}, std::move(out), {{"num_splits", parts}});
}
void split(TfliteRead& c, size_t data, size_t axis_at, Ints sizes) {
  const ValueId x = c.in(data);
  const int64_t named = c.const_int(axis_at);
  if (c.b.failed()) return;
  const auto axis = normalise_axis(named, c.b.shape(x).size());
  if (!axis) return c.fail(axis.error());
  const int64_t size = c.b.shape(x)[static_cast<size_t>(*axis)], parts = static_cast<int64_t>(c.results());
  if (sizes.empty() && parts > 0) sizes.assign(static_cast<size_t>(parts), size / parts);
  int64_t rest = size;
  for (const int64_t s : sizes) rest -= std::clamp<int64_t>(s, 0, size);
  for (int64_t& s : sizes) s = s == -1 ? rest : s;
  const auto out = c.b.ops("split", {x}, {{"axis", *axis}, {"sizes", std::move(sizes)}});
  if (!c.b.failed() && out.size() != c.results()) return c.fail(Diag(diag::corrupt, "wrong number of results"));
  for (size_t k = 0; k < out.size(); ++k) c.ret(k, out[k]);
}
void read_split(TfliteRead& c) { split(c, 1, 0, {}); }
void read_split_v(TfliteRead& c) { split(c, 0, 2, c.const_ints(1)); }
int v_split(const TfliteSignature& s) { return s.in[1]->dtype == DType::i32 ? 3 : 1; }

// SLICE takes whole runs; steps need STRIDED_SLICE.
void write_slice(TfliteEmit& c) {
  const AttrView a = c.attr();
  const Shape& x = c.shape(0);
  Ints begin(x.size(), 0), end = x, step(x.size(), 1);
  for (size_t i = 0; i < a.ints("axes").size(); ++i) {
    const auto rank = static_cast<int64_t>(x.size());
    const auto d = static_cast<size_t>((a.ints("axes")[i] + rank) % rank);
    begin[d] = a.ints("starts")[i];
    end[d] = a.ints("ends")[i];
    step[d] = a.ints("steps")[i];
  }
  const bool run = std::all_of(step.begin(), step.end(), [](int64_t s) { return s == 1; });
  if (run) return c.op("SLICE", {c.in(0), c.i32(begin), c.i32(c.out_shape())}, {c.out()});
  c.op("STRIDED_SLICE", {c.in(0), c.i32(begin), c.i32(end), c.i32(step)}, {c.out()},
       {{"begin_mask", 0}, {"end_mask", 0}, {"ellipsis_mask", 0}, {"new_axis_mask", 0}, {"shrink_axis_mask", 0}});
}
// Cuts x to [begin, end) by step per dim, dims that stay whole left out.
ValueId sliced(TfliteRead& c, ValueId x, const Ints& begin, const Ints& end, const Ints& step) {
  Ints starts, ends, axes, steps;
  for (size_t d = 0; d < begin.size(); ++d) {
    if (begin[d] == 0 && end[d] == c.b.shape(x)[d] && step[d] == 1) continue;
    starts.push_back(begin[d]);
    ends.push_back(end[d]);
    axes.push_back(static_cast<int64_t>(d));
    steps.push_back(step[d]);
  }
  if (axes.empty()) return x;
  return c.b.op("slice", {x}, {{"starts", starts}, {"ends", ends}, {"axes", axes}, {"steps", steps}});
}
void read_slice(TfliteRead& c) {
  const ValueId x = c.in(0);
  const Ints begin = c.const_ints(1), size = c.const_ints(2);
  if (c.b.failed()) return;
  const Shape in = c.b.shape(x);
  if (begin.size() != in.size() || size.size() != in.size()) {
    return c.fail(Diag(diag::shape_mismatch, "begin and size must name every dimension"));
  }
  Ints end(in.size());
  for (size_t d = 0; d < in.size(); ++d) {
    if (begin[d] < 0 || begin[d] > in[d] || size[d] < -1 || size[d] > in[d] - begin[d]) {
      return c.fail(
          Diag(diag::index_range, fmt::format("slice {}+{} of dim {} with {} elements", begin[d], size[d], d, in[d])));
    }
    end[d] = size[d] == -1 ? in[d] : begin[d] + size[d];
  }
  c.ret(sliced(c, x, begin, end, Ints(in.size(), 1)));
}
int v_slice(const TfliteSignature& s) { return s.type() == DType::u32 ? 6 : s.rank() > 4 ? 5 : 1; }

// Bounds of one dim as NumPy means them.
struct Run {
  int64_t begin, end, step;
};
Run run_of(int64_t size, int64_t begin, int64_t end, int64_t step, bool from_start, bool to_end) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto fix = [&](int64_t v) { return std::clamp(v < 0 ? v + size : v, low, high); };
  return {from_start ? (step > 0 ? 0 : size - 1) : fix(begin), to_end ? (step > 0 ? size : -1) : fix(end), step};
}
void read_strided_slice(TfliteRead& c) {
  ValueId x = c.in(0);
  const Ints begin = c.const_ints(1), end = c.const_ints(2), step = c.const_ints(3);
  if (c.b.failed()) return;
  if (c.i("ellipsis_mask") != 0 || c.i("new_axis_mask") != 0) {
    return c.fail(Diag(diag::unsupported, "ellipsis and new-axis masks are not supported"));
  }
  const Shape in = c.b.shape(x);
  if (begin.size() > in.size() || end.size() != begin.size() || step.size() != begin.size()) {
    return c.fail(Diag(diag::shape_mismatch, "begin, end and strides do not fit the input"));
  }
  Ints first(in.size(), 0), last = in, by(in.size(), 1), turned;
  Shape out = in;
  for (size_t d = 0; d < begin.size(); ++d) {
    const int64_t bit = int64_t{1} << d;
    const bool shrink = (c.i("shrink_axis_mask") & bit) != 0;
    if (step[d] == 0 || step[d] < -(int64_t{1} << 31)) return c.fail(Diag(diag::corrupt, "a stride of zero"));
    Run r = run_of(in[d], begin[d], end[d], step[d], (c.i("begin_mask") & bit) != 0, (c.i("end_mask") & bit) != 0);
    if (shrink) r = {begin[d] < 0 ? begin[d] + in[d] : begin[d], 0, 1};
    if (shrink && (r.begin < 0 || r.begin >= in[d])) return c.fail(Diag(diag::index_range, "index out of range"));
    if (shrink) r.end = r.begin + 1;
    if (c.flag("offset")) r.end = std::clamp(r.begin + end[d], int64_t{0}, in[d]);
    const int64_t span = r.step > 0 ? r.end - r.begin : r.begin - r.end, stride = std::abs(r.step);
    const int64_t count = span <= 0 ? 0 : (span + stride - 1) / stride;
    // A backward run is the forward run over the same elements, then reversed.
    if (r.step < 0) turned.push_back(static_cast<int64_t>(d));
    first[d] = count == 0 ? 0 : r.step > 0 ? r.begin : r.begin - (count - 1) * stride;
    last[d] = count == 0 ? 0 : first[d] + (count - 1) * stride + 1;
    if (r.step > 0 && count > 0) last[d] = r.end;
    by[d] = stride;
    out[d] = shrink ? -1 : count;
  }
  x = sliced(c, x, first, last, by);
  if (!turned.empty()) x = c.b.op("flip", {x}, {{"axes", turned}});
  std::erase(out, -1);
  c.ret(c.b.reshape(x, std::move(out)));
}
int v_strided_slice(const TfliteSignature& s) {
  if (s.op.option("offset") != 0) return 8;
  if (s.type() == DType::u32) return 7;
  if (s.op.option("ellipsis_mask") != 0 || s.op.option("new_axis_mask") != 0) return 6;
  return s.rank() > 4 ? 4 : s.type() == DType::boolean ? 3 : 1;
}

void read_transpose(TfliteRead& c) {
  Ints perm = c.const_ints(1);
  const ValueId x = c.in(0);
  if (!c.b.failed()) c.ret(c.transposed(x, std::move(perm)));
}

void write_flip(TfliteEmit& c) {
  // The kernel reverses neighbouring axes only.
  Ints axes = c.attr().ints("axes");
  for (int64_t& a : axes) a = a < 0 ? a + static_cast<int64_t>(c.shape(0).size()) : a;
  std::sort(axes.begin(), axes.end());
  if (axes.empty()) return c.refuse("a flip of no axis does nothing");
  int32_t x = c.in(0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const int32_t y = i + 1 == axes.size() ? c.out() : c.temporary(c.out_dtype(), c.out_shape());
    c.op("REVERSE_V2", {x, c.i32(axes[i])}, {y});
    x = y;
  }
}
int v_flip(const TfliteSignature& s) { return s.type() == DType::boolean ? 2 : 1; }

int v_transpose(const TfliteSignature& s) {
  return s.rank() > 5 ? 6 : s.rank() > 4 ? 4 : s.type() == DType::boolean ? 3 : 1;
}
int v_two(const TfliteSignature&) { return 2; }

// -- padding --
int32_t pads_operand(TfliteEmit& c) {
  const Ints& pads = c.attr().ints("pads");
  const size_t rank = pads.size() / 2;
  Tensor t = Tensor::zeros(DType::i32, {static_cast<int64_t>(rank), 2});
  for (size_t d = 0; d < rank; ++d) {
    t.mut<int32_t>()[2 * d] = static_cast<int32_t>(pads[d]);
    t.mut<int32_t>()[2 * d + 1] = static_cast<int32_t>(pads[d + rank]);
  }
  return c.constant(std::move(t));
}
void write_pad(TfliteEmit& c) {
  if (c.attr().s("mode") != "constant" || c.attr().f("value") != 0) return c.refuse("");
  c.op("PAD", {c.in(0), pads_operand(c)}, {c.out()});
}
void write_pad_value(TfliteEmit& c) {
  if (c.attr().s("mode") != "constant") return c.refuse("");
  const Tensor value = cast_tensor(Tensor::of<double>({1}, {c.attr().f("value")}), c.out_dtype());
  c.op("PADV2", {c.in(0), pads_operand(c), c.constant(value)}, {c.out()});
}
void write_mirror_pad(TfliteEmit& c) {
  const std::string& mode = c.attr().s("mode");
  if (mode != "reflect") return c.refuse(mode == "constant" ? "" : fmt::format("TFLite has no padding mode {}", mode));
  c.op("MIRROR_PAD", {c.in(0), pads_operand(c)}, {c.out()}, {{"mode", 0}});
}
std::optional<Ints> pads_read(TfliteRead& c) {
  const Ints pairs = c.const_ints(1);
  if (c.b.failed()) return std::nullopt;
  const size_t rank = c.shape(0).size();
  if (pairs.size() != 2 * rank) {
    c.fail(Diag(diag::shape_mismatch, "paddings must hold two numbers per dimension"));
    return std::nullopt;
  }
  Ints pads(2 * rank);
  for (size_t d = 0; d < rank; ++d) {
    pads[d] = pairs[2 * d];
    pads[d + rank] = pairs[2 * d + 1];
  }
  return pads;
}
void read_pad(TfliteRead& c) {
  if (const auto pads = pads_read(c)) c.ret(c.b.op("pad", {c.in(0)}, {{"pads", *pads}}));
}
void read_pad_value(TfliteRead& c) {
  const double value = c.const_real(2);
  if (const auto pads = pads_read(c)) c.ret(c.b.op("pad", {c.in(0)}, {{"pads", *pads}, {"value", value}}));
}
void read_mirror_pad(TfliteRead& c) {
  if (c.i("mode") != 0) return c.fail(Diag(diag::unsupported, "symmetric padding is not supported"));
  if (const auto pads = pads_read(c)) c.ret(c.b.op("pad", {c.in(0)}, {{"pads", *pads}, {"mode", "reflect"}}));
}
int v_pad(const TfliteSignature& s) { return s.rank() > 4 ? 4 : 1; }

// -- space and depth: the format counts channels block-major (dcr), channels last --
void write_exchange(TfliteEmit& c, std::string_view name, int64_t depth) {
  const int64_t block = c.attr().i("block");
  if (c.attr().s("layout") != "nhwc") return c.refuse("TFLite needs layout nhwc (the pass channels_last makes it)");
  if (c.attr().s("mode") != "dcr" && block > 1 && depth != 1) {
    return c.refuse(
        fmt::format("{} is block-major (dcr); this one is channel-major (crd) over {} channels", name, depth));
  }
  c.op(name, {c.in(0)}, {c.out()}, {{"block_size", static_cast<double>(block)}});
}
void write_depth_to_space(TfliteEmit& c) { write_exchange(c, "DEPTH_TO_SPACE", c.out_shape()[3]); }
void write_space_to_depth(TfliteEmit& c) { write_exchange(c, "SPACE_TO_DEPTH", c.shape(0)[3]); }
void read_exchange(TfliteRead& c, std::string_view op) {
  c.ret(c.b.op(op, {c.in(0)}, {{"block", c.i("block_size")}, {"mode", "dcr"}, {"layout", "nhwc"}}));
}
void read_depth_to_space(TfliteRead& c) { read_exchange(c, "depth_to_space"); }
void read_space_to_depth(TfliteRead& c) { read_exchange(c, "space_to_depth"); }

// -- operators that only describe shapes: constants here --
void read_shape(TfliteRead& c) {
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  const Shape& s = c.b.shape(x);
  const Tensor t = Tensor::of<int64_t>({static_cast<int64_t>(s.size())}, std::span<const int64_t>(s));
  c.ret(c.b.constant(cast_tensor(t, c.i("out_type") == tflite_type(DType::i64) ? DType::i64 : DType::i32)));
}
void read_rank(TfliteRead& c) {
  const ValueId x = c.in(0);
  if (!c.b.failed()) c.ret(c.b.constant(Tensor::scalar<int32_t>(static_cast<int32_t>(c.b.shape(x).size()))));
}
void read_fill(TfliteRead& c) {
  const ValueId value = c.in(1);
  c.ret(c.b.expand(value, c.const_ints(0)));
}
void read_range(TfliteRead& c) {
  const double start = c.const_real(0), limit = c.const_real(1), delta = c.const_real(2);
  if (c.b.failed()) return;
  const double count = delta == 0 ? -1 : std::ceil((limit - start) / delta);
  if (!(count >= 0 && count <= 1 << 24)) return c.fail(Diag(diag::too_large, "an impossible range"));
  Tensor t = Tensor::zeros(DType::f64, {static_cast<int64_t>(count)});
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) t.mut<double>()[i] = start + delta * static_cast<double>(i);
  c.ret(c.b.constant(cast_tensor(t, c.dtype(0))));
}

constexpr TfliteOperand kPerm[] = {{}, {TfliteOperand::ints, "perm"}};
constexpr TfliteOperand kShape[] = {{}, {TfliteOperand::ints, "shape"}};
constexpr TfliteOperand kRepeats[] = {{}, {TfliteOperand::ints, "repeats"}};
constexpr TfliteOperand kAxes[] = {{}, {TfliteOperand::ints, "axes"}};
constexpr TfliteAttr kAxis[] = {{"axis", "axis"}};
constexpr uint32_t kMoved = f32 | i32 | i64 | b1 | u8 | i8 | i16 | u32;
constexpr uint32_t kPadded = f32 | i32 | i64 | u8 | i8 | b1;

constexpr TfliteRow kRows[] = {
    {.name = "RESHAPE",
     .code = 22,
     .options = &kReshapeOptions,
     .ours = {"reshape"},
     .write = write_reshape,
     .read = read_reshape},
    {.name = "SQUEEZE", .code = 43, .options = &kSqueezeOptions, .read = read_squeeze},
    {.name = "EXPAND_DIMS", .code = 70, .options = &kExpandDimsOptions, .read = read_expand_dims},
    {.name = "TRANSPOSE",
     .code = 39,
     .options = &kTransposeOptions,
     .ours = {"transpose"},
     .operands = kPerm,
     .version = v_transpose,
     .types = kMoved,
     .max_rank = 6,
     .read = read_transpose},
    {.name = "BROADCAST_TO",
     .code = 130,
     .options = &kBroadcastToOptions,
     .ours = {"expand"},
     .operands = kShape,
     .version = v_two,
     .runtime = "2.5.0"},
    {.name = "CONCATENATION",
     .code = 2,
     .options = &kConcatenationOptions,
     .ours = {"concat"},
     .attrs = kAxis,
     .version = v_concat,
     .types = kMoved,
     .read = read_concat},
    {.name = "PACK", .code = 83, .options = &kPackOptions, .read = read_pack},
    {.name = "UNPACK", .code = 88, .options = &kUnpackOptions, .read = read_unpack},
    {.name = "SPLIT",
     .code = 49,
     .options = &kSplitOptions,
     .ours = {"split"},
     .version = v_split,
     .types = f32 | i32 | i8 | u8 | i16,
     .typed = 1,
     .write = write_split,
     .read = read_split},
    {.name = "SPLIT_V",
     .code = 102,
     .options = &kSplitVOptions,
     .types = f32 | i32 | i64 | i8 | u8 | i16,
     .read = read_split_v},
    {.name = "SLICE",
     .code = 65,
     .options = &kSliceOptions,
     .ours = {"slice"},
     .version = v_slice,
     .types = kMoved,
     .max_rank = 5,
     .write = write_slice,
     .read = read_slice},
    {.name = "STRIDED_SLICE",
     .code = 45,
     .options = &kStridedSliceOptions,
     .version = v_strided_slice,
     .types = kMoved,
     .max_rank = 5,
     .read = read_strided_slice},
    {.name = "REVERSE_V2",
     .code = 105,
     .options = &kReverseV2Options,
     .ours = {"flip"},
     .operands = kAxes,
     .version = v_flip,
     .types = f32 | i32 | i64 | b1 | u8 | i16,
     .write = write_flip},
    {.name = "PAD",
     .code = 34,
     .options = &kPadOptions,
     .ours = {"pad"},
     .version = v_pad,
     .types = kPadded,
     .max_rank = 5,
     .write = write_pad,
     .read = read_pad},
    {.name = "PADV2",
     .code = 60,
     .options = &kPadV2Options,
     .ours = {"pad"},
     .version = v_pad,
     .types = kPadded,
     .max_rank = 5,
     .write = write_pad_value,
     .read = read_pad_value},
    {.name = "MIRROR_PAD",
     .code = 100,
     .options = &kMirrorPadOptions,
     .ours = {"pad"},
     .types = f32 | i32 | i64 | u8 | i8,
     .max_rank = 5,
     .write = write_mirror_pad,
     .read = read_mirror_pad},
    {.name = "TILE",
     .code = 69,
     .options = &kTileOptions,
     .ours = {"tile"},
     .operands = kRepeats,
     .types = f32 | i32 | i64 | b1 | u8 | i8},
    {.name = "DEPTH_TO_SPACE",
     .code = 5,
     .options = &kDepthToSpaceOptions,
     .ours = {"depth_to_space"},
     .types = f32 | i32 | i64 | u8 | i8,
     .write = write_depth_to_space,
     .read = read_depth_to_space,
     .runtime = "2.1.0"},
    {.name = "SPACE_TO_DEPTH",
     .code = 26,
     .options = &kSpaceToDepthOptions,
     .ours = {"space_to_depth"},
     .types = f32 | i32 | i64 | u8 | i8,
     .write = write_space_to_depth,
     .read = read_space_to_depth},
    {.name = "SHAPE", .code = 77, .options = &kShapeOptions, .read = read_shape},
    {.name = "RANK", .code = 110, .options = &kRankOptions, .read = read_rank},
    {.name = "FILL", .code = 94, .options = &kFillOptions, .read = read_fill},
    {.name = "RANGE", .code = 96, .options = &kRangeOptions, .read = read_range},
};

}  // namespace

std::span<const TfliteRow> tflite_shape() { return kRows; }

}  // namespace npuport
