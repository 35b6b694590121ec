// One sentence to its translation.
#pragma once

#include "pipelines/marian/decode.h"
#include "pipelines/marian/tokenizer.h"

namespace npuport::marian {

struct Translation {
  std::string text;
  std::vector<int32_t> source_tokens;  // with the end token
  Hypothesis best;                     // empty for an empty sentence
};

// `beams` 1: greedy. An empty or blank sentence gives an empty text without a run of the network. Errors: those of
// Tokenizer::encode and of the network; bad_input_data for a sentence longer than the model takes, with both numbers.
Result<Translation> translate(Network& network, const Tokenizer& tokenizer, const Rules& rules,
                              std::string_view sentence, size_t beams);

}  // namespace npuport::marian
