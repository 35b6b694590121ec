// Constants and buffers: always dense, row-major, little-endian, shared and immutable once they are in a graph.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"

namespace npuport {

// All dimensions are known: npuport works on fixed shapes only (frontends refuse dynamic ones).
using Shape = std::vector<int64_t>;

// Product of the dimensions; 1 for rank 0. Shapes in a graph are checked not to overflow.
int64_t element_count(std::span<const int64_t> shape);
// "1x3x224x224", "scalar" for rank 0.
std::string to_string(std::span<const int64_t> shape);
// Refuses negative dims and products above 2^40 elements (`too_large`).
Status check_shape(std::span<const int64_t> shape);
// Row-major strides in elements.
std::vector<int64_t> strides_of(std::span<const int64_t> shape);
// Maps a possibly negative axis into [0, rank); `index_range` otherwise.
Result<int64_t> normalise_axis(int64_t axis, size_t rank);
// NumPy broadcasting of two shapes; `shape_mismatch` when they do not fit.
Result<Shape> broadcast_shapes(std::span<const int64_t> a, std::span<const int64_t> b);

struct QuantParams {
  std::vector<float> scale;         // one, or one per index of `axis`
  std::vector<int32_t> zero_point;  // same length as scale
  int axis = -1;                    // -1 = per-tensor
  bool operator==(const QuantParams&) const = default;
};

struct TensorType {
  DType dtype = DType::unknown;
  Shape shape;
  std::shared_ptr<const QuantParams> quant;

  // False for results of opaque operators, whose type nobody knows.
  bool known() const { return dtype != DType::unknown; }
  bool operator==(const TensorType& o) const { return dtype == o.dtype && shape == o.shape; }
};
// "f32[1,3,8,8]"
std::string to_string(const TensorType& t);

// A dense array. `data` points into memory kept alive by `owner` (a heap block or a mapped file).
struct Tensor {
  DType dtype = DType::unknown;
  Shape shape;
  std::shared_ptr<const void> owner;
  const std::byte* data = nullptr;

  int64_t count() const { return element_count(shape); }
  int64_t bytes() const { return byte_size(dtype, count()); }

  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data), static_cast<size_t>(count())};
  }

  // Zero-filled heap tensor, 64-byte aligned; write through `mutable_data` before sharing it.
  static Tensor zeros(DType dtype, Shape shape);
  template <class T>
  static Tensor of(Shape shape, std::span<const T> values) {
    Tensor t = zeros(dtype_of<T>::value, std::move(shape));
    if (!values.empty()) std::memcpy(t.mutable_data(), values.data(), values.size_bytes());
    return t;
  }
  template <class T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  template <class T>
  static Tensor scalar(T value) {
    Tensor t = zeros(dtype_of<T>::value, {});
    std::memcpy(t.mutable_data(), &value, sizeof value);
    return t;
  }
  std::byte* mutable_data() { return const_cast<std::byte*>(data); }
  template <class T>
  std::span<T> mut() {
    return {reinterpret_cast<T*>(mutable_data()), static_cast<size_t>(count())};
  }
};

// Element i as double / int64 (floats truncate), for any dtype. For small constants; not for inner loops.
double get_double(const Tensor& t, int64_t i);
int64_t get_int(const Tensor& t, int64_t i);
// A copy in another dtype; float → integer truncates toward zero, anything → bool tests ≠ 0 (PyTorch's rules).
Tensor cast_tensor(const Tensor& t, DType to);
// Same bytes and type.
bool identical(const Tensor& a, const Tensor& b);

// What a reference kernel sees: a borrowed array. data == nullptr means "optional input absent" (or empty tensor).
struct View {
  DType dtype = DType::unknown;
  std::span<const int64_t> shape;
  const void* data = nullptr;

  bool present() const { return dtype != DType::unknown; }
  int64_t count() const { return element_count(shape); }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};

struct MutView {
  DType dtype = DType::unknown;
  std::span<const int64_t> shape;
  void* data = nullptr;

  int64_t count() const { return element_count(shape); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

inline View view(const Tensor& t) { return {t.dtype, t.shape, t.data}; }
inline MutView mutable_view(Tensor& t) { return {t.dtype, t.shape, t.mutable_data()}; }

}  // namespace npuport
