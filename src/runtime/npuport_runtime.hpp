// npuport runtime, thin C++20 wrapper of npuport_runtime.h: handles that close themselves, spans, results without
// exceptions. The rules on threads, errors and ownership are those of the C header.
#pragma once

#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "npuport_runtime.h"

namespace npuport::rt {

// A failed call: the fields of npuport_error, copied.
struct Error {
  npuport_status status = NPUPORT_INTERNAL;
  std::string code, message, file, tensor, hint;
};

// A value or an Error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& operator*() & { return assert(ok()), std::get<0>(state_); }
  const T& operator*() const& { return assert(ok()), std::get<0>(state_); }
  T&& operator*() && { return assert(ok()), std::get<0>(std::move(state_)); }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }
  const Error& error() const { return assert(!ok()), std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

// Success or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return assert(!ok()), *error_; }

 private:
  std::optional<Error> error_;
};

inline Error last_error(const npuport_session* session = nullptr) {
  npuport_error e{};
  npuport_last_error_info(session, &e);
  return {e.status, e.code, e.message, e.file, e.tensor, e.hint};
}
inline Status check(npuport_status s) { return s == NPUPORT_OK ? Status() : Status(last_error()); }

struct Option {
  std::string key, value;
};
using Options = std::vector<Option>;

namespace detail {
inline std::vector<npuport_option> plain(const Options& options) {
  std::vector<npuport_option> out;
  for (const Option& o : options) out.push_back({o.key.c_str(), o.value.c_str()});
  return out;
}
template <class T>
constexpr npuport_dtype dtype_of() {
  if constexpr (std::is_same_v<T, float>) return NPUPORT_F32;
  if constexpr (std::is_same_v<T, double>) return NPUPORT_F64;
  if constexpr (std::is_same_v<T, bool>) return NPUPORT_BOOL;
  if constexpr (std::is_same_v<T, int8_t>) return NPUPORT_I8;
  if constexpr (std::is_same_v<T, uint8_t>) return NPUPORT_U8;
  if constexpr (std::is_same_v<T, int16_t>) return NPUPORT_I16;
  if constexpr (std::is_same_v<T, uint16_t>) return NPUPORT_U16;
  if constexpr (std::is_same_v<T, int32_t>) return NPUPORT_I32;
  if constexpr (std::is_same_v<T, uint32_t>) return NPUPORT_U32;
  if constexpr (std::is_same_v<T, int64_t>) return NPUPORT_I64;
  if constexpr (std::is_same_v<T, uint64_t>) return NPUPORT_U64;
  return NPUPORT_UNKNOWN;
}
}  // namespace detail

// One input or output, copied out of npuport_tensor_info.
struct TensorInfo {
  std::string name;
  npuport_dtype dtype = NPUPORT_UNKNOWN;
  npuport_layout layout = NPUPORT_LAYOUT_MODEL;
  std::vector<int64_t> shape;
  std::vector<int64_t> permutation;  // empty unless the layout is NPUPORT_LAYOUT_PERMUTED
  size_t bytes = 0;
  std::vector<float> quant_scale;  // empty: not quantised
  std::vector<int32_t> quant_zero_point;
  int quant_axis = -1;

  int64_t count() const {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    return n;
  }
};

// An open model. Movable; closes itself.
class Session {
 public:
  static Result<Session> open(const std::string& path, const std::string& backend = {}, const Options& options = {}) {
    const auto plain = detail::plain(options);
    npuport_session* s = nullptr;
    if (npuport_session_open(path.c_str(), backend.c_str(), plain.data(), plain.size(), &s) != NPUPORT_OK)
      return last_error();
    return Session(s);
  }
  // `bytes` must outlive the session.
  static Result<Session> open(std::span<const std::byte> bytes, const std::string& backend,
                              const Options& options = {}) {
    const auto plain = detail::plain(options);
    npuport_session* s = nullptr;
    if (npuport_session_open_memory(bytes.data(), bytes.size(), backend.c_str(), plain.data(), plain.size(), &s) !=
        NPUPORT_OK)
      return last_error();
    return Session(s);
  }
  explicit Session(npuport_session* handle) : handle_(handle) {}
  Session(Session&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Session& operator=(Session&& o) noexcept {
    if (this != &o) {
      close();
      handle_ = std::exchange(o.handle_, nullptr);
    }
    return *this;
  }
  ~Session() { close(); }

  npuport_session* handle() const { return handle_; }
  std::string backend() const { return npuport_session_backend(handle_); }
  size_t input_count() const { return npuport_session_input_count(handle_); }
  size_t output_count() const { return npuport_session_output_count(handle_); }
  // An index behind the end gives an empty info (dtype NPUPORT_UNKNOWN).
  TensorInfo input(size_t i) const { return info(i, npuport_session_input_info); }
  TensorInfo output(size_t i) const { return info(i, npuport_session_output_info); }
  Result<size_t> find_input(const std::string& name) const {
    size_t i = 0;
    if (npuport_session_find_input(handle_, name.c_str(), &i) != NPUPORT_OK) return last_error();
    return i;
  }
  Result<size_t> find_output(const std::string& name) const {
    size_t i = 0;
    if (npuport_session_find_output(handle_, name.c_str(), &i) != NPUPORT_OK) return last_error();
    return i;
  }

  Status set_input(size_t i, std::span<const std::byte> bytes) {
    return check(npuport_session_set_input(handle_, i, bytes.data(), bytes.size()));
  }
  // T must be the input's element type (checked).
  template <class T>
  Status set_input(size_t i, std::span<const T> values) {
    if (Status s = expect<T>(input(i)); !s) return s;
    return set_input(i, std::as_bytes(values));
  }
  Status get_output(size_t i, std::span<std::byte> bytes) {
    return check(npuport_session_get_output(handle_, i, bytes.data(), bytes.size()));
  }
  // The last run's output, valid until the next run; no copy. T must be its element type (checked).
  template <class T>
  Result<std::span<const T>> output_values(size_t i) {
    if (Status s = expect<T>(output(i)); !s) return s.error();
    const void* data = nullptr;
    size_t bytes = 0;
    if (npuport_session_output_buffer(handle_, i, &data, &bytes) != NPUPORT_OK) return last_error();
    return std::span<const T>(static_cast<const T*>(data), bytes / sizeof(T));
  }
  // The input's own buffer, to be written between runs; the same address for the session's whole life.
  template <class T>
  Result<std::span<T>> input_values(size_t i) {
    if (Status s = expect<T>(input(i)); !s) return s.error();
    void* data = nullptr;
    size_t bytes = 0;
    if (npuport_session_input_buffer(handle_, i, &data, &bytes) != NPUPORT_OK) return last_error();
    return std::span<T>(static_cast<T*>(data), bytes / sizeof(T));
  }
  Status bind_input(size_t i, std::span<const std::byte> memory) {
    return check(npuport_session_bind_input(handle_, i, memory.data(), memory.size()));
  }
  Status bind_output(size_t i, std::span<std::byte> memory) {
    return check(npuport_session_bind_output(handle_, i, memory.data(), memory.size()));
  }

  Status run(uint32_t timeout_ms = 0) { return check(npuport_session_run(handle_, timeout_ms)); }
  Result<npuport_profile> profile() {
    npuport_profile p{};
    if (npuport_session_profile(handle_, &p) != NPUPORT_OK) return last_error();
    return p;
  }
  Result<std::string> profile_json() {
    const char* text = nullptr;
    if (npuport_session_profile_json(handle_, &text) != NPUPORT_OK) return last_error();
    return std::string(text);
  }

 private:
  template <class Fn>
  TensorInfo info(size_t i, Fn fn) const {
    npuport_tensor_info raw{};
    TensorInfo out;
    if (fn(handle_, i, &raw) != NPUPORT_OK) return out;
    out.name = raw.name;
    out.dtype = raw.dtype;
    out.layout = raw.layout;
    out.bytes = raw.bytes;
    out.shape.assign(raw.shape, raw.shape + raw.rank);
    if (raw.permutation) out.permutation.assign(raw.permutation, raw.permutation + raw.rank);
    out.quant_scale.assign(raw.quant_scale, raw.quant_scale + raw.quant_count);
    out.quant_zero_point.assign(raw.quant_zero_point, raw.quant_zero_point + raw.quant_count);
    out.quant_axis = raw.quant_axis;
    return out;
  }
  template <class T>
  static Status expect(const TensorInfo& t) {
    if (detail::dtype_of<T>() == t.dtype) return {};
    return Error{
        NPUPORT_BAD_ARGUMENT,
        "",
        "'" + t.name + "' is " + npuport_dtype_name(t.dtype) + ", not " + npuport_dtype_name(detail::dtype_of<T>()),
        "",
        t.name,
        ""};
  }
  void close() {
    if (handle_) npuport_session_close(handle_);
    handle_ = nullptr;
  }
  npuport_session* handle_ = nullptr;
};

// A port's output folder. Movable; closes itself.
class Port {
 public:
  static Result<Port> open(const std::string& path) {
    npuport_port* p = nullptr;
    if (npuport_port_open(path.c_str(), &p) != NPUPORT_OK) return last_error();
    return Port(p);
  }
  explicit Port(npuport_port* handle) : handle_(handle) {}
  Port(Port&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Port& operator=(Port&& o) noexcept {
    if (this != &o) {
      close();
      handle_ = std::exchange(o.handle_, nullptr);
    }
    return *this;
  }
  ~Port() { close(); }

  npuport_port* handle() const { return handle_; }
  std::vector<std::string> parts() const {
    std::vector<std::string> out;
    for (size_t i = 0; i < npuport_port_part_count(handle_); ++i) out.emplace_back(npuport_port_part_name(handle_, i));
    return out;
  }
  bool has(std::string_view part) const {
    for (size_t i = 0; i < npuport_port_part_count(handle_); ++i)
      if (part == npuport_port_part_name(handle_, i)) return true;
    return false;
  }
  std::string folder() const { return npuport_port_folder(handle_); }
  // An empty part name: the only one.
  Result<Session> open_part(const std::string& part, const std::string& backend = {},
                            const Options& options = {}) const {
    const auto plain = detail::plain(options);
    npuport_session* s = nullptr;
    if (npuport_port_open_part(handle_, part.empty() ? nullptr : part.c_str(), backend.c_str(), plain.data(),
                               plain.size(), &s) != NPUPORT_OK)
      return last_error();
    return Session(s);
  }
  // A string as it is, anything else as JSON text; nullopt when the metadata have no such entry.
  std::optional<std::string> metadata(const std::string& pointer) const {
    const char* text = nullptr;
    if (npuport_port_metadata(handle_, pointer.c_str(), &text) != NPUPORT_OK) return std::nullopt;
    return std::string(text);
  }

 private:
  void close() {
    if (handle_) npuport_port_close(handle_);
    handle_ = nullptr;
  }
  npuport_port* handle_ = nullptr;
};

}  // namespace npuport::rt
