// What one might try for sine and cosine before moving them to the host, and what each way would take.
#include <fmt/format.h>

#include <cmath>

#include "drivers/diagnose/cure.h"

namespace npuport::diagnose {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kGoodEnough = 1e-3;  // error of a result that does not show in a positional encoding
constexpr int kMostTerms = 12;

struct Idea {
  const char* name;
  std::vector<std::vector<const char*>> needs;  // of each group one operator, as ONNX or TFLite call it
  const char* how;
};

// Error of the Taylor polynomial with terms up to x^(2n-1) for |x| <= m, as the first term left out.
double taylor_error(double m, int terms) {
  const int power = 2 * terms + 1;
  return std::exp(power * std::log(m) - std::lgamma(power + 1.0));
}

// What speaks against an idea beside its operators; empty = nothing.
std::string limits(std::string_view name, std::optional<double> magnitude, int64_t elements) {
  const double m = magnitude.value_or(12 * kPi);
  const std::string range = magnitude
                                ? fmt::format("the argument reaches {:.1f} (±{:.1f} pi) on the samples", m, m / kPi)
                                : "the range of the argument is not known (±12 pi is usual for encodings)";
  if (name == "Taylor polynomial") {
    int terms = 1;
    while (terms < 64 && taylor_error(m, terms) > kGoodEnough) ++terms;
    // In float32 the largest term is rounded, too.
    const double cancelled = std::exp(m) / (2 * m + 1) * 6e-8;
    if (terms > kMostTerms || cancelled > kGoodEnough)
      return fmt::format("{}: {} terms for an error of 1e-3, and float32 cancellation leaves an error of {:.1e}", range,
                         terms >= 64 ? "64 and more" : std::to_string(terms), cancelled);
  }
  if (name == "Pade quotient" && m > kPi)
    return range + ": the quotient holds near 0 only, larger arguments must be reduced first";
  if (name == "piecewise linear by Relu") {
    // Linear pieces of width h are off by h²/8; each piece is Sub, Relu, Mul, Add.
    const double pieces = 2 * m / std::sqrt(8 * kGoodEnough);
    const double nodes = 4 * pieces;
    return fmt::format("{}: {:.0f} pieces, about {:.0f} nodes ({:.0f} element operations) for an error of 1e-3", range,
                       pieces, nodes, nodes * static_cast<double>(elements));
  }
  return {};
}

}  // namespace

std::vector<Alternative> ideas(std::string_view op, std::optional<double> magnitude, int64_t elements,
                               const Whitelist& whitelist) {
  if (op != "sin" && op != "cos") return {};
  const std::vector<Idea> all = {
      {"Taylor polynomial", {{"Mul", "MUL"}, {"Add", "ADD"}}, "x - x^3/6 + x^5/120 - …"},
      {"reduction modulo 2 pi",
       {{"Floor", "FLOOR", "Round", "Mod", "FLOOR_MOD"}},
       "x - 2 pi floor(x / 2 pi), then a polynomial"},
      {"look-up table",
       {{"Gather", "GATHER", "GatherElements", "GatherND", "GATHER_ND"}},
       "values at fixed places, found by index"},
      {"Pade quotient", {{"Div", "DIV"}, {"Mul", "MUL"}, {"Add", "ADD"}}, "a quotient of two polynomials"},
      {"piecewise linear by Relu", {{"Relu", "RELU"}, {"Mul", "MUL"}, {"Sub", "SUB"}}, "a sum of ramps"},
  };
  std::vector<Alternative> out;
  for (const Idea& idea : all) {
    Alternative a;
    a.name = idea.name;
    a.numerics = Numerics::approximate;
    a.argument = idea.how;
    std::string missing;
    for (const auto& group : idea.needs) {
      bool seen = false;
      for (const char* k : group) seen = seen || whitelist.has(k);
      a.kinds.emplace_back(group[0]);
      if (!seen) missing += (missing.empty() ? "" : ", ") + std::string(group[0]);
    }
    const std::string limit = limits(idea.name, magnitude, elements);
    if (!missing.empty()) a.verdict = "rejected: needs " + missing + ", which the compiler was not seen to take";
    if (!limit.empty()) a.verdict += (a.verdict.empty() ? "rejected: " : "; ") + limit;
    if (a.verdict.empty()) a.verdict = "possible, but approximate and not among the rewrites: the host is exact";
    out.push_back(std::move(a));
  }
  return out;
}

}  // namespace npuport::diagnose
