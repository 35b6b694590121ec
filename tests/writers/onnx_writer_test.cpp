// The written file as a whole: frame, types, float16, external data, borders, determinism. Files are parsed and checked
// by libonnx, and run by ONNX Runtime where it is installed.
#include "writers/onnx_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <filesystem>
#include <set>

#include "base/diag_codes.h"
#include "exec/executor.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ops/onnx.h"
#include "support/onnx_run.h"
#include "support/temp_folder.h"
#include "writers/written_file.h"

namespace npuport::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Convolutions, a linear layer of rank 3 (stored transposed), layer norm and gelu.
Graph network() {
  Graph g;
  g.name = "net";
  Builder b(g);
  const ValueId x = g.add_input("image", {DType::f32, {1, 3, 8, 8}, nullptr});
  const std::vector<Attr> same{{"pad_begin", Ints{1, 1}}, {"pad_end", Ints{1, 1}}, {"activation", "relu"}};
  const ValueId w1 = g.add_constant("w1", ramp({16, 3, 3, 3}, 1e-3F)),
                w2 = g.add_constant("w2", ramp({24, 16, 3, 3}, 1e-4F));
  ValueId y = b.op("conv2d", {x, w1}, same);
  y = b.op("conv2d", {y, w2, g.add_constant("b2", ramp({24}, 0.1F))}, same);
  y = b.reshape(y, {1, 64, 24});
  y = b.op("layer_norm", {y, g.add_constant("gamma", ramp({24}, 0.1F)), g.add_constant("beta", ramp({24}, 0.2F))});
  y = b.op("linear", {y, g.add_constant("w3", ramp({48, 24}, 0.01F)), g.add_constant("b3", ramp({48}, 0.01F))});
  y = b.op("softmax", {b.op("gelu", {y})}, {{"axis", 1}});
  g.rename(y, "scores");
  g.set_outputs({y});
  EXPECT_FALSE(b.failed());
  return g;
}

OnnxOptions unsynced(int opset = 17) {
  OnnxOptions o;
  o.sync = false;
  o.opset = opset;
  return o;
}

// Parses and checks; an empty model when the file is bad.
onnx::ModelProto checked(const std::string& path) {
  onnx::ModelProto m;
  EXPECT_TRUE(m.ParseFromString(contents(path))) << path;
  try {
    onnx::checker::check_model(path);
  } catch (const std::exception& e) {
    ADD_FAILURE() << path << ": " << e.what();
  }
  return m;
}

TEST(OnnxWriter, FrameOfTheFile) {
  const TempFolder folder;
  Graph g = network();
  g.metadata["npuport.io"] = R"({"version": 1})";
  g.metadata["other"] = "stays here";
  const auto written = write_onnx(g, folder.path("a.onnx"), unsynced());
  ASSERT_TRUE(written) << to_text(written.error());
  EXPECT_EQ(written->opset, 17);
  EXPECT_THAT(written->files, ElementsAre(folder.path("a.onnx")));
  EXPECT_TRUE(written->tries.empty());
  const onnx::ModelProto m = checked(folder.path("a.onnx"));
  EXPECT_EQ(m.ir_version(), 8);
  EXPECT_EQ(m.producer_name(), "npuport");
  ASSERT_EQ(m.opset_import_size(), 1);
  EXPECT_EQ(m.opset_import(0).version(), 17);
  ASSERT_EQ(m.metadata_props_size(), 1);
  EXPECT_EQ(m.metadata_props(0).key(), "npuport.io");
  EXPECT_EQ(m.metadata_props(0).value(), R"({"version": 1})");
  EXPECT_EQ(m.graph().name(), "net");
  EXPECT_EQ(m.graph().input(0).name(), "image");
  EXPECT_EQ(m.graph().output(0).name(), "scores");
  EXPECT_EQ(static_cast<size_t>(m.graph().node_size()), written->operators);
}

// Node names are unique, every value has a type with numbers, int64 is used for shapes alone.
TEST(OnnxWriter, EveryValueHasAStaticType) {
  const TempFolder folder;
  ASSERT_TRUE(write_onnx(network(), folder.path("a.onnx"), unsynced(13)));
  const onnx::ModelProto m = checked(folder.path("a.onnx"));
  std::set<std::string> typed, names;
  const auto add = [&](const auto& values) {
    for (const onnx::ValueInfoProto& v : values) {
      for (const auto& d : v.type().tensor_type().shape().dim()) EXPECT_TRUE(d.has_dim_value()) << v.name();
      EXPECT_EQ(v.type().tensor_type().elem_type(), onnx::TensorProto::FLOAT) << v.name();
      EXPECT_TRUE(typed.insert(v.name()).second) << v.name();
    }
  };
  add(m.graph().value_info());
  add(m.graph().output());
  for (const onnx::NodeProto& n : m.graph().node()) {
    EXPECT_TRUE(names.insert(n.name()).second) << n.name();
    for (const std::string& out : n.output()) EXPECT_TRUE(typed.contains(out)) << out;
  }
  for (const onnx::TensorProto& t : m.graph().initializer()) {
    if (t.data_type() == onnx::TensorProto::INT64) {
      EXPECT_LE(t.raw_data().size(), 64u) << t.name();
    }
  }
}

TEST(OnnxWriter, OperatorsFollowTheOpset) {
  const auto kinds = [](int opset) {
    const TempFolder folder;
    const auto written = write_onnx(network(), folder.path("a.onnx"), unsynced(opset));
    EXPECT_TRUE(written);
    const onnx::ModelProto m = checked(folder.path("a.onnx"));
    EXPECT_EQ(m.ir_version(), opset >= 15 ? 8 : opset >= 12 ? 7 : 6);
    std::set<std::string> ops;
    for (const auto& n : m.graph().node()) ops.insert(n.op_type());
    return ops;
  };
  for (int opset = 11; opset <= 17; ++opset) {
    const std::set<std::string> ops = kinds(opset);
    EXPECT_EQ(ops.contains("LayerNormalization"), opset >= 17) << opset;
    EXPECT_EQ(ops.contains("ReduceMean"), opset < 17) << opset;
    EXPECT_EQ(ops.contains("Transpose"), opset < 13) << opset;  // Softmax on an inner axis
    EXPECT_TRUE(ops.contains("Erf") && ops.contains("Conv")) << opset;
  }
}

TEST(OnnxWriter, SameBytesEveryTime) {
  const TempFolder folder;
  const Graph g = network();
  ASSERT_TRUE(write_onnx(g, folder.path("a"), unsynced()));
  ASSERT_TRUE(write_onnx(g.compacted(), folder.path("b"), unsynced()));
  EXPECT_EQ(contents(folder.path("a")), contents(folder.path("b")));
}

TEST(OnnxWriter, AllFormsAgreeWithOnnxRuntime) {
  const TempFolder folder;
  const Graph g = network();
  const Tensor image = ramp({1, 3, 8, 8}, 0.01F);
  const Tensor wanted = run(g, {image})[0];
  OnnxOptions half = unsynced(), outside = unsynced();
  half.float16 = true;
  outside.inline_limit = 0;
  const std::string paths[] = {folder.path("plain.onnx"), folder.path("half.onnx"), folder.path("outside.onnx")};
  ASSERT_TRUE(write_onnx(g, paths[0], unsynced()));
  ASSERT_TRUE(write_onnx(g, paths[1], half));
  const auto parts = write_onnx(g, paths[2], outside);
  ASSERT_TRUE(parts);
  EXPECT_THAT(parts->files, ElementsAre(paths[2], paths[2] + ".data"));
  EXPECT_LT(contents(paths[1]).size() + 8000, contents(paths[0]).size());
  const onnx::ModelProto m = checked(paths[2]);
  size_t external = 0;
  for (const onnx::TensorProto& t : m.graph().initializer()) {
    if (t.data_location() != onnx::TensorProto::EXTERNAL) continue;
    ++external;
    EXPECT_EQ(t.external_data(0).value(), "outside.onnx.data");
    EXPECT_EQ(std::stoll(t.external_data(1).value()) % 64, 0);
    EXPECT_FALSE(t.has_raw_data());
  }
  EXPECT_EQ(external, 3u);  // small ones stay, so that shapes can be inferred
  if (onnx_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON has no onnx and onnxruntime";
  expect_forms(run_onnx(folder.path(), {{paths[0], {image}}, {paths[1], {image}}, {paths[2], {image}}}), wanted, 1e-5);
}

// A tied token table is one initialiser; the product reads it through a Transpose. Two of equal bytes are one as well.
TEST(OnnxWriter, TiedTableIsStoredOnce) {
  const TempFolder folder;
  Graph g;
  Builder b(g);
  const ValueId ids = g.add_input("ids", {DType::i64, {1, 3}, nullptr});
  const ValueId table = g.add_constant("table", ramp({2500, 8}, 1e-4F));
  const ValueId x = b.op("gather", {table, ids}, {{"axis", 0}});
  const ValueId y = b.op("linear", {x, table});
  const ValueId z = b.op("gather", {g.add_constant("copy", ramp({2500, 8}, 1e-4F)), ids}, {{"axis", 0}});
  g.set_outputs({y, z});
  ASSERT_FALSE(b.failed());
  const std::string path = folder.path("a.onnx");
  ASSERT_TRUE(write_onnx(g, path, unsynced()));
  const onnx::ModelProto m = checked(path);
  int tables = 0;
  for (const onnx::TensorProto& t : m.graph().initializer()) tables += t.raw_data().size() == 80000;
  EXPECT_EQ(tables, 1);
  if (onnx_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON has no onnx and onnxruntime";
  const Tensor in = Tensor::of<int64_t>({1, 3}, {7, 0, 2499});
  const std::vector<Tensor> wanted = run(g, {in});
  const auto results = run_onnx(folder.path(), {{path, {in}}});
  ASSERT_TRUE(results) << to_text(results.error());
  ASSERT_EQ((*results)[0].error, "");
  for (size_t k = 0; k < 2; ++k) expect_near((*results)[0].outputs[k], wanted[k], 1e-5);
}

// Outputs that are inputs, constants or the same value twice become values of their own.
TEST(OnnxWriter, OddOutputs) {
  const TempFolder folder;
  const OddOutputsGraph odd;
  ASSERT_TRUE(write_onnx(odd.graph, folder.path("a"), unsynced()));
  checked(folder.path("a"));
  if (onnx_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON has no onnx and onnxruntime";
  expect_outputs(run_onnx(folder.path(), {{folder.path("a"), odd.inputs}}), run(odd.graph, odd.inputs), 0);
}

// Names that the writer would make up may be taken already.
TEST(OnnxWriter, NamesStayUnique) {
  const TempFolder folder;
  Graph g;
  Builder b(g);
  const ValueId x = g.add_input("y/Sigmoid", {DType::f32, {4}, nullptr});
  const ValueId y = b.op("silu", {x}), z = b.op("silu", {y});
  g.rename(y, "y");
  g.rename(z, "y/Sigmoid_1");
  g.set_outputs({z});
  ASSERT_TRUE(write_onnx(g, folder.path("a"), unsynced()));
  const onnx::ModelProto m = checked(folder.path("a"));
  std::set<std::string> names;
  for (const auto& n : m.graph().node()) EXPECT_TRUE(names.insert(n.output(0)).second) << n.output(0);
  EXPECT_FALSE(names.contains("y/Sigmoid"));
}

TEST(OnnxWriter, RefusesWhatHalfCannotHold) {
  const TempFolder folder;
  Graph g;
  Builder b(g);
  const ValueId x = g.add_input("x", {DType::f32, {1, 32}, nullptr});
  Tensor w = Tensor::zeros(DType::f32, {64, 32});
  w.mut<float>()[5] = 1e6F;
  g.set_outputs({b.op("linear", {x, g.add_constant("heavy", std::move(w))})});
  OnnxOptions o = unsynced();
  o.float16 = true;
  const auto s = write_onnx(g, folder.path("a"), o);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, &diag::not_representable);
  EXPECT_THAT(s.error().where.tensor, HasSubstr("heavy"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("a")));
}

TEST(OnnxWriter, NamesEveryRefusal) {
  Graph g;
  Builder b(g);
  const ValueId x = g.add_input("x", {DType::f32, {4}, nullptr});
  const ValueId a = b.op("erfinv", {x}), c = b.op("relu", {a}), d = b.op("lgamma", {c});
  g.set_outputs({d});
  const TempFolder folder;
  const auto s = write_onnx(g, folder.path("a"), unsynced());
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, &diag::not_representable);
  ASSERT_EQ(s.error().notes.size(), 2u);
  EXPECT_EQ(s.error().notes[0].where.node, "erfinv");
  EXPECT_EQ(s.error().notes[1].where.node, "lgamma");
  EXPECT_TRUE(onnx_refusal(g, g.value(a).producer, 17).has_value());
  EXPECT_TRUE(onnx_operators(g, g.value(a).producer, 17).empty());
  EXPECT_THAT(onnx_operators(g, g.value(c).producer, 17), ElementsAre("Relu"));
}

TEST(OnnxWriter, BadRequests) {
  const auto place = write_onnx(network(), "/nonexistent/folder/a.onnx", unsynced());
  ASSERT_FALSE(place);
  EXPECT_EQ(place.error().code, &diag::not_writable);
  for (const int opset : {10, 18}) {
    const auto s = write_onnx(network(), "/nonexistent/a.onnx", unsynced(opset));
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().code, &diag::usage);
  }
}

}  // namespace
}  // namespace npuport::testing
