// Convolutions, linear layers, matrix products.
#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

Ints pads_of(const OnnxEmit& c) {
  Ints pads = c.attr().ints("pad_begin");
  const Ints& end = c.attr().ints("pad_end");
  pads.insert(pads.end(), end.begin(), end.end());
  return pads;
}

// What Conv and ConvTranspose share, every attribute said.
std::vector<OnnxAttr> window(const OnnxEmit& c) {
  const Shape& weight = c.shape(1);
  return {{"dilations", c.attr().ints("dilation")},
          {"group", c.attr().i("groups")},
          {"kernel_shape", Ints(weight.begin() + 2, weight.end())},
          {"pads", pads_of(c)},
          {"strides", c.attr().ints("stride")}};
}

void write_conv(OnnxEmit& c) {
  const int32_t y = c.op("Conv", {planes_in(c, c.in(0)), c.in(1), c.in(2)}, c.out_dtype(), planes_shape(c), window(c));
  c.give(planes_out(c, activated(c, y)));
}

void write_conv_transpose(OnnxEmit& c) {
  std::vector<OnnxAttr> attrs = window(c);
  attrs.insert(attrs.begin() + 3, {"output_padding", c.attr().ints("output_padding")});
  const int32_t y = c.op("ConvTranspose", {planes_in(c, c.in(0)), c.in(1), c.in(2)}, c.out_dtype(), planes_shape(c),
                         std::move(attrs));
  c.give(planes_out(c, activated(c, y)));
}

constexpr int64_t kSmallTable = 64 << 10;  // bytes; below, a second copy costs less than an operator

// Weights that are also something else, such as the table of a token lookup, are in the file as they are anyway.
bool shared_table(const OnnxEmit& c) {
  const Value& w = c.graph().value(c.node().inputs[1]);
  return w.constant != nullptr && w.constant->bytes() > kSmallTable &&
         std::any_of(w.uses.begin(), w.uses.end(),
                     [&](const Use& u) { return c.graph().node(u.node).op->name != c.node().op->name; });
}

// Matrices are Gemm, which takes the weights as they are; more dims are a product by the transposed weights. Those are
// stored that way, or a Transpose makes them, which runtimes evaluate while loading: ONNX Runtime runs either in the
// same time, and a Gemm between two Reshapes 5 % slower.
void write_linear(OnnxEmit& c) {
  if (c.rank(0) == 2 && is_float(c.dtype(0))) {
    const int32_t y = c.op("Gemm", {c.in(0), c.in(1), c.in(2)}, c.out_dtype(), c.out_shape(),
                           {{"alpha", 1.0}, {"beta", 1.0}, {"transA", 0}, {"transB", 1}});
    return c.give(activated(c, y));
  }
  const int32_t w =
      shared_table(c) ? c.op("Transpose", {c.in(1)}, c.dtype(1), {c.shape(1)[1], c.shape(1)[0]}, {{"perm", Ints{1, 0}}})
                      : c.permuted(1, {1, 0});
  int32_t y = c.op("MatMul", {c.in(0), w}, c.out_dtype(), c.out_shape());
  if (c.has(2)) y = c.add(y, c.in(2));
  c.give(activated(c, y));
}

int32_t operand(OnnxEmit& c, size_t k, bool transposed) {
  if (!transposed) return c.in(k);
  Ints perm;
  for (size_t d = 0; d < c.rank(k); ++d) perm.push_back(static_cast<int64_t>(d));
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return c.permuted(k, std::move(perm));
}

void write_matmul(OnnxEmit& c) {
  const int32_t a = operand(c, 0, c.attr().b("transpose_a")), b = operand(c, 1, c.attr().b("transpose_b"));
  c.give(c.op("MatMul", {a, b}, c.out_dtype(), c.out_shape()));
}

constexpr OnnxWriter rows[] = {
    {"conv1d", write_conv},
    {"conv2d", write_conv},
    {"conv3d", write_conv},
    {"conv_transpose1d", write_conv_transpose},
    {"conv_transpose2d", write_conv_transpose},
    {"conv_transpose3d", write_conv_transpose},
    {"linear", write_linear},
    {"matmul", write_matmul},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_conv() { return rows; }

}  // namespace npuport
