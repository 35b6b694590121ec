// softmax(Q·Kᵀ)·V without storing the scores: blocks of queries against blocks of keys, with a running maximum and sum
// per query (the method of FlashAttention, arXiv 2205.14135).
#pragma once

#include "exec/simd/simd.h"
#include "exec/simd/vec.h"

namespace npuport::simd {
namespace {

constexpr int64_t kQueryRows = 48;  // per call
constexpr int64_t kKeyBlock = 192;
// Rows and vectors of one register tile: as many accumulators as leave room for operands.
#if NPU_SIMD_BYTES == 64
constexpr int kRows = 8, kVecs = 3;
#elif NPU_SIMD_BYTES == 32
constexpr int kRows = 4, kVecs = 3;
#else
constexpr int kRows = 4, kVecs = 2;
#endif

constexpr int64_t padded(int64_t n) { return (n + W - 1) / W * W; }

// C[R rows][V vectors] (+)= A[R][depth] · B[depth][V vectors].
template <int R, int V>
inline __attribute__((always_inline)) void tile(const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
                                                int64_t ldc, int64_t depth, bool add) {
  Vec acc[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) acc[r][v] = add ? load(c + r * ldc + v * W) : Vec{};
  for (int64_t k = 0; k < depth; ++k) {
    Vec row[V];
    for (int v = 0; v < V; ++v) row[v] = load(b + k * ldb + v * W);
    for (int r = 0; r < R; ++r) {
      const Vec x = splat(a[r * lda + k]);
      for (int v = 0; v < V; ++v) acc[r][v] += x * row[v];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(c + r * ldc + v * W, acc[r][v]);
}

template <int R>
inline void tile_columns(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, int64_t cols,
                         int64_t depth, bool add) {
  int64_t j = 0;
  for (; j + kVecs * W <= cols; j += kVecs * W) tile<R, kVecs>(a, lda, b + j, ldb, c + j, ldc, depth, add);
  for (; j < cols; j += W) tile<R, 1>(a, lda, b + j, ldb, c + j, ldc, depth, add);
}

// cols is a multiple of W.
void product(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, int64_t rows,
             int64_t cols, int64_t depth, bool add) {
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows)
    tile_columns<kRows>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, cols, depth, add);
  for (; r < rows; ++r) tile_columns<1>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, cols, depth, add);
}

// Work memory: queries, scores, results, then maximum and sum per row.
int64_t attention_work(int64_t depth, int64_t value_depth) {
  return kQueryRows * (depth + kKeyBlock + padded(value_depth) + 2);
}

// Keys by block, transposed: [block][depth][kKeyBlock]; values [keys][padded value_depth].
int64_t attention_packed(int64_t depth, int64_t value_depth, int64_t keys) {
  const int64_t blocks = (keys + kKeyBlock - 1) / kKeyBlock;
  return blocks * kKeyBlock * (depth + padded(value_depth));
}

void attention_pack(const Attention& p, float* packed) {
  const int64_t blocks = (p.keys + kKeyBlock - 1) / kKeyBlock, wide = padded(p.value_depth);
  for (int64_t n = 0; n < blocks; ++n) {
    float* out = packed + n * kKeyBlock * p.depth;
    const int64_t first = n * kKeyBlock, count = p.keys - first < kKeyBlock ? p.keys - first : kKeyBlock;
    for (int64_t d0 = 0; d0 < p.depth; d0 += 16) {
      const int64_t d1 = d0 + 16 < p.depth ? d0 + 16 : p.depth;
      for (int64_t j = 0; j < count; ++j) {
        const float* key = p.k + (first + j) * p.k_row;
        for (int64_t d = d0; d < d1; ++d) out[d * kKeyBlock + j] = key[d * p.k_col];
      }
      for (int64_t d = d0; d < d1; ++d)
        for (int64_t j = count; j < kKeyBlock; ++j) out[d * kKeyBlock + j] = 0;
    }
  }
  float* values = packed + blocks * kKeyBlock * p.depth;
  for (int64_t j = 0; j < blocks * kKeyBlock; ++j) {
    for (int64_t d = 0; d < wide; ++d)
      values[j * wide + d] = j < p.keys && d < p.value_depth ? p.v[j * p.v_row + d * p.v_col] : 0;
  }
}

// Scales one row of scores, adds its mask; beyond `count` there are no keys.
void scale_and_mask(const Attention& p, float* s, int64_t row, int64_t first, int64_t count) {
  if (p.mask || p.scale != 1) {
    const bool whole = p.mask && p.mask_col == 1;
    for (int64_t j = 0; j < kKeyBlock; j += W) {
      Vec v = load(s + j) * p.scale;
      if (whole && j + W <= count) v += load(p.mask + row * p.mask_row + first + j);
      store(s + j, v);
    }
    const int64_t done = whole ? count / W * W : 0;
    for (int64_t j = done; p.mask && j < count; ++j) s[j] += p.mask[row * p.mask_row + (first + j) * p.mask_col];
  }
  for (int64_t j = count; j < kKeyBlock; ++j) s[j] = -__builtin_inff();
}

// Scores of one row against one block, turned into weights relative to the running maximum. Returns the factor for what
// was summed before.
float weigh(float* s, float& most, float& sum) {
  const float none = -__builtin_inff();
  Vec m = load(s), m2 = load(s + W);
  for (int64_t j = 2 * W; j < kKeyBlock; j += 2 * W) {
    const Vec v = load(s + j), v2 = load(s + j + W);
    m = pick(v > m, v, m);
    m2 = pick(v2 > m2, v2, m2);
  }
  const float block = largest(pick(m > m2, m, m2)), top = block > most ? block : most;
  // A row masked out so far has nothing to weigh: any finite reference gives zeros.
  const float reference = top == none ? 0 : top;
  Vec t{}, t2{};
  for (int64_t j = 0; j < kKeyBlock; j += 2 * W) {
    const Vec e = exponential_of_negative(load(s + j) - reference);
    const Vec e2 = exponential_of_negative(load(s + j + W) - reference);
    t += e;
    t2 += e2;
    store(s + j, e);
    store(s + j + W, e2);
  }
  const float factor = most == none ? 0 : exponential(splat(most - reference))[0];
  sum = sum * factor + total(t + t2);
  most = top;
  return factor;
}

void attention(const Attention& p, const float* packed, int64_t rows, float* out, float* work) {
  const int64_t blocks = (p.keys + kKeyBlock - 1) / kKeyBlock, wide = padded(p.value_depth);
  float* q = work;
  float* scores = q + kQueryRows * p.depth;
  float* result = scores + kQueryRows * kKeyBlock;
  float* most = result + kQueryRows * wide;
  float* sums = most + kQueryRows;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t d = 0; d < p.depth; ++d) q[r * p.depth + d] = p.q[r * p.q_row + d * p.q_col];
    most[r] = -__builtin_inff();
    sums[r] = 0;
  }
  const float* values = packed + blocks * kKeyBlock * p.depth;
  for (int64_t n = 0; n < blocks; ++n) {
    const int64_t first = n * kKeyBlock, count = p.keys - first < kKeyBlock ? p.keys - first : kKeyBlock;
    product(q, p.depth, packed + n * kKeyBlock * p.depth, kKeyBlock, scores, kKeyBlock, rows, kKeyBlock, p.depth,
            false);
    for (int64_t r = 0; r < rows; ++r) {
      scale_and_mask(p, scores + r * kKeyBlock, r, first, count);
      const float factor = weigh(scores + r * kKeyBlock, most[r], sums[r]);
      if (n == 0 || factor == 1) continue;
      for (int64_t d = 0; d < wide; d += W) store(result + r * wide + d, load(result + r * wide + d) * factor);
    }
    product(scores, kKeyBlock, values + first * wide, wide, result, wide, rows, wide, count, n > 0);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float scale = 1 / sums[r];
    for (int64_t d = 0; d < p.value_depth; ++d) out[r * p.out_row + d] = result[r * wide + d] * scale;
  }
}

}  // namespace
}  // namespace npuport::simd
