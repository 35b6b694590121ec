// Broadcasts, padding modes and casts.
#include <algorithm>
#include <deque>

#include "ir/registry.h"
#include "passes/lower.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

// ---- expand

Reason repeats_dims(const Graph& g, const Match& m) {
  return g.shape(m.value("x")).empty() ? Reason("it expands a single number") : Reason();
}
std::vector<ValueId> build_tile(Builder& b, const Match& m) {
  const Shape out = b.shape(m.value("y"));
  Shape x = b.shape(m.value("x"));
  x.insert(x.begin(), out.size() - x.size(), 1);
  Ints repeats;
  for (size_t d = 0; d < out.size(); ++d) repeats.push_back(x[d] == out[d] ? 1 : out[d]);
  return {b.op("tile", {b.reshape(m.value("x"), x)}, {{"repeats", repeats}})};
}
Reason float_expand(const Graph& g, const Match& m) {
  return g.type(m.value("x")).dtype == DType::f32 ? Reason() : Reason("it is no float32");
}
// Times ones: an implicit broadcast.
std::vector<ValueId> build_ones(Builder& b, const Match& m) {
  const Shape out = b.shape(m.value("y"));
  Tensor ones = Tensor::zeros(DType::f32, out);
  for (float& v : ones.mut<float>()) v = 1;
  return {b.mul(m.value("x"), b.constant(std::move(ones)))};
}

// ---- padding modes

ValueId piece(Builder& b, ValueId x, int64_t axis, int64_t start, int64_t end) {
  return b.op("slice", {x}, {{"starts", Ints{start}}, {"ends", Ints{end}}, {"axes", Ints{axis}}, {"steps", Ints{1}}});
}

ValueId repeated(Builder& b, ValueId line, int64_t axis, int64_t times) {
  return times == 1 ? line : b.op("concat", std::vector<ValueId>(static_cast<size_t>(times), line), {{"axis", axis}});
}

constexpr int64_t kMostReflected = 16;

Reason copies_input(const Graph& g, const Match& m) {
  if (std::get<std::string>(m.attr("o")) == "constant") return "it pads with a constant";
  const Ints& p = std::get<Ints>(m.attr("p"));
  if (std::get<std::string>(m.attr("o")) == "reflect" && *std::max_element(p.begin(), p.end()) > kMostReflected)
    return "it reflects too many lines";
  return element_count(g.shape(m.value("x"))) > 0 ? Reason() : Reason("it is empty");
}

std::vector<ValueId> build_pad_by_pieces(Builder& b, const Match& m) {
  const Ints& pads = std::get<Ints>(m.attr("p"));
  const std::string& mode = std::get<std::string>(m.attr("o"));
  ValueId v = m.value("x");
  const auto rank = static_cast<int64_t>(b.shape(v).size());
  for (int64_t axis = 0; axis < rank && !b.failed(); ++axis) {
    const int64_t before = pads[static_cast<size_t>(axis)], after = pads[static_cast<size_t>(axis + rank)];
    const int64_t size = b.shape(v)[static_cast<size_t>(axis)];
    std::vector<ValueId> parts;
    if (mode == "replicate" && before > 0) parts.push_back(repeated(b, piece(b, v, axis, 0, 1), axis, before));
    if (mode == "circular" && before > 0) parts.push_back(piece(b, v, axis, size - before, size));
    if (mode == "reflect")
      for (int64_t i = before; i >= 1; --i) parts.push_back(piece(b, v, axis, i, i + 1));
    parts.push_back(v);
    if (mode == "replicate" && after > 0) parts.push_back(repeated(b, piece(b, v, axis, size - 1, size), axis, after));
    if (mode == "circular" && after > 0) parts.push_back(piece(b, v, axis, 0, after));
    if (mode == "reflect")
      for (int64_t i = 1; i <= after; ++i) parts.push_back(piece(b, v, axis, size - 1 - i, size - i));
    if (parts.size() > 1) v = b.op("concat", parts, {{"axis", axis}});
  }
  return {v};
}

// Reflecting lines one after the other needs rank 4 in some formats: ones in front.
Reason reflect_low_rank(const Graph& g, const Match& m) {
  const size_t rank = g.shape(m.value("x")).size();
  if (std::get<std::string>(m.attr("o")) != "reflect") return "it does not reflect";
  const Ints& p = std::get<Ints>(m.attr("p"));
  if (rank == 3 && p[0] == 0 && p[3] == 0) return std::nullopt;
  return rank == 2 ? Reason() : Reason("the rank is no problem");
}
std::vector<ValueId> build_reflect_image(Builder& b, const Match& m) {
  const Shape x = b.shape(m.value("x")), y = b.shape(m.value("y"));
  const Ints& p = std::get<Ints>(m.attr("p"));
  const size_t rank = x.size();
  const Shape image{1, x[rank - 2], x[rank - 1], 1};
  if (rank == 3 && x[0] != 1) {
    // The dim that is not padded becomes the channels.
    const ValueId moved = b.reshape(b.transpose(m.value("x"), {1, 2, 0}), {1, x[1], x[2], x[0]});
    const ValueId padded =
        b.op("pad", {moved}, {{"pads", Ints{0, p[1], p[2], 0, 0, p[4], p[5], 0}}, {"mode", "reflect"}});
    return {b.transpose(b.reshape(padded, {y[1], y[2], y[0]}), {2, 0, 1})};
  }
  const Ints pads{0, p[rank - 2], p[rank - 1], 0, 0, p[2 * rank - 2], p[2 * rank - 1], 0};
  return {b.reshape(b.op("pad", {b.reshape(m.value("x"), image)}, {{"pads", pads}, {"mode", "reflect"}}), y)};
}

// ---- softmax and others along another axis

Reason other_axis(const Graph& g, const Match& m) {
  const auto rank = static_cast<int64_t>(g.shape(m.value("x")).size());
  const int64_t axis = std::get<int64_t>(m.attr("a"));
  if (rank == 0) return {};  // a single number has no axis: it becomes a vector of one
  return axis != -1 && axis != rank - 1 ? Reason() : Reason("it runs along the last axis already");
}
Reason negative_axis(const Graph& g, const Match& m) {
  return std::get<int64_t>(m.attr("a")) < 0 && !g.shape(m.value("x")).empty() ? Reason()
                                                                              : Reason("the axis is not negative");
}
template <bool logarithm>
std::vector<ValueId> build_last_softmax(Builder& b, const Match& m) {
  const auto rank = static_cast<int64_t>(b.shape(m.value("x")).size());
  const std::string_view op = logarithm ? "log_softmax" : "softmax";
  if (rank == 0) return {b.reshape(b.op(op, {b.reshape(m.value("x"), {1})}, {{"axis", 0}}), {})};
  int64_t axis = std::get<int64_t>(m.attr("a"));
  if (axis < 0) axis += rank;
  Ints perm;
  for (int64_t d = 0; d < rank; ++d) perm.push_back(d);
  std::swap(perm[static_cast<size_t>(axis)], perm.back());
  return {b.transpose(b.op(op, {b.transpose(m.value("x"), perm)}, {{"axis", rank - 1}}), perm)};
}
template <bool logarithm>
std::vector<ValueId> build_positive_axis(Builder& b, const Match& m) {
  const auto rank = static_cast<int64_t>(b.shape(m.value("x")).size());
  return {
      b.op(logarithm ? "log_softmax" : "softmax", {m.value("x")}, {{"axis", std::get<int64_t>(m.attr("a")) + rank}})};
}

// ---- crd depth_to_space without a convolution before it

template <bool to_space>
std::vector<ValueId> build_block_major(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const Shape s = b.shape(x), y = b.shape(m.value("y"));
  const int64_t r2 = std::get<int64_t>(m.attr("b")) * std::get<int64_t>(m.attr("b"));
  const Shape& deep = to_space ? s : y;
  const int64_t channels = deep[3] / r2, pixels = deep[0] * deep[1] * deep[2];
  const std::vector<Attr> dcr{{"block", m.attr("b")}, {"mode", "dcr"}, {"layout", "nhwc"}};
  if (to_space)
    return {b.op("depth_to_space", {b.reshape(b.transpose(b.reshape(x, {pixels, channels, r2}), {0, 2, 1}), s)}, dcr)};
  const ValueId d = b.op("space_to_depth", {x}, dcr);
  return {b.reshape(b.transpose(b.reshape(d, {pixels, r2, channels}), {0, 2, 1}), y)};
}

constexpr Rewrite kRows[] = {
    {.name = "expand_as_tile",
     .doc = "Repeating a dim of size 1 n times is expanding it to n.",
     .match = "%y = expand(%x, rest=$r)",
     .check = repeats_dims,
     .build = build_tile},
    {.name = "expand_as_product",
     .doc = "x * 1 = x, with the broadcast of the product.",
     .match = "%y = expand(%x, rest=$r)",
     .check = float_expand,
     .build = build_ones},
    {.name = "reflection_as_image",
     .doc = "The same lines are mirrored under two more dims of size 1.",
     .match = "%y = pad(%x, pads=$p, mode=$o, rest=$r)",
     .check = reflect_low_rank,
     .build = build_reflect_image},
    {.name = "padding_by_pieces",
     .doc = "The padding consists of slices of the input, axis after axis.",
     .match = "%y = pad(%x, pads=$p, mode=$o, rest=$r)",
     .check = copies_input,
     .build = build_pad_by_pieces},
    {.name = "softmax_positive_axis",
     .doc = "Axis -k of rank r is axis r - k.",
     .match = "%y = softmax(%x, axis=$a)",
     .check = negative_axis,
     .build = build_positive_axis<false>},
    {.name = "log_softmax_positive_axis",
     .doc = "Axis -k of rank r is axis r - k.",
     .match = "%y = log_softmax(%x, axis=$a)",
     .check = negative_axis,
     .build = build_positive_axis<true>},
    {.name = "softmax_on_last_axis",
     .doc = "Moving the axis does not change the lines along it.",
     .match = "%y = softmax(%x, axis=$a)",
     .check = other_axis,
     .build = build_last_softmax<false>},
    {.name = "log_softmax_on_last_axis",
     .doc = "Moving the axis does not change the lines along it.",
     .match = "%y = log_softmax(%x, axis=$a)",
     .check = other_axis,
     .build = build_last_softmax<true>},
    {.name = "depth_to_space_block_major",
     .doc = "Channel-major blocks become block-major by swapping the two parts of the channel index.",
     .match = "%y = depth_to_space(%x, block=$b, mode=\"crd\", layout=\"nhwc\")",
     .build = build_block_major<true>},
    {.name = "space_to_depth_block_major",
     .doc = "Block-major channels become channel-major by swapping the two parts of the channel index.",
     .match = "%y = space_to_depth(%x, block=$b, mode=\"crd\", layout=\"nhwc\")",
     .build = build_block_major<false>},
};

// expand(x) as an operand of an operator that broadcasts anyway.
struct Rows {
  std::deque<std::string> texts;
  std::vector<Rewrite> rows;
};
Rows make_rows() {
  Rows r;
  for (const std::string_view op : {"add", "mul", "sub", "div", "maximum", "minimum", "squared_difference"}) {
    for (const bool left : {true, false}) {
      Rewrite row;
      row.name =
          r.texts.emplace_back("implicit_broadcast_" + std::string(left ? "left" : "right") + "_of_" + std::string(op));
      row.doc = "The operator broadcasts its operands itself.";
      row.match = r.texts.emplace_back("%y = " + std::string(op) +
                                       (left ? "(expand(%x, rest=$r), %b)" : "(%b, expand(%x, rest=$r))"));
      row.replace = r.texts.emplace_back("%y = " + std::string(op) + (left ? "(%x, %b)" : "(%b, %x)"));
      row.shared = true;
      r.rows.push_back(row);
    }
  }
  r.rows.insert(r.rows.end(), std::begin(kRows), std::end(kRows));
  return r;
}

}  // namespace

std::span<const Rewrite> lower_movement_rows() {
  static const Rows made = make_rows();
  return made.rows;
}

}  // namespace npuport
