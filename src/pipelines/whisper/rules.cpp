#include "pipelines/whisper/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "base/json.h"
#include "pipelines/rule_reader.h"

namespace npuport::whisper {
namespace {

// English names of languages, in the order of language_codes(); second names OpenAI accepts follow.
constexpr std::string_view kNames[] = {
    "english",    "chinese",    "german",        "spanish",        "russian",   "korean",     "french",
    "japanese",   "portuguese", "turkish",       "polish",         "catalan",   "dutch",      "arabic",
    "swedish",    "italian",    "indonesian",    "hindi",          "finnish",   "vietnamese", "hebrew",
    "ukrainian",  "greek",      "malay",         "czech",          "romanian",  "danish",     "hungarian",
    "tamil",      "norwegian",  "thai",          "urdu",           "croatian",  "bulgarian",  "lithuanian",
    "latin",      "maori",      "malayalam",     "welsh",          "slovak",    "telugu",     "persian",
    "latvian",    "bengali",    "serbian",       "azerbaijani",    "slovenian", "kannada",    "estonian",
    "macedonian", "breton",     "basque",        "icelandic",      "armenian",  "nepali",     "mongolian",
    "bosnian",    "kazakh",     "albanian",      "swahili",        "galician",  "marathi",    "punjabi",
    "sinhala",    "khmer",      "shona",         "yoruba",         "somali",    "afrikaans",  "occitan",
    "georgian",   "belarusian", "tajik",         "sindhi",         "gujarati",  "amharic",    "yiddish",
    "lao",        "uzbek",      "faroese",       "haitian creole", "pashto",    "turkmen",    "nynorsk",
    "maltese",    "sanskrit",   "luxembourgish", "myanmar",        "tibetan",   "tagalog",    "malagasy",
    "assamese",   "tatar",      "hawaiian",      "lingala",        "hausa",     "bashkir",    "javanese",
    "sundanese",  "cantonese"};
constexpr std::pair<std::string_view, std::string_view> kOtherNames[] = {
    {"burmese", "my"},       {"valencian", "ca"}, {"flemish", "nl"},   {"haitian", "ht"},
    {"letzeburgesch", "lb"}, {"pushto", "ps"},    {"panjabi", "pa"},   {"moldavian", "ro"},
    {"moldovan", "ro"},      {"sinhalese", "si"}, {"castilian", "es"}, {"mandarin", "zh"}};

Status read_dims(const Json& object, const std::string& file, Rules& r) {
  const auto it = object.find("dims");
  if (it == object.end() || !it->is_object()) return Diag(diag::corrupt, "no object 'dims'").in_file(file);
  RuleReader dims(*it, file);
  r.n_mels = dims.integer("n_mels", 80, 128, {});
  r.n_audio_ctx = dims.integer("n_audio_ctx", 1, 1 << 16, {});
  r.n_audio_state = dims.integer("n_audio_state", 1, 1 << 16, {});
  r.n_text_ctx = dims.integer("n_text_ctx", 8, 1 << 16, {});
  r.n_text_state = dims.integer("n_text_state", 1, 1 << 16, {});
  r.n_text_layer = dims.integer("n_text_layer", 1, 256, {});
  const int64_t vocabulary = dims.integer("n_vocab", 1, 1 << 20, {});
  NPU_TRY(dims.status());
  if (static_cast<size_t>(r.n_audio_ctx) * kInputStride != kFrames)
    return Diag(diag::corrupt, fmt::format("n_audio_ctx is {}, Whisper's window of 30 s has {}", r.n_audio_ctx,
                                           kFrames / kInputStride))
        .in_file(file);
  auto special = special_tokens(vocabulary);
  if (!special) return std::move(special.error().in_file(file));
  r.special = *special;
  return {};
}

Status read_temperatures(RuleReader& in, Rules& r) {
  const Json* list = in.find("temperatures");
  if (!list) return {};
  r.temperatures.clear();
  if (list->is_array())
    for (const Json& v : *list)
      if (v.is_number() && v.get<double>() >= 0 && v.get<double>() <= 100) r.temperatures.push_back(v.get<double>());
  if (!list->is_array() || r.temperatures.empty() || r.temperatures.size() != list->size())
    in.fail("'temperatures' must be a list of numbers from 0 on");
  return {};
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

int32_t Rules::language_token(std::string_view code) const {
  if (!special.multilingual) return -1;
  const auto codes = language_codes();
  const auto end = codes.begin() + special.languages;
  const auto it = std::find(codes.begin(), end, code);
  return it == end ? -1 : special.first_language + static_cast<int32_t>(it - codes.begin());
}

std::vector<int32_t> Rules::start_sequence() const {
  std::vector<int32_t> out{special.sot};
  if (special.multilingual) {
    out.push_back(language_token(language.empty() ? "en" : language));
    out.push_back(task == "translate" ? special.translate : special.transcribe);
  }
  if (!timestamps) out.push_back(special.no_timestamps);
  return out;
}

Result<Rules> read_rules(const std::string& text, const std::string& file) {
  NPU_ASSIGN(const Json j, parse_rules(text, file));
  RuleReader in(j, file);
  Rules r;
  NPU_TRY(read_dims(j, file, r));
  r.language = in.text("language", "");
  r.timestamps = in.boolean("timestamps", false);
  const std::string padding = in.text("padding", r.timestamps ? "zero" : "silence");
  if (padding != "zero" && padding != "silence") in.fail("'padding' must be \"silence\" or \"zero\"");
  r.padding = padding == "zero" ? Padding::zero : Padding::silence;
  r.max_new_tokens = in.integer("max_new_tokens", 1, r.n_text_ctx, r.n_text_ctx / 2);
  r.suppress = in.ids("suppress_tokens", r.special.count, true);
  r.suppress_first = in.ids("suppress_first", r.special.count, true);
  r.max_initial_timestamp = in.number("max_initial_timestamp", r.max_initial_timestamp);
  NPU_TRY(read_temperatures(in, r));
  r.compression_ratio_threshold = in.number("compression_ratio_threshold", r.compression_ratio_threshold);
  r.logprob_threshold = in.number("logprob_threshold", r.logprob_threshold);
  r.no_speech_threshold = in.number("no_speech_threshold", r.no_speech_threshold);
  r.condition_on_previous_text = in.boolean("condition_on_previous_text", true);
  r.vocab = in.file_name("vocab", "");
  for (const char* role : {"encoder", "decoder", "cross_kv", "decoder_kv"}) r.parts[role] = role;
  if (const Json* parts = in.find("parts"); parts && parts->is_object())
    for (const auto& [role, part] : parts->items())
      if (part.is_string()) r.parts[role] = part.get<std::string>();
  if (!r.language.empty() && r.special.multilingual && r.language_token(r.language) < 0)
    in.fail("'language' is none of the model's languages");
  NPU_TRY(in.status());
  return r;
}

Result<std::string> parse_language(std::string_view text, const Rules& rules) {
  const std::string wanted = lower(text);
  std::string code = wanted;
  const auto codes = language_codes();
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == wanted) code = codes[i];
  for (const auto& [other, c] : kOtherNames)
    if (other == wanted) code = c;
  const auto known = codes.subspan(0, static_cast<size_t>(rules.special.languages));
  if (std::find(known.begin(), known.end(), code) == known.end())
    return Diag(diag::usage, fmt::format("'{}' is none of the model's {} languages", text, known.size()),
                fmt::format("codes: {}", fmt::join(known, " ")));
  if (!rules.special.multilingual && code != "en")
    return Diag(diag::usage, "this model knows English only, not '" + code + "'");
  return code;
}

}  // namespace npuport::whisper
