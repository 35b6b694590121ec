// Activation functions with parameters, clamp, softmax.
#include <numbers>
#include <vector>

#include "ops/support/kernel.h"
#include "ops/support/remap.h"
#include "ops/support/rows.h"
#include "ops/support/special.h"

namespace npuport {
namespace {

constexpr unsigned fl = types::floating;

// y = F(x, p0, p1) where p0 and p1 are real attributes, rounded to the type the arithmetic happens in.
template <auto F>
Status with_parameters(const EvalCall& c, double p0, double p1 = 0) {
  const bool ok = dispatch_in<fl>(c.in[0].dtype, [&]<class T>() {
    using C = compute_t<T>;
    const C a = static_cast<C>(p0), b = static_cast<C>(p1);
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    const int64_t n = c.out[0].count();
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(F(static_cast<C>(x[i]), a, b));
  });
  return kernel_status(ok, c);
}

constexpr auto leaky = [](auto x, decltype(x) alpha, decltype(x)) { return x > decltype(x){0} ? x : x * alpha; };
constexpr auto elu = [](auto x, decltype(x) alpha, decltype(x)) {
  return x > decltype(x){0} ? x : alpha * std::expm1(x);
};
constexpr auto celu = [](auto x, decltype(x) alpha, decltype(x)) {
  return x > decltype(x){0} ? x : alpha * std::expm1(x / alpha);
};
constexpr double selu_alpha = 1.6732632423543772848170429916717;
constexpr double selu_scale = 1.0507009873554804934193349852946;
constexpr auto selu = [](auto x, decltype(x), decltype(x)) {
  using T = decltype(x);
  return x > T{0} ? static_cast<T>(selu_scale) * x : static_cast<T>(selu_scale * selu_alpha) * std::expm1(x);
};
constexpr auto softplus = [](auto x, decltype(x) beta, decltype(x) threshold) {
  return x * beta > threshold ? x : std::log1p(std::exp(x * beta)) / beta;
};
constexpr auto mish = [](auto x, decltype(x), decltype(x)) { return x * std::tanh(std::log1p(std::exp(x))); };
constexpr auto silu = [](auto x, decltype(x), decltype(x)) { return x * logistic(x); };
constexpr auto hard_shrink = [](auto x, decltype(x) lambd, decltype(x)) {
  return x >= -lambd && x <= lambd ? decltype(x){0} : x;
};
constexpr auto soft_shrink = [](auto x, decltype(x) lambd, decltype(x)) {
  return x > lambd ? x - lambd : (x < -lambd ? x + lambd : (x != x ? x : decltype(x){0}));
};
constexpr auto threshold = [](auto x, decltype(x) limit, decltype(x) value) { return x <= limit ? value : x; };
constexpr auto log_sigmoid = [](auto x, decltype(x), decltype(x)) {
  using T = decltype(x);
  return (x < T{0} ? x : T{0}) - std::log1p(std::exp(-std::fabs(x)));
};
constexpr auto gelu_erf = [](auto x, decltype(x), decltype(x)) {
  using T = decltype(x);
  return x * T{0.5} * (T{1} + std::erf(x * static_cast<T>(std::numbers::sqrt2 / 2)));
};
constexpr auto gelu_tanh = [](auto x, decltype(x), decltype(x)) {
  using T = decltype(x);
  const T beta = static_cast<T>(std::numbers::sqrt2 * std::numbers::inv_sqrtpi);  // sqrt(2 / pi)
  return T{0.5} * x * (T{1} + std::tanh(beta * (x + static_cast<T>(0.044715) * x * x * x)));
};
constexpr auto relu6 = [](auto x) {
  using T = decltype(x);
  return x < T{0} ? T{0} : (x > T{6} ? T{6} : x);
};
constexpr auto hard_sigmoid = [](auto x, decltype(x), decltype(x)) {
  using T = decltype(x);
  return relu6(x + T{3}) / T{6};
};
constexpr auto hard_swish = [](auto x, decltype(x), decltype(x)) {
  using T = decltype(x);
  return x * relu6(x + T{3}) / T{6};
};
constexpr auto softsign = [](auto x, decltype(x), decltype(x)) { return x / (decltype(x){1} + std::fabs(x)); };

template <auto F>
Status eval_plain(const EvalCall& c) {
  return with_parameters<F>(c, 0);
}
template <auto F>
Status eval_alpha(const EvalCall& c) {
  return with_parameters<F>(c, c.attrs.f("alpha"));
}
template <auto F>
Status eval_lambd(const EvalCall& c) {
  return with_parameters<F>(c, c.attrs.f("lambd"));
}
Status eval_softplus(const EvalCall& c) {
  return with_parameters<softplus>(c, c.attrs.f("beta"), c.attrs.f("threshold"));
}
Status eval_threshold(const EvalCall& c) {
  return with_parameters<threshold>(c, c.attrs.f("threshold"), c.attrs.f("value"));
}
Status eval_gelu(const EvalCall& c) {
  return c.attrs.s("approximate") == "tanh" ? with_parameters<gelu_tanh>(c, 0) : with_parameters<gelu_erf>(c, 0);
}

Types infer_gelu(const InferCall& c) {
  const std::string& kind = c.attrs.s("approximate");
  if (kind != "none" && kind != "tanh") {
    return infer_error(diag::bad_attribute, c, "approximate = \"" + kind + "\"", "Use \"none\" or \"tanh\".");
  }
  return infer_same<fl>(c);
}

// A bound outside the integer's range leaves that side open.
template <class T>
compute_t<T> bound_of(double bound) {
  using C = compute_t<T>;
  if constexpr (std::is_integral_v<C>) {
    if (bound <= static_cast<double>(std::numeric_limits<C>::lowest())) return std::numeric_limits<C>::lowest();
    if (bound >= static_cast<double>(std::numeric_limits<C>::max())) return std::numeric_limits<C>::max();
  }
  return static_cast<C>(bound);
}

// NaN stays; when min > max the result is max (PyTorch).
Status eval_clamp(const EvalCall& c) {
  const double low = c.attrs.f("min"), high = c.attrs.f("max");
  const bool ok = dispatch_in<types::number>(c.in[0].dtype, [&]<class T>() {
    const auto min = bound_of<T>(low), max = bound_of<T>(high);
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    const int64_t n = c.out[0].count();
    for (int64_t i = 0; i < n; ++i) {
      auto v = static_cast<compute_t<T>>(x[i]);
      v = v < min ? min : v;
      y[i] = static_cast<T>(v > max ? max : v);
    }
  });
  return kernel_status(ok, c);
}

Types infer_clamp(const InferCall& c) {
  if (std::isnan(c.attrs.f("min")) || std::isnan(c.attrs.f("max"))) {
    return infer_error(diag::bad_attribute, c, "a bound is NaN");
  }
  return infer_same<types::number>(c);
}

// The slope is one number or one per channel (dim 1).
Types infer_prelu(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, fl));
  NPU_TRY(expect_same_dtype(c, 0, 1));
  NPU_TRY(expect_rank(c, 1, 0, 1));
  const Shape& x = c.in[0]->shape;
  const int64_t axis = c.attrs.i("axis");
  if (axis < 0) return infer_error(diag::bad_attribute, c, "axis is negative");
  const int64_t channels = axis < static_cast<int64_t>(x.size()) ? x[static_cast<size_t>(axis)] : 1;
  const int64_t slopes = element_count(c.in[1]->shape);
  if (slopes != 1 && slopes != channels) {
    return infer_error(diag::shape_mismatch, c, "the slope must hold 1 value or one per channel");
  }
  return infer_same<fl>(c);
}

Status eval_prelu(const EvalCall& c) {
  const std::span<const int64_t> shape = c.in[0].shape;
  const int64_t slopes = c.in[1].count();
  const auto behind = static_cast<size_t>(c.attrs.i("axis") + 1);
  const int64_t inner = shape.size() > behind ? element_count(shape.subspan(behind)) : 1;
  const bool ok = dispatch_in<fl>(c.in[0].dtype, [&]<class T>() {
    using C = compute_t<T>;
    const T* x = c.in[0].template as<T>();
    const T* slope = c.in[1].template as<T>();
    T* y = c.out[0].template as<T>();
    const int64_t n = c.out[0].count();
    for (int64_t i = 0; i < n; ++i) {
      const C v = static_cast<C>(x[i]);
      y[i] = static_cast<T>(v > C{0} ? v : v * static_cast<C>(slope[slopes == 1 ? 0 : i / inner % slopes]));
    }
  });
  return kernel_status(ok, c);
}

Types infer_softmax(const InferCall& c) {
  NPU_TRY(expect_types(c, 0, fl));
  NPU_TRY(axis_of(c, "axis", c.in[0]->shape.size()));
  return infer_same<fl>(c);
}

// One line of `size` elements `step` apart. The sum is kept in double.
template <class T, bool log_form>
void softmax_line(const T* x, T* y, int64_t size, int64_t step) {
  using C = compute_t<T>;
  C max = -std::numeric_limits<C>::infinity();
  for (int64_t i = 0; i < size; ++i) {
    const C v = static_cast<C>(x[i * step]);
    if (v > max || v != v) max = v;
  }
  double sum = 0;
  if constexpr (log_form) {
    for (int64_t i = 0; i < size; ++i) sum += static_cast<double>(std::exp(static_cast<C>(x[i * step]) - max));
    const C log_sum = static_cast<C>(std::log(sum));
    for (int64_t i = 0; i < size; ++i) y[i * step] = static_cast<T>(static_cast<C>(x[i * step]) - max - log_sum);
  } else {
    std::vector<C> e(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i) {
      e[i] = std::exp(static_cast<C>(x[i * step]) - max);
      sum += static_cast<double>(e[i]);
    }
    const C total = static_cast<C>(sum);
    for (int64_t i = 0; i < size; ++i) y[i * step] = static_cast<T>(e[i] / total);
  }
}

template <bool log_form>
Status eval_softmax(const EvalCall& c) {
  const std::span<const int64_t> shape = c.in[0].shape;
  const size_t axis = static_cast<size_t>(known_axis(c.attrs, "axis", shape.size()));
  const int64_t size = shape.empty() ? 1 : shape[axis];
  const int64_t inner = shape.empty() ? 1 : element_count(shape.subspan(axis + 1));
  const int64_t outer = shape.empty() ? 1 : element_count(shape.first(axis));
  const bool ok = dispatch_in<fl>(c.in[0].dtype, [&]<class T>() {
    const T* x = c.in[0].template as<T>();
    T* y = c.out[0].template as<T>();
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t k = 0; k < inner; ++k) {
        const int64_t at = o * size * inner + k;
        softmax_line<T, log_form>(x + at, y + at, size, inner);
      }
    }
  });
  return kernel_status(ok, c);
}

constexpr AttrDef softmax_attrs[] = {{"axis", AttrKind::integer, "-1", "the axis whose elements sum to 1"}};
constexpr AttrDef alpha_001[] = {{"alpha", AttrKind::real, "0.01", "slope below 0"}};
constexpr AttrDef alpha_1[] = {{"alpha", AttrKind::real, "1.0", "negated limit toward -inf"}};
constexpr AttrDef lambd_05[] = {{"lambd", AttrKind::real, "0.5", "half width of the zero zone"}};
constexpr AttrDef softplus_attrs[] = {{"beta", AttrKind::real, "1.0", "sharpness"},
                                      {"threshold", AttrKind::real, "20.0", "x * beta above this gives x"}};
constexpr AttrDef threshold_attrs[] = {{"threshold", AttrKind::real, "", "largest x that is replaced"},
                                       {"value", AttrKind::real, "", "the replacement"}};
constexpr AttrDef gelu_attrs[] = {{"approximate", AttrKind::string, "\"none\"", "\"none\" (erf) or \"tanh\""}};
constexpr AttrDef clamp_attrs[] = {{"min", AttrKind::real, "-inf", "lower bound; -inf = none"},
                                   {"max", AttrKind::real, "inf", "upper bound; inf = none"}};
constexpr AttrDef prelu_attrs[] = {{"axis", AttrKind::integer, "1", "the channel dim"}};
constexpr PortDef prelu_in[] = {{"x"}, {"slope"}};

constexpr OpDef activation(std::string_view name, std::string_view doc, EvalFn eval,
                           std::span<const AttrDef> attrs = {}, std::string_view body = {},
                           Exactness exact = Exactness::approximate, InferFn infer = infer_same<fl>) {
  return {.name = name,
          .doc = doc,
          .in = ports::x,
          .out = ports::y,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .body = body,
          .exact = exact,
          .axes = {AxisRule::elementwise},
          .quant = QuantRule::free_output};
}

constexpr OpDef softmax_row(std::string_view name, std::string_view doc, EvalFn eval) {
  OpDef row = activation(name, doc, eval, softmax_attrs, {}, Exactness::approximate, infer_softmax);
  row.axes = {AxisRule::remap, remap_axis};
  row.quant = QuantRule::fixed_output;
  return row;
}

using enum Exactness;

constexpr OpDef rows[] = {
    activation("leaky_relu", "x > 0 ? x : alpha * x", eval_alpha<leaky>, alpha_001,
               "%y = where(greater(%x, 0), %x, mul(%x, $alpha))", rounding),
    activation("elu", "x > 0 ? x : alpha * (e^x - 1)", eval_alpha<elu>, alpha_1,
               "%y = where(greater(%x, 0), %x, mul($alpha, expm1(%x)))"),
    activation("celu", "x > 0 ? x : alpha * (e^(x / alpha) - 1)", eval_alpha<celu>, alpha_1,
               "%y = where(greater(%x, 0), %x, mul($alpha, expm1(div(%x, $alpha))))"),
    activation("selu", "elu with alpha 1.6732632423543772, scaled by 1.0507009873554805", eval_plain<selu>, {},
               "%y = mul(elu(%x, alpha=1.6732632423543772), 1.0507009873554805)"),
    activation("gelu", "x * P(X <= x) for a normal X; \"tanh\" is the usual approximation", eval_gelu, gelu_attrs, {},
               approximate, infer_gelu),
    activation("silu", "x * sigmoid(x)", eval_plain<silu>, {}, "%y = mul(%x, sigmoid(%x))"),
    activation("hard_swish", "x * min(max(x + 3, 0), 6) / 6", eval_plain<hard_swish>, {},
               "%y = div(mul(%x, clamp(add(%x, 3), min=0.0, max=6.0)), 6)", rounding),
    activation("hard_sigmoid", "min(max(x + 3, 0), 6) / 6", eval_plain<hard_sigmoid>, {},
               "%y = div(clamp(add(%x, 3), min=0.0, max=6.0), 6)", rounding),
    activation("softplus", "log(1 + e^(beta * x)) / beta", eval_softplus, softplus_attrs,
               "%s = mul(%x, $beta); %y = where(greater(%s, $threshold), %x, div(log1p(exp(%s)), $beta))"),
    activation("softsign", "x / (1 + |x|)", eval_plain<softsign>, {}, "%y = div(%x, add(abs(%x), 1))", rounding),
    activation("mish", "x * tanh(log(1 + e^x))", eval_plain<mish>, {}, "%y = mul(%x, tanh(log1p(exp(%x))))"),
    activation("hard_shrink", "0 where |x| <= lambd, else x", eval_lambd<hard_shrink>, lambd_05,
               "%y = where(less_equal(abs(%x), $lambd), 0, %x)", bit_exact),
    activation("soft_shrink", "x moved toward 0 by lambd, 0 within", eval_lambd<soft_shrink>, lambd_05,
               "%y = mul(sign(%x), relu(sub(abs(%x), $lambd)))", rounding),
    activation("threshold", "x <= threshold ? value : x", eval_threshold, threshold_attrs,
               "%y = where(less_equal(%x, $threshold), $value, %x)", bit_exact),
    activation("log_sigmoid", "log(sigmoid(x))", eval_plain<log_sigmoid>, {},
               "%y = sub(minimum(%x, 0), log1p(exp(neg(abs(%x)))))"),
    {.name = "clamp",
     .doc = "min(max(x, min), max); NaN stays",
     .in = ports::x,
     .out = ports::y,
     .attrs = clamp_attrs,
     .infer = infer_clamp,
     .eval = eval_clamp,
     .axes = {AxisRule::elementwise},
     .quant = QuantRule::same_as_input},
    {.name = "prelu",
     .doc = "x > 0 ? x : slope * x; one slope, or one per index of the channel dim",
     .in = prelu_in,
     .out = ports::y,
     .attrs = prelu_attrs,
     .infer = infer_prelu,
     .eval = eval_prelu,
     .exact = rounding,
     .axes = {AxisRule::remap, remap_axis},
     .quant = QuantRule::free_output},
    softmax_row("softmax", "e^x / sum(e^x) along axis, computed relative to the maximum", eval_softmax<false>),
    softmax_row("log_softmax", "x - log(sum(e^x)) along axis, computed relative to the maximum", eval_softmax<true>),
};

}  // namespace

std::span<const OpDef> ops_activation() { return rows; }

}  // namespace npuport
