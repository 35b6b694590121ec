// Data movement.
#include <limits>

#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

void write_reshape(OnnxEmit& c) { c.give(c.reshape(c.in(0), c.out_shape())); }

void write_transpose(OnnxEmit& c) { c.give(c.permuted(0, c.attr().ints("perm"))); }

void write_expand(OnnxEmit& c) {
  if (c.shape(0) == c.out_shape()) return c.give(c.in(0));
  c.give(c.op("Expand", {c.in(0), c.ints(c.out_shape())}, c.out_dtype(), c.out_shape()));
}

void write_concat(OnnxEmit& c) {
  std::vector<int32_t> parts;
  for (size_t k = 0; k < c.arity(); ++k) parts.push_back(c.in(k));
  c.give(c.concat(std::move(parts), static_cast<size_t>(axis_of(c, c.out_shape().size()))));
}

void write_split(OnnxEmit& c) {
  const Ints& sizes = c.attr().ints("sizes");
  std::vector<int32_t> in{c.in(0)};
  std::vector<OnnxAttr> attrs{{"axis", axis_of(c, c.rank(0))}};
  if (c.opset() >= 13) {
    in.push_back(c.ints(sizes));
  } else {
    attrs.emplace_back("split", sizes);
  }
  std::vector<TensorType> results;
  for (size_t k = 0; k < sizes.size(); ++k) results.push_back({c.out_dtype(k), c.out_shape(k), nullptr});
  const std::vector<int32_t> parts = c.ops("Split", std::move(in), std::move(results), std::move(attrs));
  for (size_t k = 0; k < parts.size(); ++k) c.give(parts[k], k);
}

void write_slice(OnnxEmit& c) {
  const AttrView a = c.attr();
  if (a.ints("axes").empty()) return c.give(c.in(0));
  Ints axes = axes_of(c, c.rank(0));
  std::vector<int32_t> in{c.in(0), c.ints(a.ints("starts")), c.ints(a.ints("ends")), c.ints(axes)};
  const Ints& steps = a.ints("steps");
  if (std::any_of(steps.begin(), steps.end(), [](int64_t s) { return s != 1; })) in.push_back(c.ints(steps));
  c.give(c.op("Slice", std::move(in), c.out_dtype(), c.out_shape()));
}

// From the last element down to before the first.
void write_flip(OnnxEmit& c) {
  const Ints axes = axes_of(c, c.rank(0));
  if (axes.empty()) return c.give(c.in(0));
  const Ints starts(axes.size(), -1), ends(axes.size(), std::numeric_limits<int32_t>::min()), steps(axes.size(), -1);
  c.give(c.op("Slice", {c.in(0), c.ints(starts), c.ints(ends), c.ints(axes), c.ints(steps)}, c.out_dtype(),
              c.out_shape()));
}

void write_tile(OnnxEmit& c) {
  if (c.shape(0) == c.out_shape()) return c.give(c.in(0));
  c.give(c.op("Tile", {c.in(0), c.ints(c.attr().ints("repeats"))}, c.out_dtype(), c.out_shape()));
}

// Wraps around by slices: "wrap" is a mode from opset 19 on.
int32_t pad_around(OnnxEmit& c, int32_t x, const Ints& pads) {
  const size_t rank = c.rank(0);
  for (size_t d = 0; d < rank; ++d) {
    const int64_t size = c.tensor(x).shape[d], begin = pads[d], end = pads[d + rank];
    std::vector<int32_t> parts;
    if (begin > 0) parts.push_back(c.slice(x, d, size - begin, size));
    parts.push_back(x);
    if (end > 0) parts.push_back(c.slice(x, d, 0, end));
    x = c.concat(std::move(parts), d);
  }
  return x;
}

// ONNX Runtime moves a Pad of zeros into the MaxPool behind it (PadFusion), whose own padding never wins. The smallest
// number above zero is left where it is.
double pad_value(const OnnxEmit& c) {
  const double value = c.attr().f("value");
  if (value != 0 || c.dtype(0) != DType::f32) return value;
  for (const Use& u : c.graph().value(c.node().outputs[0]).uses) {
    if (c.graph().node(u.node).op->name.starts_with("max_pool")) return std::numeric_limits<float>::denorm_min();
  }
  return value;
}

void write_pad(OnnxEmit& c) {
  const Ints& pads = c.attr().ints("pads");
  const std::string& mode = c.attr().s("mode");
  const int32_t x = c.in(0);
  if (mode == "constant") return c.give(c.pad(x, pads, pad_value(c)));
  if (mode == "circular") return c.give(pad_around(c, x, pads));
  c.give(
      c.op("Pad", {x, c.ints(pads)}, c.out_dtype(), c.out_shape(), {{"mode", mode == "reflect" ? "reflect" : "edge"}}));
}

// [N, C·b², H, W] → [N, C, H·b, W·b]; "crd" takes the channel first, "dcr" the position in the block.
void write_depth_to_space(OnnxEmit& c) {
  const int64_t b = c.attr().i("block");
  const bool crd = c.attr().s("mode") == "crd";
  const int32_t x = planes_in(c, c.in(0));
  const Shape out = planes_shape(c), in = c.tensor(x).shape;
  if (is_float(c.dtype(0))) {
    return c.give(planes_out(
        c, c.op("DepthToSpace", {x}, c.out_dtype(), out, {{"blocksize", b}, {"mode", crd ? "CRD" : "DCR"}})));
  }
  const Shape six = crd ? Shape{in[0], out[1], b, b, in[2], in[3]} : Shape{in[0], b, b, out[1], in[2], in[3]};
  const Ints perm = crd ? Ints{0, 1, 4, 2, 5, 3} : Ints{0, 3, 4, 1, 5, 2};
  c.give(planes_out(c, c.reshape(c.transpose(c.reshape(x, six), perm), out)));
}

// SpaceToDepth knows the block-major order alone.
void write_space_to_depth(OnnxEmit& c) {
  const int64_t b = c.attr().i("block");
  const bool crd = c.attr().s("mode") == "crd";
  const int32_t x = planes_in(c, c.in(0));
  const Shape out = planes_shape(c), in = c.tensor(x).shape;
  if (is_float(c.dtype(0)) && (!crd || in[1] == 1)) {
    return c.give(planes_out(c, c.op("SpaceToDepth", {x}, c.out_dtype(), out, {{"blocksize", b}})));
  }
  const Ints perm = crd ? Ints{0, 1, 3, 5, 2, 4} : Ints{0, 3, 5, 1, 2, 4};
  const int32_t six = c.transpose(c.reshape(x, {in[0], in[1], out[2], b, out[3], b}), perm);
  c.give(planes_out(c, c.reshape(six, out)));
}

constexpr OnnxWriter rows[] = {
    {"reshape", write_reshape},
    {"transpose", write_transpose},
    {"expand", write_expand},
    {"concat", write_concat},
    {"split", write_split},
    {"slice", write_slice},
    {"flip", write_flip},
    {"tile", write_tile},
    {"pad", write_pad},
    {"depth_to_space", write_depth_to_space},
    {"space_to_depth", write_space_to_depth},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_shape() { return rows; }

}  // namespace npuport
