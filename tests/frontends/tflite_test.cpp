// The TFLite reader against files built by hand: what converters write, what it must refuse, what attackers write.
#include "frontends/tflite.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>

#include "base/diag_codes.h"
#include "exec/executor.h"
#include "ir/text.h"
#include "support/paths.h"
#include "tflite_build.h"

namespace npuport::testing {
namespace {

using Built = fb::FlatBufferBuilder;

Result<ImportedModel> import(const BuiltModel& m, const ImportOptions& o = {}) { return import_tflite(m.file(), o); }

// x [1,4] → RELU → y
BuiltModel relu_model() {
  BuiltGraph g;
  g.tensors = {{"x", {1, 4}}, {"y", {1, 4}}};
  g.inputs = {0};
  g.outputs = {1};
  g.operators = {{19, {0}, {1}}};
  return {{g}};
}

std::vector<float> run(const Graph& g, std::vector<Tensor> inputs) {
  ExecOptions o;
  o.threads = 1;
  o.overrides = false;
  const auto out = execute(g, inputs, o);
  EXPECT_TRUE(out.ok()) << to_text(out.error());
  if (!out) return {};
  const auto v = (*out)[0].as<float>();
  return {v.begin(), v.end()};
}

void expect_refused(const BuiltModel& m, const DiagCode& code, std::string_view part) {
  const auto r = import(m);
  ASSERT_FALSE(r.ok()) << part;
  EXPECT_EQ(r.error().code->slug, code.slug) << to_text(r.error());
  EXPECT_NE(to_text(r.error()).find(part), std::string::npos) << to_text(r.error());
  EXPECT_EQ(r.error().where.file, "built.tflite");
}

TEST(TfliteReader, SmallModel) {
  const auto m = import(relu_model());
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  EXPECT_EQ(print(m->graph), "graph \"main\" {\n  input %x: f32[1,4]\n  %y: f32[1,4] = relu(%x)\n  output %y\n}\n");
  EXPECT_EQ(m->graph.node(m->graph.topological()[0]).origins[0].foreign, "RELU");
}

// x → operator with two int32 constants → y
BuiltModel blocks_model(int code, std::vector<int32_t> x, std::vector<int32_t> y, std::string block,
                        std::string edges) {
  BuiltGraph g;
  g.tensors = {{"x", std::move(x)},
               {"block", {2}, 2, std::move(block)},
               {"edges", {2, 2}, 2, std::move(edges)},
               {"y", std::move(y)}};
  g.inputs = {0};
  g.outputs = {3};
  g.operators = {{code, {0, 1, 2}, {3}}};
  return {{g}};
}

// The examples of TensorFlow's documentation of tf.space_to_batch_nd and tf.batch_to_space_nd.
TEST(TfliteReader, BlocksGoToTheBatchAndBack) {
  std::vector<float> count(16);
  std::iota(count.begin(), count.end(), 1.F);
  const std::string two = raw<int32_t>({2, 2}), none = raw<int32_t>({0, 0, 0, 0});
  const std::vector<float> split{1, 3, 9, 11, 2, 4, 10, 12, 5, 7, 13, 15, 6, 8, 14, 16};
  const auto to = import(blocks_model(38, {1, 4, 4, 1}, {4, 2, 2, 1}, two, none));
  ASSERT_TRUE(to.ok()) << to_text(to.error());
  EXPECT_EQ(run(to->graph, {Tensor::of<float>({1, 4, 4, 1}, count)}), split);
  const auto back = import(blocks_model(37, {4, 2, 2, 1}, {1, 4, 4, 1}, two, none));
  ASSERT_TRUE(back.ok()) << to_text(back.error());
  EXPECT_EQ(run(back->graph, {Tensor::of<float>({4, 2, 2, 1}, split)}), count);
  const auto padded = import(blocks_model(38, {2, 2, 4, 1}, {8, 1, 3, 1}, two, raw<int32_t>({0, 0, 2, 0})));
  ASSERT_TRUE(padded.ok()) << to_text(padded.error());
  const std::vector<float> wide{0, 1, 3, 0, 9, 11, 0, 2, 4, 0, 10, 12, 0, 5, 7, 0, 13, 15, 0, 6, 8, 0, 14, 16};
  EXPECT_EQ(run(padded->graph, {Tensor::of<float>({2, 2, 4, 1}, count)}), wide);
  const auto cropped = import(blocks_model(37, {8, 1, 3, 1}, {2, 2, 4, 1}, two, raw<int32_t>({0, 0, 2, 0})));
  ASSERT_TRUE(cropped.ok()) << to_text(cropped.error());
  EXPECT_EQ(run(cropped->graph, {Tensor::of<float>({8, 1, 3, 1}, wide)}), count);
  expect_refused(blocks_model(38, {1, 4, 3, 1}, {4, 2, 2, 1}, two, none), diag::shape_mismatch, "multiple of 2");
  expect_refused(blocks_model(38, {1, 4, 4, 1}, {4, 2, 2, 1}, raw<int32_t>({0, 2}), none), diag::shape_mismatch,
                 "blocks");
  expect_refused(blocks_model(38, {1, 4, 4, 1}, {4, 2, 2, 1}, two, raw<int32_t>({-1, 1, 0, 0})), diag::shape_mismatch,
                 "edges");
  expect_refused(blocks_model(37, {3, 2, 2, 1}, {1, 4, 4, 1}, two, none), diag::shape_mismatch, "multiple of 4");
  expect_refused(blocks_model(37, {4, 1, 1, 1}, {1, 1, 1, 1}, two, raw<int32_t>({2, 1, 0, 0})), diag::shape_mismatch,
                 "crops");
}

TEST(TfliteReader, LengthsBecomeOne) {
  BuiltGraph g;
  g.tensors = {{"x", {2, 2}}, {"y", {2, 2}}};
  g.inputs = {0};
  g.outputs = {1};
  g.operators = {{11, {0}, {1}}};
  const auto m = import({{g}});
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  EXPECT_EQ(run(m->graph, {Tensor::of<float>({2, 2}, {3, 4, 0, 0})}), (std::vector<float>{3.F / 5, 4.F / 5, 0, 0}));
}

// Old converters store 1 = SAME, filters O,H,W,I and weights of float16 behind DEQUANTIZE.
TEST(TfliteReader, Float16WeightsAndSamePadding) {
  BuiltGraph g;
  std::string half;
  for (const float v : {1.F, 2.F, 3.F, 4.F}) {
    const Float16 h(v);
    half += raw<uint16_t>({h.raw});
  }
  g.tensors = {{"x", {1, 2, 2, 1}}, {"w16", {1, 2, 2, 1}, 1, half}, {"w", {1, 2, 2, 1}}, {"y", {1, 2, 2, 1}}};
  g.inputs = {0};
  g.outputs = {3};
  g.operators = {{6, {1}, {2}}, {3, {0, 2, -1}, {3}, 1, [](Built& b) {
                                   b.AddElement<int32_t>(field(1), 1, 0);
                                   b.AddElement<int32_t>(field(2), 1, 0);
                                   b.AddElement<int8_t>(field(3), 1, 0);
                                 }}};
  const auto m = import({{g}});
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  // SAME with an even filter pads after the end only.
  const auto y = run(m->graph, {Tensor::of<float>({1, 2, 2, 1}, {1, 2, 3, 4})});
  EXPECT_EQ(y, (std::vector<float>{1 * 1 + 2 * 2 + 3 * 3 + 4 * 4, 2 * 1 + 4 * 3, 3 * 1 + 4 * 2, 4 * 1}));
}

TEST(TfliteReader, FusedActivationOfAdd) {
  BuiltGraph g;
  g.tensors = {{"a", {4}}, {"b", {4}, 0, raw<float>({-10, 1, 2, 30})}, {"y", {4}}};
  g.inputs = {0};
  g.outputs = {2};
  for (const auto& [number, wanted] : std::vector<std::pair<int, std::vector<float>>>{
           {0, {-9, 2, 3, 31}}, {1, {0, 2, 3, 31}}, {2, {-1, 1, 1, 1}}, {3, {0, 2, 3, 6}}}) {
    g.operators = {
        {0, {0, 1}, {2}, 11, [n = number](Built& b) { b.AddElement<int8_t>(field(0), static_cast<int8_t>(n), 0); }}};
    const auto m = import({{g}});
    ASSERT_TRUE(m.ok()) << to_text(m.error());
    EXPECT_EQ(run(m->graph, {Tensor::of<float>({4}, {1, 1, 1, 1})}), wanted) << number;
  }
  g.operators[0].options = [](Built& b) { b.AddElement<int8_t>(field(0), 5, 0); };
  expect_refused({{g}}, diag::unsupported, "activation function 5");
}

// SHAPE → STRIDED_SLICE → PACK → RESHAPE, as converters write for batch sizes: constants here.
TEST(TfliteReader, ShapeArithmeticFolds) {
  BuiltGraph g;
  g.tensors = {{"x", {2, 3, 4}},
               {"shape", {3}, 2},
               {"begin", {1}, 2, raw<int32_t>({0})},
               {"end", {1}, 2, raw<int32_t>({1})},
               {"step", {1}, 2, raw<int32_t>({1})},
               {"batch", {}, 2},
               {"rest", {}, 2, raw<int32_t>({-1})},
               {"target", {2}, 2},
               {"y", {2, 12}}};
  g.inputs = {0};
  g.outputs = {8};
  g.operators = {{77, {0}, {1}, 55, [](Built& b) { b.AddElement<int8_t>(field(0), 2, 0); }},
                 {45, {1, 2, 3, 4}, {5}, 32, [](Built& b) { b.AddElement<int32_t>(field(4), 1, 0); }},
                 {83, {5, 6}, {7}, 59, [](Built& b) { b.AddElement<int32_t>(field(0), 2, 0); }},
                 {22, {0, 7}, {8}}};
  const auto m = import({{g}});
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  EXPECT_EQ(m->graph.node_count(), 1u);
  EXPECT_EQ(m->graph.shape(m->graph.outputs()[0]), (Shape{2, 12}));
}

TEST(TfliteReader, StridedSliceBackwards) {
  BuiltGraph g;
  g.tensors = {{"x", {6}},
               {"begin", {1}, 2, raw<int32_t>({-2})},
               {"end", {1}, 2, raw<int32_t>({0})},
               {"step", {1}, 2, raw<int32_t>({-2})},
               {"y", {2}}};
  g.inputs = {0};
  g.outputs = {4};
  g.operators = {{45, {0, 1, 2, 3}, {4}}};
  auto m = import({{g}});
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  EXPECT_EQ(run(m->graph, {Tensor::of<float>({6}, {0, 1, 2, 3, 4, 5})}), (std::vector<float>{4, 2}));
  // end_mask: to the very start.
  g.operators[0].options_type = 32;
  g.operators[0].options = [](Built& b) { b.AddElement<int32_t>(field(1), 1, 0); };
  g.tensors[4].shape = {3};
  m = import({{g}});
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  EXPECT_EQ(run(m->graph, {Tensor::of<float>({6}, {0, 1, 2, 3, 4, 5})}), (std::vector<float>{4, 2, 0}));
}

TEST(TfliteReader, CompositesAreExpanded) {
  BuiltModel m = relu_model();
  m.graphs[0].operators = {{206, {0}, {1}, 0, {}, "", 1}};
  m.graphs.push_back(relu_model().graphs[0]);
  const auto r = import(m);
  ASSERT_TRUE(r.ok()) << to_text(r.error());
  EXPECT_EQ(run(r->graph, {Tensor::of<float>({1, 4}, {-1, 0, 1, 2})}), (std::vector<float>{0, 0, 1, 2}));
  // A composite inside itself must not expand for ever.
  m.graphs[1].operators = {{206, {0}, {1}, 0, {}, "", 1}};
  expect_refused(m, diag::too_large, "nested");
  m.graphs[1].operators = {{206, {0}, {1}, 0, {}, "", 7}};
  expect_refused(m, diag::corrupt, "subgraph 7");
}

TEST(TfliteReader, UnknownOperatorsBecomeOpaqueAllAtOnce) {
  BuiltGraph g;
  g.tensors = {{"x", {1, 4}}, {"a", {1, 4}}, {"b", {1, 4}}, {"c", {1, 4}}};
  g.inputs = {0};
  g.outputs = {3};
  g.operators = {{32, {0}, {1}, 0, {}, "Mine"}, {19, {1}, {2}}, {13, {2}, {3}}};
  const auto m = import({{g}});
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  ASSERT_EQ(m->opaque.size(), 2u);
  EXPECT_EQ(m->opaque[0].foreign, "CUSTOM:Mine");
  EXPECT_EQ(m->opaque[1].foreign, "LOCAL_RESPONSE_NORMALIZATION");
  EXPECT_EQ(to_string(m->graph.type(m->graph.outputs()[0])), "f32[1,4]");
}

TEST(TfliteReader, OpenShapesNeedInputs) {
  BuiltModel m = relu_model();
  for (BuiltTensor& t : m.graphs[0].tensors) {
    t.shape = {1, 1};
    t.signature = {1, -1};
  }
  expect_refused(m, diag::dynamic_shape, "--shape x=1x1");
  ImportOptions o;
  o.inputs = {{"renamed", {DType::unknown, {1, 7}, nullptr}}};
  auto r = import(m, o);
  ASSERT_TRUE(r.ok()) << to_text(r.error());
  EXPECT_EQ(r->graph.shape(r->graph.outputs()[0]), (Shape{1, 7}));
  EXPECT_EQ(r->graph.value(r->graph.inputs()[0]).name, "renamed");
  EXPECT_TRUE(r->warnings.empty());
  o.inputs[0].type.shape = {2, 7};  // the first size is fixed
  r = import(m, o);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, &diag::shape_mismatch);
  o.inputs[0].type = {DType::i32, {1, 7}, nullptr};
  r = import(m, o);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, &diag::dtype_mismatch);
  o.inputs.push_back(o.inputs[0]);
  EXPECT_FALSE(import(m, o).ok());
}

TEST(TfliteReader, RefusesByName) {
  BuiltModel m = relu_model();
  m.graphs[0].tensors[0].quantised = true;
  m.graphs[0].tensors[0].type = 9;
  expect_refused(m, diag::unsupported, "RELU (1)");
  m = relu_model();
  m.graphs[0].operators = {{119, {0}, {1}}};
  expect_refused(m, diag::unsupported, "WHILE (1)");
  m = relu_model();
  m.graphs[0].tensors[0].type = 8;
  expect_refused(m, diag::unsupported, "COMPLEX64");
  m = relu_model();
  m.graphs[0].tensors.push_back({"state", {1, 4}, 0, "", {}, false, true});
  m.graphs[0].operators[0].in = {2};
  expect_refused(m, diag::unsupported, "variable");
  m = relu_model();
  m.version = 4;
  expect_refused(m, diag::newer_version, "version 4");
  m.version = 0;
  expect_refused(m, diag::corrupt, "version 0");
  m = relu_model();
  m.identifier = "TFL2";
  expect_refused(m, diag::unknown_format, "TFL3");
}

TEST(TfliteReader, RefusesBrokenGraphs) {
  const auto changed = [](auto change) {
    BuiltModel m = relu_model();
    change(m.graphs[0]);
    return m;
  };
  expect_refused(changed([](BuiltGraph& g) { g.operators[0].in = {9}; }), diag::corrupt, "tensor index 9");
  expect_refused(changed([](BuiltGraph& g) { g.operators[0].in = {-2}; }), diag::corrupt, "tensor index -2");
  expect_refused(changed([](BuiltGraph& g) { g.operators[0].in = {-1}; }), diag::corrupt, "missing");
  expect_refused(changed([](BuiltGraph& g) { g.operators[0].in = {}; }), diag::corrupt, "RELU");
  expect_refused(changed([](BuiltGraph& g) { g.operators[0].in = {1}; }), diag::corrupt, "before any operator");
  expect_refused(changed([](BuiltGraph& g) { g.operators[0].out = {0}; }), diag::corrupt, "twice");
  expect_refused(changed([](BuiltGraph& g) { g.operators[0].out = {}; }), diag::corrupt, "no result");
  expect_refused(changed([](BuiltGraph& g) { g.inputs = {0, 0}; }), diag::corrupt, "two inputs");
  expect_refused(changed([](BuiltGraph& g) { g.outputs = {}; }), diag::corrupt, "no outputs");
  expect_refused(changed([](BuiltGraph& g) { g.tensors[0].shape = {-5, 4}; }), diag::shape_mismatch, "-5");
  expect_refused(changed([](BuiltGraph& g) { g.tensors[1].type = 2; }), diag::corrupt, "INT32");
  expect_refused(changed([](BuiltGraph& g) { g.tensors[0].shape = {1 << 30, 1 << 30}; }), diag::too_large, "");
  expect_refused(changed([](BuiltGraph& g) {
                   g.tensors.push_back({"c", {1, 4}, 0, raw<float>({1, 2, 3})});
                   g.operators[0].in = {2};
                 }),
                 diag::corrupt, "16 bytes");
  expect_refused(BuiltModel{}, diag::corrupt, "no graph");
}

TEST(TfliteReader, WrongDeclaredShapeIsAWarning) {
  BuiltModel m = relu_model();
  m.graphs[0].tensors[1].shape = {4, 1};
  const auto r = import(m);
  ASSERT_TRUE(r.ok()) << to_text(r.error());
  ASSERT_EQ(r->warnings.size(), 1u);
  EXPECT_EQ(r->warnings[0].severity, Severity::warning);
}

// Every truncation and many mutations: an error or a graph, never a crash.
TEST(TfliteReader, SurvivesDamage) {
  BuiltGraph g;
  g.tensors = {{"x", {1, 2, 2, 1}}, {"w", {1, 2, 2, 1}, 0, raw<float>({1, 2, 3, 4})}, {"b", {1}, 0, raw<float>({1})},
               {"y", {1, 2, 2, 1}}, {"axes", {2}, 2, raw<int32_t>({1, 2})},           {"z", {1, 1}}};
  g.inputs = {0};
  g.outputs = {5};
  g.operators = {{3,
                  {0, 1, 2},
                  {3},
                  1,
                  [](Built& b) {
                    b.AddElement<int32_t>(field(1), 1, 0);
                    b.AddElement<int32_t>(field(2), 1, 0);
                  }},
                 {40, {3, 4}, {5}}};
  const std::string good = BuiltModel{{g}}.bytes();
  ASSERT_TRUE(import_tflite(MappedFile::from_bytes(good, "good"), {}).ok());
  for (size_t n = 0; n < good.size(); n += 3) {
    const auto r = import_tflite(MappedFile::from_bytes(good.substr(0, n), "cut"), {});
    if (r) continue;
    EXPECT_NE(r.error().code->exit_code, 4) << n << to_text(r.error());
  }
  std::mt19937 random(7);
  const auto pick = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good;
    for (size_t k = 1 + pick(3); k > 0; --k) {
      constexpr unsigned char kValues[] = {0, 1, 2, 4, 127, 128, 254, 255};
      bad[pick(bad.size())] = static_cast<char>(pick(2) == 0 ? kValues[pick(8)] : pick(256));
    }
    const auto r = import_tflite(MappedFile::from_bytes(std::move(bad), "bad"), {});
    if (r) continue;
    EXPECT_NE(r.error().code->exit_code, 4) << i << to_text(r.error());
  }
}

TEST(TfliteReader, QuantisedModelOfTheWorld) {
  const char* shared = std::getenv("NPUPORT_SHARED");
  const std::string folder = shared != nullptr ? shared : source_dir() + "/../shared";
  const std::string path = folder + "/data/mobilenet_v2/tf2_mobilenet_v2_1.0_224_ptq.tflite";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  ASSERT_TRUE(accepts_tflite(path));
  const auto facts = inspect_tflite(path);
  ASSERT_TRUE(facts.ok()) << to_text(facts.error());
  EXPECT_EQ(facts->format, "tflite");
  EXPECT_GT(facts->parameters, 3'000'000);
  const auto m = import_tflite(path, {});
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.error().code, &diag::unsupported);
  EXPECT_NE(m.error().message.find("DEPTHWISE_CONV_2D (17)"), std::string::npos) << to_text(m.error());
}

}  // namespace
}  // namespace npuport::testing
