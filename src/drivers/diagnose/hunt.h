// Finds every part of a graph a compiler refuses: parts, halves, single nodes, patterns, sizes.
#pragma once

#include "drivers/diagnose/oracle.h"

namespace npuport::diagnose {

// "refused", "crashed", "stopped after its time", "left no usable output" … for sentences.
std::string_view in_words(CompileVerdict v);

// One step of the hunt, for people.
struct HuntStep {
  std::string question, result, decision;
};

// A piece of the graph as the table of parts shows it.
struct PartRow {
  std::string name;  // module scope, or "part 3"
  Set nodes;
  bool refused = false;
  CompileVerdict verdict = CompileVerdict::accepted;
  std::string reason;                // the compiler's
  std::map<std::string, int> kinds;  // format operators and how many
};

// A smallest set of nodes the compiler refuses: without any one of them it passes.
struct Culprit {
  Set nodes;
  std::vector<std::string> kinds;  // format operators, sorted, each once
  CompileVerdict verdict = CompileVerdict::refused;
  std::string reason;
  std::vector<CompilerFinding> findings;
  std::string log;           // file with the log of its compile; may be gone
  std::string how;           // how it was found
  bool minimal = false;      // leaving out any one node was tried and passes
  bool confirmed = false;    // the model up to it is refused, and without it taken
  std::string confirmation;  // one sentence
};

// No operator is at fault, the number of them is.
struct SizeLimit {
  size_t refused_nodes = 0;                       // smallest number of consecutive nodes that was refused
  size_t passing_nodes = 0;                       // one less, which passes
  int64_t refused_macs = 0, refused_weights = 0;  // of the refused piece: multiply-accumulates, bytes of constants
  std::vector<PartRow> pieces;                    // the graph in pieces that all pass
};

// Compiles another method would have needed for the same culprits, counted on the verdicts this hunt found.
struct MethodCounts {
  size_t prefix_bisection = 0, ddmin = 0;
};

struct Hunt {
  bool passes = false;              // the whole model compiles
  bool complete = false;            // everything that is refused was found: the rest passes
  std::string open;                 // when not complete: why, and what is left
  bool refuses_everything = false;  // even a model of one relu: the compiler's installation is at fault
  CompileOutcome whole;
  std::vector<PartRow> parts;
  std::vector<Culprit> culprits;                   // disjoint, in graph order
  std::vector<SizeLimit> sizes;                    // at most one
  Set rest;                                        // all nodes that are no culprits
  std::vector<std::string> kinds_only_in_failing;  // operators no passing part has
  bool flaky = false;
  OracleCounts counts;
  MethodCounts others;
  std::vector<HuntStep> steps;
};

struct HuntOptions {
  std::vector<std::string> cuts;  // values after which to cut, by name
  size_t parts = 0;               // 0 = by size: about one per 25 nodes, 2 to 8
  // Nodes that target rules or an earlier whitelist make suspicious, with the reason.
  std::vector<std::pair<NodeId, std::string>> suspects;
  // The operators a node is written as; empty = the node's own operator.
  std::function<std::vector<std::string>(NodeId)> kinds;
  std::function<void(const HuntStep&)> log;  // called for each step as it is made; may be empty
};

// Runs the hunt. An exhausted budget gives an incomplete Hunt, not an error.
Result<Hunt> hunt(Oracle& oracle, const HuntOptions& options);

// What plain prefix bisection (shortest refused prefix, mask its last node, again) and ddmin (Zeller and Hildebrandt
// 2002, one reproducer after the other, each masked) would have compiled on a compiler that refuses whatever holds one
// of `culprits` or has at least `size` nodes (0: no such limit). Equal questions count once.
MethodCounts count_other_methods(size_t nodes, const std::vector<Set>& culprits, size_t size);

}  // namespace npuport::diagnose
