#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/support.h"
#include "ir/text.h"

namespace npuport {
namespace {

using ::testing::ElementsAre;
using testing::f32;
using ::testing::HasSubstr;

class GraphTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::register_test_ops(); }
  Graph g;
};

// x → a = x+x → b = a+x → output
struct Chain {
  ValueId x, a, b;
};
Chain make_chain(Graph& g) {
  Builder builder(g);
  Chain c;
  c.x = g.add_input("x", f32({2}));
  c.a = builder.op("test_add", {c.x, c.x});
  c.b = builder.op("test_add", {c.a, c.x}, {{"scale", 2}});
  g.set_outputs({c.b});
  return c;
}

TEST_F(GraphTest, FillsDefaultsAndInfersTypes) {
  const Chain c = make_chain(g);
  EXPECT_EQ(g.producer(c.b)->attr().f("scale"), 2.0);
  EXPECT_EQ(g.producer(c.a)->attr().f("scale"), 1.0);
  EXPECT_EQ(g.type(c.b), f32({2}));
  EXPECT_TRUE(verify(g, Stage::canonical));
}

TEST_F(GraphTest, RefusesUnknownAndMissingAttributes) {
  const ValueId x = g.add_input("x", f32({2}));
  const auto r = g.add("test_add", {x, x}, {{"sclae", 1}});
  ASSERT_FALSE(r);
  EXPECT_THAT(r.error().message, HasSubstr("no attribute sclae"));
  const auto kind = g.add("test_add", {x, x}, {{"scale", "big"}});
  ASSERT_FALSE(kind);
  EXPECT_THAT(kind.error().message, HasSubstr("wrong kind"));
  EXPECT_FALSE(g.add("test_add", {x}));
  EXPECT_FALSE(g.add("no_such_op", {x}));
}

TEST_F(GraphTest, InferenceErrorsNameTheCall) {
  const ValueId x = g.add_input("x", f32({2}));
  const ValueId y = g.add_input("y", f32({3}));
  const auto r = g.add("test_add", {x, y}, {}, {{"net.head", "net.py:7", "aten::add"}});
  ASSERT_FALSE(r);
  EXPECT_THAT(r.error().where.node, HasSubstr("x: f32[2], y: f32[3]"));
  EXPECT_EQ(r.error().where.source, "net.py:7");
}

TEST_F(GraphTest, ReplaceUsesMovesUsersAndOutputName) {
  const Chain c = make_chain(g);
  g.rename(c.b, "result");
  Builder builder(g);
  const ValueId other = builder.op("test_add", {c.x, c.x}, {{"scale", 4}});
  g.replace_uses(c.b, other);
  EXPECT_EQ(g.erase_dead(), 2U);
  EXPECT_EQ(g.value(other).name, "result");
  EXPECT_THAT(g.outputs(), ElementsAre(other));
  EXPECT_TRUE(verify(g, Stage::canonical));
}

TEST_F(GraphTest, CopyIsASnapshot) {
  const Chain c = make_chain(g);
  const std::string before = print(g);
  Graph copy = g;
  copy.replace_uses(c.a, c.x);
  copy.erase_dead();
  EXPECT_EQ(copy.node_count(), 1U);
  EXPECT_EQ(print(g), before);
}

TEST_F(GraphTest, TopologicalOrderFollowsDataAfterRewiring) {
  const Chain c = make_chain(g);
  Builder builder(g);
  const ValueId late = builder.op("test_double", {c.x});  // higher id, but needed by a
  g.set_input(g.value(c.a).producer, 0, late);
  const auto order = g.topological();
  ASSERT_EQ(order.size(), 3U);
  EXPECT_EQ(order[0], g.value(late).producer);
  EXPECT_TRUE(verify(g, Stage::canonical));
}

TEST_F(GraphTest, VerifyFindsCycleAndStaleType) {
  const Chain c = make_chain(g);
  Graph cyclic = g;
  cyclic.set_input(g.value(c.a).producer, 0, c.b);
  EXPECT_FALSE(verify(cyclic, Stage::imported));
  Graph stale = g;
  stale.value(c.a).type = f32({5});
  const Status s = verify(stale, Stage::imported);
  ASSERT_FALSE(s);
  EXPECT_THAT(s.error().message, HasSubstr("f32[5]"));
}

TEST_F(GraphTest, OpaqueResultsAreUnknownAndSpread) {
  const ValueId x = g.add_input("x", f32({2}));
  Builder builder(g);
  const ValueId o = builder.op("opaque", {x}, {{"foreign", "aten::fft"}});
  const ValueId after = builder.op("test_add", {o, x});
  g.set_outputs({after});
  EXPECT_FALSE(g.type(after).known());
  EXPECT_TRUE(verify(g, Stage::imported));
  EXPECT_FALSE(verify(g, Stage::canonical));
}

TEST_F(GraphTest, FoldingEvaluatesConstantsAtOnce) {
  Builder builder(g, /*fold=*/true);
  const ValueId two = builder.scalar(2);
  const ValueId six = builder.op("test_add", {two, two}, {{"scale", 2}});
  ASSERT_TRUE(g.is_constant(six));
  EXPECT_EQ(get_double(*builder.constant_of(six), 0), 6.0);
  const ValueId body = builder.op("test_double", {six});
  ASSERT_TRUE(g.is_constant(body)) << to_text(builder.take_status().error());
  EXPECT_EQ(get_double(*builder.constant_of(body), 0), 12.0);
  EXPECT_EQ(g.node_count(), 0U);
}

TEST_F(GraphTest, BuilderErrorSticks) {
  Builder builder(g);
  const ValueId x = g.add_input("x", f32({2}));
  const ValueId y = g.add_input("y", f32({3}));
  const ValueId bad = builder.op("test_add", {x, y});
  EXPECT_FALSE(bad.valid());
  builder.op("test_add", {bad, x});
  const Status s = builder.take_status();
  ASSERT_FALSE(s);
  EXPECT_THAT(s.error().message, HasSubstr("do not broadcast"));
  EXPECT_TRUE(builder.take_status());
}

TEST_F(GraphTest, CompactedDropsDeadEntries) {
  const Chain c = make_chain(g);
  g.replace_uses(c.a, c.x);
  g.erase_dead();
  const Graph small = g.compacted();
  EXPECT_EQ(small.node_slots(), 1U);
  EXPECT_EQ(small.value_slots(), 2U);
  EXPECT_TRUE(verify(small, Stage::canonical));
  EXPECT_EQ(print(small), print(g));
}

}  // namespace
}  // namespace npuport
