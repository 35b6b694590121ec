// Finding the operators a model spelled out, and folding constants into the weights before them.
#pragma once

#include "passes/rewrite.h"

namespace npuport {

// layer_norm, rms_norm, gelu (both forms), silu, hard_swish, hard_sigmoid, pixel (un)shuffle from their parts; matmul
// by a constant → linear; batch norm, constant factors and terms into convolutions and linear layers; scales of
// attention into the projections; activations and zero padding into convolutions; 1-D convolutions and pools as 2-D
// ones.
extern const PassDef fuse_pass;
std::span<const Rewrite> fuse_rewrites();

// Only what folds into weights and activations: for operators that lowering wrote out (hard_sigmoid's x + 3 goes into
// the convolution before it). Nothing here brings back an operator that was lowered.
extern const PassDef refold_pass;

// Permutations left before or after linear layers by channels_last go into their weights; a channel shuffle of a
// concatenation becomes a concatenation of slices. Run after channels_last.
extern const PassDef absorb_pass;
std::span<const Rewrite> absorb_rewrites();

}  // namespace npuport
