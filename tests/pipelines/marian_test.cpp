// The Marian pipeline on its own: files nobody should trust, texts, rules, loops on scripted networks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "pipelines/marian/decode.h"
#include "pipelines/marian/spm_check.h"
#include "pipelines/marian/tokenizer.h"
#include "support/spm_files.h"
#include "support/temp_folder.h"

namespace npuport::marian {
namespace {

using namespace npuport::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kBlank = "\xe2\x96\x81";

Rules small_rules() {
  Rules r;
  r.source_vocabulary = r.target_vocabulary = 10;
  r.source_tokens = r.max_tokens = r.max_new_tokens = 8;
  r.eos = 0;
  r.pad = r.decoder_start = 9;
  r.suppress = {9};
  return r;
}

class MarianTest : public ::testing::Test {
 protected:
  Result<Tokenizer> tokenizer(const std::string& source, const std::string& target, const std::string& vocab) {
    EXPECT_TRUE(write_file(folder_.path("s.spm"), source));
    EXPECT_TRUE(write_file(folder_.path("t.spm"), target));
    EXPECT_TRUE(write_file(folder_.path("v.json"), vocab));
    return Tokenizer::read(folder_.path("s.spm"), folder_.path("t.spm"), folder_.path("v.json"), small_rules());
  }
  Result<Tokenizer> with_vocabulary(const std::string& vocab) {
    const std::string spm = spm_model({kBlank + "one", kBlank + "two"});
    return tokenizer(spm, spm, vocab);
  }
  TempFolder folder_;
};

TEST_F(MarianTest, TokensOfATinyVocabulary) {
  const std::string source = spm_model({kBlank + "one", kBlank + "two", kBlank}),
                    target = spm_model({kBlank + "eins", "zwei"});
  const auto t = tokenizer(
      source, target,
      R"({"</s>": 0, "<unk>": 1, "▁one": 2, "▁two": 3, "▁eins": 4, "zwei": 5, ">>deu<<": 6, "▁": 7, "<pad>": 9})");
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_THAT(*t->encode("one two"), ElementsAre(2, 3, 0));
  EXPECT_THAT(*t->encode("  two  one "), ElementsAre(3, 2, 0));
  EXPECT_THAT(*t->encode(""), ElementsAre(0));
  EXPECT_THAT(*t->encode("  "), ElementsAre(0));
  EXPECT_THAT(*t->encode("one 中文"), ElementsAre(2, 7, 1, 0)) << "a run of unknown characters is one token";
  EXPECT_THAT(*t->encode(">>deu<< one"), ElementsAre(6, 2, 0));
  EXPECT_THAT(*t->encode(" >>deu<<two"), ElementsAre(6, 3, 0));
  EXPECT_EQ(*t->decode(std::vector<int32_t>{4, 5, 0, 9, 1}), "einszwei") << "special tokens say nothing";
  EXPECT_EQ(*t->decode(std::vector<int32_t>{4, 2}), "eins one") << "a piece of the other language stands as it is";
  EXPECT_EQ(*t->decode(std::vector<int32_t>{}), "");
  EXPECT_EQ(*t->decode(std::vector<int32_t>{-1, 8, 4000}), "\xe2\x81\x87  \xe2\x81\x87  \xe2\x81\x87");
}

TEST_F(MarianTest, TextsThatAreNone) {
  const auto t = with_vocabulary(R"({"</s>": 0, "<unk>": 1, "▁one": 2, ">>fra<<": 3, ">>deu<<": 4})");
  ASSERT_TRUE(t) << t.error().message;
  const auto refusal = [&](std::string_view text) {
    const auto r = t->encode(text);
    if (r) return std::string("accepted");
    EXPECT_EQ(r.error().code, &diag::bad_input_data);
    return r.error().message + "|" + r.error().hint;
  };
  EXPECT_THAT(refusal(std::string_view("one\0one", 7)), HasSubstr("NUL"));
  EXPECT_THAT(refusal("one \xff"), HasSubstr("no UTF-8 (byte 5)"));
  EXPECT_THAT(refusal("one \xc3"), HasSubstr("no UTF-8"));
  EXPECT_THAT(refusal("\xed\xa0\x80"), HasSubstr("no UTF-8")) << "a lone surrogate";
  EXPECT_THAT(refusal(std::string(kLongestLine + 1, 'a')), HasSubstr("65537 bytes"));
  EXPECT_TRUE(t->encode(std::string(kLongestLine, 'a')));
  EXPECT_THAT(refusal(">>xyz<< one"), HasSubstr("knows no language '>>xyz<<'|it knows >>deu<< >>fra<<"));
  EXPECT_THAT(*t->encode(">> not a code << one"), ElementsAre(1, 2, 0));
  EXPECT_THAT(*t->encode(">><<"), ElementsAre(1, 0));
}

TEST_F(MarianTest, VocabulariesThatAreNone) {
  const auto refusal = [&](const std::string& vocab) {
    const auto t = with_vocabulary(vocab);
    if (t) return std::string("accepted");
    EXPECT_EQ(t.error().code->exit_code, 2);
    EXPECT_THAT(t.error().where.file, HasSubstr("v.json"));
    return t.error().message;
  };
  EXPECT_EQ(refusal(R"({"</s>": 0})"), "accepted");
  for (const char* bad : {"",
                          "{",
                          "{}",
                          "[]",
                          "[1]",
                          "1",
                          "\"a\"",
                          "null",
                          R"({"a": -1})",
                          R"({"a": 10})",
                          R"({"a": 1.5})",
                          R"({"a": "1"})",
                          R"({"a": {"b": 1}})",
                          R"({"a": [1]})",
                          R"({"a": 1, "b": 1})",
                          R"({"": 1})",
                          R"({"a": null})",
                          R"({"a": true})",
                          "{\"\xff\": 1}",
                          R"({"a": 1} x)",
                          R"({"a": 18446744073709551616})"})
    EXPECT_THAT(refusal(bad), HasSubstr("no vocabulary")) << bad;
  EXPECT_NE(refusal(std::string(100000, '[')), "accepted");
  const auto without_unknown = with_vocabulary(R"({"</s>": 0})");
  ASSERT_TRUE(without_unknown);
  EXPECT_THAT(without_unknown->encode("one").error().message, HasSubstr("nor <unk>"));
}

TEST_F(MarianTest, SentencePieceModelsThatAreNone) {
  const auto refusal = [&](const std::string& spm) {
    EXPECT_TRUE(write_file(folder_.path("m.spm"), spm));
    const auto m = SentencePieces::read(folder_.path("m.spm"));
    if (m) return std::string("accepted");
    EXPECT_THAT(m.error().where.file, HasSubstr("m.spm"));
    return m.error().message;
  };
  const std::string sane = spm_model({"a", "b"});
  EXPECT_EQ(refusal(sane), "accepted");
  EXPECT_THAT(refusal(""), HasSubstr("no pieces"));
  EXPECT_THAT(refusal("text file\n"), HasSubstr("cannot be read"));
  EXPECT_THAT(refusal(sane.substr(0, sane.size() - 3)), HasSubstr("cannot be read"));
  EXPECT_THAT(refusal(sane + spm_piece("", -1)), HasSubstr("no text"));
  EXPECT_THAT(refusal(sane + spm_piece(std::string_view("a\0b", 3), -1)), HasSubstr("no text"));
  EXPECT_THAT(refusal(sane + spm_piece("\xff", -1)), HasSubstr("no text"));
  EXPECT_THAT(refusal(sane + spm_piece(std::string(1025, 'a'), -1)), HasSubstr("longer than 1024"));
  EXPECT_THAT(refusal(sane + spm_piece("c", std::nanf(""))), HasSubstr("piece 5 cannot be read"));
  EXPECT_THAT(refusal(sane + spm_piece("c", std::numeric_limits<float>::infinity())), HasSubstr("piece 5"));
  EXPECT_THAT(refusal(sane + spm_piece("c", -1, static_cast<PieceType>(99))), HasSubstr("piece 5"));
  EXPECT_THAT(refusal(sane + spm_piece("a", -1)), HasSubstr("SentencePiece cannot load")) << "twice the same piece";
  EXPECT_THAT(refusal(spm_piece("a", -1)), HasSubstr("SentencePiece cannot load")) << "no <unk>";
  EXPECT_THAT(refusal(sane + proto_bytes(2, proto_integer(3, 3))), HasSubstr("neither of type unigram nor BPE"));
  std::string own = sane;
  for (int i = 0; i < 64; ++i) own += spm_piece("<" + std::to_string(i) + ">", 0, kOwnSymbol);
  EXPECT_EQ(refusal(own), "accepted");
  EXPECT_THAT(refusal(own + spm_piece("<64>", 0, kOwnSymbol)), HasSubstr("64 symbols"));
  // A self-test that fails is left out instead of being run and printed.
  EXPECT_EQ(refusal(sane + proto_bytes(4, proto_bytes(1, proto_bytes(1, "ab") + proto_bytes(2, "wrong")))), "accepted");
  EXPECT_EQ(*checked_spm(sane + proto_bytes(4, "")), sane);
}

// A trie of one rule: 'a' → text 0. Unit 0 is the root with offset 1, 'a' (0x61) lies at 1 ^ 0x61 = 0x60.
std::vector<uint32_t> one_rule() {
  std::vector<uint32_t> units(512, 0);
  for (uint32_t i = 0; i < 512; ++i) units[i] = trie_unit(0, false, static_cast<uint8_t>(i ^ 0xff));
  units[0] = trie_unit(1, false, 0);
  units[0x60] = trie_unit(0x60 ^ 0x80, true, 'a');
  units[0x80] = kTrieValue | 0;
  return units;
}

TEST_F(MarianTest, NormalisersThatAreNone) {
  const std::string texts("bb\0", 3);
  ASSERT_TRUE(check_charsmap(charsmap(one_rule(), texts)));
  EXPECT_TRUE(write_file(folder_.path("m.spm"), spm_model({kBlank + "bb", "c"}, charsmap(one_rule(), texts))));
  const auto m = SentencePieces::read(folder_.path("m.spm"));
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_THAT(*m->encode("a"), ElementsAre(kBlank + "bb")) << "the map is the library's, too";

  const auto refusal = [&](const std::string& blob) {
    const Status s = check_charsmap(blob);
    return s ? std::string("accepted") : s.error().message;
  };
  const auto with = [&](size_t at, uint32_t unit) {
    std::vector<uint32_t> units = one_rule();
    units[at] = unit;
    return charsmap(units, texts);
  };
  for (size_t cut = 1; cut < 8; ++cut) EXPECT_NE(refusal(with(1, 0).substr(0, cut)), "accepted") << cut;
  EXPECT_THAT(refusal(charsmap(std::vector<uint32_t>(100, 0), texts)), HasSubstr("size"));
  EXPECT_THAT(refusal(charsmap(one_rule(), "bb")), HasSubstr("no end"));
  EXPECT_THAT(refusal(charsmap(one_rule(), "")), HasSubstr("size"));
  EXPECT_THAT(refusal(charsmap(one_rule(), std::string(1025, 'b') + '\0')), HasSubstr("1024"));
  EXPECT_THAT(refusal(with(0, trie_unit(600, false, 0))), HasSubstr("outside")) << "a root that leads outside";
  EXPECT_THAT(refusal(with(0x60, trie_unit(1 << 20, true, 'a'))), HasSubstr("outside"));
  EXPECT_THAT(refusal(with(0x80, kTrieValue | 3)), HasSubstr("outside")) << "a text that begins behind the texts";
  // 'a' behind 'a' leads back to itself: the library would count a rule for every letter.
  EXPECT_THAT(refusal(with(0x60, trie_unit(0x60 ^ 1, true, 'a'))), HasSubstr("outside"));
  std::vector<uint32_t> circle = one_rule();
  circle[0x60] = trie_unit(0x60 ^ 1, true, 'a');
  circle[1] = kTrieValue | 0;
  EXPECT_THAT(refusal(charsmap(circle, texts)), HasSubstr("32 rules"));
}

TEST_F(MarianTest, RulesNameTheirMistakes) {
  const std::string sane =
      R"({"version": 1, "kind": "marian_greedy", "dims": {"d_model": 8, "decoder_layers": 2, "vocab_size": 10},
          "source_tokens": 16, "max_tokens": 12, "max_new_tokens": 11, "decoder_start_token": 9, "eos": 0, "pad_token": 9,
          "suppress_tokens": [9], "source_spm": "a.spm", "target_spm": "b.spm", "vocab": "v.json"})";
  const auto r = read_rules(sane, "rules");
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->target_vocabulary, 10);
  EXPECT_EQ(r->masked, -1e9f);
  EXPECT_EQ(r->parts.at("cross_kv"), "cross_kv");
  const auto refusal = [&](const std::string& from, const std::string& to) {
    std::string text = sane;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const auto changed = read_rules(text, "rules");
    return changed ? std::string("accepted") : changed.error().message;
  };
  EXPECT_THAT(refusal("\"version\": 1", "\"version\": 2"), HasSubstr("newer"));
  EXPECT_THAT(refusal("marian_greedy", "whisper"), HasSubstr("'kind'"));
  EXPECT_THAT(refusal("\"dims\"", "\"dim\""), HasSubstr("'dims'"));
  EXPECT_THAT(refusal("\"d_model\": 8", "\"d_model\": 0"), HasSubstr("'d_model'"));
  EXPECT_THAT(refusal("\"vocab_size\": 10", "\"vocab_size\": 1e9"), HasSubstr("'vocab_size'"));
  EXPECT_THAT(refusal("\"source_tokens\": 16", "\"source_tokens\": 1"), HasSubstr("'source_tokens'"));
  EXPECT_THAT(refusal("\"max_new_tokens\": 11", "\"max_new_tokens\": 13"), HasSubstr("'max_new_tokens'"));
  EXPECT_THAT(refusal("\"eos\": 0", "\"eos\": 10"), HasSubstr("'eos'"));
  EXPECT_THAT(refusal("\"pad_token\": 9", "\"pad_token\": -1"), HasSubstr("'pad_token'"));
  EXPECT_THAT(refusal("[9]", "[10]"), HasSubstr("'suppress_tokens'"));
  EXPECT_THAT(refusal("a.spm", "../a.spm"), HasSubstr("'source_spm'"));
  EXPECT_THAT(refusal("v.json", ".."), HasSubstr("'vocab'"));
  EXPECT_THAT(refusal("\"eos\": 0", "\"eos\": 0, \"masked\": 0"), HasSubstr("'masked'"));
  EXPECT_FALSE(read_rules("[]", "rules"));
  EXPECT_FALSE(read_rules("", "rules"));
}

// Gives each step the same logits, or a fault.
class FlatNetwork : public Network {
 public:
  explicit FlatNetwork(std::vector<float> logits) : logits_(std::move(logits)) {}
  Status encode(std::span<const int32_t>) override { return {}; }
  Result<std::span<const float>> step(size_t, int32_t, size_t position) override {
    if (position == fault_at) return Diag(diag::tool_failed, "the device is gone");
    return std::span<const float>(logits_);
  }
  Status fork(size_t, size_t, size_t) override { return {}; }
  size_t fault_at = SIZE_MAX;

 private:
  std::vector<float> logits_;
};

TEST_F(MarianTest, LoopsEndWithAnErrorNotWithNonsense) {
  const Rules rules = small_rules();
  const auto both = [&](FlatNetwork n) {
    const auto one = greedy(n, rules);
    const auto three = beam_search(n, rules, 3);
    EXPECT_FALSE(one);
    EXPECT_FALSE(three);
    if (one || three) return std::string();
    EXPECT_EQ(one.error().message, three.error().message);
    return one.error().message;
  };
  std::vector<float> logits(10, 0.0f);
  logits[4] = std::nanf("");
  EXPECT_THAT(both(FlatNetwork(logits)), HasSubstr("NaN at id 4"));
  logits[4] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(both(FlatNetwork(logits)), HasSubstr("infinite"));
  EXPECT_THAT(both(FlatNetwork(std::vector<float>(9, 0.0f))), HasSubstr("9 logits"));
  std::vector<float> only_pad(10, -std::numeric_limits<float>::infinity());
  only_pad[9] = 0;
  EXPECT_THAT(both(FlatNetwork(only_pad)), HasSubstr("suppressed"));
  FlatNetwork broken{std::vector<float>{0, 0, 0, 5, 0, 0, 0, 0, 0, 9}};
  broken.fault_at = 2;
  EXPECT_THAT(both(broken), HasSubstr("the device is gone"));
  FlatNetwork endless{std::vector<float>{0, 0, 0, 5, 0, 0, 0, 0, 0, 9}};
  const auto cut = greedy(endless, rules);
  ASSERT_TRUE(cut);
  EXPECT_TRUE(cut->truncated);
  EXPECT_EQ(cut->tokens, std::vector<int32_t>(8, 3)) << "the padding, likelier, is never chosen";
}

}  // namespace
}  // namespace npuport::marian
