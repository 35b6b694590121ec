// In place of the files that use oneDNN, for builds without it (NPUPORT_ONEDNN=OFF): no overrides, no layouts of its
// own.
#include "exec/onednn_overrides.h"

namespace npuport::onednn {

std::span<const Override> conv_overrides() { return {}; }
std::span<const Override> matmul_overrides() { return {}; }
std::span<const Override> pool_overrides() { return {}; }

std::unique_ptr<Kernel> prepare_blocked_reorder(const TensorType&, const LayoutPtr&, const LayoutPtr&) {
  return nullptr;
}

}  // namespace npuport::onednn
