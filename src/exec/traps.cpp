#include "exec/traps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "exec/executor.h"
#include "ir/builder.h"

namespace npuport {

namespace {

constexpr int64_t kTelling = 16;  // fewer elements agree by accident

struct TrapRow {
  std::string_view name;
  detail::TrapSearch find;
};
// Cheap tests first.
constexpr TrapRow kTraps[] = {
    {"output_bias", detail::find_output_bias},
    {"padding_unmasked", detail::find_unmasked_padding},
    {"added_twice", detail::find_added_twice},
    {"not_added", detail::find_not_added},
};

bool one_value(const Tensor& t) {
  const double first = get_double(t, 0);
  for (int64_t i = 1; i < t.count(); ++i)
    if (get_double(t, i) != first) return false;
  return true;
}

Shape without_leading_ones(const Shape& s) {
  const auto first = std::find_if(s.begin(), s.end(), [](int64_t d) { return d != 1; });
  return Shape(first, s.end());
}

// How a constant lies over a tensor of `shape`: its shape without leading ones equals the last dims, or it is a table
// with more rows than there are. `step`: elements of the shape's last dims it covers.
struct Overlay {
  int64_t elements = 0;  // of the shape that one copy covers
  int64_t width = 0;     // of a row of the table
  int64_t spare = 0;     // rows it has beyond those needed
  bool table = false;
};

std::optional<Overlay> overlay(const Shape& constant, const Shape& shape) {
  const Shape c = without_leading_ones(constant);
  if (c.empty() || c.size() > shape.size()) return std::nullopt;
  const std::span<const int64_t> last = std::span(shape).subspan(shape.size() - c.size());
  if (!std::equal(c.begin() + 1, c.end(), last.begin() + 1) || c[0] < last[0]) return std::nullopt;
  if (c.size() == 1 && c[0] != last[0]) return std::nullopt;
  Overlay o;
  o.elements = element_count(last);
  o.width = o.elements / std::max<int64_t>(1, last[0]);
  o.spare = c[0] - last[0];
  o.table = c.size() > 1;
  return o;
}

struct Fit {
  double factor = 0, residual = 1;  // residual: ‖Δ − factor · C‖ / ‖Δ‖
};

Fit fit(const std::vector<double>& delta, const Tensor& c, const Overlay& o, int64_t row) {
  double cc = 0, dc = 0, dd = 0;
  for (size_t i = 0; i < delta.size(); ++i) {
    const double x = get_double(c, row * o.width + static_cast<int64_t>(i) % o.elements);
    cc += x * x, dc += x * delta[i], dd += delta[i] * delta[i];
  }
  if (cc == 0 || dd == 0) return {};
  return {dc / cc, std::sqrt(std::max(0.0, dd - dc * dc / cc) / dd)};
}

double norm(const std::vector<double>& v) {
  double s = 0;
  for (const double x : v) s += x * x;
  return std::sqrt(s);
}

}  // namespace

std::optional<ConstantMatch> match_constant(const Tensor& got, const Tensor& expected,
                                            std::span<const Graph* const> graphs) {
  if (got.shape != expected.shape || !is_float(got.dtype) || !is_float(expected.dtype)) return std::nullopt;
  std::vector<double> delta(static_cast<size_t>(got.count()));
  double size = 0;
  for (int64_t i = 0; i < got.count(); ++i) {
    const double e = get_double(expected, i), d = get_double(got, i) - e;
    if (!std::isfinite(d)) return std::nullopt;
    delta[static_cast<size_t>(i)] = d;
    size += e * e;
  }
  // Rounding of the sum is in the difference, too.
  const double whole = norm(delta), noise = whole > 0 ? std::min(0.02, 1e-6 * std::sqrt(size) / whole) : 0;
  if (whole == 0) return std::nullopt;
  std::optional<ConstantMatch> best;
  double smallest = 1e-3 + noise;
  std::set<const Tensor*> seen;
  for (const Graph* g : graphs)
    for (uint32_t v = 0; v < g->value_slots(); ++v) {
      const Value& value = g->value(ValueId{v});
      const Tensor* c = value.constant.get();
      if (!value.alive || !c || !is_float(c->dtype) || c->count() < kTelling || !seen.insert(c).second) continue;
      const std::optional<Overlay> o = overlay(c->shape, got.shape);
      if (!o || one_value(*c)) continue;
      for (int64_t row = 0; row <= std::min<int64_t>(2, o->spare); ++row) {
        const Fit f = fit(delta, *c, *o, row);
        if (f.residual >= smallest) continue;
        smallest = f.residual;
        best = ConstantMatch{value.name, f.factor, o->table};
      }
    }
  return best;
}

std::string ConstantMatch::sentence() const {
  const std::string times = std::abs(std::abs(factor) - 1) < 0.01 ? "" : fmt::format("{:.4g} times ", std::abs(factor));
  if (factor > 0)
    return fmt::format("the difference is {}the constant {}: it is added once too often, by the model and by the host?",
                       times, name);
  return fmt::format("the difference is {}the constant {}, which is missing here: only the reference adds it", times,
                     name);
}

Result<bool> detail::TrapContext::cures(const Graph& changed) const {
  ExecOptions exec;
  exec.threads = question.threads;
  Result<Executor> executor = Executor::create(changed, exec);
  if (!executor) return false;  // it cannot run like this: no explanation
  for (const size_t k : failing) {
    if (++runs > question.max_runs) return false;
    const TrapSample& s = question.samples[k];
    NPU_ASSIGN(const std::vector<Tensor> out, executor->run(s.inputs));
    if (compare_all(out, s.expected, question.gate).verdict != Verdict::pass) return false;
  }
  return true;
}

std::vector<const Graph*> detail::TrapContext::graphs() const {
  std::vector<const Graph*> out = {&question.candidate};
  if (question.reference) out.push_back(question.reference);
  return out;
}

Result<std::optional<TrapFinding>> find_trap(const TrapQuestion& question) {
  detail::TrapContext c{question, {}, {}};
  ExecOptions exec;
  exec.threads = question.threads;
  NPU_ASSIGN(Executor executor, Executor::create(question.candidate, exec));
  for (const TrapSample& s : question.samples) {
    NPU_ASSIGN(std::vector<Tensor> out, executor.run(s.inputs));
    if (!s.expected.empty() && compare_all(out, s.expected, question.gate).verdict == Verdict::fail)
      c.failing.push_back(c.got.size());
    c.got.push_back(std::move(out));
  }
  if (c.failing.empty()) return std::optional<TrapFinding>();
  for (const TrapRow& row : kTraps) {
    NPU_ASSIGN(std::optional<TrapFinding> found, row.find(c));
    if (!found) continue;
    found->trap = row.name;
    return found;
  }
  return std::optional<TrapFinding>();
}

// ---- a constant added twice, or not at all --------------------------------------------------------------------------

namespace {

bool telling(const Graph& g, ValueId v) {
  return g.is_constant(v) && is_float(g.type(v).dtype) && g.value(v).constant->count() >= kTelling &&
         !one_value(*g.value(v).constant);
}

std::string place(const Node& n) {
  if (n.origins.empty()) return {};
  const Origin& o = n.origins.back();
  return o.scope.empty() && o.source.empty() ? ""
         : o.scope.empty()                   ? " (" + o.source + ")"
         : o.source.empty()                  ? " (" + o.scope + ")"
                                             : " (" + o.source + " in " + o.scope + ")";
}

bool is_table(const Tensor& t) { return without_leading_ones(t.shape).size() > 1; }

const Lesson* lesson_of(const Tensor& t) { return is_table(t) ? &lesson("NPU-H01") : &lesson("NPU-H02"); }

// Where rows enter a model: its inputs, looked-up rows, and these times a factor.
bool is_front(const Graph& g, ValueId v) {
  const Node* n = g.producer(v);
  if (!n) return !g.is_constant(v);
  const std::string_view op = n->op->name;
  if (op == "embedding" || op == "gather") return true;
  if (op != "mul" && op != "cast") return false;
  return std::all_of(n->inputs.begin(), n->inputs.end(), [&](ValueId in) {
    return g.is_constant(in) ? g.value(in).constant->count() == 1 : is_front(g, in);
  });
}

// The rows of a table from `row` on that `shape` needs.
Tensor rows_for(const Tensor& table, const Overlay& o, int64_t row, const Shape& shape) {
  const Shape c = without_leading_ones(table.shape);
  Shape cut(shape.end() - static_cast<std::ptrdiff_t>(c.size()), shape.end());
  std::vector<float> values(static_cast<size_t>(o.elements));
  for (int64_t i = 0; i < o.elements; ++i)
    values[static_cast<size_t>(i)] = static_cast<float>(get_double(table, row * o.width + i));
  return Tensor::of<float>(std::move(cut), std::span<const float>(values));
}

}  // namespace

Result<std::optional<TrapFinding>> detail::find_added_twice(const TrapContext& c) {
  const Graph& g = c.question.candidate;
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    if (n.op->name != "add" || n.inputs.size() != 2) continue;
    for (const size_t k : {size_t{0}, size_t{1}}) {
      const ValueId constant = n.inputs[k], other = n.inputs[1 - k];
      if (!telling(g, constant) || g.is_constant(other) || !(g.type(other) == g.type(n.outputs[0]))) continue;
      Graph without = g;
      without.replace_uses(n.outputs[0], other);
      without.erase_dead();
      NPU_ASSIGN(const bool cured, c.cures(without));
      if (!cured) continue;
      const Value& value = g.value(constant);
      TrapFinding f;
      f.lesson = lesson_of(*value.constant);
      f.tensor = value.name;
      f.sentence = fmt::format(
          "all outputs agree when the constant {}{} is not added: it is added twice, by the model and by the host "
          "(or the reference does not add it)",
          value.name, place(n));
      return std::optional(std::move(f));
    }
  }
  return std::optional<TrapFinding>();
}

Result<std::optional<TrapFinding>> detail::find_not_added(const TrapContext& c) {
  const Graph& g = c.question.candidate;
  std::vector<ValueId> fronts(g.inputs());
  for (const NodeId id : g.topological())
    for (const ValueId v : g.node(id).outputs)
      if (is_front(g, v)) fronts.push_back(v);
  std::set<const Tensor*> seen;
  for (const Graph* from : c.graphs())
    for (uint32_t i = 0; i < from->value_slots(); ++i) {
      const Value& value = from->value(ValueId{i});
      if (!value.alive || !telling(*from, ValueId{i}) || !is_table(*value.constant)) continue;
      if (!seen.insert(value.constant.get()).second) continue;
      for (const ValueId v : fronts) {
        const std::optional<Overlay> o = overlay(value.constant->shape, g.shape(v));
        if (!o || g.type(v).dtype != DType::f32) continue;
        for (int64_t row = 0; row <= std::min<int64_t>(2, o->spare); ++row) {
          Graph with = g;
          Builder b(with);
          const ValueId constant = b.constant(rows_for(*value.constant, *o, row, g.shape(v)), "added");
          const ValueId sum = b.add(v, constant);
          NPU_TRY(b.take_status());
          if (!(with.type(sum) == with.type(v))) continue;
          with.replace_uses(v, sum);
          with.set_input(with.value(sum).producer, 0, v);  // but not the addition itself
          NPU_ASSIGN(const bool cured, c.cures(with));
          if (!cured) continue;
          TrapFinding f;
          f.lesson = lesson_of(*value.constant);
          f.tensor = value.name;
          f.sentence = fmt::format(
              "all outputs agree when the constant {} is added to {}: neither the model nor the host adds it",
              value.name, g.value(v).name);
          return std::optional(std::move(f));
        }
      }
    }
  return std::optional<TrapFinding>();
}

}  // namespace npuport
