// A Marian model on the runtime: the parts of a port behind the Network interface.
//   encoder(tokens int64 [1, S], mask [1, 1, 1, S]) → hidden [1, S, d]
//   cross_kv(hidden) → cross_k, cross_v [L, 1, S, d]: once for each sentence
//   decoder_kv(tokens int64 [1, 1], position int64 [1, 1], mask [1, 1, 1, T + 1], cross_mask [1, 1, 1, S],
//              self_k, self_v [L, 1, T, d], cross_k, cross_v) → logits [1, 1, V], new_k, new_v [L, 1, 1, d]
// All but ids and position are float32. Masks are 0 for what may be seen, rules.masked for the rest.
#pragma once

#include "pipelines/marian/decode.h"
#include "pipelines/part.h"

namespace npuport::marian {

struct Model : PartSource {
  Rules rules;
  std::string source_spm, target_spm, vocab;  // paths
};

// The output folder of `port` or its *_metadata.json. Errors: those of the runtime; bad_input_data when it is no port
// of a Marian model; file_not_found, corrupt (a file of the tokeniser).
Result<Model> open_port(const std::string& path, const std::string& backend, const rt::Options& options);

struct Times {
  std::vector<double> encoder_ms, decoder_ms;  // one entry per run; the encoder's with cross_kv
};

class PartNetwork : public Network {
 public:
  // Opens the parts and checks what they take and give against the rules; `slots` ≥ 1: as many as there are beams.
  // Errors: missing_entry (the model lacks a part), shape_mismatch, dtype_mismatch, those of the runtime.
  static Result<std::unique_ptr<PartNetwork>> open(const Model& model, size_t slots);

  Status encode(std::span<const int32_t> ids) override;
  Result<std::span<const float>> step(size_t slot, int32_t token, size_t position) override;
  Status fork(size_t from, size_t to, size_t rows) override;

  std::string backend() const { return encoder_->backend(); }
  // The encoder's output [1][S][d] of the last sentence.
  std::span<const float> hidden() const { return hidden_.values(); }
  const Times& times() const { return times_; }
  void clear_times() { times_ = {}; }

 private:
  struct Slot {
    FloatBuffer k, v;
  };
  explicit PartNetwork(const Rules& rules) : rules_(rules) {}
  Status open_encoder(const Model& model);
  Status open_decoder(const Model& model, size_t slots);
  Status use(size_t slot);

  Rules rules_;
  Times times_;
  std::optional<rt::Session> encoder_, cross_, decoder_;
  CacheShape cache_;
  FloatBuffer hidden_, source_mask_, cross_k_, cross_v_, new_k_, new_v_;
  std::vector<Slot> slots_;
  size_t bound_ = 0;
  std::vector<float> mask_;
  std::vector<int64_t> tokens_;
};

}  // namespace npuport::marian
