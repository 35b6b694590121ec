// Reads numbers from bytes without ever leaving them. The first read behind the end sticks: later reads give zeros and
// `failed` stays true, so a parser checks once per record instead of once per field.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/diag_codes.h"
#include "base/result.h"

namespace npuport {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes, std::endian order = std::endian::little)
      : bytes_(bytes), order_(order) {}

  // The next integer or float of type T in the reader's byte order; 0 behind the end.
  template <class T>
  T get() {
    static_assert(std::is_arithmetic_v<T>);
    std::byte raw[sizeof(T)] = {};
    const auto from = take(sizeof(T));
    if (from.size() != sizeof(T)) return T{};
    for (size_t i = 0; i < sizeof(T); ++i) raw[order_ == std::endian::native ? i : sizeof(T) - 1 - i] = from[i];
    T value;
    std::memcpy(&value, raw, sizeof value);
    return value;
  }
  uint8_t u8() { return get<uint8_t>(); }
  uint16_t u16() { return get<uint16_t>(); }
  uint32_t u32() { return get<uint32_t>(); }
  uint64_t u64() { return get<uint64_t>(); }

  // The next n bytes; empty (and failed) when fewer are left.
  std::span<const std::byte> take(size_t n) {
    if (failed_ || n > bytes_.size() - pos_) {
      failed_ = true;
      return {};
    }
    pos_ += n;
    return bytes_.subspan(pos_ - n, n);
  }
  std::string_view text(size_t n) {
    const auto b = take(n);
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  void skip(size_t n) { (void)take(n); }
  // Moves to an absolute position; failed when it lies behind the end (the end itself is allowed).
  void seek(uint64_t pos) {
    if (pos > bytes_.size()) failed_ = true;
    if (!failed_) pos_ = static_cast<size_t>(pos);
  }

  size_t position() const { return pos_; }
  size_t remaining() const { return failed_ ? 0 : bytes_.size() - pos_; }
  bool failed() const { return failed_; }
  // `truncated` naming what was being read, or success.
  Status status(std::string_view what) const {
    if (!failed_) return {};
    return Diag(diag::truncated, std::string(what) + " ends too early", "copy or download the file again");
  }

 private:
  std::span<const std::byte> bytes_;
  std::endian order_;
  size_t pos_ = 0;
  bool failed_ = false;
};

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace npuport
