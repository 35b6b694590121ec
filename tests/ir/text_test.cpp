#include "ir/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/support.h"

namespace npuport {
namespace {

using testing::f32;
using ::testing::HasSubstr;

class TextTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::register_test_ops(); }
};

constexpr std::string_view kExample = R"(graph "demo \"one\"" {
  meta "npuport.io" "{}"
  input %x: f32[2]
  const %"odd name": f32[2] = [0.5, -inf]
  %sum: f32[2] = test_add(%x, %"odd name") scale=2.5 tags=[1,-2]
  %y: f32[2] = test_double(%sum)
  output %y, %sum
}
)";

TEST_F(TextTest, PrintsWhatItParsed) {
  const Result<Graph> g = parse_graph(kExample);
  ASSERT_TRUE(g) << to_text(g.error());
  EXPECT_EQ(print(*g), kExample);
  EXPECT_TRUE(verify(*g, Stage::canonical));
}

// While it is parsed the second result goes by a name of its own, %v1, which the first one wants.
TEST_F(TextTest, ResultsNamedLikeFreshValuesKeepTheirNames) {
  constexpr std::string_view kSplit =
      "graph \"t\" {\n  input %x: f32[2]\n  %v1: f32[2], %v2: f32[2] = test_two(%x)\n  output %v2, %v1\n}\n";
  const Result<Graph> g = parse_graph(kSplit);
  ASSERT_TRUE(g) << to_text(g.error());
  EXPECT_EQ(print(*g), kSplit);
}

TEST_F(TextTest, OriginsRoundTrip) {
  Graph g;
  const ValueId x = g.add_input("x", f32({2}));
  const auto id = g.add("test_double", {x}, {}, {{"a.b", "m.py:3", "aten::add"}, {"", "m.py:4", ""}});
  ASSERT_TRUE(id);
  g.set_outputs(g.node(*id).outputs);
  const std::string text = print(g, {.origins = true});
  const Result<Graph> back = parse_graph(text);
  ASSERT_TRUE(back) << to_text(back.error());
  EXPECT_EQ(print(*back, {.origins = true}), text);
}

TEST_F(TextTest, LargeConstantsComeFromTheSource) {
  Graph g;
  Tensor big = Tensor::zeros(DType::f32, {100});
  big.mut<float>()[7] = 3;
  const auto shared = std::make_shared<const Tensor>(big);
  const ValueId c = g.add_constant("w", shared);
  const auto id = g.add("test_double", {c});
  g.set_outputs(g.node(*id).outputs);
  const std::string text = print(g);
  const Result<Graph> with =
      parse_graph(text, [&](std::string_view h) { return h == content_hash(big) ? shared : nullptr; });
  ASSERT_TRUE(with);
  EXPECT_EQ(print(*with), text);
  EXPECT_FALSE(parse_graph(text, [](std::string_view) { return nullptr; }));
  EXPECT_TRUE(parse_graph(text));
}

TEST_F(TextTest, ErrorsNameTheLine) {
  const auto message = [](std::string_view t) {
    const Result<Graph> g = parse_graph(t);
    return g ? std::string("parsed") : g.error().message;
  };
  EXPECT_THAT(message("graph \"g\" {\n  input %x: f32[2]\n  %y = nope(%x)\n  output %y\n}"),
              HasSubstr("line 3: unknown operator nope"));
  EXPECT_THAT(message("graph \"g\" {\n  %y = test_double(%x)\n}"), HasSubstr("%x is not defined"));
  EXPECT_THAT(message("graph \"g\" {\n input %x: f32[2]\n %y: f32[3] = test_double(%x)\n output %y\n}"),
              HasSubstr("f32[2], not f32[3]"));
  EXPECT_THAT(message("graph \"g\" {\n input %x: f32[2]\n input %x: f32[2]\n output %x\n}"), HasSubstr("twice"));
  EXPECT_THAT(message("graph \"g\" { input %x: f32[-2]\n output %x }"), HasSubstr("negative"));
  EXPECT_THAT(message("graph \"g\" { input %x: f32[99999999999,99999999999]\n output %x }"), HasSubstr("2^40"));
  EXPECT_THAT(message("graph \"g\" {"), HasSubstr("expected"));
  EXPECT_THAT(message(""), HasSubstr("line 1"));
}

TEST_F(TextTest, EveryPrefixIsAnErrorNotACrash) {
  for (size_t n = 0; n + 2 < kExample.size(); ++n) EXPECT_FALSE(parse_graph(kExample.substr(0, n))) << n;
}

TEST_F(TextTest, StatementsNestAndCarryAttributes) {
  const auto s =
      parse_statements("%h = mul(%x, 0.5); %y, %z = f(add(%h, -1e-3), _, axis=[1,2], mode=\"a,b\", k=$kernel)");
  ASSERT_TRUE(s) << to_text(s.error());
  ASSERT_EQ(s->size(), 2U);
  const Statement& f = (*s)[1];
  EXPECT_THAT(f.results, ::testing::ElementsAre("y", "z"));
  ASSERT_EQ(f.expr.args.size(), 2U);
  EXPECT_EQ(f.expr.args[0].op, "add");
  EXPECT_EQ(*f.expr.args[0].args[1].number, -1e-3);
  EXPECT_EQ(f.expr.args[1].name, "_");
  ASSERT_EQ(f.expr.attrs.size(), 3U);
  EXPECT_EQ(f.expr.attrs[1].second, "\"a,b\"");
  EXPECT_EQ(f.expr.attrs[2].second, "$kernel");
  EXPECT_FALSE(parse_statements("%y = f(%x) %z = g(%y)"));
  EXPECT_FALSE(parse_statements("%y = f(%x"));
  EXPECT_FALSE(parse_statements("y = f(%x)"));
}

TEST_F(TextTest, DeepNestingIsRefused) {
  std::string text = "%y = ";
  for (int i = 0; i < 100000; ++i) text += "f(";
  EXPECT_FALSE(parse_statements(text));
}

}  // namespace
}  // namespace npuport
