#include "drivers/diagnose/lint.h"

#include <algorithm>
#include <functional>

#include "base/text.h"
#include "frontends/shape_habits.h"

namespace npuport::diagnose {
namespace {

constexpr size_t kMostPlaces = 8;

struct Rule {
  const char* id;
  const char* what;
  const char* cure;
  bool (*applies)(const Graph& g, const Node& n);
};

bool foreign(const Node& n, std::initializer_list<std::string_view> names) {
  return std::any_of(n.origins.begin(), n.origins.end(), [&](const Origin& o) {
    return std::find(names.begin(), names.end(), std::string_view(o.foreign)) != names.end();
  });
}
bool is(const Node& n, std::string_view op) { return n.op->name == op; }

size_t rank(const Graph& g, const Node& n) {
  size_t r = 0;
  for (const ValueId v : n.outputs) r = std::max(r, g.shape(v).size());
  for (const ValueId v : n.inputs)
    if (v.valid()) r = std::max(r, g.shape(v).size());
  return r;
}

// gather with one constant index, or the framework's x[:, k].
bool integer_index(const Graph& g, const Node& n) {
  if (foreign(n, {"aten::select"})) return true;
  return is(n, "gather") && n.inputs.size() > 1 && g.is_constant(n.inputs[1]) &&
         g.value(n.inputs[1]).constant->count() == 1;
}
bool number_from_bool(const Graph& g, const Node& n) {
  return is(n, "cast") && g.type(n.inputs[0]).dtype == DType::boolean;
}
bool wide(const Graph& g, const Node& n) {
  return std::any_of(n.outputs.begin(), n.outputs.end(), [&](ValueId v) { return g.type(v).dtype == DType::i64; });
}

const Rule kRules[] = {
    {"integer-index", "x[:, k] with an integer k is exported as Gather, which NPU compilers often lack",
     "x[:, k:k+1] and a reshape; npuport writes Slice and Reshape", integer_index},
    {"squeeze", "squeeze and unsqueeze are operators of their own when exported",
     "reshape to the shape written out; npuport writes Reshape",
     [](const Graph&, const Node& n) {
       return foreign(n, {"aten::squeeze", "aten::unsqueeze", "Squeeze", "Unsqueeze"});
     }},
    {"erf-gelu", "nn.GELU in its exact form is exported with Erf",
     "nn.GELU(approximate='tanh') where an error of 5e-4 does no harm; npuport's rewrite gelu_erf_to_tanh",
     [](const Graph&, const Node& n) {
       return is(n, "erf") || (is(n, "gelu") && n.attr().s("approximate") == "none");
     }},
    {"bool-to-number", "comparisons turned into numbers are exported as Equal (or Greater) and Cast of booleans",
     "for whole-number labels relu(1 - (x - k)^2); npuport's rewrite bool_as_number, given --range for the labels",
     number_from_bool},
    {"sin-cos", "sine and cosine of input values have no NPU operator as a rule",
     "compute the encoding on the host; npuport moves it there",
     [](const Graph& g, const Node& n) { return (is(n, "sin") || is(n, "cos")) && !g.is_constant(n.inputs[0]); }},
    {"high-rank", "tensors of rank above 4 are refused by most NPU compilers", "fold dims before; npuport lowers ranks",
     [](const Graph& g, const Node& n) { return rank(g, n) > 4; }},
    {"int64", "64-bit integers are computed inside the model", "int32 or float; npuport narrows what is known to fit",
     wide},
    {"value-index", "elements are picked by indices that depend on input values", "a mask and a sum, or the host",
     [](const Graph& g, const Node& n) {
       return (is(n, "gather") || is(n, "embedding")) && n.inputs.size() > 1 && !g.is_constant(n.inputs[1]);
     }},
    {"opaque", "an operator npuport has no meaning for", "report it, or write it with known operators",
     [](const Graph&, const Node& n) { return is(n, "opaque"); }},
};

}  // namespace

std::vector<Lint> lint(const Graph& g) {
  std::vector<Lint> out;
  const std::vector<std::string> open = open_inputs(g);
  const std::vector<Origin> reads = shape_reads(g);
  if (!open.empty()) {
    Lint l{"dynamic-shape",
           "the file leaves shapes of inputs open: " + join(open, ", "),
           "export without dynamic_axes, batch 1; npuport fixes what --shape or --samples give",
           static_cast<int>(open.size()),
           {}};
    out.push_back(std::move(l));
  }
  if (!reads.empty()) {
    Lint l{
        "shape-arithmetic",
        "shapes taken from tensors (b, c, h, w = x.shape) are exported as Shape and Gather, and reshapes to them have "
        "no literal target",
        "Python integers fixed beforehand; npuport computes them while importing", static_cast<int>(reads.size()),
        reads};
    l.places.resize(std::min(l.places.size(), kMostPlaces));
    out.push_back(std::move(l));
  }
  for (const Rule& rule : kRules) {
    Lint l{rule.id, rule.what, rule.cure, 0, {}};
    for (const NodeId id : g.topological()) {
      const Node& n = g.node(id);
      if (!rule.applies(g, n)) continue;
      ++l.count;
      for (const Origin& o : n.origins)
        if (l.places.size() < kMostPlaces && std::find(l.places.begin(), l.places.end(), o) == l.places.end())
          l.places.push_back(o);
    }
    if (l.count > 0) out.push_back(std::move(l));
  }
  return out;
}

}  // namespace npuport::diagnose
