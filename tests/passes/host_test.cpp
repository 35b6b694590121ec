// What moves to the host, and what does not.
#include "passes/host.h"

#include "lower_support.h"

namespace npuport::testing {
namespace {

TEST(Host, EmbeddingBecomesALookupWithATable) {
  const Graph before = graph_of(
      "input %tokens: i64[1,4]\n const %w: f32[6,8] = #a\n const %p: f32[4,8] = #b\n %e = embedding(%w, %tokens) "
      "@\"decoder.token_embedding\" \"m.py:1\" \"aten::embedding\"\n %s = add(%e, %p)\n %y = linear(%s, %w)\n output "
      "%y");
  const Prepared p = prepared(before, Refusing({"embedding", "gather"}));
  EXPECT_TRUE(p.left.empty());
  ASSERT_EQ(p.io.host_steps.size(), 1U);
  const HostStep& s = p.io.host_steps[0];
  EXPECT_EQ(s.kind, "embedding_lookup");
  EXPECT_EQ(s.file, "token_embedding.npy");
  EXPECT_EQ(s.module, "decoder.token_embedding");
  ASSERT_EQ(p.graph.inputs().size(), 1U);
  EXPECT_EQ(p.graph.value(p.graph.inputs()[0]).name, "token_embeddings");
  EXPECT_EQ(p.graph.type(p.graph.inputs()[0]), (TensorType{DType::f32, {1, 4, 8}, nullptr}));
  EXPECT_EQ(difference(before, p.graph, p.io), 0.0);
}

// A table without a name, as one that the importer computed, is called after the ids.
TEST(Host, ANamelessTableIsCalledAfterItsIds) {
  const Graph before = graph_of(
      "input %position: i32[1,1]\n const %v3: f32[6,8] = #a\n %e = embedding(%v3, %position)\n %y = relu(%e)\n output "
      "%y");
  const Prepared p = prepared(before, Refusing({"embedding"}));
  ASSERT_EQ(p.io.host_steps.size(), 1U);
  EXPECT_EQ(p.io.host_steps[0].file, "position_embedding.npy");
  EXPECT_EQ(p.io.host_steps[0].outputs[0], "position_embeddings");
  EXPECT_EQ(difference(before, p.graph, p.io), 0.0);
}

TEST(Host, IdsStayAnInputWhereTheyAreNeeded) {
  const Graph before = graph_of(
      "input %tokens: i32[1,4]\n const %w: f32[6,8] = #a\n %e = embedding(%w, %tokens)\n %f = cast(%tokens) to=f32\n "
      "%r = "
      "reshape(%f) shape=[1,4,1]\n %y = add(%e, %r)\n output %y");
  const Prepared p = prepared(before, Refusing({"embedding"}));
  EXPECT_EQ(p.graph.inputs().size(), 2U);
  EXPECT_EQ(difference(before, p.graph, p.io), 0.0);
}

TEST(Host, SineOfAnInputMovesWithWhatItNeeds) {
  const Graph before = graph_of(
      "input %t: f32[1,4]\n const %k: f32[1,4] = [1.0,2.0,3.0,4.0]\n const %w: f32[3,4] = "
      "[1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,"
      "10.0,11.0,12.0]\n %m = mul(%t, %k)\n %s = sin(%m)\n %y = linear(%s, %w)\n output %y");
  const Prepared p = prepared(before, Refusing({"sin"}));
  EXPECT_TRUE(p.left.empty());
  ASSERT_EQ(p.io.host_steps.size(), 1U);
  EXPECT_EQ(p.io.host_steps[0].kind, "graph");
  EXPECT_FALSE(p.io.host_steps[0].suffix);
  EXPECT_EQ(op_counts(p.graph), (std::map<std::string, int>{{"linear", 1}}));
  EXPECT_LT(difference(before, p.graph, p.io), 1e-5);
}

TEST(Host, SearchAfterTheNetBecomesASuffix) {
  const Graph before = graph_of(
      "input %x: f32[1,4]\n const %w: f32[5,4] = #a\n %l = linear(%x, %w)\n %v, %i = topk(%l) k=2\n %z = relu(%l)\n "
      "output "
      "%v, %z, %i");
  const Prepared p = prepared(before, Refusing({"topk"}));
  EXPECT_TRUE(p.left.empty());
  ASSERT_EQ(p.io.host_steps.size(), 1U);
  EXPECT_TRUE(p.io.host_steps[0].suffix);
  EXPECT_LT(difference(before, p.graph, p.io), 1e-5);
}

TEST(Host, MasksFromTheInputsBecomeNumbersThere) {
  const Graph before = graph_of(
      "input %x: f32[1,3,4]\n input %n: f32[1,3]\n const %w: f32[4,4] = "
      "[1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,"
      "3.0,4.0]\n const %z: f32[] = [0.0]\n %m = greater(%n, %z)\n %r = reshape(%m) shape=[1,3,1]\n %l = linear(%x, "
      "%w)\n %s = "
      "where(%r, %l, %z)\n %y = linear(%s, %w)\n output %y");
  const Prepared p = prepared(before, Refusing({"where", "greater", "cast"}));
  EXPECT_TRUE(p.left.empty()) << print(p.graph);
  EXPECT_EQ(p.io.host_steps.size(), 1U);
  for (const ValueId v : p.graph.inputs()) EXPECT_EQ(p.graph.type(v).dtype, DType::f32);
  EXPECT_LT(difference(before, p.graph, p.io), 1e-5);
}

TEST(Host, TheMiddleOfTheNetStays) {
  // 1100 * 1100 multiply-accumulates on either side are too many for the host.
  const Graph before = graph_of(
      "input %x: f32[1,1100]\n const %w: f32[1100,1100] = #a\n %l = linear(%x, %w)\n %s = sin(%l)\n %y = linear(%s, "
      "%w)\n "
      "output %y");
  const Prepared p = prepared(before, Refusing({"sin"}));
  ASSERT_EQ(p.left.size(), 1U);
  EXPECT_TRUE(p.io.host_steps.empty());
}

TEST(Host, ASmallProjectionMovesAlong) {
  const Graph before = graph_of(
      "input %x: f32[1,4]\n const %w: f32[4,4] = [1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0]\n "
      "const %v: "
      "f32[1100,4] = #a\n const %u: f32[1100,1100] = #a\n %l = linear(%x, %w)\n %s = sin(%l)\n %m = linear(%s, %v)\n "
      "%y = "
      "linear(%m, %u)\n output %y");
  const Prepared p = prepared(before, Refusing({"sin"}));
  EXPECT_TRUE(p.left.empty());
  EXPECT_EQ(op_counts(p.graph), (std::map<std::string, int>{{"linear", 2}}));
  EXPECT_LT(difference(before, p.graph, p.io), 1e-3);
}

TEST(Host, SuffixOfAnImageOutputKeepsTheModelsLayout) {
  PassOptions options;
  options.io_layout = IoLayout::channels_last;
  const Graph before = graph_of(
      "input %x: f32[1,4,4,4]\n const %w: f32[4,4,1,1] = "
      "[1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0]\n "
      "%c = conv2d(%x, %w)\n %y = floor(%c)\n output %y, %c");
  const Prepared p = prepared(before, Refusing({"floor"}), options);
  EXPECT_TRUE(p.left.empty());
  EXPECT_EQ(p.io.host_steps.size(), 1U);
  EXPECT_LT(difference(before, p.graph, p.io), 1e-5);
}

// ---- what the file of a host step can hold

TEST(Host, StepsAreLoweredToWhatTheirFileHolds) {
  const Graph before = graph_of(
      "input %x: f32[1,4]\n const %w: f32[4,4] = [1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0]\n "
      "%l = linear(%x, %w)\n %a = abs(%l)\n %y = log1p(%a)\n output %y");
  const Refusing host({"log1p"});
  const Prepared p = prepared(before, Refusing({"log1p", "log"}), {}, &host);
  EXPECT_TRUE(p.left.empty());
  ASSERT_EQ(p.io.host_steps.size(), 1U);
  EXPECT_EQ(op_counts(*p.io.host_steps[0].graph), (std::map<std::string, int>{{"add", 1}, {"log", 1}}));
  EXPECT_LT(difference(before, p.graph, p.io), 1e-6);
}

TEST(Host, WhatNoFileHoldsStaysAFinding) {
  const Graph before = graph_of(
      "input %x: f32[1,4]\n const %w: f32[4,4] = [1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0]\n "
      "%l = linear(%x, %w)\n %t, %i = topk(%l) k=2\n %a = abs(%l)\n %y = log1p(%a)\n output %y, %t");
  const Refusing host({"log1p", "log"});
  const Prepared p = prepared(before, Refusing({"log1p", "log", "topk"}), {}, &host);
  ASSERT_EQ(p.left.size(), 1U);
  EXPECT_EQ(p.graph.node(p.left[0].node).op->name, "log1p");
  EXPECT_EQ(p.io.host_steps.size(), 1U);  // the search goes all the same
  EXPECT_EQ(op_counts(*p.io.host_steps[0].graph), (std::map<std::string, int>{{"topk", 1}}));
  EXPECT_LT(difference(before, p.graph, p.io), 1e-6);
}

// ---- how much may move

std::string chain(int length) {
  std::string text = "input %x: f32[1,4]\n %a0 = sin(%x)\n";
  for (int i = 1; i <= length; ++i)
    text += " %a" + std::to_string(i) + (i % 2 ? " = relu(%a" : " = sin(%a") + std::to_string(i - 1) + ")\n";
  return text;
}

TEST(Host, MostOfTheModelStays) {
  const std::string net =
      " const %w: f32[4,4] = [1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0]\n"
      " %y = linear(%a60, %w)\n output %y";
  const Prepared p = prepared(graph_of(chain(60) + net), Refusing({"sin"}));
  EXPECT_TRUE(p.io.host_steps.empty());
  EXPECT_EQ(p.left.size(), 31U);
}

TEST(Host, AFewOperatorsMoveFromASmallModel) {
  const std::string net =
      " const %w: f32[4,4] = [1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0]\n"
      " %y = linear(%a20, %w)\n output %y";
  const Prepared p = prepared(graph_of(chain(20) + net), Refusing({"sin"}));
  EXPECT_EQ(p.io.host_steps.size(), 1U);
  EXPECT_TRUE(p.left.empty());
}

TEST(Host, ATenthOfTheWorkStays) {
  // 200*200 of 280*200 multiply-accumulates are fewer than 2^20, but most of the net.
  const Graph before = graph_of(
      "input %x: f32[1,200]\n const %w: f32[200,200] = #a\n const %u: f32[100,200] = #b\n %l = linear(%x, %w)\n %s = "
      "sin(%l)\n %y = linear(%s, %u)\n output %y");
  const Prepared p = prepared(before, Refusing({"sin"}));
  EXPECT_TRUE(p.io.host_steps.empty());
  EXPECT_EQ(p.left.size(), 1U);
}

// A refused product does not go for free: its own work counts.
TEST(Host, TheNodesOwnWorkCounts) {
  const Graph before = graph_of(
      "input %x: f32[1,1100]\n const %w: f32[1100,1100] = #a\n %l = linear(%x, %w)\n %y = matmul(%l, %l) "
      "transpose_a=true\n output %y");
  const Prepared p = prepared(before, Refusing({"matmul"}));
  EXPECT_TRUE(p.io.host_steps.empty());
  EXPECT_EQ(p.left.size(), 1U);
}

}  // namespace
}  // namespace npuport::testing
