#include "pipelines/picture/tiles.h"

#include <algorithm>

#include "base/diag_codes.h"

namespace npuport {

Result<std::vector<TileSpan>> tile_axis(int length, int tile, int context, int step) {
  if (length <= tile) return std::vector<TileSpan>{{0, 0, length}};
  const auto refuse = [&](const char* why) {
    return Diag(diag::shape_mismatch,
                "tiles of " + std::to_string(tile) + " pixels cannot cover " + std::to_string(length) + ": " + why,
                "port the model for a larger input, or give a smaller --overlap");
  };
  if (tile <= 2 * context) return refuse("they overlap by more than they are wide");
  if ((length - tile) % step != 0) return refuse("the model's stride does not divide the last tile's position");
  const int last = length - tile;
  const int advance = (tile - 2 * context) / step * step;
  if (advance <= 0) return refuse("the model's stride leaves no position in between");
  std::vector<int> starts;
  for (int at = 0; at < last; at += advance) starts.push_back(at);
  starts.push_back(last);
  std::vector<TileSpan> out;
  for (size_t i = 0; i < starts.size(); ++i) {
    // Two neighbours overlap by at least 2 · context: the cut goes through the middle.
    const int begin = i == 0 ? 0 : out.back().end;
    const int end = i + 1 == starts.size() ? length : (starts[i + 1] + starts[i] + tile) / 2;
    out.push_back({starts[i], begin, end});
  }
  return out;
}

}  // namespace npuport
