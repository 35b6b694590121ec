// Loops over operands of one shape that lie in memory in different ways.
#pragma once

#include <algorithm>
#include <array>

#include "exec/layout.h"
#include "exec/parallel.h"

namespace npuport {

// Strides of a value seen in `shape`, broadcast dimensions 0. The layout must not be blocked.
std::vector<int64_t> strides_towards(std::span<const int64_t> own, const LayoutPtr& layout,
                                     std::span<const int64_t> shape);

// The elements of `shape` as rows: operand 0 (the result) decides the order, its memory is walked front to back.
template <size_t N>
struct RowLoop {
  struct Dim {
    int64_t size;
    std::array<int64_t, N> step;
  };
  std::vector<Dim> outer;  // outermost first
  Dim inner{1, {}};
  int64_t rows = 1;

  RowLoop() = default;
  RowLoop(std::span<const int64_t> shape, const std::array<std::vector<int64_t>, N>& strides) {
    std::vector<Dim> dims;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) continue;
      Dim d{shape[i], {}};
      for (size_t k = 0; k < N; ++k) d.step[k] = strides[k][i];
      dims.push_back(d);
    }
    std::stable_sort(dims.begin(), dims.end(), [](const Dim& a, const Dim& b) { return a.step[0] > b.step[0]; });
    for (const Dim& d : dims) {
      bool merges = !outer.empty();
      for (size_t k = 0; k < N && merges; ++k) merges = outer.back().step[k] == d.step[k] * d.size;
      if (merges)
        outer.back() = {outer.back().size * d.size, d.step};
      else
        outer.push_back(d);
    }
    if (!outer.empty()) {
      inner = outer.back();
      outer.pop_back();
    }
    for (const Dim& d : outer) rows *= d.size;
  }

  // Offsets of the first elements of row `r`.
  std::array<int64_t, N> at(int64_t r) const {
    std::array<int64_t, N> offset{};
    for (size_t d = outer.size(); d-- > 0; r /= outer[d].size) {
      for (size_t k = 0; k < N; ++k) offset[k] += r % outer[d].size * outer[d].step[k];
    }
    return offset;
  }

  // fn(offsets, first, count) over pieces of rows, on `threads` threads when there is enough to do.
  template <class Fn>
  void run(int threads, Fn&& fn) const {
    const int64_t total = rows * inner.size;
    const int parts = total < 32768 ? 1 : threads;
    if (rows == 1) {
      const auto start = at(0);
      parallel_for(parts, inner.size, 1024, [&](int64_t begin, int64_t end) { fn(start, begin, end - begin); });
      return;
    }
    parallel_for(parts, rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) fn(at(r), int64_t{0}, inner.size);
    });
  }
};

}  // namespace npuport
