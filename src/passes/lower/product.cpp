// Matrix products with more rows than a target counts.
#include "passes/lower/common.h"

namespace npuport {
namespace {

// `joined` is `apart` with dims [at, at + 1] as one.
bool joins(const Shape& apart, const Shape& joined, size_t at) {
  if (apart.size() != joined.size() + 1 || at >= joined.size()) return false;
  Shape s = apart;
  s[at] *= s[at + 1];
  s.erase(s.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  return s == joined;
}

// reshape(product of reshape(u)): which dim of the reshaped operand, and of the product, holds the joined rows.
struct Rows {
  size_t operand = 0, product = 0;
};
template <bool right>
Rows rows_of(const Graph& g, const Match& m) {
  const Node& product = *g.producer(m.value("m"));
  const size_t rank = g.shape(m.value("f")).size(), out = g.shape(m.value("m")).size();
  const bool turned = product.attr().b(right ? "transpose_b" : "transpose_a");
  if (right) return {turned ? rank - 2 : rank - 1, out - 1};
  return {turned ? rank - 1 : rank - 2, out - 2};
}

template <bool right>
Reason rows_joined(const Graph& g, const Match& m) {
  const Shape &u = g.shape(m.value("u")), &f = g.shape(m.value("f"));
  const Shape &product = g.shape(m.value("m")), &y = g.shape(m.value("y"));
  const Rows at = rows_of<right>(g, m);
  if (product.size() != f.size()) return "the operands differ in rank";
  if (!joins(u, f, at.operand) || !joins(y, product, at.product)) return "the reshapes do not join and part the rows";
  if (u[at.operand] != y[at.product]) return "the product's rows are parted elsewhere";
  return u[at.operand] >= 2 ? Reason() : Reason("there is one row of rows only");
}

template <bool right>
std::vector<ValueId> build_halves(Builder& b, const Match& m) {
  const Rows at = rows_of<right>(b.graph(), m);
  const Node product = *b.graph().producer(m.value("m"));
  const Shape f = b.shape(m.value("f")), y = b.shape(m.value("y"));
  const int64_t all = y[at.product], width = y[at.product + 1], half = (all + 1) / 2;
  const std::vector<ValueId> parts =
      b.ops("split", {m.value("u")}, {{"axis", static_cast<int64_t>(at.operand)}, {"sizes", Ints{half, all - half}}});
  if (b.failed()) return {};
  std::vector<ValueId> results;
  for (const ValueId part : parts) {
    Shape joined = f, parted = y;
    parted[at.product] = b.shape(part)[at.operand];
    joined[at.operand] = parted[at.product] * width;
    std::vector<ValueId> in = product.inputs;
    in[right ? 1 : 0] = b.reshape(part, std::move(joined));
    results.push_back(b.reshape(b.op("matmul", std::move(in), product.attrs), std::move(parted)));
  }
  return {b.op("concat", std::move(results), {{"axis", static_cast<int64_t>(at.product)}})};
}

constexpr std::string_view kDoc =
    "Every row of the joined operand is multiplied by itself: the upper and the lower half of the image give the upper "
    "and the lower half of the result.";

constexpr Rewrite kRows[] = {
    {.name = "product_by_halves_of_right",
     .doc = kDoc,
     .match = "%f = reshape(%u, rest=$s); %m = matmul(%a, %f, rest=$r); %y = reshape(%m, rest=$t)",
     .check = rows_joined<true>,
     .build = build_halves<true>},
    {.name = "product_by_halves_of_left",
     .doc = kDoc,
     .match = "%f = reshape(%u, rest=$s); %m = matmul(%f, %b, rest=$r); %y = reshape(%m, rest=$t)",
     .check = rows_joined<false>,
     .build = build_halves<false>},
};

}  // namespace

std::span<const Rewrite> lower_product_rows() { return kRows; }

}  // namespace npuport
