// softmax(Q·Kᵀ)·V without storing the scores: blocks of queries against blocks of keys, with a running maximum and sum
// per query (the method of FlashAttention, arXiv 2205.14135).
#pragma once

#include "exec/simd/simd.h"
#include "exec/simd/vec.h"

namespace npuport::simd {
namespace {

constexpr int64_t kQueryRows = 48;  // per call
constexpr int64_t kKeyBlock = 192;
constexpr int64_t kDepthBlock = 96;  // of a product: the piece of the second operand that stays in the first cache
// Rows and vectors of one register tile: as many accumulators as leave room for operands.
#if NPU_SIMD_BYTES == 64
constexpr int kRows = 6, kVecs = 4;
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

// All rows against V vectors of columns.
template <int V>
inline void tile_rows(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, int64_t rows,
                      int64_t depth, bool add) {
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) tile<kRows, V>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, add);
  for (; r + 2 <= rows; r += 2) tile<2, V>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, add);
  if (r < rows) tile<1, V>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, add);
}

// cols is a multiple of W. Every element is summed in the order of `depth`, whatever the tiles.
void product(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, int64_t rows,
             int64_t cols, int64_t depth, bool add) {
  for (int64_t k = 0; k < depth; k += kDepthBlock) {
    const int64_t some = depth - k < kDepthBlock ? depth - k : kDepthBlock;
    const float *left = a + k, *right = b + k * ldb;
    int64_t j = 0;
    for (; j + kVecs * W <= cols; j += kVecs * W)
      tile_rows<kVecs>(left, lda, right + j, ldb, c + j, ldc, rows, some, add || k > 0);
    if (kVecs > 3 && j + 3 * W <= cols) {
      tile_rows<3>(left, lda, right + j, ldb, c + j, ldc, rows, some, add || k > 0);
      j += 3 * W;
    }
    if (kVecs > 2 && j + 2 * W <= cols) {
      tile_rows<2>(left, lda, right + j, ldb, c + j, ldc, rows, some, add || k > 0);
      j += 2 * W;
    }
    if (j < cols) tile_rows<1>(left, lda, right + j, ldb, c + j, ldc, rows, some, add || k > 0);
  }
}

// Keys of block n, and the width they take: whole vectors.
int64_t block_keys(const Attention& p, int64_t n) {
  const int64_t left = p.keys - n * kKeyBlock;
  return left < kKeyBlock ? left : kKeyBlock;
}

// Work memory: queries, scores, results, then maximum and sum per row.
int64_t attention_work(int64_t depth, int64_t value_depth) {
  return kQueryRows * (depth + kKeyBlock + padded(value_depth) + 2);
}

// Keys by block, transposed: [block][depth][padded keys of the block]; values [padded keys][padded value_depth]; per
// block 0 when all its keys and values are finite.
int64_t attention_packed(int64_t depth, int64_t value_depth, int64_t keys) {
  return padded(keys) * (depth + padded(value_depth)) + (keys + kKeyBlock - 1) / kKeyBlock;
}

// out[d][j] = keys[j][d] of one block; columns beyond `count` are 0.
void pack_keys(const Attention& p, int64_t first, int64_t count, float* out) {
  const int64_t wide = padded(count), squares = p.k_col == 1 ? count / W * W : 0;
  const int64_t deep = p.depth / W * W;
  for (int64_t j = 0; j < squares; j += W) {
    const float* key = p.k + (first + j) * p.k_row;
    for (int64_t d = 0; d < deep; d += W) transpose_square(key + d, p.k_row, out + d * wide + j, wide);
    for (int64_t d = deep; d < p.depth; ++d)
      for (int64_t i = 0; i < W; ++i) out[d * wide + j + i] = key[i * p.k_row + d];
  }
  for (int64_t j = squares; j < count; ++j)
    for (int64_t d = 0; d < p.depth; ++d) out[d * wide + j] = p.k[(first + j) * p.k_row + d * p.k_col];
  for (int64_t d = 0; d < p.depth; ++d)
    for (int64_t j = count; j < wide; ++j) out[d * wide + j] = 0;
}

void pack_values(const Attention& p, int64_t first, int64_t count, float* out) {
  const int64_t wide = padded(p.value_depth), whole = p.v_col == 1 ? p.value_depth / W * W : 0;
  for (int64_t j = 0; j < count; ++j, out += wide) {
    const float* value = p.v + (first + j) * p.v_row;
    int64_t d = 0;
    for (; d < whole; d += W) store(out + d, load(value + d));
    for (; d < p.value_depth; ++d) out[d] = value[d * p.v_col];
    for (; d < wide; ++d) out[d] = 0;
  }
  for (int64_t j = count * wide; j < padded(count) * wide; ++j) *out++ = 0;
}

// 0 when all of n floats are finite, NaN otherwise; n is a multiple of W.
float finite(const float* x, int64_t n) {
  Vec sum{};
  for (int64_t i = 0; i < n; i += W) {
    const Vec v = load(x + i);
    sum += v - v;  // 0, or NaN for infinite and NaN lanes
  }
  return total(sum);
}

void attention_pack(const Attention& p, float* packed) {
  const int64_t blocks = (p.keys + kKeyBlock - 1) / kKeyBlock, wide = padded(p.value_depth);
  float* values = packed + padded(p.keys) * p.depth;
  float* flags = values + padded(p.keys) * wide;
  for (int64_t n = 0; n < blocks; ++n) {
    const int64_t first = n * kKeyBlock, count = block_keys(p, n);
    pack_keys(p, first, count, packed + first * p.depth);
    pack_values(p, first, count, values + first * wide);
    flags[n] = p.mask ? finite(packed + first * p.depth, padded(count) * p.depth) +
                            finite(values + first * wide, padded(count) * wide)
                      : 0;
  }
}

// Whether the mask takes every key of a block away from every row.
bool hides(const Attention& p, int64_t rows, int64_t first, int64_t count) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* m = p.mask + r * p.mask_row + first * p.mask_col;
    if (m[0] != -__builtin_inff()) return false;
    if (p.mask_row == 0 && r > 0) continue;
    if (p.mask_col == 1) {
      Vec most = splat(m[0]);
      int64_t j = 0;
      for (; j + W <= count; j += W) {
        const Vec v = load(m + j);
        most = pick(v <= most, most, v);  // NaN stays
      }
      if (largest(most) != -__builtin_inff() || total(most) != -__builtin_inff()) return false;
      for (; j < count; ++j)
        if (m[j] != -__builtin_inff()) return false;
    } else {
      for (int64_t j = 0; j < count; ++j)
        if (m[j * p.mask_col] != -__builtin_inff()) return false;
    }
  }
  return true;
}

// Adds its mask to one row of scores; beyond `count` there are no keys.
void add_mask(const Attention& p, float* s, int64_t row, int64_t first, int64_t count) {
  if (p.mask) {
    const float* m = p.mask + row * p.mask_row + first * p.mask_col;
    const int64_t whole = p.mask_col == 1 ? count / W * W : 0;
    for (int64_t j = 0; j < whole; j += W) store(s + j, load(s + j) + load(m + j));
    for (int64_t j = whole; j < count; ++j) s[j] += m[j * p.mask_col];
  }
  for (int64_t j = count; j < padded(count); ++j) s[j] = -__builtin_inff();
}

// Scores of one row against one block, turned into weights relative to the running maximum. Returns the factor for what
// was summed before.
float weigh(float* s, int64_t width, float& most, float& sum) {
  const float none = -__builtin_inff();
  Vec m = load(s), m2 = m;
  int64_t j = W;
  for (; j + 2 * W <= width; j += 2 * W) {
    const Vec v = load(s + j), v2 = load(s + j + W);
    m = pick(v > m, v, m);
    m2 = pick(v2 > m2, v2, m2);
  }
  if (j < width) m = pick(load(s + j) > m, load(s + j), m);
  const float block = largest(pick(m > m2, m, m2)), top = block > most ? block : most;
  // A row masked out so far has nothing to weigh: any finite reference gives zeros.
  const float reference = top == none ? 0 : top;
  Vec t{}, t2{};
  for (j = 0; j + 2 * W <= width; j += 2 * W) {
    const Vec e = exponential_of_negative(load(s + j) - reference);
    const Vec e2 = exponential_of_negative(load(s + j + W) - reference);
    t += e;
    t2 += e2;
    store(s + j, e);
    store(s + j + W, e2);
  }
  if (j < width) {
    const Vec e = exponential_of_negative(load(s + j) - reference);
    t += e;
    store(s + j, e);
  }
  const float factor = most == none ? 0 : top == most ? 1 : exponential(splat(most - reference))[0];
  sum = sum * factor + total(t + t2);
  most = top;
  return factor;
}

// Queries times the scale, side by side.
void load_queries(const Attention& p, int64_t rows, float* q) {
  for (int64_t r = 0; r < rows; ++r, q += p.depth) {
    const float* from = p.q + r * p.q_row;
    if (p.q_col == 1)
      for (int64_t d = 0; d < p.depth; ++d) q[d] = from[d] * p.scale;
    else
      for (int64_t d = 0; d < p.depth; ++d) q[d] = from[d * p.q_col] * p.scale;
  }
}

void attention(const Attention& p, const float* packed, int64_t rows, float* out, float* work) {
  const int64_t blocks = (p.keys + kKeyBlock - 1) / kKeyBlock, wide = padded(p.value_depth);
  float* q = work;
  float* scores = q + kQueryRows * p.depth;
  float* result = scores + kQueryRows * kKeyBlock;
  float* most = result + kQueryRows * wide;
  float* sums = most + kQueryRows;
  load_queries(p, rows, q);
  for (int64_t r = 0; r < rows; ++r) {
    most[r] = -__builtin_inff();
    sums[r] = 0;
  }
  const float* values = packed + padded(p.keys) * p.depth;
  const float* flags = values + padded(p.keys) * wide;
  bool begun = false;
  for (int64_t n = 0; n < blocks; ++n) {
    const int64_t first = n * kKeyBlock, count = block_keys(p, n), width = padded(count);
    // A causal mask takes half of the work away. NaN and infinity spread through a mask, so their blocks stay.
    if (p.mask && flags[n] == 0 && (begun || n + 1 < blocks) && hides(p, rows, first, count)) continue;
    product(q, p.depth, packed + first * p.depth, width, scores, width, rows, width, p.depth, false);
    for (int64_t r = 0; r < rows; ++r) {
      add_mask(p, scores + r * width, r, first, count);
      const float factor = weigh(scores + r * width, width, most[r], sums[r]);
      if (!begun || factor == 1) continue;
      for (int64_t d = 0; d < wide; d += W) store(result + r * wide + d, load(result + r * wide + d) * factor);
    }
    product(scores, width, values + first * wide, wide, result, wide, rows, wide, count, begun);
    begun = true;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float scale = 1 / sums[r];
    const int64_t whole = p.value_depth / W * W;
    for (int64_t d = 0; d < whole; d += W) store(out + r * p.out_row + d, load(result + r * wide + d) * scale);
    for (int64_t d = whole; d < p.value_depth; ++d) out[r * p.out_row + d] = result[r * wide + d] * scale;
  }
}

}  // namespace
}  // namespace npuport::simd
