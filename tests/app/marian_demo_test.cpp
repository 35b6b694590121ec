// The bundled Marian translator ported for the MT8371: nothing refused, caches of four dims, PyTorch's ids.
#include "app/cli_support.h"
#include "support/litert.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;

std::string ported(const TempFolder& folder, std::vector<std::string> more, Json& report) {
  const std::string out = folder.path("o");
  more.insert(more.begin(), {"port", demo("marian-nano/port.toml"), "--target", "mt8371", "-o", out, "--json"});
  const Ran r = npuport_run(more);
  EXPECT_EQ(r.code, 0) << r.err;
  report = document(r);
  return out;
}

TEST(MarianDemo, IsPortedWithoutARefusalAndTranslatesAsPyTorch) {
  const TempFolder folder;
  const std::string litert = litert_python();
  std::vector<std::string> more;
  if (!litert.empty()) more = {"--tool", "litert-python=" + litert};
  Json report;
  const std::string out = ported(folder, more, report);
  for (const Json& s : report["steps"]) {
    if (s["id"] == "quantise" || s["id"] == "compile") continue;
    EXPECT_EQ(s["verdict"], "PASS") << s.dump();
  }
  size_t by_litert = 0;
  for (const Json& c : report["comparisons"]) by_litert += c["what"] == "LiteRT = rewritten" ? 1 : 0;
  EXPECT_EQ(by_litert, litert.empty() ? 0u : 6u) << "three parts, two samples each";
  size_t sentences = 0;
  for (const auto& e : fs::directory_iterator(demo("marian-nano/sentences"))) {
    sentences += e.path().extension() == ".npz" ? 1 : 0;
  }
  ASSERT_EQ(report["task"].size(), sentences);
  for (const Json& t : report["task"]) {
    EXPECT_EQ(t["expected"], t["got"]);
    EXPECT_GT(t["got"].size(), 1u);
  }
  const Json m = Json::parse(contents(out + "/models/marian_nano_metadata.json"));
  size_t caches = 0;
  for (const Json& part : m["parts"])
    for (const char* ports : {"inputs", "outputs"})
      for (const Json& port : part[ports]) {
        EXPECT_LE(port["shape"].size(), 4u) << port.dump();
        caches += port["shape"].size() == 4 && port["shape"][0] == 2 ? 1 : 0;
      }
  EXPECT_EQ(caches, 8u) << "two of cross_kv, four into the decoder, two new rows out of it";
  for (const char* file : {"vocab", "source_spm", "target_spm"}) {
    const std::string path = out + "/models/" + m["task"][file]["file"].get<std::string>();
    EXPECT_EQ(m["task"][file]["sha256"], sha256_file(path).value()) << path;
  }
}

TEST(MarianDemo, AnIdThatDiffersFailsTheGate) {
  const TempFolder folder;
  fs::copy(demo("marian-nano"), folder.path("demo"), fs::copy_options::recursive);
  // The rules forbid the end token: no translation ends where PyTorch's did.
  Json rules = Json::parse(contents(folder.path("demo/marian_decode.json")));
  rules["suppress_tokens"].push_back(rules["eos"]);
  put(folder.path("demo/marian_decode.json"), rules.dump());
  const Ran r = npuport_run({"port", folder.path("demo/port.toml"), "-o", folder.path("o"), "--json"});
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_NE(r.out.find("token ids differ at position"), std::string::npos);
}

TEST(MarianDemo, ATaskWithoutSentencesIsUnverifiedButCarriesItsRules) {
  const TempFolder folder;
  fs::copy(demo("marian-nano"), folder.path("demo"), fs::copy_options::recursive);
  std::string toml = contents(folder.path("demo/port.toml"));
  const std::string samples = "[\"sentences/*.npz\"]";
  toml.replace(toml.find(samples), samples.size(), "[]");
  put(folder.path("demo/port.toml"), toml);
  const Ran r = npuport_run({"port", folder.path("demo/port.toml"), "-o", folder.path("o"), "--json"});
  const Json steps = document(r)["steps"];
  ASSERT_EQ(steps.size(), 8u);
  for (const Json& s : steps)
    if (s["id"] == "model_gate") {
      EXPECT_EQ(s["verdict"], "UNVERIFIED") << s.dump();
    }
  const Json m = Json::parse(contents(folder.path("o/models/marian_nano_metadata.json")));
  EXPECT_EQ(m["task"]["decode"]["kind"], "marian_greedy");
}

TEST(MarianDemo, AChangedTokeniserIsCarriedAnew) {
  const TempFolder folder;
  fs::copy(demo("marian-nano"), folder.path("demo"), fs::copy_options::recursive);
  const std::vector<std::string> line{"port", folder.path("demo/port.toml"), "-o", folder.path("o")};
  ASSERT_EQ(npuport_run(line).code, 0);
  put(folder.path("demo/target.spm"), contents(folder.path("demo/source.spm")));
  ASSERT_EQ(npuport_run(line).code, 0);
  EXPECT_EQ(contents(folder.path("o/models/target.spm")), contents(folder.path("demo/source.spm")));
}

TEST(MarianDemo, FilesThatTheRulesNameMustBeThere) {
  const TempFolder folder;
  fs::copy(demo("marian-nano"), folder.path("demo"), fs::copy_options::recursive);
  fs::remove(folder.path("demo/target.spm"));
  const Ran r = npuport_run({"port", folder.path("demo/port.toml"), "-o", folder.path("o")});
  EXPECT_EQ(r.code, 2) << r.err;
  EXPECT_NE(r.err.find("target.spm"), std::string::npos) << r.err;
}

}  // namespace
}  // namespace npuport::testing
