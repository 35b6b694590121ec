#include "passes/release.h"

#include <gtest/gtest.h>

namespace npuport {
namespace {

// Half a million floats are 2 MB.
TEST(Release, OnlyLargeConstantsNobodyReadsGo) {
  Graph g;
  const ValueId x = g.add_input("x", {DType::f32, {1, 524288}, nullptr});
  const auto constant = [&](int64_t n) { return g.add_constant("", Tensor::zeros(DType::f32, {1, n})); };
  const ValueId unused = constant(524288), small = constant(16), given = constant(524288), read = constant(524288);
  const auto node = g.add("add", {x, read}, {}, {});
  ASSERT_TRUE(node) << node.error().message;
  g.set_outputs({g.node(*node).outputs[0], given});
  const std::weak_ptr<const Tensor> memory = g.value(unused).constant;
  const ValueId all[] = {x, unused, small, given, read, ValueId{}};
  release_unused(g, all);
  EXPECT_TRUE(memory.expired());
  EXPECT_FALSE(g.value(unused).alive);
  for (const ValueId v : {small, given, read}) EXPECT_TRUE(g.is_constant(v));
}

}  // namespace
}  // namespace npuport
