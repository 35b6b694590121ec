#include "app/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace npuport::app {
namespace {

using ::testing::HasSubstr;

SampleFile sample() {
  SampleFile s;
  s.path = "s.npz";
  s.arrays = {{"tokens", Tensor::of<int64_t>({2}, {1, 2})},
              {"out.0", Tensor::of<float>({1}, {3.0F})},
              {"audio", Tensor::of<float>({1, 2}, {4.0F, 5.0F})}};
  return s;
}

TEST(SamplesTest, BindsByNameAndByPosition) {
  const InputSpec wanted[] = {{"audio", {DType::f32, {1, 2}, nullptr}}, {"tokens", {DType::i32, {2}, nullptr}}};
  const auto bound = bind_inputs(sample(), wanted);
  ASSERT_TRUE(bound) << to_text(bound.error());
  EXPECT_EQ((*bound)[1].dtype, DType::i32);  // 1 and 2 fit
  SampleFile positional;
  positional.arrays = {{"in.1", Tensor::of<float>({1}, {1.0F})}, {"in.0", Tensor::of<float>({2}, {1.0F, 2.0F})}};
  const InputSpec two[] = {{"a", {DType::f32, {2}, nullptr}}, {"b", {DType::f32, {1}, nullptr}}};
  ASSERT_TRUE(bind_inputs(positional, two));
  EXPECT_EQ(specs_from_sample(positional, two)[0].type.shape, Shape{2});
}

TEST(SamplesTest, MissingWrongShapeAndLossyTypesAreNamed) {
  const auto message = [](const InputSpec& want) {
    const auto r = bind_inputs(sample(), {&want, 1});
    return r ? std::string("accepted") : r.error().message;
  };
  EXPECT_THAT(message({"mel", {DType::f32, {1}, nullptr}}),
              HasSubstr("neither 'mel' nor 'in.0'; it holds tokens (int64 2)"));
  EXPECT_THAT(message({"audio", {DType::f32, {2, 1}, nullptr}}), HasSubstr("wants shape 2x1, the sample has 1x2"));
  EXPECT_THAT(message({"audio", {DType::i64, {1, 2}, nullptr}}), HasSubstr("wants int64"));
  EXPECT_THAT(message({"audio", {DType::f16, {1, 2}, nullptr}}), HasSubstr("accepted"));  // 4 and 5 are exact halves
}

TEST(SamplesTest, ShapeOptions) {
  const auto spec = parse_shape_option("a:b=c=1x3x0:float16");
  ASSERT_TRUE(spec) << to_text(spec.error());
  EXPECT_EQ(spec->name, "a:b=c");
  EXPECT_EQ(spec->type.shape, (Shape{1, 3, 0}));
  EXPECT_EQ(spec->type.dtype, DType::f16);
  for (const char* bad : {"x", "=1x2", "x=1y2", "x=1x-2", "x=1x2:float", "x=99999999999x99999999999", "x="})
    EXPECT_FALSE(parse_shape_option(bad)) << bad;
  FileFacts facts;
  facts.inputs = {{"x", {DType::i64, {1}, nullptr}}, {"y", {}}, {"scale", {}}};
  const auto applied = input_specs(facts, nullptr, {"in.1=2x2", "x=4"});
  ASSERT_TRUE(applied) << to_text(applied.error());
  ASSERT_EQ(applied->size(), 2u) << "an argument at the end may have a default";
  EXPECT_EQ((*applied)[0].type, (TensorType{DType::i64, {4}, nullptr}));
  EXPECT_EQ((*applied)[1].name, "y");
  EXPECT_EQ((*applied)[1].type, (TensorType{DType::f32, {2, 2}, nullptr}));
}

TEST(SamplesTest, ShapesOfInputsTheModelDoesNotHave) {
  FileFacts facts;
  facts.inputs = {{"x", {}}, {"y", {}}, {"z", {}}};
  for (const char* bad : {"w=1", "in.3=1", "3=1"}) {
    const auto r = input_specs(facts, nullptr, {bad});
    ASSERT_FALSE(r) << bad;
    EXPECT_THAT(r.error().message, HasSubstr("it has x, y, z"));
  }
  const auto gap = input_specs(facts, nullptr, {"x=1", "z=1"});
  ASSERT_FALSE(gap);
  EXPECT_THAT(gap.error().message, HasSubstr("'y'"));
  // Keys of a dict: only the importer knows them.
  facts.inputs = {{"x", {}}};
  facts.inputs_complete = false;
  const auto open = input_specs(facts, nullptr, {"x=1", "key=2"});
  ASSERT_TRUE(open);
  EXPECT_EQ((*open)[1].name, "key");
  // Beside a sample both its names and the model's count.
  facts.inputs_complete = true;
  const SampleFile mel{"s.npz", {{"mel", Tensor::scalar(1.0F)}}};
  for (const char* option : {"mel=4", "x=4", "in.0=4"}) {
    const auto r = input_specs(facts, &mel, {option});
    ASSERT_TRUE(r) << option;
    EXPECT_EQ(r->size(), 1u);
    EXPECT_EQ((*r)[0].type.shape, Shape{4});
  }
}

}  // namespace
}  // namespace npuport::app
