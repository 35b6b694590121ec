// Pooling. Sizes are always said by padding: what ceil_mode means differs between runtimes.
#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

struct Pooling {
  Ints kernel, stride, begin, end, dilation;
  Ints extra;  // more padding at the end, so that rounding down gives the wanted size
  bool has_extra = false, has_pads = false;
};

// `in`, `out`: canonical shapes.
Pooling pooling(const OnnxEmit& c, const Shape& in, const Shape& out) {
  const AttrView a = c.attr();
  Pooling p{a.ints("kernel"), a.ints("stride"), a.ints("pad_begin"), a.ints("pad_end"), {}, {}};
  p.dilation = a.has("dilation") ? a.ints("dilation") : Ints(p.kernel.size(), 1);
  for (size_t i = 0; i < p.kernel.size(); ++i) {
    const int64_t reach = p.dilation[i] * (p.kernel[i] - 1) + 1;
    const int64_t needed = (out[i + 2] - 1) * p.stride[i] + reach;
    p.extra.push_back(std::max<int64_t>(0, needed - in[i + 2] - p.begin[i] - p.end[i]));
    p.has_extra |= p.extra[i] > 0;
    p.has_pads |= p.begin[i] > 0 || p.end[i] > 0;
  }
  return p;
}

Ints joined(const Ints& begin, const Ints& end, const Ints& extra) {
  Ints pads = begin;
  for (size_t i = 0; i < end.size(); ++i) pads.push_back(end[i] + extra[i]);
  return pads;
}

// ONNX counts positions through the whole tensor, ours within a plane.
void write_max_pool(OnnxEmit& c) {
  const int32_t x = planes_in(c, c.in(0));
  const Shape in = c.tensor(x).shape, out = planes_shape(c);
  const Pooling p = pooling(c, in, out);
  std::vector<TensorType> results{{c.out_dtype(), out, nullptr}};
  const bool indices = c.node().outputs.size() == 2 && c.wanted(1);
  if (indices) results.push_back({DType::i64, out, nullptr});
  const auto y = c.ops("MaxPool", {x}, std::move(results),
                       {{"ceil_mode", 0},
                        {"dilations", p.dilation},
                        {"kernel_shape", p.kernel},
                        {"pads", joined(p.begin, p.end, p.extra)},
                        {"storage_order", 0},
                        {"strides", p.stride}});
  c.give(planes_out(c, y[0]), 0);
  if (indices) {
    const int64_t plane = element_count(std::span(in).subspan(2));
    c.give(c.binary("Mod", y[1], c.constant(Tensor::scalar<int64_t>(plane))), 1);
  }
}

int32_t average(OnnxEmit& c, int32_t x, const Shape& out, const Pooling& p, const Ints& pads, bool include) {
  return c.op("AveragePool", {x}, c.out_dtype(), out,
              {{"ceil_mode", 0},
               {"count_include_pad", include},
               {"kernel_shape", p.kernel},
               {"pads", pads},
               {"strides", p.stride}});
}

void write_avg_pool(OnnxEmit& c) {
  int32_t x = planes_in(c, c.in(0));
  const Shape in = c.tensor(x).shape, out = planes_shape(c);
  const Pooling p = pooling(c, in, out);
  const bool include = c.attr().b("count_include_pad");
  const int64_t divisor = c.attr().i("divisor_override");
  if (divisor != 0) {
    const int32_t mean = average(c, x, out, p, joined(p.begin, p.end, p.extra), true);
    const double factor = static_cast<double>(element_count(p.kernel)) / static_cast<double>(divisor);
    return c.give(planes_out(c, c.mul(mean, c.like(mean, factor))));
  }
  Ints begin = p.begin, end = p.end;
  if (include && p.has_pads && p.has_extra) {
    // Zeros that count come first; the padding that only makes room does not count.
    Ints pads(2 * in.size(), 0);
    for (size_t i = 0; i < begin.size(); ++i) {
      pads[i + 2] = begin[i];
      pads[i + 2 + in.size()] = end[i];
      begin[i] = end[i] = 0;
    }
    x = c.pad(x, pads, 0);
  }
  const bool counted = include && p.has_pads && !p.has_extra;
  c.give(planes_out(c, average(c, x, out, p, joined(begin, end, p.extra), counted)));
}

struct Bins {
  Ints begin, end;
  bool uniform = true;
};

Bins bins(int64_t in, int64_t out) {
  Bins b;
  for (int64_t o = 0; o < out; ++o) {
    b.begin.push_back(o * in / out);
    b.end.push_back(((o + 1) * in + out - 1) / out);
  }
  b.uniform = in % out == 0;
  return b;
}

bool uniform(const Shape& in, const Shape& out) {
  for (size_t d = 2; d < in.size(); ++d) {
    if (out[d] < 1 || in[d] % out[d] != 0) return false;
  }
  return true;
}

Pooling even(const Shape& in, const Shape& out) {
  Pooling p;
  for (size_t d = 2; d < in.size(); ++d) p.kernel.push_back(in[d] / out[d]);
  p.stride = p.kernel;
  return p;
}

// Sums over dim `axis` as a product with a matrix [in, out] of weights: mean over each bin.
int32_t by_matrix(OnnxEmit& c, int32_t x, size_t axis, int64_t out) {
  const Shape in = c.tensor(x).shape;
  const Bins b = bins(in[axis], out);
  std::vector<double> weights(static_cast<size_t>(in[axis] * out));
  for (int64_t o = 0; o < out; ++o) {
    const auto k = static_cast<size_t>(o);
    for (int64_t i = b.begin[k]; i < b.end[k]; ++i) {
      weights[static_cast<size_t>(i * out + o)] = 1.0 / static_cast<double>(b.end[k] - b.begin[k]);
    }
  }
  const int32_t matrix = numbers(c, c.dtype(0), {in[axis], out}, weights);
  Ints swap;
  for (size_t d = 0; d < in.size(); ++d) swap.push_back(static_cast<int64_t>(d));
  std::swap(swap[axis], swap.back());
  const int32_t rows = c.transpose(x, swap);
  Shape shape = c.tensor(rows).shape;
  shape.back() = out;
  return c.transpose(c.op("MatMul", {rows, matrix}, c.dtype(0), std::move(shape)), swap);
}

void write_adaptive_avg_pool(OnnxEmit& c) {
  int32_t x = planes_in(c, c.in(0));
  const Shape in = c.tensor(x).shape, out = planes_shape(c);
  if (is_empty(out)) return c.refuse("the result is empty");
  if (std::all_of(out.begin() + 2, out.end(), [](int64_t n) { return n == 1; })) {
    return c.give(planes_out(c, c.op("GlobalAveragePool", {x}, c.out_dtype(), out)));
  }
  if (uniform(in, out)) {
    const Ints none(2 * (in.size() - 2), 0);
    return c.give(planes_out(c, average(c, x, out, even(in, out), none, false)));
  }
  for (size_t d = 2; d < in.size(); ++d) {
    if (in[d] != out[d]) x = by_matrix(c, x, d, out[d]);
  }
  c.give(planes_out(c, x));
}

void write_adaptive_max_pool(OnnxEmit& c) {
  int32_t x = c.in(0);
  const Shape in = c.shape(0), out = c.out_shape();
  const bool indices = c.wanted(1);
  if (is_empty(out)) return c.refuse("the result is empty");
  if (uniform(in, out)) {
    const Pooling p = even(in, out);
    std::vector<TensorType> results{{c.out_dtype(), out, nullptr}};
    if (indices) results.push_back({DType::i64, out, nullptr});
    const auto y = c.ops("MaxPool", {x}, std::move(results), {{"kernel_shape", p.kernel}, {"strides", p.stride}});
    c.give(y[0], 0);
    const int64_t plane = element_count(std::span(in).subspan(2));
    if (indices) c.give(c.binary("Mod", y[1], c.constant(Tensor::scalar<int64_t>(plane))), 1);
    return;
  }
  if (indices) return c.refuse("positions of maxima in windows of different sizes have no ONNX operator");
  for (size_t d = 2; d < in.size(); ++d) {
    const Bins b = bins(in[d], out[d]);
    std::vector<int32_t> parts;
    for (size_t k = 0; k < b.begin.size(); ++k) {
      parts.push_back(c.reduce("ReduceMax", c.slice(x, d, b.begin[k], b.end[k]), {static_cast<int64_t>(d)}, true));
    }
    x = c.concat(std::move(parts), d);
  }
  c.give(x, 0);
}

constexpr OnnxWriter rows[] = {
    {"max_pool1d", write_max_pool},
    {"max_pool2d", write_max_pool},
    {"max_pool3d", write_max_pool},
    {"max_pool1d_with_indices", write_max_pool},
    {"max_pool2d_with_indices", write_max_pool},
    {"max_pool3d_with_indices", write_max_pool},
    {"avg_pool1d", write_avg_pool},
    {"avg_pool2d", write_avg_pool},
    {"avg_pool3d", write_avg_pool},
    {"adaptive_avg_pool1d", write_adaptive_avg_pool},
    {"adaptive_avg_pool2d", write_adaptive_avg_pool},
    {"adaptive_avg_pool3d", write_adaptive_avg_pool},
    {"adaptive_max_pool1d", write_adaptive_max_pool},
    {"adaptive_max_pool2d", write_adaptive_max_pool},
    {"adaptive_max_pool3d", write_adaptive_max_pool},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_pool() { return rows; }

}  // namespace npuport
