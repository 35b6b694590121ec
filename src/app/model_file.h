// Writing a graph in the format that the ending of the file says: .tflite or .onnx.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/app.h"
#include "ir/graph.h"
#include "target/target.h"

namespace npuport::app {

struct ModelFileOptions {
  bool float16 = false;
  int opset = 17;    // of .onnx: tried first, then down to 11
  bool sync = true;  // on the disk before the function returns
};

struct ModelFile {
  size_t operators = 0;                   // of the file
  std::map<std::string, int64_t> counts;  // by format operator
  int opset = 0;                          // 0 for other formats
  std::vector<std::string> files;         // the model first
};

// Logs each opset that was given up. Errors as of the writers; `usage` for any other ending.
Result<ModelFile> write_model_file(const App& app, const Graph& g, const std::string& path,
                                   const ModelFileOptions& options);

// ".onnx" or ".tflite".
std::string model_ending(const Target& target);

}  // namespace npuport::app
