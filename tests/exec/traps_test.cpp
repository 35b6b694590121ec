// Traps of porting, planted one by one; and faults that look alike, which must not be named so.
#include "exec/traps.h"

#include <gmock/gmock.h>

#include "exec/bisect.h"
#include "support.h"

namespace npuport {
namespace {

using namespace npuport::testing;
using ::testing::HasSubstr;

constexpr int64_t kLength = 8, kWidth = 16, kVocabulary = 24;

// Rows plus positions, attention over themselves under a padding mask, projection to logits plus a bias.
struct Plan {
  int positions = 1;         // times the position table is added
  bool bias = true;          // final_logits_bias
  bool masked = true;        // whether attention sees the mask
  float weight_fault = 0;    // added to one element of the projection
  float position_scale = 1;  // factor of the table's addition
};

struct Model {
  Graph g;
  explicit Model(const Plan& plan = {}) {
    Builder b(g);
    const ValueId rows = g.add_input("rows", f32({1, kLength, kWidth}));
    const ValueId mask = g.add_input("attention_mask", f32({1, kLength}));
    const ValueId table = b.constant(random_tensor({kLength + 4, kWidth}, 7), "embed_positions");
    const ValueId pos = b.constant(first_rows(*b.constant_of(table), plan.position_scale), "positions");
    ValueId x = rows;
    for (int k = 0; k < plan.positions; ++k) x = b.add(x, pos);
    if (plan.positions > 0) g.rename(x, "embedded");
    ValueId scores = b.op("matmul", {x, b.transpose(x, {0, 2, 1})});
    if (plan.masked) {
      const ValueId term = b.mul(b.sub(b.reshape(mask, {1, 1, kLength}), b.scalar(1)), b.scalar(1e9));
      scores = b.add(scores, term);
    }
    x = b.op("matmul", {b.op("softmax", {scores}, {{"axis", int64_t{-1}}}), x});
    x = b.op("tanh", {x});
    g.rename(x, "hidden");
    Tensor w = random_tensor({kVocabulary, kWidth}, 9);
    w.mut<float>()[5] += plan.weight_fault;
    x = b.op("linear", {x, b.constant(std::move(w), "projection")});
    g.rename(x, "projected");
    const ValueId bias = b.constant(random_tensor({1, kVocabulary}, 11), "final_logits_bias");
    if (plan.bias) x = b.add(x, bias);
    g.rename(x, "logits");
    EXPECT_TRUE(b.take_status().ok());
    g.set_outputs({x});
    g.erase_dead();
  }
  static Tensor first_rows(const Tensor& table, float factor) {
    std::vector<float> v(static_cast<size_t>(kLength * kWidth));
    for (size_t i = 0; i < v.size(); ++i) v[i] = factor * table.as<float>()[i];
    return Tensor::of<float>({1, kLength, kWidth}, std::span<const float>(v));
  }
};

// `hidden`: positions at the end that do not count.
std::vector<Tensor> sample(unsigned seed, int64_t hidden = 0) {
  Tensor mask = Tensor::zeros(DType::f32, {1, kLength});
  for (int64_t i = 0; i < kLength - hidden; ++i) mask.mut<float>()[static_cast<size_t>(i)] = 1;
  return {random_tensor({1, kLength, kWidth}, seed), std::move(mask)};
}

struct Case {
  std::vector<std::vector<Tensor>> inputs;
  std::vector<std::vector<Baseline>> expected;
  Case(const Graph& right, std::vector<std::vector<Tensor>> samples) : inputs(std::move(samples)) {
    for (const auto& in : inputs) {
      Result<std::vector<Tensor>> out = execute(right, in);
      EXPECT_TRUE(out.ok());
      expected.emplace_back();
      for (Tensor& t : *out) {
        Shape shape = t.shape;
        expected.back().push_back({std::move(t), std::nullopt, std::move(shape)});
      }
    }
  }
  std::optional<TrapFinding> find(const Graph& candidate, const Graph* reference = nullptr) const {
    TrapQuestion q{candidate, {}, {}, reference, 1};
    for (size_t k = 0; k < inputs.size(); ++k) q.samples.push_back({inputs[k], expected[k]});
    Result<std::optional<TrapFinding>> r = find_trap(q);
    EXPECT_TRUE(r.ok()) << (r.ok() ? "" : to_text(r.error()));
    return r.ok() ? *r : std::nullopt;
  }
};

Case usual(const Plan& right = {}) { return {Model(right).g, {sample(1), sample(2, 3)}}; }

TEST(Traps, NothingIsNamedWhereNothingFails) { EXPECT_FALSE(usual().find(Model().g)); }

TEST(Traps, APositionTableAddedTwice) {
  const auto found = usual().find(Model({.positions = 2}).g);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->trap, "added_twice");
  EXPECT_EQ(found->tensor, "positions");
  EXPECT_EQ(found->lesson->id, "NPU-H01");
  EXPECT_THAT(found->sentence, HasSubstr("positions"));
  EXPECT_THAT(found->sentence, HasSubstr("by the model and by the host"));
}

// The host's part adds it to the rows, and the model once more: samples made with the host's rows, right outputs
// without.
TEST(Traps, APositionTableAddedByTheHostToo) {
  Case c = usual({.positions = 0});
  EXPECT_EQ(c.find(Model().g)->trap, "added_twice");
}

TEST(Traps, APositionTableNobodyAdds) {
  const Model right;
  const auto found = usual().find(Model({.positions = 0}).g, &right.g);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->trap, "not_added");
  EXPECT_EQ(found->tensor, "positions");
  EXPECT_EQ(found->lesson->id, "NPU-H01");
  EXPECT_THAT(found->sentence, HasSubstr("to rows"));
}

TEST(Traps, AForgottenBiasOfTheOutput) {
  const Model right;
  const auto named = usual().find(Model({.bias = false}).g, &right.g);
  ASSERT_TRUE(named);
  EXPECT_EQ(named->trap, "output_bias");
  EXPECT_EQ(named->tensor, "final_logits_bias");
  EXPECT_EQ(named->lesson->id, "NPU-H02");
  EXPECT_THAT(named->sentence, HasSubstr("missing"));
  // Without the reference's constants it is a bias all the same.
  Graph bare = Model({.bias = false}).g;
  bare.erase_dead();
  const auto unnamed = usual().find(bare);
  ASSERT_TRUE(unnamed);
  EXPECT_EQ(unnamed->trap, "output_bias");
  EXPECT_THAT(unnamed->sentence, HasSubstr("final_logits_bias"));
}

TEST(Traps, ABiasInABaselineOfChosenElements) {
  Case c = usual();
  for (auto& outputs : c.expected) {
    std::vector<int64_t> index;
    std::vector<float> values;
    for (int64_t i = 0; i < outputs[0].values.count(); i += 3) {
      index.push_back(i);
      values.push_back(outputs[0].values.as<float>()[static_cast<size_t>(i)]);
    }
    const auto n = static_cast<int64_t>(index.size());
    outputs[0].index = Tensor::of<int64_t>({n}, std::span<const int64_t>(index));
    outputs[0].values = Tensor::of<float>({n}, std::span<const float>(values));
  }
  EXPECT_EQ(c.find(Model({.bias = false}).g)->trap, "output_bias");
}

TEST(Traps, PaddingNoMaskHides) {
  const auto found = usual().find(Model({.masked = false}).g);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->trap, "padding_unmasked");
  EXPECT_EQ(found->tensor, "rows");
  EXPECT_EQ(found->lesson->id, "NPU-H03");
  EXPECT_THAT(found->sentence, HasSubstr("3 of 8 positions, the first at 5"));
  EXPECT_THAT(found->sentence, HasSubstr("no operator reads attention_mask"));
}

// A model without a mask input whose ids end in padding.
TEST(Traps, PaddingOfIdsWithoutAnyMask) {
  const auto net = [](bool masked) {
    Graph g;
    Builder b(g);
    const ValueId ids = g.add_input("ids", {DType::i64, {1, kLength}, nullptr});
    ValueId x = b.op("embedding", {b.constant(random_tensor({32, kWidth}, 3), "table"), ids});
    ValueId live = b.constant(Tensor::of<float>({1, 1, 1}, {1.0F}));
    if (masked) {
      const ValueId pad = b.constant(Tensor::of<int64_t>({1}, {0}));
      live = b.cast(b.op("not_equal", {ids, pad}), DType::f32);
      live = b.reshape(live, {1, kLength, 1});
    }
    x = b.op("reduce_sum", {b.mul(x, live)}, {{"axes", Ints{1}}, {"keepdims", false}});
    EXPECT_TRUE(b.take_status().ok());
    g.set_outputs({x});
    return g;
  };
  const auto ids = [](std::vector<int64_t> v) {
    return std::vector<Tensor>{Tensor::of<int64_t>({1, kLength}, std::span<const int64_t>(v))};
  };
  const Case c(net(true), {ids({4, 9, 2, 7, 5, 8, 3, 6}), ids({4, 9, 2, 0, 0, 0, 0, 0})});
  const auto found = c.find(net(false));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->trap, "padding_unmasked");
  EXPECT_THAT(found->sentence, HasSubstr("5 of 8 positions"));
  // All samples padded: another fault would look the same.
  const Case less(net(true), {ids({4, 9, 2, 0, 0, 0, 0, 0})});
  EXPECT_FALSE(less.find(net(false)));
}

TEST(Traps, APlainWeightFaultIsNoneOfThem) {
  const Model right;
  EXPECT_FALSE(usual().find(Model({.weight_fault = 0.5F}).g, &right.g));
}

// An input that is called a mask and is a picture, or chooses positions anywhere, hides no padding.
TEST(Traps, OtherMasksSpeakOfNoPadding) {
  Plan wrong;
  wrong.masked = false;
  wrong.weight_fault = 0.5F;
  for (const std::vector<float>& values :
       {std::vector<float>{0, 0.5F, 0.25F, 1, 0, 0.75F, 0, 0}, std::vector<float>{1, 0, 1, 1, 0, 1, 0, 1}}) {
    std::vector<Tensor> in = sample(1);
    in[1] = Tensor::of<float>({1, kLength}, std::span<const float>(values));
    const Case c(Model({.masked = false}).g, {in});
    EXPECT_FALSE(c.find(Model(wrong).g));
  }
}

TEST(Traps, AWrongFactorOfTheTableIsNoneOfThem) { EXPECT_FALSE(usual().find(Model({.position_scale = 0.25F}).g)); }

// One row in all: a difference of one row can be anything.
TEST(Traps, OneRowIsNoProofOfABias) {
  Graph right = *parse_graph(
      "graph \"g\" {\n  input %x: f32[1,4]\n  const %c: f32[4] = [1.0,2.0,3.0,4.0]\n"
      "  %y: f32[1,4] = add(%x, %c)\n  output %y\n}\n");
  Graph wrong = *parse_graph("graph \"g\" {\n  input %x: f32[1,4]\n  %y: f32[1,4] = mul(%x, %x)\n  output %y\n}\n");
  const Case c(right, {{random_tensor({1, 4}, 5)}});
  EXPECT_FALSE(c.find(wrong));
}

// ---- inside: by bisection ----

Bisection bisected(const Plan& wrong) {
  const Model right;
  const std::vector<Tensor> in = sample(4, 2);
  Result<Bisection> r = bisect(right.g, in, Model(wrong).g, in, {.threads = 1});
  EXPECT_TRUE(r.ok()) << (r.ok() ? "" : to_text(r.error()));
  return r.ok() ? *r : Bisection();
}

TEST(Traps, BisectionNamesTheConstant) {
  const Bisection twice = bisected({.positions = 2});
  EXPECT_EQ(twice.node, "embedded");
  ASSERT_NE(twice.lesson, nullptr) << twice.sentence;
  EXPECT_EQ(twice.lesson->id, "NPU-H01");
  EXPECT_THAT(twice.sentence, HasSubstr("the constant positions: it is added once too often"));
  const Bisection bias = bisected({.bias = false});
  EXPECT_EQ(bias.node, "logits");
  ASSERT_NE(bias.lesson, nullptr) << bias.sentence;
  EXPECT_EQ(bias.lesson->id, "NPU-H02");
  EXPECT_THAT(bias.sentence, HasSubstr("final_logits_bias, which is missing here"));
  EXPECT_EQ(bisected({.weight_fault = 0.5F}).lesson, nullptr);
}

TEST(Traps, InputsThatTheHostAddedPositionsTo) {
  const Model m;
  const std::vector<Tensor> right = sample(4);
  std::vector<Tensor> given = sample(4);
  const Value* table = nullptr;
  for (uint32_t v = 0; v < m.g.value_slots(); ++v)
    if (m.g.value(ValueId{v}).name == "positions") table = &m.g.value(ValueId{v});
  ASSERT_NE(table, nullptr);
  for (size_t i = 0; i < given[0].mut<float>().size(); ++i) given[0].mut<float>()[i] += table->constant->as<float>()[i];
  const Result<Bisection> r = bisect(m.g, right, m.g, given, {.threads = 1});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->repair, RepairClass::preprocessing);
  EXPECT_THAT(r->sentence, HasSubstr("the constant positions: it is added once too often"));
}

TEST(Traps, LayersAreHeldToATighterLimitThanLogits) {
  EXPECT_LE(BisectOptions().tolerance, 1e-4);
  EXPECT_EQ(Gate().max_diff, 1e-3);
}

}  // namespace
}  // namespace npuport
