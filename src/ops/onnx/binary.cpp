// Element-wise arithmetic of two or more inputs.
#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

// Integers divide toward zero.
void read_div(OnnxRead& c) {
  const ValueId a = c.in(0), b = c.in(1);
  if (c.stopped()) return;
  c.ret(c.b.op(is_float(c.b.dtype(a)) ? "div" : "trunc_div", {a, b}));
}

// The result has the base's type, whatever the exponent's.
void read_pow(OnnxRead& c) {
  ValueId a = c.in(0), e = c.in(1);
  if (c.stopped()) return;
  const DType type = c.b.dtype(a);
  if (c.b.dtype(e) == type) return c.ret(c.b.op("pow", {a, e}));
  if (is_float(type)) return c.ret(c.b.op("pow", {a, c.b.cast(e, type)}));
  const DType common = is_float(c.b.dtype(e)) ? DType::f64 : DType::i64;
  c.ret(c.b.cast(c.b.op("pow", {c.b.cast(a, common), c.b.cast(e, common)}), type));
}

void read_mod(OnnxRead& c) {
  const bool fmod = c.i("fmod", 0) != 0;
  const ValueId a = c.in(0), b = c.in(1);
  if (c.stopped()) return;
  c.ret(c.b.op(fmod ? "fmod" : "mod", {a, b}));
}

void read_shift(OnnxRead& c) {
  const std::string direction = c.s("direction", "");
  const ValueId x = c.in(0), n = c.in(1);
  if (c.stopped()) return;
  if (direction == "LEFT") return c.ret(c.b.op("shift_left", {x, n}));
  if (direction != "RIGHT") return c.fail(Diag(diag::bad_attribute, "direction = " + direction));
  c.ret(c.b.op("shift_right", {x, n}));
}

ValueId folded(OnnxRead& c, std::string_view op) {
  if (c.arity() == 0) c.in(0);
  ValueId sum = c.in(0);
  for (size_t k = 1; k < c.arity() && !c.stopped(); ++k) sum = c.b.op(op, {sum, c.in(k)});
  return sum;
}
void read_max(OnnxRead& c) { c.ret(folded(c, "maximum")); }
void read_min(OnnxRead& c) { c.ret(folded(c, "minimum")); }
void read_sum(OnnxRead& c) { c.ret(folded(c, "add")); }
void read_mean(OnnxRead& c) {
  const ValueId sum = folded(c, "add");
  if (c.stopped()) return;
  c.ret(c.arity() == 1 ? sum : c.b.div(sum, ox::like(c.b, sum, static_cast<double>(c.arity()))));
}

constexpr OnnxRow rows[] = {
    {.name = "Add", .since = 7, .ours = {"add"}},
    {.name = "Sub", .since = 7, .ours = {"sub"}},
    {.name = "Mul", .since = 7, .ours = {"mul"}},
    {.name = "Div", .since = 7, .read = read_div},
    {.name = "Pow", .since = 7, .read = read_pow},
    {.name = "Mod", .since = 10, .read = read_mod},
    {.name = "Max", .since = 6, .read = read_max},
    {.name = "Min", .since = 6, .read = read_min},
    {.name = "Sum", .since = 6, .read = read_sum},
    {.name = "Mean", .since = 6, .read = read_mean},
    {.name = "BitShift", .since = 11, .read = read_shift},
    {.name = "BitwiseAnd", .since = 18, .ours = {"bitwise_and"}},
    {.name = "BitwiseOr", .since = 18, .ours = {"bitwise_or"}},
    {.name = "BitwiseXor", .since = 18, .ours = {"bitwise_xor"}},
};

}  // namespace

std::span<const OnnxRow> onnx_binary() { return rows; }

}  // namespace npuport
