// The contents of a .tflite file as plain data, every index checked. No graph yet: see tflite.h.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/mapped_file.h"
#include "frontends/flatbuffer_view.h"
#include "ops/tflite.h"

namespace npuport {

struct TfliteFileTensor {
  std::string name;
  int type = 0;  // the format's number
  Shape shape;
  Shape signature;  // -1 = any size; empty = the same as shape
  uint32_t buffer = 0;
  bool quantised = false;  // has scales
  bool sparse = false;
  bool variable = false;  // keeps its value between runs
};

struct TfliteFileOperator {
  uint32_t code = 0;             // index into codes
  std::vector<int32_t> in, out;  // tensor indices, -1 = absent
  FlatTable options, options2;
};

struct TfliteFileGraph {
  std::string name;
  std::vector<TfliteFileTensor> tensors;
  std::vector<int32_t> inputs, outputs;
  std::vector<TfliteFileOperator> operators;
};

struct TfliteFileCode {
  int builtin = 0;
  int version = 1;
  std::string custom;
  // "CONV_2D" or "CUSTOM:MyOp".
  std::string text() const;
};

struct TfliteFileSignature {
  std::string key;
  uint32_t subgraph = 0;
  std::vector<std::pair<std::string, uint32_t>> inputs, outputs;  // name, tensor index
};

struct TfliteFile {
  std::shared_ptr<const MappedFile> file;
  std::unique_ptr<FlatView> view;  // what options tables read through
  std::string description;
  std::vector<TfliteFileCode> codes;
  std::vector<TfliteFileGraph> graphs;
  std::vector<std::span<const std::byte>> buffers;
  std::vector<TfliteFileSignature> signatures;
  std::map<std::string, std::string> metadata;  // name → bytes

  const TfliteFileCode& code(const TfliteFileOperator& o) const { return codes[o.code]; }
};

// Errors: unknown_format (identifier), newer_version (schema version), corrupt (naming what is wrong), too_large.
Result<TfliteFile> parse_tflite(std::shared_ptr<const MappedFile> file);
// Opens and parses.
Result<TfliteFile> open_tflite(const std::string& path);

}  // namespace npuport
