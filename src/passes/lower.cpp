#include "passes/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "ir/text.h"

namespace npuport {

std::span<const Rewrite> lower_substitute_rows();  // passes/lower/substitute.cpp

namespace {

const std::vector<Rewrite>& all_rows() {
  static const std::vector<Rewrite> rows = [] {
    std::vector<Rewrite> v;
    for (const auto family : {lower_norm_rows(), lower_activation_rows(), lower_approximate_rows(), lower_mask_rows(),
                              lower_index_rows(), lower_rank_rows(), lower_product_rows(), lower_conv_rows(),
                              lower_window_rows(), lower_movement_rows(), lower_sequence_rows(), lower_logic_rows(),
                              lower_element_rows(), lower_sampling_rows(), lower_substitute_rows()})
      v.insert(v.end(), family.begin(), family.end());
    return v;
  }();
  return rows;
}

const RewriteSet& rules() {
  static const RewriteSet set(all_rows());
  return set;
}

constexpr int kDepth = 5;  // how deep candidates of candidates are followed

// Nodes that go away by themselves: a reshape to or from a high rank joins the new forms of its neighbours as soon as
// they are lowered, and the cast of a mask moves to the host with the mask.
bool passing(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  if (n.op->name == "cast") return g.type(n.inputs[0]).dtype == DType::boolean;
  return n.op->name == "reshape" && std::max(g.shape(n.inputs[0]).size(), g.shape(n.outputs[0]).size()) > 4;
}

// What a decision for one node depends on: operator, attributes, operand types, which operands are constants.
std::string signature(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  std::string key(n.op->name);
  for (const ValueId v : n.inputs) {
    key += ",";
    if (v.valid()) key += to_string(g.type(v)) + (g.is_constant(v) ? "c" : "");
  }
  for (const Attr& a : n.attrs) key += ";" + to_text(a.value);
  return key;
}

// `body` as a candidate of its own.
constexpr std::string_view kBody = "body";

class Lowering {
 public:
  Lowering(PassContext& c) : c_(c) {}

  Result<size_t> run(Graph& g) {
    size_t changed = 0;
    for (int round = 0; round < 20; ++round) {
      size_t applied = 0;
      for (const NodeId id : g.topological()) {
        if (!g.node(id).alive) continue;
        const std::vector<Diag> findings = c_.legality->check(g, id);
        if (findings.empty() || stuck_.contains(id)) continue;
        NPU_ASSIGN(const bool done, lower_one(g, id, findings));
        if (done) {
          ++applied;
        } else {
          stuck_.insert(id);
        }
      }
      g.erase_dead();
      changed += applied;
      if (applied == 0) break;
    }
    return changed;
  }

 private:
  struct Score {
    size_t findings = SIZE_MAX;
    Numerics numerics = Numerics::exact;
    size_t nodes = 0;
    size_t preference = 0;
    auto key() const { return std::tie(findings, preference, numerics, nodes); }
    bool operator<(const Score& o) const { return key() < o.key(); }
  };

  std::vector<std::string_view> candidates(const Graph& g, NodeId id) const {
    std::vector<std::string_view> out;
    const Node& n = g.node(id);
    for (const Rewrite* r : rules().candidates(n.op->name)) out.push_back(r->name);
    // A bool lives on in what selects by it: rows anchored there swallow whole chains of comparisons.
    if (!n.outputs.empty() && g.type(n.outputs[0]).dtype == DType::boolean)
      for (const std::string_view row :
           {"masked_fill_as_term", "inverse_masked_fill_as_term", "selection_as_arithmetic", "bool_as_number"})
        if (std::find(out.begin(), out.end(), row) == out.end()) out.push_back(row);
    if (!n.op->body.empty()) out.push_back(kBody);
    return out;
  }

  // Where a row may be anchored so that its pattern takes in `id`: the node itself, or users of its results.
  std::vector<NodeId> anchors(const Graph& g, NodeId id, std::string_view root_op) const {
    std::vector<NodeId> level{id}, out;
    for (int distance = 0; distance < 4; ++distance) {
      std::vector<NodeId> next;
      for (const NodeId n : level) {
        if (g.node(n).op->name == root_op && std::count(out.begin(), out.end(), n) == 0) out.push_back(n);
        for (const ValueId v : g.node(n).outputs)
          for (const Use& u : g.value(v).uses) next.push_back(u.node);
      }
      level = std::move(next);
    }
    return out;
  }

  // Applies one candidate in place; nullopt when it does not fit or does not take `id` away.
  std::optional<std::vector<NodeId>> apply(Graph& g, NodeId id, std::string_view name, const std::string& reason) {
    // The ledger, and so the analysis, calls it OPERATOR_body.
    if (name == kBody || name == std::string(g.node(id).op->name) + "_body") return apply_body(g, id, reason);
    const Rewrite* r = rules().find(name);
    if (!r) return std::nullopt;
    std::vector<NodeId> all;
    for (const NodeId anchor : anchors(g, id, rules().root_op(*r))) {
      std::vector<NodeId> made;
      if (!g.node(anchor).alive || !rules().apply_at(g, c_, *r, anchor, reason, &made)) continue;
      if (anchor == id) return made;
      all.insert(all.end(), made.begin(), made.end());
    }
    if (all.empty()) return std::nullopt;
    g.erase_dead();
    return g.node(id).alive ? std::nullopt : std::optional(all);
  }

  std::optional<std::vector<NodeId>> apply_body(Graph& g, NodeId id, const std::string& reason) {
    const Node n = g.node(id);
    const size_t first_new = g.node_slots();
    Builder b(g, /*fold=*/true);
    b.set_origins(n.origins);
    const std::vector<ValueId> made = expand_body(b, *n.op, n.inputs, n.attrs);
    const bool fits = b.take_status().ok() && made.size() == n.outputs.size() &&
                      std::equal(made.begin(), made.end(), n.outputs.begin(),
                                 [&](ValueId x, ValueId y) { return x.valid() && g.type(x) == g.type(y); });
    if (!fits) {
      for (size_t i = g.node_slots(); i-- > first_new;)
        if (const NodeId k{static_cast<uint32_t>(i)}; g.node(k).alive) g.erase(k);
      return std::nullopt;
    }
    LedgerEntry entry{c_.pass,
                      std::string(n.op->name) + "_body",
                      Numerics::exact,
                      reason,
                      "The operator's definition: " + std::string(n.op->body),
                      node_text(g, std::array{id}),
                      {},
                      n.origins,
                      std::nullopt};
    for (size_t i = 0; i < made.size(); ++i) {
      const std::string known = g.value(n.outputs[i]).name;
      g.replace_uses(n.outputs[i], made[i]);
      const NodeId p = g.value(made[i]).producer;
      if (!p.valid() || p.v < first_new || g.value(made[i]).name == known) continue;
      g.rename(n.outputs[i], "");
      g.rename(made[i], known);
    }
    g.erase(id);
    std::vector<NodeId> fresh;
    for (size_t i = first_new; i < g.node_slots(); ++i)
      if (const NodeId k{static_cast<uint32_t>(i)}; g.node(k).alive) fresh.push_back(k);
    entry.after = node_text(g, fresh);
    c_.ledger.add(std::move(entry));
    return fresh;
  }

  // Findings left after lowering `nodes` as far as possible (in place, on a snapshot).
  size_t settle(Graph& g, const std::vector<NodeId>& nodes, int depth) {
    size_t left = 0;
    for (const NodeId id : nodes) {
      if (!g.node(id).alive || passing(g, id)) continue;
      const std::vector<Diag> findings = c_.legality->check(g, id);
      if (findings.empty()) continue;
      if (depth == 0) {
        left += findings.size();
        continue;
      }
      const std::optional<Choice> best = choose(g, id, findings, depth - 1);
      if (!best) {
        left += findings.size();
        continue;
      }
      const auto made = apply(g, id, best->name, findings.front().message);
      left += made ? settle(g, *made, depth - 1) : findings.size();
    }
    return left;
  }

  struct Choice {
    std::string name;
    Score score;
  };

  std::optional<Choice> choose(const Graph& g, NodeId id, const std::vector<Diag>& findings, int depth) {
    const std::string key = signature(g, id);
    if (const auto it = decided_.find(key); it != decided_.end() && depth >= it->second.first) return it->second.second;
    std::optional<Choice> best;
    for (const std::string_view name : candidates(g, id)) {
      Graph trial = g;
      const size_t mark = c_.ledger.size();
      const auto made = apply(trial, id, name, findings.front().message);
      if (made) {
        Score s;
        s.findings = settle(trial, *made, depth);
        for (size_t i = mark; i < c_.ledger.size(); ++i)
          s.numerics = std::max(s.numerics, c_.ledger.entries()[i].numerics);
        trial.erase_dead();
        s.nodes = trial.node_count();
        s.preference = preference(name);
        if (s.findings < findings.size() && (!best || s < best->score)) best = Choice{std::string(name), s};
      }
      c_.ledger.truncate(mark);
      // Nothing beats an exact candidate that leaves nothing, apart from one with fewer nodes; rows come cheapest
      // first.
      if (best && best->score.findings == 0 && best->score.numerics == Numerics::exact && c_.options.preferred.empty())
        break;
    }
    // Only a clean outcome depends on the signature alone: a match may look at producers and users, too.
    if (best && best->score.findings == 0) decided_[key] = {depth, best};
    return best;
  }

  size_t preference(std::string_view name) const {
    const auto& p = c_.options.preferred;
    return static_cast<size_t>(std::find(p.begin(), p.end(), name) - p.begin());
  }

  Result<bool> lower_one(Graph& g, NodeId id, const std::vector<Diag>& findings) {
    const std::string decision = decision_for(g, id);
    if (decision == "keep" || decision == "host") return false;
    std::optional<Choice> best;
    if (decision.empty() || decision == "auto") {
      best = choose(g, id, findings, kDepth);
    } else {
      best = Choice{decision, {}};
    }
    if (!best) return false;
    const size_t mark = c_.ledger.size();
    std::optional<Graph> before;
    if (c_.prover) before = g;
    if (!apply(g, id, best->name, findings.front().message)) {
      decided_.clear();
      best = choose(g, id, findings, kDepth);
      if (!best || !apply(g, id, best->name, findings.front().message)) return false;
    }
    if (!c_.prover) return true;
    NPU_ASSIGN(const Evidence e, c_.prover->prove(*before, g, c_.ledger.entries().back()));
    c_.ledger.entries().back().max_diff = e.max_diff;
    if (e.holds) return true;
    c_.say(0, fmt::format("{}: {} taken back: {}", c_.pass, best->name, e.detail));
    c_.ledger.truncate(mark);
    g = std::move(*before);
    return false;
  }

  std::string decision_for(const Graph& g, NodeId id) const {
    if (c_.options.decisions.empty() || g.node(id).outputs.empty()) return {};
    const auto it = c_.options.decisions.find(g.value(g.node(id).outputs[0]).name);
    return it == c_.options.decisions.end() ? std::string() : it->second;
  }

  PassContext& c_;
  std::set<NodeId> stuck_;
  std::map<std::string, std::pair<int, std::optional<Choice>>> decided_;
};

Result<size_t> run_lower(Graph& g, PassContext& c) {
  if (!c.legality) return size_t{0};
  return Lowering(c).run(g);
}

}  // namespace

std::span<const Rewrite> lower_rewrites() { return all_rows(); }

std::vector<IllegalNode> illegal_nodes(const Graph& g, const Legality& legality) {
  std::vector<IllegalNode> out;
  for (const NodeId id : g.topological())
    if (auto findings = legality.check(g, id); !findings.empty()) out.push_back({id, std::move(findings)});
  return out;
}

const PassDef lower_pass{"lower_illegal", "Replaces what the target refuses by what it takes.", Stage::canonical,
                         run_lower};

}  // namespace npuport
