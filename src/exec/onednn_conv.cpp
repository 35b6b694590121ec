// Convolutions by oneDNN: weights packed once, batch_norm folded into them, activations and a residual add run inside
// the primitive, Winograd where it applies.
#include <algorithm>
#include <cmath>

#include "exec/onednn_overrides.h"
#include "exec/onednn_support.h"
#include "exec/onednn_upsample.h"
#include "exec/parallel.h"

namespace npuport::onednn {

namespace {

using dnnl::memory;

// A convolution in oneDNN's terms.
struct Problem {
  memory::dims src, dst, weights, stride, dilation, pad_begin, pad_end;  // N, C, spatial; weights with groups first
  int64_t groups = 1;
  bool nhwc = false;
  bool transposed = false;
};

// What happens to the sums after the bias.
struct Chain {
  std::vector<float> scale, shift;  // per output channel, folded into weights and bias; empty = none
  dnnl::primitive_attr attr;
  int residual = -1;  // input that the result is added to
};

bool is_nhwc(const Node& n) { return n.attr().has("layout") && n.attr().s("layout") == "nhwc"; }

memory::dims channels_first(const Shape& shape, bool nhwc) {
  memory::dims out(shape.begin(), shape.end());
  if (nhwc) std::rotate(out.begin() + 1, out.end() - 1, out.end());
  return out;
}

Problem problem_of(const Graph& g, const Node& n, const Shape& result) {
  const AttrView attr = n.attr();
  Problem p;
  p.nhwc = is_nhwc(n);
  p.transposed = n.op->name.starts_with("conv_transpose");
  p.groups = attr.i("groups");
  p.src = channels_first(g.shape(n.inputs[0]), p.nhwc);
  p.dst = channels_first(result, p.nhwc);
  p.stride = attr.ints("stride");
  p.pad_begin = attr.ints("pad_begin");
  const Shape& w = g.shape(n.inputs[1]);
  p.weights = {w.begin(), w.end()};
  if (p.transposed) std::swap(p.weights[0], p.weights[1]);
  if (p.transposed && p.groups > 1) {  // [I, O/g] → [g, O/g, I/g]
    p.weights[1] /= p.groups;
    p.weights.insert(p.weights.begin(), p.groups);
  } else if (p.groups > 1) {  // [O, I/g] → [g, O/g, I/g]
    p.weights[0] /= p.groups;
    p.weights.insert(p.weights.begin(), p.groups);
  }
  for (size_t i = 0; i < p.stride.size(); ++i) {
    const int64_t dilation = attr.ints("dilation")[i];
    p.dilation.push_back(dilation - 1);
    // A transposed convolution's output_padding is padding taken back.
    const int64_t reach = dilation * (w[2 + i] - 1) + 1;
    p.pad_end.push_back(p.transposed ? (p.src[2 + i] - 1) * p.stride[i] + reach - p.pad_begin[i] - p.dst[2 + i]
                                     : attr.ints("pad_end")[i]);
  }
  return p;
}

// Descriptor of the weights as the graph stores them, seen in oneDNN's order of dimensions.
memory::desc stored_weights(const Problem& p, const std::vector<int64_t>& strides) {
  memory::dims s(strides.begin(), strides.end());
  if (p.transposed) {
    const int64_t input_step = s[0];
    std::swap(s[0], s[1]);
    if (p.groups > 1) s.insert(s.begin(), input_step * p.weights[2]);
  } else if (p.groups > 1) {
    s.insert(s.begin(), s[0] * p.weights[1]);
  }
  return {p.weights, memory::data_type::f32, s};
}

// ---- followers
// -------------------------------------------------------------------------------------------------------

bool constant_vector(const Graph& g, ValueId v) {
  return !v.valid() || (g.is_constant(v) && g.type(v).dtype == DType::f32);
}

bool is_foldable_batch_norm(const Graph& g, NodeId id, bool nhwc) {
  const Node& n = g.node(id);
  if (n.op->name != "batch_norm") return false;
  const int64_t rank = static_cast<int64_t>(g.shape(n.outputs[0]).size());
  const int64_t axis = n.attr().i("axis");
  if ((axis < 0 ? axis + rank : axis) != (nhwc ? rank - 1 : 1)) return false;
  return std::all_of(n.inputs.begin() + 1, n.inputs.end(), [&](ValueId v) { return constant_vector(g, v); });
}

bool is_residual_add(const Graph& g, NodeId id, ValueId chain) {
  const Node& n = g.node(id);
  if (n.op->name != "add") return false;
  const ValueId other = other_operand(n, chain);
  return other.valid() && !g.is_constant(other) && g.type(other) == g.type(n.outputs[0]) &&
         g.type(chain) == g.type(n.outputs[0]);
}

bool absorbs(const Graph& g, std::span<const NodeId> group, NodeId next) {
  if (!is_f32(g, next) || group.size() >= 5) return false;
  const Node& head = g.node(group[0]);
  const ValueId chain = g.node(group.back()).outputs[0];
  const bool bare = group.size() == 1 && head.attr().s("activation") == "none";
  if (bare && is_foldable_batch_norm(g, next, is_nhwc(head)) && g.node(next).inputs[0] == chain) return true;
  const bool added = std::any_of(group.begin(), group.end(), [&](NodeId n) { return g.node(n).op->name == "add"; });
  if (!added && is_residual_add(g, next, chain)) return true;
  return !eltwise_of(g, next).empty();
}

void fold_batch_norm(const Graph& g, const Node& n, Chain& chain) {
  const auto vector = [&](size_t i, float fill, size_t count) {
    if (i >= n.inputs.size() || !n.inputs[i].valid()) return std::vector<float>(count, fill);
    const auto v = g.value(n.inputs[i]).constant->as<float>();
    return std::vector<float>(v.begin(), v.end());
  };
  // Inputs of the row: x, mean, var, weight, bias by name.
  const auto slot = [&](std::string_view port) {
    for (size_t i = 0; i < n.op->in.size(); ++i) {
      if (n.op->in[i].name == port) return i;
    }
    return n.op->in.size();
  };
  const std::vector<float> mean = vector(slot("mean"), 0, 0);
  const std::vector<float> var = vector(slot("var"), 1, mean.size());
  const std::vector<float> weight = vector(slot("weight"), 1, mean.size());
  const std::vector<float> bias = vector(slot("bias"), 0, mean.size());
  for (size_t i = 0; i < mean.size(); ++i) {
    const double scale = weight[i] / std::sqrt(static_cast<double>(var[i]) + n.attr().f("eps"));
    chain.scale.push_back(static_cast<float>(scale));
    chain.shift.push_back(static_cast<float>(bias[i] - mean[i] * scale));
  }
}

Chain chain_of(const PrepareCall& call) {
  Chain chain;
  dnnl::post_ops ops;
  for (const Eltwise& e : activation_of(call.head())) ops.append_eltwise(1, e.kind, e.alpha, e.beta);
  size_t operand = call.head().inputs.size();
  for (size_t k = 1; k < call.nodes.size(); ++k) {
    const Node& n = call.graph.node(call.nodes[k]);
    if (n.op->name == "batch_norm") {
      fold_batch_norm(call.graph, n, chain);
      operand += n.inputs.size() - 1;
    } else if (n.op->name == "add") {
      chain.residual = static_cast<int>(operand++);
      ops.append_sum(1);
    } else {
      for (const Eltwise& e : eltwise_of(call.graph, call.nodes[k])) ops.append_eltwise(1, e.kind, e.alpha, e.beta);
    }
  }
  chain.attr.set_post_ops(ops);
  chain.attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return chain;
}

// ---- choice of implementation
// ----------------------------------------------------------------------------------------

struct Descs {
  memory::desc src, weights, bias, dst;
};

using ConvPd = dnnl::convolution_forward::primitive_desc;

std::optional<ConvPd> convolution(const Problem& p, const Descs& d, const dnnl::primitive_attr& attr,
                                  dnnl::algorithm algorithm) {
  try {
    const dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_inference, algorithm, d.src, d.weights, d.bias,
                                               d.dst, p.stride, p.dilation, p.pad_begin, p.pad_end);
    return ConvPd(desc, attr, engine());
  } catch (const dnnl::error&) {
    return std::nullopt;  // not on this machine, or not with these post-ops
  }
}

bool winograd_applies(const Problem& p) {
  const auto all = [](const memory::dims& v, int64_t want) {
    return std::all_of(v.begin(), v.end(), [&](int64_t x) { return x == want; });
  };
  return !p.transposed && p.groups == 1 && p.src[0] == 1 && p.weights.size() == 4 && p.weights[2] == 3 &&
         p.weights[3] == 3 && all(p.stride, 1) && all(p.dilation, 0) && p.weights[0] >= 16 && p.weights[1] >= 16;
}

// oneDNN picks tile size and blocking of Winograd by the number of threads, and with them the order of additions. Taken
// only where both come out the same for one, two and the present number of threads: the same implementation, and work
// memory that does not shrink with more threads (it would by a different blocking).
bool winograd_is_stable(const Problem& p, const Descs& d, int threads) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  std::string name;
  size_t bytes = 0;
  for (const int count : {1, 2, threads}) {
    const ThreadCount scope(count);
    const auto pd = convolution(p, d, attr, dnnl::algorithm::convolution_winograd);
    if (!pd || (!name.empty() && name != pd->impl_info_str())) return false;
    if (count > 1 && pd->scratchpad_desc().get_size() < bytes) return false;
    name = pd->impl_info_str();
    if (count == 1) bytes = pd->scratchpad_desc().get_size();
  }
  return true;
}

// A slow generic implementation shows by its name.
bool is_fast(const ConvPd& pd) {
  const std::string_view impl = pd.impl_info_str();
  return impl.find("ref") == std::string_view::npos && impl.find("gemm") == std::string_view::npos;
}

memory::desc any(const memory::dims& dims) { return {dims, memory::data_type::f32, memory::format_tag::any}; }

std::optional<ConvPd> choose(const Problem& p, const Descs& given, const Chain& chain, int threads) {
  using enum dnnl::algorithm;
  Descs d = given;
  d.src = any(p.src);
  if (winograd_applies(p) && winograd_is_stable(p, d, threads)) {
    // Where Winograd works at all it is worth giving up followers for.
    return convolution(p, d, chain.attr, convolution_winograd);
  }
  // Taking what comes saves turning it, as long as there is a fast implementation for it.
  if (given.src != memory::desc(p.src, memory::data_type::f32, strides_of(p.src))) {
    Descs as_is = d;
    as_is.src = given.src;
    if (auto pd = convolution(p, as_is, chain.attr, convolution_direct); pd && is_fast(*pd)) return pd;
  }
  return convolution(p, d, chain.attr, convolution_auto);
}

// ---- kernels
// ---------------------------------------------------------------------------------------------------------

memory packed_weights(const PrepareCall& call, const Problem& p, const Chain& chain, const memory::desc& want) {
  const std::vector<int64_t> strides = strides_in(call.graph.shape(call.inputs[1]), call.layouts[1]);
  const memory::desc stored = stored_weights(p, strides);
  if (chain.scale.empty()) return pack(call.data[1], stored, want);
  memory::desc dense(p.weights, memory::data_type::f32, strides_of(p.weights));
  const memory plain = pack(call.data[1], stored, dense);
  auto* w = static_cast<float*>(plain.get_data_handle());
  const auto channels = static_cast<int64_t>(chain.scale.size());
  const int64_t per_channel = element_count(p.weights) / channels;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < per_channel; ++i) w[c * per_channel + i] *= chain.scale[static_cast<size_t>(c)];
  }
  return pack(w, dense, want);
}

memory packed_bias(const PrepareCall& call, const Chain& chain, const memory::desc& want) {
  memory m(want, engine());
  auto* b = static_cast<float*>(m.get_data_handle());
  const auto count = static_cast<size_t>(want.dims()[0]);
  const auto* given =
      call.constant(2) && call.head().inputs.size() > 2 ? reinterpret_cast<const float*>(call.data[2]) : nullptr;
  for (size_t i = 0; i < count; ++i) {
    const float value = given ? given[i] : 0.0F;
    b[i] = chain.scale.empty() ? value : value * chain.scale[i] + chain.shift[i];
  }
  return m;
}

template <class Pd>
std::unique_ptr<Kernel> finish(const PrepareCall& call, const Problem& p, const Chain& chain, const Pd& pd,
                               const dnnl::primitive& primitive, bool with_bias) {
  auto kernel = std::make_unique<PrimitiveKernel>();
  kernel->name = std::string("onednn ") + pd.impl_info_str();
  kernel->set(primitive, pd.scratchpad_desc());
  kernel->input(DNNL_ARG_SRC, 0, pd.src_desc());
  kernel->output(DNNL_ARG_DST, 0, pd.dst_desc());
  kernel->own(DNNL_ARG_WEIGHTS, packed_weights(call, p, chain, pd.weights_desc()));
  if (with_bias) kernel->own(DNNL_ARG_BIAS, packed_bias(call, chain, pd.bias_desc()));
  kernel->in_layouts.resize(call.inputs.size());
  kernel->in_unused.assign(call.inputs.size(), true);
  kernel->in_layouts[0] = layout_of(from_channels_first(pd.src_desc(), p.nhwc));
  kernel->in_unused[0] = false;
  kernel->out_layouts = {layout_of(from_channels_first(pd.dst_desc(), p.nhwc))};
  if (chain.residual >= 0) {
    const auto r = static_cast<size_t>(chain.residual);
    kernel->in_layouts[r] = kernel->out_layouts[0];
    kernel->in_unused[r] = false;
    kernel->share_input = chain.residual;
    kernel->accumulates = true;
  }
  return kernel;
}

bool accepts(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  const Ints& pads = n.attr().ints("pad_end");
  return is_f32(g, id) && std::all_of(pads.begin(), pads.end(), [](int64_t p) { return p >= 0; });
}

std::unique_ptr<Kernel> prepare(const PrepareCall& call) {
  const bool biased = call.has(2) && call.head().inputs.size() > 2;
  if (!call.constant(1) || (biased && (!call.constant(2) || call.layouts[2]))) return nullptr;
  const Problem p = problem_of(call.graph, call.head(), call.graph.shape(call.outputs[0]));
  const Chain chain = chain_of(call);
  const bool with_bias = biased || !chain.scale.empty();
  Descs d;
  d.src = to_channels_first(desc_of(call.graph.shape(call.inputs[0]), call.layouts[0]), p.nhwc);
  d.weights = any(p.weights);
  if (with_bias) d.bias = {{p.dst[1]}, memory::data_type::f32, memory::format_tag::x};
  d.dst = any(p.dst);
  if (!p.transposed) {
    const std::optional<ConvPd> pd = choose(p, d, chain, call.threads);
    if (!pd) return nullptr;
    return finish(call, p, chain, *pd, dnnl::convolution_forward(*pd), with_bias);
  }
  try {
    d.src = any(p.src);
    const dnnl::deconvolution_forward::desc desc(dnnl::prop_kind::forward_inference,
                                                 dnnl::algorithm::deconvolution_direct, d.src, d.weights, d.bias, d.dst,
                                                 p.stride, p.dilation, p.pad_begin, p.pad_end);
    const dnnl::deconvolution_forward::primitive_desc pd(desc, chain.attr, engine());
    return finish(call, p, chain, pd, dnnl::deconvolution_forward(pd), with_bias);
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

// ---- windows that do not overlap
// ---------------------------------------------------------------------------------------------

// oneDNN's deconvolution is several times slower than the product it could be.
bool accepts_tiles(const Graph& g, NodeId id) {
  if (!is_f32(g, id)) return false;
  const AttrView attr = g.node(id).attr();
  const auto all = [&](std::string_view name, int64_t want) {
    const Ints& v = attr.ints(name);
    return std::all_of(v.begin(), v.end(), [&](int64_t x) { return x == want; });
  };
  const Shape& w = g.shape(g.node(id).inputs[1]);
  return std::ranges::equal(attr.ints("stride"), std::span(w).subspan(2)) && all("pad_begin", 0) && all("pad_end", 0) &&
         all("output_padding", 0) && all("dilation", 1) && attr.i("groups") == 1;
}

bool absorbs_into_tiles(const Graph& g, std::span<const NodeId> group, NodeId next) {
  return g.node(next).op->name != "add" && absorbs(g, group, next);
}

std::unique_ptr<Kernel> prepare_tiles(const PrepareCall& call) {
  const bool biased = call.has(2) && call.head().inputs.size() > 2;
  if (!call.constant(1) || (biased && (!call.constant(2) || call.layouts[2]))) return nullptr;
  const Shape &in = call.graph.shape(call.inputs[0]), &out = call.graph.shape(call.outputs[0]);
  const Problem p = problem_of(call.graph, call.head(), out);
  const Chain chain = chain_of(call);
  Upsampling u{p.src[0], p.src[1], p.src[2], p.src[3], p.dst[1], p.stride[0], p.stride[1]};
  u.pixels_inner = !p.nhwc && u.images == 1 && !call.layouts[0];
  const auto f32 = memory::data_type::f32;
  const int64_t row = u.tile_w * u.out_channels;
  const memory weights =
      packed_weights(call, p, chain, {p.weights, f32, memory::dims{1, u.tile_h * row, row, u.out_channels}});
  memory bias;
  if (biased || !chain.scale.empty()) bias = packed_bias(call, chain, {{p.dst[1]}, f32, memory::format_tag::x});
  std::unique_ptr<Kernel> kernel = upsample_by_product(
      u, weights, bias ? static_cast<const float*>(bias.get_data_handle()) : nullptr, chain.attr, call.threads);
  if (!kernel) return nullptr;
  const Ints last = {0, 2, 3, 1};
  kernel->in_layouts.resize(call.inputs.size());
  if (!p.nhwc && !u.pixels_inner) kernel->in_layouts[0] = ordered_layout(in, last);
  kernel->in_unused.assign(call.inputs.size(), true);
  kernel->in_unused[0] = false;
  kernel->out_layouts = {p.nhwc ? nullptr : ordered_layout(out, last)};
  return kernel;
}

constexpr Override kRows[] = {
    {"conv2d", "onednn conv", accepts, absorbs, prepare},
    {"conv1d", "onednn conv", accepts, absorbs, prepare},
    {"conv3d", "onednn conv", accepts, absorbs, prepare},
    {"conv_transpose2d", "onednn tiles", accepts_tiles, absorbs_into_tiles, prepare_tiles},
    {"conv_transpose2d", "onednn deconv", accepts, absorbs, prepare},
    {"conv_transpose1d", "onednn deconv", accepts, absorbs, prepare},
    {"conv_transpose3d", "onednn deconv", accepts, absorbs, prepare},
};

}  // namespace

std::span<const Override> conv_overrides() { return kRows; }

}  // namespace npuport::onednn
