// A Whisper model on the runtime: the parts of a port (or of a project not yet ported) behind the Network interface.
#pragma once

#include <memory>

#include "pipelines/part.h"
#include "pipelines/whisper/decode.h"

namespace npuport::whisper {

// Which decoder the loop uses: `full` computes all positions at every step, `kv` one position from cached keys and
// values. Same ids. `automatic`: kv where the model has it.
enum class Loop { automatic, full, kv };

// Parts, decoding rules and vocabulary of one model.
struct Model : PartSource {
  Rules rules;
  std::string vocabulary;  // path of the rank file

  bool has(const std::string& role) const { return has_part(rules.parts.at(role)); }
  Result<rt::Session> open_role(const std::string& role) const { return open_part(rules.parts.at(role), role); }
};

// The output folder of `port` or its *_metadata.json. `vocabulary`: a rank file instead of the port's own, or empty.
// Errors: those of the runtime; bad_input_data when it is no port of a Whisper model; file_not_found (the vocabulary).
Result<Model> open_port(const std::string& path, const std::string& backend, const rt::Options& options,
                        const std::string& vocabulary = {});

struct Times {
  std::vector<double> encoder_ms, decoder_ms;  // one entry per run
};

class PartNetwork : public Network {
 public:
  // Opens the parts the loop needs and checks what they take and give against the rules. Errors: missing_entry (the
  // model lacks a part), shape_mismatch, dtype_mismatch, those of the runtime.
  static Result<std::unique_ptr<PartNetwork>> open(const Model& model, Loop loop);

  Status set_audio(std::span<const float> mel) override;
  Result<std::span<const float>> logits(std::span<const int32_t> tokens, size_t row) override;

  Loop loop() const { return loop_; }  // full or kv
  std::string backend() const { return encoder_->backend(); }
  // [1][n_audio_ctx][n_audio_state] of the last window.
  std::span<const float> features() const { return features_.values(); }
  const Times& times() const { return times_; }
  void clear_times() { times_ = {}; }

 private:
  explicit PartNetwork(const Rules& rules) : rules_(rules) {}
  Status open_full(const Model& model);
  Status open_kv(const Model& model);
  Status feed(int32_t token, size_t position);

  Rules rules_;
  Loop loop_ = Loop::full;
  Times times_;
  std::optional<rt::Session> encoder_, decoder_, cross_;
  FloatBuffer features_;
  std::vector<int64_t> tokens_;  // full: the decoder's input as it was run
  std::vector<int32_t> done_;    // tokens the last logits (and the caches) belong to
  // kv: caches and cross keys and values per layer: k, v, k, v …
  CacheShape cache_;
  std::vector<FloatBuffer> self_, crossed_, rows_;
  std::vector<float> mask_;
};

}  // namespace npuport::whisper
