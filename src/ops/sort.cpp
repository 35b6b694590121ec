// Sorting, the k largest, and searching in sorted rows.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "ops/support/kernel.h"
#include "ops/support/remap.h"
#include "ops/support/rows.h"

namespace npuport {
namespace {

Types with_indices(DType dtype, Shape shape) {
  NPU_TRY(check_shape(shape));
  std::vector<TensorType> out(2);
  out[0].dtype = dtype;
  out[1].dtype = DType::i64;
  out[0].shape = out[1].shape = std::move(shape);
  return out;
}

Types infer_sort(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  NPU_TRY(axis_of(c, "axis", c.in[0]->shape.size()));
  return with_indices(c.in[0]->dtype, c.in[0]->shape);
}

Types infer_topk(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  Shape y = c.in[0]->shape;
  NPU_ASSIGN(const int64_t axis, axis_of(c, "axis", y.size()));
  const int64_t size = y.empty() ? 1 : y[static_cast<size_t>(axis)], k = c.attrs.i("k");
  if (k < 0 || k > size) {
    return infer_error(diag::bad_attribute, c, fmt::format("k = {} of an axis with {} elements", k, size));
  }
  if (!y.empty())
    y[static_cast<size_t>(axis)] = k;
  else if (k == 0)
    return infer_error(diag::bad_attribute, c, "k = 0 of a scalar");
  return with_indices(c.in[0]->dtype, std::move(y));
}

// The first `keep` of each line in order. NaN counts as the largest; equal elements keep their order.
Status order_lines(const EvalCall& c, bool descending, int64_t keep) {
  const std::span<const int64_t> shape = c.in[0].shape;
  const size_t axis = static_cast<size_t>(known_axis(c.attrs, "axis", shape.size()));
  const int64_t size = shape.empty() ? 1 : shape[axis];
  const int64_t inner = shape.empty() ? 1 : element_count(shape.subspan(axis + 1));
  const int64_t outer = shape.empty() ? 1 : element_count(shape.first(axis));
  int64_t* indices = c.out[1].as<int64_t>();
  std::vector<int64_t> order(static_cast<size_t>(size));
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    using C = compute_t<T>;
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t k = 0; k < inner; ++k) {
        const T* line = x + o * size * inner + k;
        const auto at = [&](int64_t i) { return static_cast<C>(line[i * inner]); };
        const auto less = [&](C a, C b) { return a < b || (b != b && a == a); };
        // Position breaks ties: the order is total, so the unstable partial sort is stable too.
        const auto before = [&](int64_t i, int64_t j) {
          const C a = at(i), b = at(j);
          if (descending ? less(b, a) : less(a, b)) return true;
          return !(descending ? less(a, b) : less(b, a)) && i < j;
        };
        std::iota(order.begin(), order.end(), 0);
        if (keep == size)
          std::sort(order.begin(), order.end(), before);
        else
          std::partial_sort(order.begin(), order.begin() + keep, order.end(), before);
        for (int64_t i = 0; i < keep; ++i) {
          const int64_t to = (o * keep + i) * inner + k;
          y[to] = line[order[static_cast<size_t>(i)] * inner];
          indices[to] = order[static_cast<size_t>(i)];
        }
      }
    }
  });
  return kernel_status(ok, c);
}

Status eval_sort(const EvalCall& c) {
  const std::span<const int64_t> shape = c.in[0].shape;
  const size_t axis = static_cast<size_t>(known_axis(c.attrs, "axis", shape.size()));
  return order_lines(c, c.attrs.b("descending"), shape.empty() ? 1 : shape[axis]);
}

Status eval_topk(const EvalCall& c) { return order_lines(c, c.attrs.b("largest"), c.attrs.i("k")); }

Types infer_searchsorted(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::number));
  NPU_TRY(expect_same_dtype(c, 0, 1));
  NPU_TRY(expect_rank(c, 0, 1));
  const Shape &sorted = c.in[0]->shape, &values = c.in[1]->shape;
  if (sorted.size() > 1 &&
      (values.size() != sorted.size() || !std::equal(sorted.begin(), sorted.end() - 1, values.begin()))) {
    return infer_error(diag::shape_mismatch, c, "sorted and values differ outside of the last axis");
  }
  return one_output(DType::i64, values);
}

Status eval_searchsorted(const EvalCall& c) {
  const int64_t size = c.in[0].shape.back();
  const bool shared = c.in[0].shape.size() == 1, right = c.attrs.b("right");
  const int64_t width = c.in[1].shape.empty() ? 1 : c.in[1].shape.back();
  int64_t* y = c.out[0].as<int64_t>();
  const bool ok = dispatch_in<types::number>(c.in[0].dtype, [&]<class T>() {
    using C = compute_t<T>;
    const T* sorted = c.in[0].template as<T>();
    const T* values = c.in[1].template as<T>();
    const int64_t n = c.out[0].count();
    // NaN sorts last.
    const auto less = [](C a, C b) { return a < b || (b != b && a == a); };
    for (int64_t i = 0; i < n; ++i) {
      const T* row = sorted + (shared ? 0 : i / width * size);
      const C v = static_cast<C>(values[i]);
      int64_t low = 0, high = size;
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const C m = static_cast<C>(row[middle]);
        if (right ? !less(v, m) : less(m, v))
          low = middle + 1;
        else
          high = middle;
      }
      y[i] = low;
    }
  });
  return kernel_status(ok, c);
}

constexpr AttrDef sort_attrs[] = {{"axis", AttrKind::integer, "-1", "the axis that is sorted"},
                                  {"descending", AttrKind::boolean, "false", "largest first"},
                                  {"stable", AttrKind::boolean, "true", "equal elements keep their order"}};
constexpr AttrDef topk_attrs[] = {{"k", AttrKind::integer, "", "how many"},
                                  {"axis", AttrKind::integer, "-1", "the axis that is searched"},
                                  {"largest", AttrKind::boolean, "true", "the largest, else the smallest"},
                                  {"sorted", AttrKind::boolean, "true", "whether order matters; it is kept anyway"}};
constexpr AttrDef search_attrs[] = {
    {"right", AttrKind::boolean, "false", "false: first position with sorted >= v; true: first with sorted > v"}};
constexpr PortDef search_in[] = {{"sorted"}, {"values"}};

constexpr OpDef rows[] = {
    {.name = "sort",
     .doc = "Values along axis in order and where they came from; NaN counts as the largest",
     .in = ports::x,
     .out = ports::values_indices,
     .attrs = sort_attrs,
     .infer = infer_sort,
     .eval = eval_sort,
     .axes = {AxisRule::remap, remap_axis},
     .quant = QuantRule::same_as_input},
    {.name = "topk",
     .doc = "The k largest (smallest) values along axis and their positions; NaN counts as the largest",
     .in = ports::x,
     .out = ports::values_indices,
     .attrs = topk_attrs,
     .infer = infer_topk,
     .eval = eval_topk,
     .axes = {AxisRule::remap, remap_axis},
     .quant = QuantRule::same_as_input},
    {.name = "searchsorted",
     .doc = "Where values would be inserted into the sorted last axis, as i64",
     .in = search_in,
     .out = ports::y,
     .attrs = search_attrs,
     .infer = infer_searchsorted,
     .eval = eval_searchsorted},
};

}  // namespace

std::span<const OpDef> ops_sort() { return rows; }

}  // namespace npuport
