#include "frontends/aten_binder.h"

#include <gtest/gtest.h>

#include "base/diag_codes.h"

namespace npuport {
namespace {

TEST(AtenSchema, EveryRowParsesAndNamesARegisteredOperator) {
  const AtenTable& table = AtenTable::global();
  for (const Diag& d : table.errors()) ADD_FAILURE() << to_text(d);
  EXPECT_GT(table.all().size(), 100u);
}

TEST(AtenSchema, ReadsKindsDefaultsAndAliases) {
  const auto s = parse_schema(
      "f.over(Tensor(a) self, int[2] kernel=[1, 2], *, Scalar? alpha=None, float eps=1e-5, str mode=\"constant\", "
      "bool[3] m=True, Tensor?[] idx, ScalarType? dtype=None) -> (Tensor(a)[], Tensor values)");
  ASSERT_TRUE(s.ok()) << to_text(s.error());
  EXPECT_EQ(s->name, "aten::f");
  EXPECT_EQ(s->full, "aten::f.over");
  EXPECT_EQ(s->args[1].list_size, 2);
  EXPECT_EQ(s->args[1].default_value.items, (std::vector<double>{1, 2}));
  EXPECT_TRUE(s->args[2].optional);
  EXPECT_TRUE(s->args[2].keyword_only);
  EXPECT_DOUBLE_EQ(s->args[3].default_value.f, 1e-5);
  EXPECT_EQ(s->args[4].default_value.s, "constant");
  EXPECT_EQ(s->args[5].default_value.items.size(), 3u);
  EXPECT_TRUE(s->args[6].optional_element);
  EXPECT_EQ(s->args[7].kind, AtenKind::scalar_type);
  ASSERT_EQ(s->returns.size(), 2u);
  EXPECT_TRUE(s->returns[0].view);
  EXPECT_TRUE(s->returns[0].list);
  EXPECT_FALSE(s->returns[1].view);
  for (const char* bad : {"", "f", "f(", "f(Tensor) -> Tensor", "f(Tensor a) -> ", "f(Tensor a) -> Tensor x y",
                          "f(Tensor a=) -> Tensor", "f(Tensor(a a) -> Tensor"})
    EXPECT_EQ(parse_schema(bad).ok(), false) << bad;
}

PromotionOperand dim(DType t) { return {t, PromotionOperand::dimensioned}; }
PromotionOperand zero(DType t) { return {t, PromotionOperand::zero_dim}; }
PromotionOperand number(DType t) { return {t, PromotionOperand::number}; }
DType result(std::vector<PromotionOperand> o) { return result_type(o); }

// Expected types: torch.result_type of PyTorch 1.13 on operands of these kinds.
TEST(Promotion, FollowsPyTorchsThreeCategories) {
  EXPECT_EQ(result({dim(DType::i64), number(DType::f64)}), DType::f32);
  EXPECT_EQ(result({dim(DType::i64), zero(DType::f64)}), DType::f64);
  EXPECT_EQ(result({dim(DType::f16), number(DType::f64)}), DType::f16);
  EXPECT_EQ(result({dim(DType::f32), zero(DType::f64)}), DType::f32);
  EXPECT_EQ(result({dim(DType::i32), zero(DType::i64)}), DType::i32);
  EXPECT_EQ(result({dim(DType::u8), number(DType::i64)}), DType::u8);
  EXPECT_EQ(result({dim(DType::boolean), number(DType::i64)}), DType::i64);
  EXPECT_EQ(result({dim(DType::f16), dim(DType::bf16)}), DType::f32);
  EXPECT_EQ(result({dim(DType::u8), dim(DType::i8)}), DType::i16);
  EXPECT_EQ(result({dim(DType::i64), dim(DType::f16)}), DType::f16);
  EXPECT_EQ(result({zero(DType::i64), number(DType::f64)}), DType::f32);
  EXPECT_EQ(result({zero(DType::f64), number(DType::f64)}), DType::f64);
}

class BinderTest : public testing::Test {
 protected:
  IValue input(std::string name, Shape shape, DType t = DType::f32) {
    return IValue(binder.fresh(graph.add_input(std::move(name), {t, std::move(shape), nullptr})));
  }
  IValue values(Shape shape, std::initializer_list<float> v) {
    return IValue(binder.fresh(builder.constant(Tensor::of<float>(std::move(shape), v))));
  }
  IValue call(std::string_view name, std::vector<IValue> args, Keywords keywords = {}) {
    Result<IValue> r = binder.call(name, std::move(args), std::move(keywords));
    EXPECT_TRUE(r.ok()) << name << ": " << (r ? "" : to_text(r.error()));
    return r ? *r : IValue();
  }
  std::vector<float> floats(const IValue& v) {
    Result<std::shared_ptr<const Tensor>> t = binder.concrete(v.as_tensor(), "a test");
    EXPECT_TRUE(t.ok()) << (t ? "" : to_text(t.error()));
    if (!t) return {};
    std::vector<float> out;
    for (int64_t i = 0; i < (*t)->count(); ++i) out.push_back(static_cast<float>(get_double(**t, i)));
    return out;
  }

  Graph graph;
  Builder builder{graph, /*fold=*/true};
  AtenBinder binder{builder};
};

TEST_F(BinderTest, NumbersPromoteLikePython) {
  const IValue i = IValue(binder.fresh(builder.constant(Tensor::of<int64_t>({2}, {3, 5}))));
  const IValue half = call("aten::mul", {i, IValue(0.5)});
  EXPECT_EQ(*binder.dtype(half.as_tensor()), DType::f32);
  EXPECT_EQ(floats(half), (std::vector<float>{1.5F, 2.5F}));
  // A CONSTANTS tensor acts as a number, a computed rank-0 tensor does not.
  const IValue wrapped = IValue(binder.number_tensor(IValue(0.5)));
  EXPECT_EQ(*binder.dtype(call("aten::mul", {i, wrapped}).as_tensor()), DType::f32);
  auto plain = binder.number_tensor(IValue(0.5));
  plain->wrapped_number = false;
  EXPECT_EQ(*binder.dtype(call("aten::mul", {i, IValue(plain)}).as_tensor()), DType::f64);
  EXPECT_EQ(*binder.dtype(call("aten::add", {i, IValue(1)}).as_tensor()), DType::i64);
}

TEST_F(BinderTest, WriteThroughSelectAndSliceReachesBaseAndOtherViews) {
  const IValue base = values({2, 3}, {1, 2, 3, 4, 5, 6});
  const IValue row = call("aten::select", {base, IValue(0), IValue(1)});
  const IValue tail = call("aten::slice", {row, IValue(0), IValue(1), IValue(3)});
  const IValue column = call("aten::select", {base, IValue(1), IValue(2)});
  call("aten::mul_", {tail, IValue(10)});
  EXPECT_EQ(floats(base), (std::vector<float>{1, 2, 3, 4, 50, 60}));
  EXPECT_EQ(floats(row), (std::vector<float>{4, 50, 60}));
  EXPECT_EQ(floats(column), (std::vector<float>{3, 60}));
  call("aten::zero_", {column});
  EXPECT_EQ(floats(tail), (std::vector<float>{50, 0}));
}

TEST_F(BinderTest, WriteThroughTransposeReshapeAndStridedSlice) {
  const IValue base = values({2, 3}, {1, 2, 3, 4, 5, 6});
  const IValue t = call("aten::transpose", {base, IValue(0), IValue(1)});
  call("aten::copy_", {call("aten::select", {t, IValue(0), IValue(0)}), values({2}, {-1, -4})});
  EXPECT_EQ(floats(base), (std::vector<float>{-1, 2, 3, -4, 5, 6}));
  const IValue flat = call("aten::view", {base, IValue::ints({6})});
  call("aten::fill_", {call("aten::slice", {flat, IValue(0), IValue(1), IValue(6), IValue(2)}), IValue(9)});
  EXPECT_EQ(floats(base), (std::vector<float>{-1, 9, 3, 9, 5, 9}));
  EXPECT_EQ(floats(t), (std::vector<float>{-1, 9, 9, 5, 3, 9}));
}

TEST_F(BinderTest, ReshapeOfATransposedTensorIsACopy) {
  const IValue base = values({2, 2}, {1, 2, 3, 4});
  const IValue copy = call("aten::reshape", {call("aten::t", {base}), IValue::ints({4})});
  call("aten::zero_", {copy});
  EXPECT_EQ(floats(base), (std::vector<float>{1, 2, 3, 4}));
  const IValue alias = call("aten::reshape", {base, IValue::ints({4})});
  call("aten::zero_", {alias});
  EXPECT_EQ(floats(base), (std::vector<float>{0, 0, 0, 0}));
}

TEST_F(BinderTest, CloneOwnsItsMemoryAndContiguousOnlyWhenItCopies) {
  const IValue base = values({2, 2}, {1, 2, 3, 4});
  call("aten::zero_", {call("aten::clone", {base})});
  call("aten::zero_", {call("aten::contiguous", {call("aten::t", {base})})});
  EXPECT_EQ(floats(base), (std::vector<float>{1, 2, 3, 4}));
  call("aten::zero_", {call("aten::contiguous", {base})});
  EXPECT_EQ(floats(base), (std::vector<float>{0, 0, 0, 0}));
}

TEST_F(BinderTest, InPlaceKeepsTheDtypeOfSelf) {
  const IValue i = IValue(binder.fresh(builder.constant(Tensor::of<int64_t>({2}, {3, 5}))));
  call("aten::add_", {i, IValue(int64_t{2})});
  EXPECT_EQ(*binder.dtype(i.as_tensor()), DType::i64);
  EXPECT_EQ(floats(i), (std::vector<float>{5, 7}));
}

TEST_F(BinderTest, InputValuesAreRefusedButShapesAreNot) {
  const IValue x = input("x", {2, 3});
  const Result<std::shared_ptr<const Tensor>> direct = binder.concrete(x.as_tensor(), "the condition of `if`");
  ASSERT_FALSE(direct.ok());
  EXPECT_EQ(direct.error().code, &diag::data_dependent);
  EXPECT_NE(direct.error().message.find("the condition of `if`"), std::string::npos);
  EXPECT_EQ(*binder.shape(x.as_tensor()), (Shape{2, 3}));
}

TEST_F(BinderTest, UnknownOperatorsAreCollectedAndPoisonWhatFollows) {
  const IValue x = input("x", {2, 3});
  const IValue a = call("aten::no_such_operator", {x, IValue(1)});
  const IValue b = call("aten::relu", {a});
  call("aten::no_such_operator", {b});
  call("custom::thing", {b});
  ASSERT_EQ(binder.opaque().size(), 2u);
  EXPECT_EQ(binder.opaque()[0].foreign, "aten::no_such_operator");
  EXPECT_EQ(binder.opaque()[0].places.size(), 2u);
  EXPECT_EQ(binder.shape(b.as_tensor()).error().code, &diag::unsupported_op);
  EXPECT_NE(binder.opaque_error().message.find("custom::thing"), std::string::npos);
}

TEST_F(BinderTest, WrongArgumentsAreAnErrorValue) {
  const IValue x = input("x", {2, 3});
  const Result<IValue> r = binder.call("aten::relu", {x, x, x});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, &diag::unsupported_op);
}

}  // namespace
}  // namespace npuport
