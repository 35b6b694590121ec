// Semantics that are easy to get wrong, with numbers worked out by hand or given by IEEE 754 and PyTorch's rules.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/diag_codes.h"
#include "ir/builder.h"
#include "ir/registry.h"

namespace npuport {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Result<std::vector<Tensor>> run(std::string_view name, std::vector<Tensor> in, std::vector<Attr> attrs = {}) {
  std::vector<const Tensor*> pointers;
  for (const Tensor& t : in) pointers.push_back(&t);
  Graph g;
  Builder b(g, true);
  std::vector<ValueId> ids;
  for (const Tensor& t : in) ids.push_back(b.constant(t));
  const std::vector<ValueId> out = b.ops(name, ids, std::move(attrs));
  NPU_TRY(b.take_status());
  std::vector<Tensor> results;
  for (const ValueId v : out) results.push_back(*b.constant_of(v));
  return results;
}

template <class T>
std::vector<T> values(std::string_view name, std::vector<Tensor> in, std::vector<Attr> attrs = {}, size_t output = 0) {
  const auto r = run(name, std::move(in), std::move(attrs));
  EXPECT_TRUE(r.ok()) << (r.ok() ? "" : to_text(r.error()));
  if (!r.ok()) return {};
  EXPECT_EQ((*r)[output].dtype, dtype_of<T>::value);
  const auto span = (*r)[output].template as<T>();
  return {span.begin(), span.end()};
}

template <class T>
Tensor vec(std::initializer_list<T> v) {
  return Tensor::of<T>({static_cast<int64_t>(v.size())}, v);
}

const DiagCode* code_of(std::string_view name, std::vector<Tensor> in, std::vector<Attr> attrs = {}) {
  const auto r = run(name, std::move(in), std::move(attrs));
  return r.ok() ? nullptr : r.error().code;
}

TEST(Integers, WrapAroundInsteadOfOverflowing) {
  constexpr int32_t low = std::numeric_limits<int32_t>::min(), high = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(values<int32_t>("add", {vec<int32_t>({high}), vec<int32_t>({1})}), (std::vector<int32_t>{low}));
  EXPECT_EQ(values<int32_t>("neg", {vec<int32_t>({low})}), (std::vector<int32_t>{low}));
  EXPECT_EQ(values<int32_t>("abs", {vec<int32_t>({low, -3})}), (std::vector<int32_t>{low, 3}));
  EXPECT_EQ(values<int32_t>("trunc_div", {vec<int32_t>({low}), vec<int32_t>({-1})}), (std::vector<int32_t>{low}));
  EXPECT_EQ(values<int32_t>("mod", {vec<int32_t>({low}), vec<int32_t>({-1})}), (std::vector<int32_t>{0}));
  EXPECT_EQ(values<uint16_t>("mul", {vec<uint16_t>({65535}), vec<uint16_t>({65535})}), (std::vector<uint16_t>{1}));
  EXPECT_EQ(values<int8_t>("square", {vec<int8_t>({-128})}), (std::vector<int8_t>{0}));
}

TEST(Integers, DivisionByZeroIsAnError) {
  for (const char* name : {"trunc_div", "floor_div", "mod", "fmod"}) {
    EXPECT_EQ(code_of(name, {vec<int64_t>({1, 2}), vec<int64_t>({1, 0})}), &diag::bad_input_data) << name;
  }
  EXPECT_EQ(values<float>("floor_div", {vec<float>({1}), vec<float>({0})}), (std::vector<float>{kInf}));
}

TEST(Integers, DivisionsDifferInRounding) {
  const Tensor a = vec<int64_t>({7, -7, 7, -7}), b = vec<int64_t>({2, 2, -2, -2});
  EXPECT_EQ(values<int64_t>("floor_div", {a, b}), (std::vector<int64_t>{3, -4, -4, 3}));
  EXPECT_EQ(values<int64_t>("trunc_div", {a, b}), (std::vector<int64_t>{3, -3, -3, 3}));
  EXPECT_EQ(values<int64_t>("mod", {a, b}), (std::vector<int64_t>{1, 1, -1, -1}));
  EXPECT_EQ(values<int64_t>("fmod", {a, b}), (std::vector<int64_t>{1, -1, 1, -1}));
}

TEST(Integers, PowersAndShifts) {
  EXPECT_EQ(values<int64_t>("pow", {vec<int64_t>({2, -1, -1, 3, 1}), vec<int64_t>({-1, -3, -2, 4, -9})}),
            (std::vector<int64_t>{0, -1, 1, 81, 1}));
  EXPECT_EQ(values<int32_t>("shift_left", {vec<int32_t>({1, 1, 1}), vec<int32_t>({4, 32, -1})}),
            (std::vector<int32_t>{16, 0, 0}));
  EXPECT_EQ(values<int32_t>("shift_right", {vec<int32_t>({-8, -8, 8}), vec<int32_t>({1, 40, 40})}),
            (std::vector<int32_t>{-4, -1, 0}));
  EXPECT_EQ(values<uint8_t>("shift_right", {vec<uint8_t>({200}), vec<uint8_t>({9})}), (std::vector<uint8_t>{0}));
}

TEST(Floats, NanPassesThroughExtremaAndClamps) {
  const Tensor x = vec<float>({kNan, 1, kNan, -5}), y = vec<float>({0, kNan, kNan, 2});
  for (const char* name : {"maximum", "minimum"}) {
    const auto v = values<float>(name, {x, y});
    EXPECT_TRUE(std::isnan(v[0]) && std::isnan(v[1]) && std::isnan(v[2]) && !std::isnan(v[3])) << name;
  }
  const auto clamped = values<float>("clamp", {x}, {{"min", 0.0}, {"max", 6.0}});
  EXPECT_TRUE(std::isnan(clamped[0]));
  EXPECT_EQ(clamped[3], 0);
  EXPECT_TRUE(std::isnan(values<float>("relu", {x})[0]));
  EXPECT_TRUE(std::isnan(values<float>("reduce_max", {x}, {{"axes", Ints{0}}})[0]));
  EXPECT_EQ(values<int64_t>("arg_max", {vec<float>({1, kNan, 9, kNan})}, {{"axis", 0}}), (std::vector<int64_t>{1}));
}

TEST(Floats, RoundHalvesToEven) {
  EXPECT_EQ(values<float>("round", {vec<float>({0.5F, 1.5F, 2.5F, -0.5F, -1.5F})}),
            (std::vector<float>{0, 2, 2, 0, -2}));
}

TEST(Floats, SumsOfManySmallNumbersStayExact) {
  Tensor x = Tensor::zeros(DType::f32, {1 << 20});
  for (float& v : x.mut<float>()) v = 0.1F;
  const float sum = values<float>("reduce_sum", {x}, {{"axes", Ints{0}}})[0];
  EXPECT_NEAR(sum, 0.1F * static_cast<double>(1 << 20), 0.01);  // float accumulation is off by more than 100
}

TEST(Casts, TruncateAndTestForZero) {
  EXPECT_EQ(values<int32_t>("cast", {vec<float>({1.9F, -1.9F, 300.5F})}, {{"to", DType::i32}}),
            (std::vector<int32_t>{1, -1, 300}));
  const auto b = values<bool>("cast", {vec<float>({0.0F, -0.0F, 0.3F, kNan})}, {{"to", DType::boolean}});
  EXPECT_EQ(b, (std::vector<bool>{false, false, true, true}));
  EXPECT_EQ(values<int64_t>("cast", {vec<float>({kInf})}, {{"to", DType::i64}})[0],
            std::numeric_limits<int64_t>::min());
}

TEST(Index, NegativePositionsCountFromTheEndAndOthersAreErrors) {
  const Tensor x = vec<float>({10, 11, 12});
  EXPECT_EQ(values<float>("gather", {x, vec<int64_t>({-1, 0})}), (std::vector<float>{12, 10}));
  EXPECT_EQ(code_of("gather", {x, vec<int64_t>({3})}), &diag::index_range);
  EXPECT_EQ(code_of("gather", {x, vec<int64_t>({-4})}), &diag::index_range);
  EXPECT_EQ(code_of("scatter_elements", {x, vec<int64_t>({3}), vec<float>({1})}, {{"axis", 0}}), &diag::index_range);
  EXPECT_EQ(code_of("gather", {x, vec<float>({0})}), &diag::dtype_mismatch);
}

TEST(Index, ScatterReductionsFollowTheOrderOfTheIndices) {
  const Tensor x = vec<float>({1, 2, 3}), at = vec<int64_t>({1, 1}), v = vec<float>({5, 7});
  const auto with = [&](const char* kind) {
    return values<float>("scatter_elements", {x, at, v}, {{"axis", 0}, {"reduction", kind}});
  };
  EXPECT_EQ(with("none"), (std::vector<float>{1, 7, 3}));
  EXPECT_EQ(with("add"), (std::vector<float>{1, 14, 3}));
  EXPECT_EQ(with("mul"), (std::vector<float>{1, 70, 3}));
  EXPECT_EQ(with("max"), (std::vector<float>{1, 7, 3}));
  EXPECT_EQ(with("min"), (std::vector<float>{1, 2, 3}));
}

TEST(Sort, NanIsTheLargestAndTiesKeepTheirOrder) {
  const Tensor x = vec<float>({2, kNan, 1, 2});
  EXPECT_EQ(values<int64_t>("sort", {x}, {{"axis", 0}}, 1), (std::vector<int64_t>{2, 0, 3, 1}));
  EXPECT_EQ(values<int64_t>("sort", {x}, {{"axis", 0}, {"descending", true}}, 1), (std::vector<int64_t>{1, 0, 3, 2}));
  EXPECT_EQ(values<int64_t>("topk", {x}, {{"k", 2}, {"axis", 0}}, 1), (std::vector<int64_t>{1, 0}));
}

TEST(Softmax, RowsOfMinusInfinityGiveNan) {
  EXPECT_TRUE(std::isnan(values<float>("softmax", {vec<float>({-kInf, -kInf})})[0]));
  EXPECT_EQ(values<float>("softmax", {vec<float>({-kInf, 1000})}), (std::vector<float>{0, 1}));
}

TEST(Inference, ErrorsNameTheOperatorAndItsInputs) {
  const auto r = run("add", {Tensor::zeros(DType::f32, {2, 3}), Tensor::zeros(DType::f32, {4})});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, &diag::shape_mismatch);
  EXPECT_NE(r.error().message.find("add(f32[2,3], f32[4])"), std::string::npos) << r.error().message;
  const auto mixed = run("add", {Tensor::zeros(DType::f32, {2}), Tensor::zeros(DType::i64, {2})});
  ASSERT_FALSE(mixed.ok());
  EXPECT_EQ(mixed.error().code, &diag::dtype_mismatch);
  EXPECT_FALSE(mixed.error().hint.empty());
}

TEST(Inference, ImpossibleAttributesAreErrors) {
  const Tensor x = Tensor::zeros(DType::f32, {2, 3});
  EXPECT_EQ(code_of("reshape", {x}, {{"shape", Ints{4}}}), &diag::shape_mismatch);
  EXPECT_EQ(code_of("reshape", {x}, {{"shape", Ints{int64_t{1} << 62, 8}}}), &diag::too_large);
  EXPECT_EQ(code_of("transpose", {x}, {{"perm", Ints{0, 0}}}), &diag::bad_attribute);
  EXPECT_EQ(code_of("concat", {x, Tensor::zeros(DType::f32, {3, 3})}, {{"axis", 1}}), &diag::shape_mismatch);
  EXPECT_EQ(code_of("concat", {x, x}, {{"axis", 2}}), &diag::index_range);
  EXPECT_EQ(code_of("reduce_sum", {x}, {{"axes", Ints{0, -2}}}), &diag::bad_attribute);
  EXPECT_EQ(code_of("split", {x}, {{"axis", 1}, {"sizes", Ints{1, 1}}}), &diag::shape_mismatch);
  EXPECT_EQ(code_of("pad", {x}, {{"pads", Ints{0, 3, 0, 0}}, {"mode", "reflect"}}), &diag::shape_mismatch);
  EXPECT_EQ(code_of("pad", {x}, {{"pads", Ints{0, -1, 0, 0}}}), &diag::bad_attribute);
  EXPECT_EQ(code_of("tile", {x}, {{"repeats", Ints{int64_t{1} << 50, 1}}}), &diag::too_large);
  EXPECT_EQ(code_of("gelu", {x}, {{"approximate", "sigmoid"}}), &diag::bad_attribute);
  const std::vector<Attr> backwards = {{"starts", Ints{2}}, {"ends", Ints{1}}, {"axes", Ints{1}}, {"steps", Ints{1}}};
  EXPECT_EQ(code_of("slice", {x}, backwards), &diag::bad_attribute);
  EXPECT_EQ(code_of("topk", {x}, {{"k", 4}, {"axis", 1}}), &diag::bad_attribute);
  EXPECT_EQ(code_of("depth_to_space", {Tensor::zeros(DType::f32, {1, 6, 2, 2})}, {{"block", 2}}),
            &diag::shape_mismatch);
}

TEST(Inference, EmptySlicesAreEmpty) {
  const Tensor x = Tensor::zeros(DType::f32, {4, 5});
  const auto r = run("slice", {x}, {{"starts", Ints{2}}, {"ends", Ints{2}}, {"axes", Ints{0}}, {"steps", Ints{1}}});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ((*r)[0].shape, (Shape{0, 5}));
}

}  // namespace
}  // namespace npuport
