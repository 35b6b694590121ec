// Resizing and sampling.
#include "ops/torch.h"

namespace npuport {
namespace {

std::string scales_text(TorchEmit& c, size_t rank) {
  const Reals& scales = c.attr().reals("scales");
  std::string out;
  for (size_t i = 0; i < rank; ++i) out += ", " + (scales.empty() ? TorchEmit::none() : TorchEmit::text(scales[i]));
  return out;
}

// One dim of the resize as a matrix [out, in]: what the row's own kernel makes of the unit vectors.
std::optional<Tensor> matrix_of(TorchEmit& c, size_t dim) {
  const int64_t in = c.shape(0)[dim + 2], out = c.out_shape()[dim + 2];
  Tensor unit = Tensor::zeros(DType::f32, {in, 1, in});
  for (int64_t i = 0; i < in; ++i) unit.mut<float>()[static_cast<size_t>(i * in + i)] = 1;
  const Reals& scales = c.attr().reals("scales");
  const std::vector<Attr> attrs = {{"size", Ints{out}},
                                   {"mode", c.attr().s("mode")},
                                   {"align_corners", c.attr().b("align_corners")},
                                   {"scales", scales.empty() ? Reals{} : Reals{scales[dim]}},
                                   {"antialias", c.attr().b("antialias")}};
  Graph g;
  Builder b(g, /*fold=*/true, int64_t{1} << 40);
  const ValueId y = b.op("resize1d", {b.constant(std::move(unit))}, attrs);
  const ValueId turned = b.transpose(b.reshape(y, {in, out}), {1, 0});
  const Tensor* made = b.failed() ? nullptr : b.constant_of(turned);
  if (made == nullptr) return std::nullopt;
  return *made;
}

// Any separable resize: a product with a matrix along each spatial dim. Serves what PyTorch 1.8 lacks.
void by_matrices(TorchEmit& c, size_t rank) {
  std::string x = c.in(0);
  for (size_t i = 0; i < rank; ++i) {
    std::optional<Tensor> m = matrix_of(c, i);
    if (!m) return c.refuse("its sampling positions cannot be computed");
    const std::string matrix = c.constant(cast_tensor(*m, c.dtype(0)), "resize_matrix");
    const std::string last = TorchEmit::text(static_cast<int64_t>(i) + 2);
    const std::string rows = "torch.transpose(" + x + ", " + last + ", -1)";
    x = c.let("torch.transpose(torch.matmul(" + rows + ", torch.transpose(" + matrix + ", 0, 1)), " + last + ", -1)",
              "resized");
  }
  c.ret("torch.clone(" + x + ")");
}

// nearest modes: which element each output takes.
void by_positions(TorchEmit& c, size_t rank) {
  std::string x = c.in(0);
  for (size_t i = 0; i < rank; ++i) {
    const std::optional<Tensor> m = matrix_of(c, i);
    if (!m) return c.refuse("its sampling positions cannot be computed");
    const int64_t out = m->shape[0], in = m->shape[1];
    Tensor at = Tensor::zeros(DType::i64, {out});
    for (int64_t k = 0; k < out * in; ++k) {
      if (m->as<float>()[static_cast<size_t>(k)] != 0) at.mut<int64_t>()[static_cast<size_t>(k / in)] = k % in;
    }
    x = c.let("torch.index_select(" + x + ", " + TorchEmit::text(static_cast<int64_t>(i) + 2) + ", " +
                  c.constant(std::move(at), "resize_from") + ")",
              "resized");
  }
  c.ret("torch.clone(" + x + ")");
}

void write_resize(TorchEmit& c) {
  const size_t rank = c.rank(0) - 2;
  const std::string& mode = c.attr().s("mode");
  if (mode == "nearest" && is_float(c.dtype(0))) {
    return c.ret("aten.upsample_nearest" + TorchEmit::text(static_cast<int64_t>(rank)) + "d(" + c.in(0) +
                 c.expand(", $size") + scales_text(c, rank) + ")");
  }
  if (mode == "nearest" || mode == "nearest_exact") return by_positions(c, rank);
  const bool cubic = mode == "cubic";
  // PyTorch 1.8 takes the first element for a single output, not the one in the middle.
  bool single = false;
  for (size_t i = 0; i < rank; ++i) single = single || (c.out_shape()[i + 2] == 1 && c.shape(0)[i + 2] > 1);
  if (single && !c.attr().b("align_corners") && is_float(c.dtype(0))) return by_matrices(c, rank);
  if (c.attr().b("antialias") || mode == "lanczos" || (cubic && rank != 2)) return by_matrices(c, rank);
  const char* name = cubic       ? "aten.upsample_bicubic2d("
                     : rank == 1 ? "aten.upsample_linear1d("
                     : rank == 2 ? "aten.upsample_bilinear2d("
                                 : "aten.upsample_trilinear3d(";
  c.ret(name + c.in(0) + c.expand(", $size, $align_corners") + scales_text(c, rank) + ")");
}

void write_grid(TorchEmit& c) {
  const std::string &mode = c.attr().s("mode"), &padding = c.attr().s("padding_mode");
  const int64_t m = mode == "linear" ? 0 : mode == "nearest" ? 1 : 2;
  const int64_t p = padding == "zeros" ? 0 : padding == "border" ? 1 : 2;
  c.ret(c.expand("torch.grid_sampler(%x, %grid, ") + TorchEmit::text(m) + ", " + TorchEmit::text(p) +
        c.expand(", $align_corners)"));
}

constexpr TorchRow kRows[] = {
    {"resize1d", {}, write_resize},
    {"resize2d", {}, write_resize},
    {"resize3d", {}, write_resize},
    {"grid_sample", {}, write_grid},
};

}  // namespace

std::span<const TorchRow> torch_resize() { return kRows; }

}  // namespace npuport
