// Operators that only move elements: concat, pad with a constant, depth_to_space and space_to_depth as strided copies,
// gather and embedding by rows.
#include <algorithm>
#include <cstring>

#include "exec/parallel.h"
#include "exec/simd_overrides.h"

namespace npuport {

namespace {

bool whole_bytes(const Graph& g, NodeId id) {
  const TensorType& t = g.type(g.node(id).outputs[0]);
  return bits(t.dtype) >= 8 && element_count(t.shape) > 0;
}

int64_t width_of(const Graph& g, ValueId v) { return bits(g.type(v).dtype) / 8; }

// ---- concat
// --------------------------------------------------------------------------------------------------------------

class ConcatKernel : public Kernel {
 public:
  Status run(const RunCall& call) override {
    for (const Part& p : parts) {
      const View in{DType::unknown, {}, call.in[p.input].data};
      const MutView out{DType::unknown, {}, static_cast<std::byte*>(call.out[0].data) + p.offset};
      NPU_TRY(p.copy->run({std::span(&in, 1), std::span(&out, 1), nullptr, call.threads}));
    }
    return {};
  }

  struct Part {
    size_t input;
    int64_t offset;  // bytes
    std::unique_ptr<Kernel> copy;
  };
  std::vector<Part> parts;
};

std::unique_ptr<Kernel> prepare_concat(const PrepareCall& call) {
  const Shape& out = call.graph.shape(call.outputs[0]);
  const int64_t given = call.head().attr().i("axis");
  const auto axis = static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(out.size()) : given);
  auto kernel = std::make_unique<ConcatKernel>();
  kernel->name = "strided copy";
  kernel->in_layouts.assign(call.layouts.begin(), call.layouts.end());
  // The result keeps the order of dimensions of its first part, so that channels-last nets stay channels-last.
  std::vector<int64_t> strides = strides_of(out);
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (call.layouts[i] && call.layouts[i]->strides.empty()) kernel->in_layouts[i] = nullptr;
  }
  if (const LayoutPtr& first = kernel->in_layouts[0]; first && first->dense) {
    Ints order(out.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return first->strides[static_cast<size_t>(a)] > first->strides[static_cast<size_t>(b)];
    });
    kernel->out_layouts = {ordered_layout(out, order)};
    strides = strides_in(out, kernel->out_layouts[0]);
  }
  int64_t at = 0;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const TensorType& type = call.type(i);
    if (element_count(type.shape) > 0) {
      const int64_t offset = at * strides[axis] * width_of(call.graph, call.outputs[0]);
      kernel->parts.push_back({i, offset, prepare_copy(type, strides_in(type.shape, kernel->in_layouts[i]), strides)});
    }
    at += type.shape[axis];
  }
  return kernel;
}

// ---- pad
// -----------------------------------------------------------------------------------------------------------------

bool accepts_pad(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  const Ints& pads = n.attr().ints("pads");
  return whole_bytes(g, id) && element_count(g.shape(n.inputs[0])) > 0 && g.type(n.outputs[0]).dtype == DType::f32 &&
         n.attr().s("mode") == "constant" && std::all_of(pads.begin(), pads.end(), [](int64_t p) { return p >= 0; });
}

class PadKernel : public Kernel {
 public:
  Status run(const RunCall& call) override {
    auto* y = call.out[0].as<float>();
    parallel_for(count < 65536 ? 1 : call.threads, count, 1024,
                 [&](int64_t begin, int64_t end) { std::fill(y + begin, y + end, value); });
    const View in{DType::f32, {}, call.in[0].data};
    const MutView out{DType::f32, {}, y + offset};
    return copy->run({std::span(&in, 1), std::span(&out, 1), nullptr, call.threads});
  }
  int64_t count = 0, offset = 0;
  float value = 0;
  std::unique_ptr<Kernel> copy;
};

std::unique_ptr<Kernel> prepare_pad(const PrepareCall& call) {
  const Shape &in = call.graph.shape(call.inputs[0]), &out = call.graph.shape(call.outputs[0]);
  const Ints& pads = call.head().attr().ints("pads");
  auto kernel = std::make_unique<PadKernel>();
  kernel->name = "strided copy";
  LayoutPtr layout = call.layouts[0];
  if (layout && (!layout->dense || layout->strides.empty())) layout = nullptr;
  Ints order(out.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  const std::vector<int64_t> from = strides_in(in, layout);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return from[static_cast<size_t>(a)] > from[static_cast<size_t>(b)]; });
  const LayoutPtr result = ordered_layout(out, order);
  const std::vector<int64_t> to = strides_in(out, result);
  for (size_t i = 0; i < in.size(); ++i) kernel->offset += pads[i] * to[i];
  kernel->count = element_count(out);
  kernel->value = static_cast<float>(call.head().attr().f("value"));
  kernel->copy = prepare_copy(call.type(0), from, to);
  kernel->in_layouts = {layout};
  kernel->out_layouts = {result};
  return kernel;
}

// ---- depth_to_space, space_to_depth
// ----------------------------------------------------------------------------------------

// A permutation of dimensions between two reshapes: `split` is the finer shape, one entry per dimension with its
// stride on either side.
class BlockKernel : public Kernel {
 public:
  Status run(const RunCall& call) override { return copy->run(call); }
  std::unique_ptr<Kernel> copy;
};

std::unique_ptr<Kernel> prepare_blocks(const PrepareCall& call) {
  const Node& n = call.head();
  const bool to_space = n.op->name == "depth_to_space";
  const int64_t r = n.attr().i("block");
  const bool nhwc = n.attr().s("layout") == "nhwc";
  const bool crd = n.attr().has("mode") && n.attr().s("mode") == "crd";
  // Deep: few pixels, many channels; wide: the other way round.
  const ValueId deep = to_space ? call.inputs[0] : call.outputs[0], wide = to_space ? call.outputs[0] : call.inputs[0];
  LayoutPtr given = call.layouts[0];
  // Out of a blocked form into channels-last: the convolutions around like that, and its copies are longer.
  if (given && given->strides.empty()) {
    given = nhwc ? nullptr : ordered_layout(call.graph.shape(call.inputs[0]), Ints{0, 2, 3, 1});
  }
  const Shape &ds = call.graph.shape(deep), &ws = call.graph.shape(wide);
  if (ds.size() != 4) return nullptr;
  // The result keeps the input's order of dimensions.
  const Shape& in = call.graph.shape(call.inputs[0]);
  const std::vector<int64_t> from = strides_in(in, given);
  Ints order = {0, 1, 2, 3};
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return from[static_cast<size_t>(a)] > from[static_cast<size_t>(b)]; });
  const LayoutPtr result = given && given->dense ? ordered_layout(call.graph.shape(call.outputs[0]), order) : nullptr;
  const std::vector<int64_t> to = strides_in(call.graph.shape(call.outputs[0]), result);
  const std::vector<int64_t>&d = to_space ? from : to, &w = to_space ? to : from;
  const size_t c = nhwc ? 3 : 1, h = nhwc ? 1 : 2, v = nhwc ? 2 : 3;
  const int64_t channels = ws[c];
  // Channel of the deep side: crd: c·r² + i·r + j, dcr: (i·r + j)·C + c.
  const int64_t step_c = crd ? r * r : 1, step_i = crd ? r : r * channels, step_j = crd ? 1 : channels;
  const Shape shape = {ds[0], channels, ds[h], r, ds[v], r};
  const std::vector<int64_t> deep_strides = {d[0], step_c * d[c], d[h], step_i * d[c], d[v], step_j * d[c]};
  const std::vector<int64_t> wide_strides = {w[0], w[c], r * w[h], w[h], r * w[v], w[v]};
  auto kernel = std::make_unique<BlockKernel>();
  kernel->name = "strided copy";
  kernel->copy = prepare_copy({call.type(0).dtype, shape, nullptr}, to_space ? deep_strides : wide_strides,
                              to_space ? wide_strides : deep_strides);
  kernel->in_layouts = {given};
  kernel->out_layouts = {result};
  return kernel;
}

// ---- gather, embedding
// -----------------------------------------------------------------------------------------------

bool accepts_gather(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  return whole_bytes(g, id) && !g.shape(n.inputs[0]).empty() && element_count(g.shape(n.inputs[0])) > 0;
}

class GatherKernel : public Kernel {
 public:
  GatherKernel(const PrepareCall& call, size_t axis) : node_(call.head()) {
    name = "rows";
    const Shape& data = call.graph.shape(call.inputs[0]);
    size_ = data[axis];
    outer_ = element_count(std::span(data).first(axis));
    block_ = element_count(std::span(data).subspan(axis + 1)) * width_of(call.graph, call.inputs[0]);
  }

  Status run(const RunCall& call) override {
    const View& indices = call.in[1];
    std::vector<int64_t> at(static_cast<size_t>(indices.count()));
    for (size_t i = 0; i < at.size(); ++i) {
      const int64_t k = indices.dtype == DType::i32 ? indices.as<int32_t>()[i] : indices.as<int64_t>()[i];
      // The row words the error.
      if (k < -size_ || k >= size_) return node_.op->eval({*node_.op, call.in, call.out, node_.attr()});
      at[i] = k < 0 ? k + size_ : k;
    }
    const auto* x = static_cast<const std::byte*>(call.in[0].data);
    auto* y = static_cast<std::byte*>(call.out[0].data);
    const auto count = static_cast<int64_t>(at.size());
    parallel_for(outer_ * count * block_ < 262144 ? 1 : call.threads, outer_ * count, 1,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t row = i / count * size_ + at[static_cast<size_t>(i % count)];
                     std::memcpy(y + i * block_, x + row * block_, static_cast<size_t>(block_));
                   }
                 });
    return {};
  }

 private:
  const Node& node_;  // of the plan's graph
  int64_t size_ = 0, outer_ = 0, block_ = 0;
};

std::unique_ptr<Kernel> prepare_gather(const PrepareCall& call) {
  const Node& n = call.head();
  const auto rank = static_cast<int64_t>(call.graph.shape(call.inputs[0]).size());
  const int64_t axis = n.op->name == "gather" ? n.attr().i("axis") : 0;
  return std::make_unique<GatherKernel>(call, static_cast<size_t>(axis < 0 ? axis + rank : axis));
}

constexpr Override kRows[] = {
    {"gather", "rows", accepts_gather, nullptr, prepare_gather},
    {"embedding", "rows", accepts_gather, nullptr, prepare_gather},
    {"concat", "strided copy", whole_bytes, nullptr, prepare_concat},
    {"pad", "strided copy", accepts_pad, nullptr, prepare_pad},
    {"depth_to_space", "strided copy", whole_bytes, nullptr, prepare_blocks},
    {"space_to_depth", "strided copy", whole_bytes, nullptr, prepare_blocks},
};

}  // namespace

std::span<const Override> movement_overrides() { return kRows; }

}  // namespace npuport
