// Memory of constants while a graph is rewritten.
#pragma once

#include <span>

#include "ir/graph.h"

namespace npuport {

// Lets go of large constants nothing reads any more, at once: weights and what was made of them must not lie in memory
// side by side. Pages of a mapped file are given back even where another graph still holds the constant.
void release_unused(Graph& g, std::span<const ValueId> values);

}  // namespace npuport
