#include "target/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "ir/support.h"
#include "target/check.h"

namespace npuport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The operator list as the requirements quote it, kept apart from the target file so that an edit of one is noticed.
std::set<std::string> words(const char* text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}
const char kSupported[] =
    "ABS ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND CAST CONCATENATION CONV_2D DEQUANTIZE "
    "DEPTH_TO_SPACE "
    "DEPTHWISE_CONV_2D DIV ELU EXP EXPAND_DIMS FULLY_CONNECTED GELU HARD_SWISH L2_NORMALIZATION L2_POOL_2D LOGISTIC "
    "QLSTM MAXIMUM "
    "MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG PACK PAD POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 "
    "RELU_N1_TO_1 RESHAPE "
    "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT "
    "SQUARE "
    "SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV UNPACK";
const char kRefused[] =
    "CEIL FLOOR LOG ROUND EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL LOGICAL_AND LOGICAL_NOT LOGICAL_OR "
    "GATHER SELECT "
    "TOPK_V2 LEAKY_RELU LOG_SOFTMAX CHANNEL_SHUFFLE FILL LOCAL_RESPONSE_NORMALIZATION REDUCE_ANY";

TEST(TargetTest, Mt8371OperatorTableIsTheSdkList) {
  const Result<Target> t = load_target("mt8371");
  ASSERT_TRUE(t) << to_text(t.error());
  std::set<std::string> supported, refused;
  for (const auto& [op, s] : t->operators) {
    (s.support == Support::supported ? supported : refused).insert(op);
    EXPECT_THAT(s.evidence.source, HasSubstr("SDK 8.0.10"));
  }
  EXPECT_EQ(supported, words(kSupported));
  EXPECT_EQ(supported.size(), 63U);
  EXPECT_EQ(refused, words(kRefused));
  EXPECT_EQ(t->statement("SIN").support, Support::unlisted);
  EXPECT_EQ(t->statement("COS").support, Support::unlisted);
}

TEST(TargetTest, PlatformsOfTheRequirements) {
  const auto identity = [](const char* name, const char* key) { return load_target(name)->identity.at(key); };
  EXPECT_EQ(identity("mt8371", "arch"), "mdla5.3,edma3.6");
  EXPECT_EQ(identity("mt8371", "l1_kb"), "256");
  EXPECT_EQ(identity("mt8371", "mdla"), "1");
  EXPECT_EQ(identity("mt6899", "arch"), "mdla5.5,edma3.6");
  EXPECT_EQ(identity("mt6899", "l1_kb"), "2048");
  EXPECT_EQ(identity("mt6899", "mdla"), "2");
  EXPECT_EQ(identity("mt6991", "l1_kb"), "7168");
  EXPECT_EQ(identity("mt6991", "mdla"), "4");
  EXPECT_THAT(load_target("mt6991")->compiler.options,
              ElementsAre("--relax-fp32", "--opt-accuracy", "--opt-footprint"));
}

TEST(TargetTest, EveryBuiltInTargetLoads) {
  EXPECT_THAT(builtin_targets(), ElementsAre("ascend310b1", "ethos-u55-128", "ethos-u65-256", "ethos-u85-256",
                                             "generic-onnx", "generic-tflite", "mt6899", "mt6991", "mt8371", "rk3588"));
  for (const std::string& name : builtin_targets()) {
    const Result<Target> t = load_target(name);
    ASSERT_TRUE(t) << to_text(t.error());
    EXPECT_EQ(t->name, name);
  }
}

TEST(TargetTest, OnnxTargetsNameTheirOpset) {
  EXPECT_EQ(load_target("generic-onnx")->opset, 17);
  EXPECT_EQ(load_target("ascend310b1")->opset, 15);
  EXPECT_EQ(load_target("ascend310b1")->compiler.driver, "atc");
  EXPECT_EQ(load_target("rk3588")->compiler.driver, "rknn");
  for (const char* opset : {"10", "18", "16.5"}) {
    const Result<Target> t = parse_target(
        "version = 1\nname = \"mine\"\nextends = \"generic-onnx\"\nopset = " + std::string(opset), "mine.toml");
    ASSERT_FALSE(t) << opset;
    EXPECT_THAT(to_text(t.error()), HasSubstr("opset must be a whole number from 11 to 17"));
  }
}

TEST(TargetTest, AListMayHoldForSomeOpsetsOnly) {
  const auto target = [](const std::string& opsets) {
    return parse_target(
        "version = 1\nname = \"mine\"\nvendor = \"v\"\nformat = \"onnx\"\nunlisted = \"refuse\"\n[[operators]]\n"
        "source = \"s\"\nconfidence = \"documented\"\nsupported = [\"LayerNormalization\"]\nopsets = " +
            opsets,
        "mine.toml");
  };
  const Result<Target> t = target("[16, 17]");
  ASSERT_TRUE(t) << to_text(t.error());
  EXPECT_THAT(t->statement("LayerNormalization").opsets, ::testing::ElementsAre(16, 17));
  EXPECT_NE(target_fingerprint(*t), target_fingerprint(*target("[16]")));
  for (const char* bad : {"[]", "17", "[\"a\"]", "[3]", "[17.5]"}) {
    const Result<Target> wrong = target(bad);
    ASSERT_FALSE(wrong) << bad;
    EXPECT_THAT(to_text(wrong.error()), HasSubstr("opsets must be a list of whole numbers from 7"));
  }
}

TEST(TargetTest, UnknownNameSuggestsTheNearest) {
  const Result<Target> t = load_target("mt8317");
  ASSERT_FALSE(t);
  EXPECT_EQ(t.error().hint, "did you mean mt8371?");
  EXPECT_FALSE(load_target("./no/such.toml"));
}

constexpr const char* kUser = R"(version = 1
name = "mine"
extends = "mt8371"
title = "My board"
dtypes = ["float32"]
[[operators]]
source = "compiled here"
confidence = "measured"
supported = ["GATHER"]
[[rule]]
id = "rank-4"
op = "*"
require = "rank <= 3"
why = "my board is small"
source = "me"
confidence = "measured"
)";

TEST(TargetTest, UserFileExtendsAndOverrides) {
  const Result<Target> t = parse_target(kUser, "mine.toml");
  ASSERT_TRUE(t) << to_text(t.error());
  EXPECT_EQ(t->statement("GATHER").support, Support::supported);  // measured outranks documented
  EXPECT_EQ(t->statement("FLOOR").support, Support::refused);
  size_t rank_rules = 0;
  for (const Rule& r : t->rules)
    if (r.id == "rank-4") {
      ++rank_rules;
      EXPECT_EQ(r.why, "my board is small");
    }
  EXPECT_EQ(rank_rules, 1U);
}

TEST(TargetTest, MistakesNameTheLine) {
  const auto message = [](const std::string& toml) {
    const Result<Target> t = parse_target(toml, "t.toml");
    return t ? std::string("accepted") : t.error().message;
  };
  const std::string head = "version = 1\nname = \"t\"\n";
  EXPECT_THAT(message(head + "titel = \"x\"\n"), HasSubstr("line 3: unknown key 'titel'"));
  EXPECT_THAT(message("name = \"t\"\n"), HasSubstr("version"));
  EXPECT_THAT(message("version = 2\nname = \"t\"\n"), HasSubstr("newer"));
  EXPECT_THAT(message(head + "extends = \"nope\"\n"), HasSubstr("no built-in target 'nope'"));
  EXPECT_THAT(message(head + "dtypes = [\"float\"]\n"), HasSubstr("unknown dtype"));
  EXPECT_THAT(message(head + "a = \n"), HasSubstr("line 3"));
  const std::string rule = head + "[[rule]]\nid = \"r\"\nwhy = \"w\"\nsource = \"s\"\nconfidence = \"assumed\"\n";
  EXPECT_THAT(message(rule + "op = \"conv9d\"\nrequire = \"rank == 1\"\n"), HasSubstr("operator 'conv9d'"));
  EXPECT_THAT(message(rule + "op = \"*\"\nrequire = \"kernle == 1\"\n"), HasSubstr("line 9: column 1"));
  EXPECT_THAT(message(rule + "op = \"*\"\n"), HasSubstr("'require' is missing"));
}

class CheckTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::register_test_ops(); }
  static std::vector<Finding> findings(Shape shape, DType dtype, const char* written_as, const Target& t) {
    Graph g;
    const ValueId x = g.add_input("x", {dtype, std::move(shape), nullptr});
    const auto id = g.add("test_double", {x}, {}, {{"net", "net.py:5", "aten::double"}});
    g.set_outputs(g.node(*id).outputs);
    return check(g, t, [&](const Graph&, NodeId) { return FormatView{{written_as}, ""}; });
  }
};

TEST_F(CheckTest, EachRuleFiresAloneOnItsSideOfTheLimit) {
  const Target t = *load_target("mt8371");
  EXPECT_THAT(findings({1, 2, 3, 4}, DType::f32, "ADD", t), IsEmpty());
  const auto only = [](const std::vector<Finding>& f) {
    return f.size() == 1 ? f[0].rule : "count " + std::to_string(f.size());
  };
  EXPECT_EQ(only(findings({1, 1, 2, 3, 4}, DType::f32, "ADD", t)), "rank-4");
  EXPECT_THAT(findings({1, 65535}, DType::f32, "ADD", t), IsEmpty());
  EXPECT_EQ(only(findings({1, 65536}, DType::f32, "ADD", t)), "dim-65535");
  EXPECT_EQ(only(findings({4}, DType::i64, "ADD", t)), "dtype");
  EXPECT_EQ(only(findings({4}, DType::f32, "GATHER", t)), "operator-refused");
  EXPECT_EQ(only(findings({4}, DType::f32, "SIN", t)), "operator-unlisted");
  EXPECT_THAT(findings({4}, DType::f32, "SIN", *load_target("generic-tflite")), IsEmpty());
}

TEST_F(CheckTest, AllViolationsOfANodeAreCollected) {
  const Target t = *load_target("mt8371");
  EXPECT_EQ(findings({1, 1, 1, 1, 70000}, DType::i64, "GATHER", t).size(), 4U);
}

}  // namespace
}  // namespace npuport
