// From encoder output to token ids for one window of 30 s: greedy or sampled, under Whisper's rules (what may follow
// what, suppressed ids, timestamps in order). Same ids as OpenAI's decode() without beam search.
#pragma once

#include <random>

#include "pipelines/whisper/rules.h"

namespace npuport::whisper {

// The model as the loop sees it.
class Network {
 public:
  virtual ~Network() = default;
  // The features [n_mels][3000] of a new window; encodes them.
  virtual Status set_audio(std::span<const float> mel) = 0;
  // Logits [vocabulary] behind tokens[0 … row]; tokens.size() > row. Valid until the next call. Cheap when `tokens`
  // begins as in the call before. bad_input_data when there are more tokens than the decoder takes.
  virtual Result<std::span<const float>> logits(std::span<const int32_t> tokens, size_t row) = 0;
};

struct DecodeResult {
  std::vector<int32_t> tokens;  // new ones, without the end token
  std::string text;             // stripped
  double avg_logprob = 0;       // mean over the tokens and the end
  double no_speech_prob = 0;    // of <|nospeech|> behind <|startoftranscript|>
  double temperature = 0;
  double compression_ratio = 0;
};

// Text bytes divided by their zlib size (level 6); 0 for no text.
double compression_ratio(std::string_view text);

// One pass over the window set in `network`. `prompt`: text before this window (its last n_text_ctx / 2 − 1 ids are
// used). Errors: those of the network; gate_failed when logits are NaN or everything is suppressed.
Result<DecodeResult> decode(Network& network, const Rules& rules, const Vocabulary& vocabulary,
                            std::span<const int32_t> prompt, double temperature, std::mt19937_64& random);

// Passes at rules.temperatures until one is neither repetitive nor unsure (or is silence).
Result<DecodeResult> decode_with_fallback(Network& network, const Rules& rules, const Vocabulary& vocabulary,
                                          std::span<const int32_t> prompt, std::mt19937_64& random);

struct Language {
  std::string code;
  double probability = 0;  // among the languages
};
// By the logits behind a lone <|startoftranscript|>. English-only models: "en", 1.
Result<Language> detect_language(Network& network, const Rules& rules);

}  // namespace npuport::whisper
