#include <algorithm>

#include "frontends/aten_binder.h"

namespace npuport {

DType promote_types(DType a, DType b) {
  if (a == b || b == DType::unknown) return a;
  if (a == DType::unknown) return b;
  if (a == DType::boolean) return b;
  if (b == DType::boolean) return a;
  if (is_float(a) && is_float(b)) {
    if (a == DType::f64 || b == DType::f64) return DType::f64;
    return DType::f32;  // f16 with bf16 too: neither holds the other
  }
  if (is_float(a)) return a;
  if (is_float(b)) return b;
  if (bits(a) < bits(b)) std::swap(a, b);
  if (is_signed(a) || !is_signed(b)) return a;
  // A signed type at most as wide as an unsigned one: the next wider signed type, int64 at the end.
  return bits(a) == 8 ? DType::i16 : bits(a) == 16 ? DType::i32 : DType::i64;
}

namespace {

// c10's combine_categories.
DType combine(DType higher, DType lower) {
  if (is_float(higher)) return higher;
  if (higher == DType::boolean || is_float(lower)) return promote_types(higher, lower);
  return higher != DType::unknown ? higher : lower;
}

}  // namespace

DType result_type(std::span<const PromotionOperand> operands) {
  DType by_category[3] = {DType::unknown, DType::unknown, DType::unknown};
  for (const PromotionOperand& o : operands) {
    DType t = o.dtype;
    if (o.category == PromotionOperand::number && is_float(t)) t = DType::f32;
    DType& slot = by_category[o.category];
    slot = promote_types(slot, t);
  }
  return combine(by_category[PromotionOperand::dimensioned],
                 combine(by_category[PromotionOperand::zero_dim], by_category[PromotionOperand::number]));
}

}  // namespace npuport
