// From a sentence's tokens to the tokens of its translation: greedy, or beam search as Hugging Face's generate() does
// it (BeamSearchScorer of transformers 4.46 with its defaults: length_penalty 1.0, early_stopping False).
#pragma once

#include <span>

#include "pipelines/marian/rules.h"

namespace npuport::marian {

// The model as the loop sees it. A slot holds the keys and values of one unfinished translation.
class Network {
 public:
  virtual ~Network() = default;
  // The ids of a new sentence with their end token; encodes them. bad_input_data for more than rules.source_tokens.
  virtual Status encode(std::span<const int32_t> ids) = 0;
  // Logits [target vocabulary] behind `token` at `position` (0, 1, 2 … in turn); its row is kept in `slot`. Valid until
  // the next call.
  virtual Result<std::span<const float>> step(size_t slot, int32_t token, size_t position) = 0;
  // Makes `to` hold what `from` does: the first `rows` rows.
  virtual Status fork(size_t from, size_t to, size_t rows) = 0;
};

struct Hypothesis {
  std::vector<int32_t> tokens;  // without start and end token
  double score = 0;             // Σ log-probability over tokens and end, divided by their number
  bool truncated = false;       // rules.max_new_tokens reached before the end token
};

// The likeliest token at each step (the lowest of equals). Uses slot 0. Errors: those of the network; gate_failed when
// a logit is NaN or every token is suppressed.
Result<Hypothesis> greedy(Network& network, const Rules& rules);

// The best of `beams` (≥ 1) translations kept side by side in slots 0 … beams − 1. At each step the 2·beams likeliest
// continuations by the sum S of log-softmax values (suppressed tokens count in the softmax, but are not chosen) are
// gone through: one that ends joins the finished ones if it is among the first `beams`, with score S / L, L = tokens
// with the end; others go on until there are `beams` again. The `beams` best finished ones are kept. The search ends
// when these are complete and none is worse than the best S of the step divided by its L, or at rules.max_new_tokens:
// then the unfinished compete with S / L. A forced end token at the limit (forced_eos_token_id) is not made up: the
// result is `truncated` instead. Errors as above.
Result<Hypothesis> beam_search(Network& network, const Rules& rules, size_t beams);

}  // namespace npuport::marian
