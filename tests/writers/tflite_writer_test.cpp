// The written file as a whole: frame, float16, large files, borders, determinism, damage.
#include "writers/tflite_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/diag_codes.h"
#include "exec/executor.h"
#include "frontends/tflite.h"
#include "frontends/tflite_file.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "support/litert.h"
#include "writers/written_file.h"

namespace npuport::testing {
namespace {

// Two channels-last convolutions and a linear layer: the second filter is large enough for float16.
Graph network() {
  Graph g;
  g.name = "net";
  Builder b(g);
  const ValueId x = g.add_input("image", {DType::f32, {1, 8, 8, 3}, nullptr});
  const std::vector<Attr> same{{"pad_begin", Ints{1, 1}}, {"pad_end", Ints{1, 1}}, {"layout", "nhwc"}};
  const ValueId w1 = g.add_constant("w1", ramp({16, 3, 3, 3}, 1e-3F)),
                w2 = g.add_constant("w2", ramp({16, 16, 3, 3}, 1e-4F));
  ValueId y = b.op("relu", {b.op("conv2d", {x, w1}, same)});
  y = b.op("conv2d", {y, w2, g.add_constant("b2", ramp({16}, 0.1F))}, same);
  y = b.op("reduce_mean", {y}, {{"axes", Ints{1, 2}}});
  y = b.op("linear", {y, g.add_constant("w3", ramp({5, 16}, 0.01F))});
  g.rename(y, "scores");
  g.set_outputs({y});
  EXPECT_FALSE(b.failed());
  return g;
}

TfliteOptions unsynced() {
  TfliteOptions o;
  o.sync = false;
  return o;
}

TEST(TfliteWriter, FrameOfTheFile) {
  const TempFolder folder;
  Graph g = network();
  g.metadata["npuport.io"] = R"({"version": 1})";
  g.metadata["other"] = "stays here";
  ASSERT_TRUE(write_tflite(g, folder.path("a.tflite"), unsynced()).ok());
  const auto f = open_tflite(folder.path("a.tflite"));
  ASSERT_TRUE(f.ok()) << to_text(f.error());
  EXPECT_TRUE(f->buffers[0].empty());
  EXPECT_TRUE(f->description.starts_with("npuport "));
  EXPECT_EQ(f->metadata.at("npuport.io"), R"({"version": 1})");
  EXPECT_EQ(f->metadata.at("min_runtime_version").size(), 16u);
  EXPECT_FALSE(f->metadata.contains("other"));
  ASSERT_EQ(f->signatures.size(), 1u);
  EXPECT_EQ(f->signatures[0].key, "serving_default");
  EXPECT_EQ(f->signatures[0].inputs[0].first, "image");
  EXPECT_EQ(f->signatures[0].outputs[0].first, "scores");
  for (size_t i = 1; i < f->buffers.size(); ++i) {
    EXPECT_EQ((f->buffers[i].data() - f->file->bytes().data()) % 16, 0) << i;
  }
  const auto m = import_tflite(folder.path("a.tflite"), {});
  ASSERT_TRUE(m.ok());
  EXPECT_EQ(m->graph.metadata.at("npuport.io"), R"({"version": 1})");
  EXPECT_EQ(m->graph.name, "net");
}

TEST(TfliteWriter, SameBytesEveryTime) {
  const TempFolder folder;
  const Graph g = network();
  ASSERT_TRUE(write_tflite(g, folder.path("a"), unsynced()).ok());
  ASSERT_TRUE(write_tflite(g.compacted(), folder.path("b"), unsynced()).ok());
  EXPECT_EQ(contents(folder.path("a")), contents(folder.path("b")));
}

TEST(TfliteWriter, AllFormsAgreeWithLitert) {
  const TempFolder folder;
  const Graph g = network();
  const Tensor image = ramp({1, 8, 8, 3}, 0.01F);
  const Tensor wanted = run(g, {image})[0];
  TfliteOptions plain = unsynced(), half = unsynced(), outside = unsynced();
  half.float16 = true;
  outside.inline_limit = 0;
  const std::string paths[] = {folder.path("plain"), folder.path("half"), folder.path("outside")};
  ASSERT_TRUE(write_tflite(g, paths[0], plain).ok());
  ASSERT_TRUE(write_tflite(g, paths[1], half).ok());
  ASSERT_TRUE(write_tflite(g, paths[2], outside).ok());
  EXPECT_LT(contents(paths[1]).size() + 4000, contents(paths[0]).size());
  for (const std::string& path : paths) {
    const auto m = import_tflite(path, {});
    ASSERT_TRUE(m.ok()) << to_text(m.error());
    expect_near(run(m->graph, {image})[0], wanted, path == paths[1] ? 2e-3 : 1e-5);
  }
  // float16 is invisible to the graph: the weights come back as float32.
  const auto m = import_tflite(paths[1], {});
  EXPECT_EQ(m->graph.node_count(), g.node_count());
  if (litert_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  expect_forms(run_litert({{paths[0], {image}}, {paths[1], {image}}, {paths[2], {image}}}), wanted, 1e-4);
}

// Outputs that are inputs, constants or the same value twice become tensors of their own.
// Constants of equal bytes have one buffer: of one shape they are one tensor, of two shapes two.
TEST(TfliteWriter, EqualBytesAreStoredOnce) {
  const TempFolder folder;
  Graph g;
  Builder b(g);
  const ValueId ids = g.add_input("ids", {DType::i32, {1, 3}, nullptr});
  const auto table = [&](const char* name, Shape shape) { return g.add_constant(name, ramp(std::move(shape), 1e-3F)); };
  const ValueId x = b.op("gather", {table("lookup", {50, 8}), ids}, {{"axis", 0}});
  const ValueId y = b.op("linear", {x, table("head", {50, 8})});
  const ValueId z = b.add(y, b.op("reduce_sum", {b.add(x, table("flat", {50, 1, 8}))}, {{"axes", Ints{0, 1, 2}}}));
  Tensor other = ramp({50, 8}, 1e-3F);
  other.mut<float>()[399] += 1;
  const ValueId last = b.add(z, b.op("linear", {x, g.add_constant("near", std::move(other))}));
  g.set_outputs({last});
  ASSERT_FALSE(b.failed());
  const std::string path = folder.path("a.tflite");
  ASSERT_TRUE(write_tflite(g, path, unsynced()).ok());
  const auto f = open_tflite(path);
  ASSERT_TRUE(f.ok()) << to_text(f.error());
  const auto tables =
      std::count_if(f->buffers.begin(), f->buffers.end(), [](auto bytes) { return bytes.size() == 1600; });
  EXPECT_EQ(tables, 2);  // the table, and the one with a different number at its end
  const Tensor in = Tensor::of<int32_t>({1, 3}, {7, 0, 49});
  const Tensor wanted = run(g, {in})[0];
  const auto m = import_tflite(path, {});
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  expect_near(run(m->graph, {in})[0], wanted, 1e-5);
  if (litert_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  const auto results = run_litert({{path, {in}}});
  ASSERT_TRUE(results.ok()) << to_text(results.error());
  ASSERT_EQ((*results)[0].error, "");
  expect_near((*results)[0].outputs[0], wanted, 1e-4);
}

TEST(TfliteWriter, OddOutputs) {
  const TempFolder folder;
  const OddOutputsGraph odd;
  ASSERT_TRUE(write_tflite(odd.graph, folder.path("a"), unsynced()).ok());
  const auto wanted = run(odd.graph, odd.inputs);
  const auto m = import_tflite(folder.path("a"), {});
  ASSERT_TRUE(m.ok()) << to_text(m.error());
  const auto again = run(m->graph, odd.inputs);
  ASSERT_EQ(again.size(), 4u);
  for (size_t k = 0; k < 4; ++k) EXPECT_TRUE(identical(again[k], wanted[k])) << k;
  if (litert_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  expect_outputs(run_litert({{folder.path("a"), odd.inputs}}), wanted, 0);
}

TEST(TfliteWriter, RefusesWhatHalfCannotHold) {
  const TempFolder folder;
  Graph g;
  Builder b(g);
  const ValueId x = g.add_input("x", {DType::f32, {1, 32}, nullptr});
  Tensor w = Tensor::zeros(DType::f32, {64, 32});
  w.mut<float>()[5] = 1e6F;
  g.set_outputs({b.op("linear", {x, g.add_constant("heavy", std::move(w))})});
  TfliteOptions o = unsynced();
  o.float16 = true;
  const Status s = write_tflite(g, folder.path("a"), o);
  ASSERT_FALSE(s.ok());
  EXPECT_EQ(s.error().code, &diag::not_representable);
  EXPECT_EQ(s.error().where.tensor, "heavy");
  EXPECT_FALSE(std::filesystem::exists(folder.path("a")));
}

TEST(TfliteWriter, NamesEveryRefusal) {
  Graph g;
  Builder b(g);
  const ValueId x = g.add_input("x", {DType::f32, {4}, nullptr});
  const ValueId a = b.op("erf", {x}), c = b.op("relu", {a}), d = b.op("tan", {c});
  g.set_outputs({d});
  const TempFolder folder;
  const Status s = write_tflite(g, folder.path("a"), unsynced());
  ASSERT_FALSE(s.ok());
  EXPECT_EQ(s.error().code, &diag::not_representable);
  ASSERT_EQ(s.error().notes.size(), 2u);
  EXPECT_EQ(s.error().notes[0].where.node, "erf");
  EXPECT_EQ(s.error().notes[1].where.node, "tan");
}

TEST(TfliteWriter, UnwritablePlace) {
  const Status s = write_tflite(network(), "/nonexistent/folder/a.tflite", unsynced());
  ASSERT_FALSE(s.ok());
  EXPECT_EQ(s.error().code, &diag::not_writable);
}

TEST(TfliteWriter, DamagedFilesGiveErrors) {
  const TempFolder folder;
  ASSERT_TRUE(write_tflite(network(), folder.path("a"), unsynced()).ok());
  const std::string good = contents(folder.path("a"));
  std::mt19937 random(3);
  const auto pick = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good.substr(0, i % 4 == 0 ? pick(good.size()) : good.size());
    for (size_t k = 0; k < 3 && !bad.empty(); ++k)
      bad[pick(std::min<size_t>(bad.size(), 3000))] = static_cast<char>(pick(256));
    const auto r = import_tflite(MappedFile::from_bytes(std::move(bad), "bad"), {});
    if (r) continue;
    EXPECT_NE(r.error().code->exit_code, 4) << to_text(r.error());
  }
}

}  // namespace
}  // namespace npuport::testing
