// A user's rows: checked before anything runs, applied wherever they match, taken at their word only with a proof.
#include "passes/user_rewrites.h"

#include "lower_support.h"

namespace npuport::testing {
namespace {

UserRewrite silu() { return {"my_silu", "the definition", "%y = silu(%x)", "%y = mul(%x, sigmoid(%x))"}; }

class FixedProver : public Prover {
 public:
  explicit FixedProver(bool holds) : holds_(holds) {}
  Result<Evidence> prove(const Graph&, const Graph&, const LedgerEntry&) override {
    return Evidence{holds_, 0.25, "the outputs differ by 0.25"};
  }

 private:
  bool holds_;
};

Result<Prepared> run(std::string_view body, std::vector<UserRewrite> rows, Ledger& ledger, Prover* prover = nullptr,
                     bool approximate = false) {
  const Graph g = graph_of(body);
  PassOptions options;
  options.allow_approximate = approximate;
  NPU_ASSIGN(options.rewrites, UserRewrites::make(std::move(rows)));
  return prepare(g, options, Refusing({}), prover, ledger);
}

constexpr const char* kNet = "input %x: f32[2,3]\n %a = silu(%x)\n %b = relu(%a)\n %y = silu(%b)\n output %y";

TEST(UserRewrites, ApplyWhereverTheyMatch) {
  Ledger ledger;
  Result<Prepared> p = run(kNet, {silu()}, ledger);
  ASSERT_TRUE(p) << to_text(p.error());
  EXPECT_EQ(op_counts(p->graph), (std::map<std::string, int>{{"mul", 2}, {"relu", 1}, {"sigmoid", 2}}));
  EXPECT_EQ(fired(ledger), (std::set<std::string>{"my_silu"}));
  EXPECT_EQ(ledger.entries().front().pass, "user_rewrites");
  EXPECT_EQ(ledger.entries().front().argument, "the definition");
  EXPECT_LT(difference(graph_of(kNet), p->graph, p->io), 1e-6);
}

TEST(UserRewrites, AProofThatFailsIsAnError) {
  FixedProver refutes(false), holds(true);
  Ledger ledger;
  UserRewrite wrong = silu();
  wrong.replace = "%y = mul(%x, tanh(%x))";
  const Result<Prepared> p = run(kNet, {wrong}, ledger, &refutes);
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().code, &diag::gate_failed);
  EXPECT_NE(p.error().message.find("my_silu"), std::string::npos);
  EXPECT_NE(p.error().message.find("0.25"), std::string::npos);
  Ledger proven;
  ASSERT_TRUE(run(kNet, {silu()}, proven, &holds));
  EXPECT_EQ(proven.entries().front().max_diff, 0.25);
}

TEST(UserRewrites, ApproximateOnesNeedConsent) {
  UserRewrite row = silu();
  row.numerics = Numerics::approximate;
  Ledger without, with_consent;
  ASSERT_TRUE(run(kNet, {row}, without));
  EXPECT_EQ(without.size(), 0U);
  ASSERT_TRUE(run(kNet, {row}, with_consent, nullptr, true));
  EXPECT_EQ(fired(with_consent), (std::set<std::string>{"my_silu"}));
}

// One mistake each: refused with the row's name, never a crash.
TEST(UserRewrites, BadRowsAreRefused) {
  ops::register_all();
  const struct {
    const char *match, *replace, *says;
  } cases[] = {
      {"%y = silu(%x", "%y = relu(%x)", ""},
      {"%y = siluu(%x)", "%y = relu(%x)", "siluu"},
      {"%y = silu(%x)", "%y = reluu(%x)", "reluu"},
      {"%y = silu(%x)", "%y = relu(%z)", "%z"},
      {"%y = silu(%x)", "%z = relu(%x)", "%y"},
      {"%y = silu(%x)", "", "replacement"},
      {"", "%y = relu(%x)", ""},
      {"%y = leaky_relu(%x, alpha=$a)", "%y = leaky_relu(%x, alpha=$b)", "$b"},
      {"%y = leaky_relu(%x, beta=$a)", "%y = relu(%x)", "beta"},
      {"%y = leaky_relu(%x, alpha=$a)", "%y = softmax(%x, axis=$a)", "axis=$a"},
      {"%y = leaky_relu(%x, alpha=$a)", "%y = leaky_relu(%x, alpha=none)", ""},
      {"%y = gelu(%x, approximate=$a)", "%y = mul(%x, $a)", "$a"},
      {"%y = mul(%x, $e)", "%y = mul(%x, $f)", "$f"},
      {"%y = relu(%x)", "%y = relu(%x, rest=$r)", "rest=$r"},
      {"%y = relu(%x)", "%y = relu(%x, %x, %x)", ""},
      {"%y = relu(%x); %y = relu(%x)", "%y = relu(%x)", "twice"},
      {"%x", "%y = relu(%x)", ""},
      {"%y = relu(%x)", "%y = $", ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.match) + " -> " + c.replace);
    const auto made = UserRewrites::make({{"row", "", c.match, c.replace}});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code->exit_code, 2);
    EXPECT_NE(made.error().message.find("'row'"), std::string::npos) << made.error().message;
    EXPECT_NE(made.error().message.find(c.says), std::string::npos) << made.error().message;
  }
  EXPECT_FALSE(UserRewrites::make({silu(), silu()}));
  UserRewrite ours = silu();
  ours.name = "silu_as_product";
  EXPECT_FALSE(UserRewrites::make({ours}));
}

// Replacements that fit the text but not the graph leave the graph as it is.
TEST(UserRewrites, ResultsOfAnotherTypeAreNotTaken) {
  for (const char* replace : {"%y = reshape(%x, shape=[6])", "%y = cast(%x, to=i32)", "%y = reshape(%x, shape=[7])",
                              "%y = concat(%x, %x, axis=9)"}) {
    SCOPED_TRACE(replace);
    UserRewrite row = silu();
    row.replace = replace;
    Ledger ledger;
    const Result<Prepared> p = run(kNet, {row}, ledger);
    if (!p) {
      EXPECT_EQ(p.error().code->exit_code, 2);
      continue;
    }
    EXPECT_EQ(ledger.size(), 0U);
    EXPECT_EQ(op_counts(p->graph)["silu"], 2);
  }
}

}  // namespace
}  // namespace npuport::testing
