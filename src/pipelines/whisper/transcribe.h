// A whole sound to text with times: windows of 30 s, moved on by the timestamps the model writes, as OpenAI's
// transcribe() does it (without word timestamps and beam search).
#pragma once

#include <functional>

#include "pipelines/whisper/decode.h"

namespace npuport::whisper {

struct Segment {
  size_t seek = 0;              // first mel frame of its window
  double start = 0, end = 0;    // seconds
  std::string text;             // as decoded, with the leading blank
  std::vector<int32_t> tokens;  // timestamps included
  double temperature = 0, avg_logprob = 0, compression_ratio = 0, no_speech_prob = 0;
};

struct Transcript {
  std::string text;  // stripped
  std::string language;
  double language_probability = 1;  // below 1 only when detected
  std::vector<int32_t> tokens;      // of all segments
  std::vector<Segment> segments;
  double seconds = 0;  // length of the sound
  size_t windows = 0;  // decoded
};

// `progress` (may be empty) gets the fraction done. A language still to be detected is detected on the first 30 s.
Result<Transcript> transcribe(Network& network, MelWindows& mel, const Rules& rules, const Vocabulary& vocabulary,
                              const std::function<void(double)>& progress = {});

}  // namespace npuport::whisper
