#include "pipelines/whisper/decode.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/diag_codes.h"
#include "pipelines/logits.h"
#include "pipelines/python_text.h"

namespace npuport::whisper {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void forbid(std::span<float> logits, size_t from, size_t to) {
  for (size_t i = from; i < std::min(to, logits.size()); ++i) logits[i] = kNever;
}

// Timestamps come in pairs (end of one segment, start of the next) except at the beginning and before the end, never
// run backwards, begin within max_initial_timestamp, and are taken when together they are likelier than any text.
void apply_timestamp_rules(std::span<float> logits, std::span<const int32_t> sampled, const Rules& rules) {
  const SpecialTokens& s = rules.special;
  const auto begin = static_cast<size_t>(s.timestamp_begin);
  const auto is_time = [&](int32_t id) { return id >= s.timestamp_begin; };
  logits[static_cast<size_t>(s.no_timestamps)] = kNever;
  const size_t n = sampled.size();
  const bool last = n >= 1 && is_time(sampled[n - 1]);
  const bool before_last = n < 2 || is_time(sampled[n - 2]);
  if (last && before_last) forbid(logits, begin, logits.size());
  if (last && !before_last) forbid(logits, 0, static_cast<size_t>(s.eot));
  const auto newest = std::find_if(sampled.rbegin(), sampled.rend(), is_time);
  if (newest != sampled.rend()) {
    // The pair's second half may repeat the first; a segment must have some length.
    const int32_t next = last && !before_last ? *newest : *newest + 1;
    forbid(logits, begin, static_cast<size_t>(next));
  }
  if (n == 0) {
    forbid(logits, 0, begin);
    if (rules.max_initial_timestamp && *rules.max_initial_timestamp != 0) {
      const double precision = 30.0 / static_cast<double>(rules.n_audio_ctx);
      const double index = std::nearbyint(*rules.max_initial_timestamp / precision);
      forbid(logits, begin + static_cast<size_t>(std::clamp(index, 0.0, 1e6)) + 1, logits.size());
    }
  }
  const double times = log_sum_exp(logits.subspan(begin));
  const float text = *std::max_element(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(begin));
  if (times > text) forbid(logits, 0, begin);
}

// The likeliest id (the lowest of equals), or a draw from softmax(logits / temperature).
size_t choose(std::span<const float> logits, double temperature, std::mt19937_64& random) {
  const auto best = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0) return static_cast<size_t>(best - logits.begin());
  double total = 0;
  const auto weight = [&](float v) { return std::exp((static_cast<double>(v) - *best) / temperature); };
  for (const float v : logits) total += weight(v);
  double point = static_cast<double>(random() >> 11) * 0x1.0p-53 * total;
  size_t last = static_cast<size_t>(best - logits.begin());
  for (size_t i = 0; i < logits.size(); ++i) {
    const double w = weight(logits[i]);
    if (w > 0) last = i;
    point -= w;
    if (point < 0) return last;
  }
  return last;
}

std::vector<int32_t> initial_tokens(const Rules& rules, std::span<const int32_t> prompt, size_t& sot_index) {
  std::vector<int32_t> out;
  if (!prompt.empty()) {
    const size_t room = static_cast<size_t>(rules.n_text_ctx) / 2 - 1;
    const auto tail = prompt.subspan(prompt.size() - std::min(prompt.size(), room));
    out.push_back(rules.special.sot_prev);
    out.insert(out.end(), tail.begin(), tail.end());
  }
  sot_index = out.size();
  const std::vector<int32_t> start = rules.start_sequence();
  out.insert(out.end(), start.begin(), start.end());
  return out;
}

}  // namespace

double compression_ratio(std::string_view text) {
  uLongf size = compressBound(static_cast<uLong>(text.size()));
  std::vector<Bytef> out(size);
  if (compress(out.data(), &size, reinterpret_cast<const Bytef*>(text.data()), static_cast<uLong>(text.size())) != Z_OK)
    return 0;
  return static_cast<double>(text.size()) / static_cast<double>(size);
}

Result<DecodeResult> decode(Network& network, const Rules& rules, const Vocabulary& vocabulary,
                            std::span<const int32_t> prompt, double temperature, std::mt19937_64& random) {
  const SpecialTokens& s = rules.special;
  size_t sot_index = 0;
  std::vector<int32_t> tokens = initial_tokens(rules, prompt, sot_index);
  const size_t begin = tokens.size();
  DecodeResult result;
  result.temperature = temperature;
  double sum = 0;
  std::vector<float> logits;
  for (int64_t step = 0; step < rules.max_new_tokens; ++step) {
    if (step == 0) {
      NPU_ASSIGN(const std::span<const float> at_sot, network.logits(tokens, sot_index));
      if (at_sot.size() != static_cast<size_t>(s.count))
        return Diag(diag::shape_mismatch,
                    fmt::format("the decoder gives {} logits, the vocabulary has {} tokens", at_sot.size(), s.count));
      NPU_TRY(check_logits(at_sot));
      result.no_speech_prob =
          std::exp(static_cast<double>(at_sot[static_cast<size_t>(s.no_speech)]) - log_sum_exp(at_sot));
    }
    NPU_ASSIGN(const std::span<const float> raw, network.logits(tokens, tokens.size() - 1));
    NPU_TRY(check_logits(raw));
    logits.assign(raw.begin(), raw.end());
    if (step == 0)
      for (const int32_t id : rules.suppress_first) logits[static_cast<size_t>(id)] = kNever;
    for (const int32_t id : rules.suppress) logits[static_cast<size_t>(id)] = kNever;
    if (rules.timestamps) apply_timestamp_rules(logits, std::span(tokens).subspan(begin), rules);
    const double normaliser = log_sum_exp(logits);
    if (std::isinf(normaliser)) return Diag(diag::gate_failed, "every token is suppressed, or a logit is infinite");
    const size_t next = choose(logits, temperature, random);
    sum += static_cast<double>(logits[next]) - normaliser;
    if (static_cast<int32_t>(next) == s.eot) break;
    tokens.push_back(static_cast<int32_t>(next));
    if (static_cast<int64_t>(tokens.size()) > rules.n_text_ctx) break;
  }
  result.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(begin), tokens.end());
  result.text = strip(vocabulary.decode(result.tokens));
  result.avg_logprob = sum / static_cast<double>(result.tokens.size() + 1);
  result.compression_ratio = compression_ratio(result.text);
  return result;
}

Result<DecodeResult> decode_with_fallback(Network& network, const Rules& rules, const Vocabulary& vocabulary,
                                          std::span<const int32_t> prompt, std::mt19937_64& random) {
  DecodeResult result;
  for (const double temperature : rules.temperatures) {
    NPU_ASSIGN(result, decode(network, rules, vocabulary, prompt, temperature, random));
    const bool repetitive =
        rules.compression_ratio_threshold && result.compression_ratio > *rules.compression_ratio_threshold;
    const bool unsure = rules.logprob_threshold && result.avg_logprob < *rules.logprob_threshold;
    const bool silence = rules.no_speech_threshold && result.no_speech_prob > *rules.no_speech_threshold && unsure;
    if (silence || (!repetitive && !unsure)) break;
  }
  return result;
}

Result<Language> detect_language(Network& network, const Rules& rules) {
  if (!rules.special.multilingual) return Language{"en", 1.0};
  const int32_t sot[] = {rules.special.sot};
  NPU_ASSIGN(const std::span<const float> logits, network.logits(sot, 0));
  const auto first = static_cast<size_t>(rules.special.first_language);
  const auto count = static_cast<size_t>(rules.special.languages);
  if (logits.size() < first + count) return Diag(diag::shape_mismatch, "the decoder gives too few logits");
  const std::span<const float> languages = logits.subspan(first, count);
  NPU_TRY(check_logits(languages));
  const auto best = std::max_element(languages.begin(), languages.end());
  const auto index = static_cast<size_t>(best - languages.begin());
  return Language{std::string(language_codes()[index]), std::exp(static_cast<double>(*best) - log_sum_exp(languages))};
}

}  // namespace npuport::whisper
