// How operators pass a permutation of their data input (AxisRule::remap). In all of them out dim i = in dim perm[i] of
// the canonical layout, so canonical axis a is found at position p with perm[p] == a.
#pragma once

#include "ir/op_def.h"

namespace npuport {

// Position of canonical axis `axis` (may be negative) in the permuted tensor.
int64_t permuted_axis(int64_t axis, std::span<const int64_t> perm);
// A per-dimension list (shape, repeats, …) in permuted order.
Ints permuted_list(const Ints& list, std::span<const int64_t> perm);

// Attribute `axis`: moved along; the output has the input's permutation.
std::optional<Ints> remap_axis(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall& c);
// Attribute `axes`, kept dims: the same for a list.
std::optional<Ints> remap_axes(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall& c);
// Reductions: `axes` with `keepdims`; without it the output's permutation is what remains of the input's.
std::optional<Ints> remap_reduce(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall& c);
// The same for a single `axis` with `keepdims` (arg_max).
std::optional<Ints> remap_arg_reduce(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall& c);

}  // namespace npuport
