#include "ops/support/onnx_write.h"

#include <cmath>

namespace npuport::onnx_write {
namespace {

bool channels_last(const OnnxEmit& c) { return c.attr().has("layout") && c.attr().s("layout") == "nhwc"; }

}  // namespace

int32_t planes_in(OnnxEmit& c, int32_t x) {
  if (!channels_last(c)) return x;
  return c.transpose(x, {0, 3, 1, 2});
}

int32_t planes_out(OnnxEmit& c, int32_t y) {
  if (!channels_last(c)) return y;
  return c.transpose(y, {0, 2, 3, 1});
}

Shape planes_shape(const OnnxEmit& c, size_t k) {
  const Shape& s = c.out_shape(k);
  if (!channels_last(c)) return s;
  return {s[0], s[3], s[1], s[2]};
}

int32_t clip(OnnxEmit& c, int32_t x, double low, double high) {
  const bool below = std::isfinite(low), above = std::isfinite(high);
  if (!below && !above) return x;
  if (low == 0 && !above) return c.unary("Relu", x);
  const DType dtype = c.tensor(x).dtype;
  Shape shape = c.tensor(x).shape;
  const int32_t min = below ? c.like(x, low) : -1, max = above ? c.like(x, high) : -1;
  return c.op("Clip", {x, min, max}, dtype, std::move(shape));
}

int32_t activated(OnnxEmit& c, int32_t y) {
  const std::string& name = c.attr().s("activation");
  if (name == "relu") return c.unary("Relu", y);
  if (name == "relu6") return clip(c, y, 0, 6);
  if (name == "relu_n1_to_1") return clip(c, y, -1, 1);
  return y;
}

int32_t python_mod(OnnxEmit& c, int32_t a, int32_t b) {
  if (!is_float(c.tensor(a).dtype)) return c.binary("Mod", a, b);
  const int32_t rest = c.binary("Mod", a, b, {{"fmod", 1}}), zero = c.like(a, 0);
  // The remainder has the dividend's sign; where that is not the divisor's, one divisor more.
  const int32_t wrong = c.compare("Less", c.mul(rest, b), zero);
  return c.where(wrong, c.add(rest, b), rest);
}

int32_t truth(OnnxEmit& c, int32_t x) { return c.cast(x, DType::boolean); }

}  // namespace npuport::onnx_write
