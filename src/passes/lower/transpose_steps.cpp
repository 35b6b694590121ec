#include "passes/lower/transpose_steps.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <queue>

namespace npuport {
namespace {

constexpr size_t kMostBlocks = 7;
constexpr int kMostSteps = 3;

// Cuts `order` into segments at the set bits of `cuts` (bit i = after element i).
std::vector<Ints> segments(const Ints& order, unsigned cuts) {
  std::vector<Ints> out{{}};
  for (size_t i = 0; i < order.size(); ++i) {
    out.back().push_back(order[i]);
    if (i + 1 < order.size() && (cuts >> i & 1U)) out.emplace_back();
  }
  return out;
}

struct Move {
  Ints from;      // order of blocks before
  unsigned cuts;  // how it is cut into segments
  Ints perm;      // order of the segments afterwards
};

}  // namespace

std::optional<std::vector<TransposeStep>> transpose_steps(const Shape& shape, const Ints& perm, size_t most) {
  // Blocks: runs of old dims (ones left out) that stay together, numbered in the old order.
  Ints kept;
  for (const int64_t d : perm)
    if (shape[static_cast<size_t>(d)] != 1) kept.push_back(d);
  Ints sorted = kept;
  std::sort(sorted.begin(), sorted.end());
  Ints target;  // ranks of the kept dims, in the new order
  for (const int64_t d : kept) target.push_back(std::lower_bound(sorted.begin(), sorted.end(), d) - sorted.begin());
  std::vector<int64_t> first;  // first rank of each block, in the new order
  std::map<int64_t, int64_t> size;
  for (size_t i = 0; i < target.size(); ++i) {
    const int64_t extent = shape[static_cast<size_t>(sorted[static_cast<size_t>(target[i])])];
    if (i > 0 && target[i] == target[i - 1] + 1) {
      size[first.back()] *= extent;
    } else {
      first.push_back(target[i]);
      size[target[i]] = extent;
    }
  }
  Ints ranks = first;
  std::sort(ranks.begin(), ranks.end());
  Ints goal;
  for (const int64_t f : first) goal.push_back(std::lower_bound(ranks.begin(), ranks.end(), f) - ranks.begin());
  std::vector<int64_t> extent;
  for (const int64_t f : ranks) extent.push_back(size[f]);
  Ints start(goal.size());
  std::iota(start.begin(), start.end(), 0);
  if (goal == start) return std::vector<TransposeStep>{};
  if (goal.size() > kMostBlocks) return std::nullopt;

  // Breadth first over orders of the blocks.
  std::map<Ints, std::pair<int, Move>> seen{{start, {0, {}}}};
  std::queue<Ints> work;
  work.push(start);
  while (!work.empty() && !seen.contains(goal)) {
    const Ints order = work.front();
    work.pop();
    const int depth = seen[order].first;
    if (depth == kMostSteps) continue;
    for (unsigned cuts = 1; cuts < (1U << (order.size() - 1)); ++cuts) {
      const std::vector<Ints> parts = segments(order, cuts);
      if (parts.size() > most) continue;
      Ints p(parts.size());
      std::iota(p.begin(), p.end(), 0);
      while (std::next_permutation(p.begin(), p.end())) {
        Ints next;
        for (const int64_t k : p)
          next.insert(next.end(), parts[static_cast<size_t>(k)].begin(), parts[static_cast<size_t>(k)].end());
        if (seen.emplace(next, std::make_pair(depth + 1, Move{order, cuts, p})).second) work.push(next);
      }
    }
  }
  if (!seen.contains(goal)) return std::nullopt;
  std::vector<TransposeStep> steps;
  for (Ints at = goal; at != start;) {
    const Move& m = seen[at].second;
    TransposeStep s;
    for (const Ints& part : segments(m.from, m.cuts)) {
      int64_t n = 1;
      for (const int64_t block : part) n *= extent[static_cast<size_t>(block)];
      s.shape.push_back(n);
    }
    s.perm = m.perm;
    steps.insert(steps.begin(), std::move(s));
    at = m.from;
  }
  return steps;
}

}  // namespace npuport
