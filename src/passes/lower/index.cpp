// Gathers by constant indices as slices, and what else picks elements.
#include <algorithm>

#include "passes/lower.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;
constexpr int64_t kMostParts = 16;

struct Gathering {
  int64_t axis = 0;
  Ints indices;  // normalised
};

std::optional<Gathering> gathering(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const Tensor& t = *g.value(m.value("I")).constant;
  Gathering k;
  k.axis = std::get<int64_t>(m.attr("a"));
  if (k.axis < 0) k.axis += static_cast<int64_t>(x.size());
  const int64_t size = x[static_cast<size_t>(k.axis)];
  for (int64_t i = 0; i < t.count(); ++i) {
    int64_t v = get_int(t, i);
    if (v < 0) v += size;
    if (v < 0 || v >= size) return std::nullopt;
    k.indices.push_back(v);
  }
  return k;
}

// Runs of indices with a common positive step: (start, end, step).
struct Run {
  int64_t start, end, step;
};
std::vector<Run> runs_of(const Ints& v) {
  std::vector<Run> out;
  for (size_t i = 0; i < v.size();) {
    size_t n = 1;
    const int64_t step = i + 1 < v.size() ? v[i + 1] - v[i] : 1;
    while (step > 0 && i + n < v.size() && v[i + n] - v[i + n - 1] == step) ++n;
    out.push_back({v[i], v[i + n - 1] + 1, n > 1 ? step : 1});
    i += n;
  }
  return out;
}

Reason few_runs(const Graph& g, const Match& m) {
  const auto k = gathering(g, m);
  if (!k) return "an index is out of range";
  if (k->indices.empty()) return "it gathers nothing";
  return static_cast<int64_t>(runs_of(k->indices).size()) <= kMostParts ? Reason()
                                                                        : Reason("the indices fall into too many runs");
}

std::vector<ValueId> build_slices(Builder& b, const Match& m) {
  const Gathering k = *gathering(b.graph(), m);
  std::vector<ValueId> parts;
  for (const Run& r : runs_of(k.indices))
    parts.push_back(
        b.op("slice", {m.value("x")},
             {{"starts", Ints{r.start}}, {"ends", Ints{r.end}}, {"axes", Ints{k.axis}}, {"steps", Ints{r.step}}}));
  const ValueId joined = parts.size() == 1 ? parts[0] : b.op("concat", parts, {{"axis", k.axis}});
  return {b.reshape(joined, b.shape(m.value("y")))};
}

constexpr int64_t kMostSelected = 1024;  // longest axis a 0/1 matrix is made for

Reason matrix_fits(const Graph& g, const Match& m) {
  const auto k = gathering(g, m);
  if (!k) return "an index is out of range";
  const Shape& x = g.shape(m.value("x"));
  if (g.type(m.value("x")).dtype != DType::f32) return "it gathers no float32 values";
  if (k->axis != static_cast<int64_t>(x.size()) - 1) return "it does not gather along the last dim";
  return x.back() <= kMostSelected ? Reason() : Reason("the axis is too long");
}
std::vector<ValueId> build_matrix(Builder& b, const Match& m) {
  const Gathering k = *gathering(b.graph(), m);
  const int64_t width = b.shape(m.value("x")).back();
  Tensor pick = Tensor::zeros(DType::f32, {static_cast<int64_t>(k.indices.size()), width});
  for (size_t i = 0; i < k.indices.size(); ++i)
    pick.mut<float>()[i * static_cast<size_t>(width) + static_cast<size_t>(k.indices[i])] = 1;
  return {b.reshape(b.op("linear", {m.value("x"), b.constant(std::move(pick))}), b.shape(m.value("y")))};
}

std::vector<ValueId> build_flip(Builder& b, const Match& m) {
  ValueId v = m.value("x");
  const Shape x = b.shape(v);
  for (int64_t axis : std::get<Ints>(m.attr("a"))) {
    if (axis < 0) axis += static_cast<int64_t>(x.size());
    std::vector<ValueId> parts;
    for (int64_t i = x[static_cast<size_t>(axis)]; i-- > 0;)
      parts.push_back(
          b.op("slice", {v}, {{"starts", Ints{i}}, {"ends", Ints{i + 1}}, {"axes", Ints{axis}}, {"steps", Ints{1}}}));
    if (parts.size() > 1) v = b.op("concat", parts, {{"axis", axis}});
  }
  return {v};
}
Reason short_axes(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  for (const int64_t a : std::get<Ints>(m.attr("a")))
    if (x[static_cast<size_t>(a < 0 ? a + static_cast<int64_t>(x.size()) : a)] > kMostParts)
      return "an axis is too long";
  return element_count(x) > 0 ? Reason() : Reason("it is empty");
}

// Along the last dim: y = x·U with U upper triangular ones.
Reason running_sum_fits(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const int64_t axis = std::get<int64_t>(m.attr("a"));
  if (g.type(m.value("x")).dtype != DType::f32) return "it is no float32";
  if (x.empty() || (axis != -1 && axis != static_cast<int64_t>(x.size()) - 1))
    return "it does not run along the last dim";
  return x.back() <= kMostSelected ? Reason() : Reason("the axis is too long");
}
std::vector<ValueId> build_running_sum(Builder& b, const Match& m) {
  const int64_t n = b.shape(m.value("x")).back();
  Tensor ones = Tensor::zeros(DType::f32, {n, n});
  for (int64_t o = 0; o < n; ++o)
    for (int64_t i = 0; i <= o; ++i) ones.mut<float>()[static_cast<size_t>(o * n + i)] = 1;
  return {b.op("linear", {m.value("x"), b.constant(std::move(ones))})};
}

// A sort is the search for all elements in order.
std::vector<ValueId> build_sort(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const Shape& s = b.shape(x);
  int64_t axis = std::get<int64_t>(m.attr("a"));
  if (axis < 0) axis += static_cast<int64_t>(s.size());
  return b.ops("topk", {x}, {{"k", s[static_cast<size_t>(axis)]}, {"axis", axis}, {"largest", m.attr("d")}});
}
Reason has_axis(const Graph& g, const Match& m) {
  return g.shape(m.value("x")).empty() ? Reason("it is a single number") : Reason();
}
// The smallest are the largest of -x.
std::vector<ValueId> build_smallest(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const ValueId minus = b.scalar(-1, b.dtype(x));
  std::vector<ValueId> out = b.ops("topk", {b.mul(x, minus)}, {{"k", m.attr("k")}, {"axis", m.attr("a")}});
  if (out.size() == 2) out[0] = b.mul(out[0], minus);
  return out;
}
// Along another axis: that axis goes last and back.
std::vector<ValueId> build_last_topk(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const auto rank = static_cast<int64_t>(b.shape(x).size());
  int64_t axis = std::get<int64_t>(m.attr("a"));
  if (axis < 0) axis += rank;
  Ints perm;
  for (int64_t d = 0; d < rank; ++d) perm.push_back(d);
  std::swap(perm[static_cast<size_t>(axis)], perm.back());
  std::vector<ValueId> out =
      b.ops("topk", {b.transpose(x, perm)}, {{"k", m.attr("k")}, {"axis", -1}, {"largest", m.attr("l")}});
  for (ValueId& v : out) v = b.transpose(v, perm);
  return out;
}
Reason other_axis(const Graph& g, const Match& m) {
  const auto rank = static_cast<int64_t>(g.shape(m.value("x")).size());
  const int64_t axis = std::get<int64_t>(m.attr("a"));
  return rank > 0 && axis != -1 && axis != rank - 1 ? Reason() : Reason("it is the last axis already");
}

constexpr Rewrite kRows[] = {
    {.name = "gather_as_slices",
     .doc = "Gathering constant indices is slicing their runs and joining the pieces.",
     .match = "%y = gather(%x, %I, axis=$a)",
     .check = few_runs,
     .build = build_slices},
    {.name = "gather_as_linear",
     .doc = "Each result is a sum with one factor 1 and all others 0, exact for finite values.",
     .match = "%y = gather(%x, %I, axis=$a)",
     .numerics = Numerics::exact_on_domain,
     .check = matrix_fits,
     .build = build_matrix},
    {.name = "flip_as_slices",
     .doc = "The elements one by one in reverse order.",
     .match = "%y = flip(%x, axes=$a)",
     .check = short_axes,
     .build = build_flip},
    {.name = "cumsum_as_linear",
     .doc = "Result k is the sum of the elements up to k: a product with a triangle of ones.",
     .match = "%y = cumsum(%x, axis=$a)",
     .check = running_sum_fits,
     .build = build_running_sum},
    {.name = "sort_as_topk",
     .doc = "Sorting is finding all elements in order.",
     .match = "%y.all = sort(%x, axis=$a, descending=$d, rest=$r)",
     .check = has_axis,
     .build = build_sort},
    {.name = "smallest_as_largest",
     .doc = "x < y exactly when -x > -y.",
     .match = "%y.all = topk(%x, k=$k, axis=$a, largest=false, rest=$r)",
     .build = build_smallest},
    {.name = "topk_on_last_axis",
     .doc = "Moving the searched axis does not change what is found along it.",
     .match = "%y.all = topk(%x, k=$k, axis=$a, largest=$l, rest=$r)",
     .check = other_axis,
     .build = build_last_topk},
};

}  // namespace

std::span<const Rewrite> lower_index_rows() { return kRows; }

}  // namespace npuport
