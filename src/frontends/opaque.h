// What is left of operators nobody has a row for.
#pragma once

#include "frontends/frontend.h"

namespace npuport {

// The opaque operators of a graph, with their places: only what the surviving nodes say, since an operator whose result
// nobody needs blocks nothing.
std::vector<OpaqueOperator> live_opaque(const Graph& g);

}  // namespace npuport
