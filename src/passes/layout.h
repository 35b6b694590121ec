// Moves image operators to NHWC and cancels the transposes this takes.
#pragma once

#include "passes/context.h"

namespace npuport {

// Every operator whose row prefers channels-last (AxisRule::spatial, rank 4) gets layout = "nhwc"; everything else
// follows the permutation its inputs arrive in, as far as its AxisRule allows. A value keeps its physical order as long
// as possible, so a transpose appears only where an operator needs another order than its input has. Weights stay in
// canonical order (writers permute them). With IoLayout::channels_last, rank-4 inputs that reach an image operator and
// rank-4 outputs that are physically NHWC change at the border; the permutation is recorded in the
// I/O contract.
extern const PassDef channels_last_pass;

// The same computation with every image operator in NCHW, for formats that know nothing else (PyTorch, ONNX). Inputs
// and outputs keep their dims and names; transposes are cancelled as far as the operators between them allow. A graph
// without channels-last operators comes back as it is.
Result<Graph> channels_first(const Graph& g);

// out dim i = in dim perm[i]
inline const Ints kToNhwc = {0, 2, 3, 1};
inline const Ints kToNchw = {0, 3, 1, 2};

}  // namespace npuport
