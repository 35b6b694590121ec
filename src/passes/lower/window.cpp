// Windows larger than a target takes: kernels and strides in pieces.
#include <algorithm>

#include "passes/lower/common.h"

namespace npuport {
namespace {

int64_t smallest_factor(int64_t n) {
  for (int64_t f = 2; f * f <= n; ++f)
    if (n % f == 0) return f;
  return n;
}

ValueId activated(Builder& b, ValueId v, const std::string& activation) {
  if (activation == "none") return v;
  if (activation == "relu") return b.op("relu", {v});
  const double top = activation == "relu6" ? 6 : 1;
  return b.op("clamp", {v}, {{"min", top == 6 ? 0.0 : -1.0}, {"max", top}});
}

// ---- patches: windows side by side are rows of depth

Reason patches(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const Shape &x = g.shape(n.inputs[0]), &w = g.shape(n.inputs[1]);
  const Ints stride = n.attr().ints("stride");
  const size_t h = first_spatial_dim(n);
  if (!g.is_constant(n.inputs[1])) return "the weights are not constant";
  if (w[2] != w[3] || stride != Ints{w[2], w[3]} || w[2] < 2) return "the windows do not lie side by side";
  if (n.attr().i("groups") != 1 || n.attr().ints("dilation") != Ints{1, 1}) return "it is grouped or dilated";
  if (n.attr().ints("pad_begin") != Ints{0, 0} || n.attr().ints("pad_end") != Ints{0, 0}) return "it pads";
  return x[h] % w[2] == 0 && x[h + 1] % w[3] == 0 ? Reason() : Reason("the image is no multiple of the window");
}
std::vector<ValueId> build_patches(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Shape w = b.shape(n.inputs[1]);
  const ValueId deep = b.op("space_to_depth", {n.inputs[0]},
                            {{"block", w[2]}, {"mode", "dcr"}, {"layout", channel_dim(n) == 3 ? "nhwc" : "nchw"}});
  std::vector<ValueId> in = n.inputs;
  in[0] = deep;
  in[1] = b.reshape(b.transpose(n.inputs[1], {0, 2, 3, 1}), {w[0], w[1] * w[2] * w[3], 1, 1});
  return {b.op("conv2d", std::move(in), with(n.attrs, "stride", Ints{1, 1}))};
}

// ---- kernels: the taps' sum in two parts

// Which spatial dim has more taps.
size_t longer(const Shape& kernel) { return kernel[2] >= kernel[3] ? 0 : 1; }

// The part of the input that taps [first, last] see, as rows [start, end) and what is padded around them.
struct Seen {
  int64_t start, end, pad_begin, pad_end;
};
Seen seen_by(const Graph& g, const Node& n, size_t axis, int64_t first, int64_t last) {
  const size_t dim = first_spatial_dim(n) + axis;
  const int64_t size = g.shape(n.inputs[0])[dim], out = g.shape(n.outputs[0])[dim];
  const int64_t d = n.attr().ints("dilation")[axis], s = n.attr().ints("stride")[axis];
  const int64_t from = first * d - n.attr().ints("pad_begin")[axis];
  const int64_t to = (out - 1) * s + last * d - n.attr().ints("pad_begin")[axis] + 1;
  return {std::max<int64_t>(0, from), std::min(size, to), std::max<int64_t>(0, -from), std::max<int64_t>(0, to - size)};
}

Reason kernel_divides(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  if (!g.is_constant(n.inputs[1])) return "the weights are not constant";
  const size_t axis = longer(g.shape(n.inputs[1]));
  const int64_t taps = g.shape(n.inputs[1])[2 + axis], half = (taps + 1) / 2;
  if (taps < 4) return "the kernel is small";
  for (const Seen& part : {seen_by(g, n, axis, 0, half - 1), seen_by(g, n, axis, half, taps - 1)})
    if (part.start >= part.end) return "half of the kernel sees padding only";
  return std::nullopt;
}
std::vector<ValueId> build_kernel_halves(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const size_t axis = longer(b.shape(n.inputs[1])), dim = first_spatial_dim(n) + axis;
  const int64_t taps = b.shape(n.inputs[1])[2 + axis], half = (taps + 1) / 2, size = b.shape(n.inputs[0])[dim];
  std::vector<ValueId> sums;
  for (const auto& [first, last] : {std::pair{int64_t{0}, half - 1}, std::pair{half, taps - 1}}) {
    const Seen s = seen_by(b.graph(), n, axis, first, last);
    Ints begin = n.attr().ints("pad_begin"), end = n.attr().ints("pad_end");
    begin[axis] = s.pad_begin;
    end[axis] = s.pad_end;
    std::vector<Attr> attrs = with(with(n.attrs, "pad_begin", begin), "pad_end", end);
    const bool whole = s.start == 0 && s.end == size;
    std::vector<ValueId> in{whole ? n.inputs[0] : slice(b, n.inputs[0], dim, s.start, s.end),
                            slice(b, n.inputs[1], 2 + axis, first, last + 1)};
    if (sums.empty() && n.inputs.size() > 2 && n.inputs[2].valid()) in.push_back(n.inputs[2]);
    sums.push_back(b.op("conv2d", std::move(in), with(std::move(attrs), "activation", "none")));
  }
  return {activated(b, b.add(sums[0], sums[1]), n.attr().s("activation"))};
}

// ---- strides: every k-th result of a denser grid

Reason stride_divides(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const Ints stride = n.attr().ints("stride");
  if (n.attr().has("ceil_mode") && n.attr().b("ceil_mode")) return "its last windows are cut";
  return std::max(stride[0], stride[1]) > 1 ? Reason() : Reason("its windows touch");
}
std::vector<ValueId> build_denser(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  Ints stride = n.attr().ints("stride");
  const size_t axis = stride[0] >= stride[1] ? 0 : 1, dim = first_spatial_dim(n) + axis;
  const int64_t step = smallest_factor(stride[axis]), wanted = b.shape(m.roots()[0])[dim];
  stride[axis] /= step;
  const ValueId dense = b.op(n.op->name, n.inputs, with(n.attrs, "stride", stride));
  return {slice(b, dense, dim, 0, (wanted - 1) * step + 1, step)};
}

// ---- pools

Reason maximum_divides(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const Ints kernel = n.attr().ints("kernel");
  if (n.attr().b("ceil_mode")) return "its last windows are cut";
  if (n.attr().ints("dilation") != Ints{1, 1}) return "it is dilated";
  return std::max(kernel[0], kernel[1]) >= 3 ? Reason() : Reason("the kernel is small");
}
std::vector<ValueId> build_maximum_twice(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Ints kernel = n.attr().ints("kernel");
  const size_t axis = kernel[0] >= kernel[1] ? 0 : 1;
  Ints first{1, 1}, second = kernel;
  first[axis] = (kernel[axis] + 1) / 2;
  second[axis] = kernel[axis] - first[axis] + 1;
  Ints none{0, 0}, begin{0, 0}, end{0, 0}, rest_begin = n.attr().ints("pad_begin"), rest_end = n.attr().ints("pad_end");
  std::swap(begin[axis], rest_begin[axis]);
  std::swap(end[axis], rest_end[axis]);
  std::vector<Attr> attrs = with(with(n.attrs, "kernel", first), "stride", Ints{1, 1});
  const ValueId v = b.op("max_pool2d", {n.inputs[0]}, with(with(attrs, "pad_begin", begin), "pad_end", end));
  attrs = with(with(n.attrs, "kernel", second), "pad_begin", rest_begin);
  return {b.op("max_pool2d", {v}, with(attrs, "pad_end", rest_end))};
}

Reason mean_divides(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const Ints kernel = n.attr().ints("kernel"), stride = n.attr().ints("stride");
  const Shape &x = g.shape(n.inputs[0]), &y = g.shape(n.outputs[0]);
  const size_t h = first_spatial_dim(n);
  if (n.attr().ints("pad_begin") != Ints{0, 0} || n.attr().ints("pad_end") != Ints{0, 0}) return "it pads";
  if (n.attr().i("divisor_override") != 0) return "it has a divisor of its own";
  const size_t axis = kernel[0] >= kernel[1] ? 0 : 1;
  const int64_t step = smallest_factor(kernel[axis]);
  if (step == kernel[axis]) return "the kernel has no factors";
  for (size_t i = 0; i < 2; ++i)
    if (y[h + i] > 1 && stride[i] != kernel[i]) return "its windows do not lie side by side";
  for (size_t i = 0; i < 2; ++i)
    if (y[h + i] * kernel[i] > x[h + i]) return "its last windows are cut";
  return std::nullopt;
}
std::vector<ValueId> build_mean_twice(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Ints kernel = n.attr().ints("kernel");
  const size_t axis = kernel[0] >= kernel[1] ? 0 : 1;
  Ints first{1, 1}, second = kernel;
  first[axis] = smallest_factor(kernel[axis]);
  second[axis] /= first[axis];
  const ValueId v = b.op("avg_pool2d", {n.inputs[0]}, with(with(n.attrs, "kernel", first), "stride", first));
  return {b.op("avg_pool2d", {v}, with(with(n.attrs, "kernel", second), "stride", second))};
}

constexpr std::string_view kDenser = "A stride of a*b is a stride of a, of which every b-th result is kept.";

constexpr Rewrite kRows[] = {
    {.name = "patches_as_depth",
     .doc = "Windows side by side are disjoint blocks: each becomes the channels of one pixel, the kernel a 1x1 kernel "
            "over them.",
     .match = "%y = conv2d(%in.all, rest=$r)",
     .check = patches,
     .build = build_patches},
    {.name = "conv_kernel_by_halves",
     .doc = "The sum over the kernel's taps is the sum over its first half plus that over its second half, each on the "
            "part of the input that it sees.",
     .match = "%y = conv2d(%in.all, rest=$r)",
     .check = kernel_divides,
     .build = build_kernel_halves},
    {.name = "conv_stride_by_steps",
     .doc = kDenser,
     .match = "%y = conv2d(%in.all, rest=$r)",
     .check = stride_divides,
     .build = build_denser},
    {.name = "max_pool_in_two",
     .doc = "The maximum of k values is the maximum of the maxima of their runs.",
     .match = "%y = max_pool2d(%x, rest=$r)",
     .check = maximum_divides,
     .build = build_maximum_twice},
    {.name = "avg_pool_in_two",
     .doc = "The mean of disjoint windows is the mean of the means of their equal parts.",
     .match = "%y = avg_pool2d(%x, rest=$r)",
     .check = mean_divides,
     .build = build_mean_twice},
    {.name = "max_pool_stride_by_steps",
     .doc = kDenser,
     .match = "%y = max_pool2d(%x, rest=$r)",
     .check = stride_divides,
     .build = build_denser},
    {.name = "avg_pool_stride_by_steps",
     .doc = kDenser,
     .match = "%y = avg_pool2d(%x, rest=$r)",
     .check = stride_divides,
     .build = build_denser},
};

}  // namespace

std::span<const Rewrite> lower_window_rows() { return kRows; }

}  // namespace npuport
