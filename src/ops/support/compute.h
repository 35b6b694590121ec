// Neural kernels compute in float (f16, bf16, f32), double (f64) or int64 (integers); this adapts the storage types.
#pragma once

#include <type_traits>
#include <vector>

#include "ir/tensor.h"

namespace npuport {

// Value conversion between storage and compute types; floats reach f16 and bf16 through float.
template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (std::is_same_v<To, Float16> || std::is_same_v<To, BFloat16>) {
    return To(static_cast<float>(v));
  } else {
    return static_cast<To>(v);
  }
}

// Calls fn.template operator()<T>() with T = float or double; false for any other dtype than f16, bf16, f32, f64.
template <class Fn>
bool with_float_compute(DType t, Fn&& fn) {
  if (!is_float(t)) return false;
  if (t == DType::f64) {
    fn.template operator()<double>();
  } else {
    fn.template operator()<float>();
  }
  return true;
}

// The same, and int64_t for integers and bool.
template <class Fn>
bool with_compute(DType t, Fn&& fn) {
  if (with_float_compute(t, fn)) return true;
  if (!is_integer(t) && t != DType::boolean) return false;
  fn.template operator()<int64_t>();
  return true;
}

// An input as an array of T: borrowed when it is stored so, else a converted copy. nullptr data when absent.
template <class T>
class Operand {
 public:
  explicit Operand(const View& v) {
    if (!v.present()) return;
    if (v.dtype == dtype_of<T>::value) {
      data_ = v.as<T>();
      return;
    }
    copy_.resize(static_cast<size_t>(v.count()));
    dispatch(v.dtype, [&]<class S>() {
      const S* s = v.as<S>();
      for (size_t i = 0; i < copy_.size(); ++i) copy_[i] = convert<T>(s[i]);
    });
    data_ = copy_.data();
  }
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;

  const T* data() const { return data_; }
  T operator[](int64_t i) const { return data_[i]; }

 private:
  const T* data_ = nullptr;
  std::vector<T> copy_;
};

// An output as an array of T; call store() at the end to convert when the output is stored in another type.
template <class T>
class Target {
 public:
  explicit Target(const MutView& v) : view_(v) {
    if (v.dtype == dtype_of<T>::value) {
      data_ = v.as<T>();
    } else {
      copy_.resize(static_cast<size_t>(v.count()));
      data_ = copy_.data();
    }
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  T* data() { return data_; }
  void store() {
    if (view_.dtype == dtype_of<T>::value) return;
    dispatch(view_.dtype, [&]<class S>() {
      S* s = view_.as<S>();
      for (size_t i = 0; i < copy_.size(); ++i) s[i] = convert<S>(copy_[i]);
    });
  }

 private:
  MutView view_;
  T* data_ = nullptr;
  std::vector<T> copy_;
};

}  // namespace npuport
