#include "ops/support/aten_stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace npuport::aten {

Spread spread(AtenCall& c, ValueId x, const Ints& axes, double correction, bool keepdims, bool standard) {
  Builder& b = c.b;
  const DType t = b.dtype(x), wide = wide_float(t);
  if (!is_float(t)) {
    refuse(c, diag::dtype_mismatch, "std and var only support floating point dtypes", "Use x.float().");
    return {};
  }
  const ValueId v = b.cast(x, wide);
  double n = 1;
  for (const int64_t axis : axes) n *= static_cast<double>(b.shape(x)[static_cast<size_t>(axis)]);
  const ValueId mean = reduce(b, "reduce_mean", v, axes, true);
  const ValueId squares = b.op("squared_difference", {v, mean});
  const ValueId sum = reduce(b, "reduce_sum", squares, axes, keepdims);
  ValueId y = b.div(sum, b.scalar(std::max(0.0, n - correction), wide));
  if (standard) y = b.op("sqrt", {y});
  Spread out{b.cast(y, t), b.cast(mean, t)};
  if (!keepdims) out.mean = b.reshape(out.mean, b.shape(y));
  return out;
}

ValueId log_sum_exp(Builder& b, ValueId x, const Ints& axes, bool keepdims) {
  const DType t = b.dtype(x);
  const ValueId top = reduce(b, "reduce_max", x, axes, true);
  const ValueId shift = b.op("where", {b.op("isinf", {top}), b.scalar(0.0, t), top});
  const ValueId sum = reduce(b, "reduce_sum", b.op("exp", {b.sub(x, shift)}), axes, keepdims);
  const ValueId back = keepdims ? shift : b.reshape(shift, b.shape(sum));
  return b.add(b.op("log", {sum}), back);
}

ValueId vector_norm(Builder& b, ValueId x, double p, const Ints& axes, bool keepdims) {
  const DType t = b.dtype(x);
  const DType wide = wide_float(t);
  x = b.cast(x, wide);
  ValueId y;
  const auto sum = [&](ValueId v) { return reduce(b, "reduce_sum", v, axes, keepdims); };
  if (p == 2.0) {
    y = b.op("sqrt", {sum(b.op("square", {x}))});
  } else if (p == 0.0) {
    y = sum(b.cast(b.op("not_equal", {x, b.scalar(0.0, wide)}), wide));
  } else {
    const ValueId size = b.op("abs", {x});
    if (p == 1.0)
      y = sum(size);
    else if (std::isinf(p))
      y = reduce(b, p > 0 ? "reduce_max" : "reduce_min", size, axes, keepdims);
    else
      y = b.op("pow", {sum(b.op("pow", {size, b.scalar(p, wide)})), b.scalar(1.0 / p, wide)});
  }
  return b.cast(y, t);
}

}  // namespace npuport::aten
