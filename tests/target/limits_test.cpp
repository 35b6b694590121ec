// Every rule of the MediaTek targets: a model just inside the limit passes, one just outside fires this rule and no
// other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "target/check.h"

namespace npuport {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> fired(const std::string& body, const char* written_as, const char* target = "mt8371") {
  const Result<Graph> g = parse_graph("graph \"t\" {\n" + body + "\n}");
  EXPECT_TRUE(g) << to_text(g.error());
  if (!g) return {"no graph"};
  const Target t = *load_target(target);
  std::vector<std::string> rules;
  for (const Finding& f : check(*g, t, [&](const Graph&, NodeId) { return FormatView{{written_as}, ""}; }))
    rules.push_back(f.rule);
  return rules;
}

TEST(LimitsTest, ConvolutionFiltersAreConstant) {
  const std::string x = "input %x: f32[1,4,8,8]\n";
  EXPECT_THAT(fired(x + "const %w: f32[8,4,3,3] = #0\n%y = conv2d(%x, %w)\noutput %y", "CONV_2D"), IsEmpty());
  EXPECT_THAT(fired(x + "input %w: f32[8,4,3,3]\n%y = conv2d(%x, %w)\noutput %y", "CONV_2D"),
              ElementsAre("conv-weights-constant"));
  EXPECT_THAT(fired(x + "const %w: f32[4,8,3,3] = #0\n%y = conv_transpose2d(%x, %w)\noutput %y", "TRANSPOSE_CONV"),
              IsEmpty());
  EXPECT_THAT(fired(x + "input %w: f32[4,8,3,3]\n%y = conv_transpose2d(%x, %w)\noutput %y", "TRANSPOSE_CONV"),
              ElementsAre("transpose-conv-weights-constant"));
}

TEST(LimitsTest, GroupsAreOneOrDepthwise) {
  const std::string x = "input %x: f32[1,4,8,8]\n";
  EXPECT_THAT(fired(x + "const %w: f32[4,1,3,3] = #0\n%y = conv2d(%x, %w) groups=4\noutput %y", "DEPTHWISE_CONV_2D"),
              IsEmpty());
  EXPECT_THAT(fired(x + "const %w: f32[8,1,3,3] = #0\n%y = conv2d(%x, %w) groups=4\noutput %y", "DEPTHWISE_CONV_2D"),
              IsEmpty());
  EXPECT_THAT(fired(x + "const %w: f32[8,2,3,3] = #0\n%y = conv2d(%x, %w) groups=2\noutput %y", "CONV_2D"),
              ElementsAre("grouped-conv"));
}

TEST(LimitsTest, SoftmaxWorksOnTheLastAxis) {
  const std::string x = "input %x: f32[2,3,4]\n";
  EXPECT_THAT(fired(x + "%y = softmax(%x) axis=2\noutput %y", "SOFTMAX"), IsEmpty());
  EXPECT_THAT(fired(x + "%y = softmax(%x) axis=1\noutput %y", "SOFTMAX"), ElementsAre("softmax-last-axis"));
}

TEST(LimitsTest, MirrorPaddingIsSpatialAndOfRankFour) {
  const std::string x = "input %x: f32[1,4,5,6]\n";
  EXPECT_THAT(fired(x + "%y = pad(%x) pads=[0,1,1,0,0,1,1,0] mode=\"reflect\"\noutput %y", "MIRROR_PAD"), IsEmpty());
  EXPECT_THAT(fired(x + "%y = pad(%x) pads=[0,0,1,1,0,0,1,1] mode=\"reflect\"\noutput %y", "MIRROR_PAD"),
              ElementsAre("mirror-pad-spatial"));
  EXPECT_THAT(fired(x + "%y = pad(%x) pads=[0,0,1,1,0,0,1,1]\noutput %y", "PAD"), IsEmpty());
  EXPECT_THAT(fired("input %x: f32[4,5]\n%y = pad(%x) pads=[0,1,0,1] mode=\"reflect\"\noutput %y", "MIRROR_PAD"),
              ElementsAre("mirror-pad-spatial"));
}

TEST(LimitsTest, EveryRuleIsTestedSomewhere) {
  // rank-4 and dim-65535: target_test.cpp. A new rule belongs into one of the two files and into this list.
  std::vector<std::string> ids;
  const Target t = *load_target("mt8371");
  for (const Rule& r : t.rules) ids.push_back(r.id);
  EXPECT_THAT(ids, ElementsAre("rank-4", "dim-65535", "conv-weights-constant", "transpose-conv-weights-constant",
                               "grouped-conv", "softmax-last-axis", "mirror-pad-spatial"));
}

TEST(LimitsTest, RockchipResizesAreNotCubic) {
  const std::string x = "input %x: f32[1,4,8,8]\n";
  EXPECT_THAT(fired(x + "%y = resize2d(%x) size=[16,16] mode=\"linear\"\noutput %y", "Resize", "rk3588"), IsEmpty());
  EXPECT_THAT(fired(x + "%y = resize2d(%x) size=[16,16] mode=\"cubic\"\noutput %y", "Resize", "rk3588"),
              ElementsAre("resize-cubic"));
  EXPECT_THAT(fired("input %x: f32[1,4,8]\n%y = resize1d(%x) size=[16] mode=\"cubic\"\noutput %y", "Resize", "rk3588"),
              ElementsAre("resize-cubic-1d"));
  EXPECT_THAT(fired("input %x: f32[1,4,8]\n%y = resize1d(%x) size=[16]\noutput %y", "Resize", "rk3588"), IsEmpty());
}

TEST(LimitsTest, RockchipTransposesUpTo8192) {
  EXPECT_THAT(fired("input %x: f32[8192,2]\n%y = transpose(%x) perm=[1,0]\noutput %y", "Transpose", "rk3588"),
              IsEmpty());
  EXPECT_THAT(fired("input %x: f32[8193,2]\n%y = transpose(%x) perm=[1,0]\noutput %y", "Transpose", "rk3588"),
              ElementsAre("dim-8192"));
}

TEST(LimitsTest, AscendFiltersAreConstantAndNothingIsEmpty) {
  const std::string x = "input %x: f32[1,4,8,8]\n";
  EXPECT_THAT(fired(x + "const %w: f32[8,4,3,3] = #0\n%y = conv2d(%x, %w)\noutput %y", "Conv", "ascend310b1"),
              IsEmpty());
  EXPECT_THAT(fired(x + "input %w: f32[8,4,3,3]\n%y = conv2d(%x, %w)\noutput %y", "Conv", "ascend310b1"),
              ElementsAre("conv-weights-constant"));
  EXPECT_THAT(fired("input %x: f32[0,4]\n%y = reshape(%x) shape=[4,0]\noutput %y", "Reshape", "ascend310b1"),
              ElementsAre("no-empty-dimension"));
  EXPECT_THAT(fired("input %x: f32[1,4]\n%y = reshape(%x) shape=[4,1]\noutput %y", "Reshape", "ascend310b1"),
              IsEmpty());
}

}  // namespace
}  // namespace npuport
