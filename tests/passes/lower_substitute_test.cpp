// Substitutes for operators that single compilers lack: structure, numbers, near-misses.
#include <set>

#include "base/diag_codes.h"
#include "passes/cleanup.h"
#include "passes/lower.h"
#include "support.h"

namespace npuport::testing {
namespace {

class Refusing : public Legality {
 public:
  explicit Refusing(std::set<std::string> ops) : ops_(std::move(ops)) {}
  std::vector<Diag> check(const Graph& g, NodeId id) const override {
    if (!ops_.contains(std::string(g.node(id).op->name))) return {};
    return {Diag(diag::illegal_for_target, "refused")};
  }

 private:
  std::set<std::string> ops_;
};

Ran lowered(const Graph& g, std::set<std::string> ops, bool approximate = false) {
  const Refusing legality(std::move(ops));
  PassOptions o;
  o.allow_approximate = approximate;
  return run_passes_on({&lower_pass, &cleanup_pass}, g, o, &legality);
}

TEST(LowerSubstitute, SumIsAMultipleOfTheMean) {
  for (const char* attrs : {"axes=[1]", "axes=[0,2] keepdims=true", "axes=[-1]"}) {
    const Graph g = graph_of(std::string("input %x: f32[3,4,5]\n%y = reduce_sum(%x) ") + attrs + "\noutput %y");
    const Ran r = lowered(g, {"reduce_sum"});
    EXPECT_EQ(op_counts(r.graph), (std::map<std::string, int>{{"reduce_mean", 1}, {"mul", 1}}));
    EXPECT_LT(difference(g, r.graph), 2e-5);
  }
  const Graph whole = graph_of("input %x: i32[3,4]\n%y = reduce_sum(%x) axes=[1]\noutput %y");
  EXPECT_EQ(op_counts(lowered(whole, {"reduce_sum"}).graph)["reduce_sum"], 1);
}

Graph count_graph(const std::string& to = "f32") {
  std::string body =
      "input %x: f32[1,2,8,8]\nconst %v: f32[] = [0.5]\n%c = greater(%x, %v)\n%i = cast(%c) to=i64\n"
      "%r = reduce_sum(%i) axes=[3]\n%s = reduce_sum(%r) axes=[2]\n%y = cast(%s) to=" +
      to + "\noutput %y";
  return graph_of(body);
}

TEST(LowerSubstitute, CountsOfBooleansAreExactInFloats) {
  const Graph g = count_graph();
  const Ran r = lowered(g, {"reduce_sum"});
  for (const NodeId id : r.graph.topological())
    for (const ValueId v : r.graph.node(id).outputs) EXPECT_NE(r.graph.type(v).dtype, DType::i64);
  EXPECT_EQ(difference(g, r.graph), 0.0);
}

TEST(LowerSubstitute, StepsBecomeSigmoidsOnlyWhenAllowed) {
  const Graph g = count_graph();
  EXPECT_EQ(op_counts(lowered(g, {"greater"}).graph)["greater"], 1);
  const Refusing legality({"greater", "cast"});
  const Ran r = lowered(g, {"greater", "cast"}, true);
  EXPECT_EQ(op_counts(r.graph)["greater"], 0);
  EXPECT_EQ(op_counts(r.graph)["sigmoid"], 1);
  EXPECT_TRUE(illegal_nodes(r.graph, legality).empty());
  // 64 pixels a count, few of them near the threshold.
  EXPECT_LT(difference(g, r.graph), 2.0);
  EXPECT_GT(difference(g, r.graph), 0.0);
}

TEST(LowerSubstitute, LinearOfAMatrixIsAProduct) {
  for (const char* more : {"", " activation=\"relu\""}) {
    const Graph g = graph_of(
        std::string(
            "input %x: f32[3,8]\nconst %w: f32[5,8] = #1\nconst %b: f32[5] = [1,2,3,4,5]\n%y = linear(%x, %w, %b)") +
        more + "\noutput %y");
    const Ran r = lowered(g, {"linear"});
    EXPECT_EQ(op_counts(r.graph)["matmul"], 1);
    EXPECT_EQ(op_counts(r.graph)["linear"], 0);
    EXPECT_LT(difference(g, r.graph), 2e-5);
  }
  const Graph rank3 = graph_of("input %x: f32[1,3,8]\nconst %w: f32[5,8] = #1\n%y = linear(%x, %w)\noutput %y");
  EXPECT_EQ(op_counts(lowered(rank3, {"linear"}).graph)["linear"], 1);
}

TEST(LowerSubstitute, TransposedConvolutionsBecomeConvolutions) {
  struct Case {
    const char* weight;
    const char* attrs;
  };
  const Case cases[] = {{"f32[3,5,2,2]", "stride=[2,2]"},
                        {"f32[3,5,3,3]", "stride=[2,2] pad_begin=[1,1] pad_end=[1,1] output_padding=[1,1]"},
                        {"f32[3,5,4,3]", "stride=[2,1] pad_begin=[1,0] pad_end=[2,1]"},
                        {"f32[3,5,3,3]", "stride=[3,2] activation=\"relu\""},
                        {"f32[3,5,3,2]", "stride=[1,1]"}};
  for (const Case& c : cases) {
    const Graph g =
        graph_of(std::string("input %x: f32[2,3,4,6]\nconst %w: ") + c.weight +
                 " = #1\nconst %b: f32[5] = [1,2,3,4,5]\n%y = conv_transpose2d(%x, %w, %b) " + c.attrs + "\noutput %y");
    const Ran r = lowered(g, {"conv_transpose2d"});
    EXPECT_EQ(op_counts(r.graph)["conv2d"], 1) << c.attrs;
    EXPECT_LT(difference(g, r.graph), 2e-5) << c.attrs;
  }
  const Graph padded = graph_of(
      "input %x: f32[1,3,6,6]\nconst %w: f32[3,5,2,2] = #1\n%y = conv_transpose2d(%x, %w) stride=[2,2] "
      "pad_begin=[2,2]\n"
      "output %y");
  EXPECT_EQ(op_counts(lowered(padded, {"conv_transpose2d"}).graph)["conv_transpose2d"], 1);
}

}  // namespace
}  // namespace npuport::testing
