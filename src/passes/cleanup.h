// Cleaning: what no result needs, what is computed twice, what does nothing.
#pragma once

#include "passes/rewrite.h"

namespace npuport {

// Identity reshapes, transposes, casts, slices, pads, expands, concats of one; chains of reshapes, transposes, casts;
// multiplications by one and additions of zero; common subexpressions; dead code.
extern const PassDef cleanup_pass;
// Evaluates nodes over constants with the reference kernels. A node whose result is more than four times as large as
// its inputs and more than 64 KiB stays, so that files do not grow.
extern const PassDef fold_pass;

std::span<const Rewrite> cleanup_rewrites();

// Merges nodes with the same operator, attributes and inputs; returns how many went.
size_t merge_common(Graph& g);

}  // namespace npuport
