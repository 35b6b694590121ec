// ATen: differences along an axis and cross products.
#include <algorithm>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// n-th forward difference along an axis, after joining prepend and append.
void diff(AtenCall& c) {
  ValueId x = c.tensor("self");
  const int64_t axis = c.axis("dim", c.b.shape(x).size());
  if (c.b.shape(x).empty()) return refuse(c, diag::shape_mismatch, "diff of a scalar");
  std::vector<ValueId> parts;
  if (c.tensor("prepend").valid()) parts.push_back(c.tensor("prepend"));
  parts.push_back(x);
  if (c.tensor("append").valid()) parts.push_back(c.tensor("append"));
  x = concat(c.b, std::move(parts), axis);
  if (c.b.failed()) return;
  const int64_t n = std::min(c.i("n"), c.b.shape(x)[axis]);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t size = c.b.shape(x)[axis];
    const ValueId high = slice(c.b, x, axis, std::min<int64_t>(1, size), size);
    const ValueId low = slice(c.b, x, axis, 0, std::max<int64_t>(0, size - 1));
    x = c.b.op(c.b.dtype(x) == DType::boolean ? "logical_xor" : "sub", {high, low});
    if (c.b.failed()) return;
  }
  c.ret(x);
}

// y[i] = a[i+1] b[i+2] - a[i+2] b[i+1].
void ret_cross(AtenCall& c, int64_t axis) {
  ValueId x = c.tensor("self"), y = c.tensor("other");
  const Result<Shape> shape = broadcast_shapes(c.b.shape(x), c.b.shape(y));
  if (!shape) return c.fail(shape.error());
  x = c.b.expand(x, *shape);
  y = c.b.expand(y, *shape);
  if (c.b.failed() || axis >= static_cast<int64_t>(shape->size()) || (*shape)[axis] != 3) {
    return refuse(c, diag::shape_mismatch, "cross: the dimension must have size 3");
  }
  const auto turned = [&](ValueId v, int64_t by) {
    return concat(c.b, {slice(c.b, v, axis, by, 3), slice(c.b, v, axis, 0, by)}, axis);
  };
  c.ret(c.b.sub(c.b.mul(turned(x, 1), turned(y, 2)), c.b.mul(turned(x, 2), turned(y, 1))));
}
void cross(AtenCall& c) {
  const Shape shape = c.shape("self");
  int64_t axis = 0;
  if (!c.is_none("dim"))
    axis = c.axis("dim", shape.size());
  else
    while (axis < static_cast<int64_t>(shape.size()) && shape[axis] != 3) ++axis;
  ret_cross(c, axis);
}
void linalg_cross(AtenCall& c) { ret_cross(c, c.axis("dim", c.shape("self").size())); }

// Sum of products over both last axes.
void inner(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = c.tensor("other");
  const Shape xs = c.b.shape(x), ys = c.b.shape(y);
  if (xs.empty() || ys.empty()) return c.ret(c.b.mul(x, y));
  if (xs.back() != ys.back()) return refuse(c, diag::shape_mismatch, "inner: the last dimensions differ");
  Shape rows(xs.begin(), xs.end() - 1), wide = rows;
  wide.insert(wide.end(), ys.size() - 1, 1);
  wide.push_back(xs.back());
  const ValueId product = c.b.mul(c.b.reshape(x, std::move(wide)), y);
  const int64_t last = static_cast<int64_t>(xs.size() + ys.size()) - 2;
  c.ret(reduce(c.b, "reduce_sum", product, {last}, false));
}

// Every element of self times the whole of other, laid out as blocks.
void kron(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = c.tensor("other");
  const size_t rank = std::max(c.b.shape(x).size(), c.b.shape(y).size());
  const auto full_rank = [&](ValueId v) {
    Shape shape = c.b.shape(v);
    shape.insert(shape.begin(), rank - shape.size(), 1);
    return shape;
  };
  const Shape xs = full_rank(x), ys = full_rank(y);
  Shape outer, block, merged;
  for (size_t d = 0; d < rank; ++d) {
    outer.insert(outer.end(), {xs[d], 1});
    block.insert(block.end(), {1, ys[d]});
    merged.push_back(xs[d] * ys[d]);
  }
  c.ret(c.b.reshape(c.b.mul(c.b.reshape(x, outer), c.b.reshape(y, block)), merged));
}

constexpr Promote C = Promote::common;

constexpr AtenRow rows[] = {
    {"diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor", {}, C, diff},
    {"inner(Tensor self, Tensor other) -> Tensor", {}, C, inner},
    {"kron(Tensor self, Tensor other) -> Tensor", {}, C, kron},
    {"cross(Tensor self, Tensor other, int? dim=None) -> Tensor", {}, C, cross},
    {"linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor", {}, C, linalg_cross},
};

}  // namespace

std::span<const AtenRow> aten_difference() { return rows; }

}  // namespace npuport
