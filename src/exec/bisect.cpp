#include "exec/bisect.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "base/diag_codes.h"
#include "exec/traps.h"

namespace npuport {

namespace {

using detail::Point;

std::string origin_key(const Node& n) {
  if (n.origins.empty()) return {};
  const Origin& o = n.origins.back();
  return o.scope + "|" + o.source + "|" + o.foreign;
}

// Outputs by origin; the n-th output with a key has its own entry.
std::map<std::string, std::vector<ValueId>> by_origin(const Graph& g) {
  std::map<std::string, std::vector<ValueId>> out;
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    const std::string key = origin_key(n);
    if (key.empty()) continue;
    for (const ValueId v : n.outputs) out[key + "|" + to_string(g.type(v))].push_back(v);
  }
  return out;
}

bool inside(std::string_view scope, std::string_view module) {
  return scope.starts_with(module) && (scope.size() == module.size() || scope[module.size()] == '.');
}

bool made_in(const Graph& g, NodeId id, std::string_view module) {
  const Node& n = g.node(id);
  return !n.origins.empty() && inside(n.origins.back().scope, module);
}

// The candidate's values in order, with those that have a counterpart.
void sort_topologically(const Graph& g, std::vector<Point>& points) {
  std::vector<uint32_t> position(g.node_slots(), 0);
  uint32_t next = 0;
  for (const NodeId id : g.topological()) position[id.v] = next++;
  const auto key = [&](const Point& p) {
    return std::pair(position[g.value(p.value).producer.v], g.value(p.value).slot);
  };
  std::stable_sort(points.begin(), points.end(), [&](const Point& a, const Point& b) { return key(a) < key(b); });
}

// Part of a graph from known values to the values of some points.
struct Segment {
  Graph graph;
  std::vector<ValueId> feeds;                // values of the original that become inputs
  std::map<uint32_t, size_t> point_of_node;  // node of `graph` → index of the point it makes
};

class Search {
 public:
  Search(const Graph& candidate, std::span<const Tensor> inputs, std::span<const Point> points,
         const BisectOptions& options)
      : g_(candidate), inputs_(inputs), points_(points), options_(options) {}

  // Runs the points (first, last] fed with the reference's values of everything up to `first`; returns the first one
  // that deviates (−1: none). Point −1 stands for the graph's inputs.
  Result<int> evaluate(int first, int last) {
    ++evaluations;
    NPU_ASSIGN(Segment s, cut(first, last));
    std::vector<Tensor> feeds;
    for (const ValueId v : s.feeds) feeds.push_back(feed(v));
    int found = -1;
    ExecOptions exec;
    exec.threads = options_.threads;
    exec.observer = [&](NodeId id, const Node& n, std::span<const Tensor> out) {
      const auto it = s.point_of_node.find(id.v);
      if (it == s.point_of_node.end()) return;
      // A node with several outputs holds several neighbouring points.
      for (size_t k = it->second; k < points_.size() && static_cast<int>(k) <= last; ++k) {
        const Value& v = g_.value(points_[k].value);
        if (v.producer != g_.value(points_[it->second].value).producer || v.slot >= n.outputs.size()) break;
        const double d = detail::deviation(out[v.slot], points_[k].expected);
        if (!(d <= options_.tolerance) && (found < 0 || static_cast<int>(k) < found)) {
          found = static_cast<int>(k);
          relative = d;
          got = out[v.slot];
        }
      }
    };
    NPU_TRY(execute(s.graph, feeds, exec));
    return found;
  }

  std::vector<bool> known_before(int point) const {
    std::vector<bool> known(g_.value_slots(), false);
    for (const ValueId v : g_.inputs()) known[v.v] = true;
    for (int k = 0; k < point; ++k) known[points_[static_cast<size_t>(k)].value.v] = true;
    return known;
  }

  int evaluations = 0;
  double relative = 0;
  Tensor got;  // the deviating value of the last evaluation that found one

 private:
  const Tensor& feed(ValueId v) const {
    for (size_t i = 0; i < g_.inputs().size(); ++i) {
      if (g_.inputs()[i] == v) return inputs_[i];
    }
    return std::find_if(points_.begin(), points_.end(), [&](const Point& p) { return p.value == v; })->expected;
  }

  Result<Segment> cut(int first, int last) const {
    const std::vector<bool> known = known_before(first + 1);
    std::set<uint32_t> wanted;
    for (int k = first + 1; k <= last; ++k) {
      for (const NodeId id : detail::segment_of(g_, points_[static_cast<size_t>(k)].value, known)) wanted.insert(id.v);
    }
    Segment s;
    std::map<uint32_t, ValueId> map;
    std::vector<ValueId> outputs;
    for (const NodeId id : g_.topological()) {
      if (!wanted.contains(id.v)) continue;
      const Node& n = g_.node(id);
      std::vector<ValueId> in;
      for (const ValueId v : n.inputs) in.push_back(v.valid() ? mapped(s, map, v) : ValueId{});
      NPU_ASSIGN(const NodeId made, s.graph.add(*n.op, std::move(in), n.attrs, n.origins, n.outputs.size()));
      for (size_t k = 0; k < n.outputs.size(); ++k) map[n.outputs[k].v] = s.graph.node(made).outputs[k];
      for (int k = last; k > first; --k) {
        const ValueId v = points_[static_cast<size_t>(k)].value;
        if (g_.value(v).producer != id) continue;
        s.point_of_node[made.v] = static_cast<size_t>(k);
        outputs.push_back(map[v.v]);
      }
    }
    s.graph.set_outputs(std::move(outputs));
    return s;
  }

  ValueId mapped(Segment& s, std::map<uint32_t, ValueId>& map, ValueId v) const {
    const auto it = map.find(v.v);
    if (it != map.end()) return it->second;
    const Value& value = g_.value(v);
    if (value.constant) return map[v.v] = s.graph.add_constant(value.name, value.constant);
    s.feeds.push_back(v);
    return map[v.v] = s.graph.add_input(value.name, value.type);
  }

  const Graph& g_;
  std::span<const Tensor> inputs_;
  std::span<const Point> points_;
  const BisectOptions& options_;
};

Bisection nothing_found(const Search& search, size_t points, bool drift) {
  Bisection report;
  report.points = static_cast<int>(points);
  report.evaluations = search.evaluations;
  report.sentence = drift ? "no single layer deviates when it is fed the reference's values: small differences add up"
                          : "no compared value deviates";
  return report;
}

// A difference that is one of the graphs' constants tells more than its size.
void name_constant(const Graph* reference, const Graph& candidate, const Tensor& got, const Tensor& expected,
                   Bisection& report) {
  std::vector<const Graph*> graphs = {&candidate};
  if (reference) graphs.push_back(reference);
  const std::optional<ConstantMatch> match = match_constant(got, expected, graphs);
  if (!match) return;
  report.repair = report.op == "input" ? RepairClass::preprocessing : RepairClass::structure;
  report.lesson = &match->lesson();
  report.weights = {match->name};
  report.sentence += "; " + match->sentence();
}

// Set when the inputs differ: then that is the answer.
std::optional<Bisection> compare_inputs(const Graph* reference, std::span<const Tensor> wanted, const Graph& candidate,
                                        std::span<const Tensor> given) {
  std::optional<Bisection> found = detail::compare_inputs(wanted, candidate, given);
  for (size_t i = 0; found && i < given.size(); ++i)
    if (candidate.value(candidate.inputs()[i]).name == found->node)
      name_constant(reference, candidate, given[i], wanted[i], *found);
  return found;
}

Result<Bisection> search_points(const Graph* reference, const Graph& candidate, std::span<const Tensor> inputs,
                                std::span<const Point> points, const BisectOptions& options) {
  Search search(candidate, inputs, points, options);
  const int count = static_cast<int>(points.size());
  const int budget = static_cast<int>(std::bit_width(static_cast<unsigned>(count - 1))) + 2;  // ceil(log2 N) + 2
  int found = -1, low = -1;
  bool drift = false;
  while (found < 0 && search.evaluations < budget) {
    NPU_ASSIGN(const int at, search.evaluate(low, count - 1));
    if (at < 0) break;
    // Everything between agreed, so `at` is the suspect; but small differences may have added up to it. Fed with the
    // reference's own values it must still deviate, else the search goes on behind it.
    if (at == low + 1) {
      found = at;
    } else if (search.evaluations < budget) {
      NPU_ASSIGN(found, search.evaluate(at - 1, at));
    }
    if (found < 0) drift = true;
    low = at;
  }
  if (found < 0) return nothing_found(search, points.size(), drift);
  Bisection report;
  report.found = true;
  report.points = static_cast<int>(points.size());
  report.evaluations = search.evaluations;
  report.relative = search.relative;
  const Point& point = points[static_cast<size_t>(found)];
  const std::vector<NodeId> segment = detail::segment_of(candidate, point.value, search.known_before(found));
  detail::classify(reference, candidate, segment, point, report);
  name_constant(reference, candidate, search.got, point.expected, report);
  return report;
}

Status check_inputs(const Graph& candidate, std::span<const Tensor> reference, std::span<const Tensor> given) {
  if (given.size() != candidate.inputs().size() || reference.size() != given.size()) {
    return Diag(diag::bad_input_data, fmt::format("the candidate takes {} inputs; {} and {} were given",
                                                  candidate.inputs().size(), reference.size(), given.size()));
  }
  return {};
}

Diag nothing_corresponds() {
  return Diag(diag::bad_input_data, "no value of the candidate corresponds to one of the reference",
              "compare graphs of the same model, or save layers with `npuport trace --layers`");
}

}  // namespace

std::string_view name(RepairClass c) {
  constexpr std::string_view kNames[] = {"none", "weights", "structure", "dtype", "preprocessing"};
  return kNames[static_cast<size_t>(c)];
}

std::vector<Point> detail::correspondences(const Graph& reference, const Graph& candidate) {
  std::map<std::string, ValueId, std::less<>> names;
  for (const NodeId id : reference.topological()) {
    for (const ValueId v : reference.node(id).outputs) names[reference.value(v).name] = v;
  }
  const auto there = by_origin(reference), here = by_origin(candidate);
  std::map<uint32_t, ValueId> of_origin;
  for (const auto& [key, values] : here) {
    const auto it = there.find(key);
    if (it == there.end() || it->second.size() != values.size()) continue;
    for (size_t k = 0; k < values.size(); ++k) of_origin[values[k].v] = it->second[k];
  }
  std::vector<Point> points;
  for (const NodeId id : candidate.topological()) {
    for (const ValueId v : candidate.node(id).outputs) {
      ValueId match;
      if (const auto it = names.find(candidate.value(v).name); it != names.end()) match = it->second;
      if (const auto it = of_origin.find(v.v); it != of_origin.end() && !match.valid()) match = it->second;
      if (match.valid() && reference.shape(match) == candidate.shape(v)) points.push_back({v, match, {}});
    }
  }
  return points;
}

std::vector<Point> detail::correspondences(const std::map<std::string, Tensor>& layers, const Graph& candidate) {
  std::vector<Point> points;
  std::set<uint32_t> used;
  for (const auto& [scope, expected] : layers) {
    ValueId leaving;
    for (const NodeId id : candidate.topological()) {
      if (!made_in(candidate, id, scope)) continue;
      for (const ValueId v : candidate.node(id).outputs) {
        if (candidate.shape(v) != expected.shape) continue;
        const auto& uses = candidate.value(v).uses;
        const bool leaves = candidate.is_output(v) ||
                            std::any_of(uses.begin(), uses.end(),
                                        [&, &s = scope](const Use& u) { return !made_in(candidate, u.node, s); });
        if (leaves) leaving = v;
      }
    }
    if (leaving.valid() && used.insert(leaving.v).second) points.push_back({leaving, {}, expected});
  }
  sort_topologically(candidate, points);
  return points;
}

double detail::deviation(const Tensor& got, const Tensor& expected) {
  if (got.shape != expected.shape) return std::numeric_limits<double>::infinity();
  const int64_t n = got.count();
  if (n == 0) return 0;
  if (!is_float(expected.dtype)) {
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; ++i) wrong += get_int(got, i) != get_int(expected, i);
    return static_cast<double>(wrong) / static_cast<double>(n);
  }
  double mean = 0, squares = 0, spread = 0, largest = 0, magnitude = 1;
  for (int64_t i = 0; i < n; ++i) {
    const double a = get_double(got, i), b = get_double(expected, i);
    if (a == b && !std::isfinite(b)) continue;  // masks hold −inf on both sides
    const double d = std::abs(a - b);
    if (!std::isfinite(d)) return std::numeric_limits<double>::infinity();
    squares += d * d;
    largest = std::max(largest, d);
    magnitude = std::max(magnitude, std::abs(b));
    mean += b;
  }
  mean /= static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) {
    const double b = get_double(expected, i);
    if (std::isfinite(b)) spread += (b - mean) * (b - mean);
  }
  // A constant has no spread but rounding.
  if (spread <= 1e-12 * magnitude * magnitude * static_cast<double>(n)) return largest / magnitude;
  return std::sqrt(squares / spread);
}

std::vector<NodeId> detail::segment_of(const Graph& g, ValueId value, const std::vector<bool>& known) {
  std::set<uint32_t> wanted;
  std::vector<ValueId> work = {value};
  bool first = true;
  while (!work.empty()) {
    const ValueId v = work.back();
    work.pop_back();
    if (!v.valid() || (known[v.v] && !first)) continue;
    first = false;
    const NodeId producer = g.value(v).producer;
    if (!producer.valid() || !wanted.insert(producer.v).second) continue;
    for (const ValueId in : g.node(producer).inputs) work.push_back(in);
  }
  std::vector<NodeId> out;
  for (const NodeId id : g.topological()) {
    if (wanted.contains(id.v)) out.push_back(id);
  }
  return out;
}

Result<Bisection> bisect(const Graph& reference, std::span<const Tensor> reference_inputs, const Graph& candidate,
                         std::span<const Tensor> candidate_inputs, const BisectOptions& options) {
  NPU_TRY(check_inputs(candidate, reference_inputs, candidate_inputs));
  if (auto differing = compare_inputs(&reference, reference_inputs, candidate, candidate_inputs)) return *differing;
  std::vector<Point> points = detail::correspondences(reference, candidate);
  if (points.empty()) return nothing_corresponds();
  std::map<uint32_t, std::vector<size_t>> wanted;  // value of the reference → points
  for (size_t i = 0; i < points.size(); ++i) wanted[points[i].reference.v].push_back(i);
  ExecOptions exec;
  exec.threads = options.threads;
  exec.observer = [&](NodeId, const Node& n, std::span<const Tensor> out) {
    for (size_t k = 0; k < out.size(); ++k) {
      const auto it = wanted.find(n.outputs[k].v);
      if (it == wanted.end()) continue;
      for (const size_t p : it->second) points[p].expected = cast_tensor(out[k], candidate.type(points[p].value).dtype);
    }
  };
  NPU_TRY(execute(reference, reference_inputs, exec));
  return search_points(&reference, candidate, candidate_inputs, points, options);
}

Result<Bisection> bisect(const std::map<std::string, Tensor>& layers, std::span<const Tensor> reference_inputs,
                         const Graph& candidate, std::span<const Tensor> candidate_inputs,
                         const BisectOptions& options) {
  NPU_TRY(check_inputs(candidate, reference_inputs, candidate_inputs));
  if (auto differing = compare_inputs(nullptr, reference_inputs, candidate, candidate_inputs)) return *differing;
  std::vector<Point> points = detail::correspondences(layers, candidate);
  if (points.empty()) return nothing_corresponds();
  for (Point& p : points) p.expected = cast_tensor(p.expected, candidate.type(p.value).dtype);
  return search_points(nullptr, candidate, candidate_inputs, points, options);
}

}  // namespace npuport
