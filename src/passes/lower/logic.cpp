// Bits of bools, truth of numbers, and element-wise formulas few formats have an operator for.
#include <limits>

#include "passes/lower.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

bool is_bool(const Graph& g, ValueId v) { return g.type(v).dtype == DType::boolean; }

Reason bools(const Graph& g, const Match& m) {
  return is_bool(g, m.value("a")) && is_bool(g, m.value("b")) ? Reason() : Reason("the operands are no bools");
}
Reason no_bool(const Graph& g, const Match& m) {
  return is_bool(g, m.value("x")) ? Reason("it is a bool already") : Reason();
}
Reason some_number(const Graph& g, const Match& m) {
  return is_bool(g, m.value("a")) && is_bool(g, m.value("b")) ? Reason("both are bools already") : Reason();
}

ValueId truth(Builder& b, ValueId v) {
  return is_bool(b.graph(), v) ? v : b.op("not_equal", {v, b.scalar(0, b.dtype(v))});
}
std::vector<ValueId> build_is_zero(Builder& b, const Match& m) {
  return {b.op("equal", {m.value("x"), b.scalar(0, b.dtype(m.value("x")))})};
}
std::vector<ValueId> build_of_truths(Builder& b, const Match& m) {
  const Node& n = *b.graph().producer(m.roots()[0]);
  const std::string op(n.op->name);
  const ValueId p = truth(b, m.value("a")), q = truth(b, m.value("b"));
  return {b.op(op, {p, q})};
}
std::vector<ValueId> build_is_infinite(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  return {b.op("equal", {b.op("abs", {x}), b.scalar(std::numeric_limits<double>::infinity(), b.dtype(x))})};
}

// Scale or zero point as a factor of x: along `axis`, or one for all.
ValueId along(Builder& b, ValueId v, const Shape& x, int64_t axis) {
  const ValueId f = b.cast(v, DType::f32);
  if (axis < 0) return b.reshape(f, {});
  Shape s(x.size(), 1);
  s[static_cast<size_t>(axis)] = x[static_cast<size_t>(axis)];
  return b.reshape(f, std::move(s));
}
std::vector<ValueId> build_fake_quantize(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const Shape s = b.shape(x);
  const int64_t axis = std::get<int64_t>(m.attr("a"));
  const ValueId scale = along(b, m.value("s"), s, axis), zero = along(b, m.value("z"), s, axis);
  const ValueId steps = b.add(b.mul(x, b.div(b.scalar(1), scale)), zero);
  const ValueId q = b.op("clamp", {b.op("round", {steps})},
                         {{"min", static_cast<double>(std::get<int64_t>(m.attr("l")))},
                          {"max", static_cast<double>(std::get<int64_t>(m.attr("h")))}});
  return {b.mul(b.sub(q, zero), scale)};
}
Reason single_precision(const Graph& g, const Match& m) {
  return g.type(m.value("x")).dtype == DType::f32 ? Reason() : Reason("it is no float32");
}

// y_k = x_0 ... x_k by doubling: after the step of width s, element k holds the product of the last 2s up to k.
constexpr int64_t kLongestProduct = 4096;
Reason product_fits(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  if (x.empty() || element_count(x) == 0) return "there is nothing to multiply";
  int64_t axis = std::get<int64_t>(m.attr("a"));
  if (axis < 0) axis += static_cast<int64_t>(x.size());
  return x[static_cast<size_t>(axis)] <= kLongestProduct ? Reason() : Reason("the axis is too long");
}
std::vector<ValueId> build_running_product(Builder& b, const Match& m) {
  ValueId v = m.value("x");
  const Shape s = b.shape(v);
  int64_t axis = std::get<int64_t>(m.attr("a"));
  if (axis < 0) axis += static_cast<int64_t>(s.size());
  const int64_t n = s[static_cast<size_t>(axis)];
  if (n == 1) return {b.op("mul", {v, b.scalar(1, b.dtype(v))})};
  for (int64_t width = 1; width < n; width *= 2) {
    Shape front = s;
    front[static_cast<size_t>(axis)] = width;
    const ValueId ones = b.expand(b.scalar(1, b.dtype(v)), front);
    const ValueId before =
        b.op("slice", {v}, {{"starts", Ints{0}}, {"ends", Ints{n - width}}, {"axes", Ints{axis}}, {"steps", Ints{1}}});
    v = b.mul(v, b.op("concat", {ones, before}, {{"axis", axis}}));
  }
  return {v};
}

constexpr std::string_view kBits = "Bit by bit of one-bit values is their logical connection.";
constexpr std::string_view kTruth = "A number is true when it is not zero.";

constexpr Rewrite kRows[] = {
    {.name = "bitwise_and_of_bools",
     .doc = kBits,
     .match = "%y = bitwise_and(%a, %b)",
     .replace = "%y = logical_and(%a, %b)",
     .check = bools},
    {.name = "bitwise_or_of_bools",
     .doc = kBits,
     .match = "%y = bitwise_or(%a, %b)",
     .replace = "%y = logical_or(%a, %b)",
     .check = bools},
    {.name = "bitwise_xor_of_bools",
     .doc = "Bits differ where the truth values do.",
     .match = "%y = bitwise_xor(%a, %b)",
     .replace = "%y = not_equal(%a, %b)",
     .check = bools},
    {.name = "logical_xor_of_bools",
     .doc = "Exactly one is true where they differ.",
     .match = "%y = logical_xor(%a, %b)",
     .replace = "%y = not_equal(%a, %b)",
     .check = bools},
    {.name = "logical_not_of_number",
     .doc = kTruth,
     .match = "%y = logical_not(%x)",
     .check = no_bool,
     .build = build_is_zero},
    {.name = "logical_and_of_numbers",
     .doc = kTruth,
     .match = "%y = logical_and(%a, %b)",
     .check = some_number,
     .build = build_of_truths},
    {.name = "logical_or_of_numbers",
     .doc = kTruth,
     .match = "%y = logical_or(%a, %b)",
     .check = some_number,
     .build = build_of_truths},
    {.name = "logical_xor_of_numbers",
     .doc = kTruth,
     .match = "%y = logical_xor(%a, %b)",
     .check = some_number,
     .build = build_of_truths},
    {.name = "isinf_as_comparison",
     .doc = "Only the infinities have an infinite magnitude.",
     .match = "%y = isinf(%x)",
     .build = build_is_infinite},
    {.name = "fake_quantize_as_steps",
     .doc = "The definition: scaled, rounded to the integers of the range, and scaled back.",
     .match = "%y = fake_quantize(%x, %s, %z, quant_min=$l, quant_max=$h, axis=$a)",
     .check = single_precision,
     .build = build_fake_quantize},
    {.name = "cumprod_by_doubling",
     .doc = "Products of the last 1, 2, 4, ... elements: multiplication is associative up to rounding.",
     .match = "%y = cumprod(%x, axis=$a)",
     .check = product_fits,
     .build = build_running_product},
};

}  // namespace

std::span<const Rewrite> lower_logic_rows() { return kRows; }

}  // namespace npuport
