// ATen convolutions: _convolution, conv*d (also with string padding), conv_transpose*d, conv_tbc.
#include <fmt/format.h>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

using aten_nn::Batched;
using aten_nn::repeat_to;

struct ConvArgs {
  Ints stride, pad_begin, pad_end, dilation, output_padding;
  int64_t groups = 1;
  bool transposed = false;
};

// Spatial dims of a convolution weight; fails on `c` and gives 0 for an impossible rank.
size_t spatial_rank(AtenCall& c) {
  const size_t rank = c.shape("weight").size();
  if (rank >= 3 && rank <= 5) return rank - 2;
  c.fail(Diag(diag::shape_mismatch, fmt::format("the convolution's weight has rank {}, 3 to 5 are known", rank)));
  return 0;
}

void emit(AtenCall& c, ConvArgs a) {
  const size_t rank = spatial_rank(c);
  if (rank == 0) return;
  const Batched x(c.b, c.tensor("input"), rank);
  std::vector<Attr> attrs = {{"stride", repeat_to(a.stride, rank, 1)},
                             {"pad_begin", repeat_to(a.pad_begin, rank, 0)},
                             {"pad_end", repeat_to(a.pad_end, rank, 0)},
                             {"dilation", repeat_to(a.dilation, rank, 1)},
                             {"groups", a.groups}};
  if (a.transposed) attrs.emplace_back("output_padding", repeat_to(a.output_padding, rank, 0));
  const std::string op = fmt::format("conv{}{}d", a.transposed ? "_transpose" : "", rank);
  c.ret(x.restore(c.b, c.b.op(op, {x.value, c.tensor("weight"), c.tensor("bias")}, std::move(attrs))));
}

void convolution(AtenCall& c) {
  const Ints pad = c.ints("padding");
  emit(c,
       {c.ints("stride"), pad, pad, c.ints("dilation"), c.ints("output_padding"), c.i("groups"), c.flag("transposed")});
}

void conv(AtenCall& c) {
  const Ints pad = c.ints("padding");
  emit(c, {c.ints("stride"), pad, pad, c.ints("dilation"), {}, c.i("groups"), false});
}

void conv_transpose(AtenCall& c) {
  const Ints pad = c.ints("padding");
  emit(c, {c.ints("stride"), pad, pad, c.ints("dilation"), c.ints("output_padding"), c.i("groups"), true});
}

// "valid" pads nothing; "same" keeps the size, with the odd zero at the end (PyTorch's rule).
void conv_mode(AtenCall& c) {
  const size_t rank = spatial_rank(c);
  if (rank == 0) return;
  const std::string mode = c.s("padding");
  const Ints dilation = repeat_to(c.ints("dilation"), rank, 1);
  Ints begin(rank, 0), end(rank, 0);
  if (mode == "same") {
    const Shape& weight = c.shape("weight");
    for (size_t i = 0; i < rank; ++i) {
      const int64_t total = dilation[i] * (weight[i + 2] - 1);
      begin[i] = total / 2;
      end[i] = total - begin[i];
    }
  } else if (mode != "valid") {
    c.fail(Diag(diag::bad_attribute, fmt::format("padding \"{}\" is neither \"same\" nor \"valid\"", mode)));
    return;
  }
  emit(c, {c.ints("stride"), begin, end, dilation, {}, c.i("groups"), false});
}

// Time-first convolution: input [T,B,C], weight [K,C,O].
void conv_tbc(AtenCall& c) {
  const ValueId x = c.b.transpose(c.tensor("self"), {1, 2, 0});
  const ValueId weight = c.b.transpose(c.tensor("weight"), {2, 1, 0});
  const Ints pad{c.i("pad")};
  const ValueId y = c.b.op("conv1d", {x, weight, c.tensor("bias")}, {{"pad_begin", pad}, {"pad_end", pad}});
  c.ret(c.b.transpose(y, {2, 0, 1}));
}

constexpr AtenRow kRows[] = {
    {.schema = "_convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, "
               "bool transposed, int[] output_padding, int groups, bool benchmark, bool deterministic, bool "
               "cudnn_enabled, bool allow_tf32) -> Tensor",
     .fn = convolution},
    {.schema = "_convolution.deprecated(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] "
               "dilation, bool transposed, int[] output_padding, int groups, bool benchmark, bool deterministic, bool "
               "cudnn_enabled) -> Tensor",
     .fn = convolution},
    {.schema = "convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, "
               "bool transposed, int[] output_padding, int groups) -> Tensor",
     .fn = convolution},
    {.schema = "_convolution_mode(Tensor input, Tensor weight, Tensor? bias, int[] stride, str padding, int[] "
               "dilation, int groups) -> Tensor",
     .fn = conv_mode},
    {.schema = "conv1d(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, int[1] padding=0, int[1] "
               "dilation=1, int groups=1) -> Tensor",
     .fn = conv},
    {.schema = "conv2d(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] "
               "dilation=1, int groups=1) -> Tensor",
     .fn = conv},
    {.schema = "conv3d(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, int[3] padding=0, int[3] "
               "dilation=1, int groups=1) -> Tensor",
     .fn = conv},
    {.schema = "conv1d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, str padding=\"valid\", "
               "int[1] dilation=1, int groups=1) -> Tensor",
     .fn = conv_mode},
    {.schema = "conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, str padding=\"valid\", "
               "int[2] dilation=1, int groups=1) -> Tensor",
     .fn = conv_mode},
    {.schema = "conv3d.padding(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, str padding=\"valid\", "
               "int[3] dilation=1, int groups=1) -> Tensor",
     .fn = conv_mode},
    {.schema = "conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, int[1] padding=0, "
               "int[1] output_padding=0, int groups=1, int[1] dilation=1) -> Tensor",
     .fn = conv_transpose},
    {.schema = "conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] "
               "padding=0, int[2] output_padding=0, int groups=1, int[2] dilation=1) -> Tensor",
     .fn = conv_transpose},
    {.schema = "conv_transpose3d.input(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, int[3] "
               "padding=0, int[3] output_padding=0, int groups=1, int[3] dilation=1) -> Tensor",
     .fn = conv_transpose},
    {.schema = "conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor", .fn = conv_tbc},
};

}  // namespace

std::span<const AtenRow> aten_conv() { return kRows; }

}  // namespace npuport
