// Comparisons, logic and selection.
#include "ops/support/kernel.h"
#include "ops/support/rows.h"

namespace npuport {
namespace {

template <auto F>
constexpr OpDef compare(std::string_view name, std::string_view doc, bool commutative) {
  return {.name = name,
          .doc = doc,
          .in = ports::ab,
          .out = ports::y,
          .infer = infer_bool<types::any>,
          .eval = eval_binary<F, types::any, true>,
          .axes = {AxisRule::elementwise},
          .quant = QuantRule::free_output,
          .commutative = commutative};
}

template <auto F>
constexpr auto truth = [](auto a, decltype(a) b) { return F(a != decltype(a){0}, b != decltype(a){0}); };

Types infer_where(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, types::boolean));
  NPU_TRY(expect_types(c, 1, types::any));
  NPU_TRY(expect_same_dtype(c, 1, 2));
  Result<Shape> shape = broadcast_shapes(c.in[1]->shape, c.in[2]->shape);
  if (shape) shape = broadcast_shapes(*shape, c.in[0]->shape);
  if (!shape) return infer_error(diag::shape_mismatch, c, "the shapes do not broadcast");
  return one_output(c.in[1]->dtype, std::move(*shape));
}

Status eval_where(const EvalCall& c) {
  const std::span<const int64_t> shape = c.out[0].shape;
  const Loop<4> loop =
      make_loop<4>(shape, {broadcast_strides(c.in[0].shape, shape), broadcast_strides(c.in[1].shape, shape),
                           broadcast_strides(c.in[2].shape, shape), strides_of(shape)});
  const bool* cond = c.in[0].as<bool>();
  const bool ok = dispatch_in<types::any>(c.out[0].dtype, [&]<class T>() {
    const T* a = c.in[1].template as<T>();
    const T* b = c.in[2].template as<T>();
    T* y = c.out[0].template as<T>();
    run_rows(loop, [&](const auto& at, int64_t n, const auto& step) {
      for (int64_t k = 0; k < n; ++k) {
        y[at[3] + k * step[3]] = cond[at[0] + k * step[0]] ? a[at[1] + k * step[1]] : b[at[2] + k * step[2]];
      }
    });
  });
  return kernel_status(ok, c);
}

constexpr PortDef where_in[] = {{"cond"}, {"a"}, {"b"}};

constexpr OpDef rows[] = {
    compare<[](auto a, decltype(a) b) { return a == b; }>("equal", "a == b", true),
    compare<[](auto a, decltype(a) b) { return a != b; }>("not_equal", "a != b", true),
    compare<[](auto a, decltype(a) b) { return a < b; }>("less", "a < b", false),
    compare<[](auto a, decltype(a) b) { return a <= b; }>("less_equal", "a <= b", false),
    compare<[](auto a, decltype(a) b) { return (a > b); }>("greater", "a > b", false),
    compare<[](auto a, decltype(a) b) { return (a >= b); }>("greater_equal", "a >= b", false),
    compare<truth<[](bool a, bool b) { return a && b; }>>("logical_and", "a != 0 and b != 0", true),
    compare<truth<[](bool a, bool b) { return a || b; }>>("logical_or", "a != 0 or b != 0", true),
    compare<truth<[](bool a, bool b) { return a != b; }>>("logical_xor", "exactly one of a and b is not 0", true),
    {.name = "where",
     .doc = "cond ? a : b for each element; all three broadcast",
     .in = where_in,
     .out = ports::y,
     .infer = infer_where,
     .eval = eval_where,
     .axes = {AxisRule::elementwise},
     .quant = QuantRule::free_output},
};

}  // namespace

std::span<const OpDef> ops_compare() { return rows; }

}  // namespace npuport
