#include "ops/support/spatial.h"

#include <fmt/format.h>

#include <algorithm>

namespace npuport {
namespace {

constexpr int64_t kLimit = int64_t{1} << 31;  // keeps products of window attributes inside int64

Status check_ints(const InferCall& c, std::string_view attr, size_t rank, int64_t least) {
  const Ints& v = c.attrs.ints(attr);
  if (v.size() != rank) {
    return Diag(diag::bad_attribute,
                fmt::format("{}: {} has {} values, {} are needed", c.op.name, attr, v.size(), rank));
  }
  for (const int64_t x : v) {
    if (x < least || x > kLimit) {
      return Diag(diag::bad_attribute, fmt::format("{}: {} is {}, at least {} is needed", c.op.name, attr, x, least));
    }
  }
  return {};
}

}  // namespace

Planes planes_of(std::span<const int64_t> shape, bool channels_last) {
  Planes p;
  const size_t rank = shape.size() - 2;
  const std::vector<int64_t> strides = strides_of(shape);
  const size_t channel = channels_last ? shape.size() - 1 : 1;
  const size_t first = channels_last ? 1 : 2;
  p.n = shape[0], p.stride_n = strides[0];
  p.c = shape[channel], p.stride_c = strides[channel];
  for (size_t i = 0; i < rank; ++i) {
    p.size[3 - rank + i] = shape[first + i];
    p.stride[3 - rank + i] = strides[first + i];
  }
  return p;
}

Shape shape_of(const Planes& p, size_t rank, bool channels_last) {
  Shape s{p.n};
  if (!channels_last) s.push_back(p.c);
  s.insert(s.end(), p.size.end() - static_cast<std::ptrdiff_t>(rank), p.size.end());
  if (channels_last) s.push_back(p.c);
  return s;
}

Int3 align3(std::span<const int64_t> v, int64_t fill) {
  Int3 out{fill, fill, fill};
  std::copy(v.begin(), v.end(), out.end() - static_cast<std::ptrdiff_t>(v.size()));
  return out;
}

Window window_of(AttrView attrs, std::span<const int64_t> kernel) {
  Window w;
  w.kernel = align3(kernel, 1);
  w.stride = align3(attrs.ints("stride"), 1);
  w.pad_begin = align3(attrs.ints("pad_begin"), 0);
  w.pad_end = align3(attrs.ints("pad_end"), 0);
  if (attrs.has("dilation")) w.dilation = align3(attrs.ints("dilation"), 1);
  return w;
}

Result<Window> read_window(const InferCall& c, std::span<const int64_t> kernel) {
  const size_t rank = kernel.size();
  for (const int64_t k : kernel) {
    if (k < 1 || k > kLimit) {
      return Diag(diag::bad_attribute,
                  fmt::format("{}: kernel {} has a size below 1 or absurdly large", c.op.name, to_string(kernel)));
    }
  }
  NPU_TRY(check_ints(c, "stride", rank, 1));
  NPU_TRY(check_ints(c, "pad_begin", rank, 0));
  NPU_TRY(check_ints(c, "pad_end", rank, 0));
  if (c.attrs.has("dilation")) NPU_TRY(check_ints(c, "dilation", rank, 1));
  return window_of(c.attrs, kernel);
}

Result<int64_t> window_output(int64_t in, const Window& w, size_t i) {
  const int64_t padded = in + w.pad_begin[i] + w.pad_end[i];
  if (padded < w.reach(i)) {
    return Diag(diag::shape_mismatch,
                fmt::format("kernel of size {} (dilation {}) is larger than the padded input of size {} ({} + {} + {})",
                            w.kernel[i], w.dilation[i], padded, w.pad_begin[i], in, w.pad_end[i]));
  }
  return (padded - w.reach(i)) / w.stride[i] + 1;
}

bool channels_last(AttrView attrs) { return attrs.has("layout") && attrs.s("layout") == "nhwc"; }

Status check_layout(const InferCall& c) {
  if (!c.attrs.has("layout")) return {};
  const std::string& v = c.attrs.s("layout");
  if (v == "nchw" || v == "nhwc") return {};
  return Diag(diag::bad_attribute, fmt::format("{}: layout \"{}\" is neither \"nchw\" nor \"nhwc\"", c.op.name, v));
}

Status check_image(const InferCall& c, size_t input, size_t rank) {
  NPU_TRY(check_layout(c));
  const TensorType& t = *c.in[input];
  if (t.shape.size() == rank + 2) return {};
  return Diag(diag::shape_mismatch, fmt::format("{}: {} is {} but needs rank {} (batch, channels, {} spatial)",
                                                c.op.name, c.op.in[input].name, to_string(t), rank + 2, rank));
}

std::optional<Activation> parse_activation(std::string_view name) {
  if (name == "none") return Activation::none;
  if (name == "relu") return Activation::relu;
  if (name == "relu6") return Activation::relu6;
  if (name == "relu_n1_to_1") return Activation::relu_n1_to_1;
  return std::nullopt;
}

Status check_activation(const InferCall& c) {
  const std::string& v = c.attrs.s("activation");
  if (parse_activation(v)) return {};
  return Diag(diag::bad_attribute,
              fmt::format("{}: activation \"{}\" is none of none, relu, relu6, relu_n1_to_1", c.op.name, v));
}

}  // namespace npuport
