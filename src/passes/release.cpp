#include "passes/release.h"

#include "base/mapped_file.h"

namespace npuport {

void release_unused(Graph& g, std::span<const ValueId> values) {
  constexpr int64_t kLarge = 1 << 20;  // bytes
  for (const ValueId v : values) {
    if (!v.valid() || !g.is_constant(v) || g.use_count(v) > 0 || g.is_output(v)) continue;
    const Tensor& t = *g.value(v).constant;
    if (t.bytes() < kLarge) continue;
    release_pages({t.data, static_cast<size_t>(t.bytes())});
    g.value(v).alive = false;
    g.value(v).constant.reset();
  }
}

}  // namespace npuport
