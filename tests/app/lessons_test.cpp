// Lessons: every one is cited by something, every citation exists, the page says what the table says.
#include "base/lessons.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <regex>
#include <set>

#include "app/cli_support.h"
#include "app/commands.h"
#include "app/plan_lessons.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Ids named in the source outside of the table itself.
std::set<std::string> cited_in_source() {
  std::set<std::string> ids;
  const std::regex id("NPU-[A-Z][0-9]{2}");
  for (const auto& entry : fs::recursive_directory_iterator(source_dir() + "/src")) {
    if (!entry.is_regular_file() || entry.path().filename() == "lessons.h") continue;
    const std::string text = contents(entry.path().string());
    for (auto it = std::sregex_iterator(text.begin(), text.end(), id); it != std::sregex_iterator(); ++it)
      ids.insert(it->str());
  }
  return ids;
}

TEST(Lessons, EachHasItsOwnIdAndSaysEverything) {
  std::set<std::string_view> seen;
  for (const Lesson& l : lessons()) {
    EXPECT_TRUE(seen.insert(l.id).second) << l.id;
    EXPECT_TRUE(std::regex_match(std::string(l.id), std::regex("NPU-[A-Z][0-9]{2}"))) << l.id;
    for (const std::string_view text : {l.title, l.situation, l.cause, l.cure, l.source})
      EXPECT_FALSE(text.empty()) << l.id;
  }
}

TEST(Lessons, EveryLessonIsCitedAndEveryCitationExists) {
  std::set<std::string> table;
  for (const Lesson& l : lessons()) table.emplace(l.id);
  EXPECT_EQ(cited_in_source(), table);
}

TEST(Lessons, ThePageSaysWhatTheTableSays) {
  const std::string page = source_dir() + "/docs/lessons.md";
  if (std::getenv("NPUPORT_UPDATE_GOLDEN")) put(page, app::lessons_markdown());
  EXPECT_EQ(contents(page), app::lessons_markdown()) << "write it anew with NPUPORT_UPDATE_GOLDEN=1";
}

TEST(Lessons, TheVerbListsThemAndTellsOne) {
  const Json all = document(npuport_run({"lessons", "--json"}));
  EXPECT_EQ(all.size(), lessons().size());
  const Ran one = npuport_run({"lessons", "NPU-E01"});
  EXPECT_EQ(one.code, 0);
  EXPECT_THAT(one.out, HasSubstr(std::string(find_lesson("NPU-E01")->cure)));
  EXPECT_EQ(document(npuport_run({"lessons", "NPU-E01", "--json"}))["id"], "NPU-E01");
  const Ran wrong = npuport_run({"lessons", "NPU-E99"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("NPU-E01"));
}

// The ids a plan or report cites, by part where there are parts.
std::set<std::string> ids(const Json& list) {
  std::set<std::string> out;
  for (const Json& l : list) out.insert(l["id"].get<std::string>());
  return out;
}

TEST(Lessons, ThePlanOfWhisperNanoCitesTheEmbeddingAndWhatElseItFollows) {
  const std::string model = demo("whisper-nano") + "/decoder.pt";
  const Ran r = npuport_run(
      {"analyze", model, "--target", "mt8371", "--samples", demo("whisper-nano") + "/samples/decoder", "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json plan = document(r)["parts"][0];
  EXPECT_EQ(ids(plan["lessons"]), (std::set<std::string>{"NPU-E01", "NPU-V01", "NPU-T01", "NPU-S01"}));
  EXPECT_THAT(plan["lessons"][0]["because"].get<std::string>(), HasSubstr("token_embedding"));
  const Ran text =
      npuport_run({"analyze", model, "--target", "mt8371", "--samples", demo("whisper-nano") + "/samples/decoder"});
  EXPECT_THAT(text.out, HasSubstr("| NPU-E01 | Split the embedding table off | model: embedding"));
}

TEST(Lessons, EqualReasonsOfSeveralPartsStandOnce) {
  app::CitedLessons cited;
  cited.add(lesson("NPU-V01"), "b", "compared");
  cited.add(lesson("NPU-E01"), "a", "a table");
  cited.add(lesson("NPU-V01"), "a", "compared");
  cited.add(lesson("NPU-V01"), "a", "compared");
  const Json j = cited.json();
  ASSERT_EQ(j.size(), 2U);
  EXPECT_EQ(j[0]["id"], "NPU-E01");
  EXPECT_EQ(j[1]["because"], Json::array({"b, a: compared"}));
  EXPECT_THAT(cited.markdown(), HasSubstr("b, a: compared |"));
}

TEST(Lessons, RefusalsCiteTheirs) {
  const Ran tool = npuport_run({"trace", "--template", "whisper"});
  EXPECT_EQ(tool.code, 3);
  EXPECT_THAT(tool.err, HasSubstr("lesson: NPU-T01"));
  const Ran shape = npuport_run({"analyze", demo("whisper-nano") + "/encoder.pt", "--target", "mt8371", "--json"});
  EXPECT_EQ(shape.code, 2);
  EXPECT_EQ(document(shape)["error"]["lesson"], "NPU-S01") << shape.out;
}

}  // namespace
}  // namespace npuport::testing
