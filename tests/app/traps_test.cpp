// Traps as people meet them: `port` and `verify` on a model whose baseline it does not meet, and the bundled Whisper.
#include "exec/traps.h"

#include <gmock/gmock.h>

#include "app/cli_support.h"
#include "app/samples.h"
#include "exec/executor.h"
#include "frontends/frontend.h"
#include "ir/npy.h"
#include "ir/text.h"
#include "writers/onnx_writer.h"

namespace npuport::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A model without the bias that its baseline has.
class ForgottenBias : public ::testing::Test {
 protected:
  void SetUp() override {
    const Result<Graph> g =
        parse_graph("graph \"g\" {\n  input %x: f32[1,5,3]\n  %y: f32[1,5,3] = tanh(%x)\n  output %y\n}\n");
    ASSERT_TRUE(g.ok() && write_onnx(*g, model_, {}).ok());
    std::vector<float> in, out;
    for (int i = 0; i < 15; ++i) {
      in.push_back(0.3F * static_cast<float>(i % 7) - 1);
      out.push_back(std::tanh(in.back()) + 0.5F * static_cast<float>(i % 3 + 1));
    }
    const NamedTensors arrays = {{"in.0", Tensor::of<float>({1, 5, 3}, std::span<const float>(in))},
                                 {"out.0", Tensor::of<float>({1, 5, 3}, std::span<const float>(out))}};
    ASSERT_TRUE(write_npz(samples_, arrays).ok());
  }
  TempFolder folder_;
  std::string model_ = folder_.path("m.onnx"), samples_ = folder_.path("s.npz");
};

TEST_F(ForgottenBias, StopsPortAtStepOneByName) {
  const Ran r = npuport_run(
      {"port", model_, "--target", "generic-onnx", "--samples", samples_, "-o", folder_.path("o"), "--json"});
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(
      r.err, AllOf(HasSubstr("off by the same amounts"), HasSubstr("final_logits_bias"), HasSubstr("lesson: NPU-H02")));
  const Json report = document(r);
  bool listed = false;
  for (const Json& l : report["lessons"]) listed = listed || l["id"] == "NPU-H02";
  EXPECT_TRUE(listed);
  EXPECT_THAT(contents(folder_.path("o") + "/report.html"), HasSubstr("NPU-H02"));
}

TEST_F(ForgottenBias, IsNamedByVerify) {
  const Ran r = npuport_run({"verify", model_, "--samples", samples_, "--bisect", "--json"});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(document(r)["trap"]["trap"], "output_bias") << r.out;
  EXPECT_THAT(npuport_run({"verify", model_, "--samples", samples_, "--bisect"}).out, HasSubstr("trap: output"));
}

// Layers are compared even where the outputs pass: a saturated one hides a deviation.
TEST_F(ForgottenBias, LayersAreHeldToTheirOwnLimit) {
  const std::string text = folder_.path("m.txt");
  put(text,
      "graph \"g\" {\n  input %x: f32[1,4]\n  const %c: f32[] = [20.0]\n"
      "  %s: f32[1,4] = add(%x, %c) @\"net.shift\" \"net.py:3\" \"aten::add\"\n"
      "  %y: f32[1,4] = tanh(%s) @\"net.act\" \"net.py:4\" \"aten::tanh\"\n  output %y\n}\n");
  const NamedTensors arrays = {{"in.0", Tensor::of<float>({1, 4}, {0, 1, 2, 3})},
                               {"out.0", Tensor::of<float>({1, 4}, {1, 1, 1, 1})}};
  const NamedTensors right = {{"net.shift", Tensor::of<float>({1, 4}, {20, 21, 22, 23})}};
  const NamedTensors wrong = {{"net.shift", Tensor::of<float>({1, 4}, {20, 21, 22, 25})}};
  ASSERT_TRUE(write_npz(samples_, arrays).ok() && write_npz(folder_.path("r.npz"), right).ok() &&
              write_npz(folder_.path("w.npz"), wrong).ok());
  const auto verify = [&](const std::string& layers) {
    return npuport_run({"verify", text, "--samples", samples_, "--layers", folder_.path(layers), "--json"});
  };
  const Ran good = verify("r.npz"), bad = verify("w.npz");
  EXPECT_EQ(good.code, 0) << good.out << good.err;
  EXPECT_EQ(bad.code, 1) << bad.out << bad.err;
  EXPECT_EQ(document(bad)["samples"][0]["verdict"], "PASS");
  EXPECT_EQ(document(bad)["bisect"]["scope"], "net.shift");
}

// The decoder of the bundled Whisper, fed by a host that adds the positions too: the baseline is what it gives without
// its own addition.
TEST(WhisperTraps, PositionsAddedTwice) {
  const Result<std::vector<app::SampleFile>> samples = app::read_samples({demo("whisper-nano/samples/decoder/*.npz")});
  ASSERT_TRUE(samples.ok() && !samples->empty());
  ImportOptions options;
  const std::string path = demo("whisper-nano/decoder.pt");
  const Result<const Frontend*> frontend = frontend_for(path);
  ASSERT_TRUE(frontend.ok());
  const Result<FileFacts> facts = (*frontend)->inspect(path);
  ASSERT_TRUE(facts.ok());
  options.inputs = *app::input_specs(*facts, &samples->front(), {});
  const Result<ImportedModel> model = (*frontend)->import(path, options);
  ASSERT_TRUE(model.ok()) << to_text(model.error());
  const Graph& g = model->graph;
  Graph without = g;
  std::string table;
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    if (n.op->name != "add" || !g.is_constant(n.inputs[1]) || g.shape(n.inputs[1]).back() != 128) continue;
    table = g.value(n.inputs[1]).name;
    without.replace_uses(n.outputs[0], n.inputs[0]);
    break;
  }
  ASSERT_FALSE(table.empty());
  std::vector<InputSpec> inputs;
  for (const ValueId v : g.inputs()) inputs.push_back({g.value(v).name, g.type(v)});
  const Result<std::vector<Tensor>> in = app::bind_inputs(samples->front(), inputs);
  ASSERT_TRUE(in.ok());
  Result<std::vector<Tensor>> out = execute(without, *in);
  ASSERT_TRUE(out.ok());
  std::vector<Baseline> expected;
  for (Tensor& t : *out) {
    Shape shape = t.shape;
    expected.push_back({std::move(t), std::nullopt, std::move(shape)});
  }
  TrapQuestion q{g, {{*in, expected}}, {}};
  const Result<std::optional<TrapFinding>> found = find_trap(q);
  ASSERT_TRUE(found.ok() && *found) << (found.ok() ? "nothing named" : to_text(found.error()));
  EXPECT_EQ((*found)->trap, "added_twice");
  EXPECT_EQ((*found)->tensor, table);
  EXPECT_EQ((*found)->lesson->id, "NPU-H01");
}

}  // namespace
}  // namespace npuport::testing
