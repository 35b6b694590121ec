// Normalisations as means, squares and products.
#include <algorithm>
#include <numeric>

#include "passes/lower.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

Ints last_axes(size_t rank, int64_t n) {
  Ints axes(static_cast<size_t>(n));
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(rank) - n);
  return axes;
}

ValueId mean(Builder& b, ValueId x, const Ints& axes) {
  return b.op("reduce_mean", {x}, {{"axes", axes}, {"keepdims", true}});
}

// (x - mean) / sqrt(var + eps) over `axes`.
ValueId normalised(Builder& b, ValueId x, const Ints& axes, double eps) {
  const ValueId centred = b.sub(x, mean(b, x, axes));
  const ValueId var = mean(b, b.mul(centred, centred), axes);
  return b.mul(centred, b.op("rsqrt", {b.add(var, b.scalar(eps, b.dtype(x)))}));
}

ValueId affine(Builder& b, ValueId y, ValueId weight, ValueId bias) {
  if (weight.valid()) y = b.mul(y, weight);
  return bias.valid() ? b.add(y, bias) : y;
}

std::vector<ValueId> build_layer_norm(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const Ints axes = last_axes(b.shape(x).size(), std::get<int64_t>(m.attr("n")));
  return {affine(b, normalised(b, x, axes, std::get<double>(m.attr("e"))), m.value("w.opt"), m.value("b.opt"))};
}

std::vector<ValueId> build_rms_norm(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const Ints axes = last_axes(b.shape(x).size(), std::get<int64_t>(m.attr("n")));
  const ValueId power = mean(b, b.mul(x, x), axes);
  const ValueId scale = b.op("rsqrt", {b.add(power, b.scalar(std::get<double>(m.attr("e")), b.dtype(x)))});
  return {affine(b, b.mul(x, scale), m.value("w.opt"), {})};
}

// A vector along dim `axis` of a value of rank `rank`.
ValueId along(Builder& b, ValueId v, int64_t axis, size_t rank) {
  if (!v.valid()) return v;
  Shape s(rank - static_cast<size_t>(axis), 1);
  s[0] = element_count(b.shape(v));
  return b.reshape(v, std::move(s));
}

std::vector<ValueId> grouped(Builder& b, const Match& m, int64_t groups) {
  const ValueId x = m.value("x");
  const Shape shape = b.shape(x);
  const auto rank = static_cast<int64_t>(shape.size());
  int64_t axis = std::get<int64_t>(m.attr("a"));
  if (axis < 0) axis += rank;
  const int64_t channels = shape[static_cast<size_t>(axis)];
  const int64_t outer = element_count(std::span(shape).subspan(1, static_cast<size_t>(axis) - 1));
  const int64_t inner = element_count(std::span(shape).subspan(static_cast<size_t>(axis) + 1));
  const double eps = std::get<double>(m.attr("e"));
  ValueId y;
  if (groups == channels) {
    Ints axes;
    for (int64_t d = 1; d < rank; ++d)
      if (d != axis) axes.push_back(d);
    y = normalised(b, x, axes, eps);
  } else {
    // [N, before, groups, channels of a group * after]: one mean over two dims, rank 4 at most.
    const ValueId folded = b.reshape(x, {shape[0], outer, groups, channels / groups * inner});
    y = b.reshape(normalised(b, folded, outer == 1 ? Ints{3} : Ints{1, 3}, eps), shape);
  }
  return {affine(b, y, along(b, m.value("w.opt"), axis, shape.size()), along(b, m.value("b.opt"), axis, shape.size()))};
}

Reason has_elements(const Graph& g, const Match& m) {
  return element_count(g.shape(m.value("x"))) > 0 ? Reason() : Reason("the input is empty");
}

std::vector<ValueId> build_group_norm(Builder& b, const Match& m) {
  return grouped(b, m, std::get<int64_t>(m.attr("g")));
}
std::vector<ValueId> build_instance_norm(Builder& b, const Match& m) {
  const Shape& s = b.shape(m.value("x"));
  int64_t axis = std::get<int64_t>(m.attr("a"));
  if (axis < 0) axis += static_cast<int64_t>(s.size());
  return grouped(b, m, s[static_cast<size_t>(axis)]);
}

constexpr Rewrite kRows[] = {
    {.name = "layer_norm_as_means",
     .doc = "(x - mean(x)) * rsqrt(mean((x - mean(x))^2) + eps) * weight + bias: the definition.",
     .match = "%y = layer_norm(%x, %w.opt, %b.opt, normalized_rank=$n, eps=$e)",
     .check = has_elements,
     .build = build_layer_norm},
    {.name = "rms_norm_as_means",
     .doc = "x * rsqrt(mean(x^2) + eps) * weight: the definition.",
     .match = "%y = rms_norm(%x, %w.opt, normalized_rank=$n, eps=$e)",
     .check = has_elements,
     .build = build_rms_norm},
    {.name = "group_norm_as_means",
     .doc = "The definition, over the input folded to [N, before, groups, rest].",
     .match = "%y = group_norm(%x, %w.opt, %b.opt, groups=$g, eps=$e, axis=$a)",
     .check = has_elements,
     .build = build_group_norm},
    {.name = "instance_norm_as_means",
     .doc = "The definition: statistics over the spatial dims of each channel.",
     .match = "%y = instance_norm(%x, %w.opt, %b.opt, eps=$e, axis=$a)",
     .check = has_elements,
     .build = build_instance_norm},
};

}  // namespace

std::span<const Rewrite> lower_norm_rows() { return kRows; }

}  // namespace npuport
