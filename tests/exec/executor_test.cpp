#include "exec/executor.h"

#include <gmock/gmock.h>

#include "exec/memory_plan.h"
#include "support.h"

namespace npuport {
namespace {

using namespace npuport::testing;
using ::testing::HasSubstr;

TEST(MemoryPlan, LivingBuffersNeverOverlap) {
  std::mt19937 gen(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<BufferLife> lives;
    int64_t most = 0;
    for (int i = 0; i < 40; ++i) {
      const int first = static_cast<int>(gen() % 30);
      lives.push_back({static_cast<int64_t>(gen() % 5000), first, first + static_cast<int>(gen() % 6)});
    }
    const MemoryPlan plan = plan_memory(lives);
    for (size_t i = 0; i < lives.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % 64, 0);
      EXPECT_LE(plan.offsets[i] + lives[i].bytes, plan.bytes);
      for (size_t j = 0; j < i; ++j) {
        const bool together = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
        const bool overlap =
            plan.offsets[i] < plan.offsets[j] + lives[j].bytes && plan.offsets[j] < plan.offsets[i] + lives[i].bytes;
        EXPECT_FALSE(together && overlap);
      }
    }
    for (int s = 0; s < 36; ++s) {
      int64_t now = 0;
      for (const BufferLife& l : lives) now += l.first <= s && s <= l.last ? (l.bytes + 63) / 64 * 64 : 0;
      most = std::max(most, now);
    }
    EXPECT_LE(plan.bytes, most + most / 3);
  }
}

TEST(Executor, ChainReusesTwoBuffers) {
  Net net;
  ValueId x = net.input({64, 64});
  for (int i = 0; i < 10; ++i) x = net.b.op("exp", {net.b.op("neg", {x})});
  net.finish({x});
  for (const bool overrides : {false, true}) {
    auto e = Executor::create(net.g, {.threads = 1, .overrides = overrides});
    ASSERT_TRUE(e.ok());
    EXPECT_LE(e->arena_bytes(), 2 * 64 * 64 * 4);
    ASSERT_TRUE(e->run(net.inputs).ok());
  }
}

TEST(Executor, OutputsSurviveTheNextRun) {
  Net net;
  net.finish({net.b.op("neg", {net.input({8})})});
  auto e = Executor::create(net.g);
  ASSERT_TRUE(e.ok());
  const std::vector<Tensor> first = *e->run(net.inputs);
  const std::vector<Tensor> other = {random_tensor({8}, 99)};
  const std::vector<Tensor> second = *e->run(other);
  EXPECT_EQ(first[0].as<float>()[3], -net.inputs[0].as<float>()[3]);
  EXPECT_EQ(second[0].as<float>()[3], -other[0].as<float>()[3]);
}

TEST(Executor, ViewsCostNothing) {
  Net net;
  const ValueId x = net.input({2, 3, 8});
  const ValueId y = net.b.op("neg", {x});
  const ValueId z = net.b.reshape(y, {6, 8});
  net.finish({net.b.op("exp", {z})});
  const Ran r = expect_like_reference(net);
  EXPECT_EQ(r.steps(), 2U) << r.kernels();
}

TEST(Executor, ViewsOfViewsAreRightInEveryCombination) {
  // Chains of views chosen at random, each read by a kernel that wants plain memory and each also an output.
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 gen(seed);
    Net net;
    ValueId x = net.input({2, 3, 4, 6});
    std::vector<ValueId> outputs;
    for (int depth = 0; depth < 6; ++depth) {
      const Shape shape = net.b.shape(x);
      Ints perm(shape.size());
      std::iota(perm.begin(), perm.end(), int64_t{0});
      std::shuffle(perm.begin(), perm.end(), gen);
      switch (gen() % 6) {
        case 0:
          x = net.b.op("transpose", {x}, {{"perm", perm}});
          break;
        case 1: {  // merge two neighbours
          Shape to = shape;
          if (to.size() < 2) break;
          const size_t at = gen() % (to.size() - 1);
          to[at] *= to[at + 1];
          to.erase(to.begin() + static_cast<int64_t>(at) + 1);
          x = net.b.reshape(x, to);
          break;
        }
        case 2: {  // split one
          Shape to = shape;
          const size_t at = gen() % to.size();
          if (to[at] % 2 != 0) break;
          to[at] /= 2;
          to.insert(to.begin() + static_cast<int64_t>(at) + 1, 2);
          x = net.b.reshape(x, to);
          break;
        }
        case 3: {
          const auto at = static_cast<int64_t>(gen() % shape.size());
          const int64_t size = shape[static_cast<size_t>(at)];
          if (size < 2) break;
          x = net.b.op("slice", {x},
                       {{"starts", Ints{1}}, {"ends", Ints{size}}, {"axes", Ints{at}}, {"steps", Ints{2}}});
          break;
        }
        case 4: {
          const auto at = static_cast<int64_t>(gen() % shape.size());
          const int64_t size = shape[static_cast<size_t>(at)];
          if (size < 3) break;
          x = net.b.ops("split", {x}, {{"axis", at}, {"sizes", Ints{1, size - 1}}}).back();
          break;
        }
        default: {
          Shape to = shape;
          to.insert(to.begin(), 3);
          x = net.b.expand(x, to);
        }
      }
      if (gen() % 3 == 0) outputs.push_back(x);
      if (gen() % 3 == 0) x = net.b.op("neg", {x});
    }
    outputs.push_back(net.b.op("exp", {x}));
    net.finish(outputs);
    expect_like_reference(net, 1e-6);
  }
}

TEST(Executor, InputsAndConstantsMayBeOutputs) {
  Net net;
  const ValueId x = net.input({4}), c = net.weight({4});
  net.finish({x, c, net.b.reshape(x, {2, 2}), x, net.b.op("neg", {x})});
  const Ran r = expect_like_reference(net);
  ASSERT_EQ(r.outputs.size(), 5U);
  EXPECT_TRUE(identical(r.outputs[0], net.inputs[0]));
  EXPECT_TRUE(identical(r.outputs[0], r.outputs[3]));
  EXPECT_NE(r.outputs[0].data, net.inputs[0].data);
}

TEST(Executor, ObserverSeesEveryNodeOfTheCallersGraph) {
  Net net;
  const ValueId x = net.input({1, 8, 6, 6});
  const ValueId conv =
      net.b.op("conv2d", {x, net.scaled({8, 8, 3, 3}, 72)}, {{"pad_begin", Ints{1, 1}}, {"pad_end", Ints{1, 1}}});
  const ValueId relu = net.b.op("relu", {conv});
  const ValueId turned = net.b.transpose(relu, {0, 2, 3, 1});
  net.finish({net.b.op("silu", {turned})});
  std::map<uint32_t, Tensor> seen;
  ExecOptions options;
  options.observer = [&](NodeId id, const Node& n, std::span<const Tensor> out) {
    ASSERT_EQ(out.size(), n.outputs.size());
    EXPECT_TRUE(seen.emplace(id.v, out[0]).second);
  };
  const Ran with = run(net.g, net.inputs, options);
  EXPECT_EQ(seen.size(), 4U);
  const auto fast = seen;
  seen.clear();
  options.overrides = false;
  run(net.g, net.inputs, options);
  ASSERT_EQ(seen.size(), 4U);
  for (const auto& [id, t] : fast) EXPECT_LE(largest_difference(t, seen.at(id)), 1e-5) << id;
  EXPECT_TRUE(identical(fast.at(3), with.outputs[0]));
}

TEST(Executor, WrongInputsAreNamed) {
  Net net;
  net.finish({net.b.op("neg", {net.input({2, 3})})});
  auto e = Executor::create(net.g);
  ASSERT_TRUE(e.ok());
  const std::vector<Tensor> none, wrong = {random_tensor({3, 2}, 1)};
  auto r = e->run(none);
  ASSERT_FALSE(r.ok());
  EXPECT_THAT(r.error().message, HasSubstr("takes 1 input"));
  r = e->run(wrong);
  ASSERT_FALSE(r.ok());
  EXPECT_THAT(r.error().message, HasSubstr("f32[2,3]"));
  EXPECT_THAT(r.error().message, HasSubstr("f32[3,2]"));
  EXPECT_EQ(r.error().code->id, "NP0303");
}

TEST(Executor, AllOpaqueOperatorsAreNamed) {
  Net net;
  const ValueId x = net.input({2});
  const ValueId a = net.b.op("opaque", {x}, {{"foreign", "aten::fft"}});
  const ValueId b = net.b.op("opaque", {x}, {{"foreign", "aten::stft"}});
  net.finish({a, b});
  auto e = Executor::create(net.g);
  ASSERT_FALSE(e.ok());
  EXPECT_THAT(e.error().message, HasSubstr("aten::fft"));
  EXPECT_THAT(e.error().message, HasSubstr("aten::stft"));
}

}  // namespace
}  // namespace npuport
