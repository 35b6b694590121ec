#include "exec/onednn_support.h"

#include <algorithm>

#include "base/diag_codes.h"

namespace npuport::onednn {

using dnnl::memory;

dnnl::engine& engine() {
  static dnnl::engine e(dnnl::engine::kind::cpu, 0);
  return e;
}

dnnl::stream& stream() {
  static dnnl::stream s(engine());
  return s;
}

memory::desc desc_of(std::span<const int64_t> shape, const LayoutPtr& layout) {
  if (const auto* blocked = dynamic_cast<const BlockedLayout*>(layout.get())) return blocked->desc;
  if (shape.empty()) return memory::desc({1}, memory::data_type::f32, memory::dims{1});
  return memory::desc(memory::dims(shape.begin(), shape.end()), memory::data_type::f32, strides_in(shape, layout));
}

LayoutPtr layout_of(const memory::desc& desc) {
  const auto& blocking = desc.data.format_desc.blocking;
  const memory::dims dims = desc.dims();
  if (blocking.inner_nblks == 0) {
    return strided_layout(dims, std::vector<int64_t>(blocking.strides, blocking.strides + dims.size()));
  }
  return std::make_shared<BlockedLayout>(desc);
}

namespace {

// permute_axes: axis i of the source becomes axis perm[i].
memory::desc permuted(const memory::desc& desc, bool to_first) {
  const int rank = desc.data.ndims;
  std::vector<int> perm(static_cast<size_t>(rank));
  for (int i = 0; i < rank; ++i) {
    const int first = i == 0 ? 0 : i == rank - 1 ? 1 : i + 1;  // N, spatial…, C → N, C, spatial…
    if (to_first)
      perm[static_cast<size_t>(i)] = first;
    else
      perm[static_cast<size_t>(first)] = i;
  }
  return desc.permute_axes(perm);
}

}  // namespace

memory::desc to_channels_first(const memory::desc& desc, bool nhwc) { return nhwc ? permuted(desc, true) : desc; }
memory::desc from_channels_first(const memory::desc& desc, bool nhwc) { return nhwc ? permuted(desc, false) : desc; }

void PrimitiveKernel::set(dnnl::primitive p, const memory::desc& scratchpad) {
  primitive_ = std::move(p);
  scratch_bytes = std::max(scratch_bytes, static_cast<int64_t>(scratchpad.get_size()));
  args_.insert_or_assign(DNNL_ARG_SCRATCHPAD, memory(scratchpad, engine(), nullptr));
}

void PrimitiveKernel::input(int arg, size_t index, const memory::desc& desc) {
  args_.insert_or_assign(arg, memory(desc, engine(), nullptr));
  in_.push_back({arg, index});
}

void PrimitiveKernel::output(int arg, size_t index, const memory::desc& desc) {
  args_.insert_or_assign(arg, memory(desc, engine(), nullptr));
  out_.push_back({arg, index});
}

void PrimitiveKernel::own(int arg, memory m) { args_.insert_or_assign(arg, std::move(m)); }

Status PrimitiveKernel::run(const RunCall& call) {
  try {
    for (const Bound& b : in_) args_.at(b.arg).set_data_handle(const_cast<void*>(call.in[b.index].data));
    for (const Bound& b : out_) args_.at(b.arg).set_data_handle(call.out[b.index].data);
    args_.at(DNNL_ARG_SCRATCHPAD).set_data_handle(call.scratch);
    primitive_.execute(stream(), args_);
    stream().wait();
  } catch (const dnnl::error& e) {
    return Diag(diag::internal, std::string("oneDNN failed: ") + e.what());
  }
  return {};
}

memory pack(const void* data, const memory::desc& from, const memory::desc& to) {
  memory source(from, engine(), const_cast<void*>(data));
  memory target(to, engine());
  dnnl::reorder(source, target).execute(stream(), source, target);
  stream().wait();
  return target;
}

std::vector<Eltwise> activation_of(const Node& node) {
  if (!node.attr().has("activation")) return {};
  const std::string& name = node.attr().s("activation");
  if (name == "relu") return {{dnnl::algorithm::eltwise_relu}};
  if (name == "relu6") return {{dnnl::algorithm::eltwise_clip, 0, 6}};
  if (name == "relu_n1_to_1") return {{dnnl::algorithm::eltwise_clip, -1, 1}};
  return {};
}

std::vector<Eltwise> eltwise_of(const Graph& g, NodeId id) {
  using dnnl::algorithm;
  const Node& n = g.node(id);
  const std::string_view op = n.op->name;
  const AttrView attr = n.attr();
  if (op == "relu") return {{algorithm::eltwise_relu}};
  if (op == "sigmoid") return {{algorithm::eltwise_logistic}};
  if (op == "tanh") return {{algorithm::eltwise_tanh}};
  if (op == "silu") return {{algorithm::eltwise_swish, 1}};
  if (op == "hard_swish") return {{algorithm::eltwise_hardswish}};
  if (op == "hard_sigmoid") return {{algorithm::eltwise_linear, 1.0F / 6, 0.5F}, {algorithm::eltwise_clip, 0, 1}};
  if (op == "leaky_relu") return {{algorithm::eltwise_relu, static_cast<float>(attr.f("alpha"))}};
  if (op == "elu") return {{algorithm::eltwise_elu, static_cast<float>(attr.f("alpha"))}};
  if (op == "gelu") {
    return {{attr.s("approximate") == "tanh" ? algorithm::eltwise_gelu_tanh : algorithm::eltwise_gelu_erf}};
  }
  if (op == "clamp") {
    return {{algorithm::eltwise_clip, static_cast<float>(attr.f("min")), static_cast<float>(attr.f("max"))}};
  }
  return {};
}

std::optional<float> scalar_constant(const Graph& g, ValueId v) {
  if (!g.is_constant(v) || g.type(v).dtype != DType::f32 || g.value(v).constant->count() != 1) return std::nullopt;
  return g.value(v).constant->as<float>()[0];
}

ValueId other_operand(const Node& node, ValueId chain) {
  if (node.inputs.size() != 2 || node.inputs[0] == node.inputs[1]) return {};
  return node.inputs[0] == chain ? node.inputs[1] : node.inputs[0];
}

bool is_f32(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  const auto fits = [&](ValueId v) {
    return !v.valid() || (g.type(v).dtype == DType::f32 && element_count(g.shape(v)) > 0);
  };
  return std::all_of(n.inputs.begin(), n.inputs.end(), fits) && std::all_of(n.outputs.begin(), n.outputs.end(), fits);
}

}  // namespace npuport::onednn
