#include <gtest/gtest.h>

#include <map>

#include "base/subprocess.h"
#include "frontends/onnx_suite.h"
#include "support/paths.h"
#include "support/temp_folder.h"

namespace npuport {
namespace {

// The backend cases of onnx 1.23.2 that pass. Fewer is a regression; more: raise it.
constexpr int kLeastPassed = 1704;

TEST(OnnxConformance, BackendCasesPassOrAreRefusedWithAReason) {
  const char* python = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
  if (python == nullptr || std::string_view(python) == "none") GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  const testing::TempFolder folder;
  ProcessOptions process;
  process.argv = {python, source_dir() + "/tests/support/onnx_cases.py", folder.path("cases")};
  process.timeout = std::chrono::minutes(5);
  const auto made = run_process(process);
  ASSERT_TRUE(made) << made.error().message;
  if (!made->ok() && made->err.find("No module named 'onnx'") != std::string::npos) GTEST_SKIP() << "no onnx package";
  ASSERT_TRUE(made->ok()) << made->err;
  int passed = 0, refused = 0;
  const auto cases = testing::read_onnx_cases(folder.path("cases"));
  ASSERT_GT(cases.size(), 1800U);
  for (const testing::OnnxCase& c : cases) {
    const testing::OnnxVerdict v = testing::run_onnx_case(folder.path("cases"), c);
    passed += v.kind == testing::OnnxVerdict::passed;
    refused += v.kind == testing::OnnxVerdict::refused;
    EXPECT_NE(v.kind, testing::OnnxVerdict::wrong) << c.name << ": " << v.why;
    EXPECT_TRUE(v.kind != testing::OnnxVerdict::refused || !v.why.empty()) << c.name;
  }
  RecordProperty("passed", passed);
  RecordProperty("refused", refused);
  EXPECT_GE(passed, kLeastPassed);
}

}  // namespace
}  // namespace npuport
