// Element-wise operators of two or three inputs.
#include <cmath>

#include "ops/tflite/options.h"

namespace npuport {
namespace {

using namespace tfl;

bool wide(const TfliteSignature& s) { return s.broadcasts() && s.max_rank() > 4; }
int v_add(const TfliteSignature& s) { return s.type() == DType::i64 ? 4 : 1; }
int v_sub(const TfliteSignature& s) { return s.type() == DType::i64 ? 4 : wide(s) ? 3 : 1; }
int v_mul(const TfliteSignature& s) { return s.type() == DType::i64 ? 5 : s.type() == DType::u32 ? 7 : 1; }
int v_div(const TfliteSignature& s) { return wide(s) ? 2 : 1; }
int v_max(const TfliteSignature& s) { return wide(s) ? 3 : 1; }
int v_floor_div(const TfliteSignature& s) { return s.type() == DType::f32 ? 2 : 1; }

// An operand of rank 0 that is no constant would need a rank the other side has; LiteRT broadcasts it as it is.
void both(TfliteEmit& c, std::string_view name, std::initializer_list<TfliteEmit::Opt> options = {}) {
  const bool as_vector = !c.out_shape().empty();
  c.op(name, {c.in(0, as_vector), c.in(1, as_vector)}, {c.out()}, options);
}

// DIV of integers truncates: that is trunc_div, while div is for floats.
void write_div(TfliteEmit& c) {
  if (c.node().op->name == "trunc_div" && is_float(c.out_dtype())) return c.refuse("DIV of floats does not truncate");
  both(c, "DIV", {{kActivation, 0}});
}
void read_div(TfliteRead& c) {
  const ValueId a = c.in(0), b = c.in(1);
  if (c.b.failed()) return;
  c.ret(c.activated(c.b.op(is_float(c.b.dtype(a)) ? "div" : "trunc_div", {a, b}), c.i(kActivation)));
}

// LiteRT's kernel demands equal ranks and, with other sizes, reads past the smaller operand.
void write_atan2(TfliteEmit& c) {
  if (c.shape(0) != c.shape(1)) return c.refuse("ATAN2 does not broadcast");
  both(c, "ATAN2");
}

// clamp by bounds that no RELU operator has.
void write_maximum(TfliteEmit& c) {
  if (c.node().op->name == "maximum") return both(c, "MAXIMUM");
  const double min = c.attr().f("min"), max = c.attr().f("max");
  const DType t = c.out_dtype();
  const auto bound = [&](double v) { return c.constant(cast_tensor(Tensor::of<double>({1}, {v}), t)); };
  const bool low = std::isfinite(min), high = std::isfinite(max);
  const bool relu = (min == 0 && (!high || max == 6)) || (min == -1 && max == 1);
  if (t == DType::f32 && relu) return c.refuse("");
  if (!low && !high) return c.refuse("a clamp without bounds does nothing");
  if (!is_float(t) && ((low && min != std::floor(min)) || (high && max != std::floor(max)))) {
    return c.refuse("an integer clamp needs whole bounds");
  }
  int32_t x = c.in(0);
  if (low && min == 0 && t == DType::f32) {
    x = c.op("RELU", {x}, t, c.out_shape());
  } else if (low && high) {
    x = c.op("MAXIMUM", {x, bound(min)}, t, c.out_shape());
  }
  if (high) return c.op("MINIMUM", {x, bound(max)}, {c.out()});
  c.op("MAXIMUM", {x, bound(min)}, {c.out()});
}
void read_maximum(TfliteRead& c) { c.ret(c.b.op("maximum", {c.in(0), c.in(1)})); }

// SELECT_V2 broadcasts all three operands.
void write_where(TfliteEmit& c) {
  const bool as_vector = !c.out_shape().empty();
  c.op("SELECT_V2", {c.in(0, as_vector), c.in(1, as_vector), c.in(2, as_vector)}, {c.out()});
}
// SELECT's condition of rank 1 picks whole rows.
void read_select(TfliteRead& c) {
  ValueId cond = c.in(0);
  const ValueId x = c.in(1), y = c.in(2);
  if (c.b.failed()) return;
  if (c.shape(0).size() == 1 && c.shape(1).size() > 1) {
    Shape s(c.shape(1).size(), 1);
    s[0] = c.shape(0)[0];
    cond = c.b.reshape(cond, std::move(s));
  }
  c.ret(c.b.op("where", {cond, x, y}));
}

// LiteRT broadcasts the slopes: [C] for the last dim, [C,1,1] for dims before it.
Shape slope_shape(const Shape& x, int64_t axis, int64_t slopes) {
  Shape s{slopes};
  if (slopes > 1) s.resize(x.size() - static_cast<size_t>(axis), 1);
  return s;
}
void write_prelu(TfliteEmit& c) {
  const Tensor* slope = c.constant_of(1);
  const Shape wanted = slope_shape(c.shape(0), c.attr().i("axis"), element_count(c.shape(1)));
  if (slope == nullptr) return c.op("PRELU", {c.in(0), c.reshape(c.in(1), wanted)}, {c.out()});
  Tensor shaped = *slope;
  shaped.shape = wanted;
  c.op("PRELU", {c.in(0), c.constant(std::move(shaped), c.name_of(1))}, {c.out()});
}
void read_prelu(TfliteRead& c) {
  const ValueId x = c.in(0), slope = c.in(1);
  if (c.b.failed()) return;
  const Shape in = c.b.shape(x), s = c.b.shape(slope);
  const int64_t slopes = element_count(s);
  size_t at = 0;
  while (at < s.size() && s[at] != slopes) ++at;
  if (at == s.size() || s.size() > in.size() || s.empty()) {
    // Slopes along several dims: the formula itself.
    const ValueId zero = c.b.scalar(0, c.b.dtype(x));
    const ValueId low = c.b.mul(slope, c.b.op("minimum", {x, zero}));
    return c.ret(c.b.add(c.b.op("relu", {x}), low));
  }
  const auto axis = static_cast<int64_t>(in.size() - s.size() + at);
  ValueId flat = slope;
  if (s.size() > 1) {
    const Node* n = c.b.graph().producer(slope);
    const bool undone = n != nullptr && n->op->name == "reshape" && c.b.shape(n->inputs[0]) == Shape{slopes};
    const Tensor* t = c.b.constant_of(slope);
    if (t != nullptr) {
      Tensor vector = *t;
      vector.shape = {slopes};
      flat = c.derived(slope, std::move(vector));
    } else {
      flat = undone ? n->inputs[0] : c.b.reshape(slope, {slopes});
    }
  }
  c.ret(c.b.op("prelu", {x, flat}, {{"axis", slopes == 1 ? int64_t{1} : axis}}));
}

void read_add_n(TfliteRead& c) {
  ValueId sum = c.in(0);
  for (size_t k = 1; k < c.arity(); ++k) sum = c.b.add(sum, c.in(k));
  c.ret(sum);
}

// Ours shifts beyond the width to zero or sign bits as well.
constexpr TfliteRow binary(std::string_view name, int code, std::string_view ours, uint32_t types, int broadcast_rank,
                           const TfliteOptionsType* options) {
  return {
      .name = name, .code = code, .options = options, .ours = {ours}, .types = types, .broadcast_rank = broadcast_rank};
}
constexpr TfliteRow versioned(TfliteRow row, int (*version)(const TfliteSignature&)) {
  row.version = version;
  return row;
}
constexpr TfliteRow since(TfliteRow row, std::string_view runtime) {
  row.runtime = runtime;
  return row;
}

constexpr uint32_t kNumbers = f32 | i32 | i64;

constexpr TfliteRow kRows[] = {
    versioned(binary("ADD", 0, "add", kNumbers, 6, &kAddOptions), v_add),
    versioned(binary("SUB", 41, "sub", kNumbers, 6, &kSubOptions), v_sub),
    versioned(binary("MUL", 18, "mul", kNumbers, 6, &kMulOptions), v_mul),
    {.name = "DIV",
     .code = 42,
     .options = &kDivOptions,
     .ours = {"div", "trunc_div"},
     .version = v_div,
     .types = f32 | i32,
     .broadcast_rank = 5,
     .write = write_div,
     .read = read_div},
    binary("POW", 78, "pow", f32 | i32, 4, &kPowOptions),
    {.name = "MAXIMUM",
     .code = 55,
     .options = &kMaximumMinimumOptions,
     .ours = {"maximum", "clamp"},
     .version = v_max,
     .types = kNumbers,
     .broadcast_rank = 5,
     .write = write_maximum,
     .read = read_maximum},
    versioned(binary("MINIMUM", 57, "minimum", kNumbers, 5, &kMaximumMinimumOptions), v_max),
    binary("FLOOR_MOD", 95, "mod", kNumbers, 4, &kFloorModOptions),
    versioned(binary("FLOOR_DIV", 90, "floor_div", f32 | i32, 4, &kFloorDivOptions), v_floor_div),
    binary("SQUARED_DIFFERENCE", 99, "squared_difference", f32 | i32, 4, &kSquaredDifferenceOptions),
    binary("EQUAL", 71, "equal", kNumbers | b1, 4, &kEqualOptions),
    binary("NOT_EQUAL", 72, "not_equal", kNumbers | b1, 4, &kNotEqualOptions),
    binary("LESS", 58, "less", kNumbers, 4, &kLessOptions),
    binary("LESS_EQUAL", 63, "less_equal", kNumbers, 4, &kLessEqualOptions),
    binary("GREATER", 61, "greater", kNumbers, 4, &kGreaterOptions),
    binary("GREATER_EQUAL", 62, "greater_equal", kNumbers, 4, &kGreaterEqualOptions),
    binary("LOGICAL_AND", 86, "logical_and", b1, 4, &kLogicalAndOptions),
    binary("LOGICAL_OR", 84, "logical_or", b1, 4, &kLogicalOrOptions),
    {.name = "ATAN2",
     .code = 156,
     .options = &kATan2Options,
     .ours = {"atan2"},
     .types = f32,
     .write = write_atan2,
     .runtime = "2.10.0"},
    since(binary("BITWISE_XOR", 160, "bitwise_xor", i32 | u8 | i8 | i16 | u32, 4, &kBitwiseXorOptions), "2.13.0"),
    since(binary("RIGHT_SHIFT", 161, "shift_right", i32 | u8 | i8 | i16 | u32, 4, &kRightShiftOptions), "2.13.0"),
    {.name = "PRELU",
     .code = 54,
     .ours = {"prelu"},
     .types = f32,
     .broadcast_rank = 4,
     .write = write_prelu,
     .read = read_prelu},
    {.name = "SELECT_V2",
     .code = 123,
     .options = &kSelectV2Options,
     .ours = {"where"},
     .types = f32 | i32 | i64 | b1 | i8 | u8 | i16 | u32,
     .typed = 1,
     .max_rank = 5,
     .write = write_where,
     .runtime = "2.2.0"},
    {.name = "SELECT", .code = 64, .options = &kSelectOptions, .read = read_select},
    {.name = "ADD_N", .code = 106, .options = &kAddNOptions, .read = read_add_n},
};

}  // namespace

std::span<const TfliteRow> tflite_binary() { return kRows; }

}  // namespace npuport
