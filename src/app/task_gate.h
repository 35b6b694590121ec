// Step 4: the job itself on the ported parts, chained along the project's links: sound features to token ids, small
// picture to large picture.
#pragma once

#include "app/port_run.h"

namespace npuport::app {

// Runs one part on tensors of its original interface.
using PartRunner = std::function<Result<std::vector<Tensor>>(const std::string& part, std::span<const Tensor> inputs)>;

// How an ASR decoder is driven (the file `trace` writes for Whisper: greedy, no timestamps).
struct DecodeRules {
  std::vector<int64_t> initial_tokens;
  std::vector<int64_t> suppress_tokens;  // never chosen
  std::vector<int64_t> suppress_first;   // not as first new token
  int64_t eot = 0, pad_token = 0;
  int64_t max_tokens = 0;  // length of the decoder's fixed input
  int64_t max_new_tokens = 0;
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
// interface: python/npuport_torch/builtin/whisper.py).
Result<std::vector<int64_t>> greedy_decode_cached(const Project& project, const DecodeRules& rules,
                                                  const Tensor& features, const PartRunner& run);

// All samples of the task; one proof per sample. Per-sample results (ids expected and got …) go to `results`.
Result<std::vector<Proof>> run_task(const App& app, const Project& project, const PartRunner& run, Json& results);

}  // namespace npuport::app
