// Reductions over axes, positions of extremes, running sums.
#include "ops/tflite/options.h"

namespace npuport {
namespace {

using namespace tfl;

// The result type is an option; there is no keepdims.
void write_arg(TfliteEmit& c, std::string_view name) {
  const double type = tflite_type(c.out_dtype());
  const int32_t axis = c.i32(c.attr().i("axis"));
  if (!c.attr().b("keepdims")) return c.op(name, {c.in(0), axis}, {c.out()}, {{"output_type", type}});
  Shape s = c.out_shape();
  const auto rank = static_cast<int64_t>(s.size());
  if (rank > 0) s.erase(s.begin() + (c.attr().i("axis") + rank) % rank);
  const int32_t y = c.op(name, {c.in(0), axis}, c.out_dtype(), std::move(s), {{"output_type", type}});
  c.reshape_to(y);
}
void write_arg_max(TfliteEmit& c) { write_arg(c, "ARG_MAX"); }
void write_arg_min(TfliteEmit& c) { write_arg(c, "ARG_MIN"); }
void read_arg(TfliteRead& c, std::string_view op) {
  const ValueId y = c.b.op(op, {c.in(0)}, {{"axis", c.const_int(1)}});
  c.ret(c.b.cast(y, c.i("output_type") == tflite_type(DType::i32) ? DType::i32 : DType::i64));
}
void read_arg_max(TfliteRead& c) { read_arg(c, "arg_max"); }
void read_arg_min(TfliteRead& c) { read_arg(c, "arg_min"); }
int v_arg(const TfliteSignature& s) { return s.type() == DType::boolean ? 3 : 1; }

void write_cumsum(TfliteEmit& c) {
  c.op("CUMSUM", {c.in(0), c.i32(c.attr().i("axis"))}, {c.out()}, {{"exclusive", 0}, {"reverse", 0}});
}
void read_cumsum(TfliteRead& c) {
  ValueId x = c.in(0);
  int64_t axis = c.const_int(1);
  if (c.b.failed()) return;
  if (axis < 0) axis += static_cast<int64_t>(c.b.shape(x).size());
  const auto turned = [&](ValueId v) { return c.flag("reverse") ? c.b.op("flip", {v}, {{"axes", Ints{axis}}}) : v; };
  const ValueId from = turned(x);
  ValueId sum = c.b.op("cumsum", {from}, {{"axis", axis}});
  if (c.flag("exclusive")) sum = c.b.sub(sum, from);
  c.ret(turned(sum));
}

constexpr TfliteOperand kAxes[] = {{}, {TfliteOperand::ints, "axes"}};
constexpr TfliteAttr kKeep[] = {{"keep_dims", "keepdims"}};

constexpr TfliteRow reduction(std::string_view name, int code, std::string_view ours, uint32_t types) {
  return {.name = name,
          .code = code,
          .options = &kReducerOptions,
          .ours = {ours},
          .operands = kAxes,
          .attrs = kKeep,
          .types = types};
}
constexpr uint32_t kNumbers = f32 | i32 | i64;

constexpr TfliteRow kRows[] = {
    reduction("SUM", 74, "reduce_sum", kNumbers),
    reduction("MEAN", 40, "reduce_mean", f32),
    reduction("REDUCE_MAX", 82, "reduce_max", kNumbers),
    reduction("REDUCE_MIN", 89, "reduce_min", kNumbers),
    reduction("REDUCE_PROD", 81, "reduce_prod", kNumbers),
    reduction("REDUCE_ANY", 91, "reduce_any", b1),
    reduction("REDUCE_ALL", 140, "reduce_all", b1),
    {.name = "ARG_MAX",
     .code = 56,
     .options = &kArgMaxOptions,
     .ours = {"arg_max"},
     .version = v_arg,
     .types = f32 | i32 | i8 | u8 | b1,
     .write = write_arg_max,
     .read = read_arg_max},
    {.name = "ARG_MIN",
     .code = 79,
     .options = &kArgMinOptions,
     .ours = {"arg_min"},
     .version = v_arg,
     .types = f32 | i32 | i8 | u8 | b1,
     .write = write_arg_min,
     .read = read_arg_min},
    {.name = "CUMSUM",
     .code = 128,
     .options = &kCumsumOptions,
     .ours = {"cumsum"},
     .types = kNumbers,
     .write = write_cumsum,
     .read = read_cumsum,
     .runtime = "2.4.0"},
};

}  // namespace

std::span<const TfliteRow> tflite_reduce() { return kRows; }

}  // namespace npuport
