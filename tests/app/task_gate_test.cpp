#include "app/task_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

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

}  // namespace
}  // namespace npuport::app
