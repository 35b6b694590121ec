#if defined(__x86_64__)
#define NPU_SIMD_BYTES 64
#define NPU_SIMD_ISA "avx512"
#define NPU_SIMD_TABLE table_avx512
#include "exec/simd/kernels.h"
#endif
