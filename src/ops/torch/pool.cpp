// Pooling.
#include <algorithm>

#include "ops/torch/window.h"

namespace npuport {
namespace {

struct Pool {
  size_t rank;
  Ints kernel, stride, begin, end, dilation;
  bool ceil;
  std::string name;  // "max_pool2d"

  explicit Pool(TorchEmit& c)
      : rank(c.rank(0) - 2),
        kernel(c.attr().ints("kernel")),
        stride(c.attr().ints("stride")),
        begin(c.attr().ints("pad_begin")),
        end(c.attr().ints("pad_end")),
        dilation(rank, 1),
        ceil(c.attr().b("ceil_mode")),
        name(c.node().op->name) {
    if (c.attr().has("dilation")) dilation = c.attr().ints("dilation");
  }
  // PyTorch pads both ends alike and at most by half a window.
  bool direct() const {
    bool ok = begin == end;
    for (size_t i = 0; i < rank; ++i) ok = ok && begin[i] <= kernel[i] / 2;
    return ok;
  }
  // Padding at the end that makes windows end exactly where the last one does.
  Ints exact_end(const TorchEmit& c) const {
    Ints out;
    for (size_t i = 0; i < rank; ++i) {
      const int64_t reach = (kernel[i] - 1) * dilation[i] + 1;
      out.push_back(
          std::max<int64_t>(0, (c.out_shape()[i + 2] - 1) * stride[i] + reach - c.shape(0)[i + 2] - begin[i]));
    }
    return out;
  }
};

std::string lists(std::initializer_list<Ints> all) {
  std::string out;
  for (const Ints& v : all) out += ", " + TorchEmit::text(v);
  return out;
}

void write_max(TorchEmit& c) {
  const Pool p(c);
  const bool with_indices = c.node().outputs.size() == 2;
  const std::string function = with_indices ? "aten." : "torch.";
  if (p.direct()) {
    const std::string call = function + p.name + "(" + c.in(0) + lists({p.kernel, p.stride, p.begin, p.dilation}) +
                             ", " + TorchEmit::text(p.ceil) + ")";
    return with_indices ? c.ret_all(call) : c.ret(call);
  }
  if (with_indices) return c.refuse("PyTorch's max_pool pads both ends alike and at most by half a window");
  if (!is_float(c.dtype(0))) return c.refuse("uneven padding of integers");
  const std::string x = torch_rows::padded(c, c.in(0), p.begin, p.exact_end(c), "float(\"-inf\")");
  c.ret(function + p.name + "(" + x + lists({p.kernel, p.stride, Ints(p.rank, 0), p.dilation}) + ", False)");
}

// How many times larger the mean over a whole window of zeros and elements is than what the row divides by.
Tensor divisor_ratio(const TorchEmit& c, const Pool& p) {
  Shape shape(p.rank + 2, 1);
  std::copy(c.out_shape().begin() + 2, c.out_shape().end(), shape.begin() + 2);
  Tensor ratio = Tensor::zeros(DType::f32, shape);
  const int64_t fixed = c.attr().i("divisor_override"), taps = element_count(p.kernel);
  for (int64_t k = 0; k < ratio.count(); ++k) {
    int64_t rest = k, padded = 1, inside = 1;
    for (size_t i = p.rank; i-- > 0;) {
      const int64_t size = c.shape(0)[i + 2], start = rest % shape[i + 2] * p.stride[i] - p.begin[i];
      rest /= shape[i + 2];
      padded *= std::min(start + p.kernel[i], size + p.end[i]) - start;
      inside *= std::max<int64_t>(0, std::min(start + p.kernel[i], size) - std::max<int64_t>(start, 0));
    }
    const int64_t count = fixed != 0 ? fixed : c.attr().b("count_include_pad") ? padded : inside;
    ratio.mut<float>()[static_cast<size_t>(k)] =
        count == 0 ? 0.0F : static_cast<float>(static_cast<double>(taps) / static_cast<double>(count));
  }
  return ratio;
}

void write_avg(TorchEmit& c) {
  const Pool p(c);
  const int64_t fixed = c.attr().i("divisor_override");
  const std::string function = (p.rank == 1 ? "torch." : "aten.") + p.name;
  if (p.direct() && (fixed == 0 || p.rank > 1)) {
    std::string call = function + "(" + c.in(0) + lists({p.kernel, p.stride, p.begin}) + ", " +
                       TorchEmit::text(p.ceil) + ", " + TorchEmit::text(c.attr().b("count_include_pad"));
    if (fixed != 0) call += ", " + TorchEmit::text(fixed);
    return c.ret(call + ")");
  }
  const std::string x = torch_rows::padded(c, c.in(0), p.begin, p.exact_end(c), "0.0");
  const std::string mean =
      c.let(function + "(" + x + lists({p.kernel, p.stride, Ints(p.rank, 0)}) + ", False, True)", "mean");
  const std::string ratio = c.constant(cast_tensor(divisor_ratio(c, p), c.dtype(0)), "pool_ratio");
  c.ret("torch.mul(" + mean + ", " + ratio + ")");
}

void write_adaptive_max(TorchEmit& c) {
  c.ret_all("aten." + std::string(c.node().op->name) + c.expand("(%x, $output_size)"));
}

constexpr TorchRow kRows[] = {
    {"max_pool1d", {}, write_max},
    {"max_pool2d", {}, write_max},
    {"max_pool3d", {}, write_max},
    {"max_pool1d_with_indices", {}, write_max},
    {"max_pool2d_with_indices", {}, write_max},
    {"max_pool3d_with_indices", {}, write_max},
    {"avg_pool1d", {}, write_avg},
    {"avg_pool2d", {}, write_avg},
    {"avg_pool3d", {}, write_avg},
    {"adaptive_avg_pool1d", "torch.adaptive_avg_pool1d(%x, $output_size)"},
    {"adaptive_avg_pool2d", "F.adaptive_avg_pool2d(%x, $output_size)"},
    {"adaptive_avg_pool3d", "F.adaptive_avg_pool3d(%x, $output_size)"},
    {"adaptive_max_pool1d", {}, write_adaptive_max},
    {"adaptive_max_pool2d", {}, write_adaptive_max},
    {"adaptive_max_pool3d", {}, write_adaptive_max},
};

}  // namespace

std::span<const TorchRow> torch_pool() { return kRows; }

}  // namespace npuport
