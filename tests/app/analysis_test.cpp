#include "app/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/legality.h"
#include "ir/text.h"

namespace npuport::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct Example {
  Target target = *load_target("mt8371");
  Ledger ledger;
  Graph graph = *parse_graph(R"(graph "g" {
    input %x: f32[1,4]
    %a: f32[1,4] = add(%x, %x) @"net" "net.py:3" "aten::add"
    %f: f32[1,4] = floor(%a) @"net" "net.py:4" "aten::floor"
    %s: f32[1,4] = sin(%f) @"net|x" "net.py:5" "aten::sin"
    output %s
  })");
  Analysis analysis() {
    return analyse("part", graph, target, format_mapper(target), ledger, graph,
                   check(graph, target, format_mapper(target)));
  }
  std::string markdown() { return analysis_markdown({analysis()}, target, {&ledger}); }
  std::string json() { return dump_json(analysis_json({analysis()}, target)); }
};

TEST(AnalysisTest, ListsEveryRefusedOperatorWithReasonAndPlace) {
  Example e;
  const Analysis a = e.analysis();
  ASSERT_EQ(a.entries.size(), 3U);
  EXPECT_EQ(a.entries[0].op, "floor");
  EXPECT_EQ(a.entries[0].status, "impossible");
  EXPECT_THAT(a.entries[0].reason, HasSubstr("does not run FLOOR"));
  EXPECT_THAT(a.entries[1].reason, HasSubstr("no list"));
  EXPECT_EQ(a.entries[2].status, "ok");
  EXPECT_FALSE(a.feasible());
  EXPECT_THAT(e.markdown(), HasSubstr("| floor | FLOOR | 1 | net.py:4 in net |"));
  EXPECT_THAT(e.markdown(), HasSubstr("net\\|x"));
}

TEST(AnalysisTest, DecisionsAreReadBackFromEitherFile) {
  Example e;
  const std::string md = e.markdown(), json = e.json();
  EXPECT_TRUE(read_decisions(md, md, json, json)->empty());
  std::string edited = md;
  const size_t row = edited.find("| floor |");
  edited.replace(edited.find("| auto |", row), 8, "| keep |");
  EXPECT_THAT(*read_decisions(edited, md, json, json), UnorderedElementsAre(Pair("part/floor", "keep")));
  std::string edited_json = json;
  edited_json.replace(edited_json.find("\"auto\""), 6, "\"host\"");
  EXPECT_THAT(*read_decisions(md, md, edited_json, json), UnorderedElementsAre(Pair("part/floor", "host")));
  const auto both = read_decisions(edited, md, edited_json, json);
  ASSERT_FALSE(both);
  EXPECT_THAT(both.error().message, HasSubstr("both edited, differently"));
  EXPECT_FALSE(read_decisions("", "", "{", ""));
}

}  // namespace
}  // namespace npuport::app
