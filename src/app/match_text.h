// How alike two texts are, and where they differ: the table of baseline against port of a speech recogniser.
#pragma once

#include <string>
#include <string_view>

namespace npuport::app {

struct TextMatch {
  double percent = 100;  // 100 · (1 − edits / characters of the longer text); both empty = 100
  size_t edits = 0;      // Levenshtein distance in Unicode characters
  // The second text with what it lacks as [-…-] and what it adds as {+…+}; empty when equal.
  std::string diff;
};

// Texts above 20000 characters are compared by their equal beginning and end only (edits is then an upper bound).
TextMatch match_text(std::string_view expected, std::string_view got);

}  // namespace npuport::app
