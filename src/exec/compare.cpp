#include "exec/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/diag_codes.h"

namespace npuport {

namespace {

// Edit distance is quadratic: above this many cells `match` counts equal positions instead.
constexpr size_t kEditCells = 64'000'000;

enum class Class { real, integer, boolean };

Class class_of(DType t) {
  if (is_float(t)) return Class::real;
  return t == DType::boolean ? Class::boolean : Class::integer;
}

Comparison verdict(Verdict v, std::string reason) {
  Comparison c;
  c.verdict = v;
  c.reason = std::move(reason);
  return c;
}

std::vector<double> doubles(const Tensor& t) {
  std::vector<double> out(static_cast<size_t>(t.count()));
  const bool direct = dispatch(t.dtype, [&]<class T>() {
    const std::span<const T> in = t.as<T>();
    for (size_t i = 0; i < in.size(); ++i) {
      if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
        out[i] = static_cast<double>(static_cast<float>(in[i]));
      } else {
        out[i] = static_cast<double>(in[i]);
      }
    }
  });
  if (!direct) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = get_double(t, static_cast<int64_t>(i));
  }
  return out;
}

// Index of the first NaN or Inf, or -1.
int64_t first_non_finite(std::span<const double> v) {
  for (size_t i = 0; i < v.size(); ++i) {
    if (!std::isfinite(v[i])) return static_cast<int64_t>(i);
  }
  return -1;
}

std::optional<Comparison> non_finite(std::span<const double> got, std::span<const double> baseline) {
  const std::array sides = {std::pair{"the result", got}, std::pair{"the baseline", baseline}};
  for (const auto& [who, values] : sides) {
    const int64_t at = first_non_finite(values);
    if (at < 0) continue;
    Comparison c = verdict(Verdict::fail, fmt::format("{} holds {} at index {}", who,
                                                      std::isnan(values[static_cast<size_t>(at)]) ? "NaN" : "Inf", at));
    c.max_diff = std::numeric_limits<double>::quiet_NaN();
    c.worst_index = at;
    return c;
  }
  return std::nullopt;
}

struct Difference {
  double max = 0;
  int64_t at = -1;
  double squares = 0;
};

Difference difference(std::span<const double> got, std::span<const double> baseline) {
  Difference d;
  for (size_t i = 0; i < got.size(); ++i) {
    const double delta = std::abs(got[i] - baseline[i]);
    d.squares += delta * delta;
    if (delta > d.max || d.at < 0) {
      d.max = delta;
      d.at = static_cast<int64_t>(i);
    }
  }
  return d;
}

bool all_zero(std::span<const double> v) {
  return std::all_of(v.begin(), v.end(), [](double x) { return x == 0; });
}

// ‖v − mean(v)‖; exactly 0 for a constant, whatever the rounding of its mean.
double spread(std::span<const double> v) {
  if (std::all_of(v.begin(), v.end(), [&](double x) { return x == v[0]; })) return 0;
  double mean = 0;
  for (const double x : v) mean += x;
  mean /= static_cast<double>(v.size());
  double squares = 0;
  for (const double x : v) squares += (x - mean) * (x - mean);
  return std::sqrt(squares);
}

Comparison general(std::span<const double> got, std::span<const double> baseline, const Gate& gate) {
  if (auto bad = non_finite(got, baseline)) return *bad;
  const Difference d = difference(got, baseline);
  const double base = spread(baseline);
  Comparison c;
  c.max_diff = d.max;
  c.worst_index = d.at;
  c.relative = base > 0 ? std::sqrt(d.squares) / base : 0;
  if (!(d.max < gate.max_diff)) {
    c.verdict = Verdict::fail;
    c.reason = fmt::format("max_diff {:.3e} at index {} ({:.6g}, baseline {:.6g}) is not below {:g}", d.max, d.at,
                           got[static_cast<size_t>(d.at)], baseline[static_cast<size_t>(d.at)], gate.max_diff);
  } else if (!(c.relative < gate.relative)) {
    c.verdict = Verdict::fail;
    c.reason =
        fmt::format("relative difference {:.3e} is not below {:g} (max_diff {:.3e})", c.relative, gate.relative, d.max);
  } else if (all_zero(baseline)) {
    c.verdict = Verdict::unverified;
    c.reason = "the baseline is all zero, which proves nothing";
  }
  return c;
}

Comparison image(std::span<const double> got, std::span<const double> baseline, const Gate& gate) {
  if (auto bad = non_finite(got, baseline)) return *bad;
  const double top = *std::max_element(baseline.begin(), baseline.end());
  const double peak = gate.peak ? *gate.peak : (top <= 1 ? 1.0 : 255.0);
  const Difference d = difference(got, baseline);
  Comparison c;
  c.max_diff = d.max;
  c.worst_index = d.at;
  if (!gate.peak && top > 255) {
    c.verdict = Verdict::unverified;
    c.reason = fmt::format("the baseline reaches {:g}, above 255: give the gate its peak", top);
    return c;
  }
  c.mse = d.squares / (peak * peak) / static_cast<double>(got.size());
  c.psnr = c.mse > 0 ? -10 * std::log10(c.mse) : std::numeric_limits<double>::infinity();
  if (!(c.psnr > gate.psnr) && !(c.mse < gate.mse)) {
    c.verdict = Verdict::fail;
    c.reason = fmt::format("PSNR {:.2f} dB is not above {:g} dB and MSE {:.3e} is not below {:g} (peak {:g})", c.psnr,
                           gate.psnr, c.mse, gate.mse, peak);
  } else if (all_zero(baseline)) {
    c.verdict = Verdict::unverified;
    c.reason = "the baseline is all zero, which proves nothing";
  }
  return c;
}

Comparison mask(std::span<const double> got, std::span<const double> baseline, const Gate& gate) {
  if (auto bad = non_finite(got, baseline)) return *bad;
  int64_t both = 0, either = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const bool a = got[i] > gate.threshold, b = baseline[i] > gate.threshold;
    both += a && b;
    either += a || b;
  }
  const Difference d = difference(got, baseline);
  Comparison c;
  c.max_diff = d.max;
  c.worst_index = d.at;
  c.iou = either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
  if (c.iou < gate.iou) {
    c.verdict = Verdict::fail;
    c.reason = fmt::format("IoU {:.4f} is below {:g} at threshold {:g} ({} pixels in both, {} in either)", c.iou,
                           gate.iou, gate.threshold, both, either);
  }
  return c;
}

// Integers of any width and booleans, compared without going through floating point.
Comparison exact(const Tensor& got, const Tensor& baseline) {
  Comparison c;
  int64_t wrong = 0;
  const int64_t n = got.count();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t a = get_int(got, i), b = get_int(baseline, i);
    if (a == b) continue;
    ++wrong;
    const double delta = std::abs(static_cast<double>(a) - static_cast<double>(b));
    if (delta > c.max_diff || c.worst_index < 0) {
      c.max_diff = delta;
      c.worst_index = i;
    }
  }
  if (wrong > 0) {
    c.verdict = Verdict::fail;
    c.reason =
        fmt::format("{} of {} {} values differ, most at index {} ({}, baseline {})", wrong, n, name(baseline.dtype),
                    c.worst_index, get_int(got, c.worst_index), get_int(baseline, c.worst_index));
  }
  return c;
}

template <class T>
double match_ratio(std::span<const T> a, std::span<const T> b) {
  const size_t longest = std::max(a.size(), b.size());
  if (longest == 0) return 1;
  if (a.size() * b.size() > kEditCells) {
    size_t same = 0;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) same += a[i] == b[i];
    return static_cast<double>(same) / static_cast<double>(longest);
  }
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
    }
  }
  return 1 - static_cast<double>(row.back()) / static_cast<double>(longest);
}

// First position where two sequences differ; -1 when they are equal.
template <class T>
int64_t first_difference(std::span<const T> a, std::span<const T> b) {
  const size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; ++i) {
    if (a[i] != b[i]) return static_cast<int64_t>(i);
  }
  return a.size() == b.size() ? -1 : static_cast<int64_t>(n);
}

// Code points; nullopt when the bytes are not UTF-8 (overlong forms, surrogates and values above U+10FFFF included).
std::optional<std::vector<uint32_t>> decode_utf8(std::string_view text) {
  std::vector<uint32_t> out;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int extra = lead < 0x80 ? 0 : (lead >> 5) == 6 ? 1 : (lead >> 4) == 14 ? 2 : (lead >> 3) == 30 ? 3 : -1;
    if (extra < 0 || i + static_cast<size_t>(extra) >= text.size()) return std::nullopt;
    uint32_t point = extra == 0 ? lead : lead & (0x3fU >> extra);
    for (int k = 1; k <= extra; ++k) {
      const auto next = static_cast<unsigned char>(text[i + static_cast<size_t>(k)]);
      if ((next >> 6) != 2) return std::nullopt;
      point = point << 6 | (next & 0x3fU);
    }
    constexpr std::array<uint32_t, 4> kLeast = {0, 0x80, 0x800, 0x10000};
    const bool surrogate = point >= 0xd800 && point < 0xe000;
    if (point < kLeast[static_cast<size_t>(extra)] || surrogate || point > 0x10ffff) return std::nullopt;
    out.push_back(point);
    i += static_cast<size_t>(extra) + 1;
  }
  return out;
}

Comparison text_tensors(const Tensor& got, const Tensor& baseline) {
  std::array<std::vector<int64_t>, 2> ids;
  for (size_t side = 0; side < 2; ++side) {
    const Tensor& t = side == 0 ? got : baseline;
    ids[side].resize(static_cast<size_t>(t.count()));
    for (size_t i = 0; i < ids[side].size(); ++i) ids[side][i] = get_int(t, static_cast<int64_t>(i));
  }
  return compare_tokens(ids[0], ids[1]);
}

}  // namespace

std::string_view name(Verdict v) {
  constexpr std::array<std::string_view, 4> kNames = {"PASS", "SKIP", "UNVERIFIED", "FAIL"};
  return kNames[static_cast<size_t>(v)];
}

Verdict worst(Verdict a, Verdict b) { return std::max(a, b); }

std::string_view name(GateKind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"general", "image", "mask", "text"};
  return kNames[static_cast<size_t>(kind)];
}

Result<GateKind> parse_gate_kind(std::string_view text) {
  for (const GateKind k : {GateKind::general, GateKind::image, GateKind::mask, GateKind::text}) {
    if (text == name(k)) return k;
  }
  return Diag(diag::usage, fmt::format("\"{}\" is no gate", text), "use general, image, mask or text");
}

Comparison compare(const Tensor& got, const Tensor& baseline, const Gate& gate) {
  const Class kind = class_of(baseline.dtype);
  if (class_of(got.dtype) != kind) {
    return verdict(Verdict::fail,
                   fmt::format("the result is {}, the baseline {}", name(got.dtype), name(baseline.dtype)));
  }
  if (gate.kind == GateKind::text) {
    if (kind != Class::integer) {
      return verdict(Verdict::fail,
                     fmt::format("the text gate compares token ids or bytes, not {}", name(baseline.dtype)));
    }
    return text_tensors(got, baseline);
  }
  if (got.shape != baseline.shape) {
    return verdict(Verdict::fail, fmt::format("the result's shape is {}, the baseline's {}", to_string(got.shape),
                                              to_string(baseline.shape)));
  }
  if (got.count() == 0) return verdict(Verdict::unverified, "the output holds no elements, which proves nothing");
  if (gate.kind != GateKind::mask && kind != Class::real) return exact(got, baseline);
  const std::vector<double> a = doubles(got), b = doubles(baseline);
  switch (gate.kind) {
    case GateKind::image:
      return image(a, b, gate);
    case GateKind::mask:
      return mask(a, b, gate);
    default:
      return general(a, b, gate);
  }
}

bool worse(const Comparison& a, const Comparison& b) {
  if (a.verdict != b.verdict) return a.verdict > b.verdict;
  if (std::isnan(a.max_diff) != std::isnan(b.max_diff)) return std::isnan(a.max_diff);
  if (a.mse != b.mse) return a.mse > b.mse;
  if (a.iou != b.iou) return a.iou < b.iou;
  if (a.match != b.match) return a.match < b.match;
  return a.max_diff > b.max_diff;
}

Comparison worst_of(size_t got, size_t wanted, const std::function<Comparison(size_t)>& one) {
  if (got != wanted) return verdict(Verdict::fail, fmt::format("{} outputs, the baseline has {}", got, wanted));
  if (got == 0) return verdict(Verdict::unverified, "there are no outputs to compare");
  std::optional<Comparison> result;
  for (size_t i = 0; i < got; ++i) {
    Comparison c = one(i);
    if (!c.reason.empty() && got > 1) c.reason = fmt::format("output {}: {}", i, c.reason);
    if (!result || worse(c, *result)) result = std::move(c);
  }
  return *std::move(result);
}

Comparison compare_all(std::span<const Tensor> got, std::span<const Tensor> baseline, const Gate& gate) {
  return worst_of(got.size(), baseline.size(), [&](size_t i) { return compare(got[i], baseline[i], gate); });
}

Comparison compare_tokens(std::span<const int64_t> got, std::span<const int64_t> baseline) {
  Comparison c;
  c.match = match_ratio(got, baseline);
  const int64_t at = first_difference(got, baseline);
  if (at < 0) return c;
  c.verdict = Verdict::fail;
  c.worst_index = at;
  const auto token = [&](std::span<const int64_t> side) {
    return static_cast<size_t>(at) < side.size() ? fmt::to_string(side[static_cast<size_t>(at)])
                                                 : std::string("the end");
  };
  c.reason = fmt::format("token {} is {}, the baseline has {} ({} and {} tokens, {:.1f} % match)", at, token(got),
                         token(baseline), got.size(), baseline.size(), 100 * c.match);
  return c;
}

Comparison compare_text(std::string_view got, std::string_view baseline) {
  const auto a = decode_utf8(got), b = decode_utf8(baseline);
  if (!a || !b) return verdict(Verdict::fail, fmt::format("{} is not UTF-8", a ? "the baseline" : "the result"));
  Comparison c;
  c.match = match_ratio<uint32_t>(*a, *b);
  const int64_t at = first_difference<uint32_t>(*a, *b);
  if (at < 0) return c;
  c.verdict = Verdict::fail;
  c.worst_index = at;
  c.reason = fmt::format("the texts differ from character {} on ({} and {} characters, {:.1f} % match)", at, a->size(),
                         b->size(), 100 * c.match);
  return c;
}

}  // namespace npuport
