// Element types.
#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

void cast_to(OnnxRead& c, DType to) {
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  if (bits(to) < 8 || bits(c.b.dtype(x)) < 8) return c.refuse("of 4-bit integers");
  c.ret(c.b.cast(x, to));
}

void read_cast(OnnxRead& c) {
  if (!c.has_attr("to")) return c.fail(Diag(diag::bad_attribute, "Cast lacks its attribute to"));
  cast_to(c, c.dtype_attr("to", DType::unknown));
}
void read_cast_like(OnnxRead& c) {
  const ValueId like = c.in(1);
  if (!c.stopped()) cast_to(c, c.b.dtype(like));
}

// The same bits as another type of the same width: of constants only.
void read_bit_cast(OnnxRead& c) {
  const DType to = c.dtype_attr("to", DType::unknown);
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  if (bits(to) != bits(c.b.dtype(x))) return c.fail(Diag(diag::bad_attribute, "BitCast to a type of another width"));
  if (to == c.b.dtype(x)) return c.ret(x);
  if (to == DType::boolean || c.b.dtype(x) == DType::boolean) return c.refuse("of booleans");
  const Tensor* t = c.constant(0);
  if (t == nullptr) return;
  Tensor bits_of = *t;
  bits_of.dtype = to;
  c.ret(c.b.constant(std::move(bits_of)));
}

// Inference: the input, and a mask that keeps everything.
void read_dropout(OnnxRead& c) {
  const ValueId x = c.in(0);
  if (c.stopped()) return;
  if (c.opset() >= 12 && c.has(2)) {
    const Tensor* training = c.constant(2);
    if (training == nullptr) return;
    double ratio = 0.5;
    if (c.has(1)) ratio = c.const_real(1);
    if (training->count() == 1 && get_int(*training, 0) != 0 && ratio != 0) return c.refuse("in training mode");
  }
  c.ret(x);
  if (c.wants(1)) {
    const DType mask = c.opset() < 10 ? c.b.dtype(x) : DType::boolean;
    c.ret(1, ox::full(c.b, c.b.shape(x), ox::integer(1), mask));
  }
}

constexpr OnnxRow rows[] = {
    {.name = "Cast", .since = 6, .read = read_cast},
    {.name = "CastLike", .since = 15, .read = read_cast_like},
    {.name = "BitCast", .since = 26, .read = read_bit_cast},
    {.name = "Dropout", .since = 7, .read = read_dropout},
};

}  // namespace

std::span<const OnnxRow> onnx_type() { return rows; }

}  // namespace npuport
