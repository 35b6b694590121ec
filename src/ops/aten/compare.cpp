// ATen: comparisons, logic and selection.
#include <limits>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// The condition as it was before the binder promoted it together with the two choices.
ValueId condition(AtenCall& c, std::string_view arg) {
  const ValueId v = c.tensor(arg);
  if (c.b.dtype(v) == DType::boolean) return v;
  const Node* producer = v.valid() ? c.b.graph().producer(v) : nullptr;
  if (producer != nullptr && producer->op->name == "cast" && c.b.dtype(producer->inputs[0]) == DType::boolean) {
    return producer->inputs[0];
  }
  return as_bool(c.b, v);
}

void where_tensors(AtenCall& c) {
  c.ret(c.b.op("where", {condition(c, "condition"), c.tensor("self"), c.tensor("other")}));
}

// The type of one tensor and one number: the number counts only when it is of a higher kind.
DType with_number(DType tensor, AtenScalar number) {
  if (number.kind == AtenScalar::real && !is_float(tensor)) return DType::f32;
  return number.kind == AtenScalar::integer && tensor == DType::boolean ? DType::i64 : tensor;
}

void where_scalar_other(AtenCall& c) {
  const ValueId x = c.tensor("self");
  const DType t = with_number(c.b.dtype(x), c.scalar("other"));
  c.ret(c.b.op("where", {as_bool(c.b, c.tensor("condition")), c.b.cast(x, t), number(c.b, c.scalar("other"), t)}));
}

void where_scalar_self(AtenCall& c) {
  const ValueId y = c.tensor("other");
  const DType t = with_number(c.b.dtype(y), c.scalar("self"));
  c.ret(c.b.op("where", {as_bool(c.b, c.tensor("condition")), number(c.b, c.scalar("self"), t), c.b.cast(y, t)}));
}

void where_scalars(AtenCall& c) {
  const AtenScalar x = c.scalar("self"), y = c.scalar("other");
  DType t = DType::boolean;
  if (x.kind == AtenScalar::real || y.kind == AtenScalar::real)
    t = DType::f32;
  else if (x.kind == AtenScalar::integer || y.kind == AtenScalar::integer)
    t = DType::i64;
  c.ret(c.b.op("where", {as_bool(c.b, c.tensor("condition")), number(c.b, x, t), number(c.b, y, t)}));
}

// self's dtype decides; the mask broadcasts.
void masked_fill_scalar(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.op("where", {as_bool(c.b, c.tensor("mask")), number_like(c, "value", x), x}));
}

void masked_fill_tensor(AtenCall& c) {
  const ValueId x = c.tensor("self"), value = c.tensor("value");
  if (!c.b.shape(value).empty()) {
    return refuse(c, diag::shape_mismatch, "masked_fill takes a 0-dimensional value tensor");
  }
  c.ret(c.b.op("where", {as_bool(c.b, c.tensor("mask")), c.b.cast(value, c.b.dtype(x)), x}));
}

ValueId close_to(AtenCall& c) {
  const ValueId x = c.tensor("self"), y = c.tensor("other");
  ValueId close = c.b.op("equal", {x, y});
  if (c.flag("equal_nan") && is_float(c.b.dtype(x))) {
    const ValueId both = c.b.op("logical_and", {c.b.op("isnan", {x}), c.b.op("isnan", {y})});
    close = c.b.op("logical_or", {close, both});
  }
  const DType t = is_float(c.b.dtype(x)) ? c.b.dtype(x) : DType::f64;
  const ValueId fx = c.b.cast(x, t), fy = c.b.cast(y, t);
  const ValueId allowed = c.b.add(c.b.scalar(c.f("atol"), t), c.b.op("abs", {c.b.mul(c.b.scalar(c.f("rtol"), t), fy)}));
  const ValueId error = c.b.op("abs", {c.b.sub(fx, fy)});
  const ValueId inf = c.b.scalar(std::numeric_limits<double>::infinity(), t);
  const ValueId near = c.b.op("logical_and", {c.b.op("less", {error, inf}), c.b.op("less_equal", {error, allowed})});
  return c.b.op("logical_or", {close, near});
}

void isclose(AtenCall& c) { c.ret(close_to(c)); }

// Membership: equality against every test element, then any.
void isin(AtenCall& c) {
  const ValueId x = c.tensor("elements"), tests = flat(c.b, c.tensor("test_elements"));
  const int64_t axis = static_cast<int64_t>(c.b.shape(x).size());
  const ValueId hit = c.b.op("equal", {unsqueeze(c.b, x, axis), tests});
  const ValueId any = reduce(c.b, "reduce_any", hit, {axis}, false);
  c.ret(c.flag("invert") ? c.b.op("logical_not", {any}) : any);
}

constexpr Promote C = Promote::common, B = Promote::common_bool_result, N = Promote::none;

constexpr AtenRow rows[] = {
    {"eq.Tensor(Tensor self, Tensor other) -> Tensor", "equal", B},
    {"eq.Scalar(Tensor self, Scalar other) -> Tensor", "equal", B},
    {"ne.Tensor(Tensor self, Tensor other) -> Tensor", "not_equal", B},
    {"ne.Scalar(Tensor self, Scalar other) -> Tensor", "not_equal", B},
    {"not_equal.Tensor(Tensor self, Tensor other) -> Tensor", "not_equal", B},
    {"not_equal.Scalar(Tensor self, Scalar other) -> Tensor", "not_equal", B},
    {"lt.Tensor(Tensor self, Tensor other) -> Tensor", "less", B},
    {"lt.Scalar(Tensor self, Scalar other) -> Tensor", "less", B},
    {"less.Tensor(Tensor self, Tensor other) -> Tensor", "less", B},
    {"less.Scalar(Tensor self, Scalar other) -> Tensor", "less", B},
    {"le.Tensor(Tensor self, Tensor other) -> Tensor", "less_equal", B},
    {"le.Scalar(Tensor self, Scalar other) -> Tensor", "less_equal", B},
    {"less_equal.Tensor(Tensor self, Tensor other) -> Tensor", "less_equal", B},
    {"less_equal.Scalar(Tensor self, Scalar other) -> Tensor", "less_equal", B},
    {"gt.Tensor(Tensor self, Tensor other) -> Tensor", "greater", B},
    {"gt.Scalar(Tensor self, Scalar other) -> Tensor", "greater", B},
    {"greater.Tensor(Tensor self, Tensor other) -> Tensor", "greater", B},
    {"greater.Scalar(Tensor self, Scalar other) -> Tensor", "greater", B},
    {"ge.Tensor(Tensor self, Tensor other) -> Tensor", "greater_equal", B},
    {"ge.Scalar(Tensor self, Scalar other) -> Tensor", "greater_equal", B},
    {"greater_equal.Tensor(Tensor self, Tensor other) -> Tensor", "greater_equal", B},
    {"greater_equal.Scalar(Tensor self, Scalar other) -> Tensor", "greater_equal", B},
    {"logical_and(Tensor self, Tensor other) -> Tensor", "logical_and", B},
    {"logical_or(Tensor self, Tensor other) -> Tensor", "logical_or", B},
    {"logical_xor(Tensor self, Tensor other) -> Tensor", "logical_xor", B},
    {"where.self(Tensor condition, Tensor self, Tensor other) -> Tensor", {}, C, where_tensors},
    {"where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor", {}, N, where_scalar_other},
    {"where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor", {}, N, where_scalar_self},
    {"where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor", {}, N, where_scalars},
    {"masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor", {}, N, masked_fill_scalar},
    {"masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor", {}, N, masked_fill_tensor},
    {"isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor",
     {},
     C,
     isclose},
    {"isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> "
     "Tensor",
     {},
     C,
     isin},
};

}  // namespace

std::span<const AtenRow> aten_compare() { return rows; }

}  // namespace npuport
