// What passes share: the interfaces the application implements, the ledger of changes, and the options of one run.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "passes/io_contract.h"

namespace npuport {

class UserRewrites;

// How far a rewritten graph may differ from the one before.
enum class Numerics : uint8_t {
  exact,            // bit-equal up to the order of floating-point additions
  exact_on_domain,  // equal for inputs in a declared or proven domain
  approximate,      // differs by a measured bound; needs PassOptions::allow_approximate
};
std::string_view name(Numerics n);  // "exact", "exact-on-domain", "approximate"

// One change made to a graph.
struct LedgerEntry {
  std::string pass;     // "fuse"
  std::string rewrite;  // "gelu_erf"
  Numerics numerics = Numerics::exact;
  std::string reason;    // why it was done: the finding it removes, or the gain
  std::string argument;  // why the result is the same (or how far it is off), as mathematics
  std::string before;    // nodes taken out, IR text, one line each
  std::string after;     // nodes put in, IR text, one line each
  std::vector<Origin> origins;
  std::optional<double> max_diff;  // measured by the Prover, where one ran
};

class Ledger {
 public:
  void add(LedgerEntry entry) { entries_.push_back(std::move(entry)); }
  const std::vector<LedgerEntry>& entries() const { return entries_; }
  std::vector<LedgerEntry>& entries() { return entries_; }
  size_t size() const { return entries_.size(); }
  // Forgets everything after the first `count` entries: a rolled-back attempt.
  void truncate(size_t count) { entries_.resize(std::min(count, entries_.size())); }

 private:
  std::vector<LedgerEntry> entries_;
};

// What a target or an output format refuses.
class Legality {
 public:
  virtual ~Legality() = default;
  // One Diag per rule the node breaks; empty = legal. The Diag's message is the rule's sentence with actual values.
  virtual std::vector<Diag> check(const Graph& g, NodeId node) const = 0;
};

struct Evidence {
  bool holds = true;
  std::optional<double> max_diff;  // largest |before - after| over all samples and outputs
  std::string detail;              // one sentence
};

// Shows that a change keeps the results. Both graphs have the same interface.
class Prover {
 public:
  virtual ~Prover() = default;
  virtual Result<Evidence> prove(const Graph& before, const Graph& after, const LedgerEntry& entry) = 0;
};

// Values an input can take, both ends included.
struct ValueRange {
  double low = 0, high = 0;
  bool integers = false;  // only whole numbers occur
};

enum class IoLayout : uint8_t {
  keep,           // inputs and outputs stay as the model has them
  channels_last,  // rank-4 image inputs and outputs become NHWC
};

struct PassOptions {
  IoLayout io_layout = IoLayout::keep;
  bool allow_approximate = false;
  bool narrow_int64 = false;                 // i64 → i32 where the range is known to fit
  bool assume_int32 = false;                 // i64 values of unknown range are taken to fit i32 (UNVERIFIED)
  bool verify = false;                       // verify(graph) after every pass
  bool split_host = true;                    // parts may move to the host
  std::map<std::string, ValueRange> ranges;  // by input name
  std::vector<std::string> preferred;        // names of lowering rewrites the target prefers, best first
  std::vector<std::string> approximate;      // names of approximate rewrites a rule of the target allows
  // What the user decided for a node, by the name of its first output: "auto", "keep", "host" or a rewrite's name.
  std::map<std::string, std::string> decisions;
  std::shared_ptr<const UserRewrites> rewrites;  // the user's own rows; may be none
};

// True when an approximate rewrite may be used.
bool allows_approximate(const PassOptions& options, std::string_view rewrite);

struct PassContext {
  const PassOptions& options;
  Ledger& ledger;
  IoContract* io;                      // the interface's history; passes that change it keep this up to date
  const Legality* legality = nullptr;  // none: everything is legal
  Prover* prover = nullptr;            // none: changes are not measured one by one
  // One line per pass, and per refused rewrite at level 1; may be empty.
  std::function<void(int level, const std::string& line)> log;
  std::string pass;  // name of the running pass
  // What the files of host steps cannot hold; none: they hold everything.
  const Legality* host_legality = nullptr;

  void say(int level, const std::string& line) const {
    if (log) log(level, line);
  }
};

struct PassDef {
  std::string_view name;
  std::string_view doc;
  Stage gives = Stage::canonical;  // checked afterwards when options.verify is set
  // Changes `g`; returns how many nodes were touched.
  Result<size_t> (*run)(Graph& g, PassContext& c) = nullptr;
};

// Runs the passes in order: one log line each (name, changed nodes, ms), verification when asked for.
Status run_passes(Graph& g, std::span<const PassDef* const> passes, PassContext& c);

// IR text of single nodes for ledgers: types, attributes, small constants inline, large ones by name only.
std::string node_text(const Graph& g, std::span<const NodeId> nodes);
// Origins of all nodes, duplicates dropped, order kept.
std::vector<Origin> merged_origins(const Graph& g, std::span<const NodeId> nodes);

}  // namespace npuport
