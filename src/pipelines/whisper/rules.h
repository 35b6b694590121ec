// How a Whisper model is driven: the decoding defaults a port carries in its metadata (task.decode, written by
// `npuport trace --template whisper`), with OpenAI's defaults for what it leaves out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/whisper/mel.h"
#include "pipelines/whisper/vocabulary.h"

namespace npuport::whisper {

struct Rules {
  SpecialTokens special;
  int64_t n_mels = 80, n_audio_ctx = 1500, n_audio_state = 0, n_text_ctx = 448, n_text_layer = 0, n_text_state = 0;

  std::string language;             // a code; empty = detect (multilingual models only)
  std::string task = "transcribe";  // or "translate"
  bool timestamps = false;
  Padding padding = Padding::silence;  // silence without timestamps, zero with them, unless the file says otherwise
  int64_t max_new_tokens = 224;
  std::vector<int32_t> suppress;                      // never chosen
  std::vector<int32_t> suppress_first;                // not as first new token: the blank and the end
  std::optional<double> max_initial_timestamp = 1.0;  // seconds

  // Tried in turn until a result passes the limits below; 0 is greedy. The last one's result stands.
  std::vector<double> temperatures = {0.0, 0.2, 0.4, 0.6, 0.8, 1.0};
  std::optional<double> compression_ratio_threshold = 2.4;  // text bytes : zlib bytes; above = repetitive
  std::optional<double> logprob_threshold = -1.0;           // mean log-probability; below = unsure
  std::optional<double> no_speech_threshold = 0.6;          // probability of <|nospeech|>; above = perhaps silence
  bool condition_on_previous_text = true;
  uint64_t seed = 0;  // of the draws at temperatures above 0; the same seed gives the same text

  std::string vocab;                         // file name beside the metadata
  std::map<std::string, std::string> parts;  // role (encoder, decoder, cross_kv, decoder_kv) → part of the port

  // <|startoftranscript|>, language and task where the model has them, <|notimestamps|> without timestamps.
  // `language` as in this object, or "en" while it is still to be detected.
  std::vector<int32_t> start_sequence() const;
  // The language's token; -1 for a code the model does not have.
  int32_t language_token(std::string_view code) const;
};

// `text`: the JSON object. Errors: syntax, corrupt (missing or impossible entries, with the key's name), newer_version.
Result<Rules> read_rules(const std::string& text, const std::string& file);
// The code of a language given as code or English name in any case ("zh", "Chinese"); bad usage lists the codes.
Result<std::string> parse_language(std::string_view text, const Rules& rules);

}  // namespace npuport::whisper
