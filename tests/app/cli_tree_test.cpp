// A port of a demo leaves exactly the files listed in tests/app/golden/DEMO.txt. NPUPORT_UPDATE_GOLDEN=1 writes the
// lists.
#include <cstdlib>

#include "app/cli_support.h"
#include "support/paths.h"

namespace npuport::testing {
namespace {

class DemoTree : public ::testing::TestWithParam<const char*> {};

TEST_P(DemoTree, IsTheListedOne) {
  const std::string name = GetParam();
  TempFolder folder;
  const Ran r =
      npuport_run({"port", demo(name) + "/port.toml", "-o", folder.path("out")}, {{"NPUPORT_NCC_TFLITE", ""}});
  ASSERT_EQ(r.code, 0) << r.err;
  std::string found;
  for (const auto& [file, hash] : tree(folder.path("out")))
    if (!file.starts_with(".npuport/")) found += file + "\n";  // state and cache: their names are nobody's business
  const std::string list = source_dir() + "/tests/app/golden/" + name + ".txt";
  if (std::getenv("NPUPORT_UPDATE_GOLDEN") != nullptr) put(list, found);
  EXPECT_EQ(found, contents(list)) << "NPUPORT_UPDATE_GOLDEN=1 writes the list";
  size_t pages = 0;
  for (const auto& [file, hash] : tree(folder.path("out")))
    pages += file.find('/') == std::string::npos && file.ends_with("README.md") ? 1 : 0;
  EXPECT_EQ(pages, 1U);
}

INSTANTIATE_TEST_SUITE_P(Demos, DemoTree, ::testing::Values("edsr-nano", "marian-nano", "whisper-nano"),
                         [](const auto& test) {
                           return std::string(test.param).substr(0, std::string(test.param).find('-'));
                         });

}  // namespace
}  // namespace npuport::testing
