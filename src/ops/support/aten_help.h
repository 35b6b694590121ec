// Short forms for hooks of ATen rows.
#pragma once

#include "base/diag_codes.h"
#include "ops/aten.h"

namespace npuport::aten {

// `value` as a rank-0 constant of `dtype`; integers stay exact.
ValueId number(Builder& b, const AtenScalar& value, DType dtype);
// The Scalar argument `arg` in the dtype of `like` (after the binder's promotion).
ValueId number_like(AtenCall& c, std::string_view arg, ValueId like);

// int[]? dims as sorted axes in [0, rank) without repetition; none or empty = every axis. Fails on b when out of range.
Ints axes_or_all(AtenCall& c, std::string_view arg, size_t rank);
Ints all_axes(size_t rank);
// A list of axes in the given order, each in [0, rank).
Ints axis_list(AtenCall& c, std::string_view arg, size_t rank);

// Casts i32 … u8 and bool to i64 when `v` is not yet an index type; i32 and i64 stay.
ValueId as_index(Builder& b, ValueId v);
// x != 0 as bool; bools stay.
ValueId as_bool(Builder& b, ValueId v);
// Integers and bools as f32; floats stay.
ValueId as_float(Builder& b, ValueId v);
// What f16 and bf16 intermediate results are computed in (f32); other types stay.
DType wide_float(DType t);

// x[start:end] along `axis`, already in [0, size].
ValueId slice(Builder& b, ValueId x, int64_t axis, int64_t start, int64_t end, int64_t step = 1);
ValueId concat(Builder& b, std::vector<ValueId> parts, int64_t axis);
// Inserts (removes) a dim of size 1 at `axis` in [0, rank] ([0, rank)).
ValueId unsqueeze(Builder& b, ValueId x, int64_t axis);
ValueId squeeze(Builder& b, ValueId x, int64_t axis);
// Reduction by operator name; nothing to do for no axes except what the op does to one element.
ValueId reduce(Builder& b, std::string_view op, ValueId x, Ints axes, bool keepdims);
// Moves axis `from` to `to`, others keep their order.
ValueId move_axis(Builder& b, ValueId x, int64_t from, int64_t to);
// Flattens to one dim.
ValueId flat(Builder& b, ValueId x);
// A constant filled with `value`; beyond a million elements an `expand` of a scalar, so that memory stays bounded.
ValueId full(Builder& b, Shape shape, const AtenScalar& value, DType dtype);
// data's slices along `axis` at constant positions; a slice where they form a progression.
ValueId take_constant(Builder& b, ValueId data, const Ints& at, int64_t axis);

// ret(self) and the like for operators that change nothing.
void identity(AtenCall& c);
inline AtenScalar integer(int64_t v) { return {AtenScalar::integer, v, 0}; }
inline AtenScalar real(double v) { return {AtenScalar::real, 0, v}; }

// A hook for `op` on the tensors named by the schema's first arguments self (and other).
void refuse(AtenCall& c, const DiagCode& code, std::string message, std::string hint = {});

}  // namespace npuport::aten
