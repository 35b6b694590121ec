#include "app/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/diag_codes.h"

namespace npuport::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A run whose every string is hostile.
PortRun hostile_run(ProjectPart& part) {
  const std::string evil = "<script>alert(1)</script>|\x1b[31m\xff`*";
  PortRun run;
  run.project.name = evil;
  run.target.title = evil;
  part.name = evil;
  run.parts.emplace_back();
  run.parts.back().spec = &part;
  run.parts.back().ledger.add({"fuse", evil, Numerics::exact, evil, evil, evil, evil, {{evil, evil, evil}}, 0.0});
  PortStep s;
  s.number = 1;
  s.id = "import";
  s.title = evil;
  s.verdict = Verdict::fail;
  s.reason = evil;
  Diag d(diag::gate_failed, evil, evil);
  d.where = {evil, evil, evil, evil};
  s.problems.push_back(d);
  s.proofs.push_back({evil, evil, evil, "general", {}, false});
  run.steps.push_back(s);
  run.task_results = Json::array({Json{{"sample", evil}, {"verdict", evil}, {"expected", evil}}});
  return run;
}

TEST(ReportTest, EverythingAModelCanSayIsEscaped) {
  ProjectPart part;
  const Json report = report_json(hostile_run(part));
  const std::string html = report_html(report);
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("\x1b")));
  EXPECT_THAT(html, Not(HasSubstr("\xff")));
  const std::string readme = output_readme(report);
  EXPECT_THAT(readme, Not(HasSubstr("<script>")));
  EXPECT_THAT(readme, Not(HasSubstr("\x1b")));
  EXPECT_THAT(dump_json(report), Not(HasSubstr("\xff")));
}

TEST(ReportTest, SixSectionsInBothForms) {
  ProjectPart part;
  const Json report = report_json(hostile_run(part));
  for (const char* key : {"steps", "comparisons", "files", "problems", "changes", "debug"})
    EXPECT_TRUE(report.contains(key)) << key;
  const std::string html = report_html(report);
  for (const char* title : {"1. Result of each step", "2. Comparison data", "3. Files and sizes",
                            "4. Problems and solutions", "5. What was changed", "6. Debug outputs"})
    EXPECT_THAT(html, HasSubstr(title));
  EXPECT_THAT(html, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_THAT(html, HasSubstr("name=\"viewport\""));
  EXPECT_THAT(html, Not(HasSubstr("http")));  // self-contained
}

TEST(ReportTest, OneRowForEachKindOfComparisonIsItsWorst) {
  ProjectPart part;
  PortRun run = hostile_run(part);
  PortStep& s = run.steps[0];
  s.proofs.clear();
  for (const double diff : {0.25, 0.5, 0.125}) {
    Comparison c;
    c.max_diff = diff;
    s.proofs.push_back({"net", "imported = PyTorch", "s" + std::to_string(diff), "general", c, false});
    s.proofs.push_back({"", "debug/" + std::to_string(diff) + ".npy reloaded", "", "general", {}, false});
  }
  const std::string html = report_html(report_json(run));
  const size_t all = html.find("all 6 comparisons");
  ASSERT_NE(all, std::string::npos);
  const std::string summary = html.substr(0, all);
  EXPECT_THAT(summary, HasSubstr("<td>worst of 3</td><td class=\"n\">0.5</td>"));
  EXPECT_THAT(summary, HasSubstr("debug outputs reloaded"));
  EXPECT_THAT(summary, Not(HasSubstr("0.25</td>")));
  EXPECT_THAT(html.substr(all), HasSubstr("0.25</td>"));
}

TEST(ReportTest, ARunThatStoppedPromisesNothingItDidNotWrite) {
  ProjectPart part;
  const Json report = report_json(hostile_run(part));
  const std::string readme = output_readme(report);
  EXPECT_THAT(readme, Not(HasSubstr("operator_analysis")));
  EXPECT_THAT(readme, Not(HasSubstr("npuport run")));
  EXPECT_THAT(report_html(report), HasSubstr("None: the run stopped before them"));
}

TEST(ReportTest, AnUnmetGateNeverShowsReady) {
  ProjectPart part;
  PortRun run = hostile_run(part);
  run.parts[0].file_name = "models/x.tflite";
  EXPECT_TRUE(report_json(run)["ready"].empty());
  run.steps[0].verdict = Verdict::unverified;
  EXPECT_TRUE(report_json(run)["ready"].empty());
  run.steps[0].verdict = Verdict::pass;
  EXPECT_EQ(report_json(run)["ready"].size(), 1U);
}

TEST(ReportTest, SourceDateEpochLeavesOnlyWhatTheInputsDecide) {
  ProjectPart part;
  ::setenv("SOURCE_DATE_EPOCH", "0", 1);
  const std::string a = dump_json(report_json(hostile_run(part)));
  const std::string b = dump_json(report_json(hostile_run(part)));
  ::unsetenv("SOURCE_DATE_EPOCH");
  EXPECT_EQ(a, b);
  EXPECT_THAT(a, Not(HasSubstr("seconds")));
  EXPECT_TRUE(report_json(hostile_run(part)).contains("measurements"));
}

TEST(ReportTest, ReadmeStaysShort) {
  ProjectPart part;
  PortRun run = hostile_run(part);
  run.steps.resize(8, run.steps[0]);
  const std::string readme = output_readme(report_json(run));
  EXPECT_LE(std::count(readme.begin(), readme.end(), '\n'), 60);
}

}  // namespace
}  // namespace npuport::app
