// Strided iteration over dense arrays: the one loop under broadcasting, movement and reduction kernels.
#pragma once

#include <array>

#include "ir/attr.h"

namespace npuport {

// A nest of loops over `dims`; array k moves by step[d][k] elements per step of dim d. Dims of size 1 are dropped and
// neighbours that form one run for every array are merged, so that the innermost loop is long.
template <size_t N>
struct Loop {
  Shape dims;
  std::vector<std::array<int64_t, N>> step;
  bool empty = false;
};

// strides[k][d]: elements array k moves per step of dim d of `shape`.
template <size_t N>
Loop<N> make_loop(std::span<const int64_t> shape, const std::array<Ints, N>& strides) {
  Loop<N> loop;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0) loop.empty = true;
    if (shape[d] == 1) continue;
    std::array<int64_t, N> step;
    for (size_t k = 0; k < N; ++k) step[k] = strides[k][d];
    bool merge = !loop.dims.empty();
    for (size_t k = 0; merge && k < N; ++k) merge = loop.step.back()[k] == step[k] * shape[d];
    if (merge) {
      loop.dims.back() *= shape[d];
      loop.step.back() = step;
    } else {
      loop.dims.push_back(shape[d]);
      loop.step.push_back(step);
    }
  }
  if (loop.dims.empty()) {
    loop.dims.push_back(1);
    loop.step.emplace_back();
    loop.step.back().fill(0);
  }
  return loop;
}

// Calls row(offsets, count, steps) for every innermost run, in row-major order of the dims.
template <size_t N, class Fn>
void run_rows(const Loop<N>& loop, Fn&& row) {
  if (loop.empty) return;
  const size_t outer = loop.dims.size() - 1;
  Shape index(outer, 0);
  std::array<int64_t, N> at{};
  while (true) {
    row(at, loop.dims[outer], loop.step[outer]);
    size_t d = outer;
    while (d > 0) {
      --d;
      for (size_t k = 0; k < N; ++k) at[k] += loop.step[d][k];
      if (++index[d] < loop.dims[d]) break;
      for (size_t k = 0; k < N; ++k) at[k] -= loop.step[d][k] * loop.dims[d];
      index[d] = 0;
      if (d == 0) return;
    }
    if (outer == 0) return;
  }
}

// Row-major strides of `shape`, aligned at the last dim with `out`; 0 where it is broadcast.
Ints broadcast_strides(std::span<const int64_t> shape, std::span<const int64_t> out);

// Copies a strided region of elements of `element_bytes` (1, 2, 4 or 8). Strides are in elements and may be 0 or
// negative (source); `src` and `dst` point at the element of index 0 … 0.
void copy_strided(int element_bytes, std::span<const int64_t> shape, const void* src, const Ints& src_strides,
                  void* dst, const Ints& dst_strides);

}  // namespace npuport
