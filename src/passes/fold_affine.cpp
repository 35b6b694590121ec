#include "passes/fold_affine.h"

#include <algorithm>
#include <cmath>

namespace npuport {
namespace {

bool transposed(const Node& n) { return n.op->name.starts_with("conv_transpose"); }
bool has_bias(const Node& n) { return n.inputs.size() > 2 && n.inputs[2].valid(); }

const Attr* find(const Node& n, std::string_view name) {
  for (const Attr& a : n.attrs)
    if (a.name == name) return &a;
  return nullptr;
}

Tensor floats(std::span<const double> v, DType dtype, Shape shape) {
  Tensor t = Tensor::zeros(DType::f64, std::move(shape));
  std::copy(v.begin(), v.end(), t.mut<double>().begin());
  return cast_tensor(t, dtype);
}

// w * scale along `dim`, computed in double: one rounding per weight.
Tensor scaled_weights(const Tensor& w, std::span<const double> scale, size_t dim) {
  Tensor out = Tensor::zeros(w.dtype, w.shape);
  const int64_t inner = element_count(std::span(w.shape).subspan(dim + 1));
  const int64_t channels = w.shape[dim];
  const int64_t outer = element_count(std::span(w.shape).first(dim));
  dispatch_float(w.dtype, [&]<class T>() {
    using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const T* src = w.as<T>().data();
    T* dst = out.mut<T>().data();
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t c = 0; c < channels; ++c) {
        const double s = scale[static_cast<size_t>(c)];
        for (int64_t i = 0; i < inner; ++i, ++src, ++dst)
          *dst = T(static_cast<C>(static_cast<double>(static_cast<C>(*src)) * s));
      }
  });
  return out;
}

}  // namespace

size_t channel_dim(const Node& n, size_t out_rank) {
  if (n.op->name == "linear") return out_rank - 1;
  const Attr* layout = find(n, "layout");
  return layout && std::get<std::string>(layout->value) == "nhwc" ? out_rank - 1 : 1;
}

std::optional<std::vector<double>> per_channel(const Graph& g, ValueId constant, size_t rank, size_t dim,
                                               int64_t channels) {
  if (!g.is_constant(constant)) return std::nullopt;
  const Tensor& t = *g.value(constant).constant;
  if (!is_float(t.dtype) || t.shape.size() > rank) return std::nullopt;
  const auto size = static_cast<size_t>(channels);
  if (t.count() == 1) return std::vector<double>(size, get_double(t, 0));
  if (t.count() != channels) return std::nullopt;
  const size_t offset = rank - t.shape.size();
  if (dim < offset || t.shape[dim - offset] != channels) return std::nullopt;
  std::vector<double> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = get_double(t, static_cast<int64_t>(i));
  return out;
}

std::optional<std::string> cannot_scale(const Graph& g, const Node& n) {
  if (!g.is_constant(n.inputs[1])) return "the weights are not constant";
  if (has_bias(n) && !g.is_constant(n.inputs[2])) return "the bias is not constant";
  if (const Attr* a = find(n, "activation"); a && std::get<std::string>(a->value) != "none")
    return "an activation comes first";
  if (transposed(n) && n.attr().i("groups") != 1) return "the transposed convolution is grouped";
  if (!is_float(g.type(n.inputs[1]).dtype)) return "the weights are no floats";
  return std::nullopt;
}

ValueId scaled_node(Builder& b, const Node& n, std::span<const double> scale, std::span<const double> shift) {
  const Graph& g = b.graph();
  const Tensor& w = *g.value(n.inputs[1]).constant;
  const DType dtype = w.dtype;
  std::vector<ValueId> in = n.inputs;
  const std::vector<Attr> attrs = n.attrs;
  const std::string_view op_name = n.op->name;
  const bool scales = std::any_of(scale.begin(), scale.end(), [](double s) { return s != 1.0; });
  std::vector<double> bias(shift.begin(), shift.end());
  if (has_bias(n)) {
    const Tensor& old = *g.value(n.inputs[2]).constant;
    for (size_t i = 0; i < bias.size(); ++i) bias[i] += get_double(old, static_cast<int64_t>(i)) * scale[i];
  }
  const std::string weight_name = g.value(n.inputs[1]).name;
  const size_t dim = transposed(n) ? 1 : 0;
  if (scales) in[1] = b.constant(scaled_weights(w, scale, dim), weight_name);
  const bool any_bias = has_bias(n) || std::any_of(bias.begin(), bias.end(), [](double v) { return v != 0.0; });
  in.resize(3);
  in[2] = any_bias ? b.constant(floats(bias, dtype, {static_cast<int64_t>(bias.size())})) : ValueId{};
  return b.op(op_name, std::move(in), attrs);
}

Affine batch_norm_affine(const Graph& g, const Node& n) {
  const Tensor& mean = *g.value(n.inputs[3]).constant;
  const Tensor& var = *g.value(n.inputs[4]).constant;
  const double eps = n.attr().f("eps");
  Affine a;
  for (int64_t i = 0; i < mean.count(); ++i) {
    const double gamma = n.inputs[1].valid() ? get_double(*g.value(n.inputs[1]).constant, i) : 1.0;
    const double beta = n.inputs[2].valid() ? get_double(*g.value(n.inputs[2]).constant, i) : 0.0;
    const double s = gamma / std::sqrt(get_double(var, i) + eps);
    a.scale.push_back(s);
    a.shift.push_back(beta - get_double(mean, i) * s);
  }
  return a;
}

}  // namespace npuport
