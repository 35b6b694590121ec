#include "pipelines/whisper/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "pipelines/python_text.h"

namespace npuport::whisper {
namespace {

constexpr std::string_view kLanguages[] = {
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt",  "tr", "pl", "ca", "nl", "ar", "sv", "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro",  "da", "hu", "ta", "no", "th", "ur", "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv",  "bn", "sr", "az", "sl", "kn", "et", "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw",  "gl", "mr", "pa", "si", "km", "sn", "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi",  "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue"};
constexpr int32_t kTimestamps = 1501;
constexpr uint64_t kLargestFile = uint64_t{32} << 20;

constexpr std::array<int8_t, 256> base64_table() {
  std::array<int8_t, 256> t{};
  t.fill(-1);
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < digits.size(); ++i) t[static_cast<unsigned char>(digits[i])] = static_cast<int8_t>(i);
  return t;
}

// Appends the bytes of `text`; false when it is no padded base64. OpenAI's multilingual file ends in an empty string,
// written "=".
bool append_base64(std::string_view text, std::string& out) {
  if (text == "=") return true;
  static constexpr std::array<int8_t, 256> table = base64_table();
  if (text.empty() || text.size() % 4 != 0) return false;
  const size_t pad = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool padding = i >= text.size() - pad;
    const int8_t v = padding ? int8_t{0} : table[static_cast<unsigned char>(text[i])];
    if (v < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(v);
    if (i % 4 != 3) continue;
    const size_t n = i + 1 == text.size() ? 3 - pad : 3;
    for (size_t k = 0; k < n; ++k) out += static_cast<char>(bits >> (16 - 8 * k) & 0xFF);
    bits = 0;
  }
  return true;
}

}  // namespace

std::span<const std::string_view> language_codes() { return kLanguages; }

Result<SpecialTokens> special_tokens(int64_t n_vocab) {
  if (n_vocab < 51864 || n_vocab > 51866)
    return Diag(diag::bad_input_data,
                fmt::format("a vocabulary of {} tokens is none of Whisper's (51864, 51865 or 51866)", n_vocab));
  SpecialTokens s;
  s.multilingual = n_vocab >= 51865;
  s.languages = static_cast<int32_t>(n_vocab) - 51765 - (s.multilingual ? 1 : 0);
  s.eot = s.multilingual ? 50257 : 50256;
  s.sot = s.eot + 1;
  s.first_language = s.sot + 1;
  s.translate = s.first_language + s.languages;
  s.transcribe = s.translate + 1;
  s.sot_lm = s.translate + 2;
  s.sot_prev = s.translate + 3;
  s.no_speech = s.translate + 4;
  s.no_timestamps = s.translate + 5;
  s.timestamp_begin = s.translate + 6;
  s.count = s.timestamp_begin + kTimestamps;
  return s;
}

Result<Vocabulary> Vocabulary::read(const std::string& path, const SpecialTokens& special) {
  NPU_ASSIGN(const std::string text, read_file(path, kLargestFile));
  Vocabulary v;
  v.special_ = special;
  size_t number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty() || line.front() == '#') continue;
    const size_t blank = line.find(' ');
    const std::string_view rank = blank == std::string_view::npos ? std::string_view() : line.substr(blank + 1);
    size_t value = 0;
    const auto [end, ec] = std::from_chars(rank.data(), rank.data() + rank.size(), value);
    v.starts_.push_back(static_cast<uint32_t>(v.store_.size()));
    if (rank.empty() || ec != std::errc() || end != rank.data() + rank.size() || value + 1 != v.starts_.size() ||
        !append_base64(line.substr(0, blank), v.store_))
      return Diag(diag::syntax,
                  fmt::format("line {} is no rank line: expected \"BASE64 {}\"", number, v.starts_.size() - 1))
          .in_file(path);
  }
  if (v.starts_.size() != static_cast<size_t>(special.eot))
    return Diag(diag::corrupt,
                fmt::format("holds {} byte strings, the model's vocabulary has {}", v.starts_.size(), special.eot),
                special.multilingual ? "this model needs the multilingual vocabulary"
                                     : "this model needs the English vocabulary (gpt2)")
        .in_file(path);
  v.starts_.push_back(static_cast<uint32_t>(v.store_.size()));
  return v;
}

std::string Vocabulary::bytes(int32_t id) const {
  const SpecialTokens& s = special_;
  if (id < 0 || id >= s.count) return {};
  const auto i = static_cast<size_t>(id);
  if (id < s.eot) return store_.substr(starts_[i], starts_[i + 1] - starts_[i]);
  if (id >= s.timestamp_begin) {
    const int hundredths = 2 * (id - s.timestamp_begin);
    return fmt::format("<|{}.{:02}|>", hundredths / 100, hundredths % 100);
  }
  if (id >= s.first_language && id < s.translate)
    return fmt::format("<|{}|>", kLanguages[static_cast<size_t>(id - s.first_language)]);
  if (id == s.eot) return "<|endoftext|>";
  if (id == s.sot) return "<|startoftranscript|>";
  constexpr std::string_view rest[] = {"translate",   "transcribe", "startoflm",
                                       "startofprev", "nospeech",   "notimestamps"};
  return fmt::format("<|{}|>", rest[static_cast<size_t>(id - s.translate)]);
}

std::string Vocabulary::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (const int32_t id : ids)
    if (id < special_.timestamp_begin) out += bytes(id);
  return decode_utf8(out);
}

}  // namespace npuport::whisper
