// The importer on the committed archives: numbers, names, places in the user's code, refusals.
#include "frontends/torchscript.h"

#include <gtest/gtest.h>

#include "frontends/torchscript_suite.h"
#include "support/paths.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

std::string fixture(const std::string& name) { return source_dir() + "/tests/fixtures/torchscript/" + name; }

ImportedModel import_fixture(const std::string& name, const ImportOptions& options = {}) {
  Result<ImportedModel> m = import_torchscript(fixture(name), options);
  EXPECT_TRUE(m.ok()) << (m ? "" : to_text(m.error()));
  return m ? std::move(*m) : ImportedModel{};
}

Diag refusal(const std::string& name, const ImportOptions& options) {
  Result<ImportedModel> m = import_torchscript(fixture(name), options);
  EXPECT_FALSE(m.ok());
  return m ? Diag() : m.error();
}

ImportOptions shapes(std::vector<Shape> list) {
  ImportOptions options;
  for (Shape& s : list) options.inputs.push_back({"", {DType::f32, std::move(s), nullptr}});
  return options;
}

ImportOptions token_ids() {
  ImportOptions options = shapes({{2, 3}});
  options.inputs[0].type.dtype = DType::i64;
  return options;
}

TEST(TorchScriptFixtures, EveryArchiveWithASampleEqualsPyTorch) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(fixture(""))) {
    if (entry.path().extension() != ".npz") continue;
    const std::string archive = fs::path(entry.path()).replace_extension(".pt").string();
    const test::SuiteResult r = test::run_archive(archive);
    EXPECT_EQ(r.outcome, test::SuiteResult::equal) << entry.path().stem() << ": " << r.detail;
    ++count;
  }
  EXPECT_EQ(count, 14u);
}

TEST(TorchScriptImport, WeightsAreNamedByModulePathAndTiedOnesAreOneConstant) {
  const ImportedModel m = import_fixture("tied.pt", token_ids());
  size_t tables = 0;
  bool bias = false;
  for (uint32_t i = 0; i < m.graph.value_slots(); ++i) {
    const Value& v = m.graph.value(ValueId{i});
    if (!v.alive || !v.constant) continue;
    tables += v.constant->shape == Shape{11, 4};
    bias = bias || v.name == "inner.bias";
  }
  EXPECT_EQ(tables, 1u);
  EXPECT_TRUE(bias);
}

TEST(TorchScriptImport, NodesKnowModuleSourceLineAndOperator) {
  const ImportedModel m = import_fixture("tied.pt", token_ids());
  bool found = false;
  for (const NodeId id : m.graph.topological()) {
    const Node& n = m.graph.node(id);
    ASSERT_FALSE(n.origins.empty());
    if (n.origins[0].foreign != "aten::linear" || n.origins[0].scope != "inner") continue;
    found = true;
    // The user's line, not the one inside torch/nn that calls the operator.
    EXPECT_EQ(n.origins[0].source.substr(0, 21), "make_torchscript.py:1") << n.origins[0].source;
  }
  EXPECT_TRUE(found);
}

TEST(TorchScriptImport, DictKeysAndNamedTupleFieldsNameTheOutputs) {
  const ImportedModel m = import_fixture("containers.pt", shapes({{2, 3}, {3}}));
  ASSERT_EQ(m.graph.outputs().size(), 5u);
  EXPECT_EQ(m.graph.value(m.graph.outputs()[0]).name, "scaled_a");
  EXPECT_EQ(m.graph.value(m.graph.outputs()[1]).name, "scaled_b");
  EXPECT_EQ(m.graph.value(m.graph.outputs()[2]).name, "first");
}

TEST(TorchScriptImport, OptionalInputsMayBeLeftOut) {
  const ImportedModel m = import_fixture("containers.pt", shapes({{2, 3}}));
  EXPECT_EQ(m.graph.inputs().size(), 1u);
  EXPECT_EQ(m.graph.outputs().size(), 4u);
}

TEST(TorchScriptImport, ShapesComeFromTheCallerOrAreAskedFor) {
  const ImportedModel m = import_fixture("conv.pt", shapes({{1, 1, 7, 4}}));
  ASSERT_EQ(m.graph.inputs().size(), 1u);
  EXPECT_EQ(m.graph.shape(m.graph.inputs()[0]), (Shape{1, 1, 7, 4}));
  const Diag d = refusal("branches.pt", {});
  EXPECT_EQ(d.code, &diag::dynamic_shape);
  EXPECT_NE(d.message.find("'x'"), std::string::npos);
  EXPECT_NE(d.hint.find("--shape x="), std::string::npos);
}

TEST(TorchScriptImport, TooManyInputsAreRefused) {
  EXPECT_EQ(refusal("conv.pt", shapes({{1, 1, 5, 6}, {3}})).code, &diag::bad_input_data);
}

TEST(TorchScriptImport, TheModelsOwnExceptionIsReportedWithItsMessage) {
  const Diag d = refusal("branches.pt", shapes({{2, 4, 1}}));
  EXPECT_EQ(d.code, &diag::raised);
  EXPECT_NE(d.message.find("expected a matrix, got 3 dimensions"), std::string::npos);
  EXPECT_NE(d.where.source.find("make_torchscript.py:"), std::string::npos);
}

TEST(TorchScriptImport, NumbersAreFixedFromTheSample) {
  ImportOptions options = shapes({{2, 4}, {}});
  options.inputs[1].type.dtype = DType::i64;
  options.inputs[1].value = std::make_shared<const Tensor>(Tensor::scalar<int64_t>(1));
  const ImportedModel m = import_fixture("branches.pt", options);
  EXPECT_EQ(m.graph.shape(m.graph.outputs()[0]), (Shape{2, 4}));  // one layer instead of two
  EXPECT_EQ(m.warnings.size(), 1u);
  EXPECT_EQ(import_fixture("branches.pt", shapes({{2, 4}}))
                .graph.shape(import_fixture("branches.pt", shapes({{2, 4}})).graph.outputs()[0]),
            (Shape{2, 8}));
}

TEST(TorchScriptImport, BranchesOnInputValuesAreRefusedWithTheirLine) {
  const Diag d = refusal("refused_value_branch.pt", shapes({{2, 2}}));
  EXPECT_EQ(d.code, &diag::data_dependent);
  EXPECT_NE(d.message.find("`if`"), std::string::npos);
  EXPECT_FALSE(d.hint.empty());
  EXPECT_FALSE(d.where.tensor.empty());
  EXPECT_EQ(d.where.source, "make_torchscript.py:" + std::to_string(150));
}

TEST(TorchScriptImport, AllUnmappedOperatorsAreListedWithTheirPlaces) {
  const ImportedModel m = import_fixture("refused_unmapped.pt", shapes({{3, 3}}));
  ASSERT_EQ(m.opaque.size(), 2u);
  EXPECT_EQ(m.opaque[0].foreign, "aten::linalg_matrix_exp");
  EXPECT_EQ(m.opaque[0].places.size(), 2u);
  EXPECT_EQ(m.opaque[1].foreign, "aten::igamma");
  EXPECT_NE(m.opaque[1].places[0].source.find("make_torchscript.py:"), std::string::npos);
}

TEST(TorchScriptImport, AnUnknownEntryNamesTheMethods) {
  ImportOptions options = shapes({{2, 4}});
  options.entry = "reset";
  const Diag d = refusal("branches.pt", options);
  EXPECT_EQ(d.code, &diag::missing_entry);
  EXPECT_NE(d.hint.find("forward"), std::string::npos);
}

TEST(TorchScriptImport, TruncatedFilesAreErrors) {
  const Result<std::string> bytes = [] {
    std::FILE* f = std::fopen(fixture("conv.pt").c_str(), "rb");
    std::string all(1 << 16, '\0');
    all.resize(std::fread(all.data(), 1, all.size(), f));
    std::fclose(f);
    return Result<std::string>(all);
  }();
  const std::string path = testing::TempDir() + "/truncated.pt";
  for (size_t size = 0; size < bytes->size(); size += 97) {
    std::FILE* f = std::fopen(path.c_str(), "wb");
    std::fwrite(bytes->data(), 1, size, f);
    std::fclose(f);
    EXPECT_FALSE(import_torchscript(path, {}).ok()) << size;
  }
}

}  // namespace
}  // namespace npuport
