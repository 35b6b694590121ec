// A TfliteModel as a flatbuffer whose bulk data follow behind it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ops/tflite.h"

namespace npuport {

// What a file holds besides operators and tensors.
struct TfliteFrame {
  std::string name, description;
  std::vector<int32_t> inputs, outputs;                       // tensor indices
  std::vector<std::string> input_names, output_names;         // for the signature
  std::vector<std::pair<std::string, std::string>> metadata;  // name, bytes
  bool inline_data = true;  // constants as vectors of the flatbuffer, else by file offset
};

// Where a constant's bytes go in the file.
struct TflitePlacement {
  int32_t tensor;     // index into the model's tensors
  uint64_t position;  // of the first byte; a multiple of 16
  uint64_t bytes;
};

struct TfliteImage {
  std::string head;                   // the flatbuffer without the constants' bytes
  std::vector<TflitePlacement> data;  // ascending positions; with inline data the length goes 4 bytes before each
};

// Bytes a constant takes in the file.
uint64_t stored_bytes(const TfliteTensor& t);

TfliteImage serialise(const TfliteModel& m, const TfliteFrame& frame);

}  // namespace npuport
