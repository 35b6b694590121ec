#include "pipelines/picture/resample.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace npuport {
namespace {

double keys(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((x - 5) * x + 8) * x * a - 4 * a;
  return 0;
}

// Four neighbours and weights of one output position.
struct Taps {
  std::array<int, 4> at;
  std::array<float, 4> weight;
};

std::vector<Taps> taps(int length, int factor) {
  std::vector<Taps> out;
  for (int i = 0; i < length * factor; ++i) {
    const double centre = (i + 0.5) / factor - 0.5;
    const int first = static_cast<int>(std::floor(centre)) - 1;
    Taps t{};
    for (int k = 0; k < 4; ++k) {
      t.at[static_cast<size_t>(k)] = std::clamp(first + k, 0, length - 1);
      t.weight[static_cast<size_t>(k)] = static_cast<float>(keys(centre - (first + k)));
    }
    out.push_back(t);
  }
  return out;
}

}  // namespace

std::vector<float> enlarge(const std::vector<float>& plane, int width, int height, int factor) {
  const std::vector<Taps> across = taps(width, factor), down = taps(height, factor);
  const size_t wide = across.size();
  std::vector<float> rows(static_cast<size_t>(height) * wide);
  for (size_t y = 0; y < static_cast<size_t>(height); ++y)
    for (size_t x = 0; x < wide; ++x)
      for (size_t k = 0; k < 4; ++k)
        rows[y * wide + x] +=
            across[x].weight[k] * plane[y * static_cast<size_t>(width) + static_cast<size_t>(across[x].at[k])];
  std::vector<float> out(down.size() * wide);
  for (size_t y = 0; y < down.size(); ++y)
    for (size_t k = 0; k < 4; ++k)
      for (size_t x = 0; x < wide; ++x)
        out[y * wide + x] += down[y].weight[k] * rows[static_cast<size_t>(down[y].at[k]) * wide + x];
  return out;
}

}  // namespace npuport
