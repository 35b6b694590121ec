// Data movement, padding, exchange of space and channels.
#include <algorithm>

#include "ops/torch/window.h"

namespace npuport {
namespace {

std::string list_of(TorchEmit& c) {
  std::string out = "[";
  for (size_t k = 0; k < c.arity(); ++k) out += (k == 0 ? "" : ", ") + c.in(k);
  return out + "]";
}

void write_concat(TorchEmit& c) { c.ret("torch.cat(" + list_of(c) + c.expand(", $axis)")); }
void write_split(TorchEmit& c) { c.ret_all(c.expand("torch.split_with_sizes(%x, $sizes, $axis)")); }

void write_slice(TorchEmit& c) {
  const Ints &axes = c.attr().ints("axes"), &starts = c.attr().ints("starts"), &ends = c.attr().ints("ends"),
             &steps = c.attr().ints("steps");
  std::string y = c.in(0);
  for (size_t i = 0; i < axes.size(); ++i) {
    if (i > 0) y = c.let(y, "part");
    y = "aten.slice(" + y + ", " + TorchEmit::text(axes[i]) + ", " + TorchEmit::text(starts[i]) + ", " +
        TorchEmit::text(ends[i]) + ", " + TorchEmit::text(steps[i]) + ")";
  }
  c.ret(axes.empty() ? "torch.clone(" + y + ")" : y);
}

// The elements of a dim in a new order.
std::string taken(TorchEmit& c, const std::string& x, size_t dim, const Ints& at) {
  const std::string from = c.constant(Tensor::of<int64_t>({static_cast<int64_t>(at.size())}, at), "pad_from");
  return "torch.index_select(" + x + ", " + TorchEmit::text(static_cast<int64_t>(dim)) + ", " + from + ")";
}

void pad_by_positions(TorchEmit& c, const std::string& mode) {
  const Ints& pads = c.attr().ints("pads");
  const size_t rank = c.rank(0);
  std::string x = c.in(0);
  for (size_t d = 0; d < rank; ++d) {
    const int64_t begin = pads[d], end = pads[d + rank], size = c.shape(0)[d];
    if (begin == 0 && end == 0) continue;
    Ints at;
    for (int64_t i = -begin; i < size + end; ++i) {
      if (mode == "reflect") {
        at.push_back(i < 0 ? -i : i >= size ? 2 * size - 2 - i : i);
      } else if (mode == "replicate") {
        at.push_back(std::clamp<int64_t>(i, 0, size - 1));
      } else {
        at.push_back((i + size) % size);
      }
    }
    x = c.let(taken(c, x, d, at), "padded");
  }
  c.ret("torch.clone(" + x + ")");
}

void write_pad(TorchEmit& c) {
  const Ints& pads = c.attr().ints("pads");
  const std::string& mode = c.attr().s("mode");
  const size_t rank = c.rank(0);
  size_t first = 0;  // first padded dim
  while (first < rank && pads[first] == 0 && pads[first + rank] == 0) ++first;
  Ints reversed;
  const size_t spatial = std::max<size_t>(rank >= 3 ? rank - 2 : 1, 1);
  const bool constant = mode == "constant";
  for (size_t d = rank;
       d-- > (constant ? std::min(first, rank == 0 ? 0 : rank - 1) : rank - std::min(rank, spatial));) {
    reversed.insert(reversed.end(), {pads[d], pads[d + rank]});
  }
  if (rank == 0 || first == rank) return c.ret("torch.clone(" + c.in(0) + ")");
  if (constant) {
    return c.ret("torch.constant_pad_nd(" + c.in(0) + ", " + TorchEmit::text(reversed) + ", " +
                 TorchEmit::number(c.attr().f("value"), c.dtype(0)) + ")");
  }
  // PyTorch's own operators cover the last one or two (three) dims of images.
  const bool image = is_float(c.dtype(0)) && rank >= 3 && first >= 2;
  const size_t most = mode == "reflect" ? 2 : 3;
  if (mode == "circular" || !image || spatial > most) return pad_by_positions(c, mode);
  c.ret((mode == "reflect" ? "aten.reflection_pad" : "aten.replication_pad") +
        TorchEmit::text(static_cast<int64_t>(spatial)) + "d(" + c.in(0) + ", " + TorchEmit::text(reversed) + ")");
}

// The block-major order: block rows, block columns, channels.
void depth_dcr(TorchEmit& c) {
  const int64_t b = c.attr().i("block");
  const Shape &x = c.shape(0), &y = c.out_shape();
  const std::string split =
      c.let("torch.reshape(" + c.in(0) + ", " + TorchEmit::text(Ints{x[0], b, b, y[1], x[2], x[3]}) + ")", "blocks");
  const std::string turned = c.let("aten.permute(" + split + ", [0, 3, 4, 1, 5, 2])", "spread");
  c.ret("torch.reshape(" + turned + ", " + TorchEmit::text(y) + ")");
}
void write_depth_to_space(TorchEmit& c) {
  if (c.attr().s("mode") == "dcr") return depth_dcr(c);
  c.ret(c.expand("torch.pixel_shuffle(%x, $block)"));
}

void write_space_to_depth(TorchEmit& c) {
  if (c.attr().s("mode") == "crd") return c.ret(c.expand("torch.pixel_unshuffle(%x, $block)"));
  const int64_t b = c.attr().i("block");
  const Shape &x = c.shape(0), &y = c.out_shape();
  const std::string split =
      c.let("torch.reshape(" + c.in(0) + ", " + TorchEmit::text(Ints{x[0], x[1], y[2], b, y[3], b}) + ")", "blocks");
  const std::string turned = c.let("aten.permute(" + split + ", [0, 3, 5, 1, 2, 4])", "gathered");
  c.ret("torch.reshape(" + turned + ", " + TorchEmit::text(y) + ")");
}

constexpr TorchRow kRows[] = {
    {"reshape", "torch.reshape(%x, $shape)"},
    {"transpose", "aten.permute(%x, $perm)"},
    {"expand", "aten.expand(%x, $shape)"},
    {"concat", {}, write_concat},
    {"split", {}, write_split},
    {"slice", {}, write_slice},
    {"flip", "torch.flip(%x, $axes)"},
    {"tile", "aten.repeat(%x, $repeats)"},
    {"pad", {}, write_pad},
    {"depth_to_space", {}, write_depth_to_space},
    {"space_to_depth", {}, write_space_to_depth},
};

}  // namespace

std::span<const TorchRow> torch_shape() { return kRows; }

}  // namespace npuport
