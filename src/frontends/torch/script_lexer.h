// Tokens of the TorchScript serialisation source (the Python subset below code/ in an archive).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace npuport::script {

enum class Tok : uint8_t { name, integer, real, string, op, newline, indent, dedent, end };

struct Token {
  Tok kind = Tok::end;
  uint32_t pos = 0;       // byte offset in the file
  std::string_view text;  // name or operator as written; points into the source
  std::string str;        // string literal with escapes resolved
  uint64_t integer = 0;   // magnitude: the sign is a separate operator, so -2^63 is representable
  double real = 0;
};

// Splits `source` into tokens; indentation becomes indent/dedent, newlines inside brackets vanish. The views point into
// `source`. Errors: `syntax` with line and column; `too_large` above `max_tokens`.
Result<std::vector<Token>> tokenize(std::string_view source, size_t max_tokens = size_t{1} << 24);

// "12:5" (1-based line and column) of a byte offset.
std::string line_and_column(std::string_view source, size_t pos);
// 1-based line of a byte offset.
size_t line_of(std::string_view source, size_t pos);

}  // namespace npuport::script
