// Sound files as a stream of 16 kHz mono samples, in bounded memory whatever the length.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace npuport::whisper {

inline constexpr int kSampleRate = 16000;

// Anything that gives 16 kHz mono samples, once, front to back.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  // Fills `out` from the front; fewer than out.size() only at the end of the sound (0 from then on).
  virtual Result<size_t> read(std::span<float> out) = 0;
};

// Opens the same sound from its beginning, as often as needed.
using SourceFactory = std::function<Result<std::unique_ptr<SampleSource>>()>;

// A sound file by libsndfile (WAV, FLAC, OGG, MP3 … whatever the installed library reads): channels averaged, any rate
// from 1 kHz to 1.536 MHz resampled to 16 kHz by soxr (high quality), clamped to [-1, 1] as a 16-bit decoder would.
// Errors: file_not_found, not_readable (permission), unknown_format (a folder and a pipe too), corrupt, truncated (WAV,
// FLAC and MP3 that end before what their headers promise, Ogg and MP3 that end inside a page or frame), bad_input_data
// (no samples; a sample that is NaN or infinite, with its time; a rate out of range).
Result<std::unique_ptr<SampleSource>> open_sound(const std::string& path);

// Samples in memory (not copied).
std::unique_ptr<SampleSource> sound_from_samples(std::span<const float> samples);

}  // namespace npuport::whisper
