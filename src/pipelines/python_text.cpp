#include "pipelines/python_text.h"

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace npuport {
namespace {

// Length of the longest start of `s` that could become a character, at least 1: what Python replaces by one U+FFFD.
size_t bad_piece(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char c = byte(0);
  const size_t length = c >= 0xC2 && c <= 0xDF ? 2 : (c & 0xF0) == 0xE0 ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 1;
  size_t n = 1;
  for (; n < length && n < s.size(); ++n) {
    unsigned char low = 0x80, high = 0xBF;
    if (n == 1) {
      if (c == 0xE0) low = 0xA0;
      if (c == 0xED) high = 0x9F;
      if (c == 0xF0) low = 0x90;
      if (c == 0xF4) high = 0x8F;
    }
    if (byte(n) < low || byte(n) > high) break;
  }
  return n;
}

constexpr std::string_view kBlanks[] = {"\t",           "\n",           "\v",           "\f",           "\r",
                                        "\x1c",         "\x1d",         "\x1e",         "\x1f",         " ",
                                        "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
                                        "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
                                        "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
                                        "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};

}  // namespace

std::string decode_utf8(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    const std::string_view rest = bytes.substr(i);
    if (const size_t n = utf8_length(rest); n > 0) {
      out += rest.substr(0, n);
      i += n;
    } else {
      out += "\xEF\xBF\xBD";
      i += bad_piece(rest);
    }
  }
  return out;
}

std::string_view strip(std::string_view text) {
  const auto blank_at = [&](auto matches) {
    const auto found = std::find_if(std::begin(kBlanks), std::end(kBlanks), matches);
    return found == std::end(kBlanks) ? size_t{0} : found->size();
  };
  while (const size_t n = blank_at([&](std::string_view b) { return text.starts_with(b); })) text.remove_prefix(n);
  while (const size_t n = blank_at([&](std::string_view b) { return text.ends_with(b); })) text.remove_suffix(n);
  return text;
}

}  // namespace npuport
