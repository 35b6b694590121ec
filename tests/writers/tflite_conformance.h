// The operator cases as .tflite files, rewritten until `legality` takes them, run by LiteRT.
#pragma once

#include "frontends/tflite.h"
#include "passes/pipeline.h"
#include "support/litert.h"
#include "writers/conformance_suite.h"
#include "writers/tflite_writer.h"

namespace npuport::testing {

inline Status write_legal(const Legality& legality, const PassOptions& options, Graph& g, const std::string& path,
                          std::vector<Tensor>& inputs, std::vector<Tensor>& expected) {
  Ledger ledger;
  NPU_ASSIGN(Prepared prepared, prepare(std::move(g), options, legality, nullptr, ledger));
  if (!prepared.left.empty()) {
    const IllegalNode& left = prepared.left.front();
    Diag d(diag::not_representable, left.findings.front().message);
    d.at_node(prepared.graph.node(left.node).op->name);
    return d;
  }
  TfliteOptions file;
  file.sync = false;
  NPU_TRY(write_tflite(prepared.graph, path, file));
  NPU_ASSIGN(inputs, to_file_inputs(prepared.io, inputs, host_runner({})));
  // The file's outputs may be of narrower types than the model's (f64 → f32); a permuted one would show as a
  // difference.
  const std::vector<ValueId>& out = prepared.graph.outputs();
  if (out.size() != expected.size()) return Diag(diag::internal, "another number of outputs");
  for (size_t k = 0; k < out.size(); ++k) expected[k] = cast_tensor(expected[k], prepared.graph.type(out[k]).dtype);
  return {};
}

// Nothing moves to the host. `legality` outlives the suite.
inline FormatUnderTest tflite_under_test(std::string name, const Legality& legality, PassOptions options = {}) {
  options.split_host = false;
  FormatUnderTest f;
  f.name = std::move(name);
  f.ending = ".tflite";
  f.wide_halves = true;
  f.write = [&legality, options](Graph& g, const std::string& path, std::vector<Tensor>& in, std::vector<Tensor>& out) {
    return write_legal(legality, options, g, path, in, out);
  };
  f.read = [](const std::string& path) { return import_tflite(path, {}); };
  f.run = [](const std::string&, const std::vector<OracleCase>& cases) { return run_litert(cases); };
  f.unable = [](const std::string& error) { return error.find("not supported") != std::string::npos; };
  // LiteRT's kernels: no division by zero, 1 / sqrt(0) is NaN, numbers below zero become other bytes than PyTorch's.
  f.excused = [](const std::string& op, const std::string& what) {
    return what.find("Division by 0") != std::string::npos ||
           (op == "aten::rsqrt" && what.ends_with("instead of inf")) ||
           (op == "aten::to.dtype" && what.ends_with("is 0.000000 instead of 255.000000"));
  };
  return f;
}

}  // namespace npuport::testing
