// Rows with a kernel and a body define the operator twice: both must give the same numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "ir/builder.h"
#include "ir/registry.h"

namespace npuport {
namespace {

Tensor random_tensor(DType dtype, Shape shape, uint32_t seed) {
  std::mt19937 engine(seed);
  Tensor t = Tensor::zeros(DType::f64, std::move(shape));
  for (double& v : t.mut<double>()) v = static_cast<double>(engine() % 16001) / 1000.0 - 8.0;
  return cast_tensor(t, dtype);
}

// Every attribute at its default, required ones at a value in the middle of their range.
std::vector<Attr> some_attrs(const OpDef& row) {
  std::vector<Attr> attrs;
  for (const AttrDef& def : row.attrs) {
    if (!def.default_text.empty())
      attrs.emplace_back(std::string(def.name), *parse_attr(def.default_text, def.kind));
    else if (def.kind == AttrKind::real)
      attrs.emplace_back(std::string(def.name), 0.75);
  }
  return attrs;
}

double tolerance(DType t) {
  if (t == DType::f16) return 4e-3;
  return t == DType::bf16 ? 3e-2 : 1e-5;
}

std::vector<const OpDef*> pointwise_rows_with_body() {
  static constexpr std::string_view names[] = {"leaky_relu", "elu",      "celu",        "selu",        "silu",
                                               "hard_swish", "softplus", "mish",        "hard_shrink", "soft_shrink",
                                               "threshold",  "softsign", "log_sigmoid", "hard_sigmoid"};
  std::vector<const OpDef*> rows;
  for (const std::string_view n : names) rows.push_back(&op(n));
  return rows;
}

TEST(PointwiseBody, CoversEveryOneInputRowThatHasBoth) {
  ASSERT_FALSE(Registry::global().all().empty());
  const std::vector<const OpDef*> listed = pointwise_rows_with_body();
  for (const OpDef* row : listed) {
    ASSERT_TRUE(row->eval != nullptr && !row->body.empty()) << row->name;
    SCOPED_TRACE(row->name);
    for (const DType t : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
      const Tensor x = random_tensor(t, {3, 7, 5}, 17);
      const Tensor* in[] = {&x};
      const std::vector<Attr> attrs = some_attrs(*row);
      OpDef by_body = *row;
      by_body.eval = nullptr;
      const auto want = evaluate(by_body, in, attrs);
      const auto got = evaluate(*row, in, attrs);
      ASSERT_TRUE(want.ok()) << to_text(want.error());
      ASSERT_TRUE(got.ok()) << to_text(got.error());
      ASSERT_EQ((*got)[0].dtype, (*want)[0].dtype);
      for (int64_t i = 0; i < x.count(); ++i) {
        const double g = get_double((*got)[0], i), w = get_double((*want)[0], i);
        EXPECT_LE(std::fabs(g - w), tolerance(t) * std::max(1.0, std::fabs(w))) << "at " << get_double(x, i);
      }
    }
  }
  for (const OpDef* row : Registry::global().all()) {
    if (row->eval == nullptr || row->body.empty() || row->in.size() != 1 || row->axes.kind != AxisRule::elementwise)
      continue;
    EXPECT_NE(std::find(listed.begin(), listed.end(), row), listed.end()) << row->name << " is not compared";
  }
}

}  // namespace
}  // namespace npuport
