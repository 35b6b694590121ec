// The real PyTorch as an oracle for written models: all cases of a test in one Python process.
#pragma once

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "ir/tensor.h"
#include "support/paths.h"
#include "support/temp_folder.h"

namespace npuport::testing {

struct TorchCase {
  std::string model;       // path of a .pt
  std::string source;      // path of a Python file to compare with it; may be empty
  std::string class_name;  // in the Python file
  std::vector<Tensor> inputs;
};

struct TorchResult {
  std::string error;  // empty = loaded and ran
  std::vector<Tensor> outputs;
  std::string source;  // how the Python file's result differs; empty = it does not
};

// Whether torch_python() has PyTorch; asked once.
inline bool torch_there() {
  static const bool there = [] {
    ProcessOptions probe;
    probe.argv = {torch_python(), "-c", "import torch"};
    const Result<ProcessResult> r = run_process(probe);
    return r && r->ok();
  }();
  return there;
}

// Results in the order of the cases. `folder` takes the exchanged files. A Diag when the process as a whole failed.
inline Result<std::vector<TorchResult>> run_torch(const std::string& python, const std::string& folder,
                                                  const std::vector<TorchCase>& cases) {
  Json manifest = Json::array();
  for (size_t i = 0; i < cases.size(); ++i) {
    Json inputs = Json::array();
    for (size_t k = 0; k < cases[i].inputs.size(); ++k) {
      const Tensor& t = cases[i].inputs[k];
      const std::string path = folder + "/" + std::to_string(i) + "in" + std::to_string(k);
      inputs.push_back({long_name(t.dtype), t.shape, path});
      NPU_TRY(write_file(path, {reinterpret_cast<const char*>(t.data), static_cast<size_t>(t.bytes())}));
    }
    manifest.push_back({{"model", cases[i].model},
                        {"source", cases[i].source},
                        {"class", cases[i].class_name},
                        {"inputs", inputs},
                        {"outputs", folder + "/" + std::to_string(i) + "out"}});
  }
  const std::string in = folder + "/manifest.json", out = folder + "/result.json";
  NPU_TRY(write_file(in, dump_json(manifest)));
  ProcessOptions process;
  process.argv = {python, source_dir() + "/tests/support/torch_run.py", in, out};
  process.env = {{"PYTHONDONTWRITEBYTECODE", "1"}};
  process.timeout = std::chrono::minutes(8);
  NPU_ASSIGN(const ProcessResult ran, run_process(process));
  if (!ran.ok()) return Diag(diag::tool_failed, "PyTorch: " + describe(ran) + "\n" + ran.err);
  NPU_ASSIGN(const std::string text, read_file(out));
  NPU_ASSIGN(const Json json, parse_json(text));
  std::vector<TorchResult> results;
  for (const Json& r : json) {
    TorchResult result;
    if (r.contains("error")) result.error = r["error"].get<std::string>();
    if (r.contains("source")) result.source = r["source"].get<std::string>();
    for (const Json& o : r.value("outputs", Json::array())) {
      NPU_ASSIGN(const std::string bytes, read_file(o[2].get<std::string>()));
      Tensor t = Tensor::zeros(*parse_dtype(o[0].get<std::string>()), o[1].get<Shape>());
      if (static_cast<int64_t>(bytes.size()) != t.bytes()) return Diag(diag::tool_failed, "a result has a wrong size");
      if (!bytes.empty()) std::memcpy(t.mutable_data(), bytes.data(), bytes.size());
      result.outputs.push_back(std::move(t));
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace npuport::testing
