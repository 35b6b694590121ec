#include "exec/simd/simd.h"

namespace npuport::simd {

Tables tables() {
  Tables t{};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    t.items[t.count++] = &table_avx512();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) t.items[t.count++] = &table_avx2();
#endif
  t.items[t.count++] = &table_base();
  return t;
}

const Table& table() {
  static const Table& best = *tables().items[0];
  return best;
}

}  // namespace npuport::simd
