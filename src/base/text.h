// Small text helpers for everything a person or a browser reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace npuport {

// For HTML text and quoted attribute values: & < > " ' become entities, control characters other than \n and \t and
// invalid UTF-8 become U+FFFD.
std::string html_escape(std::string_view text);
// For one cell of a Markdown table: | ` * _ [ ] < > \ & are escaped, line breaks become spaces, invalid UTF-8 U+FFFD.
std::string markdown_cell(std::string_view text);
// [A-Za-z0-9._-] only: other runs become one '_'; never empty, never starts with '.' or '-', at most 100 characters
// (a longer name is cut and ends in a hash of 8 digits).
std::string safe_file_name(std::string_view text);
// "0 B", "999 B", "1.5 KB", "12.3 MB", "4.0 GB": powers of 1000, one decimal.
std::string format_bytes(uint64_t bytes);
// "1,234,567".
std::string format_count(int64_t n);
// Length of the valid UTF-8 sequence at the start of `s` (not empty), 0 if invalid (overlong forms and surrogates count
// as invalid).
size_t utf8_length(std::string_view s);
// Replaces invalid UTF-8 sequences by U+FFFD.
std::string valid_utf8(std::string_view text);

std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);  // ASCII blanks, tabs and line breaks
std::string join(const std::vector<std::string>& parts, std::string_view between);

}  // namespace npuport
