// Normalisation.
#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

// A per-channel operand, or `fallback` everywhere.
int32_t parameter(OnnxEmit& c, size_t k, Shape shape, double fallback) {
  if (c.has(k)) return c.reshape(c.in(k), std::move(shape));
  return filled(c, c.dtype(0), std::move(shape), fallback);
}

// The permutation that brings the channel dim to place 1 (its own inverse: a swap), empty when it is there.
Ints channel_swap(const OnnxEmit& c) {
  const auto axis = static_cast<size_t>(c.attr().i("axis"));
  Ints perm;
  if (axis == 1) return perm;
  for (size_t d = 0; d < c.rank(0); ++d) perm.push_back(static_cast<int64_t>(d));
  std::swap(perm[1], perm[axis]);
  return perm;
}

int32_t swapped(OnnxEmit& c, int32_t x, const Ints& perm) { return perm.empty() ? x : c.transpose(x, perm); }

void write_batch_norm(OnnxEmit& c) {
  if (c.rank(0) < 2) return c.refuse("BatchNormalization needs a batch and a channel dim");
  const Ints swap = channel_swap(c);
  const int32_t x = swapped(c, c.in(0), swap);
  const Shape channels{c.tensor(x).shape[1]};
  const int32_t weight = parameter(c, 1, channels, 1), bias = parameter(c, 2, channels, 0);
  const int32_t y = c.op("BatchNormalization", {x, weight, bias, c.in(3), c.in(4)}, c.out_dtype(),
                         Shape(c.tensor(x).shape), {{"epsilon", c.attr().f("eps")}, {"momentum", 0.9}});
  c.give(swapped(c, y, swap));
}

// y * weight + bias per channel of [N, C, …].
int32_t scaled(OnnxEmit& c, int32_t y) {
  Shape shape(c.tensor(y).shape.size() - 1, 1);
  shape[0] = c.tensor(y).shape[1];
  if (c.has(1)) y = c.mul(y, c.reshape(c.in(1), shape));
  if (c.has(2)) y = c.add(y, c.reshape(c.in(2), shape));
  return y;
}

// Groups become channels of an instance norm [N, groups, elements]; GroupNormalization begins with opset 18.
void write_group_norm(OnnxEmit& c) {
  const Ints swap = channel_swap(c);
  const int32_t x = swapped(c, c.in(0), swap);
  const Shape shape = c.tensor(x).shape;
  const int64_t groups = c.attr().has("groups") ? c.attr().i("groups") : shape[1];
  const int64_t count = element_count(shape) / std::max<int64_t>(shape[0] * groups, 1);
  const Shape flat{shape[0], groups, count};
  const bool direct = groups == shape[1];
  const int32_t weight = direct ? parameter(c, 1, {groups}, 1) : filled(c, c.dtype(0), {groups}, 1);
  const int32_t bias = direct ? parameter(c, 2, {groups}, 0) : filled(c, c.dtype(0), {groups}, 0);
  const bool as_it_is = direct && shape.size() >= 3;
  const int32_t y = c.op("InstanceNormalization", {as_it_is ? x : c.reshape(x, flat), weight, bias}, c.out_dtype(),
                         as_it_is ? shape : flat, {{"epsilon", c.attr().f("eps")}});
  const int32_t back = c.reshape(y, shape);
  c.give(swapped(c, direct ? back : scaled(c, back), swap));
}

Ints last_axes(const OnnxEmit& c) {
  Ints axes;
  const auto rank = static_cast<int64_t>(c.rank(0));
  for (int64_t d = rank - c.attr().i("normalized_rank"); d < rank; ++d) axes.push_back(d);
  return axes;
}

// x / sqrt(mean(x²) + eps).
int32_t by_root_mean_square(OnnxEmit& c, int32_t x) {
  const int32_t power = c.reduce("ReduceMean", c.mul(x, x), last_axes(c), true);
  return c.div(x, c.unary("Sqrt", c.add(power, c.like(x, c.attr().f("eps")))));
}

// LayerNormalization begins with opset 17.
void write_layer_norm(OnnxEmit& c) {
  const Shape& x_shape = c.shape(0);
  const int32_t x = c.in(0);
  if (c.opset() >= 17) {
    const int64_t n = c.attr().i("normalized_rank");
    const int32_t weight = parameter(c, 1, Shape(x_shape.end() - n, x_shape.end()), 1);
    return c.give(c.op("LayerNormalization", {x, weight, c.in(2)}, c.out_dtype(), c.out_shape(),
                       {{"axis", -n}, {"epsilon", c.attr().f("eps")}, {"stash_type", 1}}));
  }
  int32_t y = by_root_mean_square(c, c.sub(x, c.reduce("ReduceMean", x, last_axes(c), true)));
  if (c.has(1)) y = c.mul(y, c.in(1));
  if (c.has(2)) y = c.add(y, c.in(2));
  c.give(y);
}

void write_rms_norm(OnnxEmit& c) {
  const int32_t y = by_root_mean_square(c, c.in(0));
  c.give(c.has(1) ? c.mul(y, c.in(1)) : y);
}

constexpr OnnxWriter rows[] = {
    {"batch_norm", write_batch_norm}, {"group_norm", write_group_norm}, {"instance_norm", write_group_norm},
    {"layer_norm", write_layer_norm}, {"rms_norm", write_rms_norm},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_norm() { return rows; }

}  // namespace npuport
