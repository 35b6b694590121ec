// The tables of the files that use oneDNN.
#pragma once

#include "exec/override.h"

namespace npuport::onednn {

std::span<const Override> conv_overrides();
std::span<const Override> matmul_overrides();
std::span<const Override> pool_overrides();

// Conversion from or to a layout of oneDNN; nullptr when neither is one.
std::unique_ptr<Kernel> prepare_blocked_reorder(const TensorType& type, const LayoutPtr& from, const LayoutPtr& to);

}  // namespace npuport::onednn
