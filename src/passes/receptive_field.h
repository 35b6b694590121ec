// How far an image network sees: what tiles of a picture must overlap by to join without seams.
#pragma once

#include <optional>

#include "ir/graph.h"

namespace npuport {

struct ReceptiveField {
  int64_t radius = 0;  // an output pixel depends on input pixels at most this far away, in either direction
  int64_t step = 1;    // moving the input by multiples of this moves the output along; 1 for networks without strides
};

// Of a graph with one rank-4 input and one rank-4 output that is an s-fold enlargement (s = 1, 2, …) of it, both in the
// same layout, NCHW or NHWC. nullopt when some operator looks further than a window (global pooling, attention, a
// reshape across pixels), depends on the absolute position, or is not known here to be local.
std::optional<ReceptiveField> receptive_field(const Graph& g);

}  // namespace npuport
