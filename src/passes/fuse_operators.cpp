// Activations and padding into convolutions, products by constants as linear layers, 1-D operators as 2-D ones.
#include <algorithm>
#include <deque>
#include <limits>

#include "passes/fold_affine.h"
#include "passes/fuse_rows.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

// ---- activations

constexpr std::string_view kActivationDoc = "The operator applies this activation to each result itself.";

struct ActivationForm {
  std::string_view name, text;
};
constexpr ActivationForm kForms[] = {
    {"relu", "relu(%h)"},
    {"relu6", "clamp(%h, min=0, max=6)"},
    {"relu_n1_to_1", "clamp(%h, min=-1, max=1)"},
};

// ---- padding

Reason spatial_zero_padding(const Graph& g, const Match& m) {
  const Ints& pads = std::get<Ints>(m.attr("p"));
  const size_t rank = g.shape(m.value("x")).size();
  for (const size_t d : {size_t{0}, size_t{1}})
    if (pads[d] != 0 || pads[d + rank] != 0) return "it pads batch or channels";
  return std::nullopt;
}

std::vector<ValueId> build_padded(Builder& b, const Match& m) {
  const Node conv = *b.graph().producer(m.value("y"));
  const Ints& pads = std::get<Ints>(m.attr("p"));
  const size_t rank = b.shape(m.value("x")).size();
  std::vector<Attr> attrs = conv.attrs;
  for (Attr& a : attrs)
    for (size_t i = 0; i + 2 < rank; ++i) {
      if (a.name == "pad_begin") std::get<Ints>(a.value)[i] += pads[i + 2];
      if (a.name == "pad_end") std::get<Ints>(a.value)[i] += pads[i + 2 + rank];
    }
  std::vector<ValueId> in = conv.inputs;
  in[0] = m.value("x");
  return {b.op(conv.op->name, std::move(in), std::move(attrs))};
}

// ---- linear

Reason constant_matrix(const Graph& g, const Match& m) {
  if (g.shape(m.value("W")).size() != 2) return "the constant is no matrix";
  return is_float(g.type(m.value("W")).dtype) ? Reason() : Reason("it is no float");
}
std::vector<ValueId> build_linear(Builder& b, const Match& m) {
  const bool transposed = std::get<bool>(m.attr("t"));
  const ValueId w = transposed ? m.value("W") : b.transpose(m.value("W"), {1, 0});
  return {b.op("linear", {m.value("x"), w})};
}
// W·x with a constant left operand: (xᵀ·Wᵀ)ᵀ is no gain, so only the right operand counts.

// ---- 1-D as 2-D

Shape with_height(const Shape& s) { return {s[0], s[1], 1, s[2]}; }

std::vector<Attr> two_dimensional(const Node& n) {
  std::vector<Attr> attrs;
  for (const Attr& a : n.attrs) {
    if (!std::holds_alternative<Ints>(a.value)) {
      attrs.push_back(a);
      continue;
    }
    const bool neutral_zero = a.name.starts_with("pad") || a.name == "output_padding";
    Ints v = std::get<Ints>(a.value);
    if (v.size() == 1) v.insert(v.begin(), neutral_zero ? 0 : 1);
    attrs.emplace_back(a.name, std::move(v));
  }
  return attrs;
}

std::vector<ValueId> build_two_dimensional(Builder& b, const Match& m) {
  const Node n = *b.graph().producer(m.value("y"));
  const Shape out = b.shape(m.value("y"));
  std::string name(n.op->name);
  name.replace(name.find("1d"), 2, "2d");
  std::vector<ValueId> in = n.inputs;
  in[0] = b.reshape(in[0], with_height(b.shape(in[0])));
  if (in.size() > 1 && in[1].valid()) in[1] = b.reshape(in[1], with_height(b.shape(in[1])));
  return {b.reshape(b.op(name, std::move(in), two_dimensional(n)), out)};
}

constexpr std::string_view kTwoDimensionalDoc = "A line is an image of height one; the window's height is one too.";

// ---- averages over everything

Reason whole_window(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const Shape& y = g.shape(m.value("y"));
  return x.size() == 4 && y[2] == 1 && y[3] == 1 ? Reason() : Reason("the result is larger than one pixel");
}
std::vector<ValueId> build_global_mean(Builder& b, const Match& m) {
  return {b.op("reduce_mean", {m.value("x")}, {{"axes", Ints{2, 3}}, {"keepdims", true}})};
}
Reason kernel_covers(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const Ints& k = std::get<Ints>(m.attr("k"));
  return x.size() == 4 && k == Ints{x[2], x[3]} ? Reason() : Reason("the window does not cover the image");
}
Reason divides(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const Shape& y = g.shape(m.value("y"));
  const bool fits = x.size() == 4 && y[2] > 0 && y[3] > 0 && x[2] % y[2] == 0 && x[3] % y[3] == 0;
  return fits ? Reason() : Reason("the windows have different sizes");
}
template <bool maximum>
std::vector<ValueId> build_regular_pool(Builder& b, const Match& m) {
  const Shape& x = b.shape(m.value("x"));
  const Shape& y = b.shape(m.value("y"));
  const Ints window{x[2] / y[2], x[3] / y[3]};
  return {b.op(maximum ? "max_pool2d" : "avg_pool2d", {m.value("x")}, {{"kernel", window}, {"stride", window}})};
}

constexpr Rewrite kRows[] = {
    {.name = "matmul_as_linear",
     .doc = "x·W = linear(x, Wᵀ) by definition.",
     .match = "%y = matmul(%x, %W, transpose_a=false, transpose_b=$t)",
     .check = constant_matrix,
     .build = build_linear},
    {.name = "global_average",
     .doc = "One window over the whole image is the mean over height and width.",
     .match = "%y = adaptive_avg_pool2d(%x, rest=$r, layout=\"nchw\")",
     .check = whole_window,
     .build = build_global_mean},
    {.name = "global_average_pool",
     .doc = "One window over the whole image is the mean over height and width.",
     .match = "%y = avg_pool2d(%x, kernel=$k, stride=$s, count_include_pad=$i)",
     .check = kernel_covers,
     .build = build_global_mean},
    {.name = "regular_adaptive_average",
     .doc = "When the sizes divide, all windows are equal and adjacent.",
     .match = "%y = adaptive_avg_pool2d(%x, rest=$r, layout=\"nchw\")",
     .check = divides,
     .build = build_regular_pool<false>},
    {.name = "regular_adaptive_maximum",
     .doc = "When the sizes divide, all windows are equal and adjacent.",
     .match = "%y = adaptive_max_pool2d(%x, rest=$r)",
     .check = divides,
     .build = build_regular_pool<true>},
};

struct Rows {
  std::deque<std::string> texts;
  std::vector<Rewrite> rows;

  std::string_view keep(std::string s) { return texts.emplace_back(std::move(s)); }
};

Rows make_rows() {
  Rows r;
  for (const std::string_view op : kWeighted)
    for (const ActivationForm& form : kForms) {
      const std::string node = std::string(op) + "(%x, %w, %b.opt, activation=\"";
      Rewrite row;
      row.name = r.keep(std::string(form.name) + "_into_" + std::string(op));
      row.doc = kActivationDoc;
      row.match = r.keep("%h = " + node + "none\", rest=$c); %y = " + std::string(form.text));
      row.replace = r.keep("%y = " + node + std::string(form.name) + "\", rest=$c)");
      r.rows.push_back(row);
    }
  for (const std::string_view op : {"conv1d", "conv2d", "conv3d"}) {
    Rewrite row;
    row.name = r.keep("padding_into_" + std::string(op));
    row.doc = "The convolution reads zeros outside its input, as the padding wrote them.";
    const std::string layout = op == "conv2d" ? ", layout=\"nchw\"" : "";
    row.match = r.keep("%y = " + std::string(op) + "(pad(%x, pads=$p), %w, %b.opt" + layout + ", rest=$c)");
    row.check = spatial_zero_padding;
    row.build = build_padded;
    r.rows.push_back(row);
  }
  for (const std::string_view op :
       {"conv1d", "conv_transpose1d", "max_pool1d", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d"}) {
    Rewrite row;
    row.name = r.keep(std::string(op) + "_as_2d");
    row.doc = kTwoDimensionalDoc;
    row.match =
        r.keep("%y = " + std::string(op) + (op.starts_with("conv") ? "(%x, %w, %b.opt, rest=$c)" : "(%x, rest=$c)"));
    row.build = build_two_dimensional;
    r.rows.push_back(row);
  }
  r.rows.insert(r.rows.end(), std::begin(kRows), std::end(kRows));
  return r;
}

}  // namespace

std::span<const Rewrite> operator_rewrites() {
  static const Rows made = make_rows();
  return made.rows;
}

}  // namespace npuport
