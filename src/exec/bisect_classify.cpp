// What kind of repair a deviation needs, told from weights, attributes, types and the size of the difference.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "exec/bisect.h"

namespace npuport {

namespace {

// Deviations of half-precision arithmetic stay below this; wrong weights and wrong structure are far above.
constexpr double kClose = 2e-2;

// Constants a node reads, directly or through nodes over constants only (transposed or reshaped weights).
void add_constants(const Graph& g, ValueId v, std::vector<ValueId>& out) {
  if (!v.valid()) return;
  if (g.is_constant(v)) {
    if (std::find(out.begin(), out.end(), v) == out.end()) out.push_back(v);
    return;
  }
  const Node* n = g.producer(v);
  if (!n) return;
  std::vector<ValueId> inner;
  for (const ValueId in : n->inputs) {
    if (in.valid() && !g.is_constant(in)) return;  // depends on more than constants
    if (in.valid()) inner.push_back(in);
  }
  for (const ValueId c : inner) add_constants(g, c, out);
}

std::vector<ValueId> constants_of(const Graph& g, const Node& n) {
  std::vector<ValueId> out;
  for (const ValueId v : n.inputs) add_constants(g, v, out);
  return out;
}

bool is_half(DType t) { return t == DType::f16 || t == DType::bf16; }

// "f16" when every element of `x` is what rounding `exact` to it gives.
std::string rounded_type(const Tensor& x, const Tensor& exact) {
  if (!is_float(x.dtype) || !is_float(exact.dtype)) return {};
  for (const DType t : {DType::f16, DType::bf16}) {
    if (x.dtype == t) return std::string(name(t));
    const Tensor rounded = cast_tensor(cast_tensor(exact, t), DType::f64);
    const Tensor given = cast_tensor(x, DType::f64);
    if (identical(rounded, given)) return std::string(name(t));
  }
  return {};
}

struct WeightFinding {
  std::string name, sentence;
  bool rounding = false;
};

// A constant of the reference with the same contents, by name; empty when there is none.
std::string same_contents(const Graph& reference, const Tensor& t) {
  for (uint32_t v = 0; v < reference.value_slots(); ++v) {
    const Value& value = reference.value(ValueId{v});
    if (value.alive && value.constant && identical(*value.constant, t)) return value.name;
  }
  return {};
}

std::vector<WeightFinding> compare_weights(const Graph& reference, const Node& there, const Graph& candidate,
                                           const Node& here) {
  std::vector<WeightFinding> out;
  const std::vector<ValueId> a = constants_of(reference, there), b = constants_of(candidate, here);
  if (a.size() != b.size()) return out;
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor &want = *reference.value(a[i]).constant, &got = *candidate.value(b[i]).constant;
    if (want.shape != got.shape || identical(want, got)) continue;
    const double d = detail::deviation(got, want);
    if (d == 0) continue;
    WeightFinding f;
    f.name = candidate.value(b[i]).name;
    const std::string type = rounded_type(got, want);
    const std::string twin = same_contents(reference, got);
    f.rounding = !type.empty();
    if (f.rounding) {
      f.sentence = fmt::format("weight {} was rounded to {}", f.name, type);
    } else if (!twin.empty() && twin != reference.value(a[i]).name) {
      f.sentence = fmt::format("weight {} holds the contents of {}", f.name, twin);
    } else {
      f.sentence = fmt::format("weight {} differs from the reference's {} (relative {:.2e})", f.name,
                               reference.value(a[i]).name, d);
    }
    out.push_back(std::move(f));
  }
  return out;
}

// What differs between two nodes that should be the same; empty when they are.
std::string structural_difference(const Node& there, const Node& here) {
  if (there.op != here.op)
    return fmt::format("the operator is {}, the reference has {}", here.op->name, there.op->name);
  for (size_t i = 0; i < here.attrs.size() && i < there.attrs.size(); ++i) {
    if (here.attrs[i] == there.attrs[i]) continue;
    return fmt::format("attribute {} is {}, the reference has {}", here.attrs[i].name, to_text(here.attrs[i].value),
                       to_text(there.attrs[i].value));
  }
  if (there.inputs.size() != here.inputs.size()) {
    return fmt::format("it has {} inputs, the reference {}", here.inputs.size(), there.inputs.size());
  }
  return {};
}

bool touches_half(const Graph& g, std::span<const NodeId> nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) {
    const Node& n = g.node(id);
    const auto half = [&](ValueId v) { return v.valid() && is_half(g.type(v).dtype); };
    return std::any_of(n.inputs.begin(), n.inputs.end(), half) || std::any_of(n.outputs.begin(), n.outputs.end(), half);
  });
}

// Whether only elementwise and layout operators stand between the graph's inputs and `v`: what normalises pixels.
bool is_front(const Graph& g, ValueId v, int depth = 0) {
  if (!v.valid() || g.is_constant(v)) return true;
  const Node* n = g.producer(v);
  if (!n) return true;
  const std::string_view op = n->op->name;
  const bool light = n->op->axes.kind == AxisRule::elementwise || op == "reshape" || op == "transpose" ||
                     op == "slice" || op == "concat" || op == "split" || op == "expand";
  if (!light || depth > 64) return false;
  return std::all_of(n->inputs.begin(), n->inputs.end(), [&](ValueId in) { return is_front(g, in, depth + 1); });
}

bool is_normalisation(const Graph& g, const Node& n) {
  const std::string_view op = n.op->name;
  if (op != "add" && op != "sub" && op != "mul" && op != "div" && op != "batch_norm") return false;
  const auto of_image = [&](ValueId v) { return v.valid() && !g.is_constant(v) && is_front(g, v); };
  return std::any_of(n.inputs.begin(), n.inputs.end(), of_image);
}

// Of several nodes between two points the one to look at first: the last one with weights, else the last.
NodeId main_node(const Graph& g, std::span<const NodeId> segment) {
  for (size_t k = segment.size(); k-- > 0;) {
    const std::vector<ValueId> c = constants_of(g, g.node(segment[k]));
    if (std::any_of(c.begin(), c.end(), [&](ValueId v) { return g.value(v).constant->count() > 16; }))
      return segment[k];
  }
  return segment.back();
}

void describe(const Graph& g, NodeId id, Bisection& report) {
  const Node& n = g.node(id);
  report.op = n.op->name;
  if (!n.origins.empty()) {
    report.scope = n.origins.back().scope;
    report.source = n.origins.back().source;
  }
  for (const ValueId v : constants_of(g, n)) report.weights.push_back(g.value(v).name);
}

std::string place(const Bisection& r) {
  std::string text = fmt::format("{} {}", r.op, r.node);
  if (!r.scope.empty()) text += fmt::format(" in {}", r.scope);
  if (!r.source.empty()) text += fmt::format(" ({})", r.source);
  return text;
}

void conclude(Bisection& r, RepairClass repair, std::string_view why) {
  r.repair = repair;
  r.sentence = fmt::format("{} deviates by {:.2e} when fed the reference's values: {}", place(r), r.relative, why);
}

// Compares the node with its counterpart; false when they do not tell a class.
bool classify_by_twin(const Graph& reference, const Graph& candidate, const Node& here, const Node& there,
                      Bisection& report) {
  const std::string difference = structural_difference(there, here);
  if (!difference.empty()) {
    conclude(report, RepairClass::structure, difference);
    return true;
  }
  const std::vector<WeightFinding> wrong = compare_weights(reference, there, candidate, here);
  if (wrong.empty()) return false;
  report.weights.clear();
  std::string why;
  for (const WeightFinding& f : wrong) {
    report.weights.push_back(f.name);
    why += (why.empty() ? "" : "; ") + f.sentence;
  }
  const bool rounding = std::all_of(wrong.begin(), wrong.end(), [](const WeightFinding& f) { return f.rounding; });
  if (!rounding && is_normalisation(candidate, here)) {
    conclude(report, RepairClass::preprocessing, "the constants that normalise the input (mean, std) differ: " + why);
  } else {
    conclude(report, rounding ? RepairClass::dtype : RepairClass::weights, why);
  }
  return true;
}

// Two nodes with the same row, attributes and weights whose inputs are other values: wired differently.
bool wired_differently(const Graph& reference, const Graph& candidate, const Node& there, const Node& here) {
  for (size_t i = 0; i < here.inputs.size(); ++i) {
    const ValueId a = there.inputs[i], b = here.inputs[i];
    if (!a.valid() || !b.valid() || reference.is_constant(a) || candidate.is_constant(b)) continue;
    if (reference.value(a).name != candidate.value(b).name) return true;
  }
  return false;
}

}  // namespace

void detail::classify(const Graph* reference, const Graph& candidate, std::span<const NodeId> segment,
                      const Point& point, Bisection& report) {
  report.node = candidate.value(point.value).name;
  const NodeId main = reference ? segment.back() : main_node(candidate, segment);
  describe(candidate, main, report);
  for (const NodeId id : segment) {
    if (id == main) continue;
    report.suspects.push_back(candidate.value(candidate.node(id).outputs[0]).name);
    for (const ValueId v : constants_of(candidate, candidate.node(id))) {
      if (candidate.value(v).constant->count() > 16) report.weights.push_back(candidate.value(v).name);
    }
  }
  const Node& here = candidate.node(main);
  const Node* there = reference && point.reference.valid() ? reference->producer(point.reference) : nullptr;
  if (there && segment.size() == 1 && classify_by_twin(*reference, candidate, here, *there, report)) return;
  const bool half = touches_half(candidate, segment);
  if (half || report.relative < kClose) {
    conclude(report, RepairClass::dtype,
             half ? "values pass through half precision"
                  : "close but off, as by a cast or a different precision; then look at preprocessing");
    return;
  }
  if (there && segment.size() > 1) {
    conclude(report, RepairClass::structure,
             fmt::format("{} nodes stand where the reference has {}", segment.size(), there->op->name));
    return;
  }
  if (there && wired_differently(*reference, candidate, *there, here)) {
    conclude(report, RepairClass::structure, "it reads other values than in the reference");
    return;
  }
  if (there) {
    conclude(report, RepairClass::structure, "the same operator with the same weights computes something else");
    return;
  }
  conclude(report, report.weights.empty() ? RepairClass::structure : RepairClass::weights,
           report.weights.empty() ? "it has no weights, so look at its formula"
                                  : "far off: compare its weights first, then its formula");
}

// ---- inputs --------------------------------------------------------------------------------------------------------

namespace {

struct Affine {
  double scale = 1, shift = 0, residual = 0;
};

// Least squares given ≈ scale · reference + shift over the elements `pick` chooses; residual relative to the spread.
template <class Pick>
Affine fit(const Tensor& reference, const Tensor& given, Pick pick) {
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, syy = 0;
  for (int64_t i = 0; i < reference.count(); ++i) {
    if (!pick(i)) continue;
    const double x = get_double(reference, i), y = get_double(given, i);
    n += 1, sx += x, sy += y, sxx += x * x, sxy += x * y, syy += y * y;
  }
  const double vx = sxx - sx * sx / n, vy = syy - sy * sy / n, cov = sxy - sx * sy / n;
  Affine a;
  a.scale = vx > 0 ? cov / vx : 0;
  a.shift = (sy - a.scale * sx) / n;
  a.residual = vy > 0 ? std::sqrt(std::max(0.0, vy - a.scale * cov) / vy) : 0;
  return a;
}

std::string affine_sentence(const Tensor& reference, const Tensor& given) {
  const Affine whole = fit(reference, given, [](int64_t) { return true; });
  if (whole.residual < 1e-3) {
    return fmt::format("the given values are {:.4g} times the reference's plus {:.4g}: another mean or std",
                       whole.scale, whole.shift);
  }
  for (const size_t axis : {size_t{1}, reference.shape.size() - 1}) {
    if (axis >= reference.shape.size() || reference.shape[axis] > 16 || reference.shape[axis] < 2) continue;
    int64_t inner = 1;
    for (size_t d = axis + 1; d < reference.shape.size(); ++d) inner *= reference.shape[d];
    std::string text;
    for (int64_t c = 0; c < reference.shape[axis]; ++c) {
      const Affine a = fit(reference, given, [&](int64_t i) { return i / inner % reference.shape[axis] == c; });
      if (a.residual >= 1e-3) {
        text.clear();
        break;
      }
      text += fmt::format("{}{:.4g}·x{:+.4g}", text.empty() ? "" : ", ", a.scale, a.shift);
    }
    if (!text.empty()) return fmt::format("per channel the given values are {}: another mean or std", text);
  }
  return "and not by a scale and an offset: compare how the samples were made";
}

}  // namespace

std::optional<Bisection> detail::compare_inputs(std::span<const Tensor> reference, const Graph& candidate,
                                                std::span<const Tensor> given) {
  for (size_t i = 0; i < given.size(); ++i) {
    const double d = deviation(given[i], reference[i]);
    if (d <= 1e-6) continue;
    Bisection r;
    r.found = true;
    r.repair = RepairClass::preprocessing;
    r.node = candidate.value(candidate.inputs()[i]).name;
    r.op = "input";
    r.relative = d;
    const bool numbers =
        given[i].shape == reference[i].shape && given[i].count() > 2 && is_float(given[i].dtype) && std::isfinite(d);
    r.sentence = fmt::format("input {} differs before the model runs, {}", r.node,
                             numbers ? affine_sentence(reference[i], given[i])
                                     : "in shape, type or integers: compare how the samples were made");
    return r;
  }
  return std::nullopt;
}

}  // namespace npuport
