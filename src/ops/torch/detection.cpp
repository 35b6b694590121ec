// Operators that torchvision registers, and simulated quantisation.
#include "ops/torch.h"

namespace npuport {
namespace {

// `ops.torchvision.f` in an archive, torch.ops.torchvision.f in Python. They exist once torchvision is imported.
std::string vision(TorchEmit& c, const std::string& call) {
  c.program().torchvision = true;
  return (c.dialect() == TorchDialect::script ? "ops.torchvision." : "torch.ops.torchvision.") + call;
}

void write_roi_align(TorchEmit& c) {
  const Ints& size = c.attr().ints("output_size");
  c.ret(vision(c, c.expand("roi_align(%x, %rois, $spatial_scale, ") + TorchEmit::text(size[0]) + ", " +
                      TorchEmit::text(size[1]) + c.expand(", $sampling_ratio, $aligned)")));
}

void write_deform(TorchEmit& c) {
  const Ints &begin = c.attr().ints("pad_begin"), &end = c.attr().ints("pad_end"), &stride = c.attr().ints("stride"),
             &dilation = c.attr().ints("dilation");
  if (begin != end) return c.refuse("torchvision's deform_conv2d pads both ends alike");
  const std::string mask = c.has(3) ? c.in(3) : c.constant(Tensor::zeros(c.dtype(0), {c.shape(0)[0], 1}), "no_mask");
  const std::string bias = c.has(4) ? c.in(4) : c.constant(Tensor::zeros(c.dtype(0), {c.shape(1)[0]}), "no_bias");
  std::string call = c.expand("deform_conv2d(%x, %weight, %offset, ") + mask + ", " + bias;
  for (const Ints* pair : {&stride, &begin, &dilation}) {
    call += ", " + TorchEmit::text((*pair)[0]) + ", " + TorchEmit::text((*pair)[1]);
  }
  c.ret(vision(c, call + c.expand(", $groups, $offset_groups, ") + TorchEmit::text(c.has(3)) + ")"));
}

void write_fake_quantize(TorchEmit& c) {
  const Tensor *scale = c.constant_of(1), *zero = c.constant_of(2);
  const int64_t axis = c.attr().i("axis"), least = c.attr().i("quant_min"), most = c.attr().i("quant_max");
  const bool whole =
      zero != nullptr && zero->count() == 1 && get_double(*zero, 0) == static_cast<double>(get_int(*zero, 0));
  const bool inside = whole && get_int(*zero, 0) >= least && get_int(*zero, 0) <= most;
  if (axis < 0 && scale != nullptr && inside) {
    return c.ret("torch.fake_quantize_per_tensor_affine(" + c.in(0) + ", " + TorchEmit::text(get_double(*scale, 0)) +
                 ", " + TorchEmit::text(get_int(*zero, 0)) + c.expand(", $quant_min, $quant_max)"));
  }
  // The operators with tensor scales differ from version to version; the formula does not.
  Ints shape(c.rank(0), 1);
  if (axis >= 0) shape[static_cast<size_t>(axis)] = c.shape(0)[static_cast<size_t>(axis)];
  const auto wide = [&](size_t k, const char* hint) {
    return c.let("torch.reshape(aten.to(" + c.in(k) + ", " + c.text(c.dtype(0)) + "), " + TorchEmit::text(shape) + ")",
                 hint);
  };
  const std::string s = wide(1, "scale"), z = wide(2, "zero_point");
  const std::string scaled = c.let("torch.mul(" + c.in(0) + ", torch.reciprocal(" + s + "))", "scaled");
  const std::string q =
      c.let("torch.clamp(torch.round(torch.add(" + scaled + ", " + z + ")), " +
                TorchEmit::text(static_cast<double>(least)) + ", " + TorchEmit::text(static_cast<double>(most)) + ")",
            "steps");
  c.ret("torch.mul(torch.sub(" + q + ", " + z + "), " + s + ")");
}

constexpr TorchRow kRows[] = {
    {"roi_align", {}, write_roi_align},
    {"deform_conv2d", {}, write_deform},
    {"fake_quantize", {}, write_fake_quantize},
};

}  // namespace

std::span<const TorchRow> torch_detection() { return kRows; }

}  // namespace npuport
