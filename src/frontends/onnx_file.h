// An ONNX file as plain structs. Field numbers are those of onnx.proto (IR version 13). Payloads stay in the mapped
// file; nothing is interpreted here beyond the format.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "base/mapped_file.h"
#include "ops/onnx.h"

namespace npuport {

// TensorProto, its data not yet looked at.
struct OnnxFileTensor {
  std::string name;
  int64_t type = 0;  // TensorProto.DataType
  Shape dims;
  std::span<const std::byte> message;  // the whole TensorProto
};

struct OnnxFileSparse {
  OnnxFileTensor values, indices;
  Shape dims;
};

struct OnnxFileGraph;

struct OnnxFileAttr {
  std::string name;
  std::string ref;                // attribute of the enclosing function that gives the value
  std::optional<OnnxAttr> value;  // a plain kind
  std::optional<OnnxFileTensor> tensor;
  std::optional<OnnxFileSparse> sparse;
  std::shared_ptr<const OnnxFileGraph> graph;
  std::string problem;  // a kind nobody can use here ("list of graphs")
};

struct OnnxFileNode {
  std::string type, domain, overload, name;
  std::vector<std::string> in, out;
  std::vector<OnnxFileAttr> attrs;
  std::string source;  // "model.py:12" when the exporter left a stack trace
  std::string scope;   // module path, from the exporter's notes or the name

  const OnnxFileAttr* attr(std::string_view wanted) const;
};

struct OnnxFileDim {
  int64_t size = -1;  // -1: symbolic or unknown
  std::string symbol;
};

struct OnnxFileValue {
  std::string name;
  int64_t type = 0;   // element type; 0 when no tensor
  std::string other;  // "sequence", "optional", "map", "sparse tensor" when no tensor
  bool ranked = false;
  std::vector<OnnxFileDim> dims;

  bool is_static() const;
};

struct OnnxFileGraph {
  std::string name;
  std::vector<OnnxFileNode> nodes;
  std::map<std::string, OnnxFileTensor, std::less<>> initialisers;
  std::map<std::string, OnnxFileSparse, std::less<>> sparse;
  std::vector<OnnxFileValue> inputs, outputs;
  std::map<std::string, OnnxFileValue, std::less<>> values;  // value_info
};

using OnnxOpsets = std::map<std::string, int, std::less<>>;  // domain ("" for ai.onnx) → version

struct OnnxFileFunction {
  std::string name, domain, overload;
  std::vector<std::string> in, out;
  std::vector<std::string> attrs;      // names without default
  std::vector<OnnxFileAttr> defaults;  // attributes with one
  std::vector<OnnxFileNode> nodes;
  OnnxOpsets opsets;
};

struct OnnxFile {
  std::shared_ptr<const MappedFile> file;
  int64_t ir_version = 0;
  std::string producer;
  OnnxOpsets opsets;
  OnnxFileGraph graph;
  std::map<std::string, OnnxFileFunction, std::less<>> functions;  // by key
  std::map<std::string, std::string> metadata;
  bool training = false;

  static std::string key(std::string_view domain, std::string_view name, std::string_view overload);
};

// True when the bytes are a message with the fields of ModelProto and a graph; `whole` false accepts a file that ends
// inside a field.
bool looks_like_onnx(std::span<const std::byte> bytes, bool whole);
// Errors: truncated, corrupt, too_large (nesting), newer_version is not one: unknown fields are skipped.
Result<OnnxFile> parse_onnx(std::shared_ptr<const MappedFile> file);

// Decodes tensors. External data is looked for in the model's folder only: no absolute path, no "..", no link that
// leads outside; each file is mapped once.
class OnnxTensors {
 public:
  explicit OnnxTensors(std::shared_ptr<const MappedFile> model) : model_(std::move(model)) {}

  // Dense data of a TensorProto. int4 and uint4 come as i8 and u8. Data that is aligned stays in the map. Errors:
  // unsupported (strings, complex, float8 …), corrupt, missing_entry, truncated, too_large.
  Result<Tensor> read(const OnnxFileTensor& t);
  Result<Tensor> read(const OnnxFileSparse& t);
  // True when `t` points into the model or its external data.
  bool mapped(const Tensor& t) const;
  // Bytes of external files opened so far.
  int64_t external_bytes() const;

 private:
  Result<std::shared_ptr<const MappedFile>> external(const std::string& location);
  Result<Tensor> from_raw(const OnnxFileTensor& t, DType dtype, std::span<const std::byte> raw,
                          const std::shared_ptr<const MappedFile>& owner) const;

  std::shared_ptr<const MappedFile> model_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
};

}  // namespace npuport
