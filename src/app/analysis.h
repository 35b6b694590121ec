// Operator analysis: every operator of a model against a target, with the change planned for each that it refuses.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/plan_lessons.h"
#include "base/json.h"
#include "frontends/frontend.h"
#include "passes/context.h"
#include "target/check.h"

namespace npuport::app {

// All nodes of one operator with the same fate.
struct AnalysisEntry {
  std::string op;                // our name, "embedding"
  std::string format_operators;  // what it would be written as, "GATHER"
  int64_t count = 0;
  std::vector<Origin> places;
  std::string status;                 // "ok", "rewrite", "host", "impossible"
  std::vector<std::string> rewrites;  // ids from the ledger, in order of use
  std::string reason;                 // the finding
  std::string source;                 // of the finding, with confidence
  std::string risk;                   // "low", "middle", "high" by the exactness of the rewrites
  std::string decision = "auto";      // auto, a rewrite id, host, keep
  int64_t macs = 0;
  int64_t bytes = 0;  // of activations written
};

struct Analysis {
  std::string part, target;
  std::vector<AnalysisEntry> entries;  // sorted: impossible, host, rewrite, ok; then by name
  int64_t macs = 0, weight_bytes = 0, activation_bytes = 0, largest_activation = 0;
  std::vector<Citation> lessons;  // what the plan follows
  bool feasible() const;
};

// Decisions a person made in the `decision` column: "part/op" → decision, or "part/op@place" where rows of one operator
// differ. A place is "net.py:12 in encoder.0", "net.py:12" or "encoder.0".
using Decisions = std::map<std::string, std::string>;
// The entry that speaks of an operator at a place, the most particular one; null: none, it is decided automatically.
const Decisions::value_type* find_decision(const Decisions& decisions, const std::string& part, std::string_view op,
                                           const Origin* place);

// `imported` as read; `ledger` and `left` are what preparing it for the target did and could not remove. Nodes decided
// differently stand in rows of their own.
Analysis analyse(const std::string& part, const Graph& imported, const Target& target, const FormatMapper& format,
                 const Ledger& ledger, const Graph& prepared, const std::vector<Finding>& left,
                 const Decisions& decisions = {});

// The analysis of a model with operators npuport cannot import: each of them, impossible.
Analysis opaque_analysis(const std::string& part, const ImportedModel& model, const Target& target);

std::string analysis_markdown(const std::vector<Analysis>& parts, const Target& target,
                              const std::vector<const Ledger*>& ledgers);
Json analysis_json(const std::vector<Analysis>& parts, const Target& target);

// Reads the decisions back. A row's decision holds for the places it names, so a copied row with fewer places narrows
// it; in the JSON a place may carry a `decision` too. `markdown` and `json` are the files as found; `generated_*` what
// npuport last wrote. Both edited differently: bad_input_data.
Result<Decisions> read_decisions(const std::string& markdown, const std::string& generated_markdown,
                                 const std::string& json, const std::string& generated_json);

}  // namespace npuport::app
