// ONNX files of exporters and runtimes: PyTorch's exporter, and models of old opsets that ONNX Runtime runs.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/subprocess.h"
#include "frontends/onnx_suite.h"
#include "ir/npy.h"
#include "support/paths.h"
#include "support/temp_folder.h"

namespace npuport {
namespace {

// The interpreter that an environment variable names; empty when there is none.
std::string interpreter(const char* variable, const char* fallback) {
  const char* chosen = std::getenv(variable);
  const std::string path = chosen == nullptr ? fallback : chosen;
  return path == "none" ? "" : path;
}

// False, after printing why, when the script could not run.
bool run_script(const std::string& python, const std::string& script, const std::string& out) {
  ProcessOptions process;
  process.argv = {python, source_dir() + std::string("/tests/support/") + script, out};
  process.timeout = std::chrono::minutes(5);
  const auto made = run_process(process);
  const bool missing = !made || made->err.find("No module named") != std::string::npos;
  if (!missing && !made->ok()) ADD_FAILURE() << script << ": " << made->err;
  return !missing && made->ok();
}

TEST(OnnxModels, WhatPyTorchExportsRunsLikePyTorch) {
  const testing::TempFolder folder;
  const std::string python = interpreter("NPUPORT_TEST_TORCH_PYTHON", "/usr/bin/python3");
  if (python.empty() || !run_script(python, "onnx_torch_models.py", folder.path("models"))) GTEST_SKIP() << "no torch";
  int models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path("models"))) {
    if (entry.path().extension() != ".onnx") continue;
    SCOPED_TRACE(entry.path().filename().string());
    ++models;
    const auto arrays = read_npz(std::filesystem::path(entry.path()).replace_extension(".npz").string());
    ASSERT_TRUE(arrays) << arrays.error().message;
    std::vector<Tensor> in, want;
    for (const auto& [name, t] : *arrays) (name.starts_with("in.") ? in : want).push_back(t);
    auto model = import_onnx(entry.path().string(), {});
    ASSERT_TRUE(model) << to_text(model.error());
    for (const OpaqueOperator& o : model->opaque) ADD_FAILURE() << o.foreign;
    if (!model->opaque.empty()) continue;
    auto executor = Executor::create(model->graph, {});
    ASSERT_TRUE(executor) << to_text(executor.error());
    const auto got = executor->run(in);
    ASSERT_TRUE(got) << to_text(got.error());
    ASSERT_EQ(got->size(), want.size());
    for (size_t k = 0; k < want.size(); ++k) {
      EXPECT_EQ(testing::onnx_deviation((*got)[k], want[k], 1e-3, 1e-4), "") << "output " << k;
    }
  }
  EXPECT_EQ(models, 10);
}

TEST(OnnxModels, OldOpsetsMeanWhatOnnxRuntimeComputes) {
  const testing::TempFolder folder;
  const std::string python = interpreter("NPUPORT_TEST_LITERT_PYTHON", "none");
  if (python.empty() || !run_script(python, "onnx_old_opsets.py", folder.path("cases"))) {
    GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON names no interpreter with onnx and onnxruntime";
  }
  const auto cases = testing::read_onnx_cases(folder.path("cases"));
  EXPECT_GE(cases.size(), 150U);
  for (const testing::OnnxCase& c : cases) {
    const testing::OnnxVerdict v = testing::run_onnx_case(folder.path("cases"), c);
    EXPECT_EQ(v.kind, testing::OnnxVerdict::passed) << c.name << ": " << v.why;
  }
}

}  // namespace
}  // namespace npuport
