// Convolutions.
#include <fmt/format.h>

#include <algorithm>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

// Sizes of x behind batch and channels; empty (with b failed) when there are none.
std::span<const int64_t> spatial_of(OnnxRead& c, const Shape& x) {
  if (x.size() >= 3) return std::span(x).subspan(2);
  c.fail(Diag(diag::shape_mismatch, fmt::format("{} of {} needs batch, channels and space", c.type(), to_string(x))));
  return {};
}

ox::OnnxWindow window_of(OnnxRead& c, const Shape& x, const Shape& w) {
  const auto spatial = spatial_of(c, x);
  if (c.stopped()) return {};
  Ints kernel(w.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(2, w.size())), w.end());
  if (w.size() != x.size() || (c.has_attr("kernel_shape") && c.ints("kernel_shape") != kernel)) {
    c.fail(Diag(diag::shape_mismatch, fmt::format("{}: weight {} for input {}", c.type(), to_string(w), to_string(x))));
    return {};
  }
  return ox::window(c, std::move(kernel), spatial);
}

std::vector<Attr> attributes(const ox::OnnxWindow& w, int64_t groups) {
  return {{"stride", w.stride},
          {"pad_begin", w.pad_begin},
          {"pad_end", w.pad_end},
          {"dilation", w.dilation},
          {"groups", groups}};
}

// Negative pads cut the input.
ValueId cropped(Builder& b, ValueId x, ox::OnnxWindow& w) {
  for (size_t i = 0; i < w.kernel.size(); ++i) {
    if (w.pad_begin[i] >= 0 && w.pad_end[i] >= 0) continue;
    const auto axis = static_cast<int64_t>(i) + 2;
    const int64_t size = b.shape(x)[i + 2];
    x = ox::slice(b, x, axis, std::max<int64_t>(-w.pad_begin[i], 0), size + std::min<int64_t>(w.pad_end[i], 0));
    w.pad_begin[i] = std::max<int64_t>(w.pad_begin[i], 0);
    w.pad_end[i] = std::max<int64_t>(w.pad_end[i], 0);
    if (b.failed()) return {};
  }
  return x;
}

ValueId convolve(OnnxRead& c, ValueId x, ValueId w, ValueId bias) {
  const Shape xs = c.b.shape(x);
  ox::OnnxWindow win = window_of(c, xs, c.b.shape(w));
  const int64_t groups = c.i("group", 1);
  if (c.stopped()) return {};
  const std::string op = ox::spatial_op(c, "conv", xs.size() - 2);
  if (c.stopped()) return {};
  x = cropped(c.b, x, win);
  std::vector<ValueId> in{x, w};
  if (bias.valid()) in.push_back(bias);
  return c.b.op(op, std::move(in), attributes(win, groups));
}

void read_conv(OnnxRead& c) {
  const ValueId x = c.in(0), w = c.in(1);
  if (c.stopped()) return;
  c.ret(convolve(c, x, w, c.has(2) ? c.in(2) : ValueId{}));
}

// x minus its zero point, in double: exact for 8-bit products.
ValueId centred(OnnxRead& c, size_t k, size_t zero, bool per_row) {
  Builder& b = c.b;
  const ValueId x = b.cast(c.in(k), DType::f64);
  if (!c.has(zero) || c.stopped()) return x;
  const ValueId z = b.cast(c.in(zero), DType::f64);
  Shape line(b.shape(x).size(), 1);
  if (per_row && !line.empty()) line[0] = element_count(b.shape(z));
  return b.sub(x, element_count(b.shape(z)) == 1 ? b.reshape(z, {}) : b.reshape(z, line));
}

void read_conv_integer(OnnxRead& c) {
  const ValueId x = centred(c, 0, 2, false), w = centred(c, 1, 3, true);
  if (c.stopped()) return;
  const ValueId y = convolve(c, x, w, {});
  if (!c.stopped()) c.ret(c.b.cast(y, DType::i32));
}

// The output's size follows from the pads, or the pads from output_shape.
void read_conv_transpose(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0), w = c.in(1);
  if (c.stopped()) return;
  const Shape xs = b.shape(x);
  ox::OnnxWindow win = window_of(c, xs, b.shape(w));
  const int64_t groups = c.i("group", 1);
  Ints extra = c.ints("output_padding"), wanted = c.ints("output_shape");
  const std::string auto_pad = c.s("auto_pad", "NOTSET");
  if (c.stopped()) return;
  const size_t n = xs.size() - 2;
  const std::string op = ox::spatial_op(c, "conv_transpose", n);
  if (extra.empty()) extra.assign(n, 0);
  if (wanted.size() == n + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  if (extra.size() != n || (!wanted.empty() && wanted.size() != n)) {
    return c.fail(Diag(diag::bad_attribute, "output_padding or output_shape of ConvTranspose"));
  }
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  if (same && wanted.empty()) {
    for (size_t i = 0; i < n; ++i) wanted.push_back(xs[i + 2] * win.stride[i]);
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const int64_t full = win.stride[i] * (xs[i + 2] - 1) + extra[i] + (win.kernel[i] - 1) * win.dilation[i] + 1;
    const int64_t total = full - wanted[i];
    if (total < 0) {
      // Larger than all there is: rows behind the last that only the bias reaches.
      extra[i] -= total;
      win.pad_begin[i] = win.pad_end[i] = 0;
      continue;
    }
    win.pad_begin[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    win.pad_end[i] = total - win.pad_begin[i];
  }
  if (c.stopped()) return;
  // Padding at the end that is smaller than the extra size takes from it (and the other way round).
  for (size_t i = 0; i < n; ++i) {
    const int64_t both = std::min(win.pad_end[i], extra[i]);
    if (both > 0) win.pad_end[i] -= both, extra[i] -= both;
  }
  std::vector<ValueId> in{x, w};
  if (c.has(2)) in.push_back(c.in(2));
  auto attrs = attributes(win, groups);
  attrs.emplace_back("output_padding", extra);
  c.ret(b.op(op, std::move(in), std::move(attrs)));
}

void read_deform_conv(OnnxRead& c) {
  const ValueId x = c.in(0), w = c.in(1), offset = c.in(2);
  if (c.stopped()) return;
  const Shape xs = c.b.shape(x);
  const ox::OnnxWindow win = window_of(c, xs, c.b.shape(w));
  if (c.stopped()) return;
  if (xs.size() != 4) return c.refuse("of other than two spatial dims");
  std::vector<ValueId> in{x, w, offset, c.has(4) ? c.in(4) : ValueId{}, c.has(3) ? c.in(3) : ValueId{}};
  auto attrs = attributes(win, c.i("group", 1));
  attrs.emplace_back("offset_groups", c.i("offset_group", 1));
  c.ret(c.b.op("deform_conv2d", std::move(in), std::move(attrs)));
}

// Sliding blocks, added where they overlap: columns [N, C·block, L] to images [N, C, image…].
void read_col2im(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0);
  const Ints image = c.const_ints(1), block = c.const_ints(2);
  if (c.stopped()) return;
  const Shape xs = b.shape(x);
  const size_t n = image.size();
  const ox::OnnxWindow w = ox::window(c, block, image);
  if (c.stopped()) return;
  int64_t taps = 1, places = 1;
  Ints padded(n), steps(n);
  for (size_t i = 0; i < n; ++i) {
    padded[i] = image[i] + w.pad_begin[i] + w.pad_end[i];
    steps[i] = (padded[i] - (block[i] - 1) * w.dilation[i] - 1) / w.stride[i] + 1;
    taps *= block[i], places *= std::max<int64_t>(steps[i], 0);
  }
  const int64_t pixels = element_count(padded);
  if (xs.size() != 3 || taps < 1 || xs[1] % taps != 0 || xs[2] != places || !check_shape(padded)) {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("Col2Im of {}", to_string(xs))));
  }
  if (taps * places > (1 << 22)) return c.refuse("of more than 4 million places");
  Ints at;
  for (int64_t t = 0; t < taps; ++t) {
    for (int64_t p = 0; p < places; ++p) {
      int64_t index = 0, tap = t, place = p, scale = 1;
      for (size_t i = n; i-- > 0;) {
        index += ((place % steps[i]) * w.stride[i] + (tap % block[i]) * w.dilation[i]) * scale;
        scale *= padded[i];
        tap /= block[i], place /= steps[i];
      }
      at.push_back(index);
    }
  }
  const int64_t planes = xs[0] * (xs[1] / taps);
  const ValueId columns = b.reshape(x, {planes, taps * places});
  const ValueId where = b.expand(ox::constant_ints(b, {1, taps * places}, at), {planes, taps * places});
  const ValueId zeros = ox::full(b, {planes, pixels}, ox::integer(0), b.dtype(x));
  ValueId y = b.op("scatter_elements", {zeros, where, columns}, {{"axis", 1}, {"reduction", "add"}});
  Shape shape{xs[0], xs[1] / taps};
  shape.insert(shape.end(), padded.begin(), padded.end());
  y = b.reshape(y, shape);
  for (size_t i = 0; i < n && !b.failed(); ++i) {
    y = ox::slice(b, y, static_cast<int64_t>(i) + 2, w.pad_begin[i], w.pad_begin[i] + image[i]);
  }
  c.ret(y);
}

constexpr OnnxRow rows[] = {
    {.name = "Conv", .read = read_conv},
    {.name = "ConvInteger", .since = 10, .read = read_conv_integer},
    {.name = "ConvTranspose", .read = read_conv_transpose},
    {.name = "DeformConv", .since = 19, .read = read_deform_conv},
    {.name = "Col2Im", .since = 18, .read = read_col2im},
};

}  // namespace

std::span<const OnnxRow> onnx_conv() { return rows; }

}  // namespace npuport
