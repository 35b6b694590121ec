#include "base/tensor.h"

#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/diag_codes.h"

namespace npuport {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 40;
constexpr size_t kAlignment = 64;

// Float to integer without undefined behaviour: out of range and NaN give the target's minimum, as x86 hardware (and so
// PyTorch) does for the wide types.
template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<To, bool>) {
    if constexpr (std::is_same_v<From, Float16> || std::is_same_v<From, BFloat16>) {
      return static_cast<float>(v) != 0.0F;
    } else {
      return v != From(0);
    }
  } else if constexpr (std::is_same_v<To, Float16> || std::is_same_v<To, BFloat16>) {
    return To(static_cast<float>(v));
  } else if constexpr (std::is_integral_v<To> && !std::is_integral_v<From>) {
    const auto d = static_cast<double>(v);
    if (!(d > -9.3e18 && d < 9.2233720368547748e18)) return static_cast<To>(std::numeric_limits<int64_t>::min());
    return static_cast<To>(static_cast<int64_t>(d));
  } else {
    return static_cast<To>(v);
  }
}

// Packed 4-bit element i as int.
int64_t get_nibble(const Tensor& t, int64_t i) {
  const auto byte = static_cast<uint8_t>(t.data[i / 2]);
  const int v = (i % 2 == 0) ? byte & 0xF : byte >> 4;
  return t.dtype == DType::i4 && v >= 8 ? v - 16 : v;
}

}  // namespace

int64_t element_count(std::span<const int64_t> shape) {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

std::string to_string(std::span<const int64_t> shape) {
  if (shape.empty()) return "scalar";
  std::string out;
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? "x" : "") + std::to_string(shape[i]);
  return out;
}

std::string to_string(const TensorType& t) {
  std::string s(name(t.dtype));
  s += "[";
  for (size_t i = 0; i < t.shape.size(); ++i) s += (i ? "," : "") + std::to_string(t.shape[i]);
  return s + "]";
}

Status check_shape(std::span<const int64_t> shape) {
  if (shape.size() > 64) return Diag(diag::too_large, "a tensor of rank " + std::to_string(shape.size()));
  // An empty tensor has no elements whatever its other dimensions, but strides and partial products must not overflow.
  bool empty = false;
  for (const int64_t d : shape) empty |= d == 0;
  const int64_t most = empty ? int64_t{1} << 62 : kMaxElements;
  int64_t n = 1;
  for (const int64_t d : shape) {
    if (d < 0) return Diag(diag::shape_mismatch, "negative dimension in shape " + to_string(shape));
    if (d == 0) continue;
    if (n > most / d)
      return Diag(diag::too_large, "a tensor of shape " + to_string(shape) + " has more than 2^40 elements");
    n *= d;
  }
  return {};
}

std::vector<int64_t> strides_of(std::span<const int64_t> shape) {
  std::vector<int64_t> s(shape.size());
  int64_t n = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    s[i] = n;
    n *= shape[i];
  }
  return s;
}

Result<int64_t> normalise_axis(int64_t axis, size_t rank) {
  const auto r = static_cast<int64_t>(rank);
  if (axis < -r || axis >= r)
    return Diag(diag::index_range,
                "axis " + std::to_string(axis) + " is outside a tensor of rank " + std::to_string(r));
  return axis < 0 ? axis + r : axis;
}

Result<Shape> broadcast_shapes(std::span<const int64_t> a, std::span<const int64_t> b) {
  const size_t rank = std::max(a.size(), b.size());
  Shape out(rank);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t x = i < rank - a.size() ? 1 : a[i - (rank - a.size())];
    const int64_t y = i < rank - b.size() ? 1 : b[i - (rank - b.size())];
    if (x != y && x != 1 && y != 1)
      return Diag(diag::shape_mismatch, "shapes " + to_string(a) + " and " + to_string(b) + " do not broadcast");
    out[i] = x == 1 ? y : x;
  }
  return out;
}

Tensor Tensor::zeros(DType dtype, Shape shape) {
  Tensor t;
  t.dtype = dtype;
  t.shape = std::move(shape);
  const auto bytes = static_cast<size_t>(t.bytes());
  const size_t padded = std::max<size_t>(1, (bytes + kAlignment - 1) / kAlignment) * kAlignment;
  void* p = std::aligned_alloc(kAlignment, padded);
  if (!p) std::abort();
  std::memset(p, 0, padded);
  t.owner = std::shared_ptr<const void>(p, [](const void* q) { std::free(const_cast<void*>(q)); });
  t.data = static_cast<const std::byte*>(p);
  return t;
}

double get_double(const Tensor& t, int64_t i) {
  double v = 0;
  if (dispatch(t.dtype, [&]<class T>() { v = static_cast<double>(reinterpret_cast<const T*>(t.data)[i]); })) return v;
  return static_cast<double>(get_nibble(t, i));
}

int64_t get_int(const Tensor& t, int64_t i) {
  int64_t v = 0;
  if (dispatch(t.dtype, [&]<class T>() { v = convert<int64_t>(reinterpret_cast<const T*>(t.data)[i]); })) return v;
  return get_nibble(t, i);
}

Tensor cast_tensor(const Tensor& t, DType to) {
  if (t.dtype == to) return t;
  Tensor out = Tensor::zeros(to, t.shape);
  const int64_t n = t.count();
  dispatch(to, [&]<class To>() {
    To* dst = reinterpret_cast<To*>(out.mutable_data());
    const bool plain = dispatch(t.dtype, [&]<class From>() {
      const From* src = reinterpret_cast<const From*>(t.data);
      for (int64_t i = 0; i < n; ++i) dst[i] = convert<To>(src[i]);
    });
    if (!plain)
      for (int64_t i = 0; i < n; ++i) dst[i] = convert<To>(get_nibble(t, i));
  });
  return out;
}

bool identical(const Tensor& a, const Tensor& b) {
  if (a.dtype != b.dtype || a.shape != b.shape) return false;
  return a.data == b.data || a.bytes() == 0 || std::memcmp(a.data, b.data, static_cast<size_t>(a.bytes())) == 0;
}

}  // namespace npuport
