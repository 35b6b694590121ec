// Finds the first layer of a candidate graph that deviates from a reference, and says what kind of repair it needs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/lessons.h"
#include "exec/compare.h"
#include "exec/executor.h"

namespace npuport {

// What a deviation looks like (requirements S0-30 … S0-32).
enum class RepairClass { none, weights, structure, dtype, preprocessing };
std::string_view name(RepairClass c);  // "weights" …

struct BisectOptions {
  // A value deviates when ‖Δ‖ / ‖reference − mean‖ exceeds this (integers: when any differs). Reordered f32 sums stay
  // below it, rounding to half precision is above. Layers are held to a tighter limit than a model's outputs (1e-3),
  // where what deviates inside may be squashed: at most 1e-4 (lesson NPU-V02).
  double tolerance = 5e-5;
  int threads = 0;
};

struct Bisection {
  bool found = false;
  RepairClass repair = RepairClass::none;
  std::string node;                   // name of the deviating value in the candidate
  std::string op;                     // operator that makes it
  std::string scope;                  // module path, when the candidate knows it
  std::string source;                 // "model.py:93"
  std::vector<std::string> weights;   // constants of the node that matter: the wrong ones, else all of them
  std::vector<std::string> suspects;  // other nodes between this point and the last one that is right
  double relative = 0;                // deviation of the node when fed with the reference's own values
  int points = 0;                     // values compared (N)
  int evaluations = 0;                // segments run, at most ceil(log2 N) + 2
  std::string sentence;               // for people: what deviates and what to look at
  const Lesson* lesson = nullptr;     // a known trap the difference shows (exec/traps.h), else null
};

// Values correspond by name, else by origin (scope, source line, foreign operator, n-th with that key) and type. Both
// graphs are fed their own inputs; where those differ that is the answer (`preprocessing`). Fails when nothing
// corresponds (`bad_input_data`) or a graph cannot run.
Result<Bisection> bisect(const Graph& reference, std::span<const Tensor> reference_inputs, const Graph& candidate,
                         std::span<const Tensor> candidate_inputs, const BisectOptions& options = {});

// The same against saved module outputs: scope ("encoder.blocks.0") → output, as `trace --layers` writes them. A scope
// corresponds to the value that leaves it. Weights cannot be compared, so the class is told from the size of the
// deviation and from casts in the graph.
Result<Bisection> bisect(const std::map<std::string, Tensor>& layers, std::span<const Tensor> reference_inputs,
                         const Graph& candidate, std::span<const Tensor> candidate_inputs,
                         const BisectOptions& options = {});

namespace detail {

// A value of the candidate whose right contents are known.
struct Point {
  ValueId value;      // in the candidate
  ValueId reference;  // in the reference graph; invalid without one
  Tensor expected;
};

// Points in topological order of the candidate. `expected` is left empty.
std::vector<Point> correspondences(const Graph& reference, const Graph& candidate);
std::vector<Point> correspondences(const std::map<std::string, Tensor>& layers, const Graph& candidate);

// ‖Δ‖ / ‖expected − mean‖; for a constant expected the largest |Δ| over the larger of 1 and its magnitude. Infinity for
// NaN, Inf and unequal types; integers count as their share of differing elements.
double deviation(const Tensor& got, const Tensor& expected);

// Nodes of the candidate between `value` and the known values, topological order.
std::vector<NodeId> segment_of(const Graph& g, ValueId value, const std::vector<bool>& known);

// Fills node, class, weights and sentence for a deviation found at `point`.
void classify(const Graph* reference, const Graph& candidate, std::span<const NodeId> segment, const Point& point,
              Bisection& report);
// Set when the inputs differ.
std::optional<Bisection> compare_inputs(std::span<const Tensor> reference, const Graph& candidate,
                                        std::span<const Tensor> given);

}  // namespace detail

}  // namespace npuport
