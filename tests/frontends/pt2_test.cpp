// Archives of torch.export.save: the fixtures of tests/fixtures/make_pt2.py against PyTorch's outputs, and damaged
// ones.
#include "frontends/pt2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/zip.h"
#include "frontends/torchscript_suite.h"
#include "support/paths.h"
#include "support/temp_folder.h"

namespace npuport::testing {
namespace {

using ::testing::HasSubstr;

std::string fixture(const std::string& name) { return source_dir() + "/tests/fixtures/pt2/" + name; }

struct Fixture {
  const char* file;
  const char* samples;
};
const Fixture kFixtures[] = {
    {"torch2.1_conv.pt2", "torch2.1_conv.npz"},
    {"torch2.1_attention.pt2", "torch2.1_attention.npz"},
    {"torch2.1_tied.pt2", "torch2.1_tied.npz"},
    {"torch2.3_conv.pt2", "torch2.3_conv.npz"},
    {"torch2.3_attention.pt2", "torch2.3_attention.npz"},  // attention as the kernel PyTorch chose
    {"torch2.3_tied.pt2", "torch2.3_tied.npz"},
    {"torch2.5_conv.pt2", "torch2.5_conv.npz"},
    {"torch2.5_attention.pt2", "torch2.5_attention.npz"},
    {"torch2.5_tied.pt2", "torch2.5_tied.npz"},
    {"torch2.7_conv.pt2", "torch2.7_conv.npz"},
    {"torch2.7_attention.pt2", "torch2.7_attention.npz"},
    {"torch2.7_tied.pt2", "torch2.7_tied.npz"},
    {"conv.pt2", "conv.npz"},
    {"attention.pt2", "attention.npz"},
    {"free.pt2", "free.npz"},
    {"core_attention.pt2", "attention.npz"},
    {"synthetic_flat_conv.pt2", "conv.npz"},
    {"synthetic_flat_attention.pt2", "attention.npz"},
    {"synthetic_flat_free.pt2", "free.npz"},
};

TEST(Pt2Test, FixturesComputeWhatPyTorchComputed) {
  for (const Fixture& f : kFixtures) {
    const Result<NpzReader> npz = NpzReader::open(fixture(f.samples));
    ASSERT_TRUE(npz) << to_text(npz.error());
    const auto in = test::numbered(*npz, "in."), want = test::numbered(*npz, "out.");
    ASSERT_TRUE(in && want);
    const Result<ImportedModel> model = import_pt2(fixture(f.file), test::options_for(*in));
    ASSERT_TRUE(model) << f.file << ": " << to_text(model.error());
    ASSERT_TRUE(model->opaque.empty()) << f.file << ": " << model->opaque.front().foreign;
    EXPECT_TRUE(verify(model->graph, Stage::imported)) << f.file;
    const auto got = execute(model->graph, *in);
    ASSERT_TRUE(got) << f.file << ": " << to_text(got.error());
    const Comparison c = compare_all(*got, *want, Gate{});
    EXPECT_EQ(c.verdict, Verdict::pass) << f.file << ": " << c.reason << " " << c.max_diff;
  }
}

TEST(Pt2Test, NodesKnowWhereTheyComeFromAndWeightsTheirNames) {
  const Result<ImportedModel> model = import_pt2(fixture("conv.pt2"), {});
  ASSERT_TRUE(model) << to_text(model.error());
  bool conv = false, named = false;
  const Graph& g = model->graph;
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    if (n.op->name != "conv2d") continue;
    ASSERT_FALSE(n.origins.empty());
    conv = n.origins[0].scope == "conv" && n.origins[0].foreign == "aten::conv2d";
    EXPECT_THAT(n.origins[0].source, HasSubstr(".py:"));
    named = g.value(n.inputs[1]).name == "conv.weight";
  }
  EXPECT_TRUE(conv);
  EXPECT_TRUE(named);
}

TEST(Pt2Test, InspectSaysWhatTheFileIs) {
  const Result<FileFacts> facts = frontend_for(fixture("attention.pt2")).value()->inspect(fixture("attention.pt2"));
  ASSERT_TRUE(facts) << to_text(facts.error());
  EXPECT_EQ(facts->format, "pt2");
  EXPECT_THAT(facts->detail, HasSubstr("torch.export"));
  ASSERT_EQ(facts->inputs.size(), 1u);
  EXPECT_EQ(facts->inputs[0].name, "ids");
  EXPECT_EQ(facts->inputs[0].type, (TensorType{DType::i64, {1, 6}, nullptr}));
  EXPECT_GT(facts->parameters, 300);
  EXPECT_FALSE(facts->operators.empty());
}

TEST(Pt2Test, SymbolicSizesNeedAShapeAndFixedOnesMustAgree) {
  const Result<ImportedModel> open = import_pt2(fixture("free.pt2"), {});
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code, &diag::dynamic_shape);
  ImportOptions options;
  options.inputs.push_back({"x", {DType::f32, {2, 10, 3}, nullptr}});
  const Result<ImportedModel> longer = import_pt2(fixture("free.pt2"), options);
  ASSERT_TRUE(longer) << to_text(longer.error());
  EXPECT_EQ(longer->graph.shape(longer->graph.outputs()[0]), (Shape{2, 30}));
  options.inputs[0].type.shape = {3, 10, 3};
  const Result<ImportedModel> wrong = import_pt2(fixture("free.pt2"), options);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, &diag::shape_mismatch);
}

// The fixture with one entry's text changed, or the entry left out.
std::shared_ptr<const MappedFile> changed(const std::string& file, const std::string& suffix,
                                          const std::function<std::optional<std::string>(std::string)>& change) {
  const auto mapped = MappedFile::open(fixture(file)).value();
  const ZipReader zip = ZipReader::open(mapped).value();
  std::string out;
  ZipWriter w([&](std::span<const std::byte> b) {
    out.append(reinterpret_cast<const char*>(b.data()), b.size());
    return Status();
  });
  for (const ZipEntry& e : zip.entries()) {
    const ZipBytes bytes = zip.read(e).value();
    std::optional<std::string> text(std::in_place, reinterpret_cast<const char*>(bytes.bytes.data()),
                                    bytes.bytes.size());
    if (e.name.ends_with(suffix)) text = change(*text);
    if (text) {
      EXPECT_TRUE(w.add(e.name, std::as_bytes(std::span(text->data(), text->size()))));
    }
  }
  EXPECT_TRUE(w.finish());
  return MappedFile::from_bytes(out, "changed.pt2");
}

std::shared_ptr<const MappedFile> edited(const std::function<void(Json&)>& edit) {
  return changed("conv.pt2", "models/model.json", [&](std::string text) -> std::optional<std::string> {
    Json j = parse_json(text).value();
    edit(j);
    return dump_json(j);
  });
}

const DiagCode* code_of(std::shared_ptr<const MappedFile> file) {
  const Result<ImportedModel> r = import_pt2(std::move(file), {});
  return r ? nullptr : r.error().code;
}

TEST(Pt2Test, DamagedFilesAreErrors) {
  EXPECT_EQ(code_of(edited([](Json&) {})), nullptr);
  EXPECT_EQ(code_of(edited([](Json& j) { j["schema_version"]["major"] = 99; })), &diag::newer_version);
  EXPECT_EQ(code_of(edited([](Json& j) { j.erase("graph_module"); })), &diag::corrupt);
  EXPECT_EQ(code_of(edited([](Json& j) { j["graph_module"]["graph"]["nodes"] = 7; })), &diag::corrupt);
  EXPECT_EQ(code_of(edited([](Json& j) { j["graph_module"]["graph"]["nodes"].erase(0); })), &diag::corrupt);
  EXPECT_EQ(
      code_of(edited([](Json& j) { j["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = Json::object(); })),
      &diag::corrupt);
  EXPECT_EQ(code_of(edited([](Json& j) { j["graph_module"]["signature"].erase("input_specs"); })), &diag::corrupt);
  EXPECT_EQ(
      code_of(changed("conv.pt2", "models/model.json", [](std::string) { return std::optional<std::string>("{"); })),
      &diag::syntax);
  EXPECT_EQ(code_of(changed("conv.pt2", "weight_0", [](std::string) { return std::nullopt; })), &diag::missing_entry);
  EXPECT_NE(code_of(changed("conv.pt2", "weight_0", [](std::string s) { return std::optional(s.substr(0, 4)); })),
            nullptr);
  EXPECT_NE(code_of(changed("synthetic_flat_conv.pt2", "state_dict.pt",
                            [](std::string s) { return std::optional(s.substr(0, s.size() / 2)); })),
            nullptr);
}

TEST(Pt2Test, OperatorsWithoutARowAreListedTogether) {
  const auto file =
      edited([](Json& j) { j["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.mylib.one.default"; });
  const Result<ImportedModel> r = import_pt2(file, {});
  if (r) {
    ASSERT_EQ(r->opaque.size(), 1u);
    EXPECT_EQ(r->opaque[0].foreign, "mylib::one");
  } else {
    EXPECT_EQ(r.error().code, &diag::unsupported_op) << to_text(r.error());
  }
}

}  // namespace
}  // namespace npuport::testing
