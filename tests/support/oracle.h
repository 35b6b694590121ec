// Another runtime as an oracle for written models: all cases of a test in one process of its Python.
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

struct OracleCase {
  std::string model;            // path
  std::vector<Tensor> inputs;   // in the model's order
  std::string source = {};      // PyTorch only: path of a Python file to compare with the archive; may be empty
  std::string class_name = {};  // in the Python file
};

struct OracleResult {
  std::string error;  // empty = ran
  std::vector<Tensor> outputs;
  std::string source;  // how the Python file's result differs; empty = it does not
};

inline Result<OracleResult> oracle_result(const std::string& runtime, const Json& r) {
  OracleResult result;
  if (r.contains("error")) {
    result.error = r["error"].get<std::string>();
    if (result.error.empty()) result.error = "failed";
    return result;
  }
  result.source = r.value("source", "");
  for (const Json& o : r["outputs"]) {
    const auto dtype = parse_dtype(o["dtype"].get<std::string>());
    Tensor t = Tensor::zeros(dtype.value_or(DType::f32), o["shape"].get<Shape>());
    NPU_ASSIGN(const std::string bytes, read_file(o["file"].get<std::string>()));
    if (!dtype || static_cast<int64_t>(bytes.size()) != t.bytes()) {
      return Diag(diag::tool_failed, runtime + " gave a strange output of type " + o["dtype"].get<std::string>());
    }
    if (!bytes.empty()) std::memcpy(t.mutable_data(), bytes.data(), bytes.size());
    result.outputs.push_back(std::move(t));
  }
  return result;
}

// Runs tests/support/`script` in `python`. Results in the order of the cases; `folder` takes the exchanged files. A
// Diag when the process as a whole failed.
inline Result<std::vector<OracleResult>> run_oracle(const std::string& runtime, const std::string& python,
                                                    const std::string& script, const std::string& folder,
                                                    const std::vector<OracleCase>& cases) {
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
  process.argv = {python, source_dir() + "/tests/support/" + script, in, out};
  process.env = {{"PYTHONDONTWRITEBYTECODE", "1"}};
  process.timeout = std::chrono::minutes(8);
  NPU_ASSIGN(const ProcessResult ran, run_process(process));
  if (!ran.ok()) return Diag(diag::tool_failed, runtime + ": " + describe(ran) + "\n" + ran.err);
  NPU_ASSIGN(const std::string text, read_file(out));
  NPU_ASSIGN(const Json json, parse_json(text));
  std::vector<OracleResult> results;
  for (const Json& r : json) {
    NPU_ASSIGN(OracleResult one, oracle_result(runtime, r));
    results.push_back(std::move(one));
  }
  if (results.size() != cases.size()) return Diag(diag::tool_failed, runtime + " did not answer every case");
  return results;
}

}  // namespace npuport::testing
