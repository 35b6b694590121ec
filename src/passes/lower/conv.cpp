// Convolutions, pools and resizing in forms more targets know.
#include <algorithm>

#include "passes/lower/common.h"

namespace npuport {
namespace {

constexpr int64_t kMostGroups = 64;
constexpr int64_t kMostWeights = int64_t{1} << 24;

// ---- groups

Reason grouped(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const int64_t groups = n.attr().i("groups");
  if (groups == 1) return "there is one group only";
  if (!g.is_constant(n.inputs[1])) return "the weights are not constant";
  return groups <= kMostGroups ? Reason() : Reason("there are too many groups");
}

template <bool transposed>
std::vector<ValueId> build_split_groups(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const int64_t groups = n.attr().i("groups");
  const size_t dim = channel_dim(n);
  const int64_t in = b.shape(n.inputs[0])[dim] / groups;
  const Shape w = b.shape(n.inputs[1]);
  const int64_t out = transposed ? w[1] : w[0] / groups;
  const int64_t filters = w[0] / groups;  // along dim 0 of the weights, either way
  const std::vector<ValueId> parts = b.ops(
      "split", {n.inputs[0]}, {{"axis", static_cast<int64_t>(dim)}, {"sizes", Ints(static_cast<size_t>(groups), in)}});
  if (b.failed()) return {};
  std::vector<ValueId> results;
  for (int64_t k = 0; k < groups; ++k) {
    std::vector<ValueId> args{parts[static_cast<size_t>(k)], slice(b, n.inputs[1], 0, k * filters, (k + 1) * filters)};
    if (n.inputs.size() > 2 && n.inputs[2].valid()) args.push_back(slice(b, n.inputs[2], 0, k * out, (k + 1) * out));
    results.push_back(b.op(n.op->name, std::move(args), with(n.attrs, "groups", int64_t{1})));
  }
  return {b.op("concat", std::move(results), {{"axis", static_cast<int64_t>(dim)}})};
}

// A depthwise or grouped transposed convolution with its filters on the diagonal of a dense one.
Reason dense_fits(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const int64_t groups = n.attr().i("groups");
  if (groups == 1) return "there is one group only";
  if (!g.is_constant(n.inputs[1]) || g.type(n.inputs[1]).dtype != DType::f32)
    return "the weights are no float32 constant";
  return element_count(g.shape(n.inputs[1])) * groups <= kMostWeights ? Reason()
                                                                      : Reason("the dense weights would be too large");
}
template <bool transposed>
std::vector<ValueId> build_dense(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const int64_t groups = n.attr().i("groups");
  const Tensor& w = *b.constant_of(n.inputs[1]);
  const int64_t rows = w.shape[0] / groups, cols = w.shape[1], taps = element_count(std::span(w.shape).subspan(2));
  Shape dense = w.shape;
  dense[1] = cols * groups;
  Tensor d = Tensor::zeros(DType::f32, dense);
  for (int64_t r = 0; r < w.shape[0]; ++r)
    std::copy_n(w.as<float>().data() + r * cols * taps, cols * taps,
                d.mut<float>().data() + (r * dense[1] + r / rows * cols) * taps);
  std::vector<ValueId> in = n.inputs;
  in[1] = b.constant(std::move(d));
  return {b.op(n.op->name, std::move(in), with(n.attrs, "groups", int64_t{1}))};
}

// ---- dilation of transposed convolutions: zeros between the taps

Reason dilated(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  if (n.attr().ints("dilation") == Ints{1, 1}) return "it is not dilated";
  return g.is_constant(n.inputs[1]) && g.type(n.inputs[1]).dtype == DType::f32
             ? Reason()
             : Reason("the weights are no float32 constant");
}
std::vector<ValueId> build_undilated(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Ints d = n.attr().ints("dilation");
  const Tensor& w = *b.constant_of(n.inputs[1]);
  Shape s = w.shape;
  s[2] = (s[2] - 1) * d[0] + 1;
  s[3] = (s[3] - 1) * d[1] + 1;
  Tensor wide = Tensor::zeros(DType::f32, s);
  for (int64_t f = 0; f < w.shape[0] * w.shape[1]; ++f)
    for (int64_t i = 0; i < w.shape[2]; ++i)
      for (int64_t j = 0; j < w.shape[3]; ++j)
        wide.mut<float>()[static_cast<size_t>((f * s[2] + i * d[0]) * s[3] + j * d[1])] =
            w.as<float>()[static_cast<size_t>((f * w.shape[2] + i) * w.shape[3] + j)];
  std::vector<ValueId> in = n.inputs;
  in[1] = b.constant(std::move(wide));
  return {b.op(n.op->name, std::move(in), with(n.attrs, "dilation", Ints{1, 1}))};
}

// Surplus output rows and columns hold the bias only when no input reaches them: zeros are appended to the input.
Reason output_padded(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const Ints& extra = n.attr().ints("output_padding");
  return extra == Ints{0, 0} ? Reason("it has no output padding") : Reason();
}
std::vector<ValueId> build_cut_output(Builder& b, const Match& m) {
  // One more input row of zeros makes `stride` more output rows; what is too much is cut away by end padding.
  const Node n = root_node(b.graph(), m);
  const size_t h = channel_dim(n) == 3 ? 1 : 2;
  const Ints extra = n.attr().ints("output_padding"), stride = n.attr().ints("stride");
  Ints pads(8, 0), end = n.attr().ints("pad_end");
  for (size_t i = 0; i < 2; ++i) {
    if (extra[i] == 0) continue;
    const int64_t rows = (extra[i] + stride[i] - 1) / stride[i];
    pads[4 + h + i] = rows;
    end[i] += rows * stride[i] - extra[i];
  }
  std::vector<ValueId> in = n.inputs;
  in[0] = b.op("pad", {in[0]}, {{"pads", pads}});
  std::vector<Attr> attrs = with(n.attrs, "output_padding", Ints{0, 0});
  for (Attr& a : attrs)
    if (a.name == "pad_end") a.value = end;
  return {b.op(n.op->name, std::move(in), std::move(attrs))};
}

// ---- adaptive pools whose windows differ: one axis after the other

struct PoolAxes {
  size_t h, w;
};
PoolAxes axes_of(const Node& n) { return channel_dim(n) == 3 ? PoolAxes{1, 2} : PoolAxes{2, 3}; }

ValueId pool_axis(Builder& b, ValueId x, size_t axis, int64_t out, std::string_view reduce) {
  const int64_t in = b.shape(x)[axis];
  if (in == out) return x;
  std::vector<ValueId> parts;
  for (int64_t k = 0; k < out; ++k) {
    const int64_t start = k * in / out, end = ((k + 1) * in + out - 1) / out;
    const ValueId part = slice(b, x, axis, start, end);
    parts.push_back(end - start == 1
                        ? part
                        : b.op(reduce, {part}, {{"axes", Ints{static_cast<int64_t>(axis)}}, {"keepdims", true}}));
  }
  return parts.size() == 1 ? parts[0] : b.op("concat", parts, {{"axis", static_cast<int64_t>(axis)}});
}

Reason few_windows(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const Shape& y = g.shape(m.value("y"));
  if (x.size() != 4 || element_count(x) == 0) return "it is no image";
  const PoolAxes a = axes_of(root_node(g, m));
  return y[a.h] + y[a.w] <= 64 ? Reason() : Reason("there are too many windows");
}
template <bool maximum>
std::vector<ValueId> build_adaptive(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const PoolAxes a = axes_of(n);
  const Shape y = b.shape(m.value("y"));
  const std::string_view reduce = maximum ? "reduce_max" : "reduce_mean";
  return {pool_axis(b, pool_axis(b, m.value("x"), a.h, y[a.h], reduce), a.w, y[a.w], reduce)};
}

// ---- resizing as products with the weights of its own kernel

// What the resize does to every column (or row) of an image: [out, in], read off the unit images.
std::optional<Tensor> resize_matrix(const Node& n, const Shape& x, size_t axis) {
  const PoolAxes a = axes_of(n);
  const size_t other = axis == a.h ? a.w : a.h;
  const int64_t in = x[axis], other_in = x[other];
  Shape s(4, 1);
  const size_t channels = channel_dim(n);
  s[axis] = in, s[other] = other_in, s[channels] = in;
  if (element_count(s) > kMostWeights) return std::nullopt;
  Tensor units = Tensor::zeros(DType::f32, s);
  const Ints step = strides_of(s);
  for (int64_t k = 0; k < in; ++k)
    for (int64_t o = 0; o < other_in; ++o)
      units.mut<float>()[static_cast<size_t>(k * step[axis] + k * step[channels] + o * step[other])] = 1;
  const Tensor* args[] = {&units};
  Result<std::vector<Tensor>> r = evaluate(*n.op, args, n.attrs);
  if (!r) return std::nullopt;
  const Tensor& y = (*r)[0];
  const Ints out_step = strides_of(y.shape);
  Tensor matrix = Tensor::zeros(DType::f32, {y.shape[axis], in});
  for (int64_t o = 0; o < y.shape[axis]; ++o)
    for (int64_t k = 0; k < in; ++k)
      matrix.mut<float>()[static_cast<size_t>(o * in + k)] =
          y.as<float>()[static_cast<size_t>(o * out_step[axis] + k * out_step[channels])];
  return matrix;
}

Reason resize_fits(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const Shape& x = g.shape(m.value("x"));
  if (x.size() != 4 || g.type(m.value("x")).dtype != DType::f32 || channel_dim(n) != 3)
    return "it is no NHWC float32 image";
  const bool fits = element_count(x) > 0 && x[1] * x[1] * x[2] <= kMostWeights && x[1] * x[2] * x[2] <= kMostWeights;
  return fits ? Reason() : Reason("the image is too large");
}
std::vector<ValueId> build_resize(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Shape x = b.shape(m.value("x")), y = b.shape(m.value("y"));
  const std::optional<Tensor> rows = resize_matrix(n, x, 1), cols = resize_matrix(n, x, 2);
  if (!rows || !cols) return {};
  const auto matrix = [&](Tensor t) {
    t.shape.insert(t.shape.begin(), 1);
    return b.constant(std::move(t));
  };
  ValueId v = m.value("x");
  if (x[2] != y[2])
    v = b.op("matmul", {b.expand(matrix(*cols), {x[0] * x[1], y[2], x[2]}), b.reshape(v, {x[0] * x[1], x[2], x[3]})});
  if (x[1] != y[1])
    v = b.op("matmul", {b.expand(matrix(*rows), {x[0], y[1], x[1]}), b.reshape(v, {x[0], x[1], y[2] * x[3]})});
  return {b.reshape(v, y)};
}

// ---- a factor and a term per channel (a batch norm that no convolution takes in)

bool per_channel(const Graph& g, ValueId v, int64_t channels) {
  const Shape& s = g.shape(v);
  return g.type(v).dtype == DType::f32 && !s.empty() && s.size() <= 4 && s.back() == channels &&
         element_count(s) == channels;
}
Reason affine_per_channel(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  if (x.size() != 4 || x[3] < 2 || element_count(x) == 0) return "it is no image of several channels";
  const bool fits = per_channel(g, m.value("S"), x[3]) && per_channel(g, m.value("T"), x[3]);
  return fits ? Reason() : Reason("factor and term are not one number per channel");
}
std::vector<ValueId> build_depthwise(Builder& b, const Match& m) {
  const int64_t channels = b.shape(m.value("x"))[3];
  const ValueId weight = b.reshape(m.value("S"), {channels, 1, 1, 1}), bias = b.reshape(m.value("T"), {channels});
  return {b.op("conv2d", {m.value("x"), weight, bias}, {{"groups", channels}, {"layout", "nhwc"}})};
}

constexpr std::string_view kGroupDoc = "Groups see and make separate channels.";

constexpr Rewrite kRows[] = {
    {.name = "grouped_conv_as_convs",
     .doc = kGroupDoc,
     .match = "%y = conv2d(%in.all, rest=$r)",
     .check = grouped,
     .build = build_split_groups<false>},
    {.name = "grouped_conv_as_dense",
     .doc = "Weights outside a group's own channels are zero.",
     .match = "%y = conv2d(%in.all, rest=$r)",
     .check = dense_fits,
     .build = build_dense<false>},
    {.name = "dilated_conv_transpose_as_sparse",
     .doc = "A dilated filter is a larger one with zeros between its taps.",
     .match = "%y = conv_transpose2d(%in.all, rest=$r)",
     .check = dilated,
     .build = build_undilated},
    {.name = "grouped_conv_transpose_as_convs",
     .doc = kGroupDoc,
     .match = "%y = conv_transpose2d(%in.all, rest=$r)",
     .check = grouped,
     .build = build_split_groups<true>},
    {.name = "grouped_conv_transpose_as_dense",
     .doc = "Weights outside a group's own channels are zero.",
     .match = "%y = conv_transpose2d(%in.all, rest=$r)",
     .check = dense_fits,
     .build = build_dense<true>},
    {.name = "output_padding_as_input_rows",
     .doc = "Rows of zeros after the input add the bias only; the surplus is cut off by end padding.",
     .match = "%y = conv_transpose2d(%in.all, rest=$r)",
     .check = output_padded,
     .build = build_cut_output},
    {.name = "adaptive_average_by_axes",
     .doc = "A mean over a rectangle is the mean over columns of the means over rows.",
     .match = "%y = adaptive_avg_pool2d(%x, rest=$r)",
     .check = few_windows,
     .build = build_adaptive<false>},
    {.name = "adaptive_maximum_by_axes",
     .doc = "A maximum over a rectangle is the maximum over columns of the maxima over rows.",
     .match = "%y = adaptive_max_pool2d(%x, rest=$r)",
     .check = few_windows,
     .build = build_adaptive<true>},
    {.name = "resize_as_products",
     .doc =
         "Resizing is linear and works on rows and columns separately: two products with constant matrices, read off "
         "the operator itself.",
     .match = "%y = resize2d(%x, rest=$r)",
     .check = resize_fits,
     .build = build_resize},
    {.name = "affine_as_depthwise",
     .doc = "A factor and a term per channel are a depthwise convolution with one tap.",
     .match = "%p = mul(%x, %S); %y = add(%p, %T)",
     .check = affine_per_channel,
     .build = build_depthwise},
};

}  // namespace

std::span<const Rewrite> lower_conv_rows() { return kRows; }

}  // namespace npuport
