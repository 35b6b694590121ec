#if defined(__x86_64__)
#define NPU_SIMD_BYTES 32
#define NPU_SIMD_ISA "avx2"
#define NPU_SIMD_TABLE table_avx2
#include "exec/simd/kernels.h"
#endif
