// The demo archives and the models that tests/models makes, against PyTorch's outputs.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "exec/baseline.h"
#include "frontends/torchscript_suite.h"
#include "support/paths.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

// As test::run_archive, for samples with partial baselines too.
void expect_equal(const std::string& archive, const std::string& sample, const Gate& gate) {
  const Result<NamedTensors> arrays = read_npz(sample);
  ASSERT_TRUE(arrays.ok()) << to_text(arrays.error());
  const Result<NpzReader> npz = NpzReader::open(sample);
  ASSERT_TRUE(npz.ok());
  const Result<std::vector<Tensor>> in = test::numbered(*npz, "in.");
  ASSERT_TRUE(in.ok()) << to_text(in.error());
  const Result<std::vector<Baseline>> want = read_baselines(*arrays);
  ASSERT_TRUE(want.ok()) << to_text(want.error());
  const Result<ImportedModel> model = test::import_with_sample(archive, *in);
  ASSERT_TRUE(model.ok()) << to_text(model.error());
  for (const OpaqueOperator& o : model->opaque) ADD_FAILURE() << "no mapping for " << o.foreign;
  if (!model->opaque.empty()) return;
  const Result<std::vector<Tensor>> got = execute(model->graph, *in);
  ASSERT_TRUE(got.ok()) << to_text(got.error());
  const Comparison c = compare_all(*got, *want, gate);
  EXPECT_EQ(c.verdict, Verdict::pass) << c.reason;
}

void expect_demo(const std::string& project, const std::string& part, const Gate& gate) {
  const std::string folder = source_dir() + "/demo/" + project;
  for (const char* sample : {"000", "001"}) {
    SCOPED_TRACE(sample);
    expect_equal(folder + "/" + part + ".pt", folder + "/samples/" + part + "/" + sample + ".npz", gate);
  }
}

TEST(DemoArchives, WhisperEncoder) { expect_demo("whisper-nano", "encoder", {}); }
TEST(DemoArchives, WhisperDecoder) { expect_demo("whisper-nano", "decoder", {}); }
TEST(DemoArchives, Edsr) { expect_demo("edsr-nano", "edsr", {.kind = GateKind::image, .peak = 255}); }

// index.json of make_models.py: name → group.
Result<std::map<std::string, std::string>> made(const fs::path& folder) {
  NPU_ASSIGN(const std::string text, read_file((folder / "index.json").string(), uint64_t{1} << 24));
  NPU_ASSIGN(const Json index, parse_json(text, "index.json"));
  std::map<std::string, std::string> out;
  for (const auto& [name, facts] : index.items()) out[name] = facts.at("group").get<std::string>();
  return out;
}

void run_all(const fs::path& folder, const std::string& only_group, size_t at_least) {
  const auto models = made(folder);
  ASSERT_TRUE(models.ok()) << to_text(models.error());
  size_t count = 0;
  for (const auto& [name, group] : *models) {
    if (!only_group.empty() && group != only_group) continue;
    SCOPED_TRACE(name);
    expect_equal((folder / (name + ".pt")).string(), (folder / (name + ".npz")).string(), {});
    ++count;
  }
  EXPECT_GE(count, at_least);
}

TEST(MadeModels, EverydayListEqualsPyTorch) {
  const char* set = std::getenv("NPUPORT_TEST_TORCH_PYTHON");
  const std::string python = set ? set : "/usr/bin/python3";
  if (!fs::exists(python)) GTEST_SKIP() << "no Python with PyTorch (NPUPORT_TEST_TORCH_PYTHON)";
  const fs::path folder = fs::path(binary_dir()) / "test-models";
  ProcessOptions p;
  p.argv = {python, "-W", "ignore", source_dir() + "/tests/models/make_models.py", "--ci", "--out", folder.string()};
  p.timeout = std::chrono::seconds(600);
  const Result<ProcessResult> r = run_process(p);
  ASSERT_TRUE(r.ok()) << to_text(r.error());
  if (r->err.find("No module named 'torch'") != std::string::npos) GTEST_SKIP() << python << " has no PyTorch";
  ASSERT_TRUE(r->ok()) << r->err;
  run_all(folder, "ci", 40);
}

}  // namespace
}  // namespace npuport
