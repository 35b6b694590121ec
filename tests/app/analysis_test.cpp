#include "app/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ir/text.h"
#include "target/legality.h"

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
  Decisions decisions;
  Analysis analysis() {
    return analyse("part", graph, target, format_mapper(target), ledger, graph,
                   check(graph, target, format_mapper(target)), decisions);
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

// What is left after rewriting may be refused for another reason than at first: reason and source belong together.
TEST(AnalysisTest, AReasonComesWithItsOwnSource) {
  Example e;
  e.target = *parse_target(
      "version = 1\nname = \"mine\"\nextends = \"mt8371\"\n[[rule]]\nid = \"short\"\nop = \"conv2d\"\nrequire = "
      "\"out0.shape[1] < 2\"\nwhy = \"Rows are short\"\nsource = \"my notes\"\nconfidence = \"assumed\"\n",
      "mine.toml");
  e.graph = *parse_graph(R"(graph "g" {
    input %x: f32[1,3,4,4]
    const %w: f32[2,3,1,1] = [1.0,2.0,3.0,4.0,5.0,6.0]
    %y: f32[1,2,4,4] = conv2d(%x, %w) @"net" "net.py:3" "aten::conv2d"
    output %y
  })");
  const Graph prepared = *parse_graph(R"(graph "g" {
    input %x: f32[1,4,4,3]
    const %w: f32[2,3,1,1] = [1.0,2.0,3.0,4.0,5.0,6.0]
    %y: f32[1,4,4,2] = conv2d(%x, %w) layout="nhwc" @"net" "net.py:3" "aten::conv2d"
    output %y
  })");
  const FormatMapper format = format_mapper(e.target);
  const Analysis a = analyse("part", e.graph, e.target, format, e.ledger, prepared, check(prepared, e.target, format));
  ASSERT_EQ(a.entries.size(), 1U);
  EXPECT_THAT(a.entries[0].reason, HasSubstr("Rows are short"));
  EXPECT_EQ(a.entries[0].source, "my notes (assumed)");
  EXPECT_EQ(e.target.title, "mine, from MediaTek MT8371 (Genio 520)");
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

TEST(AnalysisTest, ADecisionHoldsForThePlacesOfItsRow) {
  Example e;
  e.graph = *parse_graph(R"(graph "g" {
    input %x: f32[1,4]
    %a: f32[1,4] = floor(%x) @"net.0" "net.py:3" "aten::floor"
    %b: f32[1,4] = floor(%a) @"net.1" "net.py:4" "aten::floor"
    %c: f32[1,4] = floor(%b) @"net.2" "net.py:4" "aten::floor"
    output %c
  })");
  const std::string md = e.markdown(), json = e.json();
  const size_t row = md.find("| floor |");
  std::string own = md.substr(row, md.find('\n', row) + 1 - row);
  EXPECT_THAT(own, HasSubstr("net.py:3 in net.0; net.py:4 in net.1; net.py:4 in net.2"));
  const auto with_row = [&](const std::string& places) {
    std::string copy = own;
    const size_t from = copy.find("net.py"), to = copy.find(" |", from);
    copy.replace(from, to - from, places);
    copy.replace(copy.find("| auto |"), 8, "| keep |");
    return std::string(md).insert(row, copy);
  };
  const Origin first{"net.0", "net.py:3", ""}, second{"net.1", "net.py:4", ""}, third{"net.2", "net.py:4", ""};
  const auto kept = [&](const Decisions& d) {
    std::string out;
    for (const Origin* o : {&first, &second, &third})
      out += find_decision(d, "part", "floor", o) ? find_decision(d, "part", "floor", o)->second + " " : "- ";
    return out;
  };
  EXPECT_EQ(kept(*read_decisions(with_row("net.py:4 in net.1"), md, json, json)), "- keep - ");
  EXPECT_EQ(kept(*read_decisions(with_row("net.py:4"), md, json, json)), "- keep keep ");
  EXPECT_EQ(kept(*read_decisions(with_row("net.2"), md, json, json)), "- - keep ");
  // The JSON says the same at the place itself.
  Json j = Json::parse(json);
  j["parts"][0]["operators"][0]["places"][1]["decision"] = "keep";
  e.decisions = *read_decisions(md, md, dump_json(j), json);
  EXPECT_EQ(kept(e.decisions), "- keep - ");
  // What is written back has a row for each, and reads the same again.
  const Analysis a = e.analysis();
  ASSERT_EQ(a.entries.size(), 2U);
  EXPECT_EQ(a.entries[0].count + a.entries[1].count, 3);
  const std::string md2 = e.markdown(), json2 = e.json();
  EXPECT_EQ(*read_decisions(md2, md2, json2, json2), e.decisions);
  EXPECT_EQ(*read_decisions("", "", json2, json2), e.decisions);
}

}  // namespace
}  // namespace npuport::app
