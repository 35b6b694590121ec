#include "passes/cleanup.h"

#include "support.h"

namespace npuport::testing {
namespace {

using ::testing::HasSubstr;

std::string cleaned(std::string_view body) {
  const Graph before = graph_of(body);
  const Ran r = run_pass(cleanup_pass, before);
  EXPECT_EQ(difference(before, r.graph), 0.0) << body;
  return print(r.graph, {.types = false});
}

int nodes_after(std::string_view body) {
  const Graph before = graph_of(body);
  const Ran r = run_pass(cleanup_pass, before);
  EXPECT_EQ(difference(before, r.graph), 0.0) << body;
  return static_cast<int>(r.graph.node_count());
}

TEST(Cleanup, RowsAreWellFormed) {
  ops::register_all();
  for (const Rewrite& r : cleanup_rewrites()) {
    const Status s = check_rewrite(r);
    EXPECT_TRUE(s) << r.name << ": " << s.error().message;
    EXPECT_FALSE(r.doc.empty()) << r.name;
  }
}

TEST(Cleanup, GoldenText) {
  EXPECT_EQ(cleaned(R"(
    input %x: f32[2,3]
    const %one: f32[1,1] = [1.0]
    const %zero: f32[] = [0.0]
    %a = reshape(%x) shape=[6]
    %b = reshape(%a) shape=[3,2]
    %c = transpose(%b) perm=[1,0]
    %d = transpose(%c) perm=[1,0]
    %e = mul(%one, %d)
    %f = add(%e, %zero)
    %y = relu(%f)
    output %y)"),
            R"(graph "t" {
  input %x: f32[2,3]
  %b = reshape(%x) shape=[3,2]
  %y = relu(%b)
  output %y
}
)");
}

TEST(Cleanup, ReshapeAfterAReductionBecomesKeepdims) {
  const std::string x = "input %x: f32[2,3,4,5]\n";
  EXPECT_EQ(nodes_after(x + "%a = reduce_mean(%x) axes=[2,3] keepdims=true\n %y = reshape(%a) shape=[2,3]\n output %y"),
            1);
  EXPECT_EQ(nodes_after(x + "%a = reduce_max(%x) axes=[-1] keepdims=true\n %y = reshape(%a) shape=[2,3,4]\n output %y"),
            1);
  // The reshape merges kept dims, or the reduced value has another reader.
  EXPECT_EQ(nodes_after(x + "%a = reduce_mean(%x) axes=[2,3] keepdims=true\n %y = reshape(%a) shape=[6]\n output %y"),
            2);
  EXPECT_EQ(
      nodes_after(x + "%a = reduce_sum(%x) axes=[2,3] keepdims=true\n %y = reshape(%a) shape=[2,3]\n output %y, %a"),
      2);
}

TEST(Cleanup, PartsWithoutElementsGo) {
  const Graph before = graph_of(
      "input %x: f32[3,2]\n %e = slice(%x) starts=[3] ends=[3] axes=[0] steps=[1]\n %r = relu(%e)\n %c = concat(%r, "
      "%x) axis=0\n %d = concat(%c, %r, %x) axis=0\n %y = exp(%d)\n output %y");
  const Ran r = run_passes_on({&fold_pass, &cleanup_pass}, before);
  EXPECT_EQ(print(r.graph, {.types = false}), R"(graph "t" {
  input %x: f32[3,2]
  %d = concat(%x, %x) axis=0
  %y = exp(%d)
  output %y
}
)");
  EXPECT_EQ(difference(before, r.graph), 0.0);
}

TEST(Cleanup, NothingThatMattersGoes) {
  const std::string head =
      "input %x: f32[2,1,3]\n const %s: f32[] = [1.0001]\n const %t: f32[2,1,1] = [1.0,1.0]\n const "
      "%w: f32[2,2,3] = [1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0]\n";
  EXPECT_EQ(nodes_after(head + "%y = mul(%x, %s)\n output %y"), 1);                  // not one
  EXPECT_EQ(nodes_after(head + "%a = mul(%x, %t)\n %y = relu(%a)\n output %y"), 1);  // ones that do not broadcast
  EXPECT_EQ(nodes_after(head + "%y = mul(%x, %w)\n output %y"), 1);                  // ones that widen the shape
  EXPECT_EQ(nodes_after(head + "%y = transpose(%x) perm=[2,1,0]\n output %y"), 1);
  EXPECT_EQ(nodes_after(head + "%y = slice(%x) starts=[0] ends=[3] axes=[2] steps=[2]\n output %y"), 1);
  EXPECT_EQ(nodes_after(head + "%y = pad(%x) pads=[0,0,0,0,0,1]\n output %y"), 1);
  EXPECT_EQ(nodes_after(head + "%a = cast(%x) to=i32\n %y = cast(%a) to=f32\n output %y"), 2);  // truncates
}

TEST(Cleanup, TransposeOfOnesIsAReshape) {
  EXPECT_THAT(cleaned("input %x: f32[1,3,1,2]\n %y = transpose(%x) perm=[1,0,3,2]\n output %y"),
              HasSubstr("reshape(%x) shape=[3,1,2,1]"));
}

TEST(Cleanup, SharedReshapeKeepsItsOtherUser) {
  EXPECT_EQ(
      nodes_after("input %x: f32[2,3]\n %a = reshape(%x) shape=[6]\n %y = reshape(%a) shape=[3,2]\n %z = relu(%a)\n "
                  "output %y, %z"),
      3);
}

TEST(Cleanup, SlicesCompose) {
  EXPECT_EQ(nodes_after(R"(
    input %x: f32[20,7]
    %a = slice(%x) starts=[1] ends=[18] axes=[0] steps=[3]
    %y = slice(%a) starts=[1,2] ends=[5,6] axes=[0,1] steps=[2,3]
    output %y)"),
            1);
}

TEST(Cleanup, CommonSubexpressionsMergeButOutputsStay) {
  EXPECT_EQ(nodes_after("input %x: f32[4]\n %a = exp(%x)\n %b = exp(%x)\n %y = add(%a, %b)\n output %y"), 2);
  const Ran r = run_pass(cleanup_pass, graph_of("input %x: f32[4]\n %a = exp(%x)\n %b = exp(%x)\n output %a, %b"));
  EXPECT_EQ(r.graph.outputs().size(), 2U);
  EXPECT_NE(r.graph.outputs()[0], r.graph.outputs()[1]);
}

TEST(Cleanup, LedgerTellsBeforeAndAfter) {
  const Ran r = run_pass(cleanup_pass, graph_of("input %x: f32[4]\n %a = reshape(%x) shape=[2,2]\n %b = reshape(%a) "
                                                "shape=[1,4]\n %y = relu(%b)\n output %y"));
  ASSERT_EQ(r.ledger.size(), 1U);
  const LedgerEntry& e = r.ledger.entries()[0];
  EXPECT_EQ(e.pass, "cleanup");
  EXPECT_EQ(e.rewrite, "reshape_of_reshape");
  EXPECT_THAT(e.before, HasSubstr("shape=[2,2]"));
  EXPECT_THAT(e.after, HasSubstr("reshape(%x) shape=[1,4]"));
  EXPECT_THAT(e.argument, HasSubstr("Row-major"));
}

TEST(Fold, EvaluatesConstantsOnly) {
  const Graph before = graph_of(R"(
    input %x: f32[2]
    const %a: f32[2] = [1.0, 2.0]
    const %b: f32[2] = [3.0, 5.0]
    %c = mul(%a, %b)
    %y = add(%x, %c)
    output %y)");
  const Ran r = run_pass(fold_pass, before);
  EXPECT_EQ(r.graph.node_count(), 1U);
  EXPECT_THAT(print(r.graph), HasSubstr("const %c: f32[2] = [3.0, 10.0]"));
  EXPECT_EQ(difference(before, r.graph), 0.0);
}

// A parameter stored in half precision keeps its name, which tables and files are called by.
TEST(Fold, AConvertedParameterKeepsItsName) {
  const Ran r = run_pass(fold_pass, graph_of(R"(
    input %x: f32[2]
    const %decoder.scale: f16[2] = [1.0, 2.0]
    const %v17: f16[2] = [1.0, 3.0]
    %v40 = cast(%decoder.scale) to=f32
    %v41 = cast(%v17) to=f32
    %m = mul(%x, %v40)
    %y = add(%m, %v41)
    output %y)"));
  EXPECT_THAT(print(r.graph), HasSubstr("const %decoder.scale: f32[2]"));
  EXPECT_THAT(print(r.graph), HasSubstr("const %v41: f32[2]"));
}

TEST(Fold, DoesNotBlowUpFiles) {
  const Ran r = run_pass(fold_pass, graph_of(R"(
    input %x: f32[1000,100]
    const %a: f32[1,100] = #a
    %e = expand(%a) shape=[1000,100]
    %y = add(%x, %e)
    output %y)"));
  EXPECT_EQ(r.graph.node_count(), 2U);
}

// A tied token table: looked up, and multiplied by its transpose. It stays one constant, a cast one included.
TEST(Fold, TransposedWeightsAreNotCopied) {
  const Graph before = graph_of(R"(
    input %i: i64[3]
    const %half: f16[40,8] = #a
    %w = cast(%half) to=f32
    %x = gather(%w, %i) axis=0
    %v = cast(%half) to=f32
    %t = transpose(%v) perm=[1,0]
    %y = matmul(%x, %t)
    output %y)");
  const Ran r = run_pass(fold_pass, before);
  EXPECT_EQ(op_counts(r.graph), (std::map<std::string, int>{{"gather", 1}, {"linear", 1}}));
  const Node& lookup = r.graph.node(r.graph.topological()[0]);
  const Node& product = r.graph.node(r.graph.topological()[1]);
  EXPECT_EQ(lookup.inputs[0], product.inputs[1]);
  EXPECT_EQ(difference(before, r.graph), 0.0);
  // Not a plain transpose, or not constant: left alone.
  for (const char* other : {"input %x: f32[2,3,8]\n const %w: f32[4,5,8] = #a\n %t = transpose(%w) perm=[0,2,1]\n"
                            "%z = reshape(%x) shape=[1,6,8]\n %y = matmul(%z, %t)\n output %y",
                            "input %x: f32[2,8]\n input %w: f32[5,8]\n %t = transpose(%w) perm=[1,0]\n"
                            "%y = matmul(%x, %t)\n output %y"})
    EXPECT_EQ(op_counts(run_pass(fold_pass, graph_of(other)).graph).count("linear"), 0U) << other;
}

}  // namespace
}  // namespace npuport::testing
