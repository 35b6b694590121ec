#include "ops/support/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace npuport {
namespace {

constexpr int64_t kRows = 4;        // of one register tile
constexpr int64_t kDepth = 256;     // of one block: the packed panels stay in cache
constexpr int64_t kRowBlock = 64;   // rows of A packed at once
constexpr int64_t kColBlock = 512;  // columns of B packed at once

// Explicit vectors, because the reference kernels must be usable in builds without auto-vectorisation.
template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  typedef float Vec __attribute__((vector_size(16)));
};
template <>
struct Lanes<double> {
  typedef double Vec __attribute__((vector_size(16)));
};
template <>
struct Lanes<int64_t> {
  typedef int64_t Vec __attribute__((vector_size(16)));
};
template <class T>
constexpr int64_t kLanes = static_cast<int64_t>(16 / sizeof(T));
template <class T>
constexpr int64_t kCols = 2 * kLanes<T>;

template <class T>
typename Lanes<T>::Vec load(const T* p) {
  typename Lanes<T>::Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// tile[4][2 * lanes] = Σ_p a[p][4] ⊗ b[p][2 * lanes], both packed.
template <class T>
void tile_product(int64_t k, const T* a, const T* b, T* tile) {
  using Vec = typename Lanes<T>::Vec;
  Vec c00{}, c01{}, c10{}, c11{}, c20{}, c21{}, c30{}, c31{};
  for (int64_t p = 0; p < k; ++p, a += kRows, b += kCols<T>) {
    const Vec b0 = load(b), b1 = load(b + kLanes<T>);
    c00 += a[0] * b0, c01 += a[0] * b1;
    c10 += a[1] * b0, c11 += a[1] * b1;
    c20 += a[2] * b0, c21 += a[2] * b1;
    c30 += a[3] * b0, c31 += a[3] * b1;
  }
  const Vec rows[] = {c00, c01, c10, c11, c20, c21, c30, c31};
  std::memcpy(tile, rows, sizeof rows);
}

// Packs rows [0, rows) × depth [0, k) of `m` into panels of `width` rows, depth-major, zero-padded.
template <class T>
void pack(Strided<T> m, int64_t rows, int64_t k, int64_t width, T* out) {
  for (int64_t r0 = 0; r0 < rows; r0 += width) {
    const int64_t live = std::min(width, rows - r0);
    for (int64_t p = 0; p < k; ++p, out += width) {
      const T* src = m.data + r0 * m.row + p * m.col;
      for (int64_t r = 0; r < live; ++r) out[r] = src[r * m.row];
      for (int64_t r = live; r < width; ++r) out[r] = T{};
    }
  }
}

template <class T>
void add_tile(const T* tile, int64_t rows, int64_t cols, T* c, int64_t ldc) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) c[i * ldc + j] += tile[i * kCols<T> + j];
  }
}

constexpr int64_t round_up(int64_t v, int64_t unit) { return (v + unit - 1) / unit * unit; }

}  // namespace

template <class T>
void gemm(int64_t m, int64_t n, int64_t k, Strided<T> a, Strided<T> b, T* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * ldc, n, T{});
  if (m == 0 || n == 0 || k == 0) return;
  const int64_t depth = std::min(k, kDepth);
  std::vector<T> a_pack(static_cast<size_t>(round_up(std::min(m, kRowBlock), kRows) * depth));
  std::vector<T> b_pack(static_cast<size_t>(round_up(std::min(n, kColBlock), kCols<T>) * depth));
  T tile[kRows * kCols<T>];
  for (int64_t j0 = 0; j0 < n; j0 += kColBlock) {
    const int64_t cols = std::min(kColBlock, n - j0);
    for (int64_t p0 = 0; p0 < k; p0 += kDepth) {
      const int64_t kk = std::min(kDepth, k - p0);
      pack<T>({b.data + p0 * b.row + j0 * b.col, b.col, b.row}, cols, kk, kCols<T>, b_pack.data());
      for (int64_t i0 = 0; i0 < m; i0 += kRowBlock) {
        const int64_t rows = std::min(kRowBlock, m - i0);
        pack<T>({a.data + i0 * a.row + p0 * a.col, a.row, a.col}, rows, kk, kRows, a_pack.data());
        for (int64_t j = 0; j < cols; j += kCols<T>) {
          for (int64_t i = 0; i < rows; i += kRows) {
            tile_product(kk, a_pack.data() + i * kk, b_pack.data() + j * kk, tile);
            add_tile(tile, std::min(kRows, rows - i), std::min(kCols<T>, cols - j), c + (i0 + i) * ldc + j0 + j, ldc);
          }
        }
      }
    }
  }
}

template void gemm<float>(int64_t, int64_t, int64_t, Strided<float>, Strided<float>, float*, int64_t);
template void gemm<double>(int64_t, int64_t, int64_t, Strided<double>, Strided<double>, double*, int64_t);
template void gemm<int64_t>(int64_t, int64_t, int64_t, Strided<int64_t>, Strided<int64_t>, int64_t*, int64_t);

}  // namespace npuport
