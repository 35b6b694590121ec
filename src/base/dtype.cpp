#include "base/dtype.h"

#include <array>

namespace npuport {
namespace {

struct DTypeInfo {
  DType type;
  std::string_view name, long_name;
  int bits;
};

constexpr std::array<DTypeInfo, 16> kTypes = {{
    {DType::unknown, "unknown", "unknown", 0},
    {DType::f16, "f16", "float16", 16},
    {DType::bf16, "bf16", "bfloat16", 16},
    {DType::f32, "f32", "float32", 32},
    {DType::f64, "f64", "float64", 64},
    {DType::i4, "i4", "int4", 4},
    {DType::u4, "u4", "uint4", 4},
    {DType::i8, "i8", "int8", 8},
    {DType::u8, "u8", "uint8", 8},
    {DType::i16, "i16", "int16", 16},
    {DType::u16, "u16", "uint16", 16},
    {DType::i32, "i32", "int32", 32},
    {DType::u32, "u32", "uint32", 32},
    {DType::i64, "i64", "int64", 64},
    {DType::u64, "u64", "uint64", 64},
    {DType::boolean, "bool", "bool", 8},
}};

const DTypeInfo& info(DType t) { return kTypes[static_cast<size_t>(t)]; }

}  // namespace

std::string_view name(DType t) { return info(t).name; }
std::string_view long_name(DType t) { return info(t).long_name; }
int bits(DType t) { return info(t).bits; }

std::optional<DType> parse_dtype(std::string_view text) {
  for (const DTypeInfo& row : kTypes)
    if (row.type != DType::unknown && (row.name == text || row.long_name == text)) return row.type;
  return std::nullopt;
}

int64_t byte_size(DType t, int64_t count) { return (count * bits(t) + 7) / 8; }

bool is_float(DType t) { return t == DType::f16 || t == DType::bf16 || t == DType::f32 || t == DType::f64; }
bool is_integer(DType t) { return t >= DType::i4 && t <= DType::u64; }
bool is_signed(DType t) {
  return is_float(t) || t == DType::i4 || t == DType::i8 || t == DType::i16 || t == DType::i32 || t == DType::i64;
}

Float16::Float16(float f) {
  const auto bits32 = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (bits32 >> 16) & 0x8000U;
  const uint32_t magnitude = bits32 & 0x7FFFFFFFU;
  if (magnitude >= 0x7F800000U) {  // Inf, NaN (quiet, payload's top bits kept)
    const uint32_t nan = magnitude > 0x7F800000U ? 0x200U | ((magnitude >> 13) & 0x3FFU) : 0U;
    raw = static_cast<uint16_t>(sign | 0x7C00U | nan);
    return;
  }
  if (magnitude >= 0x477FF000U) {  // 65520 and above round to Inf
    raw = static_cast<uint16_t>(sign | 0x7C00U);
    return;
  }
  if (magnitude < 0x38800000U) {  // subnormal half: let a float addition do the rounding (2^-24 per step)
    const float scaled = std::bit_cast<float>(magnitude) + 0.5F;
    raw = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(scaled) - 0x3F000000U));
    return;
  }
  const uint32_t odd = (magnitude >> 13) & 1U;
  raw = static_cast<uint16_t>(sign | ((magnitude - 0x38000000U + 0xFFFU + odd) >> 13));
}

Float16::operator float() const {
  const uint32_t sign = (raw & 0x8000U) << 16;
  const uint32_t exponent = (raw >> 10) & 0x1FU;
  const uint32_t mantissa = raw & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent == 0) {
    const float f = static_cast<float>(mantissa) * 0x1p-24F;
    return sign ? -f : f;
  }
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

BFloat16::BFloat16(float f) {
  const auto bits32 = std::bit_cast<uint32_t>(f);
  if ((bits32 & 0x7FFFFFFFU) > 0x7F800000U) {
    raw = static_cast<uint16_t>((bits32 >> 16) | 0x40U);
    return;
  }
  raw = static_cast<uint16_t>((bits32 + 0x7FFFU + ((bits32 >> 16) & 1U)) >> 16);
}

}  // namespace npuport
