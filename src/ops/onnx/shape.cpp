// Shapes and data movement.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

void read_reshape(OnnxRead& c) {
  const ValueId x = c.in(0);
  Ints wanted = c.const_ints(1);
  const bool allow_zero = c.i("allowzero", 0) != 0;
  if (c.stopped()) return;
  const Shape shape = c.b.shape(x);
  const auto wrong = [&] {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("Reshape of {} to {}", to_string(shape), to_string(wanted))));
  };
  int64_t known = 1;
  std::optional<size_t> open;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0 && !allow_zero) {
      if (i >= shape.size()) return wrong();
      wanted[i] = shape[i];
    }
    if (wanted[i] == -1) {
      if (open) return wrong();
      open = i;
      continue;
    }
    if (wanted[i] < 0 || wanted[i] > (int64_t{1} << 40) || known > (int64_t{1} << 40)) return wrong();
    known *= wanted[i];
  }
  const int64_t count = element_count(shape);
  if (open) {
    if (known == 0 ? count != 0 : count % known != 0) return wrong();
    wanted[*open] = known == 0 ? 0 : count / known;
  }
  if (element_count(wanted) != count) return wrong();
  c.ret(c.b.reshape(x, std::move(wanted)));
}

void read_flatten(OnnxRead& c) {
  const Shape shape = c.shape(0);
  const auto rank = static_cast<int64_t>(shape.size());
  int64_t axis = c.i("axis", 1);
  if (axis < 0) axis += rank;
  if (c.stopped()) return;
  if (axis < 0 || axis > rank) return c.fail(Diag(diag::index_range, fmt::format("axis {} of Flatten", axis)));
  const auto at = static_cast<size_t>(axis);
  c.ret(c.b.reshape(c.in(0), {element_count(std::span(shape).first(at)), element_count(std::span(shape).subspan(at))}));
}

void read_squeeze(OnnxRead& c) {
  const ValueId x = c.in(0);
  std::optional<Ints> axes = c.ints_or_input("axes", 1, 13);
  if (c.stopped()) return;
  const Shape shape = c.b.shape(x);
  std::vector<bool> gone(shape.size());
  if (axes) {
    for (const int64_t a : c.axes(*axes, shape.size())) {
      if (c.stopped() || shape.empty()) return;
      gone[static_cast<size_t>(a)] = true;
      if (shape[static_cast<size_t>(a)] != 1) {
        return c.fail(Diag(diag::shape_mismatch, fmt::format("Squeeze of dim {} of {}", a, to_string(shape))));
      }
    }
  } else {
    for (size_t i = 0; i < shape.size(); ++i) gone[i] = shape[i] == 1;
  }
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!gone[i]) out.push_back(shape[i]);
  }
  c.ret(c.b.reshape(x, std::move(out)));
}

void read_unsqueeze(OnnxRead& c) {
  const ValueId x = c.in(0);
  const std::optional<Ints> given = c.ints_or_input("axes", 1, 13);
  if (c.stopped()) return;
  if (!given) return c.fail(Diag(diag::corrupt, "Unsqueeze lacks its axes"));
  const Shape shape = c.b.shape(x);
  if (given->size() > 64) return c.fail(Diag(diag::too_large, "Unsqueeze of more than 64 axes"));
  Ints axes = c.axes(*given, shape.size() + given->size());
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    return c.fail(Diag(diag::bad_attribute, "Unsqueeze names an axis twice"));
  }
  if (c.stopped()) return;
  Shape out = shape;
  for (const int64_t a : axes) out.insert(out.begin() + a, 1);
  c.ret(c.b.reshape(x, std::move(out)));
}

void read_transpose(OnnxRead& c) {
  const ValueId x = c.in(0);
  Ints perm = c.ints("perm");
  if (c.stopped()) return;
  if (!c.has_attr("perm")) {
    perm = ox::all_axes(c.b.shape(x).size());
    std::reverse(perm.begin(), perm.end());
  }
  if (perm.empty()) return c.ret(x);
  perm = c.axes(std::move(perm), c.b.shape(x).size());
  c.ret(c.b.transpose(x, std::move(perm)));
}

void read_expand(OnnxRead& c) {
  const ValueId x = c.in(0);
  const Ints wanted = c.const_ints(1);
  if (c.stopped()) return;
  Result<Shape> shape = broadcast_shapes(c.b.shape(x), wanted);
  if (!shape) return c.fail(std::move(shape).error());
  c.ret(c.b.expand(x, std::move(*shape)));
}

void read_tile(OnnxRead& c) {
  const Ints repeats = c.const_ints(1);
  c.ret(c.b.op("tile", {c.in(0)}, {{"repeats", repeats}}));
}

void read_concat(OnnxRead& c) {
  const int64_t axis = c.i("axis", 1);
  std::vector<ValueId> parts;
  for (size_t k = 0; k < std::max<size_t>(c.arity(), 1); ++k) parts.push_back(c.in(k));
  if (c.stopped()) return;
  if (parts.size() == 1) return c.ret(parts[0]);
  c.ret(c.b.op("concat", std::move(parts), {{"axis", axis}}));
}

void read_split(OnnxRead& c) {
  const ValueId x = c.in(0);
  std::optional<Ints> sizes = c.ints_or_input("split", 1, 13);
  if (c.stopped()) return;
  const int64_t axis = c.axis_attr("axis", 0);
  if (c.stopped() || c.b.shape(x).empty()) return c.fail(Diag(diag::shape_mismatch, "Split of a single number"));
  const int64_t size = c.b.shape(x)[static_cast<size_t>(axis)];
  const auto parts = static_cast<int64_t>(c.results());
  if (!sizes) {
    const int64_t count = c.i("num_outputs", parts);
    if (count < 1 || count != parts) return c.fail(Diag(diag::bad_attribute, "num_outputs of Split"));
    // Parts of equal size; the last takes what is left.
    const int64_t part = (size + count - 1) / count;
    if (part * (count - 1) > size || (c.opset() < 18 && size % count != 0)) {
      return c.fail(Diag(diag::shape_mismatch, fmt::format("Split of {} elements into {} parts", size, count)));
    }
    sizes.emplace(static_cast<size_t>(count), part);
    sizes->back() = size - part * (count - 1);
  }
  const auto out = c.b.ops("split", {x}, {{"axis", axis}, {"sizes", *sizes}});
  for (size_t k = 0; k < out.size(); ++k) c.ret(k, out[k]);
}

void read_slice(OnnxRead& c) {
  ValueId x = c.in(0);
  Ints starts, ends, axes, steps;
  if (c.opset() < 10) {
    starts = c.ints("starts"), ends = c.ints("ends"), axes = c.ints("axes");
  } else {
    starts = c.const_ints(1), ends = c.const_ints(2);
    if (c.has(3)) axes = c.const_ints(3);
    if (c.has(4)) steps = c.const_ints(4);
  }
  if (c.stopped()) return;
  const Shape shape = c.b.shape(x);
  if (axes.empty() && !(c.has(3) && c.opset() >= 10)) axes = ox::all_axes(starts.size());
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    return c.fail(Diag(diag::corrupt, "starts, ends, axes and steps of Slice differ in length"));
  }
  axes = c.axes(std::move(axes), shape.size());
  if (c.stopped()) return;
  Ints from, to, where, by, flipped;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t n = shape.empty() ? 1 : shape[static_cast<size_t>(axes[i])];
    const int64_t step = steps[i];
    if (step == 0) return c.fail(Diag(diag::bad_attribute, "a step of Slice is 0"));
    int64_t start = starts[i], end = ends[i];
    if (start < 0) start += n;
    if (end < 0) end = std::max(end, std::numeric_limits<int64_t>::min() + n) + n;
    if (step > 0) {
      start = std::clamp<int64_t>(start, 0, n);
      end = std::clamp<int64_t>(end, start, n);
      from.push_back(start), to.push_back(end), by.push_back(std::min(step, std::max<int64_t>(n, 1)));
    } else {
      // Backwards: the same slice of the reversed axis.
      start = std::clamp<int64_t>(start, -1, n - 1);
      end = std::clamp<int64_t>(end, -1, start);
      if (starts[i] < -n) start = end = -1;
      const int64_t back = step < -n ? std::max<int64_t>(n, 1) : -step;
      flipped.push_back(axes[i]);
      from.push_back(n - 1 - start), to.push_back(n - 1 - end), by.push_back(back);
    }
    where.push_back(axes[i]);
  }
  if (!flipped.empty()) x = c.b.op("flip", {x}, {{"axes", flipped}});
  bool nothing = flipped.empty();
  for (size_t i = 0; i < where.size(); ++i) {
    nothing = nothing && from[i] == 0 && by[i] == 1 && !shape.empty() && to[i] == shape[static_cast<size_t>(where[i])];
  }
  if (nothing) return c.ret(x);
  c.ret(c.b.op("slice", {x}, {{"starts", from}, {"ends", to}, {"axes", where}, {"steps", by}}));
}

void read_pad(OnnxRead& c) {
  ValueId x = c.in(0);
  const Ints given = c.opset() < 11 ? c.ints("pads") : c.const_ints(1);
  std::string mode = c.s("mode", "constant");
  double value = c.opset() < 11 ? c.f("value", 0) : 0;
  if (c.opset() >= 11 && c.has(2)) value = c.const_real(2);
  const Shape shape = c.b.shape(x);
  const size_t rank = shape.size();
  Ints axes = ox::all_axes(rank);
  if (c.opset() >= 18 && c.has(3)) axes = c.axes(c.const_ints(3), rank);
  if (c.stopped()) return;
  if (given.size() != 2 * axes.size()) return c.fail(Diag(diag::corrupt, "pads do not fit the rank of the input"));
  Ints pads(2 * rank, 0), starts, ends, cut;
  constexpr int64_t most = int64_t{1} << 40;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto a = static_cast<size_t>(axes[i]);
    int64_t begin = given[i], end = given[i + axes.size()];
    if (std::abs(begin) > most || std::abs(end) > most) return c.fail(Diag(diag::too_large, "a padding is too large"));
    if (begin < 0 || end < 0) {
      starts.push_back(std::max<int64_t>(-begin, 0));
      ends.push_back(shape[a] + std::min<int64_t>(end, 0));
      cut.push_back(axes[i]);
      if (starts.back() > ends.back()) return c.fail(Diag(diag::shape_mismatch, "Pad cuts off more than there is"));
    }
    pads[a] = std::max<int64_t>(begin, 0);
    pads[a + rank] = std::max<int64_t>(end, 0);
  }
  if (mode == "edge") mode = "replicate";
  if (mode == "wrap") mode = "circular";
  if (!cut.empty() && mode != "constant") return c.refuse("of negative size in mode " + mode);
  if (!cut.empty()) {
    const Ints steps(cut.size(), 1);
    x = c.b.op("slice", {x}, {{"starts", starts}, {"ends", ends}, {"axes", cut}, {"steps", steps}});
  }
  if (std::all_of(pads.begin(), pads.end(), [](int64_t p) { return p == 0; })) return c.ret(x);
  c.ret(c.b.op("pad", {x}, {{"pads", pads}, {"mode", mode}, {"value", value}}));
}

void read_depth_to_space(OnnxRead& c) {
  const std::string mode = c.opset() < 11 ? "DCR" : c.s("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") return c.fail(Diag(diag::bad_attribute, "mode = " + mode));
  c.ret(c.b.op("depth_to_space", {c.in(0)}, {{"block", c.i("blocksize", 0)}, {"mode", mode == "CRD" ? "crd" : "dcr"}}));
}
void read_space_to_depth(OnnxRead& c) {
  const std::string mode = c.opset() < 28 ? "DCR" : c.s("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") return c.fail(Diag(diag::bad_attribute, "mode = " + mode));
  c.ret(c.b.op("space_to_depth", {c.in(0)}, {{"block", c.i("blocksize", 0)}, {"mode", mode == "CRD" ? "crd" : "dcr"}}));
}

void read_shape(OnnxRead& c) {
  const Shape shape = c.shape(0);
  const auto rank = static_cast<int64_t>(shape.size());
  const auto position = [&](std::string_view name, int64_t fallback) {
    int64_t v = c.opset() < 15 ? fallback : c.i(name, fallback);
    if (v < 0) v += rank;
    return std::clamp<int64_t>(v, 0, rank);
  };
  const int64_t start = position("start", 0), end = std::max(start, position("end", rank));
  if (c.stopped()) return;
  c.ret(c.b.ints(Ints(shape.begin() + start, shape.begin() + end)));
}
void read_size(OnnxRead& c) {
  const int64_t n = element_count(c.shape(0));
  if (!c.stopped()) c.ret(c.b.constant(Tensor::scalar<int64_t>(n)));
}

// Cut or padded around the centre to the wanted sizes.
void read_center_crop_pad(OnnxRead& c) {
  ValueId x = c.in(0);
  const Ints sizes = c.const_ints(1);
  if (c.stopped()) return;
  const Shape shape = c.b.shape(x);
  Ints axes = c.has_attr("axes") ? c.axes(c.ints("axes"), shape.size()) : ox::all_axes(shape.size());
  if (c.stopped()) return;
  if (axes.size() != sizes.size()) return c.fail(Diag(diag::corrupt, "sizes and axes of CenterCropPad differ"));
  Ints pads(2 * shape.size(), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto a = static_cast<size_t>(axes[i]);
    const int64_t have = c.b.shape(x)[a], want = sizes[i];
    if (want < 0 || want > (int64_t{1} << 40)) return c.fail(Diag(diag::corrupt, "a size of CenterCropPad"));
    if (have > want) {
      const int64_t start = (have - want) / 2;
      x = ox::slice(c.b, x, axes[i], start, start + want);
    } else {
      pads[a] = (want - have) / 2;
      pads[a + shape.size()] = want - have - pads[a];
    }
    if (c.stopped()) return;
  }
  if (std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p != 0; })) {
    x = c.b.op("pad", {x}, {{"pads", pads}, {"mode", "constant"}, {"value", 0.0}});
  }
  c.ret(x);
}

void read_trilu(OnnxRead& c) {
  const bool upper = c.i("upper", 1) != 0;
  const int64_t k = c.has(1) ? c.const_int(1) : 0;
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  if (element_count(c.b.shape(x)) == 0) return c.ret(x);
  c.ret(c.b.op("trilu", {x}, {{"upper", upper}, {"diagonal", k}}));
}

// The first sequence_lens[b] steps of each batch element, reversed.
void read_reverse_sequence(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0), lens = c.in(1);
  if (c.stopped()) return;
  const Shape shape = b.shape(x);
  if (shape.size() < 2) return c.fail(Diag(diag::shape_mismatch, "ReverseSequence needs rank 2 or more"));
  const int64_t time = c.axis(c.i("time_axis", 0), shape.size()), batch = c.axis(c.i("batch_axis", 1), shape.size());
  if (c.stopped()) return;
  if (time == batch || b.shape(lens) != Shape{shape[static_cast<size_t>(batch)]}) {
    return c.fail(Diag(diag::shape_mismatch, "the axes or lengths of ReverseSequence"));
  }
  const int64_t steps = shape[static_cast<size_t>(time)];
  Ints t(static_cast<size_t>(steps));
  for (size_t i = 0; i < t.size(); ++i) t[i] = static_cast<int64_t>(i);
  Shape along_time(shape.size(), 1), along_batch(shape.size(), 1);
  along_time[static_cast<size_t>(time)] = steps;
  along_batch[static_cast<size_t>(batch)] = shape[static_cast<size_t>(batch)];
  const ValueId step = ox::constant_ints(b, along_time, t);
  const ValueId n = b.reshape(b.cast(lens, DType::i64), along_batch);
  const ValueId back = b.sub(b.sub(n, b.constant(Tensor::scalar<int64_t>(1))), step);
  const ValueId at = b.op("where", {b.op("less", {step, n}), back, step});
  c.ret(b.op("gather_elements", {x, b.expand(at, shape)}, {{"axis", time}}));
}

constexpr OnnxRow rows[] = {
    {.name = "Reshape", .since = 5, .read = read_reshape},
    {.name = "Flatten", .read = read_flatten},
    {.name = "Squeeze", .read = read_squeeze},
    {.name = "Unsqueeze", .read = read_unsqueeze},
    {.name = "Transpose", .read = read_transpose},
    {.name = "Expand", .since = 8, .read = read_expand},
    {.name = "Tile", .since = 6, .read = read_tile},
    {.name = "Concat", .since = 4, .read = read_concat},
    {.name = "Split", .since = 2, .read = read_split},
    {.name = "Slice", .read = read_slice},
    {.name = "Pad", .since = 2, .read = read_pad},
    {.name = "DepthToSpace", .read = read_depth_to_space},
    {.name = "SpaceToDepth", .read = read_space_to_depth},
    {.name = "Shape", .read = read_shape},
    {.name = "Size", .read = read_size},
    {.name = "CenterCropPad", .since = 18, .read = read_center_crop_pad},
    {.name = "Trilu", .since = 14, .read = read_trilu},
    {.name = "ReverseSequence", .since = 10, .read = read_reverse_sequence},
};

}  // namespace

std::span<const OnnxRow> onnx_shape() { return rows; }

}  // namespace npuport
