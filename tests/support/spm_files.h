// SentencePiece models made byte by byte, sane and hostile ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace npuport::testing {

inline std::string proto_varint(uint64_t v) {
  std::string out;
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  return out += static_cast<char>(v);
}
inline std::string proto_bytes(uint32_t field, std::string_view payload) {
  return proto_varint(uint64_t{field} << 3 | 2) + proto_varint(payload.size()) + std::string(payload);
}
inline std::string proto_integer(uint32_t field, uint64_t value) {
  return proto_varint(uint64_t{field} << 3) + proto_varint(value);
}
inline std::string proto_float(uint32_t field, float value) {
  std::string raw(4, '\0');
  std::memcpy(raw.data(), &value, 4);
  return proto_varint(uint64_t{field} << 3 | 5) + raw;
}

enum PieceType : uint64_t { kNormal = 1, kUnknownPiece = 2, kControl = 3, kOwnSymbol = 4 };

inline std::string spm_piece(std::string_view text, float score, PieceType type = kNormal) {
  return proto_bytes(1, proto_bytes(1, text) + proto_float(2, score) + proto_integer(3, type));
}
// Pieces with scores -1, -2 …, behind <unk>, <s> and </s>.
inline std::string spm_model(const std::vector<std::string>& pieces, std::string_view charsmap = {}) {
  std::string out =
      spm_piece("<unk>", 0, kUnknownPiece) + spm_piece("<s>", 0, kControl) + spm_piece("</s>", 0, kControl);
  float score = 0;
  for (const std::string& p : pieces) out += spm_piece(p, score -= 1);
  return out + proto_bytes(3, charsmap.empty() ? proto_bytes(1, "identity") : proto_bytes(2, charsmap));
}

// The normaliser's map of a trie given by its units and the texts (each with its NUL).
inline std::string charsmap(const std::vector<uint32_t>& units, std::string_view texts) {
  const auto size = static_cast<uint32_t>(units.size() * sizeof(uint32_t));
  std::string out(sizeof size + size, '\0');
  std::memcpy(out.data(), &size, sizeof size);
  std::memcpy(out.data() + sizeof size, units.data(), size);
  return out.append(texts);
}
// A unit of a darts-clone trie with an offset below 2^21.
inline uint32_t trie_unit(uint32_t offset, bool leaf, uint8_t label) {
  return offset << 10 | (leaf ? 1U << 8 : 0U) | label;
}
inline constexpr uint32_t kTrieValue = 1U << 31;

}  // namespace npuport::testing
