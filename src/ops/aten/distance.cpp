// ATen distances and embedding bags.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

using aten_nn::reduce;

// (Σ |x|^p)^(1/p) over axes, with the limits p = 0 (count of non-zeros) and ±inf.
ValueId vector_norm(Builder& b, ValueId x, double p, const Ints& axes, bool keepdims) {
  const DType dtype = b.dtype(x);
  if (axes.empty()) return b.op("abs", {x});
  if (p == 2) return b.op("sqrt", {reduce(b, "reduce_sum", b.mul(x, x), axes, keepdims)});
  if (p == 0) {
    const ValueId nonzero = b.cast(b.op("not_equal", {x, b.scalar(0, dtype)}), dtype);
    return reduce(b, "reduce_sum", nonzero, axes, keepdims);
  }
  const ValueId size = b.op("abs", {x});
  if (std::isinf(p)) return reduce(b, p > 0 ? "reduce_max" : "reduce_min", size, axes, keepdims);
  if (p == 1) return reduce(b, "reduce_sum", size, axes, keepdims);
  const ValueId sum = reduce(b, "reduce_sum", b.op("pow", {size, b.scalar(p, dtype)}), axes, keepdims);
  return b.op("pow", {sum, b.scalar(1.0 / p, dtype)});
}

// ‖x - y + eps‖_p along the last dim.
void pairwise_distance(AtenCall& c) {
  const ValueId d = aten_nn::add_scalar(c.b, c.b.sub(c.tensor("x1"), c.tensor("x2")), c.f("eps"));
  c.ret(vector_norm(c.b, d, c.f("p"), {-1}, c.flag("keepdim")));
}

// Euclidean distances by ‖x‖² + ‖y‖² - 2 x·y, cut off at 0: PyTorch's way for more than 25 rows.
ValueId euclidean_by_product(Builder& b, ValueId x, ValueId y) {
  const auto square = [&](ValueId v) { return reduce(b, "reduce_sum", b.mul(v, v), {-1}, true); };
  const ValueId cross = b.op("matmul", {aten_nn::mul_scalar(b, x, -2), y}, {{"transpose_b", true}});
  const ValueId sum = b.add(b.add(cross, square(x)), aten_nn::swap_last(b, square(y)));
  return b.op("sqrt", {b.op("maximum", {sum, b.scalar(0, b.dtype(x))})});
}

void cdist(AtenCall& c) {
  Builder& b = c.b;
  const ValueId x = c.tensor("x1"), y = c.tensor("x2");
  const Shape sx = b.shape(x), sy = b.shape(y);
  if (b.failed()) return;
  if (sx.size() < 2 || sy.size() < 2)
    return c.fail(Diag(diag::shape_mismatch, "cdist needs operands of rank 2 or more"));
  const double p = c.f("p");
  const int64_t mode = c.is_none("compute_mode") ? 0 : c.i("compute_mode");
  const bool many = sx[sx.size() - 2] > 25 || sy[sy.size() - 2] > 25;
  if (p == 2 && (mode == 1 || (mode == 0 && many))) return c.ret(euclidean_by_product(b, x, y));
  const ValueId d = b.sub(aten_nn::unsqueeze(b, x, sx.size() - 1), aten_nn::unsqueeze(b, y, sy.size() - 2));
  c.ret(vector_norm(b, d, p, {-1}, false));
}

void cosine_similarity(AtenCall& c) {
  Builder& b = c.b;
  ValueId x = c.tensor("x1"), y = c.tensor("x2");
  // `dim` and the norms are those of the common shape.
  const Result<Shape> wide = broadcast_shapes(b.shape(x), b.shape(y));
  if (!wide) return c.fail(wide.error());
  if (b.shape(x) != b.shape(y)) x = b.expand(x, *wide), y = b.expand(y, *wide);
  const int64_t dim = c.i("dim");
  const auto unit = [&](ValueId v) {
    const ValueId norm = vector_norm(b, v, 2, {dim}, true);
    return b.div(v, b.op("maximum", {norm, b.scalar(c.f("eps"), b.dtype(v))}));
  };
  c.ret(reduce(b, "reduce_sum", b.mul(unit(x), unit(y)), {dim}, false));
}

// [bags, total] with 1 where element i lies in bag k: offsets[k] <= i < offsets[k+1].
ValueId membership(Builder& b, ValueId offsets, int64_t bags, int64_t total, DType dtype) {
  Ints index(static_cast<size_t>(total));
  std::iota(index.begin(), index.end(), int64_t{0});
  const ValueId at = b.cast(b.ints(index), b.dtype(offsets));
  const ValueId begins = b.reshape(aten_nn::slice(b, offsets, 0, 0, bags), {bags, 1});
  const ValueId started = b.cast(b.op("less_equal", {begins, at}), dtype);
  if (bags == 0) return started;
  // What a later bag has started no longer belongs to this one.
  const ValueId next = b.op(
      "concat", {aten_nn::slice(b, started, 0, 1, bags), b.constant(Tensor::zeros(dtype, {1, total}))}, {{"axis", 0}});
  return b.sub(started, next);
}

// Length of every bag when all have the same (constant offsets 0, n, 2n, …); 0 otherwise.
int64_t uniform_length(const Tensor* offsets, int64_t bags, int64_t total) {
  if (!offsets || bags < 1 || total % bags != 0) return 0;
  for (int64_t k = 0; k < bags; ++k) {
    if (get_int(*offsets, k) != k * (total / bags)) return 0;
  }
  return total / bags;
}

// Sum, mean or maximum of embedding rows per bag.
ValueId bags_of(AtenCall& c) {
  Builder& b = c.b;
  const ValueId indices = c.tensor("indices"), offsets = c.tensor("offsets"), weights = c.tensor("per_sample_weights");
  const int64_t mode = c.i("mode");
  const Shape table = b.shape(c.tensor("weight"));
  if (b.failed() || table.size() != 2 || b.shape(indices).size() != 1 || b.shape(offsets).size() != 1) {
    c.fail(Diag(diag::shape_mismatch, "embedding_bag: weight needs rank 2, indices and offsets rank 1"));
    return {};
  }
  const int64_t total = b.shape(indices)[0];
  const int64_t bags = b.shape(offsets)[0] - (c.flag("include_last_offset") ? 1 : 0);
  ValueId rows = b.op("gather", {c.tensor("weight"), indices}, {{"axis", 0}});
  if (weights.valid()) rows = b.mul(rows, aten_nn::unsqueeze(b, weights, 1));
  if (const int64_t n = uniform_length(b.constant_of(offsets), bags, total); n > 0) {
    constexpr std::string_view kReduce[] = {"reduce_sum", "reduce_mean", "reduce_max"};
    if (n == 1) return rows;
    return reduce(b, kReduce[std::clamp<int64_t>(mode, 0, 2)], b.reshape(rows, {bags, n, table[1]}), {1}, false);
  }
  if (mode == 2) {
    const DiagCode& code = b.constant_of(offsets) ? diag::unsupported : diag::data_dependent;
    c.fail(Diag(code, "embedding_bag with mode max needs constant bags of equal length"));
    return {};
  }
  const ValueId members = membership(b, offsets, bags, total, b.dtype(rows));
  const ValueId sums = b.op("matmul", {members, rows});
  if (mode == 0) return sums;
  const ValueId count = reduce(b, "reduce_sum", members, {1}, true);
  return b.div(sums, b.op("maximum", {count, b.scalar(1, b.dtype(rows))}));
}

// The further results (offset2bag, bag_size, max_indices) only serve training.
void embedding_bag(AtenCall& c) {
  c.ret(bags_of(c));
  for (int i = 0; i < 3; ++i) c.ret(c.b.constant(Tensor::zeros(DType::i64, {0})));
}

void embedding_bag_padded(AtenCall& c) {
  if (!c.is_none("padding_idx")) {
    return c.fail(Diag(diag::unsupported, "embedding_bag with a padding index"));
  }
  embedding_bag(c);
}

constexpr AtenRow kRows[] = {
    {.schema = "pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-06, bool keepdim=False) -> Tensor",
     .promote = Promote::to_float,
     .fn = pairwise_distance},
    {.schema = "cdist(Tensor x1, Tensor x2, float p=2.0, int? compute_mode=None) -> Tensor", .fn = cdist},
    {.schema = "_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor", .fn = cdist},
    {.schema = "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor",
     .promote = Promote::to_float,
     .fn = cosine_similarity},
    {.schema = "embedding_bag.padding_idx(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq, int "
               "mode, bool sparse, Tensor? per_sample_weights, bool include_last_offset, int? padding_idx) -> (Tensor, "
               "Tensor, Tensor, Tensor)",
     .fn = embedding_bag_padded},
    {.schema =
         "embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, "
         "bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False) -> (Tensor, Tensor, "
         "Tensor, Tensor)",
     .fn = embedding_bag},
};

}  // namespace

std::span<const AtenRow> aten_distance() { return kRows; }

}  // namespace npuport
