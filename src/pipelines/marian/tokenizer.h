// Sentences to token ids and back as Hugging Face's MarianTokenizer does it: SentencePiece cuts, vocab.json numbers the
// pieces. What it does before that only when told to (Moses' punctuation rules) is left out here, too.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pipelines/marian/rules.h"
#include "pipelines/marian/spm.h"

namespace npuport::marian {

// The longest line in bytes: a sentence of a model's length has some hundreds.
inline constexpr size_t kLongestLine = size_t{64} << 10;

class Tokenizer {
 public:
  // `source`, `target`: SentencePiece models; `vocab`: a JSON object of piece → id, every id once and below the model's
  // number of tokens. Errors: those of SentencePieces::read; syntax, too_large, corrupt (the vocabulary).
  static Result<Tokenizer> read(const std::string& source, const std::string& target, const std::string& vocab,
                                const Rules& rules);

  // Ids with the end token. A leading >>code<< is one token, not cut; pieces the vocabulary lacks are <unk>. Nothing
  // but the end token for an empty or blank text. Errors, all bad_input_data: NUL, invalid UTF-8, a line longer than
  // kLongestLine, a language code the vocabulary lacks.
  Result<std::vector<int32_t>> encode(std::string_view text) const;
  // Text of ids; the end, padding and unknown tokens say nothing. Blanks are stripped off both ends.
  Result<std::string> decode(std::span<const int32_t> ids) const;

 private:
  Tokenizer(SentencePieces source, SentencePieces target) : source_(std::move(source)), target_(std::move(target)) {}
  Status read_vocabulary(const std::string& path, const Rules& rules);
  Result<int32_t> language(std::string_view code) const;

  SentencePieces source_, target_;
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<std::string> pieces_;  // by id; empty: none
  int32_t eos_ = 0, unknown_ = -1;
  std::vector<int32_t> silent_;
};

}  // namespace npuport::marian
