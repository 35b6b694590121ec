#include "frontends/aten_view_layout.h"

#include <algorithm>
#include <numeric>

namespace npuport {
namespace {

std::optional<int64_t> int_arg(const ViewCall& c, size_t i) {
  if (i >= c.args.size() || !c.args[i].as_int()) return std::nullopt;
  return *c.args[i].as_int();
}

std::optional<Ints> ints_arg(const ViewCall& c, size_t i) {
  if (i >= c.args.size()) return std::nullopt;
  if (const int64_t* one = c.args[i].as_int()) return Ints{*one};
  if (!c.args[i].sequence()) return std::nullopt;
  Ints out;
  for (const IValue& v : *c.args[i].sequence()) {
    if (!v.as_int()) return std::nullopt;
    out.push_back(*v.as_int());
  }
  return out;
}

// A possibly negative dimension; nullopt when out of range.
std::optional<int64_t> axis(std::optional<int64_t> dim, size_t rank) {
  const auto n = static_cast<int64_t>(rank);
  if (!dim || *dim < -n || *dim >= n) return std::nullopt;
  return *dim < 0 ? *dim + n : *dim;
}

std::optional<ViewRange> slice_range(const ViewCall& c, const Shape& base) {
  const auto dim = axis(int_arg(c, 0).value_or(0), base.size());
  if (!dim || int_arg(c, 3).value_or(1) != 1) return std::nullopt;
  const int64_t size = base[static_cast<size_t>(*dim)];
  const auto clamp = [&](int64_t v) { return std::clamp(v < 0 ? v + size : v, int64_t{0}, size); };
  const int64_t begin = clamp(int_arg(c, 1).value_or(0)), end = clamp(int_arg(c, 2).value_or(size));
  return ViewRange{*dim, begin, std::max(int64_t{0}, end - begin)};
}

// split(sizes or size), chunk(chunks): pieces of one dimension.
std::optional<ViewRange> piece(const ViewCall& c, const Shape& base) {
  const auto dim = axis(int_arg(c, 1).value_or(0), base.size());
  if (!dim) return std::nullopt;
  const int64_t size = base[static_cast<size_t>(*dim)];
  const auto k = static_cast<int64_t>(c.output);
  if (c.op.find("chunk") != c.op.npos || int_arg(c, 0)) {
    const auto n = int_arg(c, 0);
    if (!n || *n < 1) return std::nullopt;
    const int64_t step = c.op.find("chunk") != c.op.npos ? (size + *n - 1) / *n : *n;
    return ViewRange{*dim, std::min(size, k * step), std::max(int64_t{0}, std::min(step, size - k * step))};
  }
  const auto sizes = ints_arg(c, 0);
  if (!sizes || c.output >= sizes->size()) return std::nullopt;
  const int64_t begin = std::accumulate(sizes->begin(), sizes->begin() + static_cast<ptrdiff_t>(k), int64_t{0});
  return ViewRange{*dim, begin, (*sizes)[c.output]};
}

// at::detail::computeStride: strides of `out` over the memory of (base, strides), or nullopt when a copy is needed.
std::optional<Ints> reshape_strides(const Shape& base, const Ints& strides, const Shape& out) {
  if (element_count(base) == 0 || base.empty()) return strides_of(out);
  Ints result(out.size());
  auto view_d = static_cast<int64_t>(out.size()) - 1;
  int64_t chunk_base = strides.back(), tensor_count = 1, view_count = 1;
  for (auto d = static_cast<int64_t>(base.size()) - 1; d >= 0; --d) {
    const auto k = static_cast<size_t>(d);
    tensor_count *= base[k];
    const bool chunk_ends = d == 0 || (base[k - 1] != 1 && strides[k - 1] != tensor_count * chunk_base);
    if (!chunk_ends) continue;
    while (view_d >= 0 && (view_count < tensor_count || out[static_cast<size_t>(view_d)] == 1)) {
      result[static_cast<size_t>(view_d)] = view_count * chunk_base;
      view_count *= out[static_cast<size_t>(view_d)];
      --view_d;
    }
    if (view_count != tensor_count) return std::nullopt;
    if (d > 0) {
      chunk_base = strides[k - 1];
      tensor_count = 1;
      view_count = 1;
    }
  }
  if (view_d != -1) return std::nullopt;
  return result;
}

}  // namespace

std::optional<ViewRange> view_range(const ViewCall& c, const Shape& base) {
  if (c.op == "aten::slice") return slice_range(c, base);
  if (c.op == "aten::select" || c.op == "aten::unbind") {
    const auto dim = axis(int_arg(c, 0).value_or(0), base.size());
    if (!dim) return std::nullopt;
    const int64_t size = base[static_cast<size_t>(*dim)];
    int64_t index = static_cast<int64_t>(c.output);
    if (c.op == "aten::select") index = int_arg(c, 1).value_or(0);
    if (index < 0) index += size;
    if (index < 0 || index >= size) return std::nullopt;
    return ViewRange{*dim, index, 1};
  }
  if (c.op == "aten::narrow") {
    const auto dim = axis(int_arg(c, 0), base.size());
    const auto begin = int_arg(c, 1), length = int_arg(c, 2);
    if (!dim || !begin || !length) return std::nullopt;
    const int64_t size = base[static_cast<size_t>(*dim)];
    return ViewRange{*dim, *begin < 0 ? *begin + size : *begin, *length};
  }
  if (c.op == "aten::split" || c.op == "aten::split_with_sizes" || c.op == "aten::chunk") return piece(c, base);
  return std::nullopt;
}

std::optional<Ints> view_permutation(const ViewCall& c, size_t rank) {
  Ints perm(rank);
  std::iota(perm.begin(), perm.end(), int64_t{0});
  if (c.op == "aten::t" || c.op == "aten::numpy_T" || c.op == "aten::T") {
    std::reverse(perm.begin(), perm.end());
    return perm;
  }
  if (c.op == "aten::transpose" || c.op == "aten::swapaxes" || c.op == "aten::swapdims") {
    const auto a = axis(int_arg(c, 0), rank), b = axis(int_arg(c, 1), rank);
    if (!a || !b) return std::nullopt;
    std::swap(perm[static_cast<size_t>(*a)], perm[static_cast<size_t>(*b)]);
    return perm;
  }
  if (c.op == "aten::mT" || c.op == "aten::adjoint") {
    if (rank < 2) return std::nullopt;
    std::swap(perm[rank - 1], perm[rank - 2]);
    return perm;
  }
  if (c.op == "aten::permute") {
    const auto dims = ints_arg(c, 0);
    if (!dims || dims->size() != rank) return std::nullopt;
    for (size_t i = 0; i < rank; ++i) {
      const auto d = axis((*dims)[i], rank);
      if (!d) return std::nullopt;
      perm[i] = *d;
    }
    return perm;
  }
  return std::nullopt;
}

bool is_reshape(std::string_view op) {
  static constexpr std::string_view names[] = {
      "aten::view",      "aten::reshape", "aten::unsqueeze",    "aten::squeeze", "aten::flatten",
      "aten::unflatten", "aten::view_as", "aten::reshape_as",   "aten::expand",  "aten::expand_as",
      "aten::detach",    "aten::alias",   "aten::_unsafe_view", "aten::ravel",   "aten::broadcast_to"};
  return std::find(std::begin(names), std::end(names), op) != std::end(names);
}

std::optional<Ints> view_strides(const ViewCall& c, const Shape& base, const Ints& strides, const Shape& out) {
  if (c.op == "aten::slice") {
    const auto dim = axis(int_arg(c, 0).value_or(0), base.size());
    if (!dim) return std::nullopt;
    Ints s = strides;
    s[static_cast<size_t>(*dim)] *= int_arg(c, 3).value_or(1);
    return s;
  }
  if (const auto range = view_range(c, base)) {
    Ints s = strides;
    if (out.size() + 1 == base.size()) s.erase(s.begin() + static_cast<ptrdiff_t>(range->dim));
    return s;
  }
  if (const auto perm = view_permutation(c, base.size())) {
    Ints s;
    for (const int64_t p : *perm) s.push_back(strides[static_cast<size_t>(p)]);
    return s;
  }
  if (c.op == "aten::expand" || c.op == "aten::expand_as" || c.op == "aten::broadcast_to") {
    Ints s(out.size(), 0);
    const size_t lead = out.size() - base.size();
    for (size_t i = 0; i < base.size(); ++i) s[lead + i] = base[i] == out[lead + i] ? strides[i] : 0;
    return s;
  }
  if (is_reshape(c.op)) return reshape_strides(base, strides, out);
  if (c.op == "aten::as_strided") return ints_arg(c, 1);
  return std::nullopt;
}

}  // namespace npuport
