// An OnnxModel as a ModelProto: everything but the bulk of the initialisers, which follow from where they are.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ops/onnx.h"

namespace npuport {

// What a file holds besides operators and tensors.
struct OnnxFrame {
  std::string name;
  int opset = 17;
  int ir_version = 8;
  std::string producer_version;
  std::vector<int32_t> inputs, outputs;                       // tensor indices
  std::vector<std::pair<std::string, std::string>> metadata;  // metadata_props
  bool external = false;                                      // bulk in a file of its own
  std::string external_file;                                  // its name, without folder
};

// Initialisers of fewer bytes stay in the model even when the bulk does not: shape inference wants to see them.
inline constexpr uint64_t kOnnxExternalMinimum = 1024;
inline constexpr uint64_t kOnnxExternalAlignment = 64;

// Text, then the bytes of an initialiser, and so on.
struct OnnxPiece {
  std::string text;
  int32_t tensor = -1;  // whose bytes follow; -1 = none
};

struct OnnxImage {
  std::vector<OnnxPiece> pieces;
  std::vector<std::pair<int32_t, uint64_t>> external;  // tensor and its offset in the external file, ascending
};

// Bytes of an initialiser as stored.
uint64_t stored_bytes(const OnnxTensor& t);
// Tensors that no operator and no border names are left out. Nodes take the name of their first result.
OnnxImage serialise(const OnnxModel& m, const OnnxFrame& frame);

}  // namespace npuport
