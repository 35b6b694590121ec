#include "exec/onednn_overrides.h"
#include "exec/simd_overrides.h"

namespace npuport {

std::span<const Override> overrides() {
  static const std::vector<Override> rows = [] {
    std::vector<Override> all;
    for (const auto part : {onednn::conv_overrides(), attention_overrides(), row_overrides(), group_norm_overrides(),
                            recurrent_overrides(), onednn::matmul_overrides(), onednn::pool_overrides(),
                            elementwise_overrides(), movement_overrides()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return rows;
}

}  // namespace npuport
