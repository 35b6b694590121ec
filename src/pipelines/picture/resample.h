// Enlarging by a whole factor for what the network does not see: alpha, and the colours of luma models.
#pragma once

#include <vector>

#include "base/result.h"

namespace npuport {

// Bicubic (Keys 1981, a = -0.5), pixel centres at half positions, edges repeated. `plane` holds height · width values;
// the result height · factor by width · factor, not clamped.
std::vector<float> enlarge(const std::vector<float>& plane, int width, int height, int factor);

}  // namespace npuport
