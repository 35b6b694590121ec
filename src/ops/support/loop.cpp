#include "ops/support/loop.h"

#include <algorithm>

namespace npuport {

Ints broadcast_strides(std::span<const int64_t> shape, std::span<const int64_t> out) {
  Ints strides(out.size(), 0);
  int64_t step = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t size = shape[shape.size() - 1 - i];
    if (size != 1) strides[out.size() - 1 - i] = step;
    step *= size;
  }
  return strides;
}

namespace {

// Source and destination walk in different orders: small tiles keep both in cache.
template <class U>
void copy_tiled(const U* src, U* dst, int64_t rows, int64_t cols, const std::array<int64_t, 2>& row_step,
                const std::array<int64_t, 2>& col_step) {
  constexpr int64_t tile = 16;
  for (int64_t r0 = 0; r0 < rows; r0 += tile) {
    for (int64_t c0 = 0; c0 < cols; c0 += tile) {
      const int64_t r1 = std::min(rows, r0 + tile), c1 = std::min(cols, c0 + tile);
      for (int64_t r = r0; r < r1; ++r) {
        for (int64_t c = c0; c < c1; ++c) {
          dst[r * row_step[1] + c * col_step[1]] = src[r * row_step[0] + c * col_step[0]];
        }
      }
    }
  }
}

template <class U>
void copy_row(const U* src, U* dst, int64_t count, const std::array<int64_t, 2>& step) {
  if (step[0] == 1 && step[1] == 1) {
    std::memcpy(dst, src, static_cast<size_t>(count) * sizeof(U));
  } else if (step[0] == 0 && step[1] == 1) {
    std::fill_n(dst, count, *src);
  } else {
    for (int64_t i = 0; i < count; ++i) dst[i * step[1]] = src[i * step[0]];
  }
}

template <class U>
void copy_nd(std::span<const int64_t> shape, const U* src, const Ints& src_strides, U* dst, const Ints& dst_strides) {
  Loop<2> loop = make_loop<2>(shape, {src_strides, dst_strides});
  if (loop.empty) return;
  // A dim that is contiguous in the source while the innermost one is not: pair the two in tiles.
  const size_t last = loop.dims.size() - 1;
  size_t pair = last;
  for (size_t d = 0; d < last; ++d) {
    if (loop.step[d][0] == 1 && loop.dims[d] > 4) pair = d;
  }
  if (loop.step[last][0] == 1 || pair == last) {
    run_rows(loop, [&](const auto& at, int64_t n, const auto& step) { copy_row(src + at[0], dst + at[1], n, step); });
    return;
  }
  const int64_t rows = loop.dims[pair], cols = loop.dims[last];
  const auto row_step = loop.step[pair], col_step = loop.step[last];
  loop.dims[pair] = 1;
  loop.dims[last] = 1;
  run_rows(loop, [&](const auto& at, int64_t, const auto&) {
    copy_tiled(src + at[0], dst + at[1], rows, cols, row_step, col_step);
  });
}

}  // namespace

void copy_strided(int element_bytes, std::span<const int64_t> shape, const void* src, const Ints& src_strides,
                  void* dst, const Ints& dst_strides) {
  const auto copy = [&]<class U>() {
    copy_nd(shape, static_cast<const U*>(src), src_strides, static_cast<U*>(dst), dst_strides);
  };
  if (element_bytes == 1) copy.operator()<uint8_t>();
  if (element_bytes == 2) copy.operator()<uint16_t>();
  if (element_bytes == 4) copy.operator()<uint32_t>();
  if (element_bytes == 8) copy.operator()<uint64_t>();
}

}  // namespace npuport
