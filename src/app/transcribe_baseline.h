// Transcripts to compare with: what PyTorch said about the same sounds.
#pragma once

#include <map>
#include <optional>

#include "app/app.h"
#include "app/match_text.h"

namespace npuport::app {

struct BaselineText {
  std::string text;
  std::optional<std::vector<int64_t>> tokens;
};

// By the sound file's name without folder and extension. `path`: a .json as `transcribe --json` or `trace` writes it
// (an array, or one object, of {"file", "text", "tokens"}), a .tsv (columns file, reference, text), or a folder of
// baseline_NAME.json. Errors: file_not_found, syntax, corrupt, bad_input_data (nothing in it).
Result<std::map<std::string, BaselineText>> read_baseline_texts(const std::string& path);

// {"expected", "got", "match_percent", "edits", "diff", "tokens_equal", "verdict"}; PASS only for equal texts and,
// where the baseline has them, equal tokens.
Json compare_with_baseline(const BaselineText& expected, const std::string& text, const std::vector<int32_t>& tokens);

// A table: file, match %, verdict, difference. `label`: the entry that names a row; "file" is shown without folder and
// extension.
std::string match_table(const Json& rows, const std::string& label = "file");

}  // namespace npuport::app
