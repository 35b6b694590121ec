#define NPU_SIMD_BYTES 16
#define NPU_SIMD_ISA "base"
#define NPU_SIMD_TABLE table_base
#include "exec/simd/kernels.h"
