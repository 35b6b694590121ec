#include "passes/domain.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace npuport {
namespace {

constexpr const char* kRangesKey = "npuport.ranges";
constexpr int64_t kScanned = int64_t{1} << 24;

std::optional<ValueRange> of_constant(const Tensor& t) {
  const int64_t n = t.count();
  if (n == 0 || n > kScanned || bits(t.dtype) < 8) return std::nullopt;
  ValueRange r{get_double(t, 0), get_double(t, 0), true};
  for (int64_t i = 0; i < n; ++i) {
    const double v = get_double(t, i);
    if (std::isnan(v)) return std::nullopt;
    r.low = std::min(r.low, v);
    r.high = std::max(r.high, v);
    r.integers = r.integers && v == std::floor(v) && std::isfinite(v);
  }
  return r;
}

ValueRange of_products(const ValueRange& a, const ValueRange& b) {
  const double p[] = {a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high};
  return {*std::min_element(p, p + 4), *std::max_element(p, p + 4), a.integers && b.integers};
}

}  // namespace

std::optional<ValueRange> Domains::of(ValueId v, int depth) const {
  if (!v.valid() || depth == 0) return std::nullopt;
  const Value& value = g_.value(v);
  std::optional<ValueRange> r;
  if (value.constant) {
    r = of_constant(*value.constant);
  } else if (value.producer.valid()) {
    r = of_node(g_.node(value.producer), value.slot, depth - 1);
  } else if (const auto it = ranges_.find(value.name); it != ranges_.end()) {
    r = it->second;
  }
  const DType t = value.type.dtype;
  if (r && !is_float(t)) r->integers = true;
  if (r) return r;
  if (t == DType::boolean) return ValueRange{0, 1, true};
  if (t == DType::i8) return ValueRange{-128, 127, true};
  if (t == DType::u8) return ValueRange{0, 255, true};
  if (t == DType::i16) return ValueRange{-32768, 32767, true};
  if (t == DType::i32) return ValueRange{-2147483648.0, 2147483647.0, true};
  return std::nullopt;
}

std::optional<ValueRange> Domains::of_node(const Node& n, uint32_t slot, int depth) const {
  const std::string_view op = n.op->name;
  const auto in = [&](size_t i) { return i < n.inputs.size() ? of(n.inputs[i], depth) : std::nullopt; };
  for (const std::string_view moves : {"reshape", "transpose", "slice", "split", "expand", "tile", "flip",
                                       "depth_to_space", "space_to_depth", "max_pool2d", "reduce_max", "reduce_min"})
    if (op == moves && slot == 0) return in(0);
  for (const std::string_view picks : {"gather", "gather_elements", "gather_nd", "embedding"})
    if (op == picks) return in(0);
  const auto hull = [&](size_t first) -> std::optional<ValueRange> {
    std::optional<ValueRange> r = in(first);
    for (size_t i = first + 1; r && i < n.inputs.size(); ++i) {
      const auto o = in(i);
      if (!o) return std::nullopt;
      r = ValueRange{std::min(r->low, o->low), std::max(r->high, o->high), r->integers && o->integers};
    }
    return r;
  };
  if (op == "concat") return hull(0);
  if (op == "where") return hull(1);
  const auto a = in(0);
  if (op == "cast") {
    const DType to = n.attr().dtype("to");
    if (!a) return std::nullopt;
    if (to == DType::boolean) return ValueRange{0, 1, true};
    if (is_float(to)) return a;
    return ValueRange{std::trunc(a->low), std::trunc(a->high), true};
  }
  if (op == "arg_max" || op == "arg_min") {
    const Shape& s = g_.shape(n.inputs[0]);
    const auto rank = static_cast<int64_t>(s.size());
    const int64_t axis = n.attr().i("axis");
    return ValueRange{0, static_cast<double>(s[static_cast<size_t>(axis < 0 ? axis + rank : axis)] - 1), true};
  }
  if (op == "relu" && a) return ValueRange{std::max(a->low, 0.0), std::max(a->high, 0.0), a->integers};
  if (op == "relu") return std::nullopt;
  if (op == "sigmoid" || op == "softmax") return ValueRange{0, 1, false};
  if (op == "tanh") return ValueRange{-1, 1, false};
  if (op == "clamp") {
    const double low = n.attr().f("min"), high = n.attr().f("max");
    const bool whole = a && a->integers && (low == std::floor(low)) && (high == std::floor(high));
    if (a) return ValueRange{std::clamp(a->low, low, high), std::clamp(a->high, low, high), whole};
    return std::isfinite(low) && std::isfinite(high) ? std::optional(ValueRange{low, high, false}) : std::nullopt;
  }
  if (!a) return std::nullopt;
  if (op == "neg") return ValueRange{-a->high, -a->low, a->integers};
  if (op == "abs")
    return ValueRange{a->low > 0    ? a->low
                      : a->high < 0 ? -a->high
                                    : 0.0,
                      std::max(std::abs(a->low), std::abs(a->high)), a->integers};
  if (op == "floor" || op == "ceil" || op == "round" || op == "trunc")
    return ValueRange{std::floor(a->low), std::ceil(a->high), true};
  if (op == "cumsum") {
    const double count = static_cast<double>(element_count(g_.shape(n.inputs[0])));
    return ValueRange{std::min(a->low * count, a->low), std::max(a->high * count, a->high), a->integers};
  }
  if (op == "reduce_sum") {
    const double count = static_cast<double>(element_count(g_.shape(n.inputs[0]))) /
                         std::max(1.0, static_cast<double>(element_count(g_.shape(n.outputs[0]))));
    return ValueRange{a->low * count, a->high * count, a->integers};
  }
  const auto b = in(1);
  if (!b) return std::nullopt;
  const bool whole = a->integers && b->integers;
  if (op == "add") return ValueRange{a->low + b->low, a->high + b->high, whole};
  if (op == "sub") return ValueRange{a->low - b->high, a->high - b->low, whole};
  if (op == "mul") return of_products(*a, *b);
  if (op == "maximum") return ValueRange{std::max(a->low, b->low), std::max(a->high, b->high), whole};
  if (op == "minimum") return ValueRange{std::min(a->low, b->low), std::min(a->high, b->high), whole};
  if ((op == "floor_div" || op == "trunc_div") && whole && (b->low > 0 || b->high < 0)) {
    const double m = std::max(std::abs(a->low), std::abs(a->high));
    return ValueRange{a->low >= 0 && b->low > 0 ? 0 : -m - 1, m + 1, true};
  }
  if (op == "mod" && whole && b->low > 0) return ValueRange{0, b->high - 1, true};
  return std::nullopt;
}

void set_declared_ranges(Graph& g, const std::map<std::string, ValueRange>& ranges) {
  if (ranges.empty()) {
    g.metadata.erase(kRangesKey);
    return;
  }
  Json j = Json::object();
  for (const auto& [name, r] : ranges) j[name] = Json{r.low, r.high, r.integers};
  g.metadata[kRangesKey] = dump_json(j, -1);
}

std::map<std::string, ValueRange> declared_ranges(const Graph& g) {
  std::map<std::string, ValueRange> out;
  const auto it = g.metadata.find(kRangesKey);
  if (it == g.metadata.end()) return out;
  const Result<Json> j = parse_json(it->second);
  if (!j || !j->is_object()) return out;
  for (const auto& [name, r] : j->items())
    if (r.is_array() && r.size() == 3 && r[0].is_number() && r[1].is_number() && r[2].is_boolean())
      out[name] = {r[0].get<double>(), r[1].get<double>(), r[2].get<bool>()};
  return out;
}

}  // namespace npuport
