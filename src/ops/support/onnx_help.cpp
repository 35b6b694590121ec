#include "ops/support/onnx_help.h"

#include <fmt/format.h>

#include <algorithm>

namespace npuport::ox {

ValueId constant_ints(Builder& b, Shape shape, const Ints& v) {
  return b.constant(Tensor::of<int64_t>(std::move(shape), std::span<const int64_t>(v)));
}

ValueId flip(Builder& b, ValueId x, int64_t axis) { return b.op("flip", {x}, {{"axes", Ints{axis}}}); }

ValueId to_rank(Builder& b, ValueId x, size_t rank) {
  Shape shape = b.shape(x);
  if (shape.size() >= rank) return x;
  shape.insert(shape.begin(), rank - shape.size(), 1);
  return b.reshape(x, std::move(shape));
}

OnnxWindow window(OnnxRead& c, Ints kernel, std::span<const int64_t> spatial) {
  OnnxWindow w;
  const size_t n = spatial.size();
  const auto list = [&](std::string_view name, int64_t fill) {
    Ints v = c.ints(name);
    if (v.empty()) v.assign(n, fill);
    if (v.size() != n && !c.b.failed()) {
      c.fail(Diag(diag::bad_attribute, fmt::format("{} has {} entries for {} spatial dims", name, v.size(), n)));
      v.assign(n, fill);
    }
    return v;
  };
  w.kernel = std::move(kernel);
  w.stride = list("strides", 1);
  w.dilation = list("dilations", 1);
  Ints pads = c.ints("pads");
  if (pads.empty()) pads.assign(2 * n, 0);
  constexpr int64_t most = int64_t{1} << 31;
  const auto sane = [](const Ints& v, int64_t least) {
    return std::all_of(v.begin(), v.end(), [&](int64_t x) { return x >= least && x < most; });
  };
  if (w.kernel.size() != n || pads.size() != 2 * n || !sane(w.kernel, 1) || !sane(w.stride, 1) ||
      !sane(w.dilation, 1) || !sane(pads, -most)) {
    c.fail(Diag(diag::bad_attribute, "the window's kernel, strides, dilations or pads do not fit the input"));
    return w;
  }
  w.pad_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(n));
  w.pad_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(n), pads.end());
  const std::string auto_pad = c.s("auto_pad", "NOTSET");
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    for (size_t i = 0; i < n; ++i) {
      const int64_t out = (spatial[i] + w.stride[i] - 1) / w.stride[i];
      const int64_t reach = (w.kernel[i] - 1) * w.dilation[i] + 1;
      const int64_t total = std::max<int64_t>((out - 1) * w.stride[i] + reach - spatial[i], 0);
      w.pad_begin[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
      w.pad_end[i] = total - w.pad_begin[i];
    }
  } else if (auto_pad == "VALID") {
    w.pad_begin.assign(n, 0);
    w.pad_end.assign(n, 0);
  } else if (auto_pad != "NOTSET") {
    c.fail(Diag(diag::bad_attribute, fmt::format("auto_pad = {}", auto_pad)));
  }
  w.ok = !c.b.failed();
  return w;
}

std::string spatial_op(OnnxRead& c, std::string_view base, size_t spatial_rank, std::string_view suffix) {
  if (spatial_rank < 1 || spatial_rank > 3) c.refuse(fmt::format("of {} spatial dims", spatial_rank));
  return fmt::format("{}{}{}", base, spatial_rank, suffix);
}

}  // namespace npuport::ox
