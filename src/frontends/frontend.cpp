#include "frontends/frontend.h"

#include <fmt/core.h>

#include "base/diag_codes.h"
#include "base/mapped_file.h"
#include "base/zip.h"
#include "frontends/onnx.h"
#include "frontends/plain.h"
#include "frontends/pt2.h"
#include "frontends/tflite.h"
#include "frontends/torch/checkpoint.h"
#include "frontends/torchscript.h"

namespace npuport {
namespace {

// Asked in this order: the first row that accepts a file reads it.
constexpr Frontend rows[] = {
    {"torchscript", "TorchScript archive (torch.jit.save)", accepts_torchscript, inspect_torchscript,
     import_torchscript},
    {"checkpoint", "PyTorch checkpoint (torch.save): inspect only", accepts_checkpoint, inspect_checkpoint, nullptr},
    {"pt2", "PyTorch exported program (torch.export.save)", accepts_pt2, inspect_pt2, import_pt2},
    {"tflite", "TFLite model (float)", accepts_tflite, inspect_tflite, import_tflite},
    {"onnx", "ONNX model", accepts_onnx, inspect_onnx, import_onnx},
    {"npz", "NumPy archive: inspect only", accepts_npz, inspect_npz, nullptr},
    {"npy", "NumPy array: inspect only", accepts_npy, inspect_npy, nullptr},
    {"ir-text", "npuport IR text", accepts_ir_text, inspect_ir_text, import_ir_text},
};

std::string first_bytes(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "the file is empty";
  std::string hex;
  for (const std::byte b : bytes.first(std::min<size_t>(bytes.size(), 8)))
    hex += fmt::format(" {:02x}", std::to_integer<int>(b));
  return "it starts with" + hex;
}

// A zip archive with none of the entries that make it a model.
Diag strange_archive(const ZipReader& zip) {
  constexpr size_t shown = 4;
  std::string names;
  for (size_t i = 0; i < zip.entries().size() && i < shown; ++i) names += (i ? ", " : "") + zip.entries()[i].name;
  if (zip.entries().size() > shown) names += ", …";
  return Diag(diag::unknown_format,
              fmt::format("a zip archive without a model: no data.pkl, no exported program, no arrays; it holds {}",
                          names.empty() ? "nothing" : names),
              "is it a model inside another archive, or one that was unpacked and packed again?");
}

}  // namespace

std::span<const Frontend> frontends() { return rows; }

Result<const Frontend*> frontend_for(const std::string& path) {
  NPU_ASSIGN(const auto file, MappedFile::open(path));
  for (const Frontend& row : rows)
    if (row.accepts(path)) return &row;
  // A cut-off archive is worth a better message than "unknown".
  if (ZipReader::looks_like_zip(file->bytes())) {
    NPU_ASSIGN(const ZipReader zip, ZipReader::open(file));
    return strange_archive(zip).in_file(path);
  }
  std::string known;
  for (const Frontend& row : rows) known += fmt::format("{}{}", known.empty() ? "" : ", ", row.format);
  return Diag(diag::unknown_format, fmt::format("no known file type; {}", first_bytes(file->bytes())),
              fmt::format("npuport reads {}; is the file complete?", known))
      .in_file(path);
}

Result<ImportedModel> import_model(const std::string& path, const ImportOptions& options) {
  NPU_ASSIGN(const Frontend* row, frontend_for(path));
  if (row->import) return row->import(path, options);
  return Diag(diag::unknown_format, fmt::format("a file of type {} holds no model that can be imported", row->format),
              "inspect shows what it holds; trace turns a checkpoint into TorchScript")
      .in_file(path);
}

}  // namespace npuport
