// Reading models. A frontend is one row of frontends(): a format, how to recognise it, how to import it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace npuport {

// What the caller knows about one model input; inputs are positional. `type` may hold only a shape (dtype unknown).
struct InputSpec {
  std::string name;  // becomes the graph input's name; empty = keep the model's own
  TensorType type;
  // A value that is known before the import. Numbers (int, float, bool arguments) need one; a tensor with one becomes a
  // constant as well: the graph keeps the input but ignores it.
  std::shared_ptr<const Tensor> value = nullptr;
};

struct ImportOptions {
  // Shapes and dtypes of the inputs, in the model's order. May be empty when the file itself says (traced inputs,
  // TFLite).
  std::vector<InputSpec> inputs;
  std::string entry = "forward";  // TorchScript method, TFLite signature
  // Called now and then with a fraction done in [0, 1]; may be empty.
  std::function<void(double)> progress;
};

// One kind of operator the reader has no row for, with every place it occurs.
struct OpaqueOperator {
  std::string foreign;  // "aten::fft_fftn"
  std::vector<Origin> places;
};

struct ImportedModel {
  Graph graph;                         // stage `imported`
  std::vector<OpaqueOperator> opaque;  // empty when everything is understood; else the graph holds `opaque` nodes
  std::vector<Diag> warnings;          // NaN weights, ignored parts …
};

// Facts about a file, without running anything in it.
struct FileFacts {
  std::string format;  // "torchscript", "tflite", "checkpoint-state-dict", "checkpoint-full-module", "pt2", "onnx",
                       // "npy", "npz", "ir-text"
  std::string detail;  // "TorchScript archive, format 3, produced by …"
  uint64_t file_bytes = 0;
  int64_t parameters = 0;                                  // elements of all weights, shared storages counted once
  int64_t parameter_bytes = 0;                             // as stored
  std::vector<InputSpec> inputs;                           // as far as the file says; dtype unknown = shape unknown
  bool inputs_complete = true;                             // false: lists, dicts or objects hide further ones
  std::vector<std::pair<std::string, int64_t>> operators;  // name, count; as far as the file says without importing
  std::vector<std::pair<std::string, std::string>> properties;  // further "key: value" lines
  std::vector<Diag> warnings;
};

struct Frontend {
  std::string_view format;
  std::string_view doc;
  // True when the first bytes and, if needed, the archive's listing say so. Never fails: unreadable = false.
  bool (*accepts)(const std::string& path);
  Result<FileFacts> (*inspect)(const std::string& path);
  // Null for files that are no model (npz, state_dict checkpoint): inspect only.
  Result<ImportedModel> (*import)(const std::string& path, const ImportOptions& options);
};

std::span<const Frontend> frontends();
// The row that accepts the file; file_not_found, not_readable or unknown_format (naming the first bytes) otherwise.
Result<const Frontend*> frontend_for(const std::string& path);
Result<ImportedModel> import_model(const std::string& path, const ImportOptions& options);

}  // namespace npuport
