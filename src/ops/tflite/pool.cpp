// Pools.
#include <fmt/format.h>

#include <limits>

#include "base/diag_codes.h"
#include "ops/tflite/window.h"

namespace npuport {
namespace {

using namespace tfl;

std::array<WindowDim, 2> dims_of(const TfliteEmit& c) {
  const AttrView a = c.attr();
  const auto dim = [&](size_t i) {
    return WindowDim{c.shape(0)[i + 1],     c.out_shape()[i + 1], a.ints("kernel")[i], a.ints("stride")[i], 1,
                     a.ints("pad_begin")[i]};
  };
  return {dim(0), dim(1)};
}

void pool(TfliteEmit& c, std::string_view name, int32_t x, int32_t y, double padding, std::span<const WindowDim> dims) {
  c.op(name, {x}, {y},
       {{"padding", padding},
        {"stride_w", static_cast<double>(dims[1].stride)},
        {"stride_h", static_cast<double>(dims[0].stride)},
        {"filter_width", static_cast<double>(dims[1].kernel)},
        {"filter_height", static_cast<double>(dims[0].kernel)},
        {kActivation, 0}});
}

// True when no element of `v` can be below zero, seen from the operators that made it.
bool never_negative(const Graph& g, ValueId v, int depth = 8) {
  const Node* n = g.producer(v);
  if (n == nullptr || depth == 0) return false;
  const std::string_view op = n->op->name;
  for (const std::string_view positive : {"relu", "sigmoid", "softmax", "abs", "square", "exp", "sqrt"}) {
    if (op == positive) return true;
  }
  if (op == "clamp") return n->attr().f("min") >= 0;
  if (op == "conv2d" || op == "linear" || op == "conv_transpose2d") {
    const std::string& a = n->attr().s("activation");
    return a == "relu" || a == "relu6";
  }
  for (const std::string_view keeps : {"add", "mul", "concat", "max_pool2d", "avg_pool2d", "reshape", "transpose"}) {
    if (op != keeps) continue;
    return std::all_of(n->inputs.begin(), n->inputs.end(),
                       [&](ValueId in) { return never_negative(g, in, depth - 1); });
  }
  return false;
}

// Padding must never win: zeros do when nothing is negative (PAD runs everywhere), the lowest number always.
void write_max(TfliteEmit& c) {
  if (!needs_nhwc(c)) return;
  if (c.attr().ints("dilation") != Ints{1, 1}) return c.refuse("MAX_POOL_2D has no dilation");
  const auto dims = dims_of(c);
  const Padding p = padding_of(dims);
  int32_t x = c.in(0);
  if (p.explicit_pads && never_negative(c.graph(), c.node().inputs[0])) {
    x = zero_padded(c, x, p, dims);
  } else if (p.explicit_pads) {
    const int32_t lowest = c.constant(Tensor::of<float>({1}, {std::numeric_limits<float>::lowest()}));
    x = c.op("PADV2", {x, paddings(c, dims), lowest}, c.out_dtype(), padded_shape(c.shape(0), dims));
  }
  pool(c, "MAX_POOL_2D", x, c.out(), p.value, dims);
}

// What each output is divided by, along one dim (PyTorch's rule).
Ints divisors(const WindowDim& d, int64_t pad_end, bool count_pad) {
  Ints out;
  for (int64_t o = 0; o < d.out; ++o) {
    const int64_t start = o * d.stride - d.pad_begin;
    const int64_t first = count_pad ? start : std::max<int64_t>(start, 0);
    const int64_t last = std::min(start + d.kernel, count_pad ? d.in + pad_end : d.in);
    out.push_back(last - first);
  }
  return out;
}

// Without padding, or with SAME when padding does not count, AVERAGE_POOL_2D says it. Else zeros are padded, the
// average is over whole windows, and a constant factor corrects the windows that count fewer elements.
void write_avg(TfliteEmit& c) {
  if (!needs_nhwc(c)) return;
  const AttrView a = c.attr();
  const auto dims = dims_of(c);
  const Padding p = padding_of(dims);
  const bool count_pad = a.b("count_include_pad");
  const int64_t fixed = a.i("divisor_override"), window = dims[0].kernel * dims[1].kernel;
  const Ints rows = divisors(dims[0], a.ints("pad_end")[0], count_pad),
             columns = divisors(dims[1], a.ints("pad_end")[1], count_pad);
  bool whole = fixed == 0 || fixed == window;
  for (const int64_t r : rows) whole &= fixed != 0 || r == dims[0].kernel;
  for (const int64_t w : columns) whole &= fixed != 0 || w == dims[1].kernel;
  if (!p.explicit_pads && fixed == 0 && (p.value == kSame ? !count_pad : true)) {
    return pool(c, "AVERAGE_POOL_2D", c.in(0), c.out(), p.value, dims);
  }
  const bool pads = p.explicit_pads || p.value == kSame;
  const int32_t x = zero_padded(c, c.in(0), {kValid, pads}, dims);
  const int32_t y = whole ? c.out() : c.temporary(c.out_dtype(), c.out_shape());
  pool(c, "AVERAGE_POOL_2D", x, y, kValid, dims);
  if (whole) return;
  Tensor factor = Tensor::zeros(DType::f32, {1, dims[0].out, dims[1].out, 1});
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t w = 0; w < columns.size(); ++w) {
      const int64_t n = fixed != 0 ? fixed : rows[r] * columns[w];
      factor.mut<float>()[r * columns.size() + w] = static_cast<float>(window) / static_cast<float>(n);
    }
  }
  c.op("MUL", {y, c.constant(std::move(factor))}, {c.out()}, {{kActivation, 0}});
}

void read_pool(TfliteRead& c, std::string_view op) {
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  const Shape in = c.b.shape(x);
  if (in.size() != 4)
    return c.fail(Diag(diag::shape_mismatch, fmt::format("input {} is not of rank 4", to_string(in))));
  const Ints kernel{c.i("filter_height"), c.i("filter_width")}, stride{c.i("stride_h"), c.i("stride_w")};
  const Pads h = pads_of(c.i("padding"), in[1], kernel[0], stride[0], 1);
  const Pads w = pads_of(c.i("padding"), in[2], kernel[1], stride[1], 1);
  std::vector<Attr> attrs{{"kernel", kernel},
                          {"stride", stride},
                          {"pad_begin", Ints{h.begin, w.begin}},
                          {"pad_end", Ints{h.end, w.end}},
                          {"layout", "nhwc"}};
  // Without padding the two ways of counting agree: keep the default.
  const bool padded = h.begin + h.end + w.begin + w.end > 0;
  if (op == "avg_pool2d" && padded) attrs.emplace_back("count_include_pad", AttrValue(false));
  c.ret(c.activated(c.b.op(op, {x}, std::move(attrs)), c.i(kActivation)));
}
void read_max(TfliteRead& c) { read_pool(c, "max_pool2d"); }
void read_avg(TfliteRead& c) { read_pool(c, "avg_pool2d"); }

constexpr TfliteRow kRows[] = {
    {.name = "MAX_POOL_2D",
     .code = 17,
     .options = &kPool2DOptions,
     .ours = {"max_pool2d"},
     .types = f32,
     .write = write_max,
     .read = read_max},
    {.name = "AVERAGE_POOL_2D",
     .code = 1,
     .options = &kPool2DOptions,
     .ours = {"avg_pool2d"},
     .types = f32,
     .write = write_avg,
     .read = read_avg},
};

}  // namespace

std::span<const TfliteRow> tflite_pool() { return kRows; }

}  // namespace npuport
