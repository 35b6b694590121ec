// The pipeline against openai-whisper, whose answers make_whisper_oracle.py wrote down.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/json.h"
#include "base/npy.h"
#include "pipelines/python_text.h"
#include "pipelines/whisper/format.h"
#include "pipelines/whisper/transcribe.h"
#include "support/paths.h"
#include "support/whisper_files.h"

namespace npuport::whisper {
namespace {

const Json& oracle() {
  static const Json j = [] {
    std::ifstream f(source_dir() + "/tests/pipelines/whisper_oracle.json");
    return Json::parse(f);
  }();
  return j;
}

std::vector<int32_t> ids_of(const Json& j) { return j.get<std::vector<int32_t>>(); }

TEST(WhisperOracleTest, SpecialTokensAndTextOfAllIds) {
  for (const Json& t : oracle()["tokens"]) {
    const SpecialTokens s = *special_tokens(t["n_vocab"].get<int64_t>());
    for (const auto& [key, got] : std::map<std::string, int32_t>{{"eot", s.eot},
                                                                 {"sot", s.sot},
                                                                 {"translate", s.translate},
                                                                 {"transcribe", s.transcribe},
                                                                 {"sot_lm", s.sot_lm},
                                                                 {"sot_prev", s.sot_prev},
                                                                 {"no_speech", s.no_speech},
                                                                 {"no_timestamps", s.no_timestamps},
                                                                 {"timestamp_begin", s.timestamp_begin}})
      EXPECT_EQ(got, t[key].get<int32_t>()) << key;
    EXPECT_EQ(s.count, t["n_vocab"].get<int32_t>());
    if (!s.multilingual) continue;  // the English byte strings are not bundled
    const Vocabulary v = *Vocabulary::read(bundled_vocabulary(), s);
    Sha256 digest;
    for (int32_t i = 0; i < s.count; ++i) {
      const std::string b = v.bytes(i);
      const auto n = static_cast<uint32_t>(b.size());
      digest.update(std::as_bytes(std::span(&n, 1)));
      digest.update(b);
    }
    EXPECT_EQ(digest.hex(), t["sha256_of_all"].get<std::string>());
    for (const Json& row : t["rows"]) {
      const std::string text = v.decode(ids_of(row["ids"]));
      EXPECT_EQ(text, row["text"].get<std::string>());
      EXPECT_EQ(strip(text), row["stripped"].get<std::string>());
    }
  }
}

TEST(WhisperOracleTest, CompressionRatio) {
  for (const Json& c : oracle()["compression"])
    EXPECT_DOUBLE_EQ(compression_ratio(c["text"].get<std::string>()), c["ratio"].get<double>());
}

// The noise of make_whisper_oracle.py.
std::vector<float> noise(size_t n) {
  std::vector<float> out(n);
  uint32_t x = 1;
  for (size_t i = 0; i < n; ++i) {
    x = 1664525u * x + 1013904223u;
    const bool loud = i > n / 3 && i < n / 2;
    out[i] = static_cast<float>((static_cast<double>(x >> 16) - 32768) / 32768.0 * (loud ? 0.5 : 0.01));
  }
  return out;
}

TEST(WhisperOracleTest, LogMelWithin1e4) {
  for (const Json& m : oracle()["mel"]) {
    const bool clip = m["sound"] == "clip001";
    const std::vector<float> samples = clip ? std::vector<float>() : noise(m["samples"].get<size_t>());
    const SourceFactory factory = [&]() -> Result<std::unique_ptr<SampleSource>> {
      if (clip) return open_sound(bundled_clip());
      return sound_from_samples(samples);
    };
    const auto n_mels = m["n_mels"].get<size_t>();
    for (const int threads : {1, 3}) {
      MelWindows windows = *MelWindows::open(factory, n_mels, threads);
      ASSERT_EQ(windows.content_frames(), m["content_frames"].get<size_t>());
      std::vector<float> out(n_mels * kFrames);
      double worst = 0;
      for (size_t i = 0; i < m["frames"].size(); ++i) {
        const auto frame = m["frames"][i].get<size_t>();
        const size_t start = frame / 1000 * 1000;
        const size_t in_sound =
            start < windows.content_frames() ? std::min(kFrames, windows.content_frames() - start) : 0;
        ASSERT_TRUE(windows.window(start, in_sound, Padding::silence, out));
        for (size_t k = 0; k < n_mels; ++k)
          worst = std::max(
              worst, std::abs(static_cast<double>(out[k * kFrames + frame - start]) - m["values"][i][k].get<double>()));
      }
      EXPECT_LT(worst, 1e-4) << m["sound"] << " " << n_mels;
      EXPECT_GT(worst, 0) << "nothing was compared";
    }
  }
}

// Plays a scenario's scripts, as Scripted in make_whisper_oracle.py does.
class ScriptedNetwork : public Network {
 public:
  ScriptedNetwork(const Json& scenario, const Rules& rules) : s_(scenario), rules_(rules) {}

  Status set_audio(std::span<const float>) override {
    ++window_;
    attempt_ = -1;
    return {};
  }

  Result<std::span<const float>> logits(std::span<const int32_t> tokens, size_t row) override {
    out_.assign(static_cast<size_t>(rules_.special.count), 0.0f);
    const Json& windows = s_["windows"];
    if (tokens.size() == 1 &&
        rules_.special.multilingual) {  // language detection comes first, on audio that is set again for decoding
      for (const Json& l : s_["language_scores"]) out_[l[0].get<size_t>()] = l[1].get<float>();
      window_ = -1;
      return std::span<const float>(out_);
    }
    const Json& window = windows[std::min<size_t>(static_cast<size_t>(window_), windows.size() - 1)];
    const auto sot = static_cast<size_t>(std::find(tokens.begin(), tokens.end(), rules_.special.sot) - tokens.begin());
    const size_t start = rules_.start_sequence().size();
    if (row == sot && tokens.size() == sot + start) {
      // Asked for the probability of silence; and once more where this row is also the last.
      again_ = start == 1 && !again_;
      if (start > 1 || again_) ++attempt_;
      out_[static_cast<size_t>(rules_.special.no_speech)] = window["no_speech"].get<float>();
      return std::span<const float>(out_);
    }
    const Json& attempts = window["attempts"];
    const Json& steps = attempts[std::min<size_t>(static_cast<size_t>(attempt_), attempts.size() - 1)];
    const size_t n = row + 1 - sot - start;
    const Json& step = steps[s_["loop"].get<bool>() ? n % steps.size() : std::min(n, steps.size() - 1)];
    for (const Json& f : step) out_[f[0].get<size_t>()] = f[1].get<float>();
    return std::span<const float>(out_);
  }

 private:
  const Json& s_;
  const Rules& rules_;
  std::vector<float> out_;
  int window_ = -1, attempt_ = -1;
  bool again_ = false;
};

std::optional<double> limit(const Json& options, const char* key, double otherwise) {
  if (!options.contains(key)) return otherwise;
  return options[key].is_null() ? std::nullopt : std::optional<double>(options[key].get<double>());
}

Rules rules_of(const Json& scenario) {
  const Json& o = scenario["options"];
  Rules r;
  r.special = *special_tokens(scenario["n_vocab"].get<int64_t>());
  const SpecialTokens& s = r.special;
  r.timestamps = !o["without_timestamps"].get<bool>();
  r.padding = Padding::zero;
  r.task = o["task"].get<std::string>();
  r.language = o.contains("language") ? o["language"].get<std::string>() : "";
  r.suppress = s.multilingual ? multilingual_non_speech() : english_non_speech();
  r.suppress.insert(r.suppress.end(), {s.translate, s.transcribe, s.sot, s.sot_prev, s.sot_lm, s.no_speech});
  r.suppress_first = {220, s.eot};
  r.condition_on_previous_text =
      !o.contains("condition_on_previous_text") || o["condition_on_previous_text"].get<bool>();
  r.temperatures = o["temperature"].get<std::vector<double>>();
  r.no_speech_threshold = limit(o, "no_speech_threshold", 0.6);
  r.logprob_threshold = limit(o, "logprob_threshold", -1.0);
  r.compression_ratio_threshold = limit(o, "compression_ratio_threshold", 2.4);
  return r;
}

void expect_same(const Segment& got, const Json& want, bool with_text) {
  EXPECT_EQ(got.seek, want["seek"].get<size_t>());
  EXPECT_DOUBLE_EQ(got.start, want["start"].get<double>());
  EXPECT_DOUBLE_EQ(got.end, want["end"].get<double>());
  EXPECT_EQ(got.tokens, ids_of(want["tokens"]));
  EXPECT_DOUBLE_EQ(got.temperature, want["temperature"].get<double>());
  EXPECT_NEAR(got.avg_logprob, want["avg_logprob"].get<double>(), 5e-4) /* OpenAI adds up in float32 */;
  EXPECT_NEAR(got.no_speech_prob, want["no_speech_prob"].get<double>(), 1e-5);
  if (!with_text) return;
  EXPECT_EQ(got.text, want["text"].get<std::string>());
  EXPECT_DOUBLE_EQ(got.compression_ratio, want["compression_ratio"].get<double>());
}

TEST(WhisperOracleTest, SeekTimestampsAndFallbackOnScriptedLogits) {
  size_t segments = 0;
  std::set<double> temperatures;
  for (size_t k = 0; k < oracle()["scenarios"].size(); ++k) {
    SCOPED_TRACE("scenario " + std::to_string(k));
    const Json& s = oracle()["scenarios"][k];
    const Rules rules = rules_of(s);
    // The English byte strings are not bundled: the multilingual ones, cut, stand in, and text is not compared.
    const bool with_text = rules.special.multilingual;
    const Vocabulary vocabulary = *Vocabulary::read(with_text ? bundled_vocabulary() : cut_vocabulary(), rules.special);
    const std::vector<float> silence(s["samples"].get<size_t>());
    MelWindows mel = *MelWindows::open(
        [&]() -> Result<std::unique_ptr<SampleSource>> { return sound_from_samples(silence); }, 80, 1);
    ScriptedNetwork network(s, rules);
    const Result<Transcript> got = transcribe(network, mel, rules, vocabulary);
    ASSERT_TRUE(got) << got.error().message;
    const Json& want = s["result"];
    if (mel.content_frames() > 0) {
      EXPECT_EQ(got->language, want["language"].get<std::string>());
    }
    if (with_text) {
      EXPECT_EQ(got->text, strip(want["text"].get<std::string>()));
      EXPECT_EQ(to_srt(*got), want["srt"].get<std::string>());
      EXPECT_EQ(to_vtt(*got), want["vtt"].get<std::string>());
    }
    ASSERT_EQ(got->segments.size(), want["segments"].size());
    for (size_t i = 0; i < got->segments.size(); ++i) {
      expect_same(got->segments[i], want["segments"][i], with_text);
      temperatures.insert(got->segments[i].temperature);
    }
    segments += got->segments.size();
  }
  EXPECT_GT(segments, 150U);
  EXPECT_GE(temperatures.size(), 3U);
}

}  // namespace
}  // namespace npuport::whisper
