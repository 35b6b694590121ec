// Element types and their storage.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace npuport {

enum class DType : uint8_t { unknown, f16, bf16, f32, f64, i4, u4, i8, u8, i16, u16, i32, u32, i64, u64, boolean };

// "f32", "i64", "bool" … (the spelling of IR text).
std::string_view name(DType t);
// The NumPy/PyTorch spelling: "float32", "int64", "bool", "bfloat16".
std::string_view long_name(DType t);
// Accepts both spellings; nullopt for anything else.
std::optional<DType> parse_dtype(std::string_view text);
// Bits of one element (4 for i4/u4, 8 for bool, 0 for unknown).
int bits(DType t);
// Bytes needed for `count` elements, i4/u4 packed two to a byte.
int64_t byte_size(DType t, int64_t count);
bool is_float(DType t);    // f16 bf16 f32 f64
bool is_integer(DType t);  // i4 … u64, not bool
bool is_signed(DType t);

// IEEE binary16 in storage; arithmetic happens in float. Rounds to nearest even.
struct Float16 {
  uint16_t raw = 0;
  Float16() = default;
  Float16(float f);
  operator float() const;
};

// bfloat16: the upper half of a float. Rounds to nearest even.
struct BFloat16 {
  uint16_t raw = 0;
  BFloat16() = default;
  BFloat16(float f);
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(raw) << 16); }
};

template <class T>
struct dtype_of;
// clang-format off
template <> struct dtype_of<Float16>  { static constexpr DType value = DType::f16; };
template <> struct dtype_of<BFloat16> { static constexpr DType value = DType::bf16; };
template <> struct dtype_of<float>    { static constexpr DType value = DType::f32; };
template <> struct dtype_of<double>   { static constexpr DType value = DType::f64; };
template <> struct dtype_of<int8_t>   { static constexpr DType value = DType::i8; };
template <> struct dtype_of<uint8_t>  { static constexpr DType value = DType::u8; };
template <> struct dtype_of<int16_t>  { static constexpr DType value = DType::i16; };
template <> struct dtype_of<uint16_t> { static constexpr DType value = DType::u16; };
template <> struct dtype_of<int32_t>  { static constexpr DType value = DType::i32; };
template <> struct dtype_of<uint32_t> { static constexpr DType value = DType::u32; };
template <> struct dtype_of<int64_t>  { static constexpr DType value = DType::i64; };
template <> struct dtype_of<uint64_t> { static constexpr DType value = DType::u64; };
template <> struct dtype_of<bool>     { static constexpr DType value = DType::boolean; };
// clang-format on

// Calls fn.template operator()<T>() with the C++ type of `t` (i4/u4/unknown excluded); false when there is none.
// Usage: dispatch(dtype, [&]<class T>() { kernel<T>(…); });
template <class Fn>
bool dispatch(DType t, Fn&& fn) {
  switch (t) {
    case DType::f16:
      fn.template operator()<Float16>();
      return true;
    case DType::bf16:
      fn.template operator()<BFloat16>();
      return true;
    case DType::f32:
      fn.template operator()<float>();
      return true;
    case DType::f64:
      fn.template operator()<double>();
      return true;
    case DType::i8:
      fn.template operator()<int8_t>();
      return true;
    case DType::u8:
      fn.template operator()<uint8_t>();
      return true;
    case DType::i16:
      fn.template operator()<int16_t>();
      return true;
    case DType::u16:
      fn.template operator()<uint16_t>();
      return true;
    case DType::i32:
      fn.template operator()<int32_t>();
      return true;
    case DType::u32:
      fn.template operator()<uint32_t>();
      return true;
    case DType::i64:
      fn.template operator()<int64_t>();
      return true;
    case DType::u64:
      fn.template operator()<uint64_t>();
      return true;
    case DType::boolean:
      fn.template operator()<bool>();
      return true;
    default:
      return false;
  }
}

// The same for floating types only.
template <class Fn>
bool dispatch_float(DType t, Fn&& fn) {
  switch (t) {
    case DType::f16:
      fn.template operator()<Float16>();
      return true;
    case DType::bf16:
      fn.template operator()<BFloat16>();
      return true;
    case DType::f32:
      fn.template operator()<float>();
      return true;
    case DType::f64:
      fn.template operator()<double>();
      return true;
    default:
      return false;
  }
}

}  // namespace npuport
