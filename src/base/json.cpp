#include "base/json.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"

namespace npuport {
namespace {

// Nesting of brackets outside strings; the library's parser is recursive only in its destructor, which this protects.
size_t depth_of(std::string_view text) {
  size_t depth = 0;
  size_t deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

std::string dump_json(const Json& json, int indent) {
  std::string text = json.dump(indent, ' ', false, nlohmann::detail::error_handler_t::replace);
  if (indent >= 0) text += '\n';
  return text;
}

Result<Json> parse_json(std::string_view text, std::string_view file_name) {
  if (text.size() > (size_t{1} << 30) || depth_of(text) > 200)
    return Diag(diag::too_large, "the JSON text is too large or nested too deeply", "is this the right file?")
        .in_file(file_name);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const size_t at = std::min(error.byte, text.size());
    const std::string_view before = text.substr(0, at);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t newline = before.rfind('\n');
    const size_t column = newline == std::string_view::npos ? at : at - newline - 1;
    return Diag(diag::syntax, fmt::format("JSON syntax error in line {}, column {}", line, column),
                "correct the text there")
        .in_file(file_name);
  } catch (const nlohmann::json::exception& error) {
    return Diag(diag::syntax, fmt::format("JSON error: {}", error.what()), "correct the text").in_file(file_name);
  }
}

}  // namespace npuport
