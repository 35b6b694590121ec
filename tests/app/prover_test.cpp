#include "app/prover.h"

#include <gtest/gtest.h>

#include "ir/text.h"

namespace npuport::app {
namespace {

Graph graph(const std::string& body) {
  Result<Graph> g = parse_graph("graph \"t\" {\n input %x: f32[4,5]\n input %i: i64[4]\n" + body + "\n}");
  EXPECT_TRUE(g) << to_text(g.error());
  return std::move(*g);
}
Evidence prove(const std::string& before, const std::string& after, Numerics numerics = Numerics::exact) {
  LedgerEntry entry;
  entry.numerics = numerics;
  RandomProver prover({{"i", {0, 3, true}}});
  const Result<Evidence> e = prover.prove(graph(before), graph(after), entry);
  EXPECT_TRUE(e) << to_text(e.error());
  return *e;
}

TEST(ProverTest, EqualFormulasHoldAndOthersDoNot) {
  const std::string square = "%y = mul(%x, %x)\n output %y";
  EXPECT_TRUE(prove(square, "%y = square(%x)\n output %y").holds);
  EXPECT_EQ(*prove(square, "%y = square(%x)\n output %y").max_diff, 0.0);
  const std::string off = "const %e: f32[1] = [0.001]\n%z = mul(%x, %x)\n%y = add(%z, %e)\n output %y";
  EXPECT_FALSE(prove(square, off).holds);
  const Evidence measured = prove(square, off, Numerics::approximate);
  EXPECT_TRUE(measured.holds);
  EXPECT_NEAR(*measured.max_diff, 0.001, 1e-6);
}

TEST(ProverTest, IntegersStayInTheirDeclaredRange) {
  // Rows 0 to 3 exist; an id outside would make the gather fail.
  const std::string gather =
      "const %t: f32[4,2] = [0.0,1.0,2.0,3.0,4.0,5.0,6.0,7.0]\n%y = gather(%t, %i) axis=0\n output %y";
  EXPECT_TRUE(prove(gather, gather).holds);
}

TEST(ProverTest, NaNMustStayWhereItWas) {
  const std::string root = "%y = sqrt(%x)\n output %y";
  EXPECT_TRUE(prove(root, root).holds);
  EXPECT_FALSE(prove(root, "%z = abs(%x)\n%y = sqrt(%z)\n output %y").holds);
}

TEST(ProverTest, LargeGraphsAreLeftToTheStep) {
  LedgerEntry entry;
  RandomProver prover({}, /*max_macs=*/10);
  const Graph g = graph(
      "const %w: f32[3,5] = [1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0]\n%y = linear(%x, %w)\n "
      "output %y");
  const Result<Evidence> e = prover.prove(g, g, entry);
  ASSERT_TRUE(e);
  EXPECT_TRUE(e->holds);
  EXPECT_FALSE(e->max_diff.has_value());
}

// One prover, one change after the other: what it keeps from the last one must not stand in for another graph.
TEST(ProverTest, EachVersionIsMeasuredAsItIs) {
  LedgerEntry entry;
  RandomProver prover({});
  const auto holds = [&](const Graph& a, const Graph& b) {
    const Result<Evidence> e = prover.prove(a, b, entry);
    return e && e->holds;
  };
  const Graph square = graph("%y = mul(%x, %x)\n output %y");
  Graph other = graph("%y = square(%x)\n output %y");
  EXPECT_TRUE(holds(square, other));
  EXPECT_TRUE(holds(other, square));
  EXPECT_FALSE(holds(square, graph("%y = add(%x, %x)\n output %y")));
  EXPECT_TRUE(holds(square, other));
  // Changed in place since: the same ids, another constant.
  const char* scaled = "const %k: f32[1] = [2.0]\n%y = mul(%x, %k)\n output %y";
  Graph twice = graph(scaled);
  EXPECT_TRUE(holds(twice, graph("%y = add(%x, %x)\n output %y")));
  Graph half = graph(scaled);
  EXPECT_TRUE(holds(graph("%y = add(%x, %x)\n output %y"), half));
  for (uint32_t v = 0; v < half.value_slots(); ++v)
    if (half.is_constant(ValueId{v}))
      half.value(ValueId{v}).constant = std::make_shared<const Tensor>(Tensor::of<float>({1}, {0.5F}));
  EXPECT_FALSE(holds(half, graph("%y = add(%x, %x)\n output %y")));
}

}  // namespace
}  // namespace npuport::app
