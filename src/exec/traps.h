// Known ways to port a model wrongly, recognised in the numbers of a gate that failed (requirement L-04): a constant
// added twice or not at all, a forgotten bias of the output, padding that no mask hides.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/lessons.h"
#include "exec/baseline.h"
#include "ir/graph.h"

namespace npuport {

// One sample a gate compared, failing or not: inputs of the candidate in graph order, and the right outputs.
struct TrapSample {
  std::span<const Tensor> inputs;
  std::span<const Baseline> expected;
};

struct TrapQuestion {
  const Graph& candidate;
  std::vector<TrapSample> samples;
  Gate gate;
  const Graph* reference = nullptr;  // a graph that is right: its constants count as known, too
  int threads = 0;
  int max_runs = 32;  // of changed candidates, at most
};

struct TrapFinding {
  std::string_view trap;  // "output_bias", "padding_unmasked", "added_twice", "not_added"
  const Lesson* lesson = nullptr;
  std::string tensor;    // the constant or input it is about; may be empty
  std::string sentence;  // for people: what was seen, and in what
};

// The first trap whose test holds; nothing when no sample fails or none does. No trap is named by resemblance: a bias
// is named when the difference is the same in every row of every sample; padding when changing values a mask hides
// changes the outputs; an addition when the candidate passes the gate on every failing sample without it, or with it.
Result<std::optional<TrapFinding>> find_trap(const TrapQuestion& question);

// A difference that is a known constant, up to a factor.
struct ConstantMatch {
  std::string name;
  double factor = 1;
  bool table = false;  // of several rows (positions), not one (a bias)

  const Lesson& lesson() const { return table ? npuport::lesson("NPU-H01") : npuport::lesson("NPU-H02"); }
  // "differs by the constant pos: it is added once too often …"
  std::string sentence() const;
};

// Whether got − expected equals a constant of one of the graphs, broadcast; of a table the first rows, from row 0, 1 or
// 2 (tables of positions begin with rows for padding). Constants of fewer than 16 elements, or of one value, prove
// nothing and do not count.
std::optional<ConstantMatch> match_constant(const Tensor& got, const Tensor& expected,
                                            std::span<const Graph* const> graphs);

namespace detail {

struct TrapContext {
  const TrapQuestion& question;
  std::vector<std::vector<Tensor>> got;  // per sample
  std::vector<size_t> failing;           // samples
  mutable int runs = 0;                  // of changed candidates

  // Whether the changed graph passes the gate on every failing sample; false, too, when no run is left.
  Result<bool> cures(const Graph& changed) const;
  std::vector<const Graph*> graphs() const;
};

using TrapSearch = Result<std::optional<TrapFinding>> (*)(const TrapContext&);
Result<std::optional<TrapFinding>> find_output_bias(const TrapContext& c);
Result<std::optional<TrapFinding>> find_unmasked_padding(const TrapContext& c);
Result<std::optional<TrapFinding>> find_added_twice(const TrapContext& c);
Result<std::optional<TrapFinding>> find_not_added(const TrapContext& c);

}  // namespace detail

}  // namespace npuport
