// Functions the target lacks, from those it has: polynomials of measured error, applied only where approximate rewrites
// are allowed.
#include <array>
#include <set>

#include "ir/cost.h"
#include "passes/host.h"
#include "passes/lower/common.h"

namespace npuport {
namespace {

ValueId number(Builder& b, double v, ValueId like) { return b.scalar(v, b.dtype(like)); }
ValueId scaled(Builder& b, ValueId x, double s) { return s == 1 ? x : b.mul(x, number(b, s, x)); }

// c[0]*x + c[1]*x^2 + ... by Horner's rule.
ValueId polynomial(Builder& b, ValueId x, std::span<const double> c) {
  ValueId sum = number(b, c.back(), x);
  for (size_t k = c.size() - 1; k-- > 0;) sum = b.add(b.mul(sum, x), number(b, c[k], x));
  return b.mul(sum, x);
}

// ---- log(1 + e^z)

// Abramowitz and Stegun 4.1.44: log(1 + u) for 0 <= u <= 1, |error| <= 3e-8.
constexpr std::array kLog1p{0.9999964239, -0.4998741238, 0.3317990258, -0.2407338084,
                            0.1676540711, -0.0953293897, 0.0360884937, -0.0064535442};

ValueId soft_maximum(Builder& b, ValueId z) {
  const ValueId u = b.op("exp", {scaled(b, b.op("abs", {z}), -1)});
  return b.add(b.op("relu", {z}), polynomial(b, u, kLog1p));
}
std::vector<ValueId> build_softplus(Builder& b, const Match& m) {
  const double beta = std::get<double>(m.attr("b"));
  return {scaled(b, soft_maximum(b, scaled(b, m.value("x"), beta)), 1 / beta)};
}
Reason threshold_far(const Graph&, const Match& m) {
  const bool far = std::get<double>(m.attr("b")) > 0 && std::get<double>(m.attr("t")) >= 15;
  return far ? Reason() : Reason("the linear part begins too early");
}
std::vector<ValueId> build_log_sigmoid(Builder& b, const Match& m) {
  return {scaled(b, soft_maximum(b, scaled(b, m.value("x"), -1)), -1)};
}

// ---- sine and cosine

// sin(2*pi*s) for |s| <= 1/2, odd powers up to s^13 fitted over the half turn: |error| <= 1.2e-9.
constexpr std::array kSine{6.283185272447927, -41.34169703819886,  81.60502363799098, -76.70153766961118,
                           42.01607575732613, -14.868322735793576, 3.1993388231756286};

// x / (2*pi) + `ahead` turns, reduced to half a turn: casting to i32 and back cuts the whole turns off; a half turn
// more or less changes the sign.
ValueId sine_of_turns(Builder& b, ValueId x, double ahead) {
  const DType type = b.dtype(x);
  const auto whole = [&](ValueId v) { return b.cast(b.cast(v, DType::i32), type); };
  ValueId turns = scaled(b, x, 1 / 6.283185307179586);
  if (ahead != 0) turns = b.add(turns, number(b, ahead, x));
  const ValueId part = b.sub(turns, whole(turns));        // (-1, 1)
  const ValueId halves = whole(scaled(b, part, 2));       // -1, 0 or 1
  const ValueId s = b.sub(part, scaled(b, halves, 0.5));  // (-1/2, 1/2)
  const ValueId sign = b.sub(number(b, 1, x), scaled(b, b.mul(halves, halves), 2));
  const ValueId square = b.mul(s, s);
  ValueId sum = number(b, kSine.back(), x);
  for (size_t k = kSine.size() - 1; k-- > 0;) sum = b.add(b.mul(sum, square), number(b, kSine[k], x));
  return b.mul(b.mul(sum, s), sign);
}
template <bool cosine>
std::vector<ValueId> build_sine(Builder& b, const Match& m) {
  return {sine_of_turns(b, m.value("x"), cosine ? 0.25 : 0)};
}

// What takes little to compute from the inputs is a positional encoding: the host computes it exactly.
bool near_inputs(const Graph& g, ValueId v) {
  int64_t macs = 0;
  std::set<NodeId> seen;
  std::vector<ValueId> work{v};
  while (!work.empty()) {
    const NodeId p = g.value(work.back()).producer;
    work.pop_back();
    if (!p.valid() || !seen.insert(p).second) continue;
    macs += node_macs(g, p);
    for (const ValueId in : g.node(p).inputs)
      if (in.valid()) work.push_back(in);
  }
  return macs <= host_macs_limit(g);
}
Reason inside(const Graph& g, const Match& m) {
  if (g.type(m.value("x")).dtype != DType::f32) return "it is no float32";
  return near_inputs(g, m.value("x")) ? Reason("the host computes it exactly before the graph") : Reason();
}

// ---- log

constexpr int kRoots = 8;

// y0 = 256 * log(x^(1/256)) by the first two terms of 2 * atanh, off by at most 0.015; then Halley's step on e^y = x,
// which leaves a twelfth of the cube, 3e-7, and the rounding of e^-y0.
std::vector<ValueId> build_log(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  ValueId root = x;
  for (int k = 0; k < kRoots; ++k) root = b.op("sqrt", {root});
  const auto ratio = [&](ValueId v) { return b.op("div", {b.sub(v, number(b, 1, x)), b.add(v, number(b, 1, x))}); };
  const ValueId t = ratio(root);
  const ValueId series = b.add(number(b, 1, x), scaled(b, b.mul(t, t), 1.0 / 3));
  const ValueId first = scaled(b, b.mul(t, series), 2.0 * (1 << kRoots));
  const ValueId rest = b.mul(x, b.op("exp", {scaled(b, first, -1)}));  // near 1
  return {b.add(first, scaled(b, ratio(rest), 2))};
}

// What takes little to compute from `v` to the outputs is left to the host, which computes it exactly.
bool near_outputs(const Graph& g, ValueId v) {
  int64_t macs = 0;
  std::set<NodeId> seen;
  std::vector<ValueId> work{v};
  while (!work.empty()) {
    const std::vector<Use> uses = g.value(work.back()).uses;
    work.pop_back();
    for (const Use& u : uses) {
      if (!seen.insert(u.node).second) continue;
      macs += node_macs(g, u.node);
      const std::vector<ValueId>& made = g.node(u.node).outputs;
      work.insert(work.end(), made.begin(), made.end());
    }
  }
  return macs <= host_macs_limit(g);
}
Reason in_the_middle(const Graph& g, const Match& m) {
  if (Reason why = inside(g, m)) return why;
  return near_outputs(g, m.value("y")) ? Reason("the host computes it exactly after the graph") : Reason();
}

constexpr std::string_view kLogOfXDoc =
    "log(x) = 256 * log(x^(1/256)), the latter near 1 by 2*(t + t^3/3) with t = (r - 1)/(r + 1), and one step of "
    "Halley's "
    "on e^y = x: off by at most 4e-7 and twice the rounding of the result, for x from 1.2e-38 to 8e37; NaN for x < 0. "
    "At 0, "
    "where log is -infinity, it gives a finite number below -200.";
constexpr std::string_view kLogDoc =
    "log(1 + e^z) = max(z, 0) + log(1 + u) with u = e^-|z| in (0, 1]; the last term by Abramowitz and Stegun 4.1.44, "
    "whose error is at most 3e-8.";
constexpr std::string_view kSineDoc =
    "Whole turns are cut off, half a turn changes the sign, and the polynomial is off by at most 1.2e-9 on "
    "the half turn left; what remains is the rounding of x / (2*pi), 6e-8 of the angle.";

constexpr Rewrite kRows[] = {
    {.name = "softplus_as_polynomial",
     .doc = kLogDoc,
     .match = "%y = softplus(%x, beta=$b, threshold=$t)",
     .numerics = Numerics::approximate,
     .check = threshold_far,
     .build = build_softplus},
    {.name = "log_sigmoid_as_polynomial",
     .doc = kLogDoc,
     .match = "%y = log_sigmoid(%x)",
     .numerics = Numerics::approximate,
     .build = build_log_sigmoid},
    {.name = "log_by_roots",
     .doc = kLogOfXDoc,
     .match = "%y = log(%x)",
     .numerics = Numerics::approximate,
     .check = in_the_middle,
     .build = build_log},
    {.name = "sine_as_polynomial",
     .doc = kSineDoc,
     .match = "%y = sin(%x)",
     .numerics = Numerics::approximate,
     .check = inside,
     .build = build_sine<false>},
    {.name = "cosine_as_polynomial",
     .doc = kSineDoc,
     .match = "%y = cos(%x)",
     .numerics = Numerics::approximate,
     .check = inside,
     .build = build_sine<true>},
};

}  // namespace

std::span<const Rewrite> lower_approximate_rows() { return kRows; }

}  // namespace npuport
