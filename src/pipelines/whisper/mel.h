// Log-mel features as Whisper was trained on (Radford et al. 2022, section 2.2): 16 kHz, 25 ms Hann windows every 10
// ms, power, mel filters by Slaney's formula (linear below 1 kHz, logarithmic above, triangles of unit area), log10, at
// most 8 below the loudest value of the whole sound, (x + 4) / 4.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "pipelines/whisper/audio.h"
#include "pipelines/whisper/spectrum.h"

namespace npuport::whisper {

inline constexpr size_t kFrames = 3000;  // mel frames of one window of 30 s
inline constexpr size_t kFramesPerSecond = 100;
inline constexpr size_t kInputStride = 2;  // mel frames per step of the encoder and per timestamp

// What is not zero of librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels), float32.
MelFilters mel_filters(size_t n_mels);

// What follows a sound that ends inside a window.
enum class Padding {
  silence,  // zeros in the sound, as decode(log_mel_spectrogram(pad_or_trim(audio)))
  zero,     // zeros in the features, as OpenAI's transcribe()
};

// The features of a whole sound, handed out in windows of 30 s from left to right. The loudest value is needed first,
// so a long sound is read twice; one of up to about five minutes is kept.
class MelWindows {
 public:
  // Reads the sound once. `threads`: for the transform. Errors: those of the source; bad_input_data for an n_mels other
  // than 80 or 128.
  static Result<MelWindows> open(SourceFactory factory, size_t n_mels, int threads);

  size_t n_mels() const { return n_mels_; }
  // Frames of 10 ms that lie in the sound (samples / 160) and its length in seconds.
  size_t content_frames() const { return content_; }
  double seconds() const { return static_cast<double>(samples_) / kSampleRate; }

  // Frames [start, start + frames) into out[n_mels][kFrames], the rest as `padding` says. frames ≤ kFrames. Starts
  // must not decrease from call to call.
  Status window(size_t start, size_t frames, Padding padding, std::span<float> out);

 private:
  class Stream;
  MelWindows() = default;
  void make_room(size_t next);
  Status forget_before(size_t frame);
  Status fetch_until(size_t frame);

  SourceFactory factory_;
  size_t n_mels_ = 0, content_ = 0;
  uint64_t samples_ = 0;
  float loudest_ = 0;
  int threads_ = 1;
  std::deque<std::unique_ptr<float[]>> slabs_;  // log10 values of frames from first_ on
  size_t first_ = 0, fetched_ = 0;              // fetched_: frames read so far, of a long sound
  std::shared_ptr<Stream> stream_;              // set while a long sound is read again
};

}  // namespace npuport::whisper
