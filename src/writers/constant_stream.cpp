#include "writers/constant_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/diag_codes.h"
#include "ops/support/tflite_permute.h"

namespace npuport {
namespace {

constexpr size_t kChunk = 4 << 20;
constexpr float kHalfMax = 65504.0f;

std::span<const std::byte> as_bytes(const void* p, size_t n) { return {static_cast<const std::byte*>(p), n}; }

// float32 bytes as float16; refuses what would become infinite.
Status write_half(AtomicFile& out, std::span<const std::byte> bytes, const std::string& name) {
  std::vector<Float16> half(bytes.size() / sizeof(float));
  for (size_t i = 0; i < half.size(); ++i) {
    float v;
    std::memcpy(&v, bytes.data() + i * sizeof v, sizeof v);
    if (std::isfinite(v) && std::fabs(v) > kHalfMax) {
      return Diag(diag::not_representable, fmt::format("the value {} lies beyond float16's 65504", v),
                  "write this model with float32 weights")
          .at_tensor(name);
    }
    half[i] = Float16(v);
  }
  return out.write(as_bytes(half.data(), half.size() * sizeof(Float16)));
}

}  // namespace

Status stream_constant(AtomicFile& out, const Tensor& source, const Ints& perm, DType dtype, const std::string& name) {
  const bool half = dtype != source.dtype;
  const auto total = static_cast<size_t>(source.bytes());
  const auto put = [&](std::span<const std::byte> piece) {
    return half ? write_half(out, piece, name) : out.write(piece);
  };
  if (perm.empty()) {
    const size_t step = half ? kChunk : std::max<size_t>(total, 1);
    for (size_t at = 0; at < total; at += step) NPU_TRY(put(as_bytes(source.data + at, std::min(step, total - at))));
    return {};
  }
  const int64_t rows = source.shape[static_cast<size_t>(perm[0])], row = rows == 0 ? 0 : source.bytes() / rows;
  const int64_t step = std::max<int64_t>(1, static_cast<int64_t>(kChunk) / std::max<int64_t>(row, 1));
  std::vector<std::byte> piece;
  for (int64_t r = 0; r < rows; r += step) {
    const int64_t end = std::min(r + step, rows);
    piece.resize(static_cast<size_t>((end - r) * row));
    permute_rows(source, perm, r, end, piece.data());
    NPU_TRY(put(piece));
  }
  return {};
}

}  // namespace npuport
