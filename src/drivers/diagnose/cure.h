// Replaces what a compiler refuses: every known way is tried on a copy, its pieces compiled alone, the best one proven
// and kept. Exact ways first, approximate ones where allowed, the host last.
#pragma once

#include "drivers/diagnose/hunt.h"
#include "drivers/diagnose/whitelist.h"
#include "passes/context.h"

namespace npuport::diagnose {

// One way to do without a culprit.
struct Alternative {
  std::string name;  // a rewrite, "body", "host", or an idea that is no rewrite
  Numerics numerics = Numerics::exact;
  bool chosen = false;
  std::string verdict;              // why it was rejected, or what speaks for it
  std::string argument;             // why the result is the same, or how far it is off
  std::vector<std::string> kinds;   // format operators it needs
  std::vector<std::string> unseen;  // those among them the compiler was never seen to take before
  size_t nodes = 0;                 // it adds
};

struct CureRecord {
  std::string culprit;  // name of its first result
  std::vector<std::string> kinds;
  std::vector<Origin> origins;
  std::vector<Alternative> alternatives;
  std::string chosen;              // empty: none
  std::string outcome;             // one sentence
  std::optional<double> max_diff;  // measured against the model before any cure
};

struct CureOptions {
  PassOptions passes;               // ranges, preferred rewrites, allow_approximate, split_host
  const Legality* rules = nullptr;  // the target's; a node a rule forbids counts as refused unless it was seen to pass
  const Legality* host_rules = nullptr;  // what the files of host steps cannot hold; none: they hold everything
  Kinds kinds;
  // One verdict on a fragment.
  GraphJudge judge;
  // Compares graph and contract with the original model. holds = false takes the cure back.
  std::function<Result<Evidence>(const Graph&, const IoContract&, Numerics)> prove;
  // Largest magnitude a value takes on the samples, for the alternatives that depend on it; may be empty.
  std::function<std::optional<double>(const Graph&, ValueId)> magnitude;
  std::function<void(const HuntStep&)> log;
};

// Learns from a hunt: adds what passed to the whitelist, what is refused to the refusals.
Status learn(const Oracle& oracle, const Hunt& hunt, const Kinds& kinds, Whitelist& whitelist, Refusals& refusals);

// `order` and `hunt` are of a copy of `g` that stays as it is. Cures the culprits of a hunt in `g`, one after the
// other; those that cannot be are left, with the reason in their record. `compiles` counts the fragments compiled.
Result<std::vector<CureRecord>> cure(Graph& g, IoContract& io, Ledger& ledger, const Order& order, const Hunt& hunt,
                                     Whitelist& whitelist, Refusals& refusals, const CureOptions& options,
                                     size_t& compiles);

// Ways people consider for an operator that are no rewrites here, each with why it is or is not possible under this
// whitelist: `magnitude` is the largest argument on the samples, `elements` how many results the node has.
std::vector<Alternative> ideas(std::string_view op, std::optional<double> magnitude, int64_t elements,
                               const Whitelist& whitelist);

}  // namespace npuport::diagnose
