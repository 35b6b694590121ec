// The operator cases as ONNX files: checked by the onnx package, run by ONNX Runtime.
#include "frontends/onnx.h"
#include "support/onnx_run.h"
#include "writers/conformance_suite.h"
#include "writers/onnx_writer.h"

namespace npuport::testing {
namespace {

void run_opset(int opset, int few) {
  if (onnx_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON has no onnx and onnxruntime";
  FormatUnderTest f;
  f.name = "opset " + std::to_string(opset);
  f.ending = ".onnx";
  f.write = [opset](Graph& g, const std::string& path, std::vector<Tensor>&, std::vector<Tensor>&) -> Status {
    OnnxOptions options;
    options.sync = false;
    options.opset = options.lowest = opset;
    const auto written = write_onnx(g, path, options);
    if (!written) return written.error();
    return {};
  };
  f.read = [](const std::string& path) { return import_onnx(path, {}); };
  f.run = run_onnx;
  // ONNX Runtime's CPU kernels lack some element types; NumPy has no bfloat16.
  f.unable = [](const std::string& error) {
    return error.find("NOT_IMPLEMENTED") != std::string::npos || error.find("bfloat16") != std::string::npos;
  };
  run_conformance(std::move(f), few, 300, 40);
}

TEST(OnnxConformance, Opset17) { run_opset(17, 3); }
TEST(OnnxConformance, Opset13) { run_opset(13, 1); }
TEST(OnnxConformance, Opset11) { run_opset(11, 1); }

}  // namespace
}  // namespace npuport::testing
