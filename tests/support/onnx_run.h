// The onnx package's checker and ONNX Runtime as oracles for written models: all cases of a test in one process.
#pragma once

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "ir/tensor.h"
#include "support/paths.h"

namespace npuport::testing {

struct OnnxCase {
  std::string model;           // path
  std::vector<Tensor> inputs;  // in the model's order
};

struct OnnxResult {
  std::string error;  // empty = passed the checker and ran; "checker: …" = breaks the standard
  std::vector<Tensor> outputs;
};

// The interpreter with onnx and onnxruntime (the one with LiteRT); empty when it is not set, "none" or lacks them.
inline std::string onnx_python() {
  static const std::string found = [] {
    const char* named = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
    if (named == nullptr || std::string_view(named) == "none") return std::string();
    ProcessOptions probe;
    probe.argv = {named, "-c", "import onnx, onnxruntime"};
    const Result<ProcessResult> there = run_process(probe);
    return there && there->ok() ? std::string(named) : std::string();
  }();
  return found;
}

inline Result<OnnxResult> onnx_result(const Json& r) {
  OnnxResult result;
  if (r.contains("error")) {
    result.error = r["error"].get<std::string>();
    if (result.error.empty()) result.error = "failed";
    return result;
  }
  for (const Json& o : r["outputs"]) {
    const auto dtype = parse_dtype(o["dtype"].get<std::string>());
    Tensor t = Tensor::zeros(dtype.value_or(DType::f32), o["shape"].get<Shape>());
    NPU_ASSIGN(const std::string bytes, read_file(o["file"].get<std::string>()));
    if (!dtype || static_cast<int64_t>(bytes.size()) != t.bytes()) {
      return Diag(diag::tool_failed, "ONNX Runtime gave a strange output of type " + o["dtype"].get<std::string>());
    }
    if (!bytes.empty()) std::memcpy(t.mutable_data(), bytes.data(), bytes.size());
    result.outputs.push_back(std::move(t));
  }
  return result;
}

// Results in the order of the cases; `folder` takes the exchanged files. A Diag when the process as a whole failed.
inline Result<std::vector<OnnxResult>> run_onnx(const std::string& folder, const std::vector<OnnxCase>& cases) {
  Json manifest = Json::array();
  for (size_t i = 0; i < cases.size(); ++i) {
    Json inputs = Json::array();
    for (size_t k = 0; k < cases[i].inputs.size(); ++k) {
      const Tensor& t = cases[i].inputs[k];
      const std::string path = folder + "/" + std::to_string(i) + "in" + std::to_string(k);
      inputs.push_back({long_name(t.dtype), t.shape, path});
      NPU_TRY(write_file(path, {reinterpret_cast<const char*>(t.data), static_cast<size_t>(t.bytes())}));
    }
    manifest.push_back(
        {{"model", cases[i].model}, {"inputs", inputs}, {"outputs", folder + "/" + std::to_string(i) + "out"}});
  }
  const std::string in = folder + "/manifest.json", out = folder + "/result.json";
  NPU_TRY(write_file(in, dump_json(manifest)));
  ProcessOptions process;
  process.argv = {onnx_python(), source_dir() + "/tests/support/onnx_run.py", in, out};
  process.env = {{"PYTHONDONTWRITEBYTECODE", "1"}};
  process.timeout = std::chrono::minutes(8);
  NPU_ASSIGN(const ProcessResult ran, run_process(process));
  if (!ran.ok()) return Diag(diag::tool_failed, "ONNX Runtime: " + describe(ran) + "\n" + ran.err);
  NPU_ASSIGN(const std::string text, read_file(out));
  NPU_ASSIGN(const Json json, parse_json(text));
  std::vector<OnnxResult> results;
  for (const Json& r : json) {
    NPU_ASSIGN(OnnxResult one, onnx_result(r));
    results.push_back(std::move(one));
  }
  if (results.size() != cases.size()) return Diag(diag::tool_failed, "ONNX Runtime did not answer every case");
  return results;
}

}  // namespace npuport::testing
