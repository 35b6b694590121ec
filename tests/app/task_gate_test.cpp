#include "app/task_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ir/npy.h"
#include "support/temp_folder.h"

namespace npuport::app {
namespace {

using ::testing::ElementsAre;

// A scripted pair: the "encoder" passes its features on; the "decoder" likes ids in the order a script gives.
struct Scripted {
  Scripted() {
    project.parts.resize(2);
    project.parts[0].name = "enc";
    project.parts[1].name = "dec";
    project.parts[1].inputs = {{"tokens", {}}, {"audio", {}}};
    project.links = {{"enc", 0, "dec", "audio"}};
    rules.initial_tokens = {7};
    rules.eot = 9;
    rules.pad_token = 9;
    rules.max_tokens = 6;
    rules.max_new_tokens = 4;
  }
  // likes[n] = ids with falling preference after n new tokens
  Result<std::vector<int64_t>> decode(const std::vector<std::vector<int64_t>>& likes) {
    const PartRunner run = [&](const std::string& part, std::span<const Tensor> in) -> Result<std::vector<Tensor>> {
      if (part == "enc") return std::vector<Tensor>{in[0]};
      Tensor logits = Tensor::zeros(DType::f32, {1, 6, 10});
      size_t n = 1;
      while (n < 6 && get_int(in[0], static_cast<int64_t>(n)) != 9) ++n;
      const std::vector<int64_t>& wish = likes[std::min(n - 1, likes.size() - 1)];
      for (size_t k = 0; k < wish.size(); ++k)
        logits.mut<float>()[(n - 1) * 10 + static_cast<size_t>(wish[k])] = nan ? NAN : static_cast<float>(10 - k);
      return std::vector<Tensor>{logits};
    };
    return greedy_decode(project, rules, Tensor::of<float>({1}, {0.0F}), run);
  }
  Project project;
  DecodeRules rules;
  bool nan = false;
};

TEST(GreedyDecodeTest, StopsAtEndOfText) {
  Scripted s;
  EXPECT_THAT(*s.decode({{3}, {4}, {9}}), ElementsAre(3, 4));
}

TEST(GreedyDecodeTest, SuppressedIdsAreNeverChosen) {
  Scripted s;
  s.rules.suppress_tokens = {3};
  s.rules.suppress_first = {9, 4};
  EXPECT_THAT(*s.decode({{3, 9, 4, 5}, {3, 4}, {9}}), ElementsAre(5, 4));
}

TEST(GreedyDecodeTest, StopsAtTheLimits) {
  Scripted s;
  EXPECT_EQ(s.decode({{3}})->size(), 4U);
  s.rules.max_new_tokens = 100;
  EXPECT_EQ(s.decode({{3}})->size(), 5U);  // six positions, one of them the prompt
}

TEST(GreedyDecodeTest, TiesGoToTheLowerIdAndNaNFails) {
  Scripted s;
  EXPECT_THAT((*s.decode({{}}))[0], 0);
  s.nan = true;
  EXPECT_FALSE(s.decode({{3}}));
}

// A scripted translator of stacked caches [2,1,4,2]: its rows and answers follow from token and position.
struct Translator {
  Translator() {
    const auto input = [](const char* name, DType dtype, std::vector<int64_t> shape) {
      InputSpec spec;
      spec.name = name;
      spec.type.dtype = dtype;
      spec.type.shape = std::move(shape);
      return spec;
    };
    project.parts.resize(3);
    project.parts[0].name = "encoder";
    project.parts[1].name = "cross_kv";
    project.parts[2].name = "decoder_kv";
    project.parts[2].inputs = {
        input("tokens", DType::i64, {1, 1}),        input("position", DType::i64, {1, 1}),
        input("mask", DType::f32, {1, 1, 1, 5}),    input("cross_mask", DType::f32, {1, 1, 1, 3}),
        input("self_k", DType::f32, {2, 1, 4, 2}),  input("self_v", DType::f32, {2, 1, 4, 2}),
        input("cross_k", DType::f32, {2, 1, 3, 2}), input("cross_v", DType::f32, {2, 1, 3, 2})};
    project.links = {{"encoder", 0, "cross_kv", "hidden"}, {"cross_kv", 0, "decoder_kv", "cross_k"}};
    rules.initial_tokens = {8};
    rules.suppress_tokens = {8};
    rules.eot = 9;
    rules.pad_token = 8;
    rules.source_tokens = 3;
    rules.max_tokens = 4;
    rules.max_new_tokens = 3;
    rules.masked = -1e9F;
  }
  static Tensor row(int64_t position, float sign) {
    const auto p = static_cast<float>(position + 1) * sign;
    return Tensor::of<float>({2, 1, 1, 2}, {p, p + 0.25F, p + 100, p + 100.25F});
  }
  Result<std::vector<Tensor>> step(std::span<const Tensor> in) {
    const int64_t position = get_int(in[1], 0);
    EXPECT_EQ(in.size(), 8U);
    for (int64_t i = 0; i < 5; ++i)
      EXPECT_EQ(in[2].as<float>()[static_cast<size_t>(i)], i < position || i == 4 ? 0.0F : -1e9F);
    EXPECT_THAT(in[3].as<float>(), ElementsAre(0, 0, -1e9F));
    EXPECT_EQ(in[6].as<float>()[0], 6.0F);
    EXPECT_EQ(in[7].as<float>()[0], 7.0F);
    for (const size_t cache : {size_t{4}, size_t{5}})
      for (int64_t layer = 0; layer < 2; ++layer)
        for (int64_t r = 0; r < 4; ++r) {
          const float made = row(r, cache == 4 ? 1 : -1).as<float>()[static_cast<size_t>(2 * layer + 1)];
          EXPECT_EQ(in[cache].as<float>()[static_cast<size_t>((layer * 4 + r) * 2 + 1)], r < position ? made : 0.0F)
              << "layer " << layer << ", row " << r << " at position " << position;
        }
    Tensor logits = Tensor::zeros(DType::f32, {1, 1, 10});
    logits.mut<float>()[static_cast<size_t>(get_int(in[0], 0) == 8 ? 3 : get_int(in[0], 0) + 1)] = 1;
    logits.mut<float>()[8] = 5;  // suppressed
    return std::vector<Tensor>{logits, row(position, 1), row(position, -1)};
  }
  Result<std::vector<int64_t>> translate(std::span<const int64_t> ids) {
    NPU_ASSIGN(const std::vector<Tensor> inputs, source_inputs(rules, ids));
    EXPECT_THAT(inputs[0].as<int64_t>(), ElementsAre(5, 0, 8));
    return greedy_decode_cached(
        project, rules, inputs,
        [&](const std::string& part, std::span<const Tensor> in) -> Result<std::vector<Tensor>> {
          if (part == "decoder_kv") return step(in);
          if (part == "encoder") return std::vector<Tensor>{Tensor::zeros(DType::f32, {1, 3, 2})};
          const std::vector<float> k(12, 6.0F), v(12, 7.0F);
          return std::vector<Tensor>{Tensor::of<float>({2, 1, 3, 2}, std::span<const float>(k)),
                                     Tensor::of<float>({2, 1, 3, 2}, std::span<const float>(v))};
        });
  }
  Project project;
  DecodeRules rules;
};

TEST(GreedyDecodeTest, StackedCachesAreFilledRowByRowInEveryLayer) {
  Translator t;
  const std::vector<int64_t> ids{5, 0};
  EXPECT_THAT(*t.translate(ids), ElementsAre(3, 4, 5));
  t.rules.eot = 5;
  EXPECT_THAT(*t.translate(ids), ElementsAre(3, 4));
}

TEST(GreedyDecodeTest, SentencesMustFitTheEncoder) {
  const Translator t;
  EXPECT_FALSE(source_inputs(t.rules, {}));
  const std::vector<int64_t> ids{1, 2, 3, 4};
  EXPECT_FALSE(source_inputs(t.rules, ids));
  EXPECT_TRUE(source_inputs(t.rules, std::span(ids).first(3)));
}

TEST(GreedyDecodeTest, AMaskOfAnotherLengthIsRefused) {
  Translator t;
  t.rules.max_tokens = 5;
  const std::vector<int64_t> ids{5, 0};
  EXPECT_FALSE(t.translate(ids));
}

// A pair of decoders over sums of tokens: the one without a cache sums its input, the other one the rows its mask
// opens.
struct Summing {
  int64_t shift = 0;    // planted: reads the cache so many rows later than it was written
  int64_t offset = 0;   // planted: the cached decoder's token counts so much more
  int64_t feature = 0;  // planted: what the encoder adds to every sum

  Summing() {
    for (const char* part : {"enc", "decoder", "cross_kv", "decoder_kv"}) {
      project.parts.emplace_back();
      project.parts.back().name = part;
    }
    const auto f32 = [](Shape s) { return TensorType{DType::f32, std::move(s), nullptr}; };
    project.parts[1].inputs = {{"tokens", {}}, {"audio", {}}};
    project.parts[3].inputs = {{"tokens", {}},        {"position", {}},      {"mask", f32({1, 7})},
                               {"k", f32({1, 6, 1})}, {"v", f32({1, 6, 1})}, {"ck", f32({1, 3, 1})},
                               {"cv", f32({1, 3, 1})}};
    project.links = {{"enc", 0, "decoder", "audio"}};
    project.task.kind = "asr";
    project.task.decode = folder.path("decode.json");
    project.task.samples = {folder.path("clip.npz")};
    std::ofstream(project.task.decode) << R"({"initial_tokens": [3, 4], "suppress_tokens": [], "suppress_first": [],
      "eot": 9, "pad_token": 9, "max_tokens": 6, "max_new_tokens": 3})";
    const NamedTensors clip = {{"mel", Tensor::of<float>({1}, {0.0F})}, {"ids", Tensor::of<int64_t>({3}, {7, 4, 8})}};
    EXPECT_TRUE(write_npz(project.task.samples[0], clip).ok());
  }
  static Tensor likes(int64_t sum) {
    Tensor t = Tensor::zeros(DType::f32, {1, 1, 10});
    t.mut<float>()[static_cast<size_t>(sum % 10)] = 5;
    return t;
  }
  Result<std::vector<Tensor>> part(const std::string& name, std::span<const Tensor> in) const {
    if (name == "enc") return std::vector<Tensor>{Tensor::of<float>({1}, {static_cast<float>(feature)})};
    const Tensor none = Tensor::zeros(DType::f32, {1, 3, 1});
    if (name == "cross_kv") return std::vector<Tensor>{none, none};
    if (name == "decoder") {
      Tensor logits = Tensor::zeros(DType::f32, {1, 6, 10});
      int64_t sum = get_int(in[1], 0);
      for (int64_t p = 0; p < 6; ++p) {
        sum += get_int(in[0], p);
        logits.mut<float>()[static_cast<size_t>(p * 10 + sum % 10)] = 5;
      }
      return std::vector<Tensor>{logits};
    }
    int64_t sum = get_int(in[0], 0) + offset + feature;
    for (int64_t p = 0; p + shift < 6; ++p)
      if (in[2].as<float>()[static_cast<size_t>(p)] == 0) sum += get_int(in[3], p + shift);
    const auto row = Tensor::of<float>({1, 1, 1}, {static_cast<float>(get_int(in[0], 0))});
    return std::vector<Tensor>{likes(sum), row, row};
  }
  Json results() const {
    Json out;
    const Result<std::vector<Proof>> proofs = run_task(
        {}, project, [&](const std::string& n, std::span<const Tensor> in) { return part(n, in); }, out);
    EXPECT_TRUE(proofs.ok()) << (proofs.ok() ? "" : to_text(proofs.error()));
    return out;
  }
  testing::TempFolder folder;
  Project project;
};

TEST(CachedDecoderTest, BothLoopsAgree) {
  const Json r = Summing().results();
  ASSERT_EQ(r.size(), 2U);
  EXPECT_EQ(r[0]["verdict"], "PASS") << r.dump();
  EXPECT_EQ(r[1]["verdict"], "PASS") << r.dump();
  EXPECT_FALSE(r[1].contains("diagnosis"));
}

TEST(CachedDecoderTest, ACacheJoinedAtAnotherRowIsNamed) {
  Summing s;
  s.shift = 1;
  const Json r = s.results();
  EXPECT_EQ(r[0]["verdict"], "PASS");
  ASSERT_TRUE(r[1].contains("diagnosis")) << r.dump();
  EXPECT_EQ(r[1]["diagnosis"]["lesson"], "NPU-H04");
  EXPECT_THAT(r[1]["diagnosis"]["sentence"].get<std::string>(), ::testing::HasSubstr("the first 1 step equal"));
}

TEST(CachedDecoderTest, AFirstStepThatDeviatesIsNotTheCache) {
  Summing s;
  s.offset = 1;
  const Json r = s.results();
  ASSERT_TRUE(r[1].contains("diagnosis")) << r.dump();
  EXPECT_EQ(r[1]["diagnosis"]["lesson"], "NPU-H01");
}

TEST(CachedDecoderTest, WhereBothDeviateTheHostsInputsAreNamed) {
  Summing s;
  s.feature = 2;
  const Json r = s.results();
  ASSERT_TRUE(r[1].contains("diagnosis")) << r.dump();
  EXPECT_EQ(r[1]["diagnosis"]["lesson"], "NPU-H05");
}

TEST(DecodeRulesTest, ReadsMarianRules) {
  const testing::TempFolder folder;
  const std::string path = folder.path("rules.json");
  const auto read = [&](const std::string& change) {
    Json j =
        Json::parse(R"({"kind": "marian_greedy", "decoder_start_token": 8, "eos": 9, "pad_token": 7, "max_tokens": 4,
                             "max_new_tokens": 3, "source_tokens": 3, "suppress_tokens": [8], "masked": -20000})");
    j.update(Json::parse(change));
    std::ofstream(path) << j.dump();
    return read_decode_rules(path);
  };
  const auto r = read("{}");
  ASSERT_TRUE(r);
  EXPECT_THAT(r->initial_tokens, ElementsAre(8));
  EXPECT_THAT(r->suppress_tokens, ElementsAre(8));
  EXPECT_EQ(r->eot, 9);
  EXPECT_EQ(r->pad_token, 7);
  EXPECT_EQ(r->source_tokens, 3);
  EXPECT_EQ(r->masked, -20000.0F);
  for (const char* const bad : {R"({"masked": "x"})", R"({"masked": 0})", R"({"masked": -1e300})", R"({"eos": null})",
                                R"({"source_tokens": -1})", R"({"source_tokens": 100000})", R"({"max_tokens": 0})"})
    EXPECT_FALSE(read(bad)) << bad;
}

}  // namespace
}  // namespace npuport::app
