// The operator cases, rewritten for TFLite as `convert` does it, as .tflite files run by LiteRT.
#include "frontends/tflite.h"
#include "ops/tflite.h"
#include "passes/pipeline.h"
#include "support/litert.h"
#include "writers/conformance_suite.h"
#include "writers/tflite_writer.h"

namespace npuport::testing {
namespace {

// Legal is what the format can hold.
class TfliteLegality : public Legality {
 public:
  std::vector<Diag> check(const Graph& g, NodeId node) const override {
    const std::optional<std::string> why = tflite_refusal(g, node);
    if (!why) return {};
    Diag d(diag::not_representable, *why);
    d.at_node(g.node(node).op->name);
    return {std::move(d)};
  }
};

Status write(Graph& g, const std::string& path, std::vector<Tensor>& inputs, std::vector<Tensor>& expected) {
  PassOptions options;
  options.split_host = false;
  Ledger ledger;
  NPU_ASSIGN(Prepared prepared, prepare(std::move(g), options, TfliteLegality(), nullptr, ledger));
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

TEST(TfliteConformance, RunByLitert) {
  if (litert_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  FormatUnderTest f;
  f.name = "TFLite";
  f.ending = ".tflite";
  f.wide_halves = true;
  f.write = write;
  f.read = [](const std::string& path) { return import_tflite(path, {}); };
  f.run = [](const std::string&, const std::vector<OracleCase>& cases) { return run_litert(cases); };
  f.unable = [](const std::string& error) { return error.find("not supported") != std::string::npos; };
  // LiteRT's kernels: no division by zero, 1 / sqrt(0) is NaN, numbers below zero become other bytes than PyTorch's.
  f.excused = [](const std::string& op, const std::string& what) {
    return what.find("Division by 0") != std::string::npos ||
           (op == "aten::rsqrt" && what.ends_with("instead of inf")) ||
           (op == "aten::to.dtype" && what.ends_with("is 0.000000 instead of 255.000000"));
  };
  run_conformance(std::move(f), 3, 1000, 60);
}

}  // namespace
}  // namespace npuport::testing
