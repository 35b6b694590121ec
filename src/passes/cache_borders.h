// Caches of keys and values at the borders of a decoder that runs one step at a time.
#pragma once

#include "passes/context.h"

namespace npuport {

// An input [layers, batch, heads, rows, width] that the target refuses for its rank, read layer by layer and used in
// products, becomes [layers, batch, rows, heads * width], and so does an output that stacks such layers: a row of the
// cache is then one stretch of memory, which the host appends by one copy. The I/O contract says how the model's own
// order becomes the file's (IoBinding: permutation, then shape). Outputs that give a cache back with new rows behind
// are joined in the new order, so that nothing but the rows attention reads is moved. Does nothing where the interface
// must stay (split_host off), or where the target takes five dims.
extern const PassDef cache_borders_pass;

}  // namespace npuport
