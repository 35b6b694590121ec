// Reductions over axes, arg reductions and running (cumulative) reductions.
#include <algorithm>
#include <memory>
#include <vector>

#include "ops/support/kernel.h"
#include "ops/support/remap.h"
#include "ops/support/rows.h"

namespace npuport {
namespace {

// Sums of floats are kept in double, integers wrap modulo 2^64.
template <class T>
using sum_t = std::conditional_t<is_floating_v<T>, double, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

struct Add {
  template <class T>
  using Acc = sum_t<T>;
  template <class A>
  static A start() {
    return A{0};
  }
  template <class A>
  static A join(A a, A b) {
    if constexpr (std::is_floating_point_v<A>)
      return a + b;
    else
      return static_cast<A>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
};
struct Multiply {
  template <class T>
  using Acc = sum_t<T>;
  template <class A>
  static A start() {
    return A{1};
  }
  template <class A>
  static A join(A a, A b) {
    if constexpr (std::is_floating_point_v<A>)
      return a * b;
    else
      return static_cast<A>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
};
struct Max {
  template <class T>
  using Acc = compute_t<T>;
  template <class A>
  static A start() {
    return std::numeric_limits<A>::has_infinity ? -std::numeric_limits<A>::infinity()
                                                : std::numeric_limits<A>::lowest();
  }
  template <class A>
  static A join(A a, A b) {
    return a != a || a >= b ? a : b;
  }
};
struct Min {
  template <class T>
  using Acc = compute_t<T>;
  template <class A>
  static A start() {
    return std::numeric_limits<A>::has_infinity ? std::numeric_limits<A>::infinity() : std::numeric_limits<A>::max();
  }
  template <class A>
  static A join(A a, A b) {
    return a != a || a <= b ? a : b;
  }
};

// y[kept] = join over the reduced axes, in row-major order of the input; `finish` maps the accumulator to the output.
template <class T, class R, class Finish>
void reduce(const EvalCall& c, Finish finish) {
  using A = typename R::template Acc<T>;
  const std::span<const int64_t> shape = c.in[0].shape;
  const Ints axes = known_axes(c.attrs, "axes", shape.size());
  Shape kept(shape.begin(), shape.end());
  if (!shape.empty()) {
    for (const int64_t axis : axes) kept[axis] = 1;
  }
  const Loop<2> loop = make_loop<2>(shape, {strides_of(shape), broadcast_strides(kept, shape)});
  // Plain array: vector<bool> has no references.
  const size_t n = static_cast<size_t>(c.out[0].count());
  const std::unique_ptr<A[]> acc(new A[n + 1]);
  std::fill_n(acc.get(), n, R::template start<A>());
  const T* x = c.in[0].as<T>();
  run_rows(loop, [&](const auto& at, int64_t count, const auto& step) {
    const T* from = x + at[0];
    A* to = acc.get() + at[1];
    if (step[1] == 0) {
      A total = *to;
      for (int64_t i = 0; i < count; ++i) {
        total = R::template join<A>(total, static_cast<A>(static_cast<compute_t<T>>(from[i * step[0]])));
      }
      *to = total;
    } else {
      for (int64_t i = 0; i < count; ++i) {
        A& cell = to[i * step[1]];
        cell = R::template join<A>(cell, static_cast<A>(static_cast<compute_t<T>>(from[i * step[0]])));
      }
    }
  });
  T* y = c.out[0].as<T>();
  for (size_t i = 0; i < n; ++i) y[i] = narrow<T>(finish(acc[i]));
}

template <class R, unsigned set>
Status eval_reduce(const EvalCall& c) {
  const bool ok = dispatch_in<set>(c.in[0].dtype, [&]<class T>() { reduce<T, R>(c, [](auto a) { return a; }); });
  return kernel_status(ok, c);
}

Status eval_mean(const EvalCall& c) {
  const int64_t out = c.out[0].count();
  double size = out == 0 ? 1.0 : static_cast<double>(c.in[0].count()) / static_cast<double>(out);
  const bool ok = dispatch_in<types::floating>(
      c.in[0].dtype, [&]<class T>() { reduce<T, Add>(c, [&](double sum) { return sum / size; }); });
  return kernel_status(ok, c);
}

Shape reduced_shape(const Shape& x, const Ints& axes, bool keepdims) {
  Shape y;
  for (size_t d = 0; d < x.size(); ++d) {
    const bool gone = std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) != axes.end();
    if (!gone)
      y.push_back(x[d]);
    else if (keepdims)
      y.push_back(1);
  }
  return y;
}

template <unsigned set, bool needs_elements>
Types infer_reduce(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, set));
  const Shape& x = c.in[0]->shape;
  NPU_ASSIGN(const Ints axes, axes_of(c, "axes", x.size()));
  for (const int64_t axis : axes) {
    if (needs_elements && !x.empty() && x[static_cast<size_t>(axis)] == 0) {
      return infer_error(diag::shape_mismatch, c, "reduction over an empty axis has no result");
    }
  }
  return one_output(c.in[0]->dtype, reduced_shape(x, axes, c.attrs.b("keepdims")));
}

// One line of elements along an axis.
struct Lines {
  int64_t outer, size, inner;
};
Lines lines_of(std::span<const int64_t> shape, int64_t axis) {
  if (shape.empty()) return {1, 1, 1};
  const size_t a = static_cast<size_t>(axis);
  return {element_count(shape.first(a)), shape[a], element_count(shape.subspan(a + 1))};
}

Types infer_arg(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::any));
  const Shape& x = c.in[0]->shape;
  NPU_ASSIGN(const int64_t axis, axis_of(c, "axis", x.size()));
  if (!x.empty() && x[static_cast<size_t>(axis)] == 0) {
    return infer_error(diag::shape_mismatch, c, "the position of the extremum of an empty axis");
  }
  return one_output(DType::i64, reduced_shape(x, {axis}, c.attrs.b("keepdims")));
}

// First position of the extremum; the first NaN wins.
template <bool largest>
Status eval_arg(const EvalCall& c) {
  const auto [outer, size, inner] = lines_of(c.in[0].shape, known_axis(c.attrs, "axis", c.in[0].shape.size()));
  int64_t* y = c.out[0].as<int64_t>();
  const bool ok = dispatch_in<types::any>(c.in[0].dtype, [&]<class T>() {
    using C = compute_t<T>;
    const T* x = c.in[0].template as<T>();
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t k = 0; k < inner; ++k) {
        const T* line = x + o * size * inner + k;
        int64_t best = 0;
        for (int64_t i = 1; i < size; ++i) {
          const C have = static_cast<C>(line[best * inner]), v = static_cast<C>(line[i * inner]);
          if (have != have) break;
          if (v != v || (largest ? v > have : v < have)) best = i;
        }
        *y++ = best;
      }
    }
  });
  return kernel_status(ok, c);
}

Types infer_running(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::number));
  NPU_TRY(axis_of(c, "axis", c.in[0]->shape.size()));
  return infer_same<types::number>(c);
}

template <class R>
Status eval_running(const EvalCall& c) {
  const auto [outer, size, inner] = lines_of(c.in[0].shape, known_axis(c.attrs, "axis", c.in[0].shape.size()));
  const bool ok = dispatch_in<types::number>(c.in[0].dtype, [&]<class T>() {
    using A = typename R::template Acc<T>;
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t k = 0; k < inner; ++k) {
        A total = R::template start<A>();
        for (int64_t i = 0; i < size; ++i) {
          const int64_t at = (o * size + i) * inner + k;
          total = R::template join<A>(total, static_cast<A>(static_cast<compute_t<T>>(x[at])));
          y[at] = narrow<T>(total);
        }
      }
    }
  });
  return kernel_status(ok, c);
}

Types infer_running_extremum(const InferCall& c) {
  NPU_ASSIGN(std::vector<TensorType> out, infer_running(c));
  out.push_back(out[0]);
  out[1].dtype = DType::i64;
  return out;
}

// The last position of the extremum so far, as PyTorch's cummax and cummin give it; NaN stays once met.
template <bool largest>
Status eval_running_extremum(const EvalCall& c) {
  const auto [outer, size, inner] = lines_of(c.in[0].shape, known_axis(c.attrs, "axis", c.in[0].shape.size()));
  int64_t* indices = c.out[1].as<int64_t>();
  const bool ok = dispatch_in<types::number>(c.in[0].dtype, [&]<class T>() {
    using C = compute_t<T>;
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t k = 0; k < inner; ++k) {
        int64_t best = 0;
        for (int64_t i = 0; i < size; ++i) {
          const int64_t line = o * size * inner + k, at = line + i * inner;
          const C have = static_cast<C>(x[line + best * inner]), v = static_cast<C>(x[at]);
          if (v != v || (have == have && (largest ? v >= have : v <= have))) best = i;
          y[at] = x[line + best * inner];
          indices[at] = best;
        }
      }
    }
  });
  return kernel_status(ok, c);
}

constexpr AttrDef reduce_attrs[] = {{"axes", AttrKind::integers, "", "the axes that go"},
                                    {"keepdims", AttrKind::boolean, "false", "leave them as size 1"}};
constexpr AttrDef arg_attrs[] = {{"axis", AttrKind::integer, "", "the axis that goes"},
                                 {"keepdims", AttrKind::boolean, "false", "leave it as size 1"}};
constexpr AttrDef axis_attrs[] = {{"axis", AttrKind::integer, "", "the running axis"}};

template <class R, unsigned set, bool needs_elements = false>
constexpr OpDef reduction(std::string_view name, std::string_view doc, Exactness exact, QuantRule quant) {
  return {.name = name,
          .doc = doc,
          .in = ports::x,
          .out = ports::y,
          .attrs = reduce_attrs,
          .infer = infer_reduce<set, needs_elements>,
          .eval = eval_reduce<R, set>,
          .exact = exact,
          .axes = {AxisRule::remap, remap_reduce},
          .quant = quant};
}

constexpr OpDef mean_row() {
  OpDef row =
      reduction<Add, types::floating>("reduce_mean", "Mean over axes", Exactness::accumulation, QuantRule::free_output);
  row.eval = eval_mean;
  return row;
}

constexpr OpDef arg_row(std::string_view name, std::string_view doc, EvalFn eval) {
  return {.name = name,
          .doc = doc,
          .in = ports::x,
          .out = ports::y,
          .attrs = arg_attrs,
          .infer = infer_arg,
          .eval = eval,
          .axes = {AxisRule::remap, remap_arg_reduce},
          .quant = QuantRule::free_output};
}

constexpr OpDef running(std::string_view name, std::string_view doc, EvalFn eval, bool with_indices = false) {
  return {.name = name,
          .doc = doc,
          .in = ports::x,
          .out = with_indices ? std::span<const PortDef>(ports::values_indices) : std::span<const PortDef>(ports::y),
          .attrs = axis_attrs,
          .infer = with_indices ? infer_running_extremum : infer_running,
          .eval = eval,
          .exact = with_indices ? Exactness::bit_exact : Exactness::accumulation,
          .axes = {AxisRule::remap, remap_axis},
          .quant = with_indices ? QuantRule::same_as_input : QuantRule::free_output};
}

using enum QuantRule;
using enum Exactness;

constexpr OpDef rows[] = {
    reduction<Add, types::number>("reduce_sum", "Sum over axes; floats accumulate in double", accumulation,
                                  free_output),
    mean_row(),
    reduction<Multiply, types::number>("reduce_prod", "Product over axes; floats accumulate in double", accumulation,
                                       free_output),
    reduction<Max, types::any, true>("reduce_max", "Maximum over axes; NaN when there is one", bit_exact,
                                     same_as_input),
    reduction<Min, types::any, true>("reduce_min", "Minimum over axes; NaN when there is one", bit_exact,
                                     same_as_input),
    reduction<Max, types::boolean>("reduce_any", "Whether any element over axes is true", bit_exact, float_only),
    reduction<Min, types::boolean>("reduce_all", "Whether all elements over axes are true", bit_exact, float_only),
    arg_row("arg_max", "First position of the maximum along axis, as i64; the first NaN wins", eval_arg<true>),
    arg_row("arg_min", "First position of the minimum along axis, as i64; the first NaN wins", eval_arg<false>),
    running("cumsum", "Running sum along axis", eval_running<Add>),
    running("cumprod", "Running product along axis", eval_running<Multiply>),
    running("cummax", "Running maximum along axis and its last position", eval_running_extremum<true>, true),
    running("cummin", "Running minimum along axis and its last position", eval_running_extremum<false>, true),
};

}  // namespace

std::span<const OpDef> ops_reduce() { return rows; }

}  // namespace npuport
