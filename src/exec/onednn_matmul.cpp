// Matrix products by oneDNN: linear layers and matmul, on strided operands as they are, with bias, activation and
// residual inside.
#include <algorithm>

#include "exec/onednn_overrides.h"
#include "exec/onednn_support.h"
#include "exec/simd_overrides.h"

namespace npuport::onednn {

namespace {

using dnnl::memory;

// Operands as [batch…, M, K] · [batch…, K, N] = [batch…, M, N].
struct Product {
  memory::desc a, b, c;
  LayoutPtr a_layout;  // what the first operand must come in
  bool b_constant = false;
};

// A chain of followers: an added constant row becomes the bias, one residual, pointwise functions.
bool is_bias_add(const Graph& g, NodeId id, ValueId chain) {
  const Node& n = g.node(id);
  if (n.op->name != "add") return false;
  const ValueId other = other_operand(n, chain);
  if (!g.is_constant(other)) return false;
  const Shape& shape = g.shape(other);
  return g.type(n.outputs[0]) == g.type(chain) && !shape.empty() && shape.back() == g.shape(chain).back() &&
         element_count(shape) == shape.back();
}

bool is_residual_add(const Graph& g, NodeId id, ValueId chain) {
  const Node& n = g.node(id);
  const ValueId other = n.op->name == "add" ? other_operand(n, chain) : ValueId{};
  return other.valid() && !g.is_constant(other) && g.type(other) == g.type(chain) &&
         g.type(n.outputs[0]) == g.type(chain);
}

bool has_bias(const Node& head) { return head.inputs.size() > 2 && head.inputs[2].valid(); }

bool absorbs(const Graph& g, std::span<const NodeId> group, NodeId next) {
  if (!is_f32(g, next) || group.size() >= 5) return false;
  const Node& head = g.node(group[0]);
  const ValueId chain = g.node(group.back()).outputs[0];
  const bool bare = group.size() == 1 && activation_of(head).empty();
  if (bare && !has_bias(head) && is_bias_add(g, next, chain)) return true;
  const bool added = std::any_of(group.begin() + 1, group.end(), [&](NodeId id) {
    return g.node(id).op->name == "add" && is_residual_add(g, id, g.node(id).inputs[0]);
  });
  if (!added && is_residual_add(g, next, chain)) return true;
  return !eltwise_of(g, next).empty();
}

struct Chain {
  dnnl::primitive_attr attr;
  const float* bias = nullptr;
  int residual = -1;
};

Chain chain_of(const PrepareCall& call) {
  Chain chain;
  dnnl::post_ops ops;
  const Node& head = call.head();
  if (has_bias(head)) chain.bias = reinterpret_cast<const float*>(call.data[2]);
  for (const Eltwise& e : activation_of(head)) ops.append_eltwise(1, e.kind, e.alpha, e.beta);
  size_t operand = head.inputs.size();
  ValueId value = head.outputs[0];
  for (size_t k = 1; k < call.nodes.size(); ++k) {
    const Node& n = call.graph.node(call.nodes[k]);
    if (k == 1 && !chain.bias && is_bias_add(call.graph, call.nodes[k], value)) {
      chain.bias = reinterpret_cast<const float*>(call.data[operand++]);
    } else if (n.op->name == "add") {
      chain.residual = static_cast<int>(operand++);
      ops.append_sum(1);
    } else {
      for (const Eltwise& e : eltwise_of(call.graph, call.nodes[k])) ops.append_eltwise(1, e.kind, e.alpha, e.beta);
    }
    value = n.outputs[0];
  }
  chain.attr.set_post_ops(ops);
  chain.attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return chain;
}

using MatmulPd = dnnl::matmul::primitive_desc;

std::optional<MatmulPd> make(const memory::desc& a, const memory::desc& b, const memory::desc& bias,
                             const memory::desc& c, const dnnl::primitive_attr& attr) {
  try {
    return MatmulPd(bias.data.ndims > 0 ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c), attr,
                    engine());
  } catch (const dnnl::error&) {
    return std::nullopt;
  }
}

bool is_fast(const MatmulPd& pd) { return std::string_view(pd.impl_info_str()).find("ref") == std::string_view::npos; }

std::unique_ptr<Kernel> finish(const PrepareCall& call, const Product& p, const memory::desc& out,
                               const LayoutPtr& out_layout) {
  const Chain chain = chain_of(call);
  memory::desc bias;
  if (chain.bias) {
    memory::dims dims(p.c.data.ndims, 1);
    dims.back() = p.c.dims().back();
    bias = memory::desc(dims, memory::data_type::f32, strides_of(dims));
  }
  // One row against a constant matrix is bound by reading it: any packed form is as good as the stored one.
  const memory::desc wanted_b =
      p.b_constant ? memory::desc(p.b.dims(), memory::data_type::f32, memory::format_tag::any) : p.b;
  const std::optional<MatmulPd> pd = make(p.a, wanted_b, bias, out, chain.attr);
  if (!pd || !is_fast(*pd)) return nullptr;
  auto kernel = std::make_unique<PrimitiveKernel>();
  kernel->name = std::string("onednn ") + pd->impl_info_str();
  kernel->set(dnnl::matmul(*pd), pd->scratchpad_desc());
  kernel->input(DNNL_ARG_SRC, 0, pd->src_desc());
  kernel->output(DNNL_ARG_DST, 0, pd->dst_desc());
  kernel->in_layouts.assign(call.inputs.size(), nullptr);
  kernel->in_unused.assign(call.inputs.size(), true);
  kernel->in_unused[0] = false;
  kernel->in_layouts[0] = p.a_layout;
  kernel->out_layouts = {out_layout};
  if (p.b_constant) {
    kernel->own(DNNL_ARG_WEIGHTS, pack(call.data[1], p.b, pd->weights_desc()));
  } else {
    kernel->input(DNNL_ARG_WEIGHTS, 1, pd->weights_desc());
    kernel->in_unused[1] = false;
    kernel->in_layouts[1] = call.layouts[1];
  }
  if (chain.bias) kernel->own(DNNL_ARG_BIAS, pack(chain.bias, bias, bias));
  if (chain.residual >= 0) {
    const auto r = static_cast<size_t>(chain.residual);
    kernel->in_unused[r] = false;
    kernel->in_layouts[r] = out_layout;
    kernel->share_input = chain.residual;
    kernel->accumulates = true;
  }
  return kernel;
}

// ---- linear
// ----------------------------------------------------------------------------------------------------------

bool accepts_linear(const Graph& g, NodeId id) { return is_f32(g, id); }

std::unique_ptr<Kernel> prepare_linear(const PrepareCall& call) {
  const Node& head = call.head();
  if (!call.constant(1) || (has_bias(head) && (!call.constant(2) || call.layouts[2]))) return nullptr;
  const Shape& x = call.graph.shape(call.inputs[0]);
  const Shape& w = call.graph.shape(call.inputs[1]);
  const int64_t k = x.back(), n = w[0], m = element_count(x) / k;
  const auto f32 = memory::data_type::f32;
  const std::vector<int64_t> steps = strides_in(w, call.layouts[1]);
  Product p;
  p.a = memory::desc({m, k}, f32, memory::dims{k, 1});
  p.b = memory::desc({k, n}, f32, memory::dims{steps[1], steps[0]});
  p.c = memory::desc({m, n}, f32, memory::dims{n, 1});
  p.b_constant = true;
  return finish(call, p, p.c, nullptr);
}

// ---- matmul
// ----------------------------------------------------------------------------------------------------------

bool accepts_matmul(const Graph& g, NodeId id) {
  if (!is_f32(g, id)) return false;
  const Node& n = g.node(id);
  return g.shape(n.outputs[0]).size() <= 6;
}

// [leading ones, batch…, rows, cols] of one operand, transposition applied to the strides; a broadcast batch has size
// 1, as oneDNN wants it.
memory::desc operand(const Shape& shape, const LayoutPtr& layout, bool transpose, size_t rank) {
  std::vector<int64_t> strides = strides_in(shape, layout);
  memory::dims dims(shape.begin(), shape.end());
  if (transpose) {
    std::swap(dims[dims.size() - 1], dims[dims.size() - 2]);
    std::swap(strides[strides.size() - 1], strides[strides.size() - 2]);
  }
  while (dims.size() < rank) {
    dims.insert(dims.begin(), 1);
    strides.insert(strides.begin(), strides.empty() ? 1 : strides[0] * dims[1]);
  }
  return {dims, memory::data_type::f32, strides};
}

// One of the last two dimensions must be contiguous for the fast kernels; batch strides are free.
bool usable(const Shape& shape, const LayoutPtr& layout) {
  if (!layout) return true;
  if (layout->strides.empty()) return false;
  const size_t r = shape.size();
  for (size_t i = 0; i < r; ++i) {
    if (layout->strides[i] == 0 && shape[i] != 1) return false;
  }
  return layout->strides[r - 1] == 1 || layout->strides[r - 2] == 1;
}

std::unique_ptr<Kernel> prepare_matmul(const PrepareCall& call) {
  const Node& head = call.head();
  const Shape &sa = call.graph.shape(call.inputs[0]), &sb = call.graph.shape(call.inputs[1]);
  const Shape& out = call.graph.shape(call.outputs[0]);
  const size_t rank = out.size();
  const bool ta = head.attr().b("transpose_a"), tb = head.attr().b("transpose_b");
  Product p;
  p.a_layout = usable(sa, call.layouts[0]) ? call.layouts[0] : nullptr;
  p.b_constant = call.constant(1);
  if (!p.b_constant && !usable(sb, call.layouts[1])) return nullptr;
  if (p.b_constant && call.layouts[1] && call.layouts[1]->strides.empty()) return nullptr;
  // [batch…, M, K] times one constant matrix is one long product.
  if (p.b_constant && sb.size() == 2 && !ta && !p.a_layout) {
    const int64_t k = sa.back(), n = out.back(), m = element_count(out) / n;
    p.a = memory::desc({m, k}, memory::data_type::f32, memory::dims{k, 1});
    p.b = operand(sb, call.layouts[1], tb, 2);
    p.c = memory::desc({m, n}, memory::data_type::f32, memory::dims{n, 1});
    return finish(call, p, p.c, nullptr);
  }
  p.a = operand(sa, p.a_layout, ta, rank);
  p.b = operand(sb, call.layouts[1], tb, rank);
  LayoutPtr result = layout_for_reader(call);
  if (result && result->strides.back() != 1) result = nullptr;  // rows must stay contiguous
  p.c = desc_of(out, result);
  return finish(call, p, p.c, result);
}

constexpr Override kRows[] = {
    {"linear", "onednn matmul", accepts_linear, absorbs, prepare_linear},
    {"matmul", "onednn matmul", accepts_matmul, absorbs, prepare_matmul},
};

}  // namespace

std::span<const Override> matmul_overrides() { return kRows; }

}  // namespace npuport::onednn
