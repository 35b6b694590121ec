// AxisRule: op(transpose(x)) with rewritten attributes must be transpose(op(x)) by the permutation the rule returns.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "ir/builder.h"
#include "ir/registry.h"

namespace npuport {
namespace {

Tensor counting(Shape shape, DType dtype) {
  Tensor t = Tensor::zeros(DType::f64, std::move(shape));
  double next = 1;
  for (double& v : t.mut<double>()) v = next = next > 50 ? 0.37 : next + 0.9;
  return cast_tensor(t, dtype);
}

Tensor transposed(const Tensor& x, const Ints& perm) {
  const Tensor* in[] = {&x};
  const std::vector<Attr> attrs = {{"perm", perm}};
  return (*evaluate(op("transpose"), in, attrs))[0];
}

struct Sample {
  const char* op;
  std::vector<Shape> inputs;
  std::vector<Attr> attrs;
  DType dtype = DType::f32;
};

const std::vector<Sample>& samples() {
  static const Shape x = {2, 3, 4, 5};
  static const std::vector<Sample> list = {
      {"softmax", {x}, {{"axis", 1}}},
      {"softmax", {x}, {{"axis", -1}}},
      {"log_softmax", {x}, {{"axis", 2}}},
      {"expand", {{2, 1, 4, 1}}, {{"shape", Ints{2, 3, 4, 5}}}},
      {"concat", {x, {2, 6, 4, 5}}, {{"axis", 1}}},
      {"concat", {x, x}, {{"axis", -1}}},
      {"split", {x}, {{"axis", 2}, {"sizes", Ints{1, 3}}}},
      {"slice", {x}, {{"starts", Ints{1, 0}}, {"ends", Ints{3, 5}}, {"axes", Ints{1, 3}}, {"steps", Ints{1, 2}}}},
      {"slice", {x}, {{"starts", Ints{1}}, {"ends", Ints{2}}, {"axes", Ints{-2}}, {"steps", Ints{1}}}},
      {"flip", {x}, {{"axes", Ints{0, 3}}}},
      {"tile", {x}, {{"repeats", Ints{1, 2, 1, 3}}}},
      {"pad", {x}, {{"pads", Ints{0, 1, 2, 0, 0, 0, 1, 3}}, {"mode", "constant"}, {"value", 2.0}}},
      {"pad", {x}, {{"pads", Ints{0, 0, 2, 3, 0, 1, 3, 1}}, {"mode", "reflect"}, {"value", 0.0}}},
      {"reduce_sum", {x}, {{"axes", Ints{2, 3}}, {"keepdims", true}}},
      {"reduce_mean", {x}, {{"axes", Ints{1}}, {"keepdims", false}}},
      {"reduce_max", {x}, {{"axes", Ints{-1, 0}}, {"keepdims", false}}},
      {"reduce_min", {x}, {{"axes", Ints{1, 2}}, {"keepdims", true}}},
      {"reduce_prod", {{1, 2, 2, 3}}, {{"axes", Ints{0, 1, 2, 3}}, {"keepdims", false}}, DType::f64},
      {"reduce_any", {x}, {{"axes", Ints{3}}, {"keepdims", false}}, DType::boolean},
      {"reduce_all", {x}, {{"axes", Ints{1}}, {"keepdims", false}}, DType::boolean},
      {"arg_max", {x}, {{"axis", 1}, {"keepdims", false}}},
      {"arg_min", {x}, {{"axis", -1}, {"keepdims", true}}},
      {"cumsum", {x}, {{"axis", 3}}, DType::i64},
      {"cumprod", {x}, {{"axis", 1}}, DType::i64},
      {"cummax", {x}, {{"axis", 2}}},
      {"cummin", {x}, {{"axis", 2}}},
      {"sort", {x}, {{"axis", 1}, {"descending", true}, {"stable", true}}},
      {"topk", {x}, {{"k", 2}, {"axis", 3}, {"largest", true}, {"sorted", true}}},
  };
  return list;
}

void check(const Sample& s, const Ints& perm) {
  const OpDef& row = op(s.op);
  ASSERT_EQ(row.axes.kind, AxisRule::remap);
  std::vector<Tensor> plain, moved;
  for (const Shape& shape : s.inputs) {
    plain.push_back(counting(shape, s.dtype));
    moved.push_back(transposed(plain.back(), perm));
  }
  std::vector<const Tensor*> plain_in, moved_in;
  std::vector<TensorType> types(plain.size());
  std::vector<const TensorType*> type_in;
  for (size_t i = 0; i < plain.size(); ++i) {
    plain_in.push_back(&plain[i]);
    moved_in.push_back(&moved[i]);
    types[i] = {plain[i].dtype, plain[i].shape, nullptr};
    type_in.push_back(&types[i]);
  }
  const std::vector<const Tensor*> no_constants(plain.size());
  std::vector<Attr> attrs = s.attrs;
  const auto out_perm = row.axes.remap_fn(attrs, perm, {row, type_in, no_constants, AttrView(s.attrs)});
  ASSERT_TRUE(out_perm.has_value());
  const auto want = evaluate(row, plain_in, s.attrs);
  const auto got = evaluate(row, moved_in, attrs);
  ASSERT_TRUE(want.ok()) << to_text(want.error());
  ASSERT_TRUE(got.ok()) << to_text(got.error());
  for (size_t i = 0; i < want->size(); ++i) {
    const Tensor expected = transposed((*want)[i], *out_perm);
    ASSERT_EQ((*got)[i].shape, expected.shape);
    for (int64_t k = 0; k < expected.count(); ++k) {
      ASSERT_NEAR(get_double((*got)[i], k), get_double(expected, k), 1e-4) << "output " << i << " element " << k;
    }
  }
}

TEST(AxisRule, RemapCommutesWithEveryPermutation) {
  for (const Sample& s : samples()) {
    Ints perm = {0, 1, 2, 3};
    do {
      SCOPED_TRACE(std::string(s.op) + " perm " + to_text(AttrValue(perm)));
      check(s, perm);
      if (::testing::Test::HasFatalFailure()) return;
    } while (std::next_permutation(perm.begin(), perm.end()));
  }
}

TEST(AxisRule, EveryRemapRowHasAFunction) {
  for (const OpDef* row : Registry::global().all()) {
    EXPECT_EQ(row->axes.kind == AxisRule::remap, row->axes.remap_fn != nullptr) << row->name;
  }
}

// A lower-rank input of expand broadcasts: its permutation has no meaning for the result.
TEST(AxisRule, ExpandOfALowerRankIsRefused) {
  const TensorType x{DType::f32, {4, 5}, nullptr};
  const TensorType* in[] = {&x};
  const Tensor* none[] = {nullptr};
  std::vector<Attr> attrs = {{"shape", Ints{2, 3, 4, 5}}};
  const OpDef& row = op("expand");
  const Ints perm = {0, 2, 3, 1};
  EXPECT_FALSE(row.axes.remap_fn(attrs, perm, {row, in, none, AttrView(attrs)}).has_value());
}

// depth_to_space and space_to_depth: the nhwc form equals the nchw form on permuted data, in both channel orders.
TEST(AxisRule, SpatialLayoutsAgree) {
  const Ints to_nhwc = {0, 2, 3, 1};
  for (const char* mode : {"crd", "dcr"}) {
    for (const char* name : {"depth_to_space", "space_to_depth"}) {
      const Tensor x = counting({2, 8, 4, 6}, DType::f32), moved = transposed(x, to_nhwc);
      const Tensor *plain_in[] = {&x}, *moved_in[] = {&moved};
      const std::vector<Attr> nchw = {{"block", 2}, {"mode", mode}, {"layout", "nchw"}};
      const std::vector<Attr> nhwc = {{"block", 2}, {"mode", mode}, {"layout", "nhwc"}};
      const auto want = evaluate(op(name), plain_in, nchw);
      const auto got = evaluate(op(name), moved_in, nhwc);
      ASSERT_TRUE(want.ok() && got.ok());
      EXPECT_TRUE(identical((*got)[0], transposed((*want)[0], to_nhwc))) << name << " " << mode;
    }
  }
}

}  // namespace
}  // namespace npuport
