#include "drivers/diagnose/hunt.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/diag_codes.h"
#include "base/text.h"
#include "drivers/diagnose/descent.h"
#include "ir/builder.h"
#include "ir/cost.h"

namespace npuport::diagnose {
namespace {

constexpr int kAttempts = 12;            // hunts from the start after verdicts changed
constexpr size_t kSmallForSize = 16;     // below this a failing set is never blamed on its size
constexpr size_t kRemovals = 8;          // pieces left out one at a time when a size is suspected
constexpr size_t kRefusalsForProbe = 4;  // single nodes tried and all refused: does it take anything?

std::string listed(const std::vector<std::string>& v, size_t most = 6) {
  std::string out;
  for (size_t i = 0; i < v.size() && i < most; ++i) out += (i ? ", " : "") + v[i];
  return v.size() > most ? out + fmt::format(" and {} more", v.size() - most) : out;
}

std::string lower_case(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// "onnx.Abs" and "ABS" are the same operator to a log.
std::string operator_key(std::string_view s) {
  const size_t dot = s.rfind('.');
  std::string out;
  for (const char c : lower_case(dot == std::string_view::npos ? s : s.substr(dot + 1)))
    if (c != '_') out += c;
  return out;
}

class Hunter {
 public:
  Hunter(Oracle& oracle, const HuntOptions& options) : oracle_(oracle), order_(oracle.order()), options_(options) {}

  Result<Hunt> run() {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const size_t revision = oracle_.revision();
      h_ = Hunt();
      masked_.clear();
      sized_ = false;
      const Status s = once();
      if (!s && !oracle_.exhausted()) return s.error();
      if (!s) {
        h_.complete = false;
        h_.open = s.error().message + "; what is listed was found until then";
        break;
      }
      if (oracle_.revision() == revision) break;
      say("Do the verdicts hold?", "no: some changed when they were asked for again",
          "start over with what is known now");
      if (attempt + 1 == kAttempts) {
        h_.complete = false;
        h_.open = "the compiler's verdicts keep changing";
      }
    }
    finish();
    return std::move(h_);
  }

 private:
  void say(std::string question, std::string result, std::string decision) {
    h_.steps.push_back({std::move(question), std::move(result), std::move(decision)});
    if (options_.log) options_.log(h_.steps.back());
  }

  std::vector<std::string> kinds(uint32_t p) const {
    if (options_.kinds)
      if (std::vector<std::string> k = options_.kinds(order_.node(p)); !k.empty()) return k;
    return {std::string(order_.at(p).op->name)};
  }
  std::vector<std::string> kinds(const Set& s) const {
    std::set<std::string> out;
    for (const uint32_t p : s)
      for (std::string& k : kinds(p)) out.insert(std::move(k));
    return {out.begin(), out.end()};
  }

  PartRow row(std::string name, const Set& s, bool refused) const {
    PartRow r{std::move(name), s, refused, CompileVerdict::accepted, {}, {}};
    for (const uint32_t p : s)
      for (const std::string& k : kinds(p)) ++r.kinds[k];
    if (const CompileOutcome* o = oracle_.outcome(s); o && refused) r.verdict = o->verdict, r.reason = o->reason;
    return r;
  }

  Status once() {
    const Set all = order_.all();
    NPU_ASSIGN(const bool refused, oracle_.refused(all));
    if (const CompileOutcome* o = oracle_.outcome(all)) h_.whole = *o;
    if (!refused) {
      h_.passes = h_.complete = true;
      h_.rest = all;
      say("Does the whole model compile?", "yes", "nothing to look for");
      return {};
    }
    say("Does the whole model compile?", fmt::format("no ({}): {}", in_words(h_.whole.verdict), h_.whole.reason),
        fmt::format("cut its {} nodes into parts", all.size()));
    NPU_TRY(ask_parts());
    NPU_TRY(try_suspects());
    if (h_.refuses_everything) return {};
    std::vector<Set> areas;
    for (const PartRow& p : h_.parts)
      if (p.refused) areas.push_back(p.nodes);
    NPU_TRY(search(areas));
    if (!sized_) NPU_TRY(search({all}));
    NPU_TRY(conclude());
    return confirm();
  }

  // ---- parts and the prior

  Status ask_parts() {
    const size_t n = order_.size();
    const size_t wanted = options_.parts > 0 ? options_.parts : std::clamp<size_t>(n / 50, n >= 8 ? 2 : 1, 8);
    const std::vector<Set> parts = order_.partition(wanted, options_.cuts);
    NPU_ASSIGN(const std::vector<bool> refused, oracle_.refused(parts));
    std::set<std::string> passing, failing, names;
    size_t bad = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      std::string name = order_.scope_of(parts[i]);
      if (name.empty() || !names.insert(name).second)
        name = fmt::format("{}{}part {}", name, name.empty() ? "" : ", ", i + 1);
      h_.parts.push_back(row(std::move(name), parts[i], refused[i]));
      bad += refused[i];
      for (const auto& [k, count] : h_.parts.back().kinds) (refused[i] ? failing : passing).insert(k);
    }
    std::set_difference(failing.begin(), failing.end(), passing.begin(), passing.end(),
                        std::back_inserter(h_.kinds_only_in_failing));
    say("Which parts compile?", fmt::format("{} of {} pass", parts.size() - bad, parts.size()),
        h_.kinds_only_in_failing.empty()
            ? std::string("no operator is in failing parts only: search by halves")
            : fmt::format("operators only in failing parts: {}", listed(h_.kinds_only_in_failing, 12)));
    return {};
  }

  // Nodes the target's rules or the compiler's own words point at.
  std::map<uint32_t, std::string> pointed_at() const {
    std::map<uint32_t, std::string> out;
    std::map<NodeId, uint32_t> position;
    for (uint32_t i = 0; i < order_.size(); ++i) position[order_.node(i)] = i;
    for (const auto& [node, why] : options_.suspects)
      if (const auto it = position.find(node); it != position.end()) out.emplace(it->second, "target rule: " + why);
    std::vector<CompilerFinding> findings = h_.whole.findings;
    for (const PartRow& p : h_.parts)
      if (const CompileOutcome* o = oracle_.outcome(p.nodes); o && p.refused)
        findings.insert(findings.end(), o->findings.begin(), o->findings.end());
    for (const CompilerFinding& f : findings)
      for (uint32_t i = 0; i < order_.size(); ++i)
        if (names_node(f, i)) out.emplace(i, "the compiler's log: " + (f.reason.empty() ? f.op : f.reason));
    return out;
  }
  bool names_node(const CompilerFinding& f, uint32_t p) const {
    const Graph& g = order_.graph();
    for (const ValueId v : order_.at(p).outputs)
      if (!g.value(v).name.empty() && (g.value(v).name == f.node || g.value(v).name == f.tensor)) return true;
    if (f.op.empty()) return false;
    const std::vector<std::string> mine = kinds(p);
    return std::any_of(mine.begin(), mine.end(),
                       [&](const std::string& k) { return operator_key(k) == operator_key(f.op); });
  }

  // Single nodes on good suspicion: a compile each, but no search.
  Status try_suspects() {
    std::map<uint32_t, std::string> suspects = pointed_at();
    const size_t most = std::max<size_t>(8, order_.size() / 4);
    if (suspects.size() > most) suspects.clear();
    NPU_TRY(test_single(suspects, "Is it what the rules or the log point at?"));
    // One of each kind that only failing parts have; where it fails, all of that kind.
    std::map<std::string, std::vector<uint32_t>> by_kind;
    for (const std::string& k : h_.kinds_only_in_failing) by_kind[k];
    for (uint32_t p = 0; p < order_.size(); ++p)
      for (const std::string& k : kinds(p))
        if (const auto it = by_kind.find(k); it != by_kind.end() && !suspects.contains(p)) it->second.push_back(p);
    if (h_.refuses_everything) return {};
    NPU_ASSIGN(const bool open, failing_part_left());
    if (!open) return {};
    std::map<uint32_t, std::string> samples, others;
    for (const auto& [k, nodes] : by_kind)
      if (!nodes.empty() && nodes.size() <= most) samples.emplace(nodes[0], "only failing parts have " + k);
    NPU_TRY(test_single(samples, "Is it an operator only failing parts have?"));
    if (h_.refuses_everything) return {};
    for (const auto& [p, why] : samples)
      if (masked_has(p))
        for (const std::string& k : kinds(p))
          if (const auto it = by_kind.find(k); it != by_kind.end())
            for (const uint32_t other : it->second)
              if (!masked_has(other)) others.emplace(other, why);
    return test_single(others, "Are the others of that kind refused, too?");
  }

  bool masked_has(uint32_t p) const { return std::binary_search(masked_.begin(), masked_.end(), p); }

  Result<bool> failing_part_left() {
    std::vector<Set> rests;
    for (const PartRow& p : h_.parts)
      if (p.refused) rests.push_back(without(p.nodes, masked_));
    NPU_ASSIGN(const std::vector<bool> r, oracle_.refused(rests, true));
    return std::any_of(r.begin(), r.end(), [](bool x) { return x; });
  }

  Status test_single(const std::map<uint32_t, std::string>& nodes, const std::string& question) {
    if (nodes.empty()) return {};
    std::vector<Set> sets;
    for (const auto& [p, why] : nodes) sets.push_back({p});
    NPU_ASSIGN(const std::vector<bool> refused, oracle_.refused(sets));
    const bool none_passes = std::count(refused.begin(), refused.end(), false) == 0;
    if (none_passes && refused.size() >= kRefusalsForProbe) NPU_TRY(probe());
    if (h_.refuses_everything) return {};
    std::vector<std::string> found;
    size_t i = 0;
    for (const auto& [p, why] : nodes)
      if (refused[i++]) {
        found.push_back(fmt::format("{} ({})", order_.name(p), join(kinds(p), "+")));
        add({p}, why);
      }
    say(question, fmt::format("{} of {} single nodes are refused", found.size(), nodes.size()),
        found.empty() ? std::string("look elsewhere") : "culprits: " + listed(found) + "; mask them and go on");
    return {};
  }

  void add(const Set& s, std::string how) {
    Culprit c;
    c.nodes = s;
    c.kinds = kinds(s);
    c.how = std::move(how);
    h_.culprits.push_back(std::move(c));
    masked_ = united(masked_, s);
  }

  // ---- the search

  // Where to cut: between parts as long as there are several, else where fewest values cross.
  size_t split(const Set& s) const {
    size_t best = 0;
    for (const PartRow& p : h_.parts) {
      const auto at = static_cast<size_t>(std::lower_bound(s.begin(), s.end(), p.nodes.front()) - s.begin());
      const auto off = [&](size_t i) { return i > s.size() / 2 ? i - s.size() / 2 : s.size() / 2 - i; };
      if (at > 0 && at < s.size() && (best == 0 || off(at) < off(best))) best = at;
    }
    return best > 0 ? best : order_.split(s);
  }

  // Until no area is refused any more without the culprits: descents in all areas side by side, one question of each at
  // a time; what needs two nodes together is explained when the descents have ended.
  Status search(const std::vector<Set>& areas) {
    size_t rounds = 0;
    const size_t before = h_.culprits.size();
    for (std::vector<Set> open = areas; !open.empty() && !sized_; ++rounds) {
      std::vector<Set> rests;
      for (const Set& a : open) rests.push_back(without(a, masked_));
      NPU_ASSIGN(const std::vector<bool> refused, oracle_.refused(rests, true));
      std::vector<Set> still;
      std::vector<Descent> descents;
      for (size_t i = 0; i < open.size(); ++i)
        if (refused[i]) still.push_back(open[i]), descents.emplace_back(rests[i]);
      NPU_TRY(descend(descents));
      for (const Descent& d : descents) {
        if (d.found() && d.found()->empty()) return {};  // verdicts changed: the hunt starts over
        if (d.found()) add(*d.found(), "halving");
      }
      for (const Descent& d : descents)
        if (d.interplay() && !sized_) {
          const size_t known = h_.culprits.size();
          NPU_TRY(explain(*d.interplay()));
          if (!sized_ && h_.culprits.size() == known) return {};
        }
      open = std::move(still);
    }
    if (rounds > 1)
      say(areas.size() > 1 ? "What in the failing parts is refused?" : "What is refused?",
          fmt::format("{} culprits by halving", h_.culprits.size() - before), "mask them and go on");
    return {};
  }

  Status descend(std::vector<Descent>& descents) {
    const Descent::Split where = [this](const Set& s) { return split(s); };
    for (;;) {
      std::vector<Set> questions;
      std::vector<Descent*> asking;
      for (Descent& d : descents)
        if (!d.done()) questions.push_back(d.question(where)), asking.push_back(&d);
      if (questions.empty()) return {};
      NPU_ASSIGN(const std::vector<bool> refused, oracle_.refused(questions, true));
      for (size_t i = 0; i < asking.size(); ++i) asking[i]->answer(refused[i]);
    }
  }

  Status probe() {
    if (probed_) return {};
    probed_ = true;
    Graph g;
    g.name = "probe";
    Builder b(g);
    const ValueId y = b.op("relu", {g.add_input("x", {DType::f32, {1, 8, 4, 4}, nullptr})});
    NPU_TRY(b.take_status());
    g.rename(y, "y");
    g.set_outputs({y});
    NPU_ASSIGN(h_.refuses_everything, oracle_.refuses(g));
    if (h_.refuses_everything) {
      h_.open =
          "the compiler refuses every piece, and a model of a single relu, too: look at its installation and options "
          "first";
      say("Does the compiler take anything?", "no, it refuses a model of a single relu",
          "stop: this says nothing about the model");
    }
    return {};
  }

  // ---- what no single node explains

  // Both halves pass, together they do not: a pattern across the cut, a far one, or the size.
  Status explain(const Interplay& pair) {
    const Set& all = pair.all;
    const Set &left = pair.left, &right = pair.right;
    Set at_cut;
    for (const uint32_t n : left)
      for (const uint32_t u : order_.users(n))
        if (std::binary_search(right.begin(), right.end(), u)) at_cut = united(at_cut, n < u ? Set{n, u} : Set{u, n});
    Set s = all;
    for (const int distance : {0, 1, 3}) {
      const Set near = order_.neighbourhood(at_cut, all, distance);
      if (near.size() < 2 || near.size() * 2 > all.size()) break;
      NPU_ASSIGN(const bool bad, oracle_.refused(near, true));
      if (!bad) continue;
      s = near;
      break;
    }
    if (s.size() >= kSmallForSize) NPU_TRY(narrow_or_size(s));
    if (sized_) return {};
    NPU_ASSIGN(const Set c, smallest({}, false, s));
    NPU_ASSIGN(const bool bad, oracle_.refused(c));
    if (!bad || c.empty()) return {};  // verdicts changed: the hunt starts over
    NPU_ASSIGN(const Set least, minimise(c));
    // That its nodes pass one without the other is what makes it a pattern: once more, for compilers of two minds.
    std::vector<Set> fewer;
    for (const uint32_t p : least) fewer.push_back(without(least, {p}));
    const size_t revision = oracle_.revision();
    if (least.size() > 1) NPU_TRY(oracle_.again(fewer));
    if (oracle_.revision() != revision) return {};
    add(least,
        fmt::format("pattern of {} nodes: each half of {} nodes passes without the other", least.size(), all.size()));
    say(fmt::format("{} nodes fail though both halves pass: what do the halves share?", all.size()),
        fmt::format("a pattern of {} nodes: {}", least.size(), listed(names(least))), "mask it and go on");
    return {};
  }

  std::vector<std::string> names(const Set& s) const {
    std::vector<std::string> out;
    for (const uint32_t p : s) out.push_back(order_.name(p) + " (" + join(kinds(p), "+") + ")");
    return out;
  }

  static Set range(const Set& s, size_t begin, size_t end) {
    return {s.begin() + static_cast<std::ptrdiff_t>(begin), s.begin() + static_cast<std::ptrdiff_t>(end)};
  }

  // The shortest refused run of nodes from the start; then its eighths are left out one at a time. If it passes without
  // any of them, no pattern of fewer than eight nodes is in it: it is refused for its size. Otherwise what is left of
  // `s` is the eighths it cannot be refused without.
  Status narrow_or_size(Set& s) {
    size_t low = 0, high = s.size();
    while (high - low > 1) {
      const size_t middle = (low + high) / 2;
      NPU_ASSIGN(const bool bad, oracle_.refused(range(s, 0, middle), true));
      (bad ? high : low) = middle;
    }
    const Set run = range(s, 0, high);
    if (run.size() < kSmallForSize) {
      s = run;
      return {};
    }
    std::vector<Set> eighths, others;
    for (size_t i = 0; i < kRemovals; ++i) {
      eighths.push_back(range(run, run.size() * i / kRemovals, run.size() * (i + 1) / kRemovals));
      others.push_back(without(run, eighths.back()));
    }
    NPU_ASSIGN(const std::vector<bool> bad, oracle_.refused(others, true));
    Set needed;
    for (size_t i = 0; i < kRemovals; ++i)
      if (!bad[i]) needed = united(needed, eighths[i]);
    if (needed.size() == run.size()) return by_size(run);
    s = run;
    if (needed.empty()) {
      s = others[0];
      return {};
    }
    NPU_ASSIGN(const bool enough, oracle_.refused(needed, true));
    if (enough) s = needed;
    return {};
  }

  Status by_size(const Set& run) {
    SizeLimit limit;
    limit.refused_nodes = run.size();
    limit.passing_nodes = run.size() - 1;
    std::set<ValueId> constants;
    const Graph& g = order_.graph();
    for (const uint32_t p : run) {
      limit.refused_macs += node_macs(g, order_.node(p));
      for (const ValueId v : order_.at(p).inputs)
        if (g.is_constant(v) && constants.insert(v).second) limit.refused_weights += g.value(v).constant->bytes();
    }
    sized_ = true;
    say("No single operator and no pattern is refused: is it the size?",
        fmt::format("{} nodes in a row are refused, and pass without any eighth of them", run.size()),
        "the size is at fault: cut into pieces that pass");
    NPU_TRY(pieces(limit));
    h_.sizes.push_back(std::move(limit));
    return {};
  }

  // More and more pieces until all of them pass; culprits are left out.
  Status pieces(SizeLimit& limit) {
    for (size_t wanted = 2; wanted <= 64; wanted += std::max<size_t>(1, wanted / 2)) {
      std::vector<Set> sets;
      for (const Set& s : order_.partition(wanted, options_.cuts))
        if (Set r = without(s, masked_); !r.empty()) sets.push_back(std::move(r));
      NPU_ASSIGN(const std::vector<bool> bad, oracle_.refused(sets, true));
      if (std::count(bad.begin(), bad.end(), true) > 0) continue;
      for (size_t i = 0; i < sets.size(); ++i)
        limit.pieces.push_back(row(fmt::format("piece {}", i + 1), sets[i], false));
      return {};
    }
    return {};
  }

  // QuickXplain (Junker 2004): a smallest subset of `from` that is refused together with `base`.
  Result<Set> smallest(const Set& base, bool grown, const Set& from) {
    if (grown) {
      NPU_ASSIGN(const bool enough, oracle_.refused(base, true));
      if (enough) return Set{};
    }
    if (from.size() <= 1) return from;
    const size_t at = order_.split(from);
    const Set one = range(from, 0, at), two = range(from, at, from.size());
    NPU_ASSIGN(const Set of_two, smallest(united(base, one), true, two));
    NPU_ASSIGN(const Set of_one, smallest(united(base, of_two), !of_two.empty(), one));
    return united(of_one, of_two);
  }

  // Leaves out nodes as long as the rest is still refused, each tried for itself.
  Result<Set> minimise(Set s) {
    for (bool again = true; again && s.size() > 1;) {
      again = false;
      std::vector<Set> fewer;
      for (const uint32_t p : s) fewer.push_back(without(s, {p}));
      NPU_ASSIGN(const std::vector<bool> bad, oracle_.refused(fewer));
      for (size_t i = 0; i < fewer.size() && !again; ++i)
        if (bad[i]) s = fewer[i], again = true;
    }
    return s;
  }

  // ---- conclusions

  Status conclude() {
    h_.rest = without(order_.all(), masked_);
    for (Culprit& c : h_.culprits) {
      c.minimal = true;  // single nodes: without it nothing is left; patterns went through minimise()
      if (const CompileOutcome* o = oracle_.outcome(c.nodes)) {
        c.verdict = o->verdict;
        c.reason = o->reason;
        c.log = o->log;
        c.findings = o->findings;
      }
    }
    std::sort(h_.culprits.begin(), h_.culprits.end(),
              [](const Culprit& a, const Culprit& b) { return a.nodes < b.nodes; });
    if (!h_.sizes.empty()) {
      h_.complete = !h_.sizes[0].pieces.empty();
      if (!h_.complete) h_.open = "no division into up to 64 pieces passes";
      return {};
    }
    NPU_ASSIGN(const bool bad, oracle_.refused(h_.rest));
    h_.complete = !bad;
    if (bad) h_.open = "the rest of the model is still refused";
    say("Does the rest pass without all culprits?", bad ? "no" : "yes",
        bad                       ? "look again"
        : h_.culprits.size() == 1 ? "the one culprit is all of it"
                                  : fmt::format("{} culprits are all of them", h_.culprits.size()));
    return {};
  }

  // Cutting a model makes inputs and outputs the compiler would not have seen. So each culprit is asked about again in
  // the whole model with only the other culprits taken out, and in the model up to it, unmodified, where no other
  // culprit comes before it.
  Status confirm() {
    const size_t limit = h_.sizes.empty() ? SIZE_MAX : h_.sizes[0].refused_nodes;
    std::vector<Set> context, prefix;
    for (const Culprit& c : h_.culprits) {
      Set around = united(h_.rest, c.nodes);
      context.push_back(around.size() < limit ? std::move(around) : Set{});
      Set before = order_.prefix_of(c.nodes);
      const bool clean = without(before, c.nodes).size() + c.nodes.size() == before.size() &&
                         united(without(before, masked_), c.nodes) == before && before.size() < limit;
      prefix.push_back(clean ? std::move(before) : Set{});
    }
    NPU_ASSIGN(const std::vector<bool> in_context, oracle_.refused(context));
    NPU_ASSIGN(const std::vector<bool> in_prefix, oracle_.refused(prefix));
    size_t confirmed = 0;
    for (size_t i = 0; i < h_.culprits.size(); ++i) {
      Culprit& c = h_.culprits[i];
      c.confirmed = (context[i].empty() || in_context[i]) && (prefix[i].empty() || in_prefix[i]) &&
                    !(context[i].empty() && prefix[i].empty());
      if (!context[i].empty())
        c.confirmation = fmt::format("the model with the other culprits taken out is {} with it and passes without it",
                                     in_context[i] ? "refused" : "taken");
      if (!prefix[i].empty())
        c.confirmation +=
            fmt::format("{}the unmodified model up to it ({} nodes) is {}", c.confirmation.empty() ? "" : "; ",
                        prefix[i].size(), in_prefix[i] ? "refused" : "taken");
      if (c.confirmation.empty()) c.confirmation = "every model around it is too large for this compiler";
      confirmed += c.confirmed;
    }
    if (!h_.culprits.empty())
      say("Are they refused in the model as it stands?",
          fmt::format("{} of {} confirmed in the model around them", confirmed, h_.culprits.size()),
          confirmed == h_.culprits.size() ? "reported as culprits" : "the others are reported as unconfirmed");
    return {};
  }

  void finish() {
    h_.flaky = oracle_.flaky();
    h_.counts = oracle_.counts();
    if (h_.flaky)
      say("Does the compiler answer the same question in the same way?",
          fmt::format("no: {} pieces were both taken and refused", h_.counts.flaky),
          fmt::format("each verdict is the majority of at least {} answers", oracle_.repeats()));
    if (h_.rest.empty()) h_.rest = without(order_.all(), masked_);
    if (h_.passes || h_.refuses_everything) return;
    std::vector<Set> sets;
    for (const Culprit& c : h_.culprits) sets.push_back(c.nodes);
    h_.others = count_other_methods(order_.size(), sets, h_.sizes.empty() ? 0 : h_.sizes[0].refused_nodes);
  }

  Oracle& oracle_;
  const Order& order_;
  const HuntOptions& options_;
  Hunt h_;
  Set masked_;
  bool sized_ = false, probed_ = false;
};

}  // namespace

std::string_view in_words(CompileVerdict v) {
  switch (v) {
    case CompileVerdict::accepted:
      return "accepted";
    case CompileVerdict::refused:
      return "refused";
    case CompileVerdict::crashed:
      return "the compiler crashed";
    case CompileVerdict::timed_out:
      return "the compiler did not end in time";
    case CompileVerdict::no_output:
      return "success was reported without a usable output";
    case CompileVerdict::misplaced:
      return "parts do not run on the NPU";
    case CompileVerdict::skipped:
      return "the compiler is not here";
  }
  return "";
}

Result<Hunt> hunt(Oracle& oracle, const HuntOptions& options) { return Hunter(oracle, options).run(); }

}  // namespace npuport::diagnose
