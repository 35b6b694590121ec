// The operator cases, rewritten for TFLite as `convert` does it, as .tflite files run by LiteRT.
#include "writers/tflite_conformance.h"

#include "ops/tflite.h"

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

TEST(TfliteConformance, RunByLitert) {
  if (litert_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  const TfliteLegality legality;
  run_conformance(tflite_under_test("TFLite", legality), 3, 1000, 60);
}

}  // namespace
}  // namespace npuport::testing
