// What stands for operators that only some compilers lack: sums as means, counts of booleans in floats or as sums of
// sigmoids, transposed convolutions as convolutions of a stretched image.
#include <algorithm>

#include "passes/lower/common.h"

namespace npuport {

std::span<const Rewrite> lower_substitute_rows();

namespace {

constexpr double kSlope = 50;                       // of the sigmoid that stands for a step
constexpr int64_t kMostCounted = int64_t{1} << 24;  // whole numbers up to here are exact in float32

Reason float_sum(const Graph& g, const Match& m) {
  if (g.type(m.value("x")).dtype != DType::f32) return "it sums no float32 values";
  return element_count(g.shape(m.value("x"))) > 0 ? Reason() : Reason("it is empty");
}
std::vector<ValueId> build_mean(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const double n =
      static_cast<double>(element_count(b.shape(x))) / static_cast<double>(element_count(b.shape(m.value("y"))));
  return {b.mul(b.op("reduce_mean", {x}, m.rest("r")), b.scalar(n))};
}

// ---- counts: sums of 0 and 1 in integers, read as float

Reason countable(const Graph& g, const Match& m, ValueId truth) {
  if (g.type(m.value("y")).dtype != DType::f32) return "the count is not read as float32";
  if (element_count(g.shape(truth)) == 0) return "it is empty";
  return element_count(g.shape(truth)) < kMostCounted ? Reason() : Reason("counts above 2^24 are not exact in float32");
}
Reason counts_bools(const Graph& g, const Match& m) {
  if (g.type(m.value("c")).dtype != DType::boolean) return "it counts no booleans";
  return countable(g, m, m.value("c"));
}
Reason counts_steps(const Graph& g, const Match& m) {
  if (g.type(m.value("x")).dtype != DType::f32) return "it compares no float32 values";
  return countable(g, m, m.value("x"));
}
Reason float_step(const Graph& g, const Match& m) {
  return g.type(m.value("x")).dtype == DType::f32 ? Reason() : Reason("it compares no float32 values");
}

ValueId step(Builder& b, const Match& m) {
  return b.op("sigmoid", {b.mul(b.sub(m.value("x"), m.value("v")), b.scalar(kSlope))});
}
std::vector<ValueId> build_step(Builder& b, const Match& m) { return {step(b, m)}; }
std::vector<ValueId> build_steps_once(Builder& b, const Match& m) {
  return {b.op("reduce_sum", {step(b, m)}, m.rest("r"))};
}
std::vector<ValueId> build_steps_twice(Builder& b, const Match& m) {
  return {b.op("reduce_sum", {b.op("reduce_sum", {step(b, m)}, m.rest("r"))}, m.rest("q"))};
}
std::vector<ValueId> build_count_once(Builder& b, const Match& m) {
  return {b.op("reduce_sum", {b.cast(m.value("c"), DType::f32)}, m.rest("r"))};
}
std::vector<ValueId> build_count_twice(Builder& b, const Match& m) {
  return {b.op("reduce_sum", {b.op("reduce_sum", {b.cast(m.value("c"), DType::f32)}, m.rest("r"))}, m.rest("q"))};
}

// ---- linear of a matrix

Reason plain_matrix(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  if (!g.is_constant(n.inputs[1])) return "the weights are no constant";
  if (g.shape(n.inputs[0]).size() != 2 || g.type(n.inputs[0]).dtype != DType::f32) return "it takes no float32 matrix";
  const std::string& activation = n.attr().s("activation");
  return activation == "none" || activation == "relu" ? Reason() : Reason("it ends in " + activation);
}
std::vector<ValueId> build_matmul(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Tensor& w = *b.constant_of(n.inputs[1]);
  const int64_t out = w.shape[0], in = w.shape[1];
  Tensor turned = Tensor::zeros(DType::f32, {in, out});
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < in; ++i)
      turned.mut<float>()[static_cast<size_t>(i * out + o)] = w.as<float>()[static_cast<size_t>(o * in + i)];
  ValueId y = b.op("matmul", {n.inputs[0], b.constant(std::move(turned))});
  if (n.inputs.size() > 2) y = b.add(y, n.inputs[2]);
  return {n.attr().s("activation") == "relu" ? b.op("relu", {y}) : y};
}

// ---- transposed convolution

// Per spatial dim: the convolution's zeros before and after the stretched image.
struct Stretch {
  Ints stride, kernel, before, after;
};

std::optional<Stretch> stretch_of(const Graph& g, const Node& n) {
  const AttrView a = n.attr();
  const Shape &x = g.shape(n.inputs[0]), &w = g.shape(n.inputs[1]), &y = g.shape(n.outputs[0]);
  const size_t at = first_spatial_dim(n);
  Stretch s;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t stride = a.ints("stride")[i], kernel = w[2 + i];
    const int64_t before = kernel - 1 - a.ints("pad_begin")[i];
    const int64_t after = y[at + i] - x[at + i] * stride - before + kernel - 1;
    if (before < 0 || after < 0) return std::nullopt;
    s.stride.push_back(stride);
    s.kernel.push_back(kernel);
    s.before.push_back(before);
    s.after.push_back(after);
  }
  return s;
}

Reason stretchable(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const AttrView a = n.attr();
  if (!g.is_constant(n.inputs[1])) return "the weights are no constant";
  if (g.type(n.inputs[0]).dtype != DType::f32) return "it is no float32";
  if (a.i("groups") != 1) return "it has groups";
  if (a.ints("dilation") != Ints{1, 1}) return "it is dilated";
  return stretch_of(g, n) ? Reason() : Reason("it is padded by more than its kernel");
}

// Pixel (h, w) of the image at (h·stride, w·stride), zeros between: nearest neighbours, then a 0/1 mask.
ValueId stretched(Builder& b, ValueId x, const Node& n, const Stretch& s) {
  if (s.stride == Ints{1, 1}) return x;
  const size_t at = first_spatial_dim(n);
  Shape mask_shape(4, 1);
  for (size_t i = 0; i < 2; ++i) mask_shape[at + i] = b.shape(x)[at + i] * s.stride[i];
  Tensor mask = Tensor::zeros(DType::f32, mask_shape);
  const int64_t width = mask_shape[at + 1];
  for (int64_t h = 0; h < mask_shape[at]; h += s.stride[0])
    for (int64_t w = 0; w < width; w += s.stride[1]) mask.mut<float>()[static_cast<size_t>(h * width + w)] = 1;
  const ValueId large = b.op(
      "resize2d", {x}, {{"size", Ints{mask_shape[at], width}}, {"mode", "nearest"}, {"layout", n.attr().s("layout")}});
  return b.mul(large, b.constant(std::move(mask)));
}

std::vector<ValueId> build_stretched(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Stretch s = *stretch_of(b.graph(), n);
  const Tensor& w = *b.constant_of(n.inputs[1]);
  const int64_t in = w.shape[0], out = w.shape[1], kh = w.shape[2], kw = w.shape[3];
  Tensor turned = Tensor::zeros(DType::f32, {out, in, kh, kw});
  const auto src = w.as<float>();
  const auto dst = turned.mut<float>();
  for (int64_t c = 0; c < in; ++c)
    for (int64_t o = 0; o < out; ++o)
      for (int64_t k = 0; k < kh * kw; ++k)
        dst[static_cast<size_t>((o * in + c) * kh * kw + kh * kw - 1 - k)] =
            src[static_cast<size_t>((c * out + o) * kh * kw + k)];
  std::vector<ValueId> operands{stretched(b, n.inputs[0], n, s), b.constant(std::move(turned))};
  if (n.inputs.size() > 2) operands.push_back(n.inputs[2]);
  const AttrView a = n.attr();
  return {b.op(
      "conv2d", operands,
      {{"pad_begin", s.before}, {"pad_end", s.after}, {"activation", a.s("activation")}, {"layout", a.s("layout")}})};
}

constexpr std::string_view kCountDoc = "Whole numbers below 2^24 are exact in float32, and so are their sums.";
constexpr std::string_view kStepDoc =
    "x > v is the limit of sigmoid(s*(x - v)) for large s; with s = 50 a pixel differs by less than 0.01 when |x - v| "
    "> 0.1, "
    "and pixels on both sides of v cancel in the count.";

constexpr Rewrite kRows[] = {
    {.name = "sum_as_mean",
     .doc = "A sum of n values is n times their mean.",
     .match = "%y = reduce_sum(%x, rest=$r)",
     .check = float_sum,
     .build = build_mean},
    {.name = "count_in_floats",
     .doc = kCountDoc,
     .match = "%y = cast(reduce_sum(cast(%c, to=$t), rest=$r), to=f32)",
     .check = counts_bools,
     .build = build_count_once},
    {.name = "count_in_floats_twice",
     .doc = kCountDoc,
     .match = "%y = cast(reduce_sum(reduce_sum(cast(%c, to=$t), rest=$r), rest=$q), to=f32)",
     .check = counts_bools,
     .build = build_count_twice},
    {.name = "count_by_sigmoid",
     .doc = kStepDoc,
     .match = "%y = cast(reduce_sum(cast(greater(%x, %v), to=$t), rest=$r), to=f32)",
     .numerics = Numerics::approximate,
     .check = counts_steps,
     .build = build_steps_once},
    {.name = "count_by_sigmoid_twice",
     .doc = kStepDoc,
     .match = "%y = cast(reduce_sum(reduce_sum(cast(greater(%x, %v), to=$t), rest=$r), rest=$q), to=f32)",
     .numerics = Numerics::approximate,
     .check = counts_steps,
     .build = build_steps_twice},
    {.name = "step_by_sigmoid",
     .doc = kStepDoc,
     .match = "%y = cast(greater(%x, %v), to=f32)",
     .numerics = Numerics::approximate,
     .check = float_step,
     .build = build_step},
    {.name = "linear_as_matmul",
     .doc = "The definition: x times the transposed weights, plus the bias.",
     .match = "%y = linear(%in.all, rest=$r)",
     .check = plain_matrix,
     .build = build_matmul},
    {.name = "conv_transpose_as_stretched_conv",
     .doc =
         "Scattering a filter at every stride-th place is convolving the image with zeros between its pixels with the "
         "filter turned around; finite pixels times 0 are 0.",
     .match = "%y = conv_transpose2d(%in.all, rest=$r)",
     .numerics = Numerics::exact_on_domain,
     .check = stretchable,
     .build = build_stretched},
};

}  // namespace

std::span<const Rewrite> lower_substitute_rows() { return kRows; }

}  // namespace npuport
