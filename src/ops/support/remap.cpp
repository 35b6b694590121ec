#include "ops/support/remap.h"

#include <algorithm>

namespace npuport {
namespace {

template <class T>
T& attr_value(std::vector<Attr>& attrs, std::string_view name) {
  const auto it = std::find_if(attrs.begin(), attrs.end(), [&](const Attr& a) { return a.name == name; });
  return std::get<T>(it->value);
}

// The order of the kept canonical axes inside the permuted tensor, renumbered without the removed ones.
Ints remaining_permutation(std::span<const int64_t> perm, const Ints& removed) {
  Ints out;
  for (const int64_t axis : perm) {
    if (std::find(removed.begin(), removed.end(), axis) != removed.end()) continue;
    const auto before = std::count_if(removed.begin(), removed.end(), [&](int64_t r) { return r < axis; });
    out.push_back(axis - before);
  }
  return out;
}

}  // namespace

int64_t permuted_axis(int64_t axis, std::span<const int64_t> perm) {
  if (axis < 0) axis += static_cast<int64_t>(perm.size());
  return std::find(perm.begin(), perm.end(), axis) - perm.begin();
}

Ints permuted_list(const Ints& list, std::span<const int64_t> perm) {
  Ints out;
  for (const int64_t axis : perm) out.push_back(list[static_cast<size_t>(axis)]);
  return out;
}

std::optional<Ints> remap_axis(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall&) {
  int64_t& axis = attr_value<int64_t>(attrs, "axis");
  axis = permuted_axis(axis, perm);
  return Ints(perm.begin(), perm.end());
}

std::optional<Ints> remap_axes(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall&) {
  Ints& axes = attr_value<Ints>(attrs, "axes");
  for (int64_t& axis : axes) axis = permuted_axis(axis, perm);
  std::sort(axes.begin(), axes.end());
  return Ints(perm.begin(), perm.end());
}

std::optional<Ints> remap_reduce(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall& c) {
  Ints removed = attr_value<Ints>(attrs, "axes");
  for (int64_t& axis : removed) axis += axis < 0 ? static_cast<int64_t>(perm.size()) : 0;
  std::optional<Ints> same = remap_axes(attrs, perm, c);
  return attr_value<bool>(attrs, "keepdims") ? same : remaining_permutation(perm, removed);
}

std::optional<Ints> remap_arg_reduce(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall& c) {
  int64_t removed = attr_value<int64_t>(attrs, "axis");
  removed += removed < 0 ? static_cast<int64_t>(perm.size()) : 0;
  std::optional<Ints> same = remap_axis(attrs, perm, c);
  return attr_value<bool>(attrs, "keepdims") ? same : remaining_permutation(perm, {removed});
}

}  // namespace npuport
