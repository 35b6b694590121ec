// ATen: tensors from nothing but numbers; everything here is a constant.
#include <cmath>
#include <numbers>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// PyTorch's default dtype of a Python number.
DType number_type(const AtenScalar& v) {
  if (v.kind == AtenScalar::real) return DType::f32;
  return v.kind == AtenScalar::boolean ? DType::boolean : DType::i64;
}

template <int value>
void filled(AtenCall& c) {
  c.ret(full(c.b, c.ints("size"), integer(value), c.dtype("dtype").value_or(DType::f32)));
}
template <int value>
void filled_like(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(full(c.b, c.b.shape(x), integer(value), c.dtype("dtype").value_or(c.b.dtype(x))));
}
template <int value>
void new_filled(AtenCall& c) {
  c.ret(full(c.b, c.ints("size"), integer(value), c.dtype("dtype").value_or(c.b.dtype(c.tensor("self")))));
}
void full_of(AtenCall& c) {
  const AtenScalar v = c.scalar("fill_value");
  c.ret(full(c.b, c.ints("size"), v, c.dtype("dtype").value_or(number_type(v))));
}
void full_like(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(full(c.b, c.b.shape(x), c.scalar("fill_value"), c.dtype("dtype").value_or(c.b.dtype(x))));
}
void new_full(AtenCall& c) {
  const DType t = c.dtype("dtype").value_or(c.b.dtype(c.tensor("self")));
  c.ret(full(c.b, c.ints("size"), c.scalar("fill_value"), t));
}
void scalar_tensor(AtenCall& c) { c.ret(number(c.b, c.scalar("s"), c.dtype("dtype").value_or(DType::f32))); }

void fill_scalar(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(full(c.b, c.b.shape(x), c.scalar("value"), c.b.dtype(x)));
}
void fill_tensor(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.expand(c.b.cast(c.tensor("value"), c.b.dtype(x)), c.b.shape(x)));
}
void zero(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(full(c.b, c.b.shape(x), integer(0), c.b.dtype(x)));
}
void copy(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.expand(c.b.cast(c.tensor("src"), c.b.dtype(x)), c.b.shape(x)));
}

// A constant of doubles in the wanted type. At most 2^26 elements.
void ret_reals(AtenCall& c, const Reals& values, Shape shape, DType t) {
  c.ret(c.b.constant(cast_tensor(Tensor::of<double>(std::move(shape), std::span<const double>(values)), t)));
}

bool reasonable(AtenCall& c, double count) {
  if (count >= 0 && count <= static_cast<double>(1 << 26)) return true;
  refuse(c, diag::too_large, "a generated tensor would have " + std::to_string(count) + " elements");
  return false;
}

// ceil((end - start) / step) elements. Integer types truncate start and step, int64 also the end (PyTorch counts the
// elements of the narrower types with the bounds as given). Floats are start + i * step in double.
void range(AtenCall& c, const AtenScalar& start, const AtenScalar& end, const AtenScalar& step) {
  const bool real_numbers =
      start.kind == AtenScalar::real || end.kind == AtenScalar::real || step.kind == AtenScalar::real;
  const DType t = c.dtype("dtype").value_or(real_numbers ? DType::f32 : DType::i64);
  const auto bound = [&](const AtenScalar& s) {
    return t == DType::i64 ? static_cast<double>(s.as_int()) : s.as_double();
  };
  const double from = bound(start), to = bound(end), by = bound(step);
  if (by == 0 || (by > 0 ? from > to : from < to)) {
    return refuse(c, diag::raised, "arange: the step does not lead from start to end");
  }
  const double count = std::ceil((to - from) / by);
  if (!reasonable(c, count)) return;
  const int64_t n = static_cast<int64_t>(count);
  if (!is_float(t)) {
    Tensor v = Tensor::zeros(DType::i64, {n});
    const std::span<int64_t> out = v.mut<int64_t>();
    for (int64_t i = 0; i < n; ++i) out[static_cast<size_t>(i)] = start.as_int() + i * step.as_int();
    return c.ret(c.b.constant(t == DType::i64 ? std::move(v) : cast_tensor(v, t)));
  }
  Reals values(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) values[static_cast<size_t>(i)] = from + static_cast<double>(i) * by;
  ret_reals(c, values, {n}, t);
}
void arange(AtenCall& c) { range(c, integer(0), c.scalar("end"), integer(1)); }
void arange_start(AtenCall& c) { range(c, c.scalar("start"), c.scalar("end"), integer(1)); }
void arange_step(AtenCall& c) { range(c, c.scalar("start"), c.scalar("end"), c.scalar("step")); }

// Counted from the nearer end, as PyTorch does, so that both ends are exact. T is the type the steps are computed in.
template <class T>
Reals evenly_spaced(double start, double end, int64_t n) {
  Reals out(static_cast<size_t>(n));
  const T from = static_cast<T>(start), to = static_cast<T>(end);
  const T step = n > 1 ? (to - from) / static_cast<T>(n - 1) : T{0};
  for (int64_t i = 0; i < n; ++i) {
    const T v = i < n / 2 || n == 1 ? from + step * static_cast<T>(i) : to - step * static_cast<T>(n - 1 - i);
    out[static_cast<size_t>(i)] = static_cast<double>(v);
  }
  return out;
}
Reals spaced(double start, double end, int64_t n, DType t) {
  return t == DType::f64 ? evenly_spaced<double>(start, end, n) : evenly_spaced<float>(start, end, n);
}

void linspace(AtenCall& c) {
  const DType t = c.dtype("dtype").value_or(DType::f32);
  const int64_t n = c.is_none("steps") ? 100 : c.i("steps");
  if (!reasonable(c, static_cast<double>(n))) return;
  ret_reals(c, spaced(c.scalar("start").as_double(), c.scalar("end").as_double(), n, t), {n}, t);
}
void logspace(AtenCall& c) {
  const DType t = c.dtype("dtype").value_or(DType::f32);
  const int64_t n = c.is_none("steps") ? 100 : c.i("steps");
  if (!reasonable(c, static_cast<double>(n))) return;
  Reals values = spaced(c.scalar("start").as_double(), c.scalar("end").as_double(), n, DType::f64);
  for (double& v : values) v = std::pow(c.f("base"), v);
  ret_reals(c, values, {n}, t);
}

void identity_matrix(AtenCall& c, int64_t n, int64_t m) {
  if (!reasonable(c, static_cast<double>(n) * static_cast<double>(m))) return;
  Reals values(static_cast<size_t>(n * m), 0.0);
  for (int64_t i = 0; i < std::min(n, m); ++i) values[static_cast<size_t>(i * m + i)] = 1.0;
  ret_reals(c, values, {n, m}, c.dtype("dtype").value_or(DType::f32));
}

// Rows and columns of a triangle's cells in row-major order: a 2 x count matrix.
template <bool lower>
void triangle_indices(AtenCall& c) {
  const int64_t rows = c.i("row"), cols = c.i("col"), offset = c.i("offset");
  if (rows < 0 || cols < 0 || !reasonable(c, static_cast<double>(rows) * static_cast<double>(cols))) return;
  Ints r, k;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      if (lower ? j - i > offset : j - i < offset) continue;
      r.push_back(i);
      k.push_back(j);
    }
  }
  const int64_t n = static_cast<int64_t>(r.size());
  r.insert(r.end(), k.begin(), k.end());
  c.ret(c.b.cast(c.b.reshape(c.b.ints(r), {2, n}), c.dtype("dtype").value_or(DType::i64)));
}

// Windows of a period (or symmetric) of n: f(angle) with angle = 2 pi i / n.
template <class Fn>
void window(AtenCall& c, bool periodic, Fn&& f) {
  const int64_t n = c.i("window_length");
  if (!reasonable(c, static_cast<double>(n))) return;
  const double period = static_cast<double>(periodic ? n : n - 1);
  Reals values(static_cast<size_t>(n), 1.0);
  for (int64_t i = 0; i < n && n > 1; ++i) {
    values[static_cast<size_t>(i)] = f(static_cast<double>(i) / period);
  }
  ret_reals(c, values, {n}, c.dtype("dtype").value_or(DType::f32));
}
double cosine_window(double alpha, double beta, double at) {
  return alpha - beta * std::cos(2.0 * std::numbers::pi * at);
}
double blackman(double at) {
  const double angle = 2.0 * std::numbers::pi * at;
  return 0.42 - 0.5 * std::cos(angle) + 0.08 * std::cos(2.0 * angle);
}
double bartlett(double at) { return at <= 0.5 ? 2.0 * at : 2.0 - 2.0 * at; }
void kaiser(AtenCall& c, bool periodic, double beta) {
  window(c, periodic, [&](double at) {
    const double r = 2.0 * at - 1.0;
    return std::cyl_bessel_i(0.0, beta * std::sqrt(std::max(0.0, 1.0 - r * r))) / std::cyl_bessel_i(0.0, beta);
  });
}

void vander(AtenCall& c) {
  const ValueId x = c.tensor("x");
  const int64_t rows = element_count(c.b.shape(x)), n = c.is_none("N") ? rows : c.i("N");
  if (!reasonable(c, static_cast<double>(rows) * static_cast<double>(n)) || n < 1) return;
  Ints powers(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) powers[static_cast<size_t>(i)] = c.flag("increasing") ? i : n - 1 - i;
  const ValueId base = c.b.reshape(x, {rows, 1});
  c.ret(c.b.op("pow", {base, c.b.cast(c.b.ints(powers), c.b.dtype(x))}));
}

#define OPTIONS "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"
#define FORMAT ", MemoryFormat? memory_format=None) -> Tensor"

constexpr Promote N = Promote::none;

constexpr AtenRow rows[] = {
    {"zeros(int[] size, *, " OPTIONS ") -> Tensor", {}, N, filled<0>},
    {"ones(int[] size, *, " OPTIONS ") -> Tensor", {}, N, filled<1>},
    {"empty.memory_format(int[] size, *, " OPTIONS FORMAT, {}, N, filled<0>},
    {"empty_strided(int[] size, int[] stride, *, " OPTIONS ") -> Tensor", {}, N, filled<0>},
    {"empty_permuted(int[] size, int[] physical_layout, *, " OPTIONS ") -> Tensor", {}, N, filled<0>},
    {"full(int[] size, Scalar fill_value, *, " OPTIONS ") -> Tensor", {}, N, full_of},
    {"zeros_like(Tensor self, *, " OPTIONS FORMAT, {}, N, filled_like<0>},
    {"ones_like(Tensor self, *, " OPTIONS FORMAT, {}, N, filled_like<1>},
    {"empty_like(Tensor self, *, " OPTIONS FORMAT, {}, N, filled_like<0>},
    {"full_like(Tensor self, Scalar fill_value, *, " OPTIONS FORMAT, {}, N, full_like},
    {"new_zeros(Tensor self, int[] size, *, " OPTIONS ") -> Tensor", {}, N, new_filled<0>},
    {"new_ones(Tensor self, int[] size, *, " OPTIONS ") -> Tensor", {}, N, new_filled<1>},
    {"new_empty(Tensor self, int[] size, *, " OPTIONS ") -> Tensor", {}, N, new_filled<0>},
    {"new_empty_strided(Tensor self, int[] size, int[] stride, *, " OPTIONS ") -> Tensor", {}, N, new_filled<0>},
    {"new_full(Tensor self, int[] size, Scalar fill_value, *, " OPTIONS ") -> Tensor", {}, N, new_full},
    {"scalar_tensor(Scalar s, *, " OPTIONS ") -> Tensor", {}, N, scalar_tensor},
    {"fill.Scalar(Tensor self, Scalar value) -> Tensor", {}, N, fill_scalar},
    {"fill.Tensor(Tensor self, Tensor value) -> Tensor", {}, N, fill_tensor},
    {"zero(Tensor self) -> Tensor", {}, N, zero},
    {"copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor", {}, N, copy},
    // The longest form first: with two or three positional numbers it must win.
    {"arange.start_step(Scalar start, Scalar end, Scalar step=1, *, " OPTIONS ") -> Tensor", {}, N, arange_step},
    {"arange.start(Scalar start, Scalar end, *, " OPTIONS ") -> Tensor", {}, N, arange_start},
    {"arange(Scalar end, *, " OPTIONS ") -> Tensor", {}, N, arange},
    {"linspace(Scalar start, Scalar end, int? steps=None, *, " OPTIONS ") -> Tensor", {}, N, linspace},
    {"logspace(Scalar start, Scalar end, int? steps=None, float base=10.0, *, " OPTIONS ") -> Tensor", {}, N, logspace},
    {"eye(int n, *, " OPTIONS ") -> Tensor", {}, N, [](AtenCall& c) { identity_matrix(c, c.i("n"), c.i("n")); }},
    {"eye.m(int n, int m, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { identity_matrix(c, c.i("n"), c.i("m")); }},
    {"tril_indices(int row, int col, int offset=0, *, " OPTIONS ") -> Tensor", {}, N, triangle_indices<true>},
    {"triu_indices(int row, int col, int offset=0, *, " OPTIONS ") -> Tensor", {}, N, triangle_indices<false>},
    {"hann_window(int window_length, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { window(c, true, [](double at) { return cosine_window(0.5, 0.5, at); }); }},
    {"hann_window.periodic(int window_length, bool periodic, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { window(c, c.flag("periodic"), [](double at) { return cosine_window(0.5, 0.5, at); }); }},
    {"hamming_window(int window_length, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { window(c, true, [](double at) { return cosine_window(0.54, 0.46, at); }); }},
    {"hamming_window.periodic(int window_length, bool periodic, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { window(c, c.flag("periodic"), [](double at) { return cosine_window(0.54, 0.46, at); }); }},
    {"hamming_window.periodic_alpha(int window_length, bool periodic, float alpha, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) {
       window(c, c.flag("periodic"), [&](double at) { return cosine_window(c.f("alpha"), 0.46, at); });
     }},
    {"hamming_window.periodic_alpha_beta(int window_length, bool periodic, float alpha, float beta, *, " OPTIONS
     ") -> Tensor",
     {},
     N,
     [](AtenCall& c) {
       window(c, c.flag("periodic"), [&](double at) { return cosine_window(c.f("alpha"), c.f("beta"), at); });
     }},
    {"blackman_window(int window_length, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { window(c, true, blackman); }},
    {"blackman_window.periodic(int window_length, bool periodic, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { window(c, c.flag("periodic"), blackman); }},
    {"bartlett_window(int window_length, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { window(c, true, bartlett); }},
    {"bartlett_window.periodic(int window_length, bool periodic, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { window(c, c.flag("periodic"), bartlett); }},
    {"kaiser_window(int window_length, *, " OPTIONS ") -> Tensor", {}, N, [](AtenCall& c) { kaiser(c, true, 12.0); }},
    {"kaiser_window.periodic(int window_length, bool periodic, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { kaiser(c, c.flag("periodic"), 12.0); }},
    {"kaiser_window.beta(int window_length, bool periodic, float beta, *, " OPTIONS ") -> Tensor",
     {},
     N,
     [](AtenCall& c) { kaiser(c, c.flag("periodic"), c.f("beta")); }},
    {"vander(Tensor x, int? N=None, bool increasing=False) -> Tensor", {}, N, vander},
};

#undef OPTIONS
#undef FORMAT

}  // namespace

std::span<const AtenRow> aten_creation() { return rows; }

}  // namespace npuport
