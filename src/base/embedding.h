// Embedding tables in .npy files: mapped, checked against embedding_info.json, looked up with bounds checks.
#pragma once

#include <span>
#include <string>

#include "base/tensor.h"

namespace npuport {

// Opens a table [rows, width] of f16, bf16, f32 or f64. Native byte order is mapped, the other is copied. `info_path`
// (may be empty) names an embedding_info.json: version, vocab_size, width, dtype and sha256 must agree with the file
// (`corrupt` naming what differs, newer_version). Without it V2 elements (bfloat16 saved by NumPy) are refused.
// `corrupt` for another rank or column-major order, dtype_mismatch for integers; errors of parse_npy.
struct EmbeddingOptions {
  std::string info_path;
  bool check_hash = true;  // compares the file with info_path's sha256
  std::string sha256;      // where known from elsewhere: info_path must say the same
};
Result<Tensor> open_embedding(const std::string& npy_path, const EmbeddingOptions& options = {});

// The rows `ids` (any integer type) of `table`: shape = ids.shape + [width], the table's dtype. index_range names the
// first id outside the table and its position.
Result<Tensor> look_up_rows(const Tensor& table, const Tensor& ids);
// The same as float32 into `out`, ids.size()·width long; nothing is written when an id is outside.
Status look_up_rows(const Tensor& table, std::span<const int64_t> ids, float* out);

}  // namespace npuport
