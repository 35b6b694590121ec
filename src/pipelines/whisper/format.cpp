#include "pipelines/whisper/format.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "pipelines/python_text.h"

namespace npuport::whisper {
namespace {

std::string cue_text(const Segment& s) {
  std::string text(strip(s.text));
  for (size_t at = 0; (at = text.find("-->", at)) != std::string::npos;) text.erase(at, 1);
  return text;
}

}  // namespace

std::string format_time(double seconds, bool always_hours, char decimal_mark) {
  const auto total = static_cast<int64_t>(std::nearbyint(seconds * 1000.0));
  const int64_t hours = total / 3600000, minutes = total / 60000 % 60, rest = total % 60000;
  const std::string head = always_hours || hours > 0 ? fmt::format("{:02}:", hours) : std::string();
  return fmt::format("{}{:02}:{:02}{}{:03}", head, minutes, rest / 1000, decimal_mark, rest % 1000);
}

std::string to_srt(const Transcript& t) {
  std::string out;
  size_t n = 0;
  for (const Segment& s : t.segments)
    out += fmt::format("{}\n{} --> {}\n{}\n\n", ++n, format_time(s.start, true, ','), format_time(s.end, true, ','),
                       cue_text(s));
  return out;
}

std::string to_vtt(const Transcript& t) {
  std::string out = "WEBVTT\n\n";
  for (const Segment& s : t.segments)
    out +=
        fmt::format("{} --> {}\n{}\n\n", format_time(s.start, false, '.'), format_time(s.end, false, '.'), cue_text(s));
  return out;
}

Json to_json(const Transcript& t) {
  Json j{{"text", t.text},
         {"language", nullptr},
         {"tokens", t.tokens},
         {"segments", Json::array()},
         {"seconds", t.seconds}};
  if (!t.language.empty()) j["language"] = t.language;
  if (t.language_probability < 1) j["language_probability"] = t.language_probability;
  for (size_t i = 0; i < t.segments.size(); ++i) {
    const Segment& s = t.segments[i];
    j["segments"].push_back(Json{{"id", i},
                                 {"seek", s.seek},
                                 {"start", s.start},
                                 {"end", s.end},
                                 {"text", s.text},
                                 {"tokens", s.tokens},
                                 {"temperature", s.temperature},
                                 {"avg_logprob", s.avg_logprob},
                                 {"compression_ratio", s.compression_ratio},
                                 {"no_speech_prob", s.no_speech_prob}});
  }
  return j;
}

}  // namespace npuport::whisper
