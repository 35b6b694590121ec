// Every archive of the shared model suite against PyTorch's own outputs.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "frontends/torchscript_suite.h"
#include "support/paths.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

fs::path suite_folder() {
  const char* shared = std::getenv("NPUPORT_SHARED");
  const fs::path root = shared ? fs::path(shared) : fs::path(source_dir()).parent_path() / "shared";
  return root / "data" / "torchscript";
}

// "name: code: reason" per line: archives that must be refused with that diagnosis.
std::map<std::string, std::string> expected_refusals() {
  std::map<std::string, std::string> out;
  std::ifstream file(source_dir() + "/tests/frontends/torchscript_refusals.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t first = line.find(": "), second = line.find(": ", first + 2);
    out[line.substr(0, first)] = line.substr(first + 2, second - first - 2);
  }
  return out;
}

TEST(TorchScriptSuite, EveryArchiveEqualsPyTorchOrIsRefusedForItsReason) {
  const fs::path folder = suite_folder();
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there (set NPUPORT_SHARED)";
  std::vector<std::string> archives;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".pt") archives.push_back(entry.path().string());
  std::sort(archives.begin(), archives.end());
  const std::map<std::string, std::string> refusals = expected_refusals();
  size_t equal = 0;
  std::string table;
  for (const std::string& archive : archives) {
    const std::string name = fs::path(archive).stem().string();
    const test::SuiteResult r = test::run_archive(archive);
    char line[160];
    std::snprintf(line, sizeof line, "%-28s %-8s %6zu nodes %6.0f ms  ", name.c_str(), test::outcome_name(r.outcome),
                  r.nodes, r.import_ms + r.run_ms);
    table += line + r.detail.substr(0, 200) + "\n";
    equal += r.outcome == test::SuiteResult::equal;
    const auto expected = refusals.find(name);
    if (expected == refusals.end()) {
      EXPECT_EQ(r.outcome, test::SuiteResult::equal) << name << ": " << r.detail;
    } else {
      EXPECT_EQ(r.outcome, test::SuiteResult::refused) << name << " is expected to be refused: " << r.detail;
      EXPECT_EQ(r.code, expected->second) << name << ": " << r.detail;
    }
  }
  std::printf("%s%zu of %zu archives equal PyTorch\n", table.c_str(), equal, archives.size());
  EXPECT_EQ(equal + refusals.size(), archives.size());
}

}  // namespace
}  // namespace npuport
