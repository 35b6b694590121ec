// Rows that the conformance cases cannot reach: overloads newer than the oracle, refusals, and the graphs that hooks
// build.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/diag_codes.h"
#include "frontends/aten_binder.h"

namespace npuport {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

class AtenRows : public ::testing::Test {
 protected:
  IValue constant(Tensor t) { return IValue(binder_.fresh(b_.constant(std::move(t)))); }
  IValue input(DType t, Shape shape) {
    return IValue(binder_.fresh(g_.add_input("x" + std::to_string(next_++), {t, std::move(shape), nullptr})));
  }
  ValueId id(const IValue& v) { return *binder_.read(v.as_tensor()); }
  Tensor value(Result<IValue> r) {
    EXPECT_TRUE(r.ok()) << (r.ok() ? "" : to_text(r.error()));
    if (!r.ok()) return Tensor::zeros(DType::f32, {0});
    const Tensor* t = b_.constant_of(id(*r));
    EXPECT_NE(t, nullptr) << "the result is no constant";
    return t == nullptr ? Tensor::zeros(DType::f32, {0}) : *t;
  }
  size_t count(std::string_view op) {
    size_t n = 0;
    for (const NodeId node : g_.topological()) n += g_.node(node).op->name == op ? 1 : 0;
    return n;
  }

  Graph g_;
  Builder b_{g_, /*fold=*/true};
  AtenBinder binder_{b_};
  int next_ = 0;
};

TEST_F(AtenRows, SafeSoftmaxGivesZerosForAMaskedRow) {
  const Tensor y =
      value(binder_.call("aten::_safe_softmax", {constant(Tensor::of<float>({2, 2}, {-kInf, -kInf, 0, 0})), 1}));
  EXPECT_TRUE(identical(y, Tensor::of<float>({2, 2}, {0, 0, 0.5F, 0.5F})));
}

TEST_F(AtenRows, SqueezeOfSeveralDimsLeavesOthers) {
  const IValue x = constant(Tensor::zeros(DType::f32, {1, 3, 1}));
  EXPECT_EQ(value(binder_.call("aten::squeeze", {x, IValue::ints({0, -1})})).shape, (Shape{3}));
  EXPECT_EQ(value(binder_.call("aten::squeeze", {x, IValue::ints({0, 1})})).shape, (Shape{3, 1}));
}

TEST_F(AtenRows, TruthOverSeveralDims) {
  Tensor m = Tensor::zeros(DType::boolean, {2, 2, 2});
  m.mut<bool>()[5] = true;
  const IValue x = constant(std::move(m));
  EXPECT_TRUE(
      identical(value(binder_.call("aten::any", {x, IValue::ints({0, 2})})), Tensor::of<bool>({2}, {true, false})));
  EXPECT_TRUE(
      identical(value(binder_.call("aten::all", {x, IValue::ints({0, 2})})), Tensor::of<bool>({2}, {false, false})));
}

TEST_F(AtenRows, ArangeTakesPositionalBounds) {
  EXPECT_TRUE(identical(value(binder_.call("aten::arange", {2, 9, 3})), Tensor::of<int64_t>({3}, {2, 5, 8})));
  EXPECT_TRUE(identical(value(binder_.call("aten::arange", {2, 4})), Tensor::of<int64_t>({2}, {2, 3})));
  EXPECT_TRUE(identical(value(binder_.call("aten::arange", {2})), Tensor::of<int64_t>({2}, {0, 1})));
}

TEST_F(AtenRows, LargeFilledTensorsStaySmall) {
  const auto y = binder_.call("aten::zeros", {IValue::ints({8192, 8192})});
  ASSERT_TRUE(y.ok());
  EXPECT_EQ(b_.constant_of(id(*y)), nullptr);
  EXPECT_EQ(count("expand"), 1u);
  const auto huge = binder_.call("aten::zeros", {IValue::ints({int64_t{1} << 40, 1 << 20})});
  ASSERT_FALSE(huge.ok());
  EXPECT_EQ(huge.error().code, &diag::too_large);
  const auto range = binder_.call("aten::arange", {int64_t{1} << 50});
  ASSERT_FALSE(range.ok());
  EXPECT_EQ(range.error().code, &diag::too_large);
}

TEST_F(AtenRows, DropoutInTrainingIsRefusedWithAHint) {
  const IValue x = input(DType::f32, {2, 3});
  const auto y = binder_.call("aten::dropout", {x, 0.5, true});
  ASSERT_FALSE(y.ok());
  EXPECT_EQ(y.error().code, &diag::unsupported);
  EXPECT_NE(y.error().hint.find("eval()"), std::string::npos);
  EXPECT_TRUE(binder_.call("aten::dropout", {x, 0.0, true}).ok());
  const auto same = binder_.call("aten::dropout", {x, 0.5, false});
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(id(*same), id(x));
}

TEST_F(AtenRows, ShapesThatDependOnInputsAreRefused) {
  const IValue x = input(DType::f32, {4, 5}), mask = input(DType::boolean, {4, 5}), ids = input(DType::i64, {3});
  const auto code = [&](std::string_view op, std::vector<IValue> args) {
    const auto r = binder_.call(op, std::move(args));
    return r.ok() ? nullptr : r.error().code;
  };
  EXPECT_EQ(code("aten::index", {x, IValue::list({mask})}), &diag::data_dependent);
  EXPECT_EQ(code("aten::masked_select", {x, mask}), &diag::data_dependent);
  EXPECT_EQ(code("aten::nonzero", {mask}), &diag::data_dependent);
  EXPECT_EQ(code("aten::one_hot", {ids}), &diag::data_dependent);
  EXPECT_EQ(code("aten::repeat_interleave", {ids}), &diag::data_dependent);
  EXPECT_EQ(code("aten::one_hot", {ids, 7}), nullptr);
}

TEST_F(AtenRows, WritingANumberThroughAComputedMaskIsAWhere) {
  const IValue x = input(DType::f32, {4, 5}), mask = input(DType::boolean, {4});
  const auto y = binder_.call("aten::index_put", {x, IValue::list({mask}), constant(Tensor::scalar(1.0F))});
  ASSERT_TRUE(y.ok()) << to_text(y.error());
  g_.set_outputs({id(*y)});
  g_.erase_dead();
  EXPECT_EQ(count("where"), 1u);
  EXPECT_EQ(count("scatter_nd"), 0u);
}

TEST_F(AtenRows, WhereKeepsItsConditionWhenTheChoicesArePromoted) {
  const IValue mask = input(DType::boolean, {4}), a = input(DType::f32, {4}), c = input(DType::i64, {4});
  const auto y = binder_.call("aten::where", {mask, a, c});
  ASSERT_TRUE(y.ok());
  EXPECT_EQ(b_.dtype(id(*y)), DType::f32);
  g_.set_outputs({id(*y)});
  g_.erase_dead();
  EXPECT_EQ(count("cast"), 1u);  // only the integers
}

TEST_F(AtenRows, ConstantIndicesInAProgressionAreASlice) {
  const IValue x = input(DType::f32, {8, 5});
  const auto y = binder_.call("aten::index", {x, IValue::list({constant(Tensor::of<int64_t>({3}, {1, 3, 5}))})});
  const auto z = binder_.call("aten::index", {x, IValue::list({constant(Tensor::of<int64_t>({3}, {1, 0, -1}))})});
  ASSERT_TRUE(y.ok() && z.ok());
  g_.set_outputs({id(*y), id(*z)});
  g_.erase_dead();
  EXPECT_EQ(count("slice"), 1u);
  EXPECT_EQ(count("gather"), 1u);
  EXPECT_EQ(count("where"), 0u);
}

TEST_F(AtenRows, ComputedIndicesAreWrappedOnlyWhereTheyMayBeNegative) {
  const IValue x = input(DType::f32, {8, 5}), ids = input(DType::i64, {3});
  const auto places = binder_.call("aten::argmax", {x, 1});
  ASSERT_TRUE(places.ok());
  const auto safe = binder_.call("aten::index", {x, IValue::list({*places})});
  ASSERT_TRUE(safe.ok());
  EXPECT_EQ(count("where"), 0u);
  ASSERT_TRUE(binder_.call("aten::index", {x, IValue::list({ids})}).ok());
  EXPECT_EQ(count("where"), 1u);
}

}  // namespace
}  // namespace npuport
