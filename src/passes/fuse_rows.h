// The families of fusion rows, in the order they are tried.
#pragma once

#include "passes/rewrite.h"

namespace npuport {

std::span<const Rewrite> affine_rewrites();    // fuse_affine.cpp
std::span<const Rewrite> formula_rewrites();   // fuse_formulas.cpp: spelled-out operators
std::span<const Rewrite> operator_rewrites();  // fuse_operators.cpp: padding, activations, linear, 1-D as 2-D

}  // namespace npuport
