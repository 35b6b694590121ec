#include "exec/layout.h"

#include <algorithm>

namespace npuport {

namespace {

bool covers_densely(std::span<const int64_t> shape, std::span<const int64_t> strides) {
  std::vector<std::pair<int64_t, int64_t>> dims;  // stride, size
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) dims.emplace_back(strides[i], shape[i]);
  }
  std::sort(dims.begin(), dims.end());
  int64_t next = 1;
  for (const auto& [stride, size] : dims) {
    if (stride != next) return false;
    next *= size;
  }
  return true;
}

// Strides of the same memory seen in another shape, or nullopt when dimensions that are not contiguous would have to
// merge. Groups of old dimensions that follow each other without gaps are split into new ones.
std::optional<std::vector<int64_t>> reshaped(std::span<const int64_t> from, std::span<const int64_t> strides,
                                             std::span<const int64_t> to) {
  std::vector<int64_t> sizes, steps;  // old dimensions larger than 1
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == 1) continue;
    const bool merges = !sizes.empty() && steps.back() == strides[i] * from[i];
    if (merges) {
      sizes.back() *= from[i];
      steps.back() = strides[i];
    } else {
      sizes.push_back(from[i]);
      steps.push_back(strides[i]);
    }
  }
  std::vector<int64_t> out(to.size(), 0);
  size_t chunk = sizes.size();
  int64_t left = 1, step = 1;
  for (size_t i = to.size(); i-- > 0;) {
    if (to[i] == 1) continue;
    if (left == 1) {
      if (chunk == 0) return std::nullopt;
      --chunk;
      left = sizes[chunk];
      step = steps[chunk];
    }
    if (left % to[i] != 0) return std::nullopt;
    out[i] = step;
    step *= to[i];
    left /= to[i];
  }
  if (chunk != 0 || left != 1) return std::nullopt;
  return out;
}

std::optional<ViewOf> sliced(const Graph& g, const Node& n, std::vector<int64_t> strides) {
  const Shape& in = g.shape(n.inputs[0]);
  const AttrView attr = n.attr();
  const Ints &axes = attr.ints("axes"), &starts = attr.ints("starts"), &steps = attr.ints("steps");
  int64_t offset = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i] < 0 ? axes[i] + static_cast<int64_t>(in.size()) : axes[i]);
    const int64_t step = i < steps.size() ? steps[i] : 1;
    if (step < 1) return std::nullopt;
    const int64_t start = starts[i] < 0 ? starts[i] + in[axis] : starts[i];
    offset += std::clamp<int64_t>(start, 0, in[axis]) * strides[axis];
    strides[axis] *= step;
  }
  return ViewOf{offset, strided_layout(g.shape(n.outputs[0]), std::move(strides))};
}

std::optional<ViewOf> part_of_split(const Graph& g, const Node& n, size_t slot, std::vector<int64_t> strides) {
  const int64_t given = n.attr().i("axis");
  const Shape& in = g.shape(n.inputs[0]);
  const auto axis = static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(in.size()) : given);
  int64_t before = 0;
  for (size_t i = 0; i < slot; ++i) before += g.shape(n.outputs[i])[axis];
  const int64_t offset = before * strides[axis];
  return ViewOf{offset, strided_layout(g.shape(n.outputs[slot]), std::move(strides))};
}

}  // namespace

bool same_layout(const LayoutPtr& a, const LayoutPtr& b) {
  if (a == b) return true;
  return a && b && a->same(*b);
}

LayoutPtr strided_layout(std::span<const int64_t> shape, std::vector<int64_t> strides) {
  const std::vector<int64_t> plain = strides_of(shape);
  if (element_count(shape) == 0) return nullptr;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) strides[i] = plain[i];
  }
  if (strides == plain) return nullptr;
  auto layout = std::make_shared<Layout>();
  layout->dense = covers_densely(shape, strides);
  layout->strides = std::move(strides);
  return layout;
}

LayoutPtr ordered_layout(std::span<const int64_t> shape, std::span<const int64_t> order) {
  std::vector<int64_t> strides(shape.size(), 1);
  int64_t next = 1;
  for (size_t i = order.size(); i-- > 0;) {
    strides[static_cast<size_t>(order[i])] = next;
    next *= shape[static_cast<size_t>(order[i])];
  }
  return strided_layout(shape, std::move(strides));
}

std::vector<int64_t> strides_in(std::span<const int64_t> shape, const LayoutPtr& layout) {
  return layout ? layout->strides : strides_of(shape);
}

bool is_view(const Graph& g, NodeId node) { return view_of(g, node, 0, nullptr).has_value(); }

std::optional<ViewOf> view_of(const Graph& g, NodeId id, size_t slot, const LayoutPtr& layout) {
  const Node& n = g.node(id);
  if (n.inputs.empty() || !n.inputs[0].valid() || n.outputs.empty()) return std::nullopt;
  const TensorType &in = g.type(n.inputs[0]), &out = g.type(n.outputs[slot]);
  const bool blocked = layout && layout->strides.empty();
  if (in.dtype != out.dtype || bits(in.dtype) < 8 || blocked) return std::nullopt;
  const std::string_view op = n.op->name;
  if (op == "cast" || op == "identity") return ViewOf{0, layout};
  std::vector<int64_t> strides = strides_in(in.shape, layout);
  if (element_count(out.shape) == 0) return std::nullopt;
  if (op == "reshape") {
    auto seen = reshaped(in.shape, strides, out.shape);
    if (!seen) return std::nullopt;
    return ViewOf{0, strided_layout(out.shape, *std::move(seen))};
  }
  if (op == "transpose") {
    const Ints& perm = n.attr().ints("perm");
    std::vector<int64_t> seen(perm.size());
    for (size_t i = 0; i < perm.size(); ++i) seen[i] = strides[static_cast<size_t>(perm[i])];
    return ViewOf{0, strided_layout(out.shape, std::move(seen))};
  }
  if (op == "expand") {
    std::vector<int64_t> seen(out.shape.size(), 0);
    const size_t added = out.shape.size() - in.shape.size();
    for (size_t i = 0; i < in.shape.size(); ++i) seen[added + i] = in.shape[i] == out.shape[added + i] ? strides[i] : 0;
    return ViewOf{0, strided_layout(out.shape, std::move(seen))};
  }
  if (op == "slice") return sliced(g, n, std::move(strides));
  if (op == "split") return part_of_split(g, n, slot, std::move(strides));
  return std::nullopt;
}

}  // namespace npuport
