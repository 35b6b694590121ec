// Discrete Fourier transforms by their definition: products with constant matrices and convolutions. Lengths are those
// of audio frames and feature maps, where this is what an NPU can run.
#include <cmath>
#include <numbers>

#include "base/diag_codes.h"
#include "frontends/aten_complex.h"

namespace npuport {
namespace {

using Args = std::vector<IValue>;
constexpr int64_t kMaxLength = 8192;

// cos and sin of 2πkt/n with the angle reduced exactly first.
double angle(int64_t k, int64_t t, int64_t n) {
  return 2 * std::numbers::pi * static_cast<double>(k * t % n) / static_cast<double>(n);
}

// [n, m] matrix of cos (or sin) of 2πkt/n · scale.
ValueId matrix(Builder& b, int64_t n, int64_t m, int64_t period, bool sine, double scale) {
  Tensor t = Tensor::zeros(DType::f32, {n, m});
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < m; ++k) {
      const double a = angle(i, k, period);
      t.mut<float>()[static_cast<size_t>(i * m + k)] = static_cast<float>(scale * (sine ? std::sin(a) : std::cos(a)));
    }
  return b.constant(std::move(t));
}

class Fourier {
 public:
  explicit Fourier(AtenBinder& binder) : binder_(binder), b_(binder.builder()) {}

  // exp(−2πi/n) (forward) or exp(+2πi/n) transform along `dim`, all n outputs.
  Result<ComplexParts> complex(ComplexParts x, int64_t dim, bool inverse, double scale) {
    NPU_ASSIGN(const int64_t n, length(x.re, dim));
    const ValueId cos = matrix(b_, n, n, n, false, scale), sin = matrix(b_, n, n, n, true, inverse ? scale : -scale);
    ComplexParts out;
    NPU_ASSIGN(out.re, product(x.re, cos, dim));
    NPU_ASSIGN(out.im, product(x.re, sin, dim));
    if (!x.im.valid()) return out;
    NPU_ASSIGN(const ValueId ii, product(x.im, sin, dim));
    NPU_ASSIGN(const ValueId ir, product(x.im, cos, dim));
    out.re = b_.sub(out.re, ii);
    out.im = b_.add(out.im, ir);
    return checked(out);
  }

  // Real input, the n/2 + 1 outputs that are not redundant.
  Result<ComplexParts> real(ValueId x, int64_t dim, double scale) {
    NPU_ASSIGN(const int64_t n, length(x, dim));
    const int64_t m = n / 2 + 1;
    ComplexParts out;
    NPU_ASSIGN(out.re, product(x, matrix(b_, n, m, n, false, scale), dim));
    NPU_ASSIGN(out.im, product(x, matrix(b_, n, m, n, true, -scale), dim));
    return out;
  }

  // Inverse of `real` to length n: x[t] = scale · Σ w_k (re cos − im sin), w = 1 at both ends, 2 between.
  Result<ValueId> inverse_real(ComplexParts x, int64_t dim, int64_t n, double scale) {
    if (n < 1 || n > kMaxLength) return too_long(n);
    const int64_t m = n / 2 + 1;
    NPU_ASSIGN(x.re, resized(x.re, dim, m));
    Tensor cos = Tensor::zeros(DType::f32, {m, n}), sin = Tensor::zeros(DType::f32, {m, n});
    for (int64_t k = 0; k < m; ++k) {
      const double w = scale * (k == 0 || 2 * k == n ? 1 : 2);
      for (int64_t t = 0; t < n; ++t) {
        cos.mut<float>()[static_cast<size_t>(k * n + t)] = static_cast<float>(w * std::cos(angle(k, t, n)));
        sin.mut<float>()[static_cast<size_t>(k * n + t)] = static_cast<float>(w * std::sin(angle(k, t, n)));
      }
    }
    NPU_ASSIGN(const ValueId re, product(x.re, b_.constant(std::move(cos)), dim));
    if (!x.im.valid()) return re;
    NPU_ASSIGN(x.im, resized(x.im, dim, m));
    NPU_ASSIGN(const ValueId im, product(x.im, b_.constant(std::move(sin)), dim));
    const ValueId out = b_.sub(re, im);
    NPU_TRY(b_.take_status());
    return out;
  }

  // Zero-padded or cut to `n` along `dim`.
  Result<ValueId> resized(ValueId x, int64_t dim, int64_t n) {
    const int64_t have = b_.shape(x)[static_cast<size_t>(dim)];
    if (have == n) return x;
    const IValue t(binder_.fresh(x));
    if (have > n) return binder_.run("aten::slice", {t, IValue(dim), IValue(0), IValue(n), IValue(1)});
    std::vector<int64_t> pads(static_cast<size_t>(2 * (static_cast<int64_t>(b_.shape(x).size()) - dim)), 0);
    pads.back() = n - have;
    return binder_.run("aten::constant_pad_nd", {t, IValue::ints(pads)});
  }

  Diag too_long(int64_t n) const {
    return Diag(diag::unsupported, "a Fourier transform of length " + std::to_string(n) + " (the limit is " +
                                       std::to_string(kMaxLength) + ")");
  }

 private:
  Result<int64_t> length(ValueId x, int64_t dim) const {
    const int64_t n = b_.shape(x)[static_cast<size_t>(dim)];
    if (n < 1 || n > kMaxLength) return too_long(n);
    return n;
  }

  // x · w along `dim`: the dimension moves last and back.
  Result<ValueId> product(ValueId x, ValueId w, int64_t dim) {
    const auto rank = static_cast<int64_t>(b_.shape(x).size());
    Ints perm;
    for (int64_t i = 0; i < rank; ++i) perm.push_back(i);
    std::swap(perm[static_cast<size_t>(dim)], perm.back());
    const ValueId moved = b_.transpose(x, perm);
    NPU_TRY(b_.take_status());
    NPU_ASSIGN(const ValueId y, binder_.run("aten::matmul", {IValue(binder_.fresh(moved)), IValue(binder_.fresh(w))}));
    const ValueId back = b_.transpose(y, perm);
    NPU_TRY(b_.take_status());
    return back;
  }

  Result<ComplexParts> checked(ComplexParts p) {
    NPU_TRY(b_.take_status());
    return p;
  }

  AtenBinder& binder_;
  Builder& b_;
};

Result<Ints> int_list(const IValue& v) {
  Ints out;
  if (const int64_t* one = v.as_int()) return Ints{*one};
  if (!v.sequence()) return Diag(diag::unsupported, "a list of ints was expected, not a " + v.type_name());
  for (const IValue& item : *v.sequence()) {
    if (!item.as_int()) return Diag(diag::unsupported, "a list of ints was expected, not of " + item.type_name());
    out.push_back(*item.as_int());
  }
  return out;
}

// scale of a transform of n elements: "backward" (default) divides the inverse, "forward" the forward, "ortho" both.
double scale_of(int64_t n, const IValue* norm, bool inverse) {
  const std::string mode = norm && norm->as_string() ? *norm->as_string() : "backward";
  if (mode == "ortho") return 1 / std::sqrt(static_cast<double>(n));
  return (mode == "forward") != inverse ? 1 / static_cast<double>(n) : 1;
}

struct Transform {
  bool real = false, inverse = false;
  enum { one, two, many } dims = one;
};
std::optional<Transform> parse_name(std::string_view name) {
  if (!name.starts_with("aten::fft_")) return std::nullopt;
  name.remove_prefix(10);
  Transform t;
  if (name.starts_with('i')) t.inverse = true, name.remove_prefix(1);
  if (name.starts_with('r')) t.real = true, name.remove_prefix(1);
  if (!name.starts_with("fft")) return std::nullopt;
  name.remove_prefix(3);
  if (name == "2")
    t.dims = Transform::two;
  else if (name == "n")
    t.dims = Transform::many;
  else if (!name.empty())
    return std::nullopt;
  return t;
}

Result<IValue> transform(AtenBinder& binder, const Transform& t, const Args& args, const Keywords& keywords) {
  const TensorRef input = args.empty() ? nullptr : args[0].as_tensor();
  if (!input) return Diag(diag::unsupported, "a Fourier transform of something that is no tensor");
  NPU_ASSIGN(ComplexParts x, complex_parts(binder, input));
  const auto rank = static_cast<int64_t>(binder.builder().shape(x.re).size());
  const bool single = t.dims == Transform::one;
  const IValue* sizes = find_argument(args, keywords, 1, single ? "n" : "s");
  const IValue* where = find_argument(args, keywords, 2, "dim");
  const IValue* norm = find_argument(args, keywords, 3, "norm");
  Ints dims = single ? Ints{-1} : Ints{-2, -1}, s;
  if (sizes && !sizes->is_none()) {
    NPU_ASSIGN(s, int_list(*sizes));
  }
  if (where && !where->is_none()) {
    NPU_ASSIGN(dims, int_list(*where));
  } else if (t.dims == Transform::many) {
    dims.clear();
    const auto count = s.empty() ? rank : static_cast<int64_t>(s.size());
    for (int64_t i = rank - count; i < rank; ++i) dims.push_back(i);
  }
  for (int64_t& d : dims) {
    if (d < 0) d += rank;
    if (d < 0 || d >= rank) return Diag(diag::raised, "a Fourier transform over a dimension out of range");
  }
  if (dims.empty() || (!s.empty() && s.size() != dims.size()))
    return Diag(diag::raised, "a Fourier transform whose sizes do not fit its dimensions");
  Fourier f(binder);
  const auto size_at = [&](size_t i) { return s.empty() || s[i] < 0 ? int64_t{-1} : s[i]; };
  const auto resize = [&](size_t i) -> Status {
    if (size_at(i) < 0) return {};
    NPU_ASSIGN(x.re, f.resized(x.re, dims[i], size_at(i)));
    if (x.im.valid()) {
      NPU_ASSIGN(x.im, f.resized(x.im, dims[i], size_at(i)));
    }
    return {};
  };
  const auto extent = [&](size_t i) { return binder.builder().shape(x.re)[static_cast<size_t>(dims[i])]; };
  const size_t last = dims.size() - 1;
  if (t.real && !t.inverse) {
    if (x.im.valid()) return Diag(diag::raised, "rfft expects a real input tensor");
    NPU_TRY(resize(last));
    NPU_ASSIGN(x, f.real(x.re, dims[last], scale_of(extent(last), norm, false)));
  }
  for (size_t i = 0; i < dims.size(); ++i) {
    if (t.real && i == last) continue;
    NPU_TRY(resize(i));
    NPU_ASSIGN(x, f.complex(x, dims[i], t.inverse, scale_of(extent(i), norm, t.inverse)));
  }
  if (t.real && t.inverse) {
    const int64_t n = size_at(last) > 0 ? size_at(last) : 2 * (extent(last) - 1);
    NPU_ASSIGN(const ValueId y, f.inverse_real(x, dims[last], n, scale_of(n, norm, true)));
    return IValue(binder.fresh(y));
  }
  NPU_ASSIGN(const TensorRef out, join_complex(binder, x));
  return IValue(out);
}

// ---- stft and istft

struct FrameArgs {
  int64_t n_fft = 0, hop = 0;
  std::vector<double> window;  // n_fft values
  bool normalized = false, onesided = true;
};

Result<FrameArgs> frame_args(AtenBinder& binder, const Args& args, const Keywords& keywords, size_t normalized,
                             size_t onesided) {
  FrameArgs f;
  const IValue* n = find_argument(args, keywords, 1, "n_fft");
  if (!n || !n->as_int() || *n->as_int() < 1 || *n->as_int() > kMaxLength)
    return Diag(diag::unsupported, "stft with this n_fft");
  f.n_fft = *n->as_int();
  const auto given = [&](size_t i, std::string_view name) {
    const IValue* v = find_argument(args, keywords, i, name);
    return v && !v->is_none() ? v : nullptr;
  };
  f.hop = f.n_fft / 4;
  if (const IValue* v = given(2, "hop_length"); v && v->as_int()) f.hop = *v->as_int();
  int64_t length = f.n_fft;
  if (const IValue* v = given(3, "win_length"); v && v->as_int()) length = *v->as_int();
  if (f.hop < 1 || length < 1 || length > f.n_fft) return Diag(diag::raised, "stft: expected 0 < win_length <= n_fft");
  f.window.assign(static_cast<size_t>(f.n_fft), 0);
  const int64_t left = (f.n_fft - length) / 2;
  std::shared_ptr<const Tensor> window;
  if (const IValue* v = given(4, "window")) {
    if (!v->as_tensor() || v->as_tensor()->complex) return Diag(diag::unsupported, "stft with this kind of window");
    NPU_ASSIGN(window, binder.concrete(v->as_tensor(), "the window of a Fourier transform"));
    if (window->count() != length) return Diag(diag::raised, "stft: the window has the wrong length");
  }
  for (int64_t i = 0; i < length; ++i) f.window[static_cast<size_t>(left + i)] = window ? get_double(*window, i) : 1;
  if (const IValue* v = given(normalized, "normalized"); v && v->as_bool()) f.normalized = *v->as_bool();
  if (const IValue* v = given(onesided, "onesided"); v && v->as_bool()) f.onesided = *v->as_bool();
  return f;
}

// Frames of n_fft samples every hop, windowed and transformed: one convolution with 2F output channels.
Result<IValue> stft(AtenBinder& binder, const Args& args, const Keywords& keywords) {
  const bool with_center = args.size() > 5 && args.size() >= 6 && args.size() > 6 && args[6].as_string();
  if (with_center) return Diag(diag::unsupported, "stft with its own padding", "pad first and pass center=False");
  NPU_ASSIGN(const FrameArgs f, frame_args(binder, args, keywords, 5, 6));
  const TensorRef input = args[0].as_tensor();
  if (!input || input->complex) return Diag(diag::unsupported, "stft of complex numbers");
  NPU_ASSIGN(const ValueId x, binder.read(input));
  Builder& b = binder.builder();
  const Shape shape = b.shape(x);
  if (shape.empty() || shape.size() > 2 || shape.back() < f.n_fft)
    return Diag(diag::raised, "stft: the input is too short");
  const int64_t batch = shape.size() == 2 ? shape[0] : 1, bins = f.onesided ? f.n_fft / 2 + 1 : f.n_fft;
  Tensor kernel = Tensor::zeros(DType::f32, {2 * bins, 1, f.n_fft});
  const double scale = f.normalized ? 1 / std::sqrt(static_cast<double>(f.n_fft)) : 1;
  for (int64_t k = 0; k < bins; ++k)
    for (int64_t t = 0; t < f.n_fft; ++t) {
      const double w = scale * f.window[static_cast<size_t>(t)], a = angle(k, t, f.n_fft);
      kernel.mut<float>()[static_cast<size_t>(k * f.n_fft + t)] = static_cast<float>(w * std::cos(a));
      kernel.mut<float>()[static_cast<size_t>((bins + k) * f.n_fft + t)] = static_cast<float>(-w * std::sin(a));
    }
  const ValueId framed = b.reshape(b.cast(x, DType::f32), {batch, 1, shape.back()});
  NPU_TRY(b.take_status());
  NPU_ASSIGN(const ValueId y, binder.run("aten::conv1d", {IValue(binder.fresh(framed)),
                                                          IValue(binder.fresh(b.constant(std::move(kernel)))), IValue(),
                                                          IValue::ints({f.hop})}));
  const int64_t frames = b.shape(y)[2];
  ValueId pairs = b.transpose(b.reshape(y, {batch, 2, bins, frames}), {0, 2, 3, 1});
  if (shape.size() == 1) pairs = b.reshape(pairs, {bins, frames, 2});
  NPU_TRY(b.take_status());
  TensorRef out = binder.fresh(pairs);
  const IValue* complex = find_argument(args, keywords, 7, "return_complex");
  out->complex = complex && complex->as_bool() && *complex->as_bool();
  return IValue(out);
}

// Sum of the squared windows of all frames at each sample.
std::vector<double> envelope(const FrameArgs& f, int64_t frames) {
  std::vector<double> out(static_cast<size_t>(f.n_fft + f.hop * (frames - 1)), 0);
  for (int64_t i = 0; i < frames; ++i)
    for (int64_t t = 0; t < f.n_fft; ++t) {
      const double w = f.window[static_cast<size_t>(t)];
      out[static_cast<size_t>(i * f.hop + t)] += w * w;
    }
  return out;
}

// Inverse: every frame back to samples, windowed, overlapped and added (one transposed convolution), divided by the
// envelope.
Result<IValue> istft(AtenBinder& binder, const Args& args, const Keywords& keywords) {
  NPU_ASSIGN(const FrameArgs f, frame_args(binder, args, keywords, 6, 7));
  const TensorRef input = args[0].as_tensor();
  if (!input || !input->complex || !f.onesided) return Diag(diag::unsupported, "istft of this kind of input");
  NPU_ASSIGN(const ValueId x, binder.read(input));
  Builder& b = binder.builder();
  Shape shape = b.shape(x);  // [(batch,) bins, frames, 2]
  const bool batched = shape.size() == 4;
  if (!batched) shape.insert(shape.begin(), 1);
  const int64_t batch = shape[0], bins = shape[1], frames = shape[2];
  if (shape.size() != 4 || bins != f.n_fft / 2 + 1 || frames < 1)
    return Diag(diag::raised, "istft: wrong number of bins");
  const auto option = [&](size_t i, std::string_view name) {
    const IValue* v = find_argument(args, keywords, i, name);
    return v && !v->is_none() ? v : nullptr;
  };
  bool center = true;
  if (const IValue* v = option(5, "center"); v && v->as_bool()) center = *v->as_bool();
  const double scale = f.normalized ? 1 / std::sqrt(static_cast<double>(f.n_fft)) : 1 / static_cast<double>(f.n_fft);
  Tensor kernel = Tensor::zeros(DType::f32, {2 * bins, 1, f.n_fft});
  for (int64_t k = 0; k < bins; ++k)
    for (int64_t t = 0; t < f.n_fft; ++t) {
      const double w = scale * f.window[static_cast<size_t>(t)] * (k == 0 || 2 * k == f.n_fft ? 1 : 2);
      kernel.mut<float>()[static_cast<size_t>(k * f.n_fft + t)] =
          static_cast<float>(w * std::cos(angle(k, t, f.n_fft)));
      kernel.mut<float>()[static_cast<size_t>((bins + k) * f.n_fft + t)] =
          static_cast<float>(-w * std::sin(angle(k, t, f.n_fft)));
    }
  const ValueId channels =
      b.reshape(b.transpose(b.reshape(x, {batch, bins, frames, 2}), {0, 3, 1, 2}), {batch, 2 * bins, frames});
  NPU_TRY(b.take_status());
  NPU_ASSIGN(ValueId y, binder.run("aten::conv_transpose1d",
                                   {IValue(binder.fresh(channels)), IValue(binder.fresh(b.constant(std::move(kernel)))),
                                    IValue(), IValue::ints({f.hop})}));
  const std::vector<double> sums = envelope(f, frames);
  const auto total = static_cast<int64_t>(sums.size());
  const int64_t begin = center ? f.n_fft / 2 : 0;
  const IValue* wanted = option(8, "length");
  const int64_t end = wanted && wanted->as_int() ? begin + *wanted->as_int() : center ? total - f.n_fft / 2 : total;
  if (begin >= total || end <= begin) return Diag(diag::raised, "istft: nothing is left");
  const int64_t stop = std::min(end, total);
  Tensor inverse = Tensor::zeros(DType::f32, {stop - begin});
  for (int64_t i = begin; i < stop; ++i) {
    const double s = sums[static_cast<size_t>(i)];
    if (s < 1e-11) return Diag(diag::raised, "istft: window overlap add min is 0: the windows leave gaps");
    inverse.mut<float>()[static_cast<size_t>(i - begin)] = static_cast<float>(1 / s);
  }
  y = b.reshape(y, {batch, total});
  NPU_TRY(b.take_status());
  NPU_ASSIGN(y,
             binder.run("aten::slice", {IValue(binder.fresh(y)), IValue(1), IValue(begin), IValue(stop), IValue(1)}));
  y = b.mul(y, b.constant(std::move(inverse)));
  NPU_TRY(b.take_status());
  if (end > stop) {
    NPU_ASSIGN(y, binder.run("aten::constant_pad_nd", {IValue(binder.fresh(y)), IValue::ints({0, end - stop})}));
  }
  if (!batched) y = b.reshape(y, {end - begin});
  NPU_TRY(b.take_status());
  return IValue(binder.fresh(y));
}

}  // namespace

Result<bool> fourier_operator(AtenBinder& binder, std::string_view name, const Args& args, const Keywords& keywords,
                              IValue& result) {
  if (name == "aten::stft") {
    NPU_ASSIGN(result, stft(binder, args, keywords));
    return true;
  }
  if (name == "aten::istft") {
    NPU_ASSIGN(result, istft(binder, args, keywords));
    return true;
  }
  const std::optional<Transform> t = parse_name(name);
  if (!t) return false;
  NPU_ASSIGN(result, transform(binder, *t, args, keywords));
  return true;
}

}  // namespace npuport
