// The debug outputs of `transcribe` (requirement S0-44): what went into the network and came out of it in the first
// window, saved and compared with those of another run.
#pragma once

#include "base/json.h"
#include "base/tensor.h"
#include "pipelines/whisper/network.h"

namespace npuport::app {

// Keeps what goes in and out of a network in the first window.
class Recorder : public whisper::Network {
 public:
  explicit Recorder(whisper::PartNetwork& network) : network_(network) {}
  Status set_audio(std::span<const float> mel) override;
  Result<std::span<const float>> logits(std::span<const int32_t> tokens, size_t row) override;

  // Writes preprocessed_mel.npy [1, n_mels, 3000], encoder_output.npy [1, 1500, width] and decoder_logits.npy
  // [1, steps, vocabulary] into a folder. bad_input_data when no window was recorded.
  Status write(const std::string& folder, const whisper::Rules& rules) const;

  // Compares with the files of those names in `folder`, written by another run, or by `port` (logits of all positions).
  // {"verdict", "sentence", "lesson", "outputs": [{"name", "max_diff", "limit", "equal", …}]}: the first that differs
  // is named, and what a difference there speaks of. shape_mismatch when they belong to another model; errors of
  // reading.
  Result<Json> compare(const std::string& folder, const whisper::Rules& rules) const;

 private:
  Result<std::vector<std::pair<std::string, Tensor>>> tensors(const whisper::Rules& rules) const;

  whisper::PartNetwork& network_;
  std::vector<float> mel_, features_, rows_;
  std::vector<size_t> positions_;  // of the rows of logits
  int windows_ = 0;
  bool closed_ = false;
};

// The comparison for people.
std::string debug_text(const Json& comparison);

}  // namespace npuport::app
