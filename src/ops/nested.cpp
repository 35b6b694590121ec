// Nested tensors: sequences of different lengths, carried dense.
#include <fmt/format.h>

#include <cstring>

#include "base/diag_codes.h"
#include "ir/op_def.h"

namespace npuport {
namespace {

constexpr PortDef kIn[] = {{"x"}, {"keep"}};
constexpr PortDef kOut[] = {{"y"}};

Result<std::vector<TensorType>> infer(const InferCall& c) {
  const TensorType &x = *c.in[0], &keep = *c.in[1];
  if (keep.dtype != DType::boolean || x.shape.size() < 2 || keep.shape != Shape(x.shape.begin(), x.shape.begin() + 2)) {
    return Diag(diag::shape_mismatch, fmt::format("nested_rows: keep {} must be bool over the first two dims of x {}",
                                                  to_string(keep), to_string(x)));
  }
  return std::vector<TensorType>{{x.dtype, x.shape, nullptr}};
}

Status eval(const EvalCall& c) {
  const int64_t rows = c.in[1].count();
  const int64_t width = byte_size(c.in[0].dtype, element_count(c.in[0].shape.subspan(2)));
  for (int64_t r = 0; r < rows; ++r) {
    std::byte* dst = static_cast<std::byte*>(c.out[0].data) + r * width;
    if (c.in[1].as<bool>()[r]) {
      std::memcpy(dst, static_cast<const std::byte*>(c.in[0].data) + r * width, static_cast<size_t>(width));
    } else {
      std::memset(dst, 0, static_cast<size_t>(width));
    }
  }
  return {};
}

constexpr OpDef kRows[] = {
    {.name = "nested_rows",
     .doc = "x [batch, length, ...] as a nested tensor that holds only the rows where keep [batch, length] is true; "
            "the others read as 0. Importers resolve it; it stays only where a model returns a nested tensor.",
     .in = kIn,
     .out = kOut,
     .infer = infer,
     .eval = eval},
};

}  // namespace

std::span<const OpDef> ops_nested() { return kRows; }

}  // namespace npuport
