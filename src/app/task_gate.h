// Step 4: the job itself on the ported parts, chained along the project's links: sound features to token ids, source
// tokens to target tokens, small picture to large picture.
#pragma once

#include "app/port_run.h"

namespace npuport::app {

// Runs one part on tensors of its original interface.
using PartRunner = std::function<Result<std::vector<Tensor>>(const std::string& part, std::span<const Tensor> inputs)>;

// How a decoder is driven greedily (the file `trace` writes: whisper_decode.json without timestamps,
// marian_decode.json).
struct DecodeRules {
  std::vector<int64_t> initial_tokens;
  std::vector<int64_t> suppress_tokens;  // never chosen
  std::vector<int64_t> suppress_first;   // not as first new token
  int64_t eot = 0, pad_token = 0;
  int64_t max_tokens = 0;  // length of the decoder's fixed input
  int64_t max_new_tokens = 0;
  int64_t source_tokens = 0;  // translation: length of the encoder's fixed input
  float masked = -60000.0F;   // what is added to scores to hide them; exp() of it is 0, and float16 holds this one
  // Which part does what: decoder, cross_kv, decoder_kv.
  std::map<std::string, std::string> roles = {
      {"decoder", "decoder"}, {"cross_kv", "cross_kv"}, {"decoder_kv", "decoder_kv"}};
};
Result<DecodeRules> read_decode_rules(const std::string& path);

// Greedy ids for `features`: the encoder once, then the decoder on the padded tokens until eot. The part at the end of
// the only link (of several: the one that leads to the role `decoder`) is the decoder; ties go to the lower id. NaN
// logits: gate_failed.
Result<std::vector<int64_t>> greedy_decode(const Project& project, const DecodeRules& rules, const Tensor& features,
                                           const PartRunner& run);
// The same ids one position at a time from cached keys and values, by the parts cross_kv and decoder_kv (their
// interface: python/npuport_torch/builtin/whisper.py, marian.py). `encoder_inputs`: the features, or of a translation
// what source_inputs() made.
Result<std::vector<int64_t>> greedy_decode_cached(const Project& project, const DecodeRules& rules,
                                                  std::span<const Tensor> encoder_inputs, const PartRunner& run);
// The encoder's inputs for a sentence of token ids, its end token included: tokens int64 [1,S] and mask float32
// [1,1,1,S], S = rules.source_tokens. No ids or more than S: bad_input_data.
Result<std::vector<Tensor>> source_inputs(const DecodeRules& rules, std::span<const int64_t> ids);

// All samples of the task; one proof per sample. Per-sample results (ids expected and got …) go to `results`.
Result<std::vector<Proof>> run_task(const App& app, const Project& project, const PartRunner& run, Json& results);

}  // namespace npuport::app
