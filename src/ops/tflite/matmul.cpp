// Matrix products.
#include <fmt/format.h>

#include "base/diag_codes.h"
#include "ops/tflite/options.h"

namespace npuport {
namespace {

using namespace tfl;

void write_linear(TfliteEmit& c) {
  const Shape& x = c.shape(0);
  const int64_t out = c.shape(1)[0];
  const double activation = activation_number(c.attr().s("activation"));
  const auto emit = [&](int32_t from, int32_t to, bool keep) {
    c.op("FULLY_CONNECTED", {from, c.in(1), c.bias(2, out, c.out_dtype())}, {to},
         {{kActivation, activation}, {"weights_format", 0}, {"keep_num_dims", keep ? 1.0 : 0.0}});
  };
  if (x.size() >= 2) return emit(c.in(0), c.out(), x.size() > 2);
  const int32_t y = c.temporary(c.out_dtype(), {1, out});
  emit(c.reshape(c.in(0), {1, x[0]}), y, false);
  c.reshape_to(y);
}
void read_linear(TfliteRead& c) {
  ValueId x = c.in(0);
  const ValueId w = c.in(1);
  if (c.b.failed()) return;
  if (c.i("weights_format") != 0) return c.fail(Diag(diag::unsupported, "shuffled weights are not supported"));
  const Shape in = c.b.shape(x), ws = c.b.shape(w);
  if (ws.size() != 2 || ws[1] < 1 || in.empty() || element_count(in) % ws[1] != 0) {
    return c.fail(
        Diag(diag::shape_mismatch, fmt::format("weights {} do not fit input {}", to_string(ws), to_string(in))));
  }
  if (!c.flag("keep_num_dims") && in.size() != 2) x = c.b.reshape(x, {element_count(in) / ws[1], ws[1]});
  const auto activation = TfliteRead::activation_name(c.i(kActivation));
  const ValueId y =
      c.b.op("linear", {x, w, c.has(2) ? c.in(2) : ValueId{}}, {{"activation", activation.value_or("none")}});
  c.ret(activation ? y : c.activated(y, c.i(kActivation)));
}
int v_linear(const TfliteSignature& s) {
  if (s.in.size() == 2) return 6;
  return s.op.option("keep_num_dims") != 0 ? 5 : 1;
}

constexpr TfliteAttr kAdjoint[] = {{"adj_x", "transpose_a"}, {"adj_y", "transpose_b"}};

constexpr TfliteRow kRows[] = {
    {.name = "FULLY_CONNECTED",
     .code = 9,
     .options = &kFullyConnectedOptions,
     .ours = {"linear"},
     .version = v_linear,
     .types = f32,
     .write = write_linear,
     .read = read_linear,
     .runtime = "2.0.0"},
    {.name = "BATCH_MATMUL",
     .code = 126,
     .options = &kBatchMatMulOptions,
     .ours = {"matmul"},
     .attrs = kAdjoint,
     .types = f32,
     .max_rank = 5,
     .runtime = "2.3.0"},
};

}  // namespace

std::span<const TfliteRow> tflite_matmul() { return kRows; }

}  // namespace npuport
