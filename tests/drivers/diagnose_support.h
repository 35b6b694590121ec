// Random graphs with planted faults, and compilers that refuse them: in-process judges that know the truth.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <set>
#include <thread>

#include "drivers/diagnose/hunt.h"
#include "ir/builder.h"
#include "ir/registry.h"
#include "ops/manifest.h"

namespace npuport::diagnose::testing {

// Elementwise nodes on f32[4,8] in modules of about twenty, mostly a chain with side branches; every value reaches an
// output. Planted operators (sin, cos, erf …) are never among the random ones.
inline Graph random_graph(size_t nodes, uint32_t seed, const std::vector<size_t>& bad_at = {},
                          const std::vector<std::string>& bad_ops = {"sin"}) {
  ops::register_all();
  std::mt19937 rng(seed);
  Graph g;
  g.name = "random";
  std::vector<ValueId> values{g.add_input("x", {DType::f32, {4, 8}, nullptr}),
                              g.add_input("z", {DType::f32, {4, 8}, nullptr})};
  static const std::vector<std::string> unary{"relu", "tanh", "sigmoid", "neg", "exp"};
  static const std::vector<std::string> binary{"add", "sub", "mul", "maximum"};
  Builder b(g);
  for (size_t i = 0; i < nodes; ++i) {
    b.set_origins({{"net.block" + std::to_string(i / 20), "net.py:" + std::to_string(i), "aten::some"}});
    const auto recent = [&] { return values[values.size() - 1 - rng() % std::min<size_t>(values.size(), 4)]; };
    const auto bad = std::find(bad_at.begin(), bad_at.end(), i);
    ValueId y;
    if (bad != bad_at.end()) {
      y = b.op(bad_ops[static_cast<size_t>(bad - bad_at.begin()) % bad_ops.size()], {values.back()});
    } else if (rng() % 2 == 0) {
      y = b.op(unary[rng() % unary.size()], {values.back()});
    } else {
      y = b.op(binary[rng() % binary.size()], {values.back(), recent()});
    }
    g.rename(y, "n" + std::to_string(i));
    values.push_back(y);
  }
  EXPECT_TRUE(b.take_status());
  std::vector<ValueId> outputs{values.back()};
  for (const ValueId v : values)
    if (v != values.back() && g.value(v).producer.valid() && g.value(v).uses.empty()) outputs.push_back(v);
  g.set_outputs(outputs);
  return g;
}

inline CompileOutcome accepted() {
  CompileOutcome o;
  o.verdict = CompileVerdict::accepted;
  o.artefact = "made";
  return o;
}
inline CompileOutcome refused(std::string why, CompileVerdict v = CompileVerdict::refused) {
  CompileOutcome o;
  o.verdict = v;
  o.reason = std::move(why);
  return o;
}

// What a compiler refuses; everything empty: nothing.
struct Faults {
  std::set<std::string> ops = {};                               // operators
  std::set<std::string> names = {};                             // nodes by name
  std::vector<std::pair<std::string, std::string>> pairs = {};  // node a feeding node b, by name
  size_t most_nodes = SIZE_MAX;
  CompileVerdict verdict = CompileVerdict::refused;
  bool names_first = false;  // its log names the first bad operator
};

inline CompileOutcome truth(const Faults& f, const Graph& g) {
  if (g.node_count() > f.most_nodes) return refused("out of memory", f.verdict);
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    const std::string& name = g.value(n.outputs[0]).name;
    CompileOutcome bad = refused("compilation failed", f.verdict);
    if (f.names_first) bad.findings.push_back({std::string(n.op->name), name, "", "unsupported operator", ""});
    if (f.ops.contains(std::string(n.op->name)) || f.names.contains(name)) return bad;
    for (const ValueId v : n.inputs)
      if (const Node* p = g.producer(v))
        for (const auto& [a, b] : f.pairs)
          if (g.value(p->outputs[0]).name == a && name == b) return bad;
  }
  return accepted();
}

inline GraphJudge judge_of(const Faults& f, std::chrono::milliseconds time = {}) {
  return [=](const Graph& g, const std::string&, int) -> Result<CompileOutcome> {
    if (time.count() > 0) std::this_thread::sleep_for(time);
    return truth(f, g);
  };
}

inline std::set<std::set<std::string>> names_of(const Order& order, const Hunt& h) {
  std::set<std::set<std::string>> out;
  for (const Culprit& c : h.culprits) {
    std::set<std::string> names;
    for (const uint32_t p : c.nodes) names.insert(order.name(p));
    out.insert(names);
  }
  return out;
}

}  // namespace npuport::diagnose::testing
