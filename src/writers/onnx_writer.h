// Writes a graph as an ONNX file: opset 11 to 17, static shapes on every value, float32 or float16 weights behind Cast.
// Same graph and options, same bytes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace npuport {

inline constexpr int kOnnxNewestWritten = 17;
inline constexpr int kOnnxOldestWritten = 11;
inline constexpr int kOnnxLowestTried = 13;  // of those tried in turn; older ones only when asked for

struct OnnxOptions {
  int opset = kOnnxNewestWritten;  // tried first
  int lowest = kOnnxLowestTried;   // tried last, when operators have no form in the ones above
  bool float16 = false;            // store float32 weights (kOnnxHalfMinimum elements and more) as float16
  // Above this many bytes of constants they lie in a file of their own beside the model, PATH.data: a protocol buffer
  // ends at 2 GiB.
  uint64_t inline_limit = (uint64_t{1} << 31) - (uint64_t{64} << 20);
  bool sync = true;  // on the disk before the function returns
};

struct OnnxWritten {
  int opset = 0;
  size_t operators = 0;
  std::map<std::string, int64_t> counts;  // by operator
  std::vector<std::string> tries;         // one sentence for each opset that was given up
  std::vector<std::string> files;         // the model, then its external data
};

// Every node must be expressible (onnx_refusal); all that are not come as notes of one `not_representable`, for the
// first opset. Metadata "npuport.io" travels along in metadata_props. Constants stream from where they are to the file;
// the file appears complete or not at all (external data first). Errors: not_representable, not_writable, usage for an
// opset out of range.
Result<OnnxWritten> write_onnx(const Graph& g, const std::string& path, const OnnxOptions& options = {});

}  // namespace npuport
