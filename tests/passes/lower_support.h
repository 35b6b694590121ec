// Helpers for tests of lowering rows: a target that refuses by name or rank, and what the pass made of a graph.
#pragma once

#include <set>

#include "base/diag_codes.h"
#include "passes/cleanup.h"
#include "passes/domain.h"
#include "passes/lower.h"
#include "passes/pipeline.h"
#include "support.h"

namespace npuport::testing {

// Refuses operators by name, and ranks above four.
class Refusing : public Legality {
 public:
  explicit Refusing(std::set<std::string> ops, size_t most_rank = 8) : ops_(std::move(ops)), most_rank_(most_rank) {}
  std::vector<Diag> check(const Graph& g, NodeId id) const override {
    std::vector<Diag> out;
    const Node& n = g.node(id);
    if (ops_.contains(std::string(n.op->name)))
      out.push_back(Diag(diag::illegal_for_target, std::string(n.op->name) + " is refused"));
    size_t rank = 0;
    for (const ValueId v : n.inputs)
      if (v.valid()) rank = std::max(rank, g.shape(v).size());
    for (const ValueId v : n.outputs) rank = std::max(rank, g.shape(v).size());
    if (rank > most_rank_) out.push_back(Diag(diag::illegal_for_target, "rank " + std::to_string(rank)));
    return out;
  }

 private:
  std::set<std::string> ops_;
  size_t most_rank_;
};

struct Lowered {
  Ran ran;
  size_t left = 0;
};

inline Lowered lowered(const Graph& before, const Legality& legality, PassOptions options = {}) {
  Graph g = before;
  set_declared_ranges(g, options.ranges);
  Lowered l{run_passes_on({&lower_pass, &cleanup_pass, &lower_pass, &cleanup_pass}, std::move(g), options, &legality),
            0};
  l.left = illegal_nodes(l.ran.graph, legality).size();
  return l;
}

inline std::set<std::string> fired(const Ledger& l) {
  std::set<std::string> out;
  for (const LedgerEntry& e : l.entries()) out.insert(e.rewrite);
  return out;
}

inline Prepared prepared(const Graph& g, const Legality& legality, PassOptions options = {},
                         const Legality* host = nullptr) {
  ops::register_all();
  Ledger ledger;
  options.verify = true;
  Result<Prepared> p = prepare(g, options, legality, nullptr, ledger, {}, host);
  if (!p) ADD_FAILURE() << to_text(p.error());
  return p ? std::move(*p) : Prepared{};
}

}  // namespace npuport::testing
