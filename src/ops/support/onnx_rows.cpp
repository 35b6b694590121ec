// Finding rows, and ONNX's names of element types.
#include <fmt/format.h>

#include <algorithm>

#include "ops/manifest.h"
#include "ops/onnx.h"

namespace npuport {
namespace {

struct TypeName {
  int number;
  DType dtype;
  std::string_view name;
};

// TensorProto.DataType.
constexpr TypeName kTypes[] = {
    {1, DType::f32, "FLOAT"},
    {2, DType::u8, "UINT8"},
    {3, DType::i8, "INT8"},
    {4, DType::u16, "UINT16"},
    {5, DType::i16, "INT16"},
    {6, DType::i32, "INT32"},
    {7, DType::i64, "INT64"},
    {8, DType::unknown, "STRING"},
    {9, DType::boolean, "BOOL"},
    {10, DType::f16, "FLOAT16"},
    {11, DType::f64, "DOUBLE"},
    {12, DType::u32, "UINT32"},
    {13, DType::u64, "UINT64"},
    {14, DType::unknown, "COMPLEX64"},
    {15, DType::unknown, "COMPLEX128"},
    {16, DType::bf16, "BFLOAT16"},
    {17, DType::unknown, "FLOAT8E4M3FN"},
    {18, DType::unknown, "FLOAT8E4M3FNUZ"},
    {19, DType::unknown, "FLOAT8E5M2"},
    {20, DType::unknown, "FLOAT8E5M2FNUZ"},
    {21, DType::u4, "UINT4"},
    {22, DType::i4, "INT4"},
    {23, DType::unknown, "FLOAT4E2M1"},
    {24, DType::unknown, "FLOAT8E8M0"},
    {25, DType::unknown, "UINT2"},
    {26, DType::unknown, "INT2"},
};

struct Tables {
  std::map<std::pair<std::string_view, std::string_view>, std::vector<const OnnxRow*>> readers;
  std::map<std::string_view, std::vector<const OnnxRow*>> writers;
};

const Tables& tables() {
  static const Tables made = [] {
    Tables t;
    for (const auto& family : ops::onnx_rows()) {
      for (const OnnxRow& row : family) {
        t.readers[{row.domain, row.name}].push_back(&row);
        for (const std::string_view ours : row.ours) {
          if (!ours.empty()) t.writers[ours].push_back(&row);
        }
      }
    }
    return t;
  }();
  return made;
}

std::string_view plain_domain(std::string_view domain) { return domain == "ai.onnx" ? "" : domain; }

}  // namespace

int onnx_type(DType t) {
  if (t == DType::unknown) return 0;
  const auto* it = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& n) { return n.dtype == t; });
  return it == std::end(kTypes) ? 0 : it->number;
}

DType onnx_dtype(int64_t type) {
  const auto* it =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& n) { return n.number == type; });
  return it == std::end(kTypes) ? DType::unknown : it->dtype;
}

std::string onnx_type_name(int64_t type) {
  const auto* it =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& n) { return n.number == type; });
  return it == std::end(kTypes) ? fmt::format("type {}", type) : std::string(it->name);
}

const OnnxRow* onnx_row(std::string_view domain, std::string_view name, int opset) {
  const auto it = tables().readers.find({plain_domain(domain), name});
  if (it == tables().readers.end()) return nullptr;
  const int version = plain_domain(domain).empty() ? std::min(opset, kOnnxOpset) : opset;
  for (const OnnxRow* row : it->second) {
    if (row->since <= version && version <= row->until) return row;
  }
  return nullptr;
}

std::span<const OnnxRow* const> onnx_writers(std::string_view ours) {
  const auto it = tables().writers.find(ours);
  if (it == tables().writers.end()) return {};
  return it->second;
}

int onnx_known_since(std::string_view domain, std::string_view name) {
  const auto it = tables().readers.find({plain_domain(domain), name});
  if (it == tables().readers.end()) return 0;
  int oldest = it->second.front()->since;
  for (const OnnxRow* row : it->second) oldest = std::min(oldest, row->since);
  return oldest;
}

}  // namespace npuport
