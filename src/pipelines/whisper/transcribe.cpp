#include "pipelines/whisper/transcribe.h"

#include <algorithm>

#include "pipelines/python_text.h"

namespace npuport::whisper {
namespace {

constexpr double kSecondsPerFrame = static_cast<double>(kHop) / kSampleRate;
constexpr double kSecondsPerTimestamp = kInputStride * kSecondsPerFrame;
// A window decoded this warm does not serve as context for the next.
constexpr double kWarm = 0.5;

bool is_silence(const DecodeResult& r, const Rules& rules) {
  if (!rules.no_speech_threshold || r.no_speech_prob <= *rules.no_speech_threshold) return false;
  return !(rules.logprob_threshold && r.avg_logprob > *rules.logprob_threshold);
}

// What one decoded window says: its segments, and how many frames to move on.
struct WindowResult {
  std::vector<Segment> segments;
  size_t advance = 0;
};

WindowResult cut_segments(const DecodeResult& r, size_t seek, size_t frames, const Rules& rules,
                          const Vocabulary& vocabulary) {
  const int32_t time_begin = rules.special.timestamp_begin;
  const auto is_time = [&](size_t i) { return r.tokens[i] >= time_begin; };
  const auto position = [&](int32_t id) { return static_cast<size_t>(id - time_begin); };
  const double offset = static_cast<double>(seek) * kHop / kSampleRate;
  const size_t n = r.tokens.size();
  WindowResult out;
  const auto add = [&](double start, double end, size_t from, size_t to) {
    Segment s;
    s.seek = seek;
    s.start = start;
    s.end = end;
    s.tokens.assign(r.tokens.begin() + static_cast<std::ptrdiff_t>(from),
                    r.tokens.begin() + static_cast<std::ptrdiff_t>(to));
    std::vector<int32_t> text;
    std::copy_if(s.tokens.begin(), s.tokens.end(), std::back_inserter(text),
                 [&](int32_t id) { return id < rules.special.eot; });
    s.text = vocabulary.decode(text);
    s.temperature = r.temperature;
    s.avg_logprob = r.avg_logprob;
    s.compression_ratio = r.compression_ratio;
    s.no_speech_prob = r.no_speech_prob;
    out.segments.push_back(std::move(s));
  };
  const bool single_end = n >= 2 && !is_time(n - 2) && is_time(n - 1);
  std::vector<size_t> cuts;  // between two neighbouring timestamps
  for (size_t i = 1; i < n; ++i)
    if (is_time(i - 1) && is_time(i)) cuts.push_back(i);
  out.advance = frames;
  if (cuts.empty()) {
    double duration = static_cast<double>(frames) * kHop / kSampleRate;
    for (size_t i = n; i-- > 0;)
      if (is_time(i)) {
        if (r.tokens[i] != time_begin) duration = static_cast<double>(position(r.tokens[i])) * kSecondsPerTimestamp;
        break;
      }
    add(offset, offset + duration, 0, n);
    return out;
  }
  if (single_end) cuts.push_back(n);
  size_t from = 0;
  for (const size_t cut : cuts) {
    // The first and last token of a cut are timestamps, unless the model writes them though it was told not to.
    const auto at = [&](size_t i) {
      return offset + static_cast<double>(std::max(r.tokens[i] - time_begin, 0)) * kSecondsPerTimestamp;
    };
    add(at(from), at(cut - 1), from, cut);
    from = cut;
  }
  // One timestamp at the end: nothing is spoken behind it. Otherwise the last segment is unfinished, go on from there.
  if (!single_end) out.advance = position(r.tokens[from - 1]) * kInputStride;
  if (out.advance == 0) out.advance = frames;  // only without timestamp rules; OpenAI's loop would not end
  return out;
}

}  // namespace

Result<Transcript> transcribe(Network& network, MelWindows& mel, const Rules& given, const Vocabulary& vocabulary,
                              const std::function<void(double)>& progress) {
  Rules rules = given;
  Transcript out;
  out.seconds = mel.seconds();
  const auto features = std::make_unique_for_overwrite<float[]>(mel.n_mels() * kFrames);
  const std::span window(features.get(), mel.n_mels() * kFrames);
  const size_t content = mel.content_frames();
  if (!rules.special.multilingual) rules.language = "en";
  if (rules.language.empty() && content > 0) {
    NPU_TRY(mel.window(0, std::min(kFrames, content), Padding::silence, window));
    NPU_TRY(network.set_audio(window));
    NPU_ASSIGN(const Language language, detect_language(network, rules));
    rules.language = language.code;
    out.language_probability = language.probability;
  }
  out.language = rules.language;

  std::mt19937_64 random(rules.seed);
  std::vector<int32_t> all;
  size_t prompt_from = 0;  // ids before this no longer serve as context
  for (size_t seek = 0; seek < content;) {
    if (progress) progress(static_cast<double>(seek) / static_cast<double>(content));
    const size_t frames = std::min(kFrames, content - seek);
    NPU_TRY(mel.window(seek, frames, rules.padding, window));
    NPU_TRY(network.set_audio(window));
    NPU_ASSIGN(const DecodeResult result,
               decode_with_fallback(network, rules, vocabulary, std::span(all).subspan(prompt_from), random));
    ++out.windows;
    if (is_silence(result, rules)) {
      seek += frames;
      continue;
    }
    WindowResult cut = cut_segments(result, seek, frames, rules, vocabulary);
    for (Segment& s : cut.segments) {
      if (s.start == s.end || strip(s.text).empty()) {
        s.text.clear();
        s.tokens.clear();
      }
      all.insert(all.end(), s.tokens.begin(), s.tokens.end());
      out.segments.push_back(std::move(s));
    }
    seek += cut.advance;
    if (!rules.condition_on_previous_text || result.temperature > kWarm) prompt_from = all.size();
  }
  if (progress) progress(1.0);
  out.text = strip(vocabulary.decode(all));
  out.tokens = std::move(all);
  return out;
}

}  // namespace npuport::whisper
