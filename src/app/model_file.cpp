#include "app/model_file.h"

#include "base/diag_codes.h"
#include "frontends/tflite.h"
#include "writers/onnx_writer.h"
#include "writers/tflite_writer.h"

namespace npuport::app {
namespace {

Result<ModelFile> as_onnx(const App& app, const Graph& g, const std::string& path, const ModelFileOptions& options) {
  OnnxOptions onnx;
  onnx.opset = options.opset;
  onnx.float16 = options.float16;
  onnx.sync = options.sync;
  NPU_ASSIGN(OnnxWritten written, write_onnx(g, path, onnx));
  for (const std::string& given_up : written.tries) app.log(0, "ONNX " + given_up);
  if (!written.tries.empty()) app.log(0, "ONNX opset " + std::to_string(written.opset) + " is written");
  return ModelFile{written.operators, std::move(written.counts), written.opset, std::move(written.files)};
}

Result<ModelFile> as_tflite(const Graph& g, const std::string& path, const ModelFileOptions& options) {
  TfliteOptions tflite;
  tflite.float16 = options.float16;
  tflite.sync = options.sync;
  NPU_TRY(write_tflite(g, path, tflite));
  NPU_ASSIGN(const FileFacts facts, inspect_tflite(path));
  ModelFile file{0, {}, 0, {path}};
  for (const auto& [name, count] : facts.operators) {
    file.operators += static_cast<size_t>(count);
    file.counts[name] = count;
  }
  return file;
}

}  // namespace

Result<ModelFile> write_model_file(const App& app, const Graph& g, const std::string& path,
                                   const ModelFileOptions& options) {
  if (path.ends_with(".onnx")) return as_onnx(app, g, path, options);
  if (path.ends_with(".tflite")) return as_tflite(g, path, options);
  return Diag(diag::usage, "the output's ending is neither .tflite nor .onnx").in_file(path);
}

std::string model_ending(const Target& target) { return target.format == "onnx" ? ".onnx" : ".tflite"; }

}  // namespace npuport::app
