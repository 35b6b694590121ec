// Building blocks of reference kernels: dispatch on element types and broadcasting element-wise loops.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "ops/support/infer.h"
#include "ops/support/loop.h"

namespace npuport {

template <class T>
inline constexpr bool is_half_v = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>;
template <class T>
inline constexpr bool is_floating_v = std::is_floating_point_v<T> || is_half_v<T>;

// What arithmetic on T happens in: float for f16 and bf16, T itself otherwise.
template <class T>
using compute_t = std::conditional_t<is_half_v<T>, float, T>;

// Stores a result of wider arithmetic as T (double → f16 goes through float).
template <class T, class A>
T narrow(A value) {
  if constexpr (is_half_v<T>)
    return T(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

template <class T>
constexpr bool in_set_v(unsigned set) {
  if (is_floating_v<T>) return (set & types::floating) != 0;
  if (std::is_same_v<T, bool>) return (set & types::boolean) != 0;
  return (set & types::integer) != 0;
}

// dispatch() restricted to `set`; false when `t` is not in it or has no kernels (i4, u4).
template <unsigned set, class Fn>
bool dispatch_in(DType t, Fn&& fn) {
  bool done = false;
  dispatch(t, [&]<class T>() {
    if constexpr (in_set_v<T>(set)) {
      fn.template operator()<T>();
      done = true;
    }
  });
  return done;
}

// The row accepts the type but no kernel computes it (i4, u4).
Status no_kernel(const EvalCall& c);
// ok ? success : no_kernel.
inline Status kernel_status(bool ok, const EvalCall& c) { return ok ? Status{} : no_kernel(c); }
// A failure a kernel finds in the data (index out of range, division by zero); names the operator.
Diag eval_error(const DiagCode& code, const EvalCall& c, std::string message);

// y[i] = F(x[i]) with F on compute_t.
template <auto F, unsigned set, bool to_bool = false>
Status eval_unary(const EvalCall& c) {
  const bool ok = dispatch_in<set>(c.in[0].dtype, [&]<class T>() {
    using Out = std::conditional_t<to_bool, bool, T>;
    const T* x = c.in[0].template as<T>();
    Out* y = c.out[0].template as<Out>();
    const int64_t n = c.out[0].count();
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<Out>(F(static_cast<compute_t<T>>(x[i])));
  });
  return kernel_status(ok, c);
}

// y = f(a, b) with NumPy broadcasting; f takes and gives the stored types' compute_t.
template <class In, class Out, class F>
void broadcast_binary(const View& a, const View& b, const MutView& out, F f) {
  using C = compute_t<In>;
  const In* pa = a.as<In>();
  const In* pb = b.as<In>();
  Out* po = out.as<Out>();
  const Loop<3> loop = make_loop<3>(
      out.shape, {broadcast_strides(a.shape, out.shape), broadcast_strides(b.shape, out.shape), strides_of(out.shape)});
  run_rows(loop, [&](const auto& at, int64_t n, const auto& step) {
    const In* x = pa + at[0];
    const In* y = pb + at[1];
    Out* z = po + at[2];
    if (step[0] == 1 && step[1] == 1) {
      for (int64_t i = 0; i < n; ++i) z[i] = static_cast<Out>(f(static_cast<C>(x[i]), static_cast<C>(y[i])));
    } else if (step[0] == 1 && step[1] == 0) {
      const C v = static_cast<C>(*y);
      for (int64_t i = 0; i < n; ++i) z[i] = static_cast<Out>(f(static_cast<C>(x[i]), v));
    } else if (step[0] == 0 && step[1] == 1) {
      const C u = static_cast<C>(*x);
      for (int64_t i = 0; i < n; ++i) z[i] = static_cast<Out>(f(u, static_cast<C>(y[i])));
    } else {
      for (int64_t i = 0; i < n; ++i) {
        z[i * step[2]] = static_cast<Out>(f(static_cast<C>(x[i * step[0]]), static_cast<C>(y[i * step[1]])));
      }
    }
  });
}

template <auto F, unsigned set, bool to_bool = false>
Status eval_binary(const EvalCall& c) {
  const bool ok = dispatch_in<set>(c.in[0].dtype, [&]<class T>() {
    using Out = std::conditional_t<to_bool, bool, T>;
    broadcast_binary<T, Out>(c.in[0], c.in[1], c.out[0], F);
  });
  return kernel_status(ok, c);
}

}  // namespace npuport
