// Rows that fold factors and terms into weights.
#include <algorithm>
#include <deque>

#include "passes/fold_affine.h"
#include "passes/fuse_rows.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

const Node& node_of(const Graph& g, const Match& m, const char* value) { return *g.producer(m.value(value)); }

int64_t channels_of(const Graph& g, const Match& m) {
  const Node& n = node_of(g, m, "h");
  const Shape& s = g.shape(m.value("h"));
  return s.empty() ? 0 : s[channel_dim(n, s.size())];
}

std::optional<std::vector<double>> constant_of(const Graph& g, const Match& m) {
  const Shape& s = g.shape(m.value("h"));
  if (s.empty()) return std::nullopt;
  return per_channel(g, m.value("K"), s.size(), channel_dim(node_of(g, m, "h"), s.size()), channels_of(g, m));
}

Reason constant_fits(const Graph& g, const Match& m) {
  if (Reason r = cannot_scale(g, node_of(g, m, "h"))) return r;
  if (!constant_of(g, m)) return "the constant is not one number per output channel";
  return std::nullopt;
}

std::vector<ValueId> fold(Builder& b, const Match& m, double (*scale)(double), double (*shift)(double)) {
  const std::vector<double> k = *constant_of(b.graph(), m);
  std::vector<double> s(k.size()), t(k.size());
  std::transform(k.begin(), k.end(), s.begin(), scale);
  std::transform(k.begin(), k.end(), t.begin(), shift);
  return {scaled_node(b, Node(node_of(b.graph(), m, "h")), s, t)};
}

double one(double) { return 1; }
double zero(double) { return 0; }
double same(double v) { return v; }
double negated(double v) { return -v; }
double inverse(double v) { return 1 / v; }
double minus_one(double) { return -1; }

std::vector<ValueId> fold_mul(Builder& b, const Match& m) { return fold(b, m, same, zero); }
std::vector<ValueId> fold_div(Builder& b, const Match& m) { return fold(b, m, inverse, zero); }
std::vector<ValueId> fold_add(Builder& b, const Match& m) { return fold(b, m, one, same); }
std::vector<ValueId> fold_sub(Builder& b, const Match& m) { return fold(b, m, one, negated); }
std::vector<ValueId> fold_rsub(Builder& b, const Match& m) { return fold(b, m, minus_one, same); }

Reason no_zero(const Graph& g, const Match& m) {
  if (Reason r = constant_fits(g, m)) return r;
  const std::vector<double> k = *constant_of(g, m);
  return std::count(k.begin(), k.end(), 0.0) ? Reason("it divides by zero") : Reason();
}

Reason batch_norm_fits(const Graph& g, const Match& m) {
  const Node& conv = node_of(g, m, "h");
  const Node& bn = node_of(g, m, "y");
  if (Reason r = cannot_scale(g, conv)) return r;
  for (size_t i = 1; i < 5; ++i)
    if (bn.inputs[i].valid() && !g.is_constant(bn.inputs[i])) return "the statistics are not constant";
  const auto rank = static_cast<int64_t>(g.shape(m.value("h")).size());
  const int64_t axis = bn.attr().i("axis");
  if ((axis < 0 ? axis + rank : axis) != static_cast<int64_t>(channel_dim(conv, g.shape(m.value("h")).size())))
    return "the batch norm runs along another axis";
  return std::nullopt;
}

std::vector<ValueId> fold_batch_norm(Builder& b, const Match& m) {
  const Affine a = batch_norm_affine(b.graph(), node_of(b.graph(), m, "y"));
  return {scaled_node(b, Node(node_of(b.graph(), m, "h")), a.scale, a.shift)};
}

Reason statistics_constant(const Graph& g, const Match& m) {
  const Node& bn = node_of(g, m, "y");
  for (size_t i = 1; i < 5; ++i)
    if (bn.inputs[i].valid() && !g.is_constant(bn.inputs[i])) return "the statistics are not constant";
  return std::nullopt;
}

std::vector<ValueId> batch_norm_as_affine(Builder& b, const Match& m) {
  const Node bn = node_of(b.graph(), m, "y");
  const Affine a = batch_norm_affine(b.graph(), bn);
  const Shape& x = b.shape(bn.inputs[0]);
  const auto rank = static_cast<int64_t>(x.size());
  int64_t axis = bn.attr().i("axis");
  if (axis < 0) axis += rank;
  Shape s(static_cast<size_t>(rank - axis), 1);
  s[0] = static_cast<int64_t>(a.scale.size());
  const DType dtype = b.dtype(bn.inputs[0]);
  const auto constant = [&](const std::vector<double>& v) {
    Tensor t = Tensor::of<double>(s, std::span<const double>(v));
    return b.constant(cast_tensor(t, dtype));
  };
  return {b.add(b.mul(bn.inputs[0], constant(a.scale)), constant(a.shift))};
}

// ---- scales that wander up to a projection

// Whether a scalar factor on `v` ends in weights or a constant: up through reshapes, transposes and other factors.
bool leads_to_weights(const Graph& g, ValueId v) {
  for (int depth = 0; depth < 8; ++depth) {
    if (g.is_constant(v)) return true;
    if (g.use_count(v) != 1) return false;
    const Node* n = g.producer(v);
    if (!n) return false;
    if (std::count(std::begin(kWeighted), std::end(kWeighted), n->op->name)) return !cannot_scale(g, *n);
    if (n->op->name != "reshape" && n->op->name != "transpose") return false;
    v = n->inputs[0];
  }
  return false;
}

Reason operand_a_leads(const Graph& g, const Match& m) {
  return leads_to_weights(g, m.value("a")) ? Reason() : Reason("the left operand does not come from a projection");
}
Reason operand_b_leads(const Graph& g, const Match& m) {
  return leads_to_weights(g, m.value("b")) ? Reason() : Reason("the right operand does not come from a projection");
}
Reason moved_leads(const Graph& g, const Match& m) {
  return leads_to_weights(g, m.value("h")) ? Reason() : Reason("the value does not come from a projection");
}
Reason moved_not_zero(const Graph& g, const Match& m) {
  return m.number("s") != 0 ? moved_leads(g, m) : Reason("it divides by zero");
}

std::vector<ValueId> divide_as_multiply(Builder& b, const Match& m) {
  return {b.mul(m.value("h"), b.scalar(1.0 / m.number("s"), b.dtype(m.value("h"))))};
}

constexpr std::string_view kScaleDoc = "(s*q)·k = s*(q·k), and a factor passes through reshapes and transposes.";

constexpr Rewrite kScaleRows[] = {
    {.name = "scale_into_left_operand",
     .doc = kScaleDoc,
     .match = "%y = mul(matmul(%a, %b, rest=$r), $s)",
     .replace = "%y = matmul(mul(%a, $s), %b, rest=$r)",
     .check = operand_a_leads},
    {.name = "scale_into_right_operand",
     .doc = kScaleDoc,
     .match = "%y = mul(matmul(%a, %b, rest=$r), $s)",
     .replace = "%y = matmul(%a, mul(%b, $s), rest=$r)",
     .check = operand_b_leads},
    {.name = "quotient_as_factor",
     .doc = "x / s = x * (1/s), one rounding apart; the factor then goes into weights.",
     .match = "%h = matmul(%a, %b, rest=$r); %y = div(%h, $s)",
     .check =
         [](const Graph& g, const Match& m) {
           if (m.number("s") == 0) return Reason("it divides by zero");
           return leads_to_weights(g, m.value("a")) || leads_to_weights(g, m.value("b"))
                      ? Reason()
                      : Reason("no operand comes from a projection");
         },
     .build = divide_as_multiply,
     .shared = true},
    {.name = "projection_quotient_as_factor",
     .doc = "x / s = x * (1/s), one rounding apart; the factor then goes into weights.",
     .match = "%h = transpose(%x, perm=$p); %y = div(%h, $s)",
     .check = moved_not_zero,
     .build = divide_as_multiply,
     .shared = true},
    {.name = "scale_through_transpose",
     .doc = "A factor common to all elements does not care about their order.",
     .match = "%h = transpose(%x, perm=$p); %y = mul(%h, $s)",
     .replace = "%y = transpose(mul(%x, $s), perm=$p)",
     .check = moved_leads},
    {.name = "scale_through_reshape",
     .doc = "A factor common to all elements does not care about their order.",
     .match = "%h = reshape(%x, shape=$p); %y = mul(%h, $s)",
     .replace = "%y = reshape(mul(%x, $s), shape=$p)",
     .check = moved_leads},
};

// One row per weighted operator, from a template with OP for its name.
class RowMaker {
 public:
  void add(std::string_view name, std::string_view doc, std::string_view match, auto check, auto build) {
    for (const std::string_view op : kWeighted) {
      std::string text(match);
      text.replace(text.find("OP"), 2, op);
      texts_.push_back(std::move(text));
      const std::string_view stored = texts_.back();
      texts_.push_back(std::string(name) + "_into_" + std::string(op));
      Rewrite r;
      r.name = texts_.back();
      r.doc = doc;
      r.match = stored;
      r.check = check;
      r.build = build;
      rows.push_back(r);
    }
  }
  std::vector<Rewrite> rows;

 private:
  std::deque<std::string> texts_;
};

RowMaker make_rows() {
  RowMaker m;
  const std::string_view linear = "The operator is linear in its weights: s*(W·x + b) + t = (s*W)·x + (s*b + t).";
  m.add("batch_norm", linear, "%h = OP(%x, %W, %B.opt, rest=$c); %y = batch_norm(%h, %g.opt, %b.opt, %m, %v, rest=$n)",
        batch_norm_fits, fold_batch_norm);
  m.add("factor", linear, "%h = OP(%x, %W, %B.opt, rest=$c); %y = mul(%h, %K)", constant_fits, fold_mul);
  m.add("quotient", linear, "%h = OP(%x, %W, %B.opt, rest=$c); %y = div(%h, %K)", no_zero, fold_div);
  m.add("term", linear, "%h = OP(%x, %W, %B.opt, rest=$c); %y = add(%h, %K)", constant_fits, fold_add);
  m.add("difference", linear, "%h = OP(%x, %W, %B.opt, rest=$c); %y = sub(%h, %K)", constant_fits, fold_sub);
  m.add("negation", linear, "%h = OP(%x, %W, %B.opt, rest=$c); %y = sub(%K, %h)", constant_fits, fold_rsub);
  m.rows.insert(m.rows.end(), std::begin(kScaleRows), std::end(kScaleRows));
  Rewrite bn;
  bn.name = "batch_norm_as_factor_and_term";
  bn.doc =
      "(x - mean) / sqrt(var + eps) * weight + bias = x*s + t with s = weight / sqrt(var + eps), t = bias - mean*s.";
  bn.match = "%y = batch_norm(%x, %g.opt, %b.opt, %m, %v, rest=$n)";
  bn.check = statistics_constant;
  bn.build = batch_norm_as_affine;
  m.rows.push_back(bn);
  return m;
}

}  // namespace

std::span<const Rewrite> affine_rewrites() {
  static const RowMaker made = make_rows();
  return made.rows;
}

}  // namespace npuport
