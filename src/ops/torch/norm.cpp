// Normalisations.
#include "ops/torch.h"

namespace npuport {
namespace {

// Channels come second in PyTorch; another channel dim is moved there and back.
template <class Fn>
void channels_second(TorchEmit& c, Fn&& call) {
  const int64_t axis = c.attr().i("axis");
  if (axis == 1) return c.ret(call(c.in(0)));
  const std::string swap = ", 1, " + TorchEmit::text(axis) + ")";
  const std::string x = c.let("torch.transpose(" + c.in(0) + swap, "moved");
  c.ret("torch.transpose(" + c.let(call(x), "normed") + swap);
}

void write_batch(TorchEmit& c) {
  if (c.rank(0) < 2) {  // one channel per element
    const std::string scale = c.let(c.expand("torch.rsqrt(torch.add(%var, $eps))"), "scale");
    std::string y = c.let(c.expand("torch.mul(torch.sub(%x, %mean), ") + scale + ")", "normed");
    if (c.has(1)) y = c.let("torch.mul(" + y + ", " + c.in(1) + ")", "scaled");
    return c.ret(c.has(2) ? "torch.add(" + y + ", " + c.in(2) + ")" : "torch.clone(" + y + ")");
  }
  if (c.attr().i("axis") == 0) {
    const std::string x = c.let("torch.unsqueeze(" + c.in(0) + ", 0)", "batch");
    const std::string y =
        c.let("torch.batch_norm(" + x + c.expand(", %weight, %bias, %mean, %var, False, 0.0, $eps, False)"), "normed");
    return c.ret("torch.squeeze(" + y + ", 0)");
  }
  channels_second(c, [&](const std::string& x) {
    return "torch.batch_norm(" + x + c.expand(", %weight, %bias, %mean, %var, False, 0.0, $eps, False)");
  });
}

void write_group(TorchEmit& c) {
  channels_second(c, [&](const std::string& x) {
    return "torch.group_norm(" + x + c.expand(", $groups, %weight, %bias, $eps, False)");
  });
}

// One group per channel.
void write_instance(TorchEmit& c) {
  const int64_t channels = c.shape(0)[static_cast<size_t>(c.attr().i("axis"))];
  channels_second(c, [&](const std::string& x) {
    if (c.rank(0) < 3) {
      return "torch.group_norm(" + x + ", " + TorchEmit::text(channels) + c.expand(", %weight, %bias, $eps, False)");
    }
    return "torch.instance_norm(" + x + c.expand(", %weight, %bias, None, None, True, 0.0, $eps, False)");
  });
}

Shape normalised(const TorchEmit& c) {
  return Shape(c.shape(0).end() - c.attr().i("normalized_rank"), c.shape(0).end());
}

void write_layer(TorchEmit& c) {
  c.ret("torch.layer_norm(" + c.in(0) + ", " + TorchEmit::text(normalised(c)) +
        c.expand(", %weight, %bias, $eps, False)"));
}

void write_rms(TorchEmit& c) {
  Ints dims;
  for (int64_t i = -c.attr().i("normalized_rank"); i < 0; ++i) dims.push_back(i);
  const std::string mean =
      c.let(c.expand("torch.mean(torch.mul(%x, %x), ") + TorchEmit::text(dims) + ", True)", "mean_square");
  const std::string scale = c.let("torch.rsqrt(torch.add(" + mean + c.expand(", $eps))"), "scale");
  const std::string y = c.expand("torch.mul(%x, ") + scale + ")";
  c.ret(c.has(1) ? "torch.mul(" + c.let(y, "normed") + ", " + c.in(1) + ")" : y);
}

constexpr TorchRow kRows[] = {
    {"batch_norm", {}, write_batch}, {"group_norm", {}, write_group}, {"instance_norm", {}, write_instance},
    {"layer_norm", {}, write_layer}, {"rms_norm", {}, write_rms},
};

}  // namespace

std::span<const TorchRow> torch_norm() { return kRows; }

}  // namespace npuport
