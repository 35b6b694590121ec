// Blocked matrix product for the reference kernels: one result per element, summed in a fixed order on any machine.
#pragma once

#include <cstdint>

namespace npuport {

// An m×n matrix inside an array: element (i, j) at data[i * row + j * col].
template <class T>
struct Strided {
  const T* data = nullptr;
  int64_t row = 0;
  int64_t col = 0;
};

// c[i * ldc + j] = Σ_p a(i, p) · b(p, j) for i < m, j < n, p < k. Sums run over blocks of 256 in index order, so the
// rounding error grows with k / 256 rather than k. `c` must not overlap the operands. T: float, double, int64_t.
template <class T>
void gemm(int64_t m, int64_t n, int64_t k, Strided<T> a, Strided<T> b, T* c, int64_t ldc);

extern template void gemm<float>(int64_t, int64_t, int64_t, Strided<float>, Strided<float>, float*, int64_t);
extern template void gemm<double>(int64_t, int64_t, int64_t, Strided<double>, Strided<double>, double*, int64_t);
extern template void gemm<int64_t>(int64_t, int64_t, int64_t, Strided<int64_t>, Strided<int64_t>, int64_t*, int64_t);

}  // namespace npuport
