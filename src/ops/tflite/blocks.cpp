// Read only: what TensorFlow writes around dilated convolutions, and L2 normalisation.
#include <fmt/format.h>

#include "base/diag_codes.h"
#include "ops/tflite/options.h"

namespace npuport {
namespace {

using namespace tfl;

struct Blocks {
  Ints block;  // per spatial dim: the dims after the batch
  Ints edges;  // begin and end of each, padded or cropped
  int64_t count = 1;
};

// Operands 1 and 2; fails on b when they do not fit operand 0.
Blocks blocks_of(TfliteRead& c) {
  Blocks k{c.const_ints(1), c.const_ints(2)};
  if (c.b.failed()) return k;
  const Shape x = c.shape(0);
  bool fits = !k.block.empty() && x.size() > k.block.size() && k.edges.size() == 2 * k.block.size();
  for (const int64_t b : k.block) {
    fits = fits && b >= 1 && b <= (int64_t{1} << 20);
    if (fits) k.count *= b;
    fits = fits && k.count <= (int64_t{1} << 20);
  }
  for (const int64_t e : k.edges) fits = fits && e >= 0 && e <= (int64_t{1} << 31);
  if (!fits)
    c.fail(Diag(diag::shape_mismatch, fmt::format("{}: blocks {} and edges {} do not fit {}", c.row().name,
                                                  to_string(k.block), to_string(k.edges), to_string(x))));
  return k;
}

// [batch, s1, s2, ..., rest] → [blocks * batch, s1 / b1, s2 / b2, ..., rest]
void read_space_to_batch(TfliteRead& c) {
  const Blocks k = blocks_of(c);
  if (c.b.failed()) return;
  const size_t dims = k.block.size();
  Shape x = c.shape(0);
  Ints pads(2 * x.size(), 0);
  bool padded = false;
  for (size_t i = 0; i < dims; ++i) {
    pads[1 + i] = k.edges[2 * i];
    pads[x.size() + 1 + i] = k.edges[2 * i + 1];
    x[1 + i] += k.edges[2 * i] + k.edges[2 * i + 1];
    padded = padded || k.edges[2 * i] + k.edges[2 * i + 1] > 0;
    if (x[1 + i] % k.block[i] != 0)
      return c.fail(
          Diag(diag::shape_mismatch, fmt::format("SPACE_TO_BATCH_ND: {} is no multiple of {}", x[1 + i], k.block[i])));
  }
  const ValueId v = padded ? c.b.op("pad", {c.in(0)}, {{"pads", pads}}) : c.in(0);
  // [batch, s1 / b1, b1, s2 / b2, b2, ..., rest], the blocks to the front.
  Shape apart{x[0]}, joined{x[0] * k.count};
  Ints perm, rest{0};
  for (size_t i = 0; i < dims; ++i) {
    apart.insert(apart.end(), {x[1 + i] / k.block[i], k.block[i]});
    joined.push_back(x[1 + i] / k.block[i]);
    perm.push_back(static_cast<int64_t>(2 + 2 * i));
    rest.push_back(static_cast<int64_t>(1 + 2 * i));
  }
  perm.insert(perm.end(), rest.begin(), rest.end());
  for (size_t d = 1 + dims; d < x.size(); ++d) {
    perm.push_back(static_cast<int64_t>(apart.size()));
    apart.push_back(x[d]);
    joined.push_back(x[d]);
  }
  c.ret(c.b.reshape(c.b.transpose(c.b.reshape(v, apart), perm), joined));
}

// The other way: [blocks * batch, s1, s2, ..., rest] → [batch, s1 * b1 - crops, ..., rest]
void read_batch_to_space(TfliteRead& c) {
  const Blocks k = blocks_of(c);
  if (c.b.failed()) return;
  const auto dims = static_cast<int64_t>(k.block.size());
  const Shape x = c.shape(0);
  if (x[0] % k.count != 0)
    return c.fail(
        Diag(diag::shape_mismatch, fmt::format("BATCH_TO_SPACE_ND: batch {} is no multiple of {}", x[0], k.count)));
  Shape apart = k.block, joined{x[0] / k.count};
  apart.push_back(x[0] / k.count);
  Ints perm{dims}, starts, ends, axes;
  for (int64_t i = 0; i < dims; ++i) {
    const auto d = static_cast<size_t>(i);
    apart.push_back(x[1 + d]);
    perm.insert(perm.end(), {dims + 1 + i, i});
    const int64_t size = x[1 + d] * k.block[d];
    joined.push_back(size);
    starts.push_back(k.edges[2 * d]);
    ends.push_back(size - k.edges[2 * d + 1]);
    axes.push_back(1 + i);
    if (starts.back() > ends.back())
      return c.fail(Diag(diag::shape_mismatch, fmt::format("BATCH_TO_SPACE_ND crops more than {}", size)));
  }
  for (size_t d = 1 + k.block.size(); d < x.size(); ++d) {
    perm.push_back(static_cast<int64_t>(apart.size()));
    apart.push_back(x[d]);
    joined.push_back(x[d]);
  }
  const ValueId whole = c.b.reshape(c.b.transpose(c.b.reshape(c.in(0), apart), perm), joined);
  const Ints steps(axes.size(), 1);
  c.ret(c.b.op("slice", {whole}, {{"starts", starts}, {"ends", ends}, {"axes", axes}, {"steps", steps}}));
}

// x / max(|x|, 1e-6) along the last dim, as LiteRT's kernel has it.
void read_l2_norm(TfliteRead& c) {
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  const ValueId sum = c.b.op("reduce_sum", {c.b.mul(x, x)}, {{"axes", Ints{-1}}, {"keepdims", true}});
  const ValueId norm = c.b.op("maximum", {c.b.op("sqrt", {sum}), c.b.scalar(1e-6, c.b.dtype(x))});
  c.ret(c.activated(c.b.div(x, norm), c.i(kActivation)));
}

constexpr TfliteRow kRows[] = {
    {.name = "SPACE_TO_BATCH_ND", .code = 38, .options = &kSpaceToBatchNDOptions, .read = read_space_to_batch},
    {.name = "BATCH_TO_SPACE_ND", .code = 37, .options = &kBatchToSpaceNDOptions, .read = read_batch_to_space},
    {.name = "L2_NORMALIZATION", .code = 11, .options = &kL2NormOptions, .types = f32, .read = read_l2_norm},
};

}  // namespace

std::span<const TfliteRow> tflite_blocks() { return kRows; }

}  // namespace npuport
