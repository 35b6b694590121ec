// Transcripts as text, SubRip (.srt), WebVTT (.vtt) and JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/json.h"
#include "pipelines/whisper/transcribe.h"

namespace npuport::whisper {

// "00:01.500" or, with hours, "01:00:01.500"; rounded to milliseconds (half to even, as Python's round).
std::string format_time(double seconds, bool always_hours, char decimal_mark);
// Subtitles as OpenAI's writers make them: one per segment, "-->" inside text becomes "->".
std::string to_srt(const Transcript& t);
std::string to_vtt(const Transcript& t);
// {"text", "language", "tokens", "segments": [{"id", "seek", "start", "end", "text", "tokens", "temperature",
// "avg_logprob", "compression_ratio", "no_speech_prob"}], "seconds"}; language is null when there was nothing to detect
// it from.
Json to_json(const Transcript& t);

}  // namespace npuport::whisper
