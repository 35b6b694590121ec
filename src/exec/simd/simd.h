// f32 kernels compiled once per instruction set and chosen when the program starts. These files use no library code, so
// that nothing compiled for a newer processor can be linked into code for an older one.
#pragma once

#include <cstdint>

namespace npuport::simd {

enum class Unary : uint8_t {
  neg,
  abs,
  square,
  sqrt,
  rsqrt,
  reciprocal,
  exp,
  log,
  relu,
  sigmoid,
  tanh,
  erf,
  silu,
  gelu,
  gelu_tanh,
  hard_swish,
  hard_sigmoid,
  leaky_relu,
  elu,
  clamp,
  scale_shift
};
enum class Binary : uint8_t { add, sub, mul, div, maximum, minimum, squared_difference };

// Parameters of attention for one block of query rows; strides in elements.
struct Attention {
  int64_t depth, value_depth, keys;  // inner size of Q·Kᵀ, columns of V, number of keys
  const float *q, *k, *v, *mask;     // mask may be null
  int64_t q_row, q_col, k_row, k_col, v_row, v_col, mask_row, mask_col, out_row;
  float scale;  // of the scores, before the mask
};

struct Table {
  const char* isa;
  // y[i] = f(x[i]; a, b); x may equal y.
  void (*unary)(Unary f, const float* x, float* y, int64_t n, float a, float b);
  // y[c * y_row + r] = x[r * x_row + c]; bit patterns of any four bytes stay as they are.
  void (*transpose)(const float* x, int64_t x_row, float* y, int64_t y_row, int64_t rows, int64_t columns);
  // y[i] = f(a[i * a_step], b[i * b_step]), steps 0 or 1; y may equal a or b.
  void (*binary)(Binary f, const float* a, int64_t a_step, const float* b, int64_t b_step, float* y, int64_t n);
  // y[i] = cond[i * c_step] ? a[i * a_step] : b[i * b_step]
  void (*select)(const uint8_t* cond, int64_t c_step, const float* a, int64_t a_step, const float* b, int64_t b_step,
                 float* y, int64_t n);
  // Softmax of one contiguous row (or its logarithm); x may equal y.
  void (*softmax)(const float* x, float* y, int64_t n, bool log);
  // (x − mean) / sqrt(var + eps) · w + b of one contiguous row; w, b may be null. centred = false: no mean (rms_norm).
  void (*norm)(const float* x, const float* w, const float* b, float* y, int64_t n, float eps, bool centred);
  // Sum of a contiguous row.
  float (*sum)(const float* x, int64_t n);
  // Sum of (x − mean)² of a contiguous row.
  float (*squares)(const float* x, int64_t n, float mean);
  // acc[i] += x[i]
  void (*accumulate)(const float* x, float* acc, int64_t n);
  // acc[i] += (x[i] − mean[i])²
  void (*accumulate_squares)(const float* x, const float* mean, float* acc, int64_t n);
  // y[i] = dot(w + i * row, x) + b[i] over `depth` elements, for `n` rows; b may be null.
  void (*dots)(const float* w, int64_t row, const float* x, const float* b, float* y, int64_t n, int64_t depth);
  // C (+)= A·B, rows a_row, b_row, c_row floats apart; columns is a multiple of 16. Every element is summed in the
  // order of `depth`.
  void (*product)(const float* a, int64_t a_row, const float* b, int64_t b_row, float* c, int64_t c_row, int64_t rows,
                  int64_t columns, int64_t depth, bool add);
  // Floats of work memory for `attention`, and for the packed keys and values of one head.
  int64_t (*attention_work)(int64_t depth, int64_t value_depth);
  int64_t (*attention_packed)(int64_t depth, int64_t value_depth, int64_t keys);
  // Packs keys and values of one head.
  void (*attention_pack)(const Attention& a, float* packed);
  // softmax(scale · Q·Kᵀ + mask) · V for `rows` query rows (at most attention_rows), from packed keys and values.
  void (*attention)(const Attention& a, const float* packed, int64_t rows, float* out, float* work);
  int64_t attention_rows;
};

// The best table for this processor.
const Table& table();
// Every table this processor can run, best first: for tests.
struct Tables {
  const Table* items[3];
  int count;
};
Tables tables();

const Table& table_base();
#if defined(__x86_64__)
const Table& table_avx2();
const Table& table_avx512();
#endif

}  // namespace npuport::simd
