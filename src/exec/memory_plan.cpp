#include "exec/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace npuport {

namespace {

constexpr int64_t kAlign = 64;

int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

MemoryPlan plan_memory(std::span<const BufferLife> buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  MemoryPlan plan;
  plan.offsets.assign(buffers.size(), 0);
  std::vector<size_t> placed;  // by offset
  for (const size_t i : order) {
    const int64_t need = aligned(buffers[i].bytes);
    int64_t at = 0, best = -1, best_gap = INT64_MAX;
    for (const size_t p : placed) {
      if (buffers[p].last < buffers[i].first || buffers[i].last < buffers[p].first) continue;
      const int64_t gap = plan.offsets[p] - at;
      if (gap >= need && gap < best_gap) {
        best = at;
        best_gap = gap;
      }
      at = std::max(at, plan.offsets[p] + aligned(buffers[p].bytes));
    }
    plan.offsets[i] = best >= 0 ? best : at;
    plan.bytes = std::max(plan.bytes, plan.offsets[i] + need);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
                  i);
  }
  return plan;
}

}  // namespace npuport
