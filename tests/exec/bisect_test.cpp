// Planted faults of every repair class, and the number of evaluations it takes to find them.
#include "exec/bisect.h"

#include <gmock/gmock.h>

#include <bit>

#include "support.h"

namespace npuport {
namespace {

using namespace npuport::testing;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kLayers = 16;
const BisectOptions kOptions = {.threads = 1};

// A residual net of 3x3 convolutions; `change` may replace what layer k gets.
struct Plan {
  std::function<Tensor(int, Tensor)> weight = [](int, Tensor t) { return t; };
  std::function<std::string(int)> activation = [](int) { return "relu"; };
  std::function<int64_t(int)> dilation = [](int) { return 1; };
  std::function<ValueId(Builder&, int, ValueId)> before = [](Builder&, int, ValueId x) { return x; };
  float mean = 0.4F, spread = 0.25F;
};

Graph build(const Plan& plan) {
  Graph g;
  Builder b(g);
  ValueId x = g.add_input("image", f32({1, 3, 12, 12}));
  b.set_origins({{"normalise", "model.py:5", "aten::sub"}});
  x = b.sub(x, b.scalar(plan.mean));
  b.set_origins({{"normalise", "model.py:6", "aten::div"}});
  x = b.div(x, b.scalar(plan.spread));
  for (int k = 0; k < kLayers; ++k) {
    const int64_t in = k == 0 ? 3 : 8, d = plan.dilation(k);
    const std::string scope = "layers." + std::to_string(k);
    b.set_origins({{scope + ".conv", "model.py:10", "aten::conv2d"}});
    const Tensor w = random_tensor({8, in, 3, 3}, static_cast<unsigned>(100 + k), -0.2F, 0.2F);
    const ValueId weight = b.constant(plan.weight(k, w), scope + ".conv.weight");
    ValueId y = b.op("conv2d", {plan.before(b, k, x), weight},
                     {{"pad_begin", Ints{d, d}}, {"pad_end", Ints{d, d}}, {"dilation", Ints{d, d}}});
    g.rename(y, scope + ".conv");
    b.set_origins({{scope + ".act", "model.py:11", "aten::relu"}});
    y = b.op(plan.activation(k), {y});
    g.rename(y, scope + ".act");
    b.set_origins({{scope, "model.py:12", "aten::add"}});
    x = k == 0 ? y : b.add(x, y);
    g.rename(x, scope + ".out");
  }
  EXPECT_TRUE(b.take_status().ok());
  g.set_outputs({x});
  return g;
}

std::vector<Tensor> image() { return {random_tensor({1, 3, 12, 12}, 3, 0, 1)}; }

Bisection find(const Graph& candidate, std::vector<Tensor> inputs = image()) {
  Result<Bisection> r = bisect(build({}), image(), candidate, inputs, kOptions);
  EXPECT_TRUE(r.ok()) << (r.ok() ? "" : to_text(r.error()));
  if (!r) return {};
  EXPECT_LE(r->evaluations,
            std::max(2, static_cast<int>(std::bit_width(static_cast<unsigned>(std::max(r->points, 1) - 1))) + 2));
  return *r;
}

TEST(Bisect, EqualGraphsHaveNoFault) {
  const Bisection r = find(build({}));
  EXPECT_FALSE(r.found);
  EXPECT_EQ(r.evaluations, 1);
  EXPECT_EQ(r.points, 2 + 3 * kLayers - 1);
}

TEST(Bisect, AWrongWeightIsNamedWhereverItIs) {
  for (int bad = 0; bad < kLayers; ++bad) {
    Plan plan;
    plan.weight = [bad](int k, Tensor t) {
      if (k == bad) t.mut<float>()[5] += 0.5F;
      return t;
    };
    const Bisection r = find(build(plan));
    ASSERT_TRUE(r.found);
    EXPECT_EQ(r.repair, RepairClass::weights) << r.sentence;
    EXPECT_EQ(r.node, "layers." + std::to_string(bad) + ".conv");
    EXPECT_EQ(r.op, "conv2d");
    EXPECT_EQ(r.scope, "layers." + std::to_string(bad) + ".conv");
    EXPECT_EQ(r.source, "model.py:10");
    EXPECT_THAT(r.weights, ElementsAre("layers." + std::to_string(bad) + ".conv.weight"));
  }
}

TEST(Bisect, SwappedWeightsNameBoth) {
  Plan plan;
  plan.weight = [](int k, Tensor t) {
    if (k != 5 && k != 9) return t;
    return random_tensor({8, 8, 3, 3}, static_cast<unsigned>(100 + (k == 5 ? 9 : 5)), -0.2F, 0.2F);
  };
  const Bisection r = find(build(plan));
  EXPECT_EQ(r.repair, RepairClass::weights);
  EXPECT_EQ(r.node, "layers.5.conv");
  EXPECT_THAT(r.sentence, HasSubstr("layers.5.conv.weight holds the contents of layers.9.conv.weight"));
}

TEST(Bisect, StructureByAttributeAndOperator) {
  Plan dilated;
  dilated.dilation = [](int k) { return k == 7 ? 2 : 1; };
  Bisection r = find(build(dilated));
  EXPECT_EQ(r.repair, RepairClass::structure);
  EXPECT_EQ(r.node, "layers.7.conv");
  EXPECT_THAT(r.sentence, HasSubstr("[2,2]"));
  Plan other;
  other.activation = [](int k) { return k == 11 ? "tanh" : "relu"; };
  r = find(build(other));
  EXPECT_EQ(r.repair, RepairClass::structure);
  EXPECT_EQ(r.node, "layers.11.act");
  EXPECT_THAT(r.sentence, HasSubstr("tanh"));
  EXPECT_THAT(r.sentence, HasSubstr("relu"));
}

TEST(Bisect, TheFirstOfTwoFaultsIsReported) {
  Plan plan;
  plan.activation = [](int k) { return k == 3 || k == 12 ? "sigmoid" : "relu"; };
  EXPECT_EQ(find(build(plan)).node, "layers.3.act");
}

TEST(Bisect, HalfPrecisionIsADtypeFault) {
  for (const DType half : {DType::f16, DType::bf16}) {
    Plan weights;
    weights.weight = [half](int k, Tensor t) { return k == 6 ? cast_tensor(cast_tensor(t, half), DType::f32) : t; };
    Bisection r = find(build(weights));
    EXPECT_EQ(r.repair, RepairClass::dtype) << r.sentence;
    EXPECT_EQ(r.node, "layers.6.conv");
    EXPECT_THAT(r.weights, ElementsAre("layers.6.conv.weight"));
    EXPECT_THAT(r.sentence, HasSubstr(std::string(name(half))));
    Plan casts;
    casts.before = [half](Builder& b, int k, ValueId x) { return k == 4 ? b.cast(b.cast(x, half), DType::f32) : x; };
    r = find(build(casts));
    EXPECT_EQ(r.repair, RepairClass::dtype) << r.sentence;
    EXPECT_EQ(r.node, "layers.4.conv");
    EXPECT_THAT(r.sentence, HasSubstr("half precision"));
  }
}

TEST(Bisect, MeanAndStdInsideTheGraph) {
  Plan plan;
  plan.mean = 0.5F;
  Bisection r = find(build(plan));
  EXPECT_EQ(r.repair, RepairClass::preprocessing) << r.sentence;
  EXPECT_EQ(r.op, "sub");
  plan = {};
  plan.spread = 0.3F;
  r = find(build(plan));
  EXPECT_EQ(r.repair, RepairClass::preprocessing) << r.sentence;
  EXPECT_EQ(r.op, "div");
}

TEST(Bisect, MeanAndStdOfTheSamples) {
  std::vector<Tensor> scaled = image();
  for (float& v : scaled[0].mut<float>()) v = v * 255 - 10;
  Bisection r = find(build({}), scaled);
  EXPECT_EQ(r.repair, RepairClass::preprocessing);
  EXPECT_EQ(r.node, "image");
  EXPECT_THAT(r.sentence, HasSubstr("255 times"));
  EXPECT_EQ(r.evaluations, 0);
  std::vector<Tensor> channels = image();
  for (int64_t i = 0; i < channels[0].count(); ++i) {
    float& v = channels[0].mut<float>()[static_cast<size_t>(i)];
    v = (v - 0.1F * static_cast<float>(i / 144 + 1)) / 0.5F;
  }
  r = find(build({}), channels);
  EXPECT_THAT(r.sentence, HasSubstr("per channel"));
  EXPECT_THAT(r.sentence, HasSubstr("2·x-0.2, 2·x-0.4, 2·x-0.6"));
}

TEST(Bisect, ADeviationThatVanishesAgainIsFound) {
  // The fault makes values below zero differ only, and the next operator cuts them off.
  const auto make = [](const std::string& op) {
    Graph g;
    Builder b(g);
    ValueId x = g.add_input("x", f32({64}));
    x = b.op("neg", {x});
    x = op == "identity" ? b.add(x, b.scalar(0)) : b.op(op, {x});
    g.rename(x, "middle");
    x = b.op("relu", {x});
    g.set_outputs({x});
    EXPECT_TRUE(b.take_status().ok());
    return g;
  };
  const std::vector<Tensor> in = {random_tensor({64}, 4)};
  const Result<Bisection> r = bisect(make("leaky_relu"), in, make("identity"), in, kOptions);
  ASSERT_TRUE(r.ok());
  EXPECT_TRUE(r->found);
  EXPECT_EQ(r->node, "middle");
  EXPECT_EQ(r->repair, RepairClass::structure);
}

TEST(Bisect, AgainstSavedLayerOutputs) {
  std::map<std::string, Tensor> layers;
  const Graph good = build({});
  ExecOptions options;
  options.threads = 1;
  options.observer = [&](NodeId, const Node& n, std::span<const Tensor> out) {
    const std::string& scope = n.origins.back().scope;
    if (scope.find('.') == scope.rfind('.')) layers[scope] = out[0];  // "normalise", "layers.3"; layer 0 has no add
  };
  ASSERT_TRUE(execute(good, image(), options).ok());
  ASSERT_EQ(layers.size(), kLayers + 0U);
  Result<Bisection> r = bisect(layers, image(), good, image(), kOptions);
  ASSERT_TRUE(r.ok());
  EXPECT_FALSE(r->found);
  EXPECT_EQ(r->points, kLayers);
  for (int bad = 1; bad < kLayers; ++bad) {
    Plan plan;
    plan.weight = [bad](int k, Tensor t) { return k == bad ? random_tensor({8, 8, 3, 3}, 7, -0.2F, 0.2F) : t; };
    r = bisect(layers, image(), build(plan), image(), kOptions);
    ASSERT_TRUE(r.ok());
    EXPECT_EQ(r->node, "layers." + std::to_string(bad) + ".out");
    EXPECT_EQ(r->repair, RepairClass::weights);
    EXPECT_EQ(r->op, "conv2d");
    EXPECT_THAT(r->weights, Contains("layers." + std::to_string(bad) + ".conv.weight"));
    EXPECT_LE(r->evaluations, 7);
  }
}

TEST(Bisect, DriftIsNoFault) {
  // Every layer a little off, none by itself above the tolerance.
  Plan plan;
  plan.weight = [](int, Tensor t) {
    for (float& v : t.mut<float>()) v *= 1.00002F;
    return t;
  };
  const Bisection r = find(build(plan));
  EXPECT_FALSE(r.found) << r.sentence;
}

TEST(Bisect, NothingInCommonIsAnError) {
  Net net;
  net.finish({net.b.op("exp", {net.input({1, 3, 12, 12})})});
  net.g.rename(net.g.outputs()[0], "elsewhere");
  const Result<Bisection> r = bisect(build({}), image(), net.g, image(), kOptions);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code->id, "NP0303");
}

}  // namespace
}  // namespace npuport
