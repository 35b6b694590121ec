// oneDNN behind the executor's own types. Included by src/exec/onednn_*.cpp only.
#pragma once

#include <dnnl.hpp>

#include "exec/override.h"

namespace npuport::onednn {

dnnl::engine& engine();
dnnl::stream& stream();

// A form only oneDNN can address.
class BlockedLayout : public Layout {
 public:
  explicit BlockedLayout(const dnnl::memory::desc& d) : desc(d) {
    dense = desc.get_size() == static_cast<size_t>(element_count(desc.dims())) * sizeof(float);
  }
  int64_t padded_bytes() const override { return static_cast<int64_t>(desc.get_size()); }
  bool same(const Layout& other) const override {
    const auto* o = dynamic_cast<const BlockedLayout*>(&other);
    return o && o->desc == desc;
  }
  dnnl::memory::desc desc;  // dimensions in the order of the value's shape
};

// f32 descriptor of a value in `layout`, dimensions as in its shape (rank 0 as [1]).
dnnl::memory::desc desc_of(std::span<const int64_t> shape, const LayoutPtr& layout);
// The layout a descriptor stands for; nullptr when plain.
LayoutPtr layout_of(const dnnl::memory::desc& desc);
// Dimensions between the value's order and N, C, spatial when the operator has layout = "nhwc".
dnnl::memory::desc to_channels_first(const dnnl::memory::desc& desc, bool nhwc);
dnnl::memory::desc from_channels_first(const dnnl::memory::desc& desc, bool nhwc);

// Runs one primitive; argument memories follow the views of the call.
class PrimitiveKernel : public Kernel {
 public:
  Status run(const RunCall& call) override;
  void set(dnnl::primitive p, const dnnl::memory::desc& scratchpad);
  void input(int arg, size_t index, const dnnl::memory::desc& desc);
  void output(int arg, size_t index, const dnnl::memory::desc& desc);
  // Memory the kernel owns (packed weights).
  void own(int arg, dnnl::memory memory);

 private:
  struct Bound {
    int arg;
    size_t index;
  };
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> args_;
  std::vector<Bound> in_, out_;
};

// Copy of constant data in the descriptor a primitive wants.
dnnl::memory pack(const void* data, const dnnl::memory::desc& from, const dnnl::memory::desc& to);

// One pointwise function as oneDNN has it, applied after a primitive. relu and clip turn NaN into a bound there, unlike
// the rows: a NaN born inside a fused convolution shows as a wrong value, not as NaN.
struct Eltwise {
  dnnl::algorithm kind;
  float alpha = 0, beta = 0;
};
// The functions an operator consists of, in order; empty when oneDNN has none of them exactly.
std::vector<Eltwise> eltwise_of(const Graph& g, NodeId node);
// Those of the attribute `activation` of convolutions and linear layers.
std::vector<Eltwise> activation_of(const Node& node);

// The value of a one-element f32 constant; nullopt otherwise.
std::optional<float> scalar_constant(const Graph& g, ValueId v);
// The operand of `node` that is not `chain`; invalid when chain is used twice or the node has more operands.
ValueId other_operand(const Node& node, ValueId chain);

bool is_f32(const Graph& g, NodeId node);  // all present inputs and outputs, none empty

}  // namespace npuport::onednn
