// The kernels themselves; each simd_*.cpp includes this once with its own vector width.
#pragma once

#include "exec/simd/attention.h"
#include "exec/simd/simd.h"
#include "exec/simd/vec.h"

namespace npuport::simd {
namespace {

// Runs fn on whole vectors, and on a padded one at the end.
template <class Fn>
void each(const float* x, float* y, int64_t n, Fn fn) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, fn(load(x + i)));
  if (i == n) return;
  float rest[W] = {};
  for (int64_t k = i; k < n; ++k) rest[k - i] = x[k];
  store(rest, fn(load(rest)));
  for (int64_t k = i; k < n; ++k) y[k] = rest[k - i];
}

Vec gelu_tanh_of(Vec v) {
  const Vec inner = (v * v * v * 0.044715F + v) * 0.797884561F;
  return v * 0.5F * (tangent_h(inner) + 1.0F);
}

void unary(Unary f, const float* x, float* y, int64_t n, float a, float b) {
  switch (f) {
    case Unary::neg:
      return each(x, y, n, [](Vec v) { return -v; });
    case Unary::abs:
      return each(x, y, n, [](Vec v) { return absolute(v); });
    case Unary::square:
      return each(x, y, n, [](Vec v) { return v * v; });
    case Unary::sqrt:
      return each(x, y, n, [](Vec v) { return square_root(v); });
    case Unary::rsqrt:
      return each(x, y, n, [](Vec v) { return 1.0F / square_root(v); });
    case Unary::reciprocal:
      return each(x, y, n, [](Vec v) { return 1.0F / v; });
    case Unary::exp:
      return each(x, y, n, [](Vec v) { return exponential(v); });
    case Unary::log:
      return each(x, y, n, [](Vec v) { return logarithm(v); });
    case Unary::relu:
      return each(x, y, n, [](Vec v) { return at_least(v, Vec{}); });
    case Unary::sigmoid:
      return each(x, y, n, [](Vec v) { return logistic(v); });
    case Unary::tanh:
      return each(x, y, n, [](Vec v) { return tangent_h(v); });
    case Unary::erf:
      return each(x, y, n, [](Vec v) { return error_function(v); });
    case Unary::silu:
      return each(x, y, n, [](Vec v) { return v / (exponential(-v) + 1.0F); });
    case Unary::gelu:
      return each(x, y, n, [](Vec v) { return v * 0.5F * (error_function(v * 0.707106781F) + 1.0F); });
    case Unary::gelu_tanh:
      return each(x, y, n, [](Vec v) { return gelu_tanh_of(v); });
    case Unary::hard_swish:
      return each(x, y, n, [](Vec v) { return v * at_most(at_least(v + 3.0F, Vec{}), splat(6)) / 6.0F; });
    case Unary::hard_sigmoid:
      return each(x, y, n, [](Vec v) { return at_most(at_least(v + 3.0F, Vec{}), splat(6)) / 6.0F; });
    case Unary::leaky_relu:
      return each(x, y, n, [a](Vec v) { return pick(v > 0.0F, v, v * a); });
    case Unary::elu:
      return each(x, y, n, [a](Vec v) { return pick(v > 0.0F, v, (exponential(v) - 1.0F) * a); });
    case Unary::clamp:
      return each(x, y, n, [a, b](Vec v) { return at_most(at_least(v, splat(a)), splat(b)); });
    case Unary::scale_shift:
      return each(x, y, n, [a, b](Vec v) { return v * a + b; });
  }
}

template <class Fn>
void each_pair(const float* a, int64_t as, const float* b, int64_t bs, float* y, int64_t n, Fn fn) {
  const Vec one_a = splat(a[0]), one_b = splat(b[0]);
  int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, fn(as ? load(a + i) : one_a, bs ? load(b + i) : one_b));
  if (i == n) return;
  float ra[W] = {}, rb[W] = {};
  for (int64_t k = i; k < n; ++k) {
    ra[k - i] = a[k * as];
    rb[k - i] = b[k * bs];
  }
  store(ra, fn(load(ra), load(rb)));
  for (int64_t k = i; k < n; ++k) y[k] = ra[k - i];
}

void binary(Binary f, const float* a, int64_t as, const float* b, int64_t bs, float* y, int64_t n) {
  if (n == 0) return;
  switch (f) {
    case Binary::add:
      return each_pair(a, as, b, bs, y, n, [](Vec p, Vec q) { return p + q; });
    case Binary::sub:
      return each_pair(a, as, b, bs, y, n, [](Vec p, Vec q) { return p - q; });
    case Binary::mul:
      return each_pair(a, as, b, bs, y, n, [](Vec p, Vec q) { return p * q; });
    case Binary::div:
      return each_pair(a, as, b, bs, y, n, [](Vec p, Vec q) { return p / q; });
    case Binary::maximum:
      return each_pair(a, as, b, bs, y, n, [](Vec p, Vec q) { return pick(is_nan(p), p, pick(p > q, p, q)); });
    case Binary::minimum:
      return each_pair(a, as, b, bs, y, n, [](Vec p, Vec q) { return pick(is_nan(p), p, pick(p < q, p, q)); });
    case Binary::squared_difference:
      return each_pair(a, as, b, bs, y, n, [](Vec p, Vec q) { return (p - q) * (p - q); });
  }
}

void select(const uint8_t* cond, int64_t cs, const float* a, int64_t as, const float* b, int64_t bs, float* y,
            int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = cond[i * cs] ? a[i * as] : b[i * bs];
}

float row_max(const float* x, int64_t n) {
  Vec m = splat(-__builtin_inff());
  int64_t i = 0;
  for (; i + W <= n; i += W) {
    const Vec v = load(x + i);
    m = pick(v > m, v, m);
  }
  float most = largest(m);
  for (; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

float sum(const float* x, int64_t n) {
  Vec s[4] = {};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int64_t k = 0; k < 4; ++k) s[k] += load(x + i + k * W);
  for (; i + W <= n; i += W) s[0] += load(x + i);
  float all = total((s[0] + s[1]) + (s[2] + s[3]));
  for (; i < n; ++i) all += x[i];
  return all;
}

void accumulate(const float* x, float* acc, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(acc + i, load(acc + i) + load(x + i));
  for (; i < n; ++i) acc[i] += x[i];
}

void transpose(const float* x, int64_t x_row, float* y, int64_t y_row, int64_t rows, int64_t columns) {
  const int64_t r1 = rows / W * W, c1 = columns / W * W;
  for (int64_t r = 0; r < r1; r += W)
    for (int64_t c = 0; c < c1; c += W) transpose_square(x + r * x_row + c, x_row, y + c * y_row + r, y_row);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < r1 ? c1 : 0; c < columns; ++c)
      __builtin_memcpy(y + c * y_row + r, x + r * x_row + c, sizeof(float));
}

float squares(const float* x, int64_t n, float mean) {
  Vec s[4] = {};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    for (int64_t k = 0; k < 4; ++k) {
      const Vec v = load(x + i + k * W) - mean;
      s[k] += v * v;
    }
  }
  float all = total((s[0] + s[1]) + (s[2] + s[3]));
  for (; i < n; ++i) all += (x[i] - mean) * (x[i] - mean);
  return all;
}

void accumulate_squares(const float* x, const float* mean, float* acc, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) {
    const Vec v = load(x + i) - load(mean + i);
    store(acc + i, load(acc + i) + v * v);
  }
  for (; i < n; ++i) acc[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
}

template <int R>
void dots_of(const float* w, int64_t row, const float* x, float* y, int64_t depth) {
  Vec acc[R] = {}, more[R] = {};
  int64_t k = 0;
  for (; k + 2 * W <= depth; k += 2 * W) {
    const Vec a = load(x + k), b = load(x + k + W);
    for (int r = 0; r < R; ++r) {
      acc[r] += load(w + r * row + k) * a;
      more[r] += load(w + r * row + k + W) * b;
    }
  }
  for (int r = 0; r < R; ++r) y[r] = total(acc[r] + more[r]);
  for (; k < depth; ++k)
    for (int r = 0; r < R; ++r) y[r] += w[r * row + k] * x[k];
}

void dots(const float* w, int64_t row, const float* x, const float* b, float* y, int64_t n, int64_t depth) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) dots_of<4>(w + i * row, row, x, y + i, depth);
  for (; i < n; ++i) dots_of<1>(w + i * row, row, x, y + i, depth);
  for (i = 0; b && i < n; ++i) y[i] += b[i];
}

void softmax(const float* x, float* y, int64_t n, bool log) {
  const float most = row_max(x, n);
  Vec s{};
  int64_t i = 0;
  float rest[W] = {};
  for (; i + W <= n; i += W) {
    const Vec e = exponential(load(x + i) - most);
    s += e;
    if (!log) store(y + i, e);
  }
  float all = total(s);
  if (i < n) {
    for (int64_t k = i; k < n; ++k) rest[k - i] = x[k] - most;
    store(rest, exponential(load(rest)));
    for (int64_t k = i; k < n; ++k) all += rest[k - i];
  }
  if (log) {
    const float shift = most + logarithm(splat(all))[0];
    return each(x, y, n, [shift](Vec v) { return v - shift; });
  }
  for (int64_t k = i; k < n; ++k) y[k] = rest[k - i];
  const float scale = 1 / all;
  each(y, y, n, [scale](Vec v) { return v * scale; });
}

void norm(const float* x, const float* w, const float* b, float* y, int64_t n, float eps, bool centred) {
  const auto count = static_cast<float>(n);
  const float mean = centred ? sum(x, n) / count : 0;
  Vec s[2] = {};
  int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    const Vec p = load(x + i) - mean, q = load(x + i + W) - mean;
    s[0] += p * p;
    s[1] += q * q;
  }
  float squares = total(s[0] + s[1]);
  for (; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const float scale = 1 / __builtin_sqrtf(squares / count + eps);
  for (i = 0; i + W <= n; i += W) {
    Vec v = (load(x + i) - mean) * scale;
    if (w) v *= load(w + i);
    if (b) v += load(b + i);
    store(y + i, v);
  }
  for (; i < n; ++i) y[i] = (x[i] - mean) * scale * (w ? w[i] : 1) + (b ? b[i] : 0);
}

}  // namespace

const Table& NPU_SIMD_TABLE() {
  static constexpr Table kTable = {.isa = NPU_SIMD_ISA,
                                   .unary = unary,
                                   .transpose = transpose,
                                   .binary = binary,
                                   .select = select,
                                   .softmax = softmax,
                                   .norm = norm,
                                   .sum = sum,
                                   .squares = squares,
                                   .accumulate = accumulate,
                                   .accumulate_squares = accumulate_squares,
                                   .dots = dots,
                                   .product = product,
                                   .attention_work = attention_work,
                                   .attention_packed = attention_packed,
                                   .attention_pack = attention_pack,
                                   .attention = attention,
                                   .attention_rows = kQueryRows};
  return kTable;
}

}  // namespace npuport::simd
