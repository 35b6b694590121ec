// Result<T>: a value or a Diag. Expected failures travel in it; no exceptions cross folders.
#pragma once

#include <cassert>
#include <optional>
#include <utility>
#include <variant>

#include "base/diag.h"

namespace npuport {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Diag error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return assert(ok()), std::get<0>(state_); }
  const T& value() const& { return assert(ok()), std::get<0>(state_); }
  T&& value() && { return assert(ok()), std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Diag& error() & { return assert(!ok()), std::get<1>(state_); }
  const Diag& error() const& { return assert(!ok()), std::get<1>(state_); }
  Diag&& error() && { return assert(!ok()), std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Diag> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Diag error) : error_(std::move(error)) {}

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  Diag& error() & { return *error_; }
  const Diag& error() const& { return *error_; }
  Diag&& error() && { return *std::move(error_); }

 private:
  std::optional<Diag> error_;
};

using Status = Result<void>;

}  // namespace npuport

#define NPU_CONCAT_(a, b) a##b
#define NPU_CONCAT(a, b) NPU_CONCAT_(a, b)

// NPU_TRY(expr): returns the Diag from the enclosing function when `expr` (a Result or Status) failed.
#define NPU_TRY(...)                                               \
  do {                                                             \
    auto npu_try_result = (__VA_ARGS__);                           \
    if (!npu_try_result) return std::move(npu_try_result).error(); \
  } while (false)

// NPU_ASSIGN(auto x, expr): the same, and binds the value.
#define NPU_ASSIGN(decl, ...) NPU_ASSIGN_IMPL(NPU_CONCAT(npu_result_, __LINE__), decl, __VA_ARGS__)
#define NPU_ASSIGN_IMPL(tmp, decl, ...)    \
  auto tmp = (__VA_ARGS__);                \
  if (!tmp) return std::move(tmp).error(); \
  decl = std::move(tmp).value()
