#include "drivers/diagnose/cure.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/diag_codes.h"
#include "base/text.h"
#include "passes/cleanup.h"
#include "passes/domain.h"
#include "passes/host.h"
#include "passes/lower.h"

namespace npuport::diagnose {
namespace {

const RewriteSet& rows() {
  static const RewriteSet set(lower_rewrites());
  return set;
}

// Legality of one trial: the culprit, and among the nodes the trial made what the compiler is known to refuse.
class TrialLegality : public Legality {
 public:
  TrialLegality(std::vector<NodeId> culprits, size_t first_new, const CureOptions& o, const Whitelist& w,
                const Refusals& r)
      : culprits_(std::move(culprits)), first_new_(first_new), o_(o), whitelist_(w), refusals_(r) {}

  std::vector<Diag> check(const Graph& g, NodeId id) const override {
    if (std::find(culprits_.begin(), culprits_.end(), id) != culprits_.end())
      return {Diag(diag::illegal_for_target, "the compiler refuses " + std::string(g.node(id).op->name))};
    if (id.v < first_new_) return {};
    if (refusals_.refuses(g, id, o_.kinds))
      return {Diag(diag::illegal_for_target, "the compiler refuses " + join(o_.kinds(g, id), "+"))};
    if (o_.rules && !whitelist_.covers(g, id, o_.kinds)) return o_.rules->check(g, id);
    return {};
  }

 private:
  std::vector<NodeId> culprits_;
  size_t first_new_;
  const CureOptions& o_;
  const Whitelist& whitelist_;
  const Refusals& refusals_;
};

struct Trial {
  Graph graph;
  Ledger ledger;
  std::vector<NodeId> made;
  std::vector<std::string> log;
  bool fits = false;
};

class Curing {
 public:
  Curing(Graph& g, IoContract& io, Ledger& ledger, Whitelist& w, Refusals& r, const CureOptions& o, size_t& compiles)
      : g_(g), io_(io), ledger_(ledger), whitelist_(w), refusals_(r), o_(o), compiles_(compiles) {}

  Result<std::vector<CureRecord>> run(const Order& order, const Hunt& hunt) {
    std::vector<CureRecord> out(hunt.culprits.size());
    // Twice: the cure of one may bring the pattern of another.
    for (const bool again : {false, true})
      for (size_t i = 0; i < out.size(); ++i)
        if (!again || (out[i].chosen.empty() && out[i].outcome.empty())) NPU_TRY(one(order, hunt.culprits[i], out[i]));
    std::vector<size_t> left;
    std::vector<NodeId> left_nodes;
    for (size_t i = 0; i < out.size(); ++i)
      if (out[i].chosen.empty() && out[i].outcome.empty()) {
        left.push_back(i);
        left_nodes.push_back(order.node(hunt.culprits[i].nodes.front()));
      }
    NPU_TRY(to_host(out, left, left_nodes));
    for (CureRecord& r : out) {
      if (r.outcome.empty()) r.outcome = "no cure: every alternative was rejected";
      if (o_.log)
        o_.log({fmt::format("What can stand for {} ({})?", r.culprit, join(r.kinds, "+")),
                r.chosen.empty() ? "nothing" : r.chosen, r.outcome});
    }
    NPU_TRY(clean());
    return out;
  }

 private:
  static std::vector<std::string> candidates(const Graph& g, NodeId id) {
    std::vector<std::string> out;
    const Node& n = g.node(id);
    for (const Rewrite* r : rows().candidates(n.op->name)) out.emplace_back(r->name);
    if (!n.outputs.empty() && g.type(n.outputs[0]).dtype == DType::boolean)
      for (const char* row :
           {"masked_fill_as_term", "inverse_masked_fill_as_term", "selection_as_arithmetic", "bool_as_number"})
        if (std::find(out.begin(), out.end(), row) == out.end()) out.emplace_back(row);
    if (!n.op->body.empty()) out.emplace_back("body");
    return out;
  }

  // One row at one node, what it makes lowered on where the compiler is known to refuse it.
  Trial attempt(NodeId id, const std::string& row) const {
    Trial t;
    t.graph = g_;
    set_declared_ranges(t.graph, o_.passes.ranges);
    PassOptions options = o_.passes;
    options.allow_approximate = true;  // what it is decides later
    const std::string result = g_.value(g_.node(id).outputs[0]).name;
    options.decisions = {{result, row}};
    options.verify = false;
    const size_t first_new = g_.node_slots();
    const TrialLegality legality({id}, first_new, o_, whitelist_, refusals_);
    IoContract io = io_;
    PassContext c{
        options, t.ledger, &io, &legality, nullptr, [&](int, const std::string& line) { t.log.push_back(line); }, {}};
    const PassDef* const passes[] = {&lower_pass};
    const bool ran = run_passes(t.graph, passes, c).ok();
    const std::string entered = t.ledger.entries().empty() ? "" : t.ledger.entries().front().rewrite;
    const bool mine = row == "body" ? entered == std::string(g_.node(id).op->name) + "_body" : entered == row;
    t.fits = ran && mine && !t.graph.node(id).alive;
    for (size_t i = first_new; i < t.graph.node_slots(); ++i)
      if (const NodeId k{static_cast<uint32_t>(i)}; t.graph.node(k).alive) t.made.push_back(k);
    set_declared_ranges(t.graph, {});
    return t;
  }

  std::vector<std::string> kinds_of(const Graph& g, const std::vector<NodeId>& nodes) const {
    std::set<std::string> out;
    for (const NodeId id : nodes)
      for (std::string& k : o_.kinds(g, id)) out.insert(std::move(k));
    return {out.begin(), out.end()};
  }

  // Why the row did not fit, from the log of the attempt.
  static std::string reason(const Trial& t, const std::string& row) {
    for (const std::string& line : t.log)
      if (const size_t at = line.find(row + " refused at"); at != std::string::npos)
        if (const size_t colon = line.find(": ", at + row.size()); colon != std::string::npos)
          return line.substr(colon + 2);
    return "its pattern is not there";
  }

  // Compiles what the trial made, as a model of its own; equal fragments once.
  Result<std::optional<std::string>> fragment_refusal(const Trial& t) {
    if (t.made.empty()) return std::optional<std::string>();
    std::string key;
    for (const NodeId id : t.made) key += node_signature(t.graph, id) + "\n";
    if (const auto it = fragments_.find(key); it != fragments_.end()) return it->second;
    const Order order(t.graph);
    Set s;
    for (uint32_t p = 0; p < order.size(); ++p)
      if (std::find(t.made.begin(), t.made.end(), order.node(p)) != t.made.end()) s.push_back(p);
    NPU_ASSIGN(const Graph model, subgraph(order, s));
    NPU_ASSIGN(const CompileOutcome o, o_.judge(model, fmt::format("fragment{:03}", fragments_.size()), 0));
    if (!o.cached) ++compiles_;
    std::optional<std::string> refusal;
    if (o.verdict == CompileVerdict::accepted) {
      whitelist_.add(model, o_.kinds);
    } else {
      refusal = o.reason.empty() ? std::string(in_words(o.verdict)) : o.reason;
    }
    return fragments_[key] = refusal;
  }

  Status one(const Order& order, const Culprit& c, CureRecord& r) {
    r = CureRecord();
    r.kinds = c.kinds;
    r.culprit = order.name(c.nodes.front());
    for (const uint32_t p : c.nodes)
      for (const Origin& o : order.at(p).origins) r.origins.push_back(o);
    std::optional<Trial> best;
    size_t best_at = 0;
    for (const uint32_t p : c.nodes) {
      const NodeId id = order.node(p);
      if (!g_.node(id).alive) {
        r.outcome = "gone with the cure of another culprit";
        r.chosen = "another cure";
        return {};
      }
      if (g_.node(id).outputs.empty()) continue;
      for (const std::string& row : candidates(g_, id)) {
        Trial t = attempt(id, row);
        NPU_ASSIGN(Alternative a, weigh(t, row));
        const bool viable = a.verdict.empty();
        r.alternatives.push_back(std::move(a));
        if (!viable) continue;
        const auto better = [&](const Alternative& x, const Alternative& y) {
          return std::tuple(x.numerics, x.unseen.size(), x.nodes) < std::tuple(y.numerics, y.unseen.size(), y.nodes);
        };
        if (best && !better(r.alternatives.back(), r.alternatives[best_at])) continue;
        best = std::move(t);
        best_at = r.alternatives.size() - 1;
      }
      for (Alternative& a :
           ideas(g_.node(id).op->name, magnitude(id), element_count(g_.shape(g_.node(id).outputs[0])), whitelist_))
        r.alternatives.push_back(std::move(a));
    }
    if (best) NPU_TRY(keep(*best, r, best_at));
    for (size_t i = 0; i < r.alternatives.size(); ++i)
      if (r.alternatives[i].verdict.empty())
        r.alternatives[i].verdict =
            r.chosen.empty() ? "passes, but the proof failed" : "possible; " + r.chosen + " is better";
    return {};
  }

  std::optional<double> magnitude(NodeId id) const {
    const Node& n = g_.node(id);
    return o_.magnitude && !n.inputs.empty() && n.inputs[0].valid() ? o_.magnitude(g_, n.inputs[0]) : std::nullopt;
  }

  // Fills everything but `chosen`; an empty verdict means that nothing speaks against it.
  Result<Alternative> weigh(const Trial& t, const std::string& row) {
    Alternative a;
    a.name = row;
    if (const Rewrite* w = rows().find(row)) a.numerics = w->numerics, a.argument = w->doc;
    if (!t.fits) {
      a.verdict = "does not fit: " + reason(t, row);
      return a;
    }
    for (const LedgerEntry& e : t.ledger.entries()) {
      a.numerics = std::max(a.numerics, e.numerics);
      if (a.argument.empty()) a.argument = e.argument;
    }
    a.kinds = kinds_of(t.graph, t.made);
    a.nodes = t.made.size();
    for (const std::string& k : a.kinds)
      if (!whitelist_.has(k)) a.unseen.push_back(k);
    std::set<std::string> refused;
    const TrialLegality legality({}, g_.node_slots(), o_, whitelist_, refusals_);
    for (const NodeId id : t.made)
      if (const auto findings = legality.check(t.graph, id); !findings.empty())
        refused.insert(findings.front().message);
    if (!refused.empty()) {
      a.verdict = "rejected: " + join({refused.begin(), refused.end()}, "; ");
      return a;
    }
    if (a.numerics == Numerics::approximate && !allows_approximate(o_.passes, row)) {
      a.verdict = "rejected: approximate, and --allow-approximate was not given";
      return a;
    }
    NPU_ASSIGN(const std::optional<std::string> refusal, fragment_refusal(t));
    if (refusal) a.verdict = "rejected: compiled alone it is refused: " + *refusal;
    return a;
  }

  Status keep(Trial& t, CureRecord& r, size_t index) {
    Alternative& a = r.alternatives[index];
    NPU_ASSIGN(const Evidence e, o_.prove(t.graph, io_, a.numerics));
    if (!e.holds) {
      a.verdict = "rejected: the proof failed: " + e.detail;
      return {};
    }
    a.chosen = true;
    a.verdict = "chosen: " + std::string(name(a.numerics)) +
                (a.unseen.empty() ? "" : ", with operators new to this compiler: " + join(a.unseen, ", "));
    r.chosen = a.name;
    r.max_diff = e.max_diff;
    r.outcome = fmt::format("{} ({}), {}", a.name, name(a.numerics), e.detail);
    for (LedgerEntry& entry : t.ledger.entries()) {
      entry.pass = "diagnose";
      entry.reason = "the compiler refuses " + join(r.kinds, "+");
      entry.max_diff = e.max_diff;
      ledger_.add(std::move(entry));
    }
    g_ = std::move(t.graph);
    return {};
  }

  // ---- host

  // A concatenation of nothing but host values and constants goes along: one input instead of several.
  void take_joins(std::vector<NodeId>& nodes) const {
    std::set<NodeId> host;
    std::vector<NodeId> work = nodes;
    while (!work.empty()) {
      const NodeId id = work.back();
      work.pop_back();
      if (!host.insert(id).second) continue;
      for (const ValueId v : g_.node(id).inputs)
        if (v.valid() && g_.value(v).producer.valid()) work.push_back(g_.value(v).producer);
    }
    for (const NodeId id : g_.topological()) {
      const Node& n = g_.node(id);
      if (n.op->name != "concat" || host.contains(id)) continue;
      const bool all = std::all_of(n.inputs.begin(), n.inputs.end(), [&](ValueId v) {
        return g_.is_constant(v) || (g_.value(v).producer.valid() && host.contains(g_.value(v).producer));
      });
      if (all) nodes.push_back(id), host.insert(id);
    }
  }

  Status to_host(std::vector<CureRecord>& records, const std::vector<size_t>& left, const std::vector<NodeId>& nodes) {
    if (left.empty()) return {};
    const auto reject = [&](const std::string& why) {
      for (const size_t i : left)
        records[i].alternatives.push_back({"host", Numerics::exact, false, why, "", {}, {}, 0});
    };
    if (!o_.passes.split_host) {
      reject("rejected: parts may not move to the host (--no-host)");
      return {};
    }
    Graph moved = g_;
    IoContract io = io_;
    Ledger entries;
    PassOptions options = o_.passes;
    options.decisions.clear();
    std::vector<NodeId> all = nodes;
    take_joins(all);
    for (const NodeId id : all) options.decisions[moved.value(moved.node(id).outputs[0]).name] = "host";
    const TrialLegality legality({}, SIZE_MAX, o_, whitelist_, refusals_);
    PassContext c{options, entries, &io, &legality, nullptr, {}, {}, o_.host_rules};
    const PassDef* const passes[] = {&split_to_host_pass};
    NPU_TRY(run_passes(moved, passes, c));
    std::vector<bool> gone;
    for (const NodeId id : nodes) gone.push_back(!moved.node(id).alive);
    if (std::count(gone.begin(), gone.end(), true) == 0 || moved.node_count() == 0) {
      reject(moved.node_count() == 0
                 ? "rejected: nothing would be left for the NPU"
                 : "rejected: what comes before it and what comes after it is too much work for the host");
      return {};
    }
    NPU_ASSIGN(const Evidence e, o_.prove(moved, io, Numerics::exact));
    if (!e.holds) {
      reject("rejected: the proof failed: " + e.detail);
      return {};
    }
    for (size_t i = 0; i < left.size(); ++i) {
      CureRecord& r = records[left[i]];
      const std::string why = gone[i] ? "chosen: everything else was rejected, and the host computes it exactly"
                                      : "rejected: too much work for the host on either side of it";
      r.alternatives.push_back(
          {"host", Numerics::exact, gone[i], why, "The same operators, run on the host.", {}, {}, 0});
      if (!gone[i]) continue;
      r.chosen = "host";
      r.max_diff = e.max_diff;
      r.outcome = "moved to the host, " + e.detail;
    }
    for (LedgerEntry& entry : entries.entries()) {
      entry.pass = "diagnose";
      entry.max_diff = e.max_diff;
      ledger_.add(std::move(entry));
    }
    g_ = std::move(moved);
    io_ = std::move(io);
    return {};
  }

  // What the cures left in pieces.
  Status clean() {
    PassContext c{o_.passes, ledger_, &io_, nullptr, nullptr, {}, {}};
    const PassDef* const passes[] = {&fold_pass, &cleanup_pass};
    NPU_TRY(run_passes(g_, passes, c));
    set_io_contract(g_, io_);
    return verify(g_, Stage::canonical);
  }

  Graph& g_;
  IoContract& io_;
  Ledger& ledger_;
  Whitelist& whitelist_;
  Refusals& refusals_;
  const CureOptions& o_;
  size_t& compiles_;
  std::map<std::string, std::optional<std::string>> fragments_;
};

}  // namespace

Status learn(const Oracle& oracle, const Hunt& hunt, const Kinds& kinds, Whitelist& whitelist, Refusals& refusals) {
  std::set<std::string> passing;  // signatures
  const Order& order = oracle.order();
  // The largest passing sets say everything the smaller ones do.
  Set seen;
  for (const Set& s : oracle.passing()) seen = united(seen, s);
  NPU_ASSIGN(const Graph taken, subgraph(order, seen));
  whitelist.add(taken, kinds);
  for (const uint32_t p : seen) passing.insert(node_signature(order.graph(), order.node(p)));
  for (const Culprit& c : hunt.culprits) {
    if (c.nodes.size() > 1) {
      for (const uint32_t p : c.nodes) refusals.names.insert(order.name(p));
      continue;
    }
    const uint32_t p = c.nodes[0];
    std::vector<std::string> guilty;
    for (const std::string& k : c.kinds)
      if (!whitelist.has(k)) guilty.push_back(k);
    if (guilty.size() == 1) {
      refusals.kinds.insert(guilty[0]);
    } else if (const std::string s = node_signature(order.graph(), order.node(p)); !passing.contains(s)) {
      refusals.signatures.insert(s);
    } else {
      refusals.names.insert(order.name(p));
    }
  }
  return {};
}

Result<std::vector<CureRecord>> cure(Graph& g, IoContract& io, Ledger& ledger, const Order& order, const Hunt& hunt,
                                     Whitelist& whitelist, Refusals& refusals, const CureOptions& options,
                                     size_t& compiles) {
  return Curing(g, io, ledger, whitelist, refusals, options, compiles).run(order, hunt);
}

}  // namespace npuport::diagnose
