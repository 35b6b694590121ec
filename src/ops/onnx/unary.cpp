// Element-wise operators of one input.
#include <cmath>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

void read_isinf(OnnxRead& c) {
  const bool negative = c.i("detect_negative", 1) != 0, positive = c.i("detect_positive", 1) != 0;
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  const ValueId inf = c.b.op("isinf", {x});
  if (negative && positive) return c.ret(inf);
  const ValueId zero = ox::like(c.b, x, 0);
  if (!negative && !positive) return c.ret(c.b.op("logical_and", {inf, c.b.op("logical_not", {inf})}));
  c.ret(c.b.op("logical_and", {inf, c.b.op(positive ? "greater" : "less", {x, zero})}));
}

// Determinants of small matrices by expansion along the first row.
ValueId determinant(Builder& b, ValueId x, int64_t n) {
  const auto rank = static_cast<int64_t>(b.shape(x).size());
  if (n == 1) return ox::squeeze(b, ox::squeeze(b, x, rank - 1), rank - 2);
  ValueId sum;
  for (int64_t k = 0; k < n; ++k) {
    const ValueId row = ox::slice(b, x, rank - 2, 0, 1);
    const ValueId factor = ox::squeeze(b, ox::squeeze(b, ox::slice(b, row, rank - 1, k, k + 1), rank - 1), rank - 2);
    const ValueId below = ox::slice(b, x, rank - 2, 1, n);
    std::vector<ValueId> parts;
    if (k > 0) parts.push_back(ox::slice(b, below, rank - 1, 0, k));
    if (k + 1 < n) parts.push_back(ox::slice(b, below, rank - 1, k + 1, n));
    const ValueId term = b.mul(factor, determinant(b, ox::concat(b, std::move(parts), rank - 1), n - 1));
    if (b.failed()) return {};
    sum = k == 0 ? term : k % 2 == 0 ? b.add(sum, term) : b.sub(sum, term);
  }
  return sum;
}

void read_det(OnnxRead& c) {
  const Shape shape = c.shape(0);
  if (c.stopped()) return;
  if (shape.size() < 2 || shape.back() != shape[shape.size() - 2]) {
    return c.fail(Diag(diag::shape_mismatch, "Det needs square matrices, not " + to_string(shape)));
  }
  if (shape.back() < 1 || shape.back() > 4) return c.refuse("of matrices larger than 4x4");
  c.ret(determinant(c.b, c.in(0), shape.back()));
}

constexpr OnnxRow rows[] = {
    {.name = "Abs", .ours = {"abs"}},
    {.name = "Acos", .since = 7, .ours = {"acos"}},
    {.name = "Acosh", .since = 9, .ours = {"acosh"}},
    {.name = "Asin", .since = 7, .ours = {"asin"}},
    {.name = "Asinh", .since = 9, .ours = {"asinh"}},
    {.name = "Atan", .since = 7, .ours = {"atan"}},
    {.name = "Atanh", .since = 9, .ours = {"atanh"}},
    {.name = "BitwiseNot", .since = 18, .ours = {"bitwise_not"}},
    {.name = "Ceil", .ours = {"ceil"}},
    {.name = "Cos", .since = 7, .ours = {"cos"}},
    {.name = "Cosh", .since = 9, .ours = {"cosh"}},
    {.name = "Det", .since = 11, .read = read_det},
    {.name = "Erf", .since = 9, .ours = {"erf"}},
    {.name = "Exp", .ours = {"exp"}},
    {.name = "Floor", .ours = {"floor"}},
    {.name = "IsInf", .since = 10, .read = read_isinf},
    {.name = "IsNaN", .since = 9, .ours = {"isnan"}},
    {.name = "Log", .ours = {"log"}},
    {.name = "Neg", .ours = {"neg"}},
    {.name = "Reciprocal", .ours = {"reciprocal"}},
    {.name = "Round", .since = 11, .ours = {"round"}},
    {.name = "Sigmoid", .ours = {"sigmoid"}},
    {.name = "Sign", .since = 9, .ours = {"sign"}},
    {.name = "Sin", .since = 7, .ours = {"sin"}},
    {.name = "Sinh", .since = 9, .ours = {"sinh"}},
    {.name = "Sqrt", .ours = {"sqrt"}},
    {.name = "Tan", .since = 7, .ours = {"tan"}},
    {.name = "Tanh", .ours = {"tanh"}},
};

}  // namespace

std::span<const OnnxRow> onnx_unary() { return rows; }

}  // namespace npuport
