// Tiny operators for tests of the IR itself, so that they do not depend on src/ops.
#pragma once

#include "base/diag_codes.h"
#include "ir/builder.h"
#include "ir/registry.h"

namespace npuport::testing {

inline Result<std::vector<TensorType>> infer_test_add(const InferCall& c) {
  if (c.in[0]->dtype != c.in[1]->dtype) return Diag(diag::dtype_mismatch, "dtypes differ");
  NPU_ASSIGN(Shape s, broadcast_shapes(c.in[0]->shape, c.in[1]->shape));
  return std::vector<TensorType>{{c.in[0]->dtype, std::move(s), nullptr}};
}
inline Status eval_test_add(const EvalCall& c) {
  for (int64_t i = 0; i < c.out[0].count(); ++i)
    c.out[0].as<float>()[i] = c.in[0].as<float>()[i % c.in[0].count()] +
                              static_cast<float>(c.attrs.f("scale")) * c.in[1].as<float>()[i % c.in[1].count()];
  return {};
}
inline Result<std::vector<TensorType>> infer_test_same(const InferCall& c) { return std::vector<TensorType>{*c.in[0]}; }

inline Result<std::vector<TensorType>> infer_test_two(const InferCall& c) {
  return std::vector<TensorType>{*c.in[0], *c.in[0]};
}

inline constexpr PortDef kTwo[] = {{"a"}, {"b"}};
inline constexpr PortDef kX[] = {{"x"}};
inline constexpr PortDef kY[] = {{"y"}};
inline constexpr AttrDef kScale[] = {{"scale", AttrKind::real, "1.0", "factor of b"},
                                     {"tags", AttrKind::integers, "[]", ""}};
inline constexpr OpDef kTestOps[] = {
    {.name = "test_add",
     .doc = "a + scale*b",
     .in = kTwo,
     .out = kY,
     .attrs = kScale,
     .infer = infer_test_add,
     .eval = eval_test_add,
     .commutative = true},
    {.name = "test_two",
     .doc = "2x, twice",
     .in = kX,
     .out = kTwo,
     .infer = infer_test_two,
     .body = "%a = test_double(%x); %b = test_double(%x)"},
    {.name = "test_double",
     .doc = "x + x",
     .in = kX,
     .out = kY,
     .infer = infer_test_same,
     .body = "%t = test_add(%x, 0.0); %y = test_add(%t, %x, scale=1.0)"},
};
inline void register_test_ops() {
  static const bool done = [] { return Registry::global().add(kTestOps), true; }();
  (void)done;
}

inline TensorType f32(Shape s) { return {DType::f32, std::move(s), nullptr}; }

}  // namespace npuport::testing
