// Matrix products and convolutions.
#include <algorithm>

#include "ops/torch/window.h"

namespace npuport {
namespace {

using torch_rows::activated;

void write_linear(TorchEmit& c) { c.ret(activated(c, c.expand("F.linear(%x, %weight, %bias)"))); }

void write_matmul(TorchEmit& c) {
  const auto side = [&](size_t k, const char* flag) {
    return c.attr().b(flag) ? "torch.transpose(" + c.in(k) + ", -2, -1)" : c.in(k);
  };
  c.ret("torch.matmul(" + side(0, "transpose_a") + ", " + side(1, "transpose_b") + ")");
}

// conv1d, conv2d, conv3d: PyTorch pads both ends alike.
void write_conv(TorchEmit& c) {
  const Ints &begin = c.attr().ints("pad_begin"), &end = c.attr().ints("pad_end");
  std::string x = c.in(0);
  Ints pad = begin;
  if (begin != end) {
    x = torch_rows::padded(c, x, begin, end, TorchEmit::number(0, c.dtype(0)));
    pad.assign(begin.size(), 0);
  }
  c.ret(activated(c, "torch." + std::string(c.node().op->name) + "(" + x + c.expand(", %weight, %bias, $stride, ") +
                         TorchEmit::text(pad) + c.expand(", $dilation, $groups)")));
}

// Unlike pads: the smaller one is left to the operator, the rest is cut off.
void write_conv_transpose(TorchEmit& c) {
  const Ints &begin = c.attr().ints("pad_begin"), &end = c.attr().ints("pad_end");
  Ints pad;
  for (size_t i = 0; i < begin.size(); ++i) pad.push_back(std::min(begin[i], end[i]));
  std::string y = "torch." + std::string(c.node().op->name) + c.expand("(%x, %weight, %bias, $stride, ") +
                  TorchEmit::text(pad) + c.expand(", $output_padding, $groups, $dilation)");
  if (begin != end) {
    for (size_t i = 0; i < begin.size(); ++i) {
      if (begin[i] == end[i]) continue;
      const auto dim = static_cast<int64_t>(i) + 2;
      const int64_t from = begin[i] - pad[i];
      y = "aten.slice(" + c.let(y, "whole") + ", " + TorchEmit::text(dim) + ", " + TorchEmit::text(from) + ", " +
          TorchEmit::text(from + c.out_shape()[i + 2]) + ", 1)";
    }
  }
  c.ret(activated(c, y));
}

constexpr TorchRow kRows[] = {
    {"linear", {}, write_linear},
    {"matmul", {}, write_matmul},
    {"conv1d", {}, write_conv},
    {"conv2d", {}, write_conv},
    {"conv3d", {}, write_conv},
    {"conv_transpose1d", {}, write_conv_transpose},
    {"conv_transpose2d", {}, write_conv_transpose},
    {"conv_transpose3d", {}, write_conv_transpose},
};

}  // namespace

std::span<const TorchRow> torch_conv() { return kRows; }

}  // namespace npuport
