// Matrix products: matmul, linear.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/diag_codes.h"
#include "ops/support/compute.h"
#include "ops/support/gemm.h"
#include "ops/support/spatial.h"

namespace npuport {
namespace {

constexpr PortDef kOut[] = {{"y"}};
constexpr PortDef kMatmulIn[] = {{"a"}, {"b"}};
constexpr AttrDef kMatmulAttrs[] = {
    {"transpose_a", AttrKind::boolean, "false", "swap the last two dims of a first"},
    {"transpose_b", AttrKind::boolean, "false", "swap the last two dims of b first"},
};
constexpr PortDef kLinearIn[] = {{"x"}, {"weight"}, {"bias", Port::optional}};
constexpr AttrDef kLinearAttrs[] = {
    {"activation", AttrKind::string, "\"none\"", "fused: none, relu, relu6 or relu_n1_to_1"},
};

// Rows, columns and batch dims of one matmul operand after its transpose flag.
struct Matrix {
  int64_t rows, cols;
  std::span<const int64_t> batch;
};

Matrix matrix_of(std::span<const int64_t> shape, bool transpose) {
  const size_t r = shape.size();
  Matrix m{shape[r - 2], shape[r - 1], shape.first(r - 2)};
  if (transpose) std::swap(m.rows, m.cols);
  return m;
}

Result<std::vector<TensorType>> infer_matmul(const InferCall& c) {
  const TensorType &a = *c.in[0], &b = *c.in[1];
  if (a.shape.size() < 2 || b.shape.size() < 2) {
    return Diag(diag::shape_mismatch,
                fmt::format("matmul: {} times {}: both need rank 2 or more", to_string(a), to_string(b)));
  }
  if (a.dtype != b.dtype || a.dtype == DType::boolean) {
    return Diag(diag::dtype_mismatch,
                fmt::format("matmul: {} times {}: needs two equal numeric types", name(a.dtype), name(b.dtype)));
  }
  const Matrix ma = matrix_of(a.shape, c.attrs.b("transpose_a")), mb = matrix_of(b.shape, c.attrs.b("transpose_b"));
  if (ma.cols != mb.rows) {
    return Diag(diag::shape_mismatch, fmt::format("matmul: {}{} times {}{}: inner sizes {} and {} differ", to_string(a),
                                                  c.attrs.b("transpose_a") ? " transposed" : "", to_string(b),
                                                  c.attrs.b("transpose_b") ? " transposed" : "", ma.cols, mb.rows));
  }
  NPU_ASSIGN(Shape out, broadcast_shapes(ma.batch, mb.batch));
  out.insert(out.end(), {ma.rows, mb.cols});
  NPU_TRY(check_shape(out));
  return std::vector<TensorType>{{a.dtype, std::move(out), nullptr}};
}

int64_t macs_matmul(const InferCall& c, std::span<const TensorType> out) {
  return element_count(out[0].shape) * matrix_of(c.in[0]->shape, c.attrs.b("transpose_a")).cols;
}

// Offset of the matrix of flat batch index `i` (over `out` dims) in an operand with broadcast batch dims.
int64_t batch_offset(int64_t i, std::span<const int64_t> out, std::span<const int64_t> own, int64_t matrix) {
  int64_t offset = 0, step = matrix;
  for (size_t d = 0; d < out.size(); ++d) {
    const size_t o = out.size() - 1 - d;
    const int64_t index = i % out[o];
    i /= out[o];
    if (d >= own.size()) continue;
    const int64_t size = own[own.size() - 1 - d];
    if (size != 1) offset += index * step;
    step *= size;
  }
  return offset;
}

template <class T>
void multiply(const EvalCall& c) {
  const Operand<T> a(c.in[0]), b(c.in[1]);
  Target<T> y(c.out[0]);
  const bool ta = c.attrs.b("transpose_a"), tb = c.attrs.b("transpose_b");
  const Matrix ma = matrix_of(c.in[0].shape, ta), mb = matrix_of(c.in[1].shape, tb);
  const std::span<const int64_t> batch = c.out[0].shape.first(c.out[0].shape.size() - 2);
  for (int64_t i = 0; i < element_count(batch); ++i) {
    const T* pa = a.data() + batch_offset(i, batch, ma.batch, ma.rows * ma.cols);
    const T* pb = b.data() + batch_offset(i, batch, mb.batch, mb.rows * mb.cols);
    gemm<T>(ma.rows, mb.cols, ma.cols, {pa, ta ? 1 : ma.cols, ta ? ma.rows : 1},
            {pb, tb ? 1 : mb.cols, tb ? mb.rows : 1}, y.data() + i * ma.rows * mb.cols, mb.cols);
  }
  y.store();
}

Status eval_matmul(const EvalCall& c) {
  with_compute(c.out[0].dtype, [&]<class T>() { multiply<T>(c); });
  return {};
}

Result<std::vector<TensorType>> infer_linear(const InferCall& c) {
  const TensorType &x = *c.in[0], &weight = *c.in[1];
  NPU_TRY(check_activation(c));
  if (x.shape.empty() || weight.shape.size() != 2 || x.shape.back() != weight.shape[1]) {
    return Diag(diag::shape_mismatch, fmt::format("linear: weight {} must be [out, in] with in = last size of x {}",
                                                  to_string(weight), to_string(x)));
  }
  if (c.has(2) && c.in[2]->shape != Shape{weight.shape[0]}) {
    return Diag(diag::shape_mismatch, fmt::format("linear: bias is {}, but there are {} output features",
                                                  to_string(*c.in[2]), weight.shape[0]));
  }
  if (x.dtype != weight.dtype || (c.has(2) && c.in[2]->dtype != x.dtype) || x.dtype == DType::boolean) {
    return Diag(diag::dtype_mismatch, fmt::format("linear: x is {}, weight {}{}", to_string(x), to_string(weight),
                                                  c.has(2) ? ", bias " + to_string(*c.in[2]) : std::string()));
  }
  Shape out = x.shape;
  out.back() = weight.shape[0];
  NPU_TRY(check_shape(out));
  return std::vector<TensorType>{{x.dtype, std::move(out), nullptr}};
}

int64_t macs_linear(const InferCall& c, std::span<const TensorType> out) {
  return element_count(out[0].shape) * c.in[1]->shape[1];
}

template <class T>
void project(const EvalCall& c) {
  const Operand<T> x(c.in[0]), weight(c.in[1]), bias(c.has(2) ? c.in[2] : View{});
  Target<T> y(c.out[0]);
  const int64_t out_f = c.in[1].shape[0], in_f = c.in[1].shape[1];
  const int64_t rows = element_count(c.out[0].shape.first(c.out[0].shape.size() - 1));
  gemm<T>(rows, out_f, in_f, {x.data(), in_f, 1}, {weight.data(), 1, in_f}, y.data(), out_f);
  const Activation act = *parse_activation(c.attrs.s("activation"));
  for (int64_t r = 0; r < rows; ++r) {
    T* line = y.data() + r * out_f;
    for (int64_t o = 0; o < out_f; ++o) line[o] = activate(bias.data() ? line[o] + bias[o] : line[o], act);
  }
  y.store();
}

Status eval_linear(const EvalCall& c) {
  with_compute(c.out[0].dtype, [&]<class T>() { project<T>(c); });
  return {};
}

// linear works along the last dim: any permutation that leaves it last passes through.
std::optional<Ints> keep_last(std::vector<Attr>&, std::span<const int64_t> perm, const InferCall&) {
  if (perm.empty() || perm.back() != static_cast<int64_t>(perm.size()) - 1) return std::nullopt;
  return Ints(perm.begin(), perm.end());
}

constexpr OpDef kRows[] = {
    {.name = "matmul",
     .doc = "Matrix product over the last two dims; the dims before them broadcast as in NumPy.",
     .in = kMatmulIn,
     .out = kOut,
     .attrs = kMatmulAttrs,
     .infer = infer_matmul,
     .eval = eval_matmul,
     .macs = macs_matmul,
     .exact = Exactness::accumulation,
     .quant = QuantRule::weighted},
    {.name = "linear",
     .doc = "y[..., o] = bias[o] + sum over i of x[..., i] * weight[o, i], then activation: a fully connected layer "
            "along the last dim.",
     .in = kLinearIn,
     .out = kOut,
     .attrs = kLinearAttrs,
     .infer = infer_linear,
     .eval = eval_linear,
     .macs = macs_linear,
     .exact = Exactness::accumulation,
     .axes = {AxisRule::remap, keep_last},
     .quant = QuantRule::weighted},
};

}  // namespace

std::span<const OpDef> ops_linear() { return kRows; }

}  // namespace npuport
