// Asks a compiler about pieces of a graph: in parallel, each question once, counted, within a budget, with repeats
// where the answers do not hold.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <span>

#include "drivers/diagnose/order.h"
#include "drivers/driver.h"

namespace npuport::diagnose {

// One verdict on one model; `label` names it in file names, `attempt` counts how often the same model was asked about
// before (a cache must not answer a repeat). Called from several threads at once. Errors are our own faults (disk
// full); a compiler's "no" is an outcome.
using GraphJudge = std::function<Result<CompileOutcome>(const Graph& model, const std::string& label, int attempt)>;

struct OracleOptions {
  int jobs = 1;             // compilers at the same time
  size_t max_compiles = 0;  // 0 = no limit
  int repeats = 1;          // equal verdicts before one is believed
  const std::atomic<bool>* cancel = nullptr;
};

struct OracleCounts {
  size_t questions = 0;        // sets asked about
  size_t compiles = 0;         // compiler runs
  size_t from_cache = 0;       // answered by an earlier run's verdict
  size_t inferred = 0;         // known without a run: part of what passes, or holding what fails
  size_t flaky = 0;            // sets with both verdicts
  size_t only_cut_out = 0;     // sets that fail alone but not inside a larger one
  double compile_seconds = 0;  // sum over the runs
};

class Oracle {
 public:
  Oracle(const Order& order, GraphJudge judge, OracleOptions options);

  // True = refused, per set, in order. The empty set passes. With `infer`, what larger passing and smaller failing sets
  // say is believed without a run. An error with exhausted() set: the budget is used up.
  Result<std::vector<bool>> refused(std::span<const Set> sets, bool infer = false);
  Result<bool> refused(const Set& s, bool infer = false);
  // Asks once more about sets whose answer a conclusion rests on.
  Status again(std::span<const Set> sets);
  // A model that is no part of the graph; not kept.
  Result<bool> refuses(const Graph& model);

  bool exhausted() const { return exhausted_; }
  // Grows when an answer given before turned out wrong: what was concluded from it has to be thought over.
  size_t revision() const { return revision_; }
  bool flaky() const { return counts_.flaky > 0; }
  int repeats() const { return options_.repeats; }
  const OracleCounts& counts() const { return counts_; }
  // The latest outcome behind the answer; nullptr when the set was never compiled.
  const CompileOutcome* outcome(const Set& s) const;
  // Every set the compiler took.
  std::vector<Set> passing() const;
  const Order& order() const { return order_; }

 private:
  struct Entry {
    int pass = 0, fail = 0;         // votes
    CompileOutcome passed, failed;  // latest of each
    bool only_cut_out = false;      // refused alone, taken inside a larger set: no fault of the nodes
    bool refused() const { return fail > pass && !only_cut_out; }
    bool mixed() const { return pass > 0 && fail > 0; }
  };
  bool decided(const Entry& e) const;
  std::optional<bool> inferred(const Set& s) const;
  // One more vote for each set, in parallel.
  Status vote(std::span<const Set> sets);
  Result<CompileOutcome> compile(const Set& s, size_t number);
  void enter(const Set& s, CompileOutcome outcome);
  // A set that fails inside one that passes: asks both again until one gives way.
  Status settle_contradictions(std::span<const Set> fresh);
  Status settle(const Set& inner, const Set& outer);

  const Order& order_;
  GraphJudge judge_;
  OracleOptions options_;
  std::map<Set, Entry> entries_;
  OracleCounts counts_;
  size_t revision_ = 0;
  bool exhausted_ = false;
};

}  // namespace npuport::diagnose
