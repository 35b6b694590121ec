#include "diagnose_support.h"
#include "exec/executor.h"

namespace npuport::diagnose::testing {
namespace {

struct Done {
  Hunt hunt;
  std::set<std::set<std::string>> found;
};

Done run(const Graph& g, const GraphJudge& judge, OracleOptions options = {}, HuntOptions how = {}) {
  const Order order(g);
  Oracle oracle(order, judge, options);
  Result<Hunt> h = hunt(oracle, how);
  if (!h) {
    ADD_FAILURE() << to_text(h.error());
    return {};
  }
  Done d{std::move(*h), {}};
  d.found = names_of(order, d.hunt);
  return d;
}

std::vector<size_t> places(size_t count, size_t nodes, uint32_t seed) {
  std::mt19937 rng(seed * 977 + 13);
  std::set<size_t> out;
  while (out.size() < count) out.insert(rng() % nodes);
  return {out.begin(), out.end()};
}

std::string node(size_t i) { return "n" + std::to_string(i); }

struct Figures {
  double ours = 0, prefix = 0, ddmin = 0;
  int runs = 0;
  void add(const Hunt& h) {
    ours += static_cast<double>(h.counts.compiles);
    prefix += static_cast<double>(h.others.prefix_bisection);
    ddmin += static_cast<double>(h.others.ddmin);
    ++runs;
  }
  void print(const std::string& what) const {
    std::printf("%-44s compiles: %6.1f here, %6.1f prefix bisection, %7.1f ddmin (mean of %d)\n", what.c_str(),
                ours / runs, prefix / runs, ddmin / runs, runs);
  }
};

TEST(DiagnoseHunt, FindsAllPlantedOperators) {
  for (const size_t count : {1, 2, 3, 5}) {
    Figures f;
    for (uint32_t seed = 0; seed < 40; ++seed) {
      const size_t nodes = 50 + seed * 350 / 39;
      const std::vector<size_t> bad = places(count, nodes, seed);
      const Graph g = random_graph(nodes, seed, bad, {"sin", "cos", "erf"});
      const Done d = run(g, judge_of({.ops = {"sin", "cos", "erf"}}));
      std::set<std::set<std::string>> want;
      for (const size_t i : bad) want.insert({node(i)});
      ASSERT_EQ(d.found, want) << count << " planted, seed " << seed;
      EXPECT_TRUE(d.hunt.complete);
      for (const Culprit& c : d.hunt.culprits) EXPECT_TRUE(c.minimal && c.confirmed) << c.confirmation;
      f.add(d.hunt);
    }
    f.print(std::to_string(count) + " refused operators");
    EXPECT_LT(f.ours, f.ddmin);
  }
}

// The compiler minds two particular nodes of common operators: no operator list helps.
TEST(DiagnoseHunt, FindsNodesOfCommonOperators) {
  for (const size_t count : {1, 2, 3, 5}) {
    Figures f;
    for (uint32_t seed = 0; seed < 30; ++seed) {
      const size_t nodes = 50 + seed * 350 / 29;
      Faults faults;
      std::set<std::set<std::string>> want;
      for (const size_t i : places(count, nodes, seed + 100)) faults.names.insert(node(i)), want.insert({node(i)});
      const Done d = run(random_graph(nodes, seed), judge_of(faults));
      ASSERT_EQ(d.found, want) << count << " planted, seed " << seed;
      EXPECT_TRUE(d.hunt.complete);
      f.add(d.hunt);
    }
    f.print(std::to_string(count) + " particular nodes");
    // Beside the search, the table of parts and the confirmation have their price.
    EXPECT_LT(f.ours, f.ddmin + 6 * f.runs);
  }
}

TEST(DiagnoseHunt, FindsPatternsOfTwoNodes) {
  for (const size_t count : {1, 2, 3}) {
    Figures f;
    for (uint32_t seed = 0; seed < 30; ++seed) {
      const size_t nodes = 50 + seed * 350 / 29;
      const Graph g = random_graph(nodes, seed);
      const Order order(g);
      Faults faults;
      std::set<std::set<std::string>> want;
      std::set<uint32_t> used;
      std::mt19937 rng(seed + 7);
      while (want.size() < count) {
        const auto b = static_cast<uint32_t>(rng() % nodes);
        if (order.producers(b).empty()) continue;
        const uint32_t a = order.producers(b)[rng() % order.producers(b).size()];
        if (used.contains(a) || used.contains(b)) continue;
        used.insert({a, b});
        faults.pairs.emplace_back(order.name(a), order.name(b));
        want.insert({order.name(a), order.name(b)});
      }
      const Done d = run(g, judge_of(faults));
      ASSERT_EQ(d.found, want) << count << " planted, seed " << seed;
      EXPECT_TRUE(d.hunt.complete);
      for (const Culprit& c : d.hunt.culprits) EXPECT_TRUE(c.minimal && c.confirmed) << c.confirmation;
      f.add(d.hunt);
    }
    f.print(std::to_string(count) + " patterns of two nodes");
    EXPECT_LT(f.ours, f.ddmin + 6 * f.runs);
  }
}

TEST(DiagnoseHunt, FindsMixedFaultsInSmallGraphs) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 rng(seed);
    const size_t nodes = 1 + rng() % 60;
    const size_t singles = std::min<size_t>(nodes, rng() % 4);
    const std::vector<size_t> bad = places(singles, nodes, seed);
    const Graph g = random_graph(nodes, seed, bad, {"sin"});
    const Order order(g);
    Faults faults{.ops = {"sin"}};
    std::set<std::set<std::string>> want;
    std::set<uint32_t> used;
    for (const size_t i : bad) want.insert({node(i)}), used.insert(static_cast<uint32_t>(i));
    for (int k = 0; k < 2 && nodes > 4; ++k) {
      const auto b = static_cast<uint32_t>(rng() % nodes);
      if (order.producers(b).empty()) continue;
      const uint32_t a = order.producers(b)[0];
      if (used.contains(a) || used.contains(b)) continue;
      used.insert({a, b});
      faults.pairs.emplace_back(order.name(a), order.name(b));
      want.insert({order.name(a), order.name(b)});
    }
    const Done d = run(g, judge_of(faults));
    ASSERT_EQ(d.found, want) << "seed " << seed;
    ASSERT_TRUE(d.hunt.complete) << "seed " << seed << " " << d.hunt.open;
    EXPECT_EQ(d.hunt.passes, want.empty());
  }
}

// Reports success and leaves nothing, or dies, or hangs: refusals of a kind.
TEST(DiagnoseHunt, LiarsCrashersAndHangersAreRefusals) {
  for (const CompileVerdict v :
       {CompileVerdict::no_output, CompileVerdict::crashed, CompileVerdict::timed_out, CompileVerdict::misplaced}) {
    const Done d = run(random_graph(120, 4, {17, 80}, {"sin"}), judge_of({.ops = {"sin"}, .verdict = v}));
    EXPECT_EQ(d.found, (std::set<std::set<std::string>>{{"n17"}, {"n80"}}));
    for (const Culprit& c : d.hunt.culprits) EXPECT_EQ(c.verdict, v);
  }
}

TEST(DiagnoseHunt, FailsBySizeIsToldFromOperators) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const size_t limit = 40 + seed * 7;
    const Done d = run(random_graph(300, seed, {30}, {"sin"}), judge_of({.ops = {"sin"}, .most_nodes = limit}));
    EXPECT_EQ(d.found, (std::set<std::set<std::string>>{{"n30"}})) << "seed " << seed;
    ASSERT_EQ(d.hunt.sizes.size(), 1U) << "seed " << seed;
    EXPECT_EQ(d.hunt.sizes[0].refused_nodes, limit + 1);
    EXPECT_TRUE(d.hunt.complete);
    size_t covered = 0;
    for (const PartRow& p : d.hunt.sizes[0].pieces) {
      EXPECT_LE(p.nodes.size(), limit);
      covered += p.nodes.size();
    }
    EXPECT_EQ(covered, 299U);
    EXPECT_LT(d.hunt.counts.compiles, 120U) << "seed " << seed;
  }
}

// Refuses good models now and then, or takes bad ones.
TEST(DiagnoseHunt, FlakyCompilersAreCaughtAndOutvoted) {
  for (const bool too_strict : {true, false}) {
    int caught = 0;
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const std::vector<size_t> bad = places(2, 100, seed);
      const Faults f{.ops = {"sin"}};
      std::mt19937 rng(seed + 5);
      const GraphJudge judge = [&](const Graph& g, const std::string&, int) -> Result<CompileOutcome> {
        CompileOutcome o = truth(f, g);
        const bool flip = rng() % 100 < 4;
        if (flip && too_strict) return refused("random failure", CompileVerdict::crashed);
        if (flip && !too_strict) return accepted();
        return o;
      };
      const Done d = run(random_graph(100, seed, bad, {"sin"}), judge);
      std::set<std::set<std::string>> want;
      for (const size_t i : bad) want.insert({node(i)});
      EXPECT_EQ(d.found, want) << "seed " << seed;
      EXPECT_TRUE(d.hunt.complete) << d.hunt.open;
      caught += d.hunt.flaky;
    }
    std::printf("flaky (%s): noticed in %d of 20 hunts, all culprits found\n",
                too_strict ? "refuses good" : "takes bad", caught);
    if (too_strict) {
      EXPECT_GT(caught, 5);
    }
  }
}

// Asked four times, a compiler of two minds is caught more often than where its answers happen to contradict each
// other.
TEST(DiagnoseHunt, RepeatsCatchFlakyCompilers) {
  for (const bool too_strict : {true, false}) {
    int caught = 0;
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const std::vector<size_t> bad = places(2, 100, seed);
      std::mt19937 rng(seed + 55);
      const GraphJudge judge = [&](const Graph& g, const std::string&, int) -> Result<CompileOutcome> {
        const CompileOutcome o = truth({.ops = {"sin"}}, g);
        if (rng() % 100 >= 4) return o;
        return too_strict ? refused("license server busy") : accepted();
      };
      const Done d = run(random_graph(100, seed, bad, {"sin"}), judge, {.repeats = 4});
      std::set<std::set<std::string>> want;
      for (const size_t i : bad) want.insert({node(i)});
      EXPECT_EQ(d.found, want) << "seed " << seed;
      caught += d.hunt.flaky;
      if (d.hunt.flaky) {
        EXPECT_THAT(d.hunt.steps.back().result, ::testing::HasSubstr("both taken and refused"));
      }
    }
    std::printf("flaky (%s), --repeats 4: noticed in %d of 20 hunts\n", too_strict ? "refuses good" : "takes bad",
                caught);
    EXPECT_GE(caught, 10);
  }
}

// Cutting makes outputs, and this compiler refuses an exp as an output: no fault of the node.
TEST(DiagnoseHunt, WhatOnlyFailsCutOutIsNoCulprit) {
  int tried = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const Graph g = random_graph(80, seed, {40}, {"sin"});
    // Where an exp feeds the culprit, taking that out makes it an output for good.
    const Order order(g);
    const bool fed = std::any_of(order.producers(40).begin(), order.producers(40).end(),
                                 [&](uint32_t p) { return order.at(p).op->name == "exp"; });
    if (fed) continue;
    ++tried;
    const Faults f{.ops = {"sin"}};
    const std::set<std::string> outputs = [&] {
      std::set<std::string> s;
      for (const ValueId v : g.outputs()) s.insert(g.value(v).name);
      return s;
    }();
    const GraphJudge judge = [&](const Graph& m, const std::string&, int) -> Result<CompileOutcome> {
      for (const ValueId v : m.outputs())
        if (const Node* n = m.producer(v); n && n->op->name == "exp" && !outputs.contains(m.value(v).name))
          return refused("output of an exponential");
      return truth(f, m);
    };
    const Done d = run(g, judge);
    EXPECT_TRUE(d.found.contains({"n40"})) << "seed " << seed;
    for (const Culprit& c : d.hunt.culprits)
      EXPECT_TRUE(!c.confirmed || c.kinds == std::vector<std::string>{"sin"}) << "seed " << seed;
  }
  EXPECT_GT(tried, 10);
}

TEST(DiagnoseHunt, NamedSuspectsCostOneCompileEach) {
  const Graph g = random_graph(400, 9, {50, 210, 333}, {"sin", "cos"});
  const Done blind = run(random_graph(400, 9), judge_of({.names = {"n50", "n210", "n333"}}));
  const Done told = run(g, judge_of({.ops = {"sin", "cos"}, .names_first = true}));
  EXPECT_EQ(blind.found, told.found);
  EXPECT_LT(told.hunt.counts.compiles, 24U);
  EXPECT_LT(told.hunt.counts.compiles, blind.hunt.counts.compiles * 2 / 3);
}

TEST(DiagnoseHunt, ParallelRunsFindTheSameWithTheSameCompiles) {
  const Graph g = random_graph(300, 21, {10, 150, 290}, {"sin", "erf"});
  const Done one = run(g, judge_of({.ops = {"sin", "erf"}}), {.jobs = 1});
  const Done four = run(g, judge_of({.ops = {"sin", "erf"}}), {.jobs = 4});
  EXPECT_EQ(one.found, four.found);
  EXPECT_EQ(one.hunt.counts.compiles, four.hunt.counts.compiles);
  ASSERT_EQ(one.hunt.steps.size(), four.hunt.steps.size());
  for (size_t i = 0; i < one.hunt.steps.size(); ++i) EXPECT_EQ(one.hunt.steps[i].result, four.hunt.steps[i].result);
}

TEST(DiagnoseHunt, AnExhaustedBudgetIsSaidAndKeepsWhatWasFound) {
  const Graph g = random_graph(200, 3, {20, 120}, {"sin"});
  std::atomic<int> calls = 0;
  const GraphJudge judge = [&](const Graph& m, const std::string&, int) -> Result<CompileOutcome> {
    ++calls;
    return truth({.names = {"n20", "n120"}}, m);
  };
  const Done d = run(g, judge, {.jobs = 2, .max_compiles = 12});
  EXPECT_EQ(calls, 12);
  EXPECT_FALSE(d.hunt.complete);
  EXPECT_THAT(d.hunt.open, ::testing::HasSubstr("budget of 12"));
}

TEST(DiagnoseHunt, ACompilerThatTakesNothingIsBlamedItself) {
  const GraphJudge judge = [](const Graph&, const std::string&, int) -> Result<CompileOutcome> {
    return refused("license expired");
  };
  const Done d = run(random_graph(200, 3), judge);
  EXPECT_TRUE(d.hunt.refuses_everything);
  EXPECT_LT(d.hunt.counts.compiles, 20U);
}

TEST(DiagnoseHunt, FourHundredNodesWithATenMillisecondCompiler) {
  const Graph g = random_graph(400, 77, {33, 190, 380}, {"sin", "cos"});
  const auto start = std::chrono::steady_clock::now();
  const Done d =
      run(g, judge_of({.names = {"n33", "n190", "n380"}, .pairs = {{"n100", "n101"}}}, std::chrono::milliseconds(10)),
          {.jobs = 2});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double waiting = 0.010 * static_cast<double>(d.hunt.counts.compiles) / 2;
  std::printf("400 nodes: %.2f s, %zu compiles, %.2f s of them waiting; %.2f ms overhead a compile\n", seconds,
              d.hunt.counts.compiles, waiting,
              1000 * (seconds - waiting) / static_cast<double>(d.hunt.counts.compiles));
  EXPECT_GE(d.found.size(), 3U);
  EXPECT_LT(seconds, 20);
}

TEST(DiagnoseOrder, ChainedPartsAreTheWholeBitForBit) {
  for (uint32_t seed = 0; seed < 10; ++seed) {
    const Graph g = random_graph(150, seed);
    const Order order(g);
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal(0, 1);
    std::map<std::string, Tensor> values;
    std::vector<Tensor> in;
    for (const ValueId v : g.inputs()) {
      Tensor t = Tensor::zeros(DType::f32, g.shape(v));
      for (float& x : t.mut<float>()) x = normal(rng);
      values[g.value(v).name] = t;
      in.push_back(t);
    }
    const auto whole = execute(g, in);
    ASSERT_TRUE(whole);
    for (const Set& s : order.partition(6, {"n77"})) {
      const Result<Graph> part = subgraph(order, s);
      ASSERT_TRUE(part) << to_text(part.error());
      ASSERT_TRUE(verify(*part, Stage::canonical));
      std::vector<Tensor> part_in;
      for (const ValueId v : part->inputs()) part_in.push_back(values.at(part->value(v).name));
      const auto out = execute(*part, part_in);
      ASSERT_TRUE(out);
      for (size_t k = 0; k < out->size(); ++k) values[part->value(part->outputs()[k]).name] = (*out)[k];
    }
    for (size_t k = 0; k < whole->size(); ++k)
      EXPECT_TRUE(identical((*whole)[k], values.at(g.value(g.outputs()[k]).name)));
  }
}

TEST(DiagnoseOrder, NamedCutsAndTheWholeInterface) {
  const Graph g = random_graph(100, 2);
  const Order order(g);
  const std::vector<Set> parts = order.partition(1, {"n10", "n60"});
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].size(), 11U);
  EXPECT_EQ(parts[1].size(), 50U);
  const Result<Graph> whole = subgraph(order, order.all());
  ASSERT_TRUE(whole);
  ASSERT_EQ(whole->inputs().size(), g.inputs().size());
  ASSERT_EQ(whole->outputs().size(), g.outputs().size());
  for (size_t k = 0; k < g.outputs().size(); ++k)
    EXPECT_EQ(whole->value(whole->outputs()[k]).name, g.value(g.outputs()[k]).name);
}

}  // namespace
}  // namespace npuport::diagnose::testing
