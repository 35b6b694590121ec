// Element-wise operators of one input, and activations.
#include <cmath>
#include <limits>

#include "ops/tflite/options.h"

namespace npuport {
namespace {

using namespace tfl;

constexpr float kInf = std::numeric_limits<float>::infinity();

// clamp: a RELU-like operator where one says the same, else MAXIMUM and MINIMUM with constants.
void write_clamp(TfliteEmit& c, std::string_view name, double min, double max) {
  if (c.node().op->name == "clamp") {
    if (c.attr().f("min") != min || c.attr().f("max") != max) return c.refuse("");
  }
  c.op(name, {c.in(0)}, {c.out()});
}
void write_relu(TfliteEmit& c) { write_clamp(c, "RELU", 0, kInf); }
void write_relu6(TfliteEmit& c) { write_clamp(c, "RELU6", 0, 6); }
void write_relu_n1(TfliteEmit& c) { write_clamp(c, "RELU_N1_TO_1", -1, 1); }

void read_clamp(TfliteRead& c, double min, double max) {
  c.ret(c.b.op("clamp", {c.in(0)}, {{"min", min}, {"max", max}}));
}
void read_relu6(TfliteRead& c) { read_clamp(c, 0, 6); }
void read_relu_n1(TfliteRead& c) { read_clamp(c, -1, 1); }
void read_relu_01(TfliteRead& c) { read_clamp(c, 0, 1); }

// Softmax works on the last dim only; another axis goes there and back.
void write_last_axis(TfliteEmit& c, std::string_view name, std::initializer_list<TfliteEmit::Opt> options) {
  const auto rank = static_cast<int64_t>(c.shape(0).size());
  if (rank == 0) return c.refuse("softmax of a single number");
  const int64_t axis = (c.attr().i("axis") + rank) % rank;
  if (axis == rank - 1) return c.op(name, {c.in(0)}, {c.out()}, options);
  Ints perm(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i) perm[static_cast<size_t>(i)] = i;
  std::swap(perm[static_cast<size_t>(axis)], perm.back());
  const int32_t x = c.transpose(c.in(0), perm);
  const int32_t y = c.op(name, {x}, c.out_dtype(), c.tensor(x).shape, options);
  c.op("TRANSPOSE", {y, c.i32(perm)}, {c.out()});
}
void write_softmax(TfliteEmit& c) { write_last_axis(c, "SOFTMAX", {{"beta", 1.0}}); }
void write_log_softmax(TfliteEmit& c) { write_last_axis(c, "LOG_SOFTMAX", {}); }
void read_softmax(TfliteRead& c) {
  ValueId x = c.in(0);
  const double beta = c.option("beta");
  if (beta != 1.0) x = c.b.mul(x, c.b.scalar(beta, c.b.dtype(x)));
  c.ret(c.b.op("softmax", {x}, {{"axis", -1}}));
}
void read_log_softmax(TfliteRead& c) { c.ret(c.b.op("log_softmax", {c.in(0)}, {{"axis", -1}})); }

void write_cast(TfliteEmit& c) {
  c.op("CAST", {c.in(0)}, {c.out()},
       {{"in_data_type", static_cast<double>(tflite_type(c.dtype(0)))},
        {"out_data_type", static_cast<double>(tflite_type(c.out_dtype()))}});
}
// Positions of topk are i64 here and i32 there: the writer's CAST back says nothing new.
void read_cast(TfliteRead& c) {
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  const Node* n = c.b.graph().producer(x);
  if (n != nullptr && n->op->name == "cast" && c.declared().dtype == c.b.dtype(n->inputs[0])) {
    const Node* from = c.b.graph().producer(n->inputs[0]);
    if (from != nullptr && from->op->name == "topk") return c.ret(n->inputs[0]);
  }
  c.ret(c.b.op("cast", {c.in(0)}, {{"to", c.declared().dtype}}));
}

// LiteRT's ELU has alpha = 1.
void write_elu(TfliteEmit& c) {
  if (c.attr().f("alpha") != 1.0) return c.refuse("ELU has alpha 1 only");
  c.op("ELU", {c.in(0)}, {c.out()});
}
void read_elu(TfliteRead& c) { c.ret(c.b.op("elu", {c.in(0)}, {{"alpha", 1.0}})); }

// DEQUANTIZE of a float16 constant: the constant in float32.
void read_dequantize(TfliteRead& c) {
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  const Tensor* t = c.b.constant_of(x);
  if (t != nullptr && is_float(t->dtype)) {
    return c.ret(c.derived(x, cast_tensor(*t, DType::f32)));
  }
  c.ret(c.b.op("cast", {x}, {{"to", DType::f32}}));
}

void read_zeros_like(TfliteRead& c) {
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  c.ret(c.b.expand(c.b.scalar(0, c.b.dtype(x)), c.b.shape(x)));
}

int v_abs(const TfliteSignature& s) { return s.type() == DType::i32 ? 5 : 1; }
int v_sign(const TfliteSignature& s) { return s.type() == DType::i32 ? 2 : 1; }
int v_cast(const TfliteSignature& s) {
  const auto either = [&](DType t) { return s.in[0]->dtype == t || s.out[0]->dtype == t; };
  if (either(DType::bf16)) return 7;
  if (either(DType::f64) || either(DType::f16)) return 5;
  if (either(DType::u16)) return 4;
  if (either(DType::i8)) return 3;
  if (either(DType::u32)) return 2;
  return 1;
}
int v_dequantize(const TfliteSignature& s) { return s.type() == DType::f16 ? 3 : 1; }

constexpr std::string_view kApproximate[] = {"none", "tanh"};
constexpr TfliteAttr kGelu[] = {{"approximate", "approximate", kApproximate}};
constexpr TfliteAttr kAlpha[] = {{"alpha", "alpha"}};

constexpr TfliteRow plain(std::string_view name, int code, std::string_view ours, uint32_t types = f32,
                          const TfliteOptionsType* options = nullptr) {
  return {.name = name, .code = code, .options = options, .ours = {ours}, .types = types};
}

constexpr TfliteRow kRows[] = {
    {.name = "ABS", .code = 101, .options = &kAbsOptions, .ours = {"abs"}, .version = v_abs, .types = f32 | i32},
    plain("NEG", 59, "neg", f32 | i32 | i64, &kNegOptions),
    plain("EXP", 47, "exp", f32, &kExpOptions),
    plain("LOG", 73, "log"),
    plain("SQRT", 75, "sqrt"),
    plain("RSQRT", 76, "rsqrt"),
    plain("SIN", 66, "sin"),
    plain("COS", 108, "cos", f32, &kCosOptions),
    plain("FLOOR", 8, "floor"),
    plain("CEIL", 104, "ceil"),
    plain("ROUND", 116, "round"),
    plain("SQUARE", 92, "square", f32, &kSquareOptions),
    plain("LOGISTIC", 14, "sigmoid"),
    plain("TANH", 28, "tanh"),
    plain("LOGICAL_NOT", 87, "logical_not", b1, &kLogicalNotOptions),
    plain("HARD_SWISH", 117, "hard_swish", f32, &kHardSwishOptions),
    {.name = "SIGN",
     .code = 158,
     .options = &kSignOptions,
     .ours = {"sign"},
     .version = v_sign,
     .types = f32 | i32,
     .runtime = "2.12.0"},
    {.name = "RELU", .code = 19, .ours = {"relu", "clamp"}, .types = f32, .write = write_relu},
    {.name = "RELU6", .code = 21, .ours = {"clamp"}, .types = f32, .write = write_relu6, .read = read_relu6},
    {.name = "RELU_N1_TO_1", .code = 20, .ours = {"clamp"}, .types = f32, .write = write_relu_n1, .read = read_relu_n1},
    {.name = "RELU_0_TO_1", .code = 152, .read = read_relu_01},
    {.name = "ELU", .code = 111, .ours = {"elu"}, .types = f32, .write = write_elu, .read = read_elu},
    {.name = "LEAKY_RELU",
     .code = 98,
     .options = &kLeakyReluOptions,
     .ours = {"leaky_relu"},
     .attrs = kAlpha,
     .types = f32},
    {.name = "GELU",
     .code = 150,
     .options = &kGeluOptions,
     .ours = {"gelu"},
     .attrs = kGelu,
     .types = f32,
     .runtime = "2.9.0"},
    {.name = "SOFTMAX",
     .code = 25,
     .options = &kSoftmaxOptions,
     .ours = {"softmax"},
     .types = f32,
     .write = write_softmax,
     .read = read_softmax},
    {.name = "LOG_SOFTMAX",
     .code = 50,
     .options = &kLogSoftmaxOptions,
     .ours = {"log_softmax"},
     .types = f32,
     .write = write_log_softmax,
     .read = read_log_softmax},
    {.name = "CAST",
     .code = 53,
     .options = &kCastOptions,
     .ours = {"cast"},
     .version = v_cast,
     .write = write_cast,
     .read = read_cast},
    {.name = "DEQUANTIZE",
     .code = 6,
     .options = &kDequantizeOptions,
     .version = v_dequantize,
     .types = f16,
     .read = read_dequantize},
    {.name = "ZEROS_LIKE", .code = 93, .options = &kZerosLikeOptions, .read = read_zeros_like},
};

}  // namespace

std::span<const TfliteRow> tflite_unary() { return kRows; }

}  // namespace npuport
