#include "frontends/onnx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "exec/executor.h"
#include "frontends/onnx_build.h"
#include "support/temp_folder.h"

namespace npuport {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<std::vector<Tensor>> run(const ImportedModel& m, const std::vector<Tensor>& in) {
  NPU_ASSIGN(Executor e, Executor::create(m.graph, {}));
  return e.run(in);
}

std::vector<double> numbers(const Tensor& t) {
  std::vector<double> v;
  for (int64_t i = 0; i < t.count(); ++i) v.push_back(get_double(t, i));
  return v;
}

void expect_refused(const Result<ImportedModel>& m, const DiagCode& code, const std::string& text) {
  ASSERT_FALSE(m) << text;
  EXPECT_EQ(m.error().code, &code) << m.error().message;
  EXPECT_THAT(m.error().message, HasSubstr(text));
}

const std::vector<Proto> x2{value_info("x", {2})};
const std::vector<Proto> y2{value_info("y", {2})};

TEST(Onnx, NamesScopesAndConstantsComeFromTheFile) {
  const auto m = import_bytes(
      model_file(graph_proto({node_proto("Add", {"x", "w:0"}, {"y"})}, x2, y2, {floats("w:0", {2}, {10, 20})})));
  ASSERT_TRUE(m) << m.error().message;
  const Graph& g = m->graph;
  EXPECT_EQ(g.value(g.inputs()[0]).name, "x");
  EXPECT_EQ(g.value(g.outputs()[0]).name, "y");
  const Node* n = g.producer(g.outputs()[0]);
  ASSERT_NE(n, nullptr);
  EXPECT_EQ(n->origins[0].scope, "block.y");
  EXPECT_EQ(n->origins[0].foreign, "Add");
  EXPECT_EQ(g.value(n->inputs[1]).name, "w:0");
  const auto out = run(*m, {Tensor::of<float>({2}, {1, 2})});
  ASSERT_TRUE(out);
  EXPECT_THAT(numbers(out->at(0)), ElementsAre(11, 22));
}

TEST(Onnx, OutputsKeepTheirNamesWhereTheyAreInputsOrOneValue) {
  const auto m = import_bytes(model_file(graph_proto(
      {node_proto("Identity", {"x"}, {"a"}), node_proto("Relu", {"x"}, {"r"}), node_proto("Identity", {"r"}, {"s"})},
      x2, {value_info("a", {2}), value_info("r", {2}), value_info("s", {2})})));
  ASSERT_TRUE(m) << m.error().message;
  std::vector<std::string> names;
  for (const ValueId v : m->graph.outputs()) names.push_back(m->graph.value(v).name);
  EXPECT_THAT(names, ElementsAre("a", "r", "s"));
}

// Positions a model computes may count from the end; TFLite's may not. Those of an input, and wrapped ones, stay.
TEST(Onnx, ComputedPositionsCountFromTheStart) {
  const auto wrapped = [](const ImportedModel& m) {
    size_t n = 0;
    for (const NodeId id : m.graph.topological()) n += m.graph.node(id).op->name == "where";
    return n;
  };
  const std::vector<Proto> inputs{value_info("x", {3}), value_info("i", {2}, 7)};
  const std::vector<Proto> constants{longs("one", {}, {1}), longs("zero", {}, {0}), longs("three", {}, {3})};
  const Proto before = node_proto("Sub", {"i", "one"}, {"j"});
  for (const char* op : {"Gather", "GatherElements"}) {
    const auto m = import_bytes(model_file(
        graph_proto({before, node_proto(op, {"x", "j"}, {"y"}, {attr_int("axis", -1)})}, inputs, y2, constants)));
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(wrapped(*m), 1U) << op;
    const auto out = run(*m, {Tensor::of<float>({3}, {5, 6, 7}), Tensor::of<int64_t>({2}, {0, 2})});
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_THAT(numbers(out->at(0)), ElementsAre(7, 6)) << op;
  }
  const auto scatter = import_bytes(
      model_file(graph_proto({before, node_proto("ScatterElements", {"x", "j", "u"}, {"y"})},
                             {inputs[0], inputs[1], value_info("u", {2})}, {value_info("y", {3})}, constants)));
  ASSERT_TRUE(scatter) << scatter.error().message;
  EXPECT_EQ(wrapped(*scatter), 1U);
  const auto ids = import_bytes(model_file(
      graph_proto({node_proto("Cast", {"i"}, {"j"}, {attr_int("to", 6)}), node_proto("Gather", {"x", "j"}, {"y"})},
                  inputs, y2, constants)));
  ASSERT_TRUE(ids) << ids.error().message;
  EXPECT_EQ(wrapped(*ids), 0U) << "what an input holds is the caller's business";
  const auto once = import_bytes(model_file(
      graph_proto({before, node_proto("Less", {"j", "zero"}, {"b"}), node_proto("Add", {"j", "three"}, {"k"}),
                   node_proto("Where", {"b", "k", "j"}, {"w"}), node_proto("Gather", {"x", "w"}, {"y"})},
                  inputs, y2, constants)));
  ASSERT_TRUE(once) << once.error().message;
  EXPECT_EQ(wrapped(*once), 1U) << "not twice";
}

TEST(Onnx, ShapeChainsAreConstants) {
  // reshape(x, concat(shape(x)[0:1], [-1]))
  const auto m = import_bytes(
      model_file(graph_proto({node_proto("Shape", {"x"}, {"s"}), node_proto("Gather", {"s", "zero"}, {"first"}),
                              node_proto("Unsqueeze", {"first", "axes"}, {"head"}),
                              node_proto("Concat", {"head", "open"}, {"shape"}, {attr_int("axis", 0)}),
                              node_proto("Reshape", {"x", "shape"}, {"y"})},
                             {value_info("x", {2, 3, 4})}, {value_info("y", {2, 12})},
                             {longs("zero", {}, {0}), longs("axes", {1}, {0}), longs("open", {1}, {-1})})));
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->graph.node_count(), 1U);
  EXPECT_EQ(m->graph.shape(m->graph.outputs()[0]), (Shape{2, 12}));
}

TEST(Onnx, FunctionsAreInlinedWithTheirAttributes) {
  Proto f;
  f.text(1, "Cut").text(4, "v").text(5, "w").text(6, "at");
  f.add(7, node_proto("Flatten", {"v"}, {"w"}, {attr_ref("axis", "at")}));
  f.add(9, Proto().number(2, 17)).text(10, "own");
  const auto m = import_bytes(model_file(graph_proto({node_proto("Cut", {"x"}, {"y"}, {attr_int("at", 2)}, "own")},
                                                     {value_info("x", {2, 3, 4})}, {value_info("y", {6, 4})}),
                                         17, {f}));
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->graph.shape(m->graph.outputs()[0]), (Shape{6, 4}));
}

Proto branch(const std::string& type, const std::string& out) {
  return graph_proto({node_proto(type, {"x"}, {out})}, {}, {value_info(out, {2})});
}

TEST(Onnx, IfTakesTheKnownBranchAndSelectsByAnUnknownOne) {
  const auto model = [&](const std::vector<Proto>& inputs, const std::vector<Proto>& constants) {
    return model_file(graph_proto(
        {node_proto("If", {"c"}, {"y"},
                    {attr_graph("then_branch", branch("Neg", "a")), attr_graph("else_branch", branch("Abs", "b"))})},
        inputs, y2, constants));
  };
  const auto known = import_bytes(model(x2, {tensor_proto("c", 9, {}, std::string(1, '\1'))}));
  ASSERT_TRUE(known) << known.error().message;
  EXPECT_EQ(known->graph.node_count(), 1U);
  const auto open = import_bytes(model({value_info("x", {2}), value_info("c", {}, 9)}, {}));
  ASSERT_TRUE(open) << open.error().message;
  EXPECT_TRUE(open->opaque.empty());
  for (const bool c : {true, false}) {
    const auto out = run(*open, {Tensor::of<float>({2}, {-1, 2}), Tensor::scalar(c)});
    ASSERT_TRUE(out);
    EXPECT_THAT(numbers(out->at(0)), c ? ElementsAre(1, -2) : ElementsAre(1, 2));
  }
}

TEST(Onnx, LoopsWithAKnownCountAreUnrolled) {
  const Proto body = graph_proto({node_proto("Add", {"v", "x"}, {"next"}), node_proto("Identity", {"go"}, {"on"}),
                                  node_proto("Identity", {"next"}, {"seen"})},
                                 {value_info("i", {}, 7), value_info("go", {}, 9), value_info("v", {2})},
                                 {value_info("on", {}, 9), value_info("next", {2}), value_info("seen", {2})});
  const auto m = import_bytes(
      model_file(graph_proto({node_proto("Loop", {"n", "", "x"}, {"last", "all"}, {attr_graph("body", body)})}, x2,
                             {value_info("last", {2}), value_info("all", {3, 2})}, {longs("n", {}, {3})})));
  ASSERT_TRUE(m) << m.error().message;
  const auto out = run(*m, {Tensor::of<float>({2}, {1, 10})});
  ASSERT_TRUE(out);
  EXPECT_THAT(numbers(out->at(0)), ElementsAre(4, 40));
  EXPECT_THAT(numbers(out->at(1)), ElementsAre(2, 20, 3, 30, 4, 40));
}

TEST(Onnx, UnknownOperatorsAreListedTogetherWithCounts) {
  const auto m = import_bytes(model_file(
      graph_proto({node_proto("Fancy", {"x"}, {"a"}, {}, "own"), node_proto("Fancy", {"a"}, {"b"}, {}, "own"),
                   node_proto("RandomNormalLike", {"x"}, {"c"}), node_proto("Add", {"b", "c"}, {"y"})},
                  x2, y2)));
  ASSERT_TRUE(m) << m.error().message;
  ASSERT_EQ(m->opaque.size(), 2U);
  EXPECT_EQ(m->opaque[0].foreign, "RandomNormalLike");
  EXPECT_EQ(m->opaque[1].foreign, "own::Fancy");
  EXPECT_EQ(m->opaque[1].places.size(), 2U);
}

TEST(Onnx, SymbolicDimsNeedAShape) {
  const std::string bytes = model_file(
      graph_proto({node_proto("Relu", {"x"}, {"y"})}, {value_info("x", {-1, 3})}, {value_info("y", {-1, 3})}));
  expect_refused(import_bytes(bytes), diag::dynamic_shape, "dim 0 ('n')");
  EXPECT_THAT(import_bytes(bytes).error().hint, HasSubstr("--shape x="));
  ImportOptions options;
  options.inputs = {{"", {DType::f32, {4, 3}, nullptr}}};
  const auto m = import_bytes(bytes, options);
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->graph.shape(m->graph.outputs()[0]), (Shape{4, 3}));
  options.inputs[0].type.shape = {4, 5};
  expect_refused(import_bytes(bytes, options), diag::shape_mismatch, "x");
}

TEST(Onnx, SoftmaxFlattensUntilOpset12) {
  for (const int opset : {11, 13}) {
    const auto m = import_bytes(model_file(graph_proto({node_proto("Softmax", {"x"}, {"y"}, {attr_int("axis", 1)})},
                                                       {value_info("x", {1, 2, 2})}, {value_info("y", {1, 2, 2})}),
                                           opset));
    ASSERT_TRUE(m) << m.error().message;
    const auto out = run(*m, {Tensor::of<float>({1, 2, 2}, {0, 0, 0, 0})});
    ASSERT_TRUE(out);
    EXPECT_FLOAT_EQ(out->at(0).as<float>()[0], opset == 11 ? 0.25F : 0.5F);
  }
}

// ONNX Runtime's operators on quantised numbers, by hand: (q - zero) * scale on both sides.
TEST(Onnx, QuantisedFormsComputeBetweenTheirScales) {
  const auto bytes = [](std::string_view name, std::vector<int64_t> dims, std::string v, int type = 2) {
    return tensor_proto(name, type, dims, v);
  };
  const std::string ms = "com.microsoft";
  const auto scale = [](std::string_view name, float v) { return floats(name, {}, {v}); };
  const std::vector<Proto> nodes{
      node_proto("QLinearAdd", {"x", "s2", "z2", "b", "s4", "z4", "s1", "z3"}, {"sum"}, {}, ms),
      node_proto("QLinearMul", {"x", "s2", "z2", "b", "s4", "z4", "s1", "z3"}, {"product"}, {}, ms),
      node_proto("QLinearSigmoid", {"x", "s2", "z2", "s256", "z0"}, {"sigmoid"}, {}, ms),
      node_proto("QLinearConcat", {"s2", "z0", "x", "s2", "z2", "b", "s4", "z4"}, {"both"}, {attr_int("axis", 0)}, ms),
      node_proto("Reshape", {"x", "row"}, {"m"}),
      node_proto("QGemm", {"m", "s2", "z2", "w", "s4", "i0", "c", "s1", "z3"}, {"gemm"}, {}, ms),
      node_proto("QGemm", {"m", "s2", "z2", "w", "s4", "i0", "c"}, {"real"}, {}, ms)};
  const std::vector<Proto> constants{scale("s1", 1),
                                     scale("s2", 0.5F),
                                     scale("s4", 0.25F),
                                     scale("s256", 1.0F / 256),
                                     bytes("z0", {}, std::string(1, 0)),
                                     bytes("z2", {}, "\x02"),
                                     bytes("z3", {}, "\x03"),
                                     bytes("z4", {}, "\x04"),
                                     bytes("i0", {}, std::string(1, 0), 3),
                                     bytes("b", {2}, std::string("\x04\x64")),
                                     bytes("w", {2, 1}, "\x04\xFE", 3),
                                     tensor_proto("c", 6, {1}, std::string("\x08\0\0\0", 4)),
                                     longs("row", {2}, {1, 2})};
  std::vector<Proto> outputs;
  for (const char* y : {"sum", "product", "sigmoid"}) outputs.push_back(value_info(y, {2}, 2));
  outputs.push_back(value_info("both", {4}, 2));
  outputs.push_back(value_info("gemm", {1, 1}, 2));
  outputs.push_back(value_info("real", {1, 1}));
  Proto m;
  m.number(1, 8).add(7, graph_proto(nodes, {value_info("x", {2}, 2)}, outputs, constants));
  m.add(8, Proto().number(2, 17)).add(8, Proto().text(1, ms).number(2, 1));
  const auto model = import_bytes(m.bytes);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(model->opaque.empty()) << model->opaque.front().foreign;
  const auto out = run(*model, {Tensor::of<uint8_t>({2}, {10, 200})});  // 4 and 99; b is 0 and 24
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_THAT(numbers(out->at(0)), ElementsAre(7, 126));
  EXPECT_THAT(numbers(out->at(1)), ElementsAre(3, 255));    // 2376 does not fit
  EXPECT_THAT(numbers(out->at(2)), ElementsAre(251, 255));  // sigmoid(4) * 256 = 251.4
  EXPECT_THAT(numbers(out->at(3)), ElementsAre(8, 198, 0, 48));
  // (8 * 4 + 198 * -2 + 8) * 0.125 = -44.5, clamped at 0 with the zero point.
  EXPECT_THAT(numbers(out->at(4)), ElementsAre(0));
  EXPECT_THAT(numbers(out->at(5)), ElementsAre(-44.5));
}

// Against the definition, and ONNX's own cases for the rest.
TEST(Onnx, FourierTransformsAlongAnyAxis) {
  const auto m = import_bytes(
      model_file(graph_proto({node_proto("DFT", {"x"}, {"f"}, {attr_int("axis", 1)}),
                              node_proto("DFT", {"f"}, {"y"}, {attr_int("axis", 1), attr_int("inverse", 1)})},
                             {value_info("x", {1, 4, 1})}, {value_info("f", {1, 4, 2}), value_info("y", {1, 4, 2})})));
  ASSERT_TRUE(m) << m.error().message;
  const auto out = run(*m, {Tensor::of<float>({1, 4, 1}, {1, 2, 3, 5})});
  ASSERT_TRUE(out) << out.error().message;
  const double f[] = {11, 0, -2, 3, -3, 0, -2, -3}, y[] = {1, 0, 2, 0, 3, 0, 5, 0};
  for (int64_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(get_double(out->at(0), i), f[i], 1e-6) << i;
    EXPECT_NEAR(get_double(out->at(1), i), y[i], 1e-6) << i;
  }
}

// Element 4 of 9 lies at (4 + 1/2) * 14 / 9 - 1/2 = 6 1/2 exactly: by way of a rounded scale it would fall below.
TEST(Onnx, PositionsOnABorderAreExact) {
  const Proto mode = Proto().text(1, "mode").text(4, "nearest").number(20, 3),
              where = Proto().text(1, "coordinate_transformation_mode").text(4, "half_pixel").number(20, 3),
              nearest = Proto().text(1, "nearest_mode").text(4, "round_prefer_ceil").number(20, 3);
  const auto m = import_bytes(
      model_file(graph_proto({node_proto("Resize", {"x", "", "", "sizes"}, {"y"}, {mode, where, nearest})},
                             {value_info("x", {14})}, {value_info("y", {9})}, {longs("sizes", {1}, {9})})));
  ASSERT_TRUE(m) << m.error().message;
  const auto out = run(*m, {Tensor::of<float>({14}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13})});
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_THAT(numbers(out->at(0)), ElementsAre(0, 2, 3, 5, 7, 8, 10, 11, 13));
}

TEST(Onnx, OldOpsetsAreNamed) {
  expect_refused(import_bytes(model_file(graph_proto({node_proto("Relu", {"x"}, {"y"})}, x2, y2), 6)),
                 diag::unsupported, "opset 6");
}

// ---- external data

class OnnxExternal : public ::testing::Test {
 protected:
  std::string model(const Proto& tensor) {
    const std::string path = folder.path("model.onnx");
    std::ofstream(path, std::ios::binary)
        << model_file(graph_proto({node_proto("Add", {"x", "w"}, {"y"})}, x2, y2, {tensor}));
    return path;
  }
  testing::TempFolder folder;
};

TEST_F(OnnxExternal, IsMappedFromTheModelsFolder) {
  std::ofstream(folder.path("w.bin"), std::ios::binary) << std::string(64, '\0') << std::string("\0\0\x80?\0\0\0@", 8);
  const auto m = import_onnx(model(external("w", {2}, "w.bin", "64", "8")), {});
  ASSERT_TRUE(m) << m.error().message;
  const auto out = run(*m, {Tensor::of<float>({2}, {0, 0})});
  ASSERT_TRUE(out);
  EXPECT_THAT(numbers(out->at(0)), ElementsAre(1, 2));
}

TEST_F(OnnxExternal, NothingOutsideTheFolderIsRead) {
  const testing::TempFolder other;
  std::ofstream(other.path("w.bin"), std::ios::binary) << std::string(8, '\0');
  std::filesystem::create_symlink(other.path("w.bin"), folder.path("link.bin"));
  expect_refused(import_onnx(model(external("w", {2}, other.path("w.bin"))), {}), diag::corrupt, "own folder");
  expect_refused(import_onnx(model(external("w", {2}, "../w.bin")), {}), diag::corrupt, "own folder");
  expect_refused(import_onnx(model(external("w", {2}, "a/../../w.bin")), {}), diag::corrupt, "own folder");
  expect_refused(import_onnx(model(external("w", {2}, "link.bin")), {}), diag::corrupt, "leads out");
  expect_refused(import_onnx(model(external("w", {2}, "none.bin")), {}), diag::missing_entry, "none.bin");
  expect_refused(import_onnx(model(external("w", {2}, "")), {}), diag::corrupt, "own folder");
}

TEST_F(OnnxExternal, OffsetsAndLengthsAreChecked) {
  std::ofstream(folder.path("w.bin"), std::ios::binary) << std::string(12, '\0');
  expect_refused(import_onnx(model(external("w", {2}, "w.bin", "8")), {}), diag::truncated, "12 bytes");
  expect_refused(import_onnx(model(external("w", {2}, "w.bin", "18446744073709551615", "8")), {}), diag::truncated, "");
  expect_refused(import_onnx(model(external("w", {2}, "w.bin", "0", "4")), {}), diag::corrupt, "needs 8 bytes");
  expect_refused(import_onnx(model(external("w", {2}, "w.bin", "-1")), {}), diag::corrupt, "no number");
}

// ---- bad input

TEST(OnnxBadInput, EveryPrefixOfAFileIsAnError) {
  const std::string bytes =
      model_file(graph_proto({node_proto("Add", {"x", "w"}, {"y"})}, x2, y2, {floats("w", {2}, {1, 2})}));
  ASSERT_TRUE(import_bytes(bytes));
  // Behind the graph only the opsets are missing, which are worth an error too.
  for (size_t n = 0; n + 12 < bytes.size(); ++n) EXPECT_FALSE(import_bytes(bytes.substr(0, n))) << n;
}

TEST(OnnxBadInput, EveryFlippedByteIsReadOrRefused) {
  const std::string bytes =
      model_file(graph_proto({node_proto("Conv", {"x", "w"}, {"a"}), node_proto("Reshape", {"a", "s"}, {"y"})},
                             {value_info("x", {1, 1, 4, 4})}, {value_info("y", {9})},
                             {floats("w", {1, 1, 2, 2}, {1, 2, 3, 4}), longs("s", {1}, {9})}));
  ASSERT_TRUE(import_bytes(bytes));
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int bit : {0, 3, 6, 7}) {
      std::string bad = bytes;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      (void)import_bytes(bad);
    }
  }
}

TEST(OnnxBadInput, CyclesAndMissingValues) {
  expect_refused(
      import_bytes(model_file(graph_proto({node_proto("Add", {"x", "b"}, {"a"}), node_proto("Relu", {"a"}, {"b"})}, x2,
                                          {value_info("b", {2})}))),
      diag::corrupt, "before any operator computes it");
  expect_refused(import_bytes(model_file(
                     graph_proto({node_proto("Relu", {"x"}, {"y"}), node_proto("Abs", {"x"}, {"y"})}, x2, y2))),
                 diag::corrupt, "computed twice");
  expect_refused(import_bytes(model_file(graph_proto({}, x2, y2))), diag::corrupt, "before any operator");
}

TEST(OnnxBadInput, SizesThatDoNotFit) {
  const auto with = [&](const Proto& w) {
    return import_bytes(model_file(graph_proto({node_proto("Add", {"x", "w"}, {"y"})}, x2, y2, {w})));
  };
  expect_refused(with(tensor_proto("w", 1, {2}, "123")), diag::corrupt, "needs 8 bytes");
  expect_refused(with(tensor_proto("w", 1, {-2}, "12345678")), diag::corrupt, "");
  expect_refused(with(tensor_proto("w", 1, {int64_t{1} << 40, int64_t{1} << 40}, "12345678")), diag::too_large, "");
}

TEST(OnnxBadInput, HugeResultsAreRefused) {
  const auto m = import_bytes(
      model_file(graph_proto({node_proto("ConstantOfShape", {"s"}, {"c"}), node_proto("Add", {"x", "c"}, {"y"})}, x2,
                             y2, {longs("s", {3}, {1 << 20, 1 << 20, 1 << 20})})));
  EXPECT_FALSE(m);
}

TEST(OnnxBadInput, RecursionEnds) {
  Proto f;
  f.text(1, "Self").text(4, "v").text(5, "w").text(10, "own");
  f.add(7, node_proto("Self", {"v"}, {"w"}, {}, "own"));
  expect_refused(import_bytes(model_file(graph_proto({node_proto("Self", {"x"}, {"y"}, {}, "own")}, x2, y2), 17, {f})),
                 diag::corrupt, "calls itself");
  // Functions that call each other twice: 2^30 operators.
  std::vector<Proto> tower;
  for (int i = 0; i < 30; ++i) {
    Proto g;
    const std::string next = "F" + std::to_string(i + 1);
    g.text(1, "F" + std::to_string(i)).text(4, "v").text(5, "w").text(10, "own").add(9, Proto().number(2, 17));
    g.add(7, i == 29 ? node_proto("Relu", {"v"}, {"u"}) : node_proto(next, {"v"}, {"u"}, {}, "own"));
    g.add(7, i == 29 ? node_proto("Relu", {"u"}, {"w"}) : node_proto(next, {"u"}, {"w"}, {}, "own"));
    tower.push_back(g);
  }
  expect_refused(import_bytes(model_file(graph_proto({node_proto("F0", {"x"}, {"y"}, {}, "own")}, x2, y2), 17, tower)),
                 diag::too_large, "200,000");
}

TEST(OnnxBadInput, DeepNestingEnds) {
  Proto inner = branch("Relu", "o0");
  for (int i = 1; i < 200; ++i) {
    const std::string out = "o" + std::to_string(i);
    inner = graph_proto({node_proto("If", {"c"}, {out},
                                    {attr_graph("then_branch", inner), attr_graph("else_branch", branch("Abs", "e"))})},
                        {}, {value_info(out, {2})});
  }
  const Proto top = graph_proto(
      {node_proto("If", {"c"}, {"y"}, {attr_graph("then_branch", inner), attr_graph("else_branch", inner)})}, x2, y2,
      {tensor_proto("c", 9, {}, std::string(1, '\1'))});
  expect_refused(import_bytes(model_file(top)), diag::too_large, "nested");
}

TEST(OnnxBadInput, EndlessLoopsEnd) {
  const Proto body = graph_proto({node_proto("Identity", {"go"}, {"on"})},
                                 {value_info("i", {}, 7), value_info("go", {}, 9)}, {value_info("on", {}, 9)});
  const auto m = import_bytes(model_file(graph_proto(
      {node_proto("Loop", {"", "t"}, {"unused"}, {attr_graph("body", body)}), node_proto("Relu", {"x"}, {"y"})}, x2, y2,
      {tensor_proto("t", 9, {}, std::string(1, '\1'))})));
  EXPECT_FALSE(m);
}

}  // namespace
}  // namespace npuport
