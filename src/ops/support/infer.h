// Shape and type inference shared by the operator rows.
//
// Convention of all rows: an attribute `axis` or an entry of `axes` may be negative and then counts from the end.
#pragma once

#include "base/diag_codes.h"
#include "ir/op_def.h"

namespace npuport {

// Sets of element types a row accepts; i4/u4 count as integers (but have no kernels).
namespace types {
inline constexpr unsigned floating = 1;
inline constexpr unsigned integer = 2;
inline constexpr unsigned boolean = 4;
inline constexpr unsigned number = floating | integer;
inline constexpr unsigned integral = integer | boolean;
inline constexpr unsigned any = floating | integer | boolean;
}  // namespace types

using Types = Result<std::vector<TensorType>>;

bool in_set(DType t, unsigned set);
// "a float", "an integer or bool" …
std::string describe_set(unsigned set);

// A Diag whose message names the operator and the types of its inputs.
Diag infer_error(const DiagCode& code, const InferCall& c, std::string message, std::string hint = {});
// Inputs 0 … are present (required) and of a type in `set`; `dtype_mismatch` otherwise.
Status expect_types(const InferCall& c, size_t input, unsigned set);
// Inputs a and b have the same dtype; `dtype_mismatch` otherwise.
Status expect_same_dtype(const InferCall& c, size_t a, size_t b);
// low <= rank of `input` <= high; `shape_mismatch` otherwise.
Status expect_rank(const InferCall& c, size_t input, size_t low, size_t high = 64);
// i32 or i64 indices; `dtype_mismatch` otherwise.
Status expect_index(const InferCall& c, size_t input);

// The attribute `name` as an axis in [0, rank); a scalar counts as rank 1. `index_range` otherwise.
Result<int64_t> axis_of(const InferCall& c, std::string_view name, size_t rank);
// The attribute `name` as sorted axes without repetition; `bad_attribute` for a repeated axis.
Result<Ints> axes_of(const InferCall& c, std::string_view name, size_t rank);
// The same for kernels, whose attributes inference has already accepted.
int64_t known_axis(const AttrView& attrs, std::string_view name, size_t rank);
Ints known_axes(const AttrView& attrs, std::string_view name, size_t rank);

// One output, its shape checked against the size limits.
Types one_output(DType dtype, Shape shape);
// Like input 0, which must be in `set`.
Types infer_same_in(const InferCall& c, unsigned set);
// Inputs of one dtype in `set`, broadcast by NumPy's rules; `result` replaces the dtype unless it is unknown.
Types infer_broadcast_in(const InferCall& c, unsigned set, DType result = DType::unknown);

template <unsigned set>
Types infer_same(const InferCall& c) {
  return infer_same_in(c, set);
}
template <unsigned set>
Types infer_broadcast(const InferCall& c) {
  return infer_broadcast_in(c, set);
}
// Comparisons and predicates: the result is bool.
template <unsigned set>
Types infer_bool(const InferCall& c) {
  return infer_broadcast_in(c, set, DType::boolean);
}

}  // namespace npuport
