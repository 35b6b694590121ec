// ATen matrix products.
#include <fmt/format.h>

#include <algorithm>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

using aten_nn::mul_scalar;

// torch.matmul: vectors count as a row on the left and as a column on the right, and lose that dim in the result.
ValueId matmul_any(Builder& b, ValueId x, ValueId y) {
  const size_t rank_x = b.shape(x).size(), rank_y = b.shape(y).size();
  if (rank_x == 0 || rank_y == 0) {
    b.fail(Diag(diag::shape_mismatch, "matmul: both operands need at least one dim"));
    return {};
  }
  if (rank_x == 1) x = aten_nn::unsqueeze(b, x, 0);
  if (rank_y == 1) y = aten_nn::unsqueeze(b, y, 1);
  const ValueId z = b.op("matmul", {x, y});
  Shape out = b.shape(z);
  if (b.failed()) return z;
  if (rank_y == 1) out.pop_back();
  if (rank_x == 1) out.erase(out.end() - (rank_y == 1 ? 1 : 2));
  return b.reshape(z, std::move(out));
}

void matmul(AtenCall& c) { c.ret(matmul_any(c.b, c.tensor("self"), c.tensor("other"))); }
void mm(AtenCall& c) { c.ret(matmul_any(c.b, c.tensor("self"), c.tensor("mat2"))); }
void mv(AtenCall& c) { c.ret(matmul_any(c.b, c.tensor("self"), c.tensor("vec"))); }
void dot(AtenCall& c) { c.ret(matmul_any(c.b, c.tensor("self"), c.tensor("tensor"))); }
void vdot(AtenCall& c) { c.ret(matmul_any(c.b, c.tensor("self"), c.tensor("other"))); }

void outer(AtenCall& c) {
  const ValueId x = aten_nn::unsqueeze(c.b, c.tensor("self"), 1);
  c.ret(c.b.mul(x, aten_nn::unsqueeze(c.b, c.tensor("vec2"), 0)));
}

// x · weightᵀ + bias; a weight vector gives one output that has no dim of its own.
void linear(AtenCall& c) {
  const ValueId x = c.tensor("input"), weight = c.tensor("weight"), bias = c.tensor("bias");
  if (c.b.shape(weight).size() == 2) {
    c.ret(c.b.op("linear", {x, weight, bias}));
    return;
  }
  const ValueId y = matmul_any(c.b, x, weight);
  c.ret(bias.valid() ? c.b.add(y, bias) : y);
}

// alpha * a·b + beta * extra. A product with a constant right matrix and a plain bias vector is a linear layer.
ValueId scaled_product(AtenCall& c, ValueId extra, ValueId x, ValueId y) {
  Builder& b = c.b;
  const double alpha = c.scalar("alpha").as_double(), beta = c.scalar("beta").as_double();
  const bool layer = alpha == 1 && beta == 1 && b.constant_of(y) && b.shape(y).size() == 2 && b.shape(x).size() == 2 &&
                     b.shape(extra) == Shape{b.shape(y)[1]};
  if (layer) return b.op("linear", {x, b.transpose(y, {1, 0}), extra});
  const ValueId product = mul_scalar(b, matmul_any(b, x, y), alpha);
  return beta == 0 ? product : b.add(product, mul_scalar(b, extra, beta));
}

void addmm(AtenCall& c) { c.ret(scaled_product(c, c.tensor("self"), c.tensor("mat1"), c.tensor("mat2"))); }
void addmv(AtenCall& c) { c.ret(scaled_product(c, c.tensor("self"), c.tensor("mat"), c.tensor("vec"))); }
void baddbmm(AtenCall& c) { c.ret(scaled_product(c, c.tensor("self"), c.tensor("batch1"), c.tensor("batch2"))); }

// beta * self + alpha * Σ over the batch of batch1·batch2.
void addbmm(AtenCall& c) {
  const ValueId products = matmul_any(c.b, c.tensor("batch1"), c.tensor("batch2"));
  const ValueId sum = aten_nn::reduce(c.b, "reduce_sum", products, {0}, false);
  const ValueId scaled = mul_scalar(c.b, sum, c.scalar("alpha").as_double());
  const double beta = c.scalar("beta").as_double();
  c.ret(beta == 0 ? scaled : c.b.add(scaled, mul_scalar(c.b, c.tensor("self"), beta)));
}

void addr(AtenCall& c) {
  const ValueId x = aten_nn::unsqueeze(c.b, c.tensor("vec1"), 1), y = aten_nn::unsqueeze(c.b, c.tensor("vec2"), 0);
  const ValueId product = mul_scalar(c.b, c.b.mul(x, y), c.scalar("alpha").as_double());
  const double beta = c.scalar("beta").as_double();
  c.ret(beta == 0 ? product : c.b.add(product, mul_scalar(c.b, c.tensor("self"), beta)));
}

void multi_dot(AtenCall& c) {
  const std::vector<ValueId> all = c.tensors("tensors");
  if (all.empty()) return c.fail(Diag(diag::raised, "multi_dot of no tensors"));
  ValueId y = all[0];
  for (size_t i = 1; i < all.size(); ++i) y = matmul_any(c.b, y, all[i]);
  c.ret(y);
}

// x1ᵀ-style bilinear form: y[n,o] = Σ_ij x1[n,i] · weight[o,i,j] · x2[n,j] + bias[o], as a linear layer on x1⊗x2.
void bilinear(AtenCall& c) {
  Builder& b = c.b;
  const ValueId x1 = c.tensor("input1"), x2 = c.tensor("input2"), weight = c.tensor("weight");
  const Shape s1 = b.shape(x1), s2 = b.shape(x2), w = b.shape(weight);
  if (b.failed()) return c.ret({});
  if (w.size() != 3 || s1.empty() || s2.empty()) {
    return c.fail(Diag(diag::shape_mismatch, "bilinear: weight needs rank 3 and both inputs at least one dim"));
  }
  const ValueId left = aten_nn::unsqueeze(b, x1, s1.size()), right = aten_nn::unsqueeze(b, x2, s2.size() - 1);
  Shape flat(s1.begin(), s1.end() - 1);
  flat.push_back(w[1] * w[2]);
  const ValueId products = b.reshape(b.mul(left, right), std::move(flat));
  c.ret(b.op("linear", {products, b.reshape(weight, {w[0], w[1] * w[2]}), c.tensor("bias")}));
}

constexpr AtenRow kRows[] = {
    {.schema = "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", .fn = linear},
    {.schema = "matmul(Tensor self, Tensor other) -> Tensor", .fn = matmul},
    {.schema = "linalg_matmul(Tensor self, Tensor other) -> Tensor", .fn = matmul},
    {.schema = "mm(Tensor self, Tensor mat2) -> Tensor", .fn = mm},
    {.schema = "bmm(Tensor self, Tensor mat2) -> Tensor", .fn = mm},
    {.schema = "mv(Tensor self, Tensor vec) -> Tensor", .fn = mv},
    {.schema = "dot(Tensor self, Tensor tensor) -> Tensor", .fn = dot},
    {.schema = "vdot(Tensor self, Tensor other) -> Tensor", .fn = vdot},
    {.schema = "outer(Tensor self, Tensor vec2) -> Tensor", .fn = outer},
    {.schema = "ger(Tensor self, Tensor vec2) -> Tensor", .fn = outer},
    {.schema = "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", .fn = addmm},
    {.schema = "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor", .fn = addmv},
    {.schema = "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", .fn = addr},
    {.schema = "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
     .fn = baddbmm},
    {.schema = "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
     .fn = addbmm},
    {.schema = "linalg_multi_dot(Tensor[] tensors) -> Tensor", .fn = multi_dot},
    {.schema = "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor", .fn = bilinear},
};

}  // namespace

std::span<const AtenRow> aten_linear() { return kRows; }

}  // namespace npuport
