// ATen einsum and tensordot.
#include "ops/support/einsum.h"

#include <algorithm>
#include <numeric>

#include "base/diag_codes.h"
#include "ops/aten.h"

namespace npuport {
namespace {

void einsum_call(AtenCall& c) { c.ret(einsum(c.b, c.s("equation"), c.tensors("tensors"))); }

// Sums over pairs of dims: dims_self[i] of self with dims_other[i] of other.
void tensordot(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = c.tensor("other");
  const size_t rank_x = c.b.shape(x).size(), rank_y = c.b.shape(y).size();
  const Ints dims_x = c.ints("dims_self"), dims_y = c.ints("dims_other");
  if (dims_x.size() != dims_y.size()) {
    return c.fail(Diag(diag::bad_attribute, "tensordot: both lists of dims must have one length"));
  }
  Ints labels_x(rank_x), labels_y(rank_y), out;
  std::iota(labels_x.begin(), labels_x.end(), int64_t{0});
  std::iota(labels_y.begin(), labels_y.end(), static_cast<int64_t>(rank_x));
  for (size_t i = 0; i < dims_x.size(); ++i) {
    const Result<int64_t> ax = normalise_axis(dims_x[i], rank_x), ay = normalise_axis(dims_y[i], rank_y);
    if (!ax) return c.fail(ax.error());
    if (!ay) return c.fail(ay.error());
    labels_y[static_cast<size_t>(*ay)] = *ax;
  }
  for (const int64_t label : labels_x) {
    if (std::find(labels_y.begin(), labels_y.end(), label) == labels_y.end()) out.push_back(label);
  }
  for (const int64_t label : labels_y) {
    if (label >= static_cast<int64_t>(rank_x)) out.push_back(label);
  }
  c.ret(contract(c.b, {{x, labels_x}, {y, labels_y}}, out));
}

constexpr AtenRow kRows[] = {
    {.schema = "einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor", .fn = einsum_call},
    {.schema = "tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor", .fn = tensordot},
};

}  // namespace

std::span<const AtenRow> aten_einsum() { return kRows; }

}  // namespace npuport
