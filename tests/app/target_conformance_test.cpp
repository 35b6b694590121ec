// The operator cases, rewritten for an NPU: what its rules then take computes the same in LiteRT.
#include "target/legality.h"
#include "target/target.h"
#include "writers/tflite_conformance.h"

namespace npuport::testing {
namespace {

TEST(TargetConformance, Mt8371) {
  if (litert_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  const Result<Target> target = load_target("mt8371");
  ASSERT_TRUE(target) << to_text(target.error());
  const TargetLegality legality(*target);
  PassOptions options;
  options.narrow_int64 = options.assume_int32 = true;
  FormatUnderTest format = tflite_under_test("TFLite for mt8371", legality, options);
  format.cases = "conformance-app";
  run_conformance(std::move(format), 3, 600, 60);
}

}  // namespace
}  // namespace npuport::testing
