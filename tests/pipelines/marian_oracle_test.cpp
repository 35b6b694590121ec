// Tokens and beam search against Hugging Face's transformers, whose answers make_marian_oracle.py wrote down.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "pipelines/marian/decode.h"
#include "pipelines/marian/tokenizer.h"
#include "support/paths.h"

namespace npuport::marian {
namespace {

namespace fs = std::filesystem;

const Json& oracle() {
  static const Json j = [] {
    std::ifstream f(source_dir() + "/tests/pipelines/marian_oracle.json");
    return Json::parse(f);
  }();
  return j;
}

std::string shared_vocabulary() {
  const char* shared = std::getenv("NPUPORT_SHARED");
  return (shared && *shared ? std::string(shared) : source_dir() + "/../shared") + "/data/marian_en_mg_vocab";
}

TEST(MarianOracleTest, TokensOfAPublishedVocabulary) {
  const std::string folder = shared_vocabulary();
  if (!fs::exists(folder + "/source.spm")) GTEST_SKIP() << "no " << folder << " (NPUPORT_SHARED)";
  Rules rules;
  rules.source_vocabulary = rules.target_vocabulary = 54688;
  rules.eos = 0;
  rules.pad = 54687;
  const auto t = Tokenizer::read(folder + "/source.spm", folder + "/target.spm", folder + "/vocab.json", rules);
  ASSERT_TRUE(t) << t.error().message;
  for (const Json& row : oracle()["tokenizer"]["encode"]) {
    const auto ids = t->encode(row["text"].get<std::string>());
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, row["ids"].get<std::vector<int32_t>>()) << row["text"];
  }
  for (const Json& row : oracle()["tokenizer"]["decode"]) {
    const auto text = t->decode(row["ids"].get<std::vector<int32_t>>());
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, row["text"].get<std::string>()) << row["ids"];
  }
}

// The made-up logits of make_marian_oracle.py: of the tokens a slot was given. A slot forgets nothing that fork() does
// not copy, so a mistake in the slots changes the answer.
class ScriptedNetwork : public Network {
 public:
  ScriptedNetwork(uint64_t seed, float bias, size_t words, size_t slots)
      : seed_(seed), bias_(bias), words_(words), slots_(slots) {}

  Status encode(std::span<const int32_t>) override { return {}; }
  Result<std::span<const float>> step(size_t slot, int32_t token, size_t position) override {
    slots_.at(slot).resize(position);
    slots_[slot].push_back(token);
    uint64_t h = seed_;
    for (const int32_t t : slots_[slot])
      h = (h * 1103515245 + 12345 + static_cast<uint64_t>(t) * 2654435761) % (uint64_t{1} << 31);
    logits_.clear();
    for (uint64_t v = 0; v < words_; ++v) {
      uint64_t x = (h + v * 40503 + 1) * 48271 % 2147483647;
      x = x * 48271 % 2147483647;
      logits_.push_back(static_cast<float>(static_cast<double>(x % 6000) / 1000.0));
    }
    logits_[0] += bias_;
    return std::span<const float>(logits_);
  }
  Status fork(size_t from, size_t to, size_t rows) override {
    slots_.at(to).assign(slots_.at(from).begin(), slots_.at(from).begin() + static_cast<std::ptrdiff_t>(rows));
    return {};
  }

 private:
  uint64_t seed_;
  float bias_;
  size_t words_;
  std::vector<std::vector<int32_t>> slots_;
  std::vector<float> logits_;
};

TEST(MarianOracleTest, GreedyAndBeamSearchChooseAsHuggingFaceDoes) {
  const Json& search = oracle()["search"];
  Rules rules;
  rules.source_vocabulary = rules.target_vocabulary = search["words"].get<int32_t>();
  rules.eos = search["eos"].get<int32_t>();
  rules.pad = rules.decoder_start = search["pad"].get<int32_t>();
  rules.suppress = {rules.pad};
  ASSERT_GE(search["rows"].size(), 60u);
  for (const Json& row : search["rows"]) {
    const auto beams = row["beams"].get<size_t>();
    rules.max_new_tokens = rules.max_tokens = row["limit"].get<int64_t>();
    ScriptedNetwork network(row["seed"].get<uint64_t>(), row["bias"].get<float>(), search["words"].get<size_t>(),
                            beams);
    const auto h = beams == 1 ? greedy(network, rules) : beam_search(network, rules, beams);
    ASSERT_TRUE(h) << h.error().message;
    EXPECT_EQ(h->tokens, row["tokens"].get<std::vector<int32_t>>()) << row;
    EXPECT_EQ(h->truncated, row["truncated"].get<bool>()) << row;
    if (row.contains("score")) {
      EXPECT_NEAR(h->score, row["score"].get<double>(), 2e-5) << row;
    }
    if (beams == 1) {
      const auto same = beam_search(network, rules, 1);
      ASSERT_TRUE(same);
      EXPECT_EQ(same->tokens, h->tokens) << "one beam is greedy";
    }
  }
}

}  // namespace
}  // namespace npuport::marian
