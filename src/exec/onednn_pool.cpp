// Pooling, resizing and conversions of oneDNN's own layouts.
#include <algorithm>

#include "exec/onednn_overrides.h"
#include "exec/onednn_support.h"

namespace npuport::onednn {

namespace {

using dnnl::memory;

bool is_max(const Node& n) { return n.op->name.starts_with("max_pool"); }

bool accepts(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  if (!is_f32(g, id)) return false;
  // Windows of a rounded-up average that hang over the padding have divisors of their own.
  if (is_max(n)) return true;
  return n.attr().i("divisor_override") == 0 && !n.attr().b("ceil_mode");
}

memory::dims channels_first(const Shape& shape, bool nhwc) {
  memory::dims out(shape.begin(), shape.end());
  if (nhwc) std::rotate(out.begin() + 1, out.end() - 1, out.end());
  return out;
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

// The kernel of a primitive that reads one image and writes one.
template <class Primitive>
std::unique_ptr<Kernel> one_to_one(const PrepareCall& call, const typename Primitive::primitive_desc& pd, bool nhwc) {
  auto made = std::make_unique<PrimitiveKernel>();
  made->name = std::string("onednn ") + pd.impl_info_str();
  made->set(Primitive(pd), pd.scratchpad_desc());
  made->input(DNNL_ARG_SRC, 0, pd.src_desc());
  made->output(DNNL_ARG_DST, 0, pd.dst_desc());
  made->in_layouts = {call.layouts[0]};
  made->out_layouts = {layout_of(from_channels_first(pd.dst_desc(), nhwc))};
  return made;
}

std::unique_ptr<Kernel> pool(const PrepareCall& call, dnnl::algorithm algorithm, const memory::dims& kernel,
                             const memory::dims& stride, const memory::dims& dilation, const memory::dims& pad_begin,
                             const memory::dims& given_end) {
  const Node& n = call.head();
  const bool nhwc = n.attr().has("layout") && n.attr().s("layout") == "nhwc";
  const Shape& in = call.graph.shape(call.inputs[0]);
  const memory::dims src = channels_first(in, nhwc), dst = channels_first(call.graph.shape(call.outputs[0]), nhwc);
  memory::dims pad_end;
  for (size_t i = 0; i < kernel.size(); ++i) {
    const int64_t reach = (dilation[i] + 1) * (kernel[i] - 1) + 1;
    // A rounded-up size means windows that reach further than the stated padding.
    pad_end.push_back(std::max(given_end[i], (dst[2 + i] - 1) * stride[i] + reach - src[2 + i] - pad_begin[i]));
  }
  try {
    const memory::desc src_desc = to_channels_first(desc_of(in, call.layouts[0]), nhwc);
    const memory::desc dst_desc(dst, memory::data_type::f32, memory::format_tag::any);
    const dnnl::pooling_v2_forward::desc desc(dnnl::prop_kind::forward_inference, algorithm, src_desc, dst_desc, stride,
                                              kernel, dilation, pad_begin, pad_end);
    const dnnl::pooling_v2_forward::primitive_desc pd(desc, user_scratchpad(), engine());
    if (std::string_view(pd.impl_info_str()).find("ref") != std::string_view::npos && call.layouts[0]) return nullptr;
    return one_to_one<dnnl::pooling_v2_forward>(call, pd, nhwc);
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

std::unique_ptr<Kernel> prepare(const PrepareCall& call) {
  const Node& n = call.head();
  const AttrView attr = n.attr();
  memory::dims dilation;
  for (size_t i = 0; i < attr.ints("kernel").size(); ++i)
    dilation.push_back(attr.has("dilation") ? attr.ints("dilation")[i] - 1 : 0);
  const dnnl::algorithm algorithm = is_max(n)                     ? dnnl::algorithm::pooling_max
                                    : attr.b("count_include_pad") ? dnnl::algorithm::pooling_avg_include_padding
                                                                  : dnnl::algorithm::pooling_avg_exclude_padding;
  return pool(call, algorithm, attr.ints("kernel"), attr.ints("stride"), dilation, attr.ints("pad_begin"),
              attr.ints("pad_end"));
}

bool accepts_global(const Graph& g, NodeId id) {
  if (!is_f32(g, id)) return false;
  const Ints& size = g.node(id).attr().ints("output_size");
  return std::all_of(size.begin(), size.end(), [](int64_t s) { return s == 1; });
}

// adaptive_avg_pool to 1: one window over everything.
std::unique_ptr<Kernel> prepare_global(const PrepareCall& call) {
  const Node& n = call.head();
  const bool nhwc = n.attr().has("layout") && n.attr().s("layout") == "nhwc";
  const memory::dims src = channels_first(call.graph.shape(call.inputs[0]), nhwc);
  const memory::dims window(src.begin() + 2, src.end());
  return pool(call, dnnl::algorithm::pooling_avg_include_padding, window, window, memory::dims(window.size(), 0),
              memory::dims(window.size(), 0), memory::dims(window.size(), 0));
}

// ---- resize --------------------------------------------------------------------------------------------------------

// oneDNN places pixels by their centres: the row's `linear` without align_corners, `nearest_exact`, and `nearest` where
// the size grows by a whole factor.
bool accepts_resize(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  const AttrView attr = n.attr();
  if (!is_f32(g, id) || attr.b("align_corners") || attr.b("antialias")) return false;
  const bool nhwc = attr.has("layout") && attr.s("layout") == "nhwc";
  const memory::dims in = channels_first(g.shape(n.inputs[0]), nhwc), out = channels_first(g.shape(n.outputs[0]), nhwc);
  const Reals& scales = attr.reals("scales");
  for (size_t i = 2; i < in.size(); ++i) {
    if (!scales.empty() && scales[i - 2] > 0 &&
        scales[i - 2] * static_cast<double>(in[i]) != static_cast<double>(out[i])) {
      return false;
    }
    if (attr.s("mode") == "nearest" && out[i] % in[i] != 0) return false;
  }
  return attr.s("mode") == "linear" || attr.s("mode") == "nearest" || attr.s("mode") == "nearest_exact";
}

std::unique_ptr<Kernel> prepare_resize(const PrepareCall& call) {
  const Node& n = call.head();
  const bool nhwc = n.attr().has("layout") && n.attr().s("layout") == "nhwc";
  const Shape& in = call.graph.shape(call.inputs[0]);
  const auto algorithm =
      n.attr().s("mode") == "linear" ? dnnl::algorithm::resampling_linear : dnnl::algorithm::resampling_nearest;
  try {
    const memory::desc src = to_channels_first(desc_of(in, call.layouts[0]), nhwc);
    const memory::desc dst(channels_first(call.graph.shape(call.outputs[0]), nhwc), memory::data_type::f32,
                           memory::format_tag::any);
    const dnnl::resampling_forward::desc desc(dnnl::prop_kind::forward_inference, algorithm, src, dst);
    return one_to_one<dnnl::resampling_forward>(
        call, dnnl::resampling_forward::primitive_desc(desc, user_scratchpad(), engine()), nhwc);
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

constexpr Override kRows[] = {
    {"resize1d", "onednn resize", accepts_resize, nullptr, prepare_resize},
    {"resize2d", "onednn resize", accepts_resize, nullptr, prepare_resize},
    {"resize3d", "onednn resize", accepts_resize, nullptr, prepare_resize},
    {"max_pool1d", "onednn pool", accepts, nullptr, prepare},
    {"max_pool2d", "onednn pool", accepts, nullptr, prepare},
    {"max_pool3d", "onednn pool", accepts, nullptr, prepare},
    {"avg_pool1d", "onednn pool", accepts, nullptr, prepare},
    {"avg_pool2d", "onednn pool", accepts, nullptr, prepare},
    {"avg_pool3d", "onednn pool", accepts, nullptr, prepare},
    {"adaptive_avg_pool1d", "onednn pool", accepts_global, nullptr, prepare_global},
    {"adaptive_avg_pool2d", "onednn pool", accepts_global, nullptr, prepare_global},
    {"adaptive_avg_pool3d", "onednn pool", accepts_global, nullptr, prepare_global},
};

class BlockedReorder : public Kernel {
 public:
  BlockedReorder(const memory::desc& from, const memory::desc& to)
      : from_(from, engine(), nullptr), to_(to, engine(), nullptr), reorder_(from_, to_) {
    name = "onednn reorder";
  }

  Status run(const RunCall& call) override {
    from_.set_data_handle(const_cast<void*>(call.in[0].data));
    to_.set_data_handle(call.out[0].data);
    reorder_.execute(stream(), from_, to_);
    stream().wait();
    return {};
  }

 private:
  memory from_, to_;
  dnnl::reorder reorder_;
};

}  // namespace

std::span<const Override> pool_overrides() { return kRows; }

std::unique_ptr<Kernel> prepare_blocked_reorder(const TensorType& type, const LayoutPtr& from, const LayoutPtr& to) {
  const auto blocked = [](const LayoutPtr& l) { return dynamic_cast<const BlockedLayout*>(l.get()) != nullptr; };
  if (!blocked(from) && !blocked(to)) return nullptr;
  return std::make_unique<BlockedReorder>(desc_of(type.shape, from), desc_of(type.shape, to));
}

}  // namespace npuport::onednn
