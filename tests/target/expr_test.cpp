#include "target/expr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/support.h"

namespace npuport {
namespace {

using ::testing::HasSubstr;

class ExprTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::register_test_ops();
    const ValueId x = g.add_input("x", testing::f32({1, 3, 8, 6}));
    const ValueId w = g.add_constant("w", Tensor::zeros(DType::f32, {6}));
    node = *g.add("test_add", {x, w}, {{"scale", 2.5}, {"tags", Ints{3, 7}}});
    g.set_outputs(g.node(node).outputs);
  }
  bool holds(std::string_view text) {
    const Result<Expr> e = Expr::parse(text, &op("test_add"));
    EXPECT_TRUE(e) << to_text(e.error());
    return e && e->test(g, node).holds;
  }
  Graph g;
  NodeId node;
};

TEST_F(ExprTest, ReadsShapesAttributesAndTypes) {
  EXPECT_TRUE(holds("rank == 4 and in0.rank == 4 and in1.rank == 1"));
  EXPECT_TRUE(holds("in0.shape[2] == 8 and in0.shape[-1] == 6"));
  EXPECT_TRUE(holds("in0.shape == [1, 3, 8, 6]"));
  EXPECT_TRUE(holds("in0.dtype in [\"f32\", \"f16\"] and not in0.constant and in1.constant"));
  EXPECT_TRUE(holds("scale == 2.5 and tags[0] * tags[1] <= 21"));
  EXPECT_TRUE(holds("1 <= min(in0.shape) and max(out0.shape) < 9 and product(in0.shape) == out0.count"));
  EXPECT_TRUE(holds("7 % 4 == 3 and 1 + 2 * 3 == 7 and (1 + 2) * 3 == 9 and 6 / 4 == 1.5"));
  EXPECT_TRUE(holds("len(tags) == 2 or in9.shape[0] == 1"));
  EXPECT_TRUE(holds("in0.depth == 3 and in0.height == 8 and out0.width == 6"));
  EXPECT_TRUE(holds("power_of_two(in0.height / 2) and not power_of_two(6) and not power_of_two(0.5)"));
  EXPECT_TRUE(holds("product_but_two(in0.shape) == 48 and product_but_two(tags) == 1"));
  EXPECT_TRUE(holds("in1.int8_sum == 0"));
}

TEST_F(ExprTest, EachConditionCanFail) {
  EXPECT_FALSE(holds("rank <= 3"));
  EXPECT_FALSE(holds("4 <= rank <= 3"));
  EXPECT_FALSE(holds("in0.dtype in [\"i8\"]"));
  EXPECT_FALSE(holds("not in1.constant"));
  EXPECT_FALSE(holds("scale != 2.5"));
  EXPECT_FALSE(holds("rank == 4 and false"));
}

TEST_F(ExprTest, FailuresSayWhatWasLookedAt) {
  const auto actual = [&](std::string_view text) { return Expr::parse(text, &op("test_add"))->test(g, node).actual; };
  EXPECT_EQ(actual("max(tags) <= 5 and rank == 4"), "tags = [3,7]");
  EXPECT_THAT(actual("in0.shape[9] == 1"), HasSubstr("index out of range"));
  EXPECT_THAT(actual("in5.rank == 1"), HasSubstr("in5 is absent"));
  EXPECT_THAT(actual("scale"), HasSubstr("no condition"));
  EXPECT_THAT(actual("in1.height == 1"), HasSubstr("rank 4"));
  EXPECT_THAT(actual("in0.int8_sum == 1"), HasSubstr("no constant"));
  EXPECT_THAT(actual("1 / 0 == 1"), HasSubstr("division by zero"));
}

TEST_F(ExprTest, BadTextIsRefusedAtLoad) {
  const auto message = [](std::string_view text, const OpDef* row) {
    const Result<Expr> e = Expr::parse(text, row);
    return e ? std::string("accepted") : e.error().message;
  };
  EXPECT_THAT(message("sclae == 1", &op("test_add")),
              HasSubstr("column 1 of rule \"sclae == 1\": unknown name 'sclae'"));
  EXPECT_THAT(message("scale == 1", nullptr), HasSubstr("unknown name 'scale'"));
  EXPECT_THAT(message("in0.size == 1", nullptr), HasSubstr("unknown name"));
  EXPECT_THAT(message("rank == ", nullptr), HasSubstr("operand is missing"));
  EXPECT_THAT(message("rank == 4 4", nullptr), HasSubstr("unexpected"));
  EXPECT_THAT(message("(rank == 4", nullptr), HasSubstr("expected ')'"));
  EXPECT_THAT(message("\"abc", nullptr), HasSubstr("unterminated"));
  std::string deep(5000, '(');
  EXPECT_THAT(message(deep, nullptr), HasSubstr("nested too deeply"));
  std::string nots;
  for (int i = 0; i < 5000; ++i) nots += "not ";
  EXPECT_THAT(message(nots, nullptr), HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace npuport
