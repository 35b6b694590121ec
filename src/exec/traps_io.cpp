// Traps seen at the model's borders: a bias of the output, padding that no mask hides.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "exec/executor.h"
#include "exec/traps.h"

namespace npuport::detail {

namespace {

// ---- a bias of the output ------------------------------------------------------------------------------------------

// Differences of one output over all samples, sorted by their place along one axis.
struct ByPlace {
  std::vector<double> sum, low, high;
  std::vector<int64_t> count;
  double magnitude = 0;  // largest |expected|
  bool finite = true;

  explicit ByPlace(size_t places) : sum(places), low(places), high(places), count(places) {}
  void add(size_t place, double got, double expected) {
    const double d = got - expected;
    if (!std::isfinite(d)) {
      finite = false;
      return;
    }
    magnitude = std::max(magnitude, std::abs(expected));
    low[place] = count[place] == 0 ? d : std::min(low[place], d);
    high[place] = count[place] == 0 ? d : std::max(high[place], d);
    sum[place] += d;
    ++count[place];
  }
  double mean(size_t place) const { return count[place] == 0 ? 0 : sum[place] / static_cast<double>(count[place]); }
  // The same in every row: and there is more than one row to tell it from an accident.
  bool is_bias() const {
    double largest = 0, spread = 0;
    int64_t rows = 0;
    for (size_t i = 0; i < sum.size(); ++i) {
      largest = std::max(largest, std::abs(mean(i)));
      spread = std::max(spread, high[i] - low[i]);
      rows = std::max(rows, count[i]);
    }
    return finite && rows >= 3 && largest > 0 && spread <= 2e-3 * largest + 1e-5 * magnitude && spread < 0.1 * largest;
  }
};

ByPlace differences(const TrapContext& c, size_t output, const Shape& shape, size_t axis) {
  int64_t inner = 1;
  for (size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
  ByPlace out(static_cast<size_t>(shape[axis]));
  for (const size_t k : c.failing) {
    const Baseline& b = c.question.samples[k].expected[output];
    const Tensor& got = c.got[k][output];
    for (int64_t i = 0; i < b.values.count(); ++i) {
      const int64_t at = b.index ? get_int(*b.index, i) : i;
      out.add(static_cast<size_t>(at / inner % shape[axis]), get_double(got, at), get_double(b.values, i));
    }
  }
  return out;
}

bool comparable(const TrapContext& c, size_t output) {
  return std::all_of(c.failing.begin(), c.failing.end(), [&](size_t k) {
    const TrapSample& s = c.question.samples[k];
    return output < s.expected.size() && output < c.got[k].size() && is_float(c.got[k][output].dtype) &&
           is_float(s.expected[output].values.dtype) && s.expected[output].shape == c.got[k][output].shape;
  });
}

TrapFinding bias_finding(const TrapContext& c, size_t output, size_t axis, const ByPlace& d) {
  const Graph& g = c.question.candidate;
  const std::string& name = g.value(g.outputs()[output]).name;
  const auto places = static_cast<int64_t>(d.sum.size());
  std::vector<float> means, zeros(d.sum.size());
  for (size_t i = 0; i < d.sum.size(); ++i) means.push_back(static_cast<float>(d.mean(i)));
  const auto known = match_constant(Tensor::of<float>({places}, std::span<const float>(means)),
                                    Tensor::of<float>({places}, std::span<const float>(zeros)), c.graphs());
  TrapFinding f;
  f.lesson = &lesson("NPU-H02");
  f.sentence = fmt::format(
      "output {} is off by the same amounts in every row of {}, one for each place of axis {} (first {:.4g}): ", name,
      c.failing.size() == 1 ? "the sample" : fmt::format("{} samples", c.failing.size()), axis, means[0]);
  if (known) {
    f.tensor = known->name;
    f.sentence += known->sentence();
  } else {
    f.sentence += "a bias is missing or another one is used (in Marian final_logits_bias)";
  }
  return f;
}

}  // namespace

Result<std::optional<TrapFinding>> find_output_bias(const TrapContext& c) {
  for (size_t k = 0; k < c.question.candidate.outputs().size(); ++k) {
    if (!comparable(c, k)) continue;
    const Shape& shape = c.got[c.failing.front()][k].shape;
    if (shape.size() < 2) continue;
    for (const size_t axis : {shape.size() - 1, size_t{1}}) {
      if (shape[axis] < 1) continue;
      const ByPlace d = differences(c, k, shape, axis);
      if (d.is_bias()) return std::optional(bias_finding(c, k, axis, d));
    }
  }
  return std::optional<TrapFinding>();
}

// ---- padding that no mask hides
// --------------------------------------------------------------------------------------

namespace {

// Positions of one sample that do not count, and what says so.
struct Padding {
  std::string by;  // name of the mask, or of the input that ends in one repeated value
  std::vector<bool> hidden;
  int64_t length() const { return static_cast<int64_t>(hidden.size()); }
  bool any() const { return std::find(hidden.begin(), hidden.end(), true) != hidden.end(); }
  // At one end: what stands between is chosen by other reasons than length.
  bool at_one_end() const {
    const auto edges = std::count_if(hidden.begin() + 1, hidden.end(), [&, before = hidden.front()](bool h) mutable {
      return std::exchange(before, h) != h;
    });
    return edges == 1;
  }
  bool all() const { return std::find(hidden.begin(), hidden.end(), false) == hidden.end(); }
  std::string positions() const {
    const auto first = std::find(hidden.begin(), hidden.end(), true) - hidden.begin();
    return fmt::format("{} of {} positions, the first at {}", std::count(hidden.begin(), hidden.end(), true), length(),
                       first);
  }
};

bool named_mask(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char ch) { return std::tolower(ch); });
  return lower.find("mask") != std::string::npos;
}

// Two values, one of them 0: a mask of attention, not a picture of that name.
bool two_values(const Tensor& mask) {
  double other = 0;
  for (int64_t i = 0; i < mask.count(); ++i) {
    const double v = get_double(mask, i);
    if (v == 0 || v == other) continue;
    if (other != 0) return false;
    other = v;
  }
  return other == 1 || other <= -1e3;
}

// What a mask hides in all of its rows: 0 among 0 and 1, or a large negative term. In masks that speak of padding
// themselves 1 hides.
Padding hidden_by(const std::string& name, const Tensor& mask) {
  Padding p{name, std::vector<bool>(static_cast<size_t>(mask.shape.back()), true)};
  const bool inverted = name.find("padding") != std::string::npos;
  double low = 0;
  for (int64_t i = 0; i < mask.count(); ++i) low = std::min(low, get_double(mask, i));
  for (int64_t i = 0; i < mask.count(); ++i) {
    const double v = get_double(mask, i);
    const bool hides = low < 0 ? v <= -1e3 : inverted ? v != 0 : v == 0;
    if (!hides) p.hidden[static_cast<size_t>(i % mask.shape.back())] = false;
  }
  return p;
}

// Without a mask: a tail of equal ids.
Padding tail_of(const std::string& name, const Tensor& ids) {
  Padding p{name, std::vector<bool>(static_cast<size_t>(ids.shape.back()), false)};
  const int64_t n = ids.shape.back();
  int64_t first = n - 1;
  while (first > 0 && get_int(ids, first - 1) == get_int(ids, n - 1)) --first;
  if (n - first >= 2)
    for (int64_t i = first; i < n; ++i) p.hidden[static_cast<size_t>(i)] = true;
  return p;
}

// The axis of positions: the first of the padding's length behind the batch.
std::optional<size_t> position_axis(const Shape& shape, int64_t length) {
  for (size_t d = shape.size() > 1 ? 1 : 0; d < shape.size(); ++d)
    if (shape[d] == length) return d;
  return std::nullopt;
}

int64_t place_along(const Shape& shape, size_t axis, int64_t at) {
  int64_t inner = 1;
  for (size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
  return at / inner % shape[axis];
}

// Other values where they are hidden: numbers far from what was there, ids that occur elsewhere in the input.
std::optional<Tensor> disturbed(const Tensor& t, const Padding& p) {
  const std::optional<size_t> axis = position_axis(t.shape, p.length());
  if (!axis) return std::nullopt;
  if (t.bytes() == 0) return std::nullopt;
  Tensor out = Tensor::zeros(t.dtype, t.shape);  // tensors share their memory: a copy of its own
  std::memcpy(out.mutable_data(), t.data, static_cast<size_t>(t.bytes()));
  bool changed = false;
  for (int64_t i = 0; i < t.count(); ++i) {
    const auto at = static_cast<size_t>(place_along(t.shape, *axis, i));
    if (!p.hidden[at]) continue;
    if (t.dtype == DType::f32) {
      out.mut<float>()[static_cast<size_t>(i)] += 1.0F + 0.25F * static_cast<float>(i % 7);
      changed = true;
    } else if (t.dtype == DType::i64 || t.dtype == DType::i32) {
      for (int64_t k = 0; k < t.count(); ++k) {
        const int64_t id = get_int(t, k);
        if (id == get_int(t, i) || p.hidden[static_cast<size_t>(place_along(t.shape, *axis, k))]) continue;
        if (t.dtype == DType::i64)
          out.mut<int64_t>()[static_cast<size_t>(i)] = id;
        else
          out.mut<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(id);
        changed = true;
        break;
      }
    }
  }
  if (!changed) return std::nullopt;
  return out;
}

// Whether two results differ where the padding does not hide them.
bool differ(const std::vector<Tensor>& a, const std::vector<Tensor>& b, const Padding& p) {
  for (size_t k = 0; k < a.size(); ++k) {
    if (!is_float(a[k].dtype)) continue;
    const std::optional<size_t> axis = position_axis(a[k].shape, p.length());
    double largest = 0, magnitude = 0;
    for (int64_t i = 0; i < a[k].count(); ++i) {
      if (axis && p.hidden[static_cast<size_t>(place_along(a[k].shape, *axis, i))]) continue;
      magnitude = std::max(magnitude, std::abs(get_double(a[k], i)));
      largest = std::max(largest, std::abs(get_double(a[k], i) - get_double(b[k], i)));
    }
    if (!(largest <= 1e-4 * magnitude)) return true;
  }
  return false;
}

// The first input whose hidden values reach the outputs; −1: none does.
Result<int> leaking_input(const TrapContext& c, const Graph& g, size_t sample, const Padding& p,
                          const std::vector<Tensor>& before) {
  const TrapSample& s = c.question.samples[sample];
  ExecOptions exec;
  exec.threads = c.question.threads;
  NPU_ASSIGN(Executor executor, Executor::create(g, exec));
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    if (named_mask(g.value(g.inputs()[i]).name)) continue;
    std::optional<Tensor> other = disturbed(s.inputs[i], p);
    if (!other) continue;
    std::vector<Tensor> inputs(s.inputs.begin(), s.inputs.end());
    inputs[i] = std::move(*other);
    ++c.runs;
    const Result<std::vector<Tensor>> after = executor.run(inputs);
    if (!after) continue;  // an id out of range, say: no evidence
    if (differ(before, *after, p)) return static_cast<int>(i);
  }
  return -1;
}

TrapFinding padding_finding(const TrapContext& c, const Padding& p, size_t input, std::string_view why) {
  const Graph& g = c.question.candidate;
  TrapFinding f;
  f.lesson = &lesson("NPU-H03");
  f.tensor = g.value(g.inputs()[input]).name;
  f.sentence = fmt::format("padding is not masked: values of {} that {} hides ({}) change the outputs{}", f.tensor,
                           p.by, p.positions(), why);
  return f;
}

// Masks among the inputs: what they hide must not matter, whatever else is wrong.
Result<std::optional<TrapFinding>> by_masks(const TrapContext& c) {
  const Graph& g = c.question.candidate;
  for (const size_t k : c.failing)
    for (size_t m = 0; m < g.inputs().size(); ++m) {
      const Value& mask = g.value(g.inputs()[m]);
      const Tensor& given = c.question.samples[k].inputs[m];
      if (!named_mask(mask.name) || given.shape.empty() || given.count() == 0 || !two_values(given)) continue;
      const Padding p = hidden_by(mask.name, given);
      if (!p.at_one_end()) continue;
      NPU_ASSIGN(const int leak, leaking_input(c, g, k, p, c.got[k]));
      if (leak < 0) continue;
      return std::optional(padding_finding(
          c, p, static_cast<size_t>(leak),
          mask.uses.empty() ? "; no operator reads " + mask.name : "; is it in the encoder and in cross attention?"));
    }
  return std::optional<TrapFinding>();
}

// No mask at all: named only where the samples without padding agree and all that fail have some.
Result<std::optional<TrapFinding>> by_tails(const TrapContext& c) {
  const Graph& g = c.question.candidate;
  for (size_t i = 0; i < g.inputs().size(); ++i) {
    const auto padding = [&](size_t k) -> std::optional<Padding> {
      const Tensor& t = c.question.samples[k].inputs[i];
      if ((t.dtype != DType::i64 && t.dtype != DType::i32) || t.shape.empty() || t.count() != t.shape.back() ||
          t.count() < 2)
        return std::nullopt;
      return tail_of(g.value(g.inputs()[i]).name, t);
    };
    bool told = true, full = false;
    for (size_t k = 0; k < c.question.samples.size() && told; ++k) {
      const bool fails = std::find(c.failing.begin(), c.failing.end(), k) != c.failing.end();
      const std::optional<Padding> p = padding(k);
      told = p && (!fails || (p->any() && !p->all()));
      full = full || (told && !fails && !p->any());
    }
    if (!told || !full) continue;
    const size_t first = c.failing.front();
    NPU_ASSIGN(const int leak, leaking_input(c, g, first, *padding(first), c.got[first]));
    if (leak < 0) continue;
    return std::optional(padding_finding(c, *padding(first), static_cast<size_t>(leak),
                                         "; the model has no mask, and samples without padding agree"));
  }
  return std::optional<TrapFinding>();
}

}  // namespace

Result<std::optional<TrapFinding>> find_unmasked_padding(const TrapContext& c) {
  NPU_ASSIGN(std::optional<TrapFinding> found, by_masks(c));
  if (found) return found;
  return by_tails(c);
}

}  // namespace npuport::detail
