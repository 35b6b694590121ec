// Cutting a picture into tiles of a fixed size so that the results join without seams.
#pragma once

#include <vector>

#include "base/result.h"

namespace npuport {

// Along one axis: the tile covers [start, start + tile), and its results are used for [begin, end).
struct TileSpan {
  int start = 0, begin = 0, end = 0;
};

// Covers [0, length) by tiles of `tile` pixels whose starts are multiples of `step`. Every used pixel lies at least
// `context` pixels inside its tile, except at the ends of the axis, where the tile's border is the picture's own: a
// network that sees `context` pixels far and pads with its own border rule gives the same there as on the whole
// picture. Fewer pixels than a tile: one tile starting at 0 (the caller pads). shape_mismatch when tile <= 2 · context
// or no start that is a multiple of `step` reaches the end.
Result<std::vector<TileSpan>> tile_axis(int length, int tile, int context, int step = 1);

}  // namespace npuport
