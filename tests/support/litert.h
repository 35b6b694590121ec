// The real LiteRT as an oracle: all cases of a test in one Python process.
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

struct LitertCase {
  std::string model;           // path
  std::vector<Tensor> inputs;  // in the model's order
};

struct LitertResult {
  std::string error;  // empty = ran
  std::vector<Tensor> outputs;
};

// The interpreter with ai_edge_litert; empty when NPUPORT_TEST_LITERT_PYTHON is not set or "none".
inline std::string litert_python() {
  const char* named = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
  return named == nullptr || std::string_view(named) == "none" ? "" : named;
}

// Results in the order of the cases. A Diag when the process as a whole failed.
inline Result<std::vector<LitertResult>> run_litert(const std::vector<LitertCase>& cases) {
  const TempFolder folder;
  Json manifest = Json::array();
  for (size_t i = 0; i < cases.size(); ++i) {
    Json inputs = Json::array();
    for (size_t k = 0; k < cases[i].inputs.size(); ++k) {
      const Tensor& t = cases[i].inputs[k];
      inputs.push_back(folder.path(std::to_string(i) + "in" + std::to_string(k)));
      NPU_TRY(write_file(inputs.back().get<std::string>(),
                         {reinterpret_cast<const char*>(t.data), static_cast<size_t>(t.bytes())}));
    }
    manifest.push_back(
        {{"model", cases[i].model}, {"inputs", inputs}, {"outputs", folder.path(std::to_string(i) + "out")}});
  }
  const std::string in = folder.path("manifest.json"), out = folder.path("result.json");
  NPU_TRY(write_file(in, dump_json(manifest)));
  ProcessOptions process;
  process.argv = {litert_python(), source_dir() + "/tests/support/litert_run.py", in, out};
  process.timeout = std::chrono::minutes(5);
  NPU_ASSIGN(const ProcessResult ran, run_process(process));
  if (!ran.ok()) return Diag(diag::tool_failed, "LiteRT: " + describe(ran) + "\n" + ran.err);
  NPU_ASSIGN(const std::string text, read_file(out));
  NPU_ASSIGN(const Json json, parse_json(text));
  std::vector<LitertResult> results;
  for (const Json& r : json) {
    LitertResult result;
    if (r.contains("error")) {
      result.error = r["error"].get<std::string>();
      if (result.error.empty()) result.error = "failed";
    } else {
      for (const Json& o : r["outputs"]) {
        const auto dtype = parse_dtype(o["dtype"].get<std::string>());
        Tensor t = Tensor::zeros(dtype.value_or(DType::f32), o["shape"].get<Shape>());
        NPU_ASSIGN(const std::string bytes, read_file(o["file"].get<std::string>()));
        if (!dtype || static_cast<int64_t>(bytes.size()) != t.bytes()) {
          return Diag(diag::tool_failed, "LiteRT gave a strange output of type " + o["dtype"].get<std::string>());
        }
        if (!bytes.empty()) std::memcpy(t.mutable_data(), bytes.data(), bytes.size());
        result.outputs.push_back(std::move(t));
      }
    }
    results.push_back(std::move(result));
  }
  if (results.size() != cases.size()) return Diag(diag::tool_failed, "LiteRT did not answer every case");
  return results;
}

}  // namespace npuport::testing
