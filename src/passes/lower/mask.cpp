// Comparisons, selections and bool tensors as arithmetic on 0 and 1, and masks as terms.
#include <algorithm>
#include <cmath>
#include <set>

#include "passes/domain.h"
#include "passes/lower.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

// What stands for "never" in a term before a softmax: e^-1e9 is 0 in float whatever the other scores are.
constexpr double kNever = -1e9;
constexpr double kMostNegative = -1e4;  // fill values from here down mean "never"

ValueId number(Builder& b, double v) { return b.scalar(v, DType::f32); }

bool whole(const Graph& g, ValueId v) {
  const auto ranges = declared_ranges(g);
  const std::optional<ValueRange> r = Domains(g, ranges).of(v);
  // Differences and their squares must be exact in float.
  return r && r->integers && std::abs(r->low) < 4096 && std::abs(r->high) < 4096;
}

bool comparable(const Graph& g, const Node& n) { return whole(g, n.inputs[0]) && whole(g, n.inputs[1]); }

// Depends on inputs and constants by few operators, none of them a product: the host can compute it beforehand.
bool for_the_host(const Graph& g, ValueId v, int& left) {
  const Node* n = g.producer(v);
  if (!n) return true;
  if (n->op->macs || --left < 0) return false;
  return std::all_of(n->inputs.begin(), n->inputs.end(),
                     [&](ValueId in) { return !in.valid() || for_the_host(g, in, left); });
}
bool for_the_host(const Graph& g, ValueId v) {
  int left = 200;
  return for_the_host(g, v, left);
}

// Why a bool value cannot be computed as a float 0 or 1; nullopt when it can.
Reason not_computable(const Graph& g, ValueId v, int depth);

Reason not_arithmetic(const Graph& g, ValueId v, int depth = 16) {
  const Reason r = not_computable(g, v, depth);
  return r && for_the_host(g, v) ? Reason() : r;
}

Reason not_computable(const Graph& g, ValueId v, int depth) {
  if (g.is_constant(v)) return std::nullopt;
  const Node* n = g.producer(v);
  if (!n || depth == 0) return "%" + g.value(v).name + " is a bool input";
  const std::string_view op = n->op->name;
  for (const std::string_view c : {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}) {
    if (op != c) continue;
    if (comparable(g, *n)) return std::nullopt;
    return "the domain of %" + g.value(n->inputs[0]).name + " is not known to be small whole numbers (declare a range)";
  }
  for (const std::string_view passes : {"reshape", "transpose", "expand", "slice", "tile", "concat", "logical_and",
                                        "logical_or", "logical_not", "logical_xor", "split"}) {
    if (op != passes) continue;
    for (const ValueId in : n->inputs)
      if (Reason r =
              g.type(in).dtype == DType::boolean ? not_arithmetic(g, in, depth - 1) : Reason("an operand is no bool"))
        return r;
    return std::nullopt;
  }
  if (op == "cast" && whole(g, n->inputs[0])) return std::nullopt;
  return "operator " + std::string(op) + " has no arithmetic form";
}

// The float form of a bool value for which not_arithmetic says nothing.
ValueId as_number(Builder& b, ValueId v) {
  const Graph& g = b.graph();
  if (g.is_constant(v)) return b.cast(v, DType::f32);
  // A cast that the host makes, with everything before it.
  if (not_computable(g, v, 16)) return b.op("cast", {v}, {{"to", DType::f32}});
  const NodeId producer = g.value(v).producer;
  const Node n = g.node(producer);
  const std::string_view op = n.op->name;
  const auto f = [&](size_t i) { return b.cast(n.inputs[i], DType::f32); };
  const auto square_distance = [&] {
    const ValueId d = b.sub(f(0), f(1));
    return b.mul(d, d);
  };
  const auto limited = [&](ValueId x) { return b.op("clamp", {x}, {{"min", 0.0}, {"max", 1.0}}); };
  if (op == "equal") return b.op("relu", {b.sub(number(b, 1), square_distance())});
  if (op == "not_equal") return b.op("minimum", {square_distance(), number(b, 1)});
  if (op == "less") return limited(b.sub(f(1), f(0)));
  if (op == "greater") return limited(b.sub(f(0), f(1)));
  if (op == "less_equal") return limited(b.add(b.sub(f(1), f(0)), number(b, 1)));
  if (op == "greater_equal") return limited(b.add(b.sub(f(0), f(1)), number(b, 1)));
  if (op == "cast") {
    const ValueId x = b.cast(n.inputs[0], DType::f32);
    return b.op("minimum", {b.mul(x, x), number(b, 1)});
  }
  std::vector<ValueId> in;
  for (const ValueId i : n.inputs) in.push_back(as_number(b, i));
  if (op == "logical_and") return b.mul(in[0], in[1]);
  if (op == "logical_or") return b.op("maximum", {in[0], in[1]});
  if (op == "logical_not") return b.sub(number(b, 1), in[0]);
  if (op == "logical_xor") {
    const ValueId d = b.sub(in[0], in[1]);
    return b.mul(d, d);
  }
  const uint32_t slot = g.value(v).slot;
  const std::vector<ValueId> out = b.ops(op, std::move(in), n.attrs);
  return slot < out.size() ? out[slot] : ValueId{};
}

// ---- before a softmax

const Tensor* mask_constant(const Graph& g, const Match& m) {
  const ValueId c = m.value("c");
  return g.is_constant(c) ? g.value(c).constant.get() : nullptr;
}

// Every row along the last dim keeps at least one element (constant masks); unknown masks count as not.
bool rows_live(const Tensor& mask, bool kept) {
  if (mask.shape.empty()) return false;
  const int64_t width = mask.shape.back();
  if (width == 0) return false;
  for (int64_t r = 0; r < mask.count() / width; ++r) {
    bool live = false;
    for (int64_t k = 0; k < width && !live; ++k) live = (get_int(mask, r * width + k) != 0) == kept;
    if (!live) return false;
  }
  return true;
}

// where(c, a, fill) or where(c, fill, a) with fill meaning "never".
template <bool keep_true>
Reason masked_before_softmax(const Graph& g, const Match& m) {
  const auto fill = uniform_value(g, m.value("F"));
  if (!fill || !(*fill <= kMostNegative)) return "the fill value is no large negative number";
  if (Reason r = not_arithmetic(g, m.value("c"))) return r;
  const Tensor* mask = mask_constant(g, m);
  const bool same_rows = mask && rows_live(*mask, keep_true) && mask->shape.back() == g.shape(m.value("y")).back();
  // A finite fill is uniform over a wholly masked row, and so is the softmax of x - 1e9 up to the rounding of x.
  if (!same_rows && !std::isfinite(*fill)) return "a row may be masked altogether, which gives NaN";
  const int64_t axis = std::get<int64_t>(m.attr("x"));
  const auto rank = static_cast<int64_t>(g.shape(m.value("y")).size());
  return axis == -1 || axis == rank - 1 ? Reason() : Reason("the softmax does not run along the last dim");
}

// A wholly masked row keeps only the fill: its scores are taken out by a factor first.
template <bool keep_true>
std::vector<ValueId> build_masked_softmax(Builder& b, const Match& m) {
  ValueId keep = as_number(b, m.value("c"));
  if (!keep_true) keep = b.sub(number(b, 1), keep);
  const Tensor* mask = mask_constant(b.graph(), m);
  const bool live = mask && rows_live(*mask, keep_true);
  const ValueId term = b.mul(b.sub(number(b, 1), keep), number(b, kNever));
  const ValueId scores = live ? m.value("a") : b.mul(m.value("a"), keep);
  return {b.op("softmax", {b.add(scores, term)}, {{"axis", m.attr("x")}})};
}

Reason infinite_term(const Graph& g, const Match& m) {
  const Tensor& t = *g.value(m.value("M")).constant;
  if (t.dtype != DType::f32 || t.shape.empty()) return "";
  const auto v = t.as<float>();
  if (std::none_of(v.begin(), v.end(), [](float x) { return std::isinf(x) && x < 0; })) return "no term is infinite";
  const auto width = static_cast<size_t>(t.shape.back());
  for (size_t r = 0; r < v.size() / width; ++r)
    if (std::all_of(v.begin() + static_cast<std::ptrdiff_t>(r * width),
                    v.begin() + static_cast<std::ptrdiff_t>((r + 1) * width), [](float x) { return std::isinf(x); }))
      return "a row is masked altogether, which gives NaN";
  return std::nullopt;
}

std::vector<ValueId> build_finite_term(Builder& b, const Match& m) {
  const Tensor& t = *b.constant_of(m.value("M"));
  Tensor finite = Tensor::zeros(DType::f32, t.shape);
  const auto src = t.as<float>();
  const auto dst = finite.mut<float>();
  for (size_t i = 0; i < src.size(); ++i)
    dst[i] = std::isinf(src[i]) && src[i] < 0 ? static_cast<float>(kNever) : src[i];
  return {b.op("softmax", {b.add(m.value("a"), b.constant(std::move(finite)))}, {{"axis", m.attr("x")}})};
}

// ---- anywhere

// True when the operator may make infinities or NaN of finite numbers.
bool singular(const Graph& g, const Node& n, const Domains& domains) {
  const auto range = [&](size_t i) { return domains.of(n.inputs[i]).value_or(ValueRange{-HUGE_VAL, HUGE_VAL, false}); };
  const std::string_view op = n.op->name;
  if (op == "sqrt") return range(0).low < 0;
  if (op == "log1p") return range(0).low <= -1;
  if (op == "log" || op == "log2" || op == "log10" || op == "rsqrt") return range(0).low <= 0;
  if (op == "exp" || op == "expm1" || op == "sinh" || op == "cosh")
    return range(0).high > 80 || (op.ends_with('h') && range(0).low < -80);
  if (op == "div" || op == "fmod" || op == "remainder" || op == "reciprocal") {
    const size_t divisor = op == "reciprocal" ? 0 : 1;
    if (const auto& c = g.value(n.inputs[divisor]).constant; c) {
      for (int64_t i = 0; i < c->count(); ++i)
        if (get_double(*c, i) == 0) return true;
      return false;
    }
    return range(divisor).low <= 0 && range(divisor).high >= 0;
  }
  if (op == "pow") {
    const std::optional<double> e = uniform_value(g, n.inputs[1]);
    return !e || *e < 0 || *e != std::floor(*e) || *e > 4;
  }
  for (const std::string_view other : {"tan", "asin", "acos", "acosh", "atanh"})
    if (op == other) return true;
  return false;
}

// What a selection may be there to hide: NaN or infinity on the side that is not taken. Products with weights are not
// looked through: what is not finite there is not finite in every result.
bool surely_finite(const Graph& g, ValueId v) {
  const auto ranges = declared_ranges(g);
  const Domains domains(g, ranges);
  if (g.is_constant(v)) {
    const std::optional<ValueRange> r = domains.of(v);
    return r && std::isfinite(r->low) && std::isfinite(r->high);
  }
  std::set<NodeId> seen;
  std::vector<ValueId> work{v};
  while (!work.empty()) {
    const Node* n = g.producer(work.back());
    const NodeId id = n ? g.value(work.back()).producer : NodeId{};
    work.pop_back();
    if (!n || n->op->macs || !seen.insert(id).second) continue;
    if (singular(g, *n, domains)) return false;
    for (const ValueId in : n->inputs)
      if (in.valid()) work.push_back(in);
  }
  return true;
}

Reason selection_fits(const Graph& g, const Match& m) {
  if (g.type(m.value("y")).dtype != DType::f32) return "it selects no float32 values";
  for (const char* side : {"a", "b"})
    if (!surely_finite(g, m.value(side))) return "a side may be infinite or NaN where it is not selected";
  return not_arithmetic(g, m.value("c"));
}

std::vector<ValueId> build_selection(Builder& b, const Match& m) {
  const ValueId c = as_number(b, m.value("c"));
  const ValueId a = m.value("a"), other = m.value("b");
  const auto zero = [&](ValueId v) { return uniform_value(b.graph(), v) == 0.0; };
  const ValueId rest = b.sub(number(b, 1), c);
  if (zero(other)) return {b.mul(a, c)};
  if (zero(a)) return {b.mul(other, rest)};
  return {b.add(b.mul(a, c), b.mul(other, rest))};
}

Reason cast_of_bool(const Graph& g, const Match& m) {
  if (g.type(m.value("c")).dtype != DType::boolean) return "it casts no bool";
  const DType to = std::get<DType>(m.attr("t"));
  if (to != DType::f32 && to != DType::i32 && to != DType::i64) return "";
  return not_computable(g, m.value("c"), 16);
}
std::vector<ValueId> build_cast(Builder& b, const Match& m) {
  return {b.cast(as_number(b, m.value("c")), std::get<DType>(m.attr("t")))};
}

Reason whole_number_difference(const Graph& g, const Match& m) {
  if (g.type(m.value("x")).dtype != DType::f32) return "it is no float32";
  const double v = m.number("v");
  if (v != std::floor(v)) return "the label is no whole number";
  return whole(g, m.value("x"))
             ? Reason()
             : Reason("the domain of %" + g.value(m.value("x")).name +
                      " is not known to be whole numbers: 0.5 would give another result (declare a range)");
}
std::vector<ValueId> build_equality(Builder& b, const Match& m) {
  const ValueId d = b.sub(m.value("x"), number(b, m.number("v")));
  return {b.op("relu", {b.sub(number(b, 1), b.mul(d, d))})};
}

Reason triangle_fits(const Graph& g, const Match& m) {
  return g.type(m.value("x")).dtype == DType::f32 ? Reason() : Reason("it is no float32");
}
std::vector<ValueId> build_triangle(Builder& b, const Match& m) {
  const Shape& s = b.shape(m.value("x"));
  Tensor ones = Tensor::zeros(DType::f32, {s[s.size() - 2], s.back()});
  for (float& v : ones.mut<float>()) v = 1;
  const ValueId mask = b.op("trilu", {b.constant(std::move(ones))}, m.rest("r"));
  return {b.mul(m.value("x"), mask)};
}

Reason one_hot_fits(const Graph& g, const Match& m) {
  return whole(g, m.value("i")) ? Reason() : Reason("the range of the indices is not declared");
}
std::vector<ValueId> build_one_hot(Builder& b, const Match& m) {
  const int64_t depth = std::get<int64_t>(m.attr("d"));
  Shape s = b.shape(m.value("i"));
  s.push_back(1);
  Tensor labels = Tensor::zeros(DType::f32, {depth});
  for (int64_t k = 0; k < depth; ++k) labels.mut<float>()[static_cast<size_t>(k)] = static_cast<float>(k);
  const ValueId d = b.sub(b.reshape(b.cast(m.value("i"), DType::f32), s), b.constant(std::move(labels)));
  return {b.cast(b.op("relu", {b.sub(number(b, 1), b.mul(d, d))}), std::get<DType>(m.attr("t")))};
}

constexpr std::string_view kSoftmaxDoc =
    "e^(x - 1e9 - max) is 0 in float just as e^(fill - max) is; wholly masked rows keep equal scores and stay uniform.";

constexpr Rewrite kRows[] = {
    {.name = "masked_fill_as_term",
     .doc = kSoftmaxDoc,
     .match = "%y = softmax(where(%c, %a, %F), axis=$x)",
     .check = masked_before_softmax<true>,
     .build = build_masked_softmax<true>},
    {.name = "inverse_masked_fill_as_term",
     .doc = kSoftmaxDoc,
     .match = "%y = softmax(where(%c, %F, %a), axis=$x)",
     .check = masked_before_softmax<false>,
     .build = build_masked_softmax<false>},
    {.name = "finite_mask_term",
     .doc = kSoftmaxDoc,
     .match = "%y = softmax(add(%a, %M), axis=$x)",
     .check = infinite_term,
     .build = build_finite_term},
    {.name = "selection_as_arithmetic",
     .doc = "For c in {0, 1} and finite a, b: c ? a : b = a*c + b*(1 - c); comparisons of whole numbers are clamped "
            "differences, equality is relu(1 - (x - v)^2).",
     .match = "%y = where(%c, %a, %b)",
     .numerics = Numerics::exact_on_domain,
     .check = selection_fits,
     .build = build_selection},
    {.name = "bool_as_number",
     .doc = "For whole numbers, x < v is clamp(v - x, 0, 1), x = v is relu(1 - (x - v)^2); and, or, not are product, "
            "maximum, 1 - c.",
     .match = "%y = cast(%c, to=$t)",
     .numerics = Numerics::exact_on_domain,
     .check = cast_of_bool,
     .build = build_cast},
    {.name = "label_equality_clamped",
     .doc = "For whole x and v both 1 - |x - v| and 1 - (x - v)^2, limited to [0, 1], are 1 at x = v and 0 elsewhere.",
     .match = "%y = clamp(sub(1, abs(sub(%x, $v))), min=0, max=1)",
     .numerics = Numerics::exact_on_domain,
     .check = whole_number_difference,
     .build = build_equality},
    {.name = "label_equality_relu",
     .doc = "For whole x and v both 1 - |x - v| and 1 - (x - v)^2, limited to [0, 1], are 1 at x = v and 0 elsewhere.",
     .match = "%y = relu(sub(1, abs(sub(%x, $v))))",
     .numerics = Numerics::exact_on_domain,
     .check = whole_number_difference,
     .build = build_equality},
    {.name = "label_equality_by_abs",
     .doc = "For whole x and v, 1 - min(|x - v|, 1) is 1 at x = v and 0 elsewhere, as relu(1 - (x - v)^2) is.",
     .match = "%y = sub(1, clamp(abs(sub(%x, $v)), min=0, max=1))",
     .numerics = Numerics::exact_on_domain,
     .check = whole_number_difference,
     .build = build_equality},
    {.name = "triangle_as_factor",
     .doc = "Keeping a triangle is multiplying by its 0/1 mask, for finite values.",
     .match = "%y = trilu(%x, rest=$r)",
     .numerics = Numerics::exact_on_domain,
     .check = triangle_fits,
     .build = build_triangle},
    {.name = "one_hot_as_arithmetic",
     .doc = "Position k holds relu(1 - (i - k)^2): 1 where i = k, 0 elsewhere for whole i.",
     .match = "%y = one_hot(%i, depth=$d, dtype=$t)",
     .numerics = Numerics::exact_on_domain,
     .check = one_hot_fits,
     .build = build_one_hot},
};

}  // namespace

std::span<const Rewrite> lower_mask_rows() { return kRows; }

}  // namespace npuport
