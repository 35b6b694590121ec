#include "frontends/torch/script_parser.h"

#include <gtest/gtest.h>

#include <string>

#include "base/diag_codes.h"
#include "frontends/torch/script_lexer.h"

namespace npuport::script {
namespace {

Module parse(std::string_view source) {
  Result<Module> m = parse_module(source);
  EXPECT_TRUE(m.ok()) << (m ? "" : to_text(m.error()));
  return m ? std::move(*m) : Module{};
}

// The value of `x = …` in a one-line function.
Expr expression(const std::string& text) {
  Module m = parse("def f(a):\n  x = " + text + "\n");
  if (m.functions.empty() || m.functions[0].body.empty()) return {};
  return m.functions[0].body[0].value;
}

Diag error(const std::string& source) {
  Result<Module> m = parse_module(source);
  EXPECT_FALSE(m.ok()) << source;
  return m ? Diag() : m.error();
}

TEST(ScriptLexer, NumbersKeepTheirKind) {
  const auto tokens = tokenize("1 2. 1.0000000000000001e-05 9223372036854775807\n");
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ((*tokens)[0].kind, Tok::integer);
  EXPECT_EQ((*tokens)[1].kind, Tok::real);
  EXPECT_EQ((*tokens)[1].real, 2.0);
  EXPECT_EQ((*tokens)[2].real, 1e-05);
  EXPECT_EQ((*tokens)[3].integer, uint64_t{INT64_MAX});
}

TEST(ScriptLexer, StringsResolveOctalAndNamedEscapes) {
  EXPECT_EQ(expression(R"("a\n\303\244\"\\")").text, "a\n\303\244\"\\");
  EXPECT_EQ(error("def f():\n  x = \"abc\n").code, &diag::syntax);
  EXPECT_EQ(error("def f():\n  x = \"\\q\"\n").code, &diag::syntax);
}

TEST(ScriptParser, SmallestIntegerIsRepresentable) {
  EXPECT_EQ(expression("-9223372036854775808").integer, INT64_MIN);
  EXPECT_EQ(expression("-5").integer, -5);
  EXPECT_EQ(error("def f():\n  x = 9223372036854775808\n").code, &diag::syntax);
}

TEST(ScriptParser, TupleAndParenthesesDiffer) {
  EXPECT_EQ(expression("(a)").kind, Expr::Kind::name);
  EXPECT_EQ(expression("(a, )").kind, Expr::Kind::tuple);
  EXPECT_EQ(expression("()").kids.size(), 0u);
  EXPECT_EQ(expression("((a, a))").kids.size(), 2u);
  EXPECT_EQ(expression("a, (a, )").kids[1].kind, Expr::Kind::tuple);
}

TEST(ScriptParser, CallsKeepKeywordsAndTrailingCommas) {
  const Expr e = expression("torch.zeros([1, int(a)], dtype=None, layout=None, )");
  ASSERT_EQ(e.kind, Expr::Kind::call);
  EXPECT_EQ(e.kids[0].kind, Expr::Kind::global);
  EXPECT_EQ(e.kids[0].text, "torch.zeros");
  ASSERT_EQ(e.keywords.size(), 2u);
  EXPECT_EQ(e.keywords[0].name, "dtype");
  const Expr method = expression("(self.l).forward(a, )");
  EXPECT_EQ(method.kids[0].kind, Expr::Kind::attribute);
  EXPECT_EQ(method.kids[0].text, "forward");
  EXPECT_EQ(method.kids.size(), 2u);
}

TEST(ScriptParser, UnpackingRemembersTheTrailingComma) {
  Module m = parse("def f(a):\n  _1, = a\n  x = a\n  _2, _3 = a, a\n  self.h = a\n  y : int = a\n");
  const Block& body = m.functions[0].body;
  EXPECT_TRUE(body[0].unpack);
  EXPECT_FALSE(body[1].unpack);
  EXPECT_EQ(body[2].targets.size(), 2u);
  EXPECT_EQ(body[2].value.kind, Expr::Kind::tuple);
  EXPECT_EQ(body[3].targets[0].kind, Expr::Kind::attribute);
  EXPECT_EQ(body[4].annotation.text, "int");
}

TEST(ScriptParser, ClassesDeclareAttributesOfAnyName) {
  Module m = parse(
      "class M(Module):\n"
      "  __parameters__ = [\"weight\", ]\n"
      "  ops : int\n"
      "  eps : Final[float] = 1e-05\n"
      "  __annotations__[\"0\"] = __torch__.a.B\n"
      "  def forward(self: __torch__.M,\n      x: Tensor, k: int=3) -> Tensor:\n    return x\n"
      "class E(Enum):\n  RED = 1\n");
  ASSERT_EQ(m.classes.size(), 2u);
  EXPECT_EQ(m.classes[0].base, "Module");
  ASSERT_NE(m.classes[0].field("0"), nullptr);
  EXPECT_EQ(m.classes[0].field("0")->type.text, "__torch__.a.B");
  EXPECT_NE(m.classes[0].field("ops"), nullptr);
  EXPECT_TRUE(m.classes[0].field("eps")->has_value);
  const Function* f = m.classes[0].method("forward");
  ASSERT_NE(f, nullptr);
  EXPECT_TRUE(f->params[2].has_default);
  EXPECT_EQ(m.classes[1].field("RED")->value.integer, 1);
}

TEST(ScriptParser, BlocksNest) {
  Module m = parse(
      "def f(a):\n  while a:\n    if a:\n      pass\n    else:\n      x = a\n  for i in range(3):\n    with a:\n"
      "      return a\n  def __forked_function():\n    return a\n");
  const Block& body = m.functions[0].body;
  ASSERT_EQ(body.size(), 3u);
  EXPECT_EQ(body[0].body[0].orelse.size(), 1u);
  EXPECT_EQ(body[1].kind, Stmt::Kind::for_range);
  EXPECT_EQ(body[2].function->name, "__forked_function");
}

TEST(ScriptParser, InfixOperatorsOfOldPrintersBindAsInPython) {
  const Expr e = expression("a + a * 2 ** 3");
  EXPECT_EQ(e.text, "add");
  EXPECT_EQ(e.kids[1].text, "mul");
  EXPECT_EQ(e.kids[1].kids[1].text, "pow");
  EXPECT_EQ(expression("a is not None").text, "__isnot__");
  EXPECT_EQ(expression("not a in a").kind, Expr::Kind::logic_not);
}

TEST(ScriptParser, ErrorsNameThePlace) {
  const Diag d = error("def f(a):\n  x = torch.add(a,\n");
  EXPECT_EQ(d.code, &diag::syntax);
  EXPECT_NE(d.message.find("line"), std::string::npos);
  EXPECT_NE(error("def f(a):\n  x = )\n").message.find("line 2, column 7"), std::string::npos);
  EXPECT_EQ(error("def f(a, a):\n  pass\n").code, &diag::syntax);
  EXPECT_EQ(error("def f(a):\n  torch.add(a) = a\n").code, &diag::syntax);
  EXPECT_EQ(error("x = 3\n").code, &diag::syntax);
}

TEST(ScriptParser, HostileNestingIsRefused) {
  for (const char* open : {"(", "[", "-", "not ", "torch.f(", "a if a else ", "{a: "}) {
    std::string source = "def f(a):\n  x = ";
    for (int i = 0; i < 100000; ++i) source += open;
    const Diag d = error(source + "a\n");
    EXPECT_TRUE(d.code == &diag::too_large || d.code == &diag::syntax) << open;
  }
  std::string chain = "def f(a):\n  x = a";
  for (int i = 0; i < 100000; ++i) chain += ".b";
  EXPECT_EQ(error(chain + "\n").code, &diag::too_large);
  std::string sum = "def f(a):\n  x = a";
  for (int i = 0; i < 100000; ++i) sum += " + a";
  EXPECT_EQ(error(sum + "\n").code, &diag::too_large);
  std::string blocks = "def f(a):\n";
  for (int i = 1; i < 300; ++i) blocks += std::string(static_cast<size_t>(i), ' ') + "if a:\n";
  EXPECT_EQ(error(blocks + std::string(300, ' ') + "pass\n").code, &diag::syntax);
}

TEST(ScriptParser, ElifChainsAreBounded) {
  std::string source = "def f(a):\n  if a:\n    pass\n";
  for (int i = 0; i < 100000; ++i) source += "  elif a:\n    pass\n";
  EXPECT_EQ(error(source).code, &diag::too_large);
}

}  // namespace
}  // namespace npuport::script
