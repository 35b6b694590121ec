// Writes a graph as a TFLite file: float32, or float16 weights behind DEQUANTIZE. Same graph and options, same bytes.
#pragma once

#include <string>

#include "ir/graph.h"

namespace npuport {

struct TfliteOptions {
  bool float16 = false;     // store float32 weights (kTfliteHalfMinimum elements and more) as float16
  std::string description;  // the file's description field; empty = "npuport VERSION"
  // Above this many bytes of constants they are stored behind the flatbuffer (Buffer.offset/size) instead of inside:
  // a flatbuffer ends at 2 GiB, but older readers know nothing else.
  uint64_t inline_limit = (uint64_t{1} << 31) - (uint64_t{64} << 20);
  bool sync = true;  // on the disk before the function returns
};

// Every node must be expressible (tflite_refusal); all that are not come as notes of one `not_representable`. Metadata
// "npuport.io" travels along. Constants stream from where they are to the file; the file appears complete or not at
// all, and is read back before it does. Errors: not_representable, not_writable, verify_graph.
Status write_tflite(const Graph& g, const std::string& path, const TfliteOptions& options = {});

}  // namespace npuport
