// Matrix products.
#include <algorithm>

#include "ops/support/einsum.h"
#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

// NumPy's product: a vector counts as one row (left) or one column (right).
ValueId product(Builder& b, ValueId x, ValueId y) {
  const size_t rx = b.shape(x).size(), ry = b.shape(y).size();
  if (rx == 0 || ry == 0) {
    b.fail(Diag(diag::shape_mismatch, "MatMul of a single number"));
    return {};
  }
  if (rx == 1) x = ox::unsqueeze(b, x, 0);
  if (ry == 1) y = ox::unsqueeze(b, y, 1);
  ValueId z = b.op("matmul", {x, y});
  if (b.failed()) return {};
  if (ry == 1) z = ox::squeeze(b, z, static_cast<int64_t>(b.shape(z).size()) - 1);
  if (rx == 1) z = ox::squeeze(b, z, static_cast<int64_t>(b.shape(z).size()) - (ry == 1 ? 1 : 2));
  return z;
}

void read_matmul(OnnxRead& c) {
  const ValueId a = c.in(0), b = c.in(1);
  if (!c.stopped()) c.ret(product(c.b, a, b));
}

void read_gemm(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0), w = c.in(1);
  const double alpha = c.f("alpha", 1), beta = c.f("beta", 1);
  const bool ta = c.i("transA", 0) != 0, tb = c.i("transB", 0) != 0;
  if (c.stopped()) return;
  const ValueId bias = c.has(2) ? c.in(2) : ValueId{};
  const Shape ws = b.shape(w);
  if (b.shape(x).size() != 2 || ws.size() != 2) return c.fail(Diag(diag::shape_mismatch, "Gemm needs matrices"));
  const bool vector = !bias.valid() || b.shape(bias) == Shape{ws[0]};
  if (!ta && tb && alpha == 1 && beta == 1 && vector && is_float(b.dtype(x))) {
    return c.ret(bias.valid() ? b.op("linear", {x, w, bias}) : b.op("linear", {x, w}));
  }
  const ValueId y = b.op("matmul", {x, w}, {{"transpose_a", ta}, {"transpose_b", tb}});
  const ValueId scaled = ox::times(b, y, alpha);
  c.ret(bias.valid() && beta != 0 ? b.add(scaled, ox::times(b, bias, beta)) : scaled);
}

void read_einsum(OnnxRead& c) {
  std::string equation = c.s("equation", "");
  equation.erase(std::remove(equation.begin(), equation.end(), ' '), equation.end());
  std::vector<ValueId> operands;
  for (size_t k = 0; k < std::max<size_t>(c.arity(), 1); ++k) operands.push_back(c.in(k));
  if (!c.stopped()) c.ret(einsum(c.b, equation, operands));
}

// x minus its zero point (one, or one per row or column of the last two dims), in double: exact for 8-bit products.
ValueId centred(OnnxRead& c, size_t k, size_t zero, bool rows) {
  Builder& b = c.b;
  const ValueId x = b.cast(c.in(k), DType::f64);
  if (!c.has(zero) || c.stopped()) return x;
  ValueId z = b.cast(c.in(zero), DType::f64);
  const Shape zs = b.shape(z);
  if (zs.size() == 1 && zs[0] != 1 && rows) z = b.reshape(z, {zs[0], 1});
  return b.sub(x, z);
}

void read_matmul_integer(OnnxRead& c) {
  const ValueId a = centred(c, 0, 2, true), w = centred(c, 1, 3, false);
  if (!c.stopped()) c.ret(c.b.cast(product(c.b, a, w), DType::i32));
}

constexpr OnnxRow rows[] = {
    {.name = "MatMul", .read = read_matmul},
    {.name = "Gemm", .since = 7, .read = read_gemm},
    {.name = "Einsum", .since = 12, .read = read_einsum},
    {.name = "MatMulInteger", .since = 10, .read = read_matmul_integer},
};

}  // namespace

std::span<const OnnxRow> onnx_linear() { return rows; }

}  // namespace npuport
