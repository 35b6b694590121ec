// Places buffers with known lifetimes in one arena.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace npuport {

struct BufferLife {
  int64_t bytes = 0;
  int first = 0, last = 0;  // steps, inclusive
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // 64-byte aligned, one per buffer
  int64_t bytes = 0;             // of the arena
};

// Largest buffers first, each into the smallest gap between the buffers it lives together with (best fit).
MemoryPlan plan_memory(std::span<const BufferLife> buffers);

}  // namespace npuport
