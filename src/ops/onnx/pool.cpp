// Pooling.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

struct Pool {
  ValueId x;
  Shape shape;
  ox::OnnxWindow w;
  bool ceil = false;
  size_t n = 0;  // spatial dims
};

Pool pool(OnnxRead& c) {
  Pool p;
  p.x = c.in(0);
  if (c.stopped()) return p;
  p.shape = c.b.shape(p.x);
  if (p.shape.size() < 3) {
    c.fail(Diag(diag::shape_mismatch, fmt::format("{} of {}", c.type(), to_string(p.shape))));
    return p;
  }
  p.n = p.shape.size() - 2;
  p.w = ox::window(c, c.ints("kernel_shape"), std::span(p.shape).subspan(2));
  p.ceil = c.i("ceil_mode", 0) != 0 && c.s("auto_pad", "NOTSET") == "NOTSET";
  return p;
}

std::vector<Attr> attributes(const Pool& p) {
  return {{"kernel", p.w.kernel},
          {"stride", p.w.stride},
          {"pad_begin", p.w.pad_begin},
          {"pad_end", p.w.pad_end},
          {"ceil_mode", p.ceil}};
}

// Positions count through the whole tensor, not through one plane.
ValueId whole_positions(Builder& b, ValueId inside, const Shape& x, bool column_major) {
  const Shape ys = b.shape(inside);
  const int64_t plane = element_count(std::span(x).subspan(2));
  if (column_major && x.size() >= 4) {
    // (h, w) counts as w·H + h within the last two dims.
    const int64_t h = x[x.size() - 2], w = x.back();
    const auto number = [&](int64_t v) { return b.constant(Tensor::scalar<int64_t>(v)); };
    const ValueId outer = b.mul(b.op("floor_div", {inside, number(h * w)}), number(h * w));
    const ValueId rest = b.op("mod", {inside, number(h * w)});
    const ValueId row = b.op("floor_div", {rest, number(w)}), column = b.op("mod", {rest, number(w)});
    inside = b.add(outer, b.add(b.mul(column, number(h)), row));
  }
  Ints starts;
  for (int64_t i = 0; i < x[0] * x[1]; ++i) starts.push_back(i * plane);
  Shape line(x.size(), 1);
  line[0] = x[0], line[1] = x[1];
  return b.add(inside, ox::constant_ints(b, line, starts));
}

void read_max_pool(OnnxRead& c) {
  Pool p = pool(c);
  if (c.stopped()) return;
  const bool indices = c.wants(1);
  const std::string op = ox::spatial_op(c, "max_pool", p.n, indices ? "d_with_indices" : "d");
  if (c.stopped()) return;
  auto attrs = attributes(p);
  attrs.emplace_back("dilation", p.w.dilation);
  ValueId x = p.x;
  const DType type = c.b.dtype(x);
  const auto out = c.b.ops(op, {x}, std::move(attrs));
  if (c.stopped()) return;
  c.ret(0, c.b.cast(out[0], type));
  if (indices) c.ret(1, whole_positions(c.b, out[1], p.shape, c.i("storage_order", 0) != 0));
}

bool dilated(const Pool& p) {
  return std::any_of(p.w.dilation.begin(), p.w.dilation.end(), [](int64_t d) { return d != 1; });
}

// Sums over windows with gaps: each channel convolved with ones. Where a divisor is asked for, the number of places of
// each window inside the tensor (`padding`: or its padding), a product over the dims, divides them.
ValueId dilated_sums(OnnxRead& c, const Pool& p, ValueId x, bool divide, bool padding) {
  Builder& b = c.b;
  Ints end = p.w.pad_end;
  ValueId counts;
  for (size_t d = 0; d < p.n; ++d) {
    const int64_t in = p.shape[d + 2], begin = p.w.pad_begin[d], reach = (p.w.kernel[d] - 1) * p.w.dilation[d];
    const int64_t room = in + begin + p.w.pad_end[d] - reach - 1;
    int64_t places = room / p.w.stride[d] + 1;
    if (p.ceil && room % p.w.stride[d] != 0 && places * p.w.stride[d] < in + begin) ++places;
    if (room < 0 || places < 1 || places > (1 << 24)) {
      c.refuse("with a window larger than the input");
      return {};
    }
    end[d] = std::max(end[d], (places - 1) * p.w.stride[d] + reach + 1 - in - begin);
    Tensor t = Tensor::zeros(DType::f64, {places});
    for (int64_t k = 0; k < places; ++k) {
      int64_t inside = 0;
      for (int64_t i = 0; i < p.w.kernel[d]; ++i) {
        const int64_t at = k * p.w.stride[d] + i * p.w.dilation[d] - begin;
        inside += padding ? at < in + p.w.pad_end[d] : at >= 0 && at < in;
      }
      t.mut<double>()[static_cast<size_t>(k)] = static_cast<double>(inside);
    }
    Shape line(p.n + 2, 1);
    line[d + 2] = places;
    const ValueId one = b.reshape(b.constant(cast_tensor(t, b.dtype(x))), line);
    counts = counts.valid() ? b.mul(counts, one) : one;
  }
  Shape kernel{p.shape[1], 1};
  kernel.insert(kernel.end(), p.w.kernel.begin(), p.w.kernel.end());
  const ValueId ones = ox::full(b, kernel, ox::integer(1), b.dtype(x));
  const std::string op = ox::spatial_op(c, "conv", p.n);
  if (c.stopped()) return {};
  const ValueId sums = b.op(op, {x, ones},
                            {{"stride", p.w.stride},
                             {"pad_begin", p.w.pad_begin},
                             {"pad_end", end},
                             {"dilation", p.w.dilation},
                             {"groups", p.shape[1]}});
  return divide ? b.div(sums, counts) : sums;
}

void read_average_pool(OnnxRead& c) {
  Pool p = pool(c);
  if (c.stopped()) return;
  const std::string op = ox::spatial_op(c, "avg_pool", p.n);
  const bool count_pad = c.i("count_include_pad", 0) != 0;
  if (c.stopped()) return;
  if (dilated(p)) {
    const ValueId y = dilated_sums(c, p, p.x, true, count_pad);
    if (!c.stopped()) c.ret(y);
    return;
  }
  auto attrs = attributes(p);
  attrs.emplace_back("count_include_pad", count_pad);
  c.ret(c.b.op(op, {p.x}, std::move(attrs)));
}

// (Σ |x|^p)^(1/p) over each window; padding adds nothing.
void read_lp_pool(OnnxRead& c) {
  Builder& b = c.b;
  Pool p = pool(c);
  const double power = c.f("p", 2);
  if (c.stopped()) return;
  const std::string op = ox::spatial_op(c, "avg_pool", p.n);
  if (c.stopped() || power <= 0) return c.refuse(fmt::format("with p = {}", power));
  const ValueId magnitude = b.op("abs", {p.x});
  const ValueId powers = power == 1   ? magnitude
                         : power == 2 ? b.op("square", {p.x})
                                      : b.op("pow", {magnitude, ox::like(b, p.x, power)});
  auto attrs = attributes(p);
  attrs.emplace_back("count_include_pad", true);
  attrs.emplace_back("divisor_override", 1);
  const ValueId sum = dilated(p) ? dilated_sums(c, p, powers, false, true) : b.op(op, {powers}, std::move(attrs));
  if (c.stopped()) return;
  c.ret(power == 1 ? sum : power == 2 ? b.op("sqrt", {sum}) : b.op("pow", {sum, ox::like(b, sum, 1 / power)}));
}

Ints spatial_axes(OnnxRead& c) {
  Ints axes = ox::all_axes(c.rank(0));
  axes.erase(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(2, axes.size())));
  return axes;
}
void read_global(OnnxRead& c, std::string_view op) {
  const Ints axes = spatial_axes(c);
  if (c.stopped()) return;
  c.ret(axes.empty() ? c.in(0) : ox::reduce(c.b, op, c.in(0), axes, true));
}
void read_global_average(OnnxRead& c) { read_global(c, "reduce_mean"); }
void read_global_max(OnnxRead& c) { read_global(c, "reduce_max"); }
void read_global_lp(OnnxRead& c) {
  Builder& b = c.b;
  const Ints axes = spatial_axes(c);
  const double power = c.f("p", 2);
  if (c.stopped()) return;
  const ValueId x = c.in(0);
  const ValueId powers = power == 2 ? b.op("square", {x}) : b.op("pow", {b.op("abs", {x}), ox::like(b, x, power)});
  const ValueId sum = ox::reduce(b, "reduce_sum", powers, axes, true);
  c.ret(power == 2 ? b.op("sqrt", {sum}) : b.op("pow", {sum, ox::like(b, sum, 1 / power)}));
}

// Values go back to the positions that MaxPool took them from; zeros elsewhere.
void read_max_unpool(OnnxRead& c) {
  Builder& b = c.b;
  Pool p = pool(c);
  const ValueId at = c.in(1);
  if (c.stopped()) return;
  Shape made{p.shape[0], p.shape[1]};
  for (size_t i = 0; i < p.n; ++i) {
    made.push_back((p.shape[i + 2] - 1) * p.w.stride[i] + p.w.kernel[i] - p.w.pad_begin[i] - p.w.pad_end[i]);
  }
  const Shape wanted = c.has(2) ? c.const_ints(2) : made;
  if (c.stopped()) return;
  // Positions count in the size that follows from the window; a larger output gets zeros at the end.
  Ints pads(2 * made.size(), 0);
  bool fits = wanted.size() == made.size() && check_shape(made).ok() && check_shape(wanted).ok();
  for (size_t d = 0; fits && d < made.size(); ++d) {
    pads[d + made.size()] = wanted[d] - made[d];
    fits = wanted[d] >= made[d];
  }
  if (!fits) return c.fail(Diag(diag::shape_mismatch, "the output of MaxUnpool would have shape " + to_string(wanted)));
  const ValueId zeros = ox::full(b, {element_count(made)}, ox::integer(0), b.dtype(p.x));
  const ValueId y = b.reshape(b.op("scatter_elements", {zeros, ox::flat(b, aten::as_index(b, at)), ox::flat(b, p.x)},
                                   {{"axis", 0}, {"reduction", "none"}}),
                              made);
  c.ret(made == wanted ? y : b.op("pad", {y}, {{"pads", pads}, {"mode", "constant"}, {"value", 0.0}}));
}

void read_roi_align(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0), rois = c.in(1), batch = c.in(2);
  if (c.stopped()) return;
  if (c.s("mode", "avg") != "avg") return c.refuse("in mode " + c.s("mode", "avg"));
  const std::string where = c.opset() < 16 ? "output_half_pixel" : c.s("coordinate_transformation_mode", "half_pixel");
  const ValueId numbers = ox::unsqueeze(b, b.cast(batch, b.dtype(rois)), 1);
  const ValueId boxes = b.op("concat", {numbers, rois}, {{"axis", 1}});
  c.ret(b.op("roi_align", {x, boxes},
             {{"output_size", Ints{c.i("output_height", 1), c.i("output_width", 1)}},
              {"spatial_scale", c.f("spatial_scale", 1)},
              {"sampling_ratio", c.i("sampling_ratio", 0)},
              {"aligned", where == "half_pixel"}}));
}

constexpr OnnxRow rows[] = {
    {.name = "MaxPool", .read = read_max_pool},
    {.name = "AveragePool", .since = 7, .read = read_average_pool},
    {.name = "LpPool", .since = 2, .read = read_lp_pool},
    {.name = "GlobalAveragePool", .read = read_global_average},
    {.name = "GlobalMaxPool", .read = read_global_max},
    {.name = "GlobalLpPool", .since = 2, .read = read_global_lp},
    {.name = "MaxUnpool", .since = 9, .read = read_max_unpool},
    {.name = "RoiAlign", .since = 10, .read = read_roi_align},
};

}  // namespace

std::span<const OnnxRow> onnx_pool() { return rows; }

}  // namespace npuport
