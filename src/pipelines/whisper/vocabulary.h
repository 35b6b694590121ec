// Token ids to text: the byte strings of a tiktoken rank file and the names of Whisper's special tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace npuport::whisper {

// The codes of Whisper's languages in the order of their tokens: 99, and "yue" as the 100th since large-v3.
std::span<const std::string_view> language_codes();

// Ids of the special tokens, which follow the byte strings in a fixed order: <|endoftext|>, <|startoftranscript|>,
// one per language, <|translate|>, <|transcribe|>, <|startoflm|>, <|startofprev|>, <|nospeech|>, <|notimestamps|>,
// <|0.00|> … <|30.00|>.
struct SpecialTokens {
  int32_t eot = 0, sot = 0, first_language = 0, translate = 0, transcribe = 0, sot_lm = 0, sot_prev = 0, no_speech = 0,
          no_timestamps = 0, timestamp_begin = 0;
  int32_t languages = 0;  // how many; the English-only models have their tokens too, untrained
  int32_t count = 0;      // size of the vocabulary
  bool multilingual = false;
};

// From the number of rows of the model's token table, as OpenAI's code decides it: 51864 is English-only, 51865 the
// multilingual vocabulary with 99 languages, 51866 the one with 100. bad_input_data for other numbers.
Result<SpecialTokens> special_tokens(int64_t n_vocab);

class Vocabulary {
 public:
  // A rank file: lines "BASE64 RANK", ranks 0, 1, 2 … in order; lines that start with '#' are remarks. Errors:
  // file_not_found, not_readable, too_large, syntax with the line, corrupt when it does not hold exactly `special.eot`
  // byte strings.
  static Result<Vocabulary> read(const std::string& path, const SpecialTokens& special);

  // The bytes of one id, special tokens by name ("<|en|>", "<|0.02|>"); empty for ids outside the vocabulary.
  std::string bytes(int32_t id) const;
  // Text of the ids below <|0.00|> (special tokens by name, as tiktoken does), timestamps left out; bytes that are no
  // UTF-8 become U+FFFD, one for each maximal bad piece, as Python's errors="replace".
  std::string decode(std::span<const int32_t> ids) const;
  const SpecialTokens& special() const { return special_; }

 private:
  std::string store_;             // all byte strings one behind the other
  std::vector<uint32_t> starts_;  // of id i; one more at the end
  SpecialTokens special_;
};

}  // namespace npuport::whisper
