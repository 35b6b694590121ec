// softmax(scale · Q·Kᵀ + mask) · V as one step when a graph spells it out as matmul, scaling, mask, softmax, matmul.
#include <algorithm>
#include <cmath>
#include <optional>

#include "exec/parallel.h"
#include "exec/row_loop.h"
#include "exec/simd/simd.h"
#include "exec/simd_overrides.h"

namespace npuport {

namespace {

struct Pattern {
  std::vector<NodeId> nodes;  // first product, scaling and mask, softmax, second product
  float scale = 1;
  ValueId mask;
};

std::optional<float> scalar(const Graph& g, ValueId v) {
  if (!g.is_constant(v) || g.type(v).dtype != DType::f32 || g.value(v).constant->count() != 1) return std::nullopt;
  return g.value(v).constant->as<float>()[0];
}

ValueId other(const Node& n, ValueId chain) {
  if (n.inputs.size() != 2 || n.inputs[0] == n.inputs[1]) return {};
  return n.inputs[0] == chain ? n.inputs[1] : n.inputs[0];
}

// Takes `n` into the pattern when it may stand between the first product and the softmax.
bool takes(const Graph& g, const Node& n, ValueId chain, Pattern& p) {
  const std::string_view op = n.op->name;
  if (op == "cast" || op == "identity") return true;
  const ValueId operand = other(n, chain);
  if (!operand.valid()) return false;
  if (op == "add") {
    if (p.mask.valid()) return false;
    p.mask = operand;
    return g.type(operand).dtype == DType::f32;
  }
  const std::optional<float> s = scalar(g, operand);
  if (!s || p.mask.valid()) return false;
  if (op == "mul") p.scale *= *s;
  if (op == "div") p.scale /= *s;
  return op == "mul" || (op == "div" && n.inputs[0] == chain);
}

std::optional<Pattern> find(const Graph& g, NodeId id) {
  const Node& first = g.node(id);
  const TensorType& type = g.type(first.outputs[0]);
  if (type.dtype != DType::f32 || type.shape.size() < 2 || type.shape.size() > 6 || element_count(type.shape) == 0)
    return std::nullopt;
  Pattern p;
  p.nodes = {id};
  bool weights = false;
  for (;;) {
    const ValueId chain = g.node(p.nodes.back()).outputs[0];
    if (g.use_count(chain) != 1 || g.is_output(chain)) return std::nullopt;
    const NodeId next = g.value(chain).uses[0].node;
    const Node& n = g.node(next);
    if (weights && n.op->name == "matmul") {
      const bool plain = n.inputs[0] == chain && n.inputs[1] != chain && !n.attr().b("transpose_a");
      // A batch that only the values have would need the weights again and again.
      const Shape& out = g.shape(n.outputs[0]);
      if (!plain || out.size() != type.shape.size() || !std::equal(out.begin(), out.end() - 1, type.shape.begin()))
        return std::nullopt;
      p.nodes.push_back(next);
      return p;
    }
    if (g.type(n.outputs[0]) != type) return std::nullopt;
    if (n.op->name == "softmax") {
      const int64_t axis = n.attr().i("axis");
      if (weights || (axis != -1 && axis != static_cast<int64_t>(type.shape.size()) - 1)) return std::nullopt;
      weights = true;
    } else if (weights ? n.op->name != "cast" && n.op->name != "identity" : !takes(g, n, chain, p)) {
      return std::nullopt;
    }
    p.nodes.push_back(next);
  }
}

bool accepts(const Graph& g, NodeId id) { return find(g, id).has_value(); }

bool absorbs(const Graph& g, std::span<const NodeId> group, NodeId next) {
  const std::optional<Pattern> p = find(g, group[0]);
  return p && group.size() < p->nodes.size() && p->nodes[group.size()] == next;
}

// Strides of one operand: batch dimensions towards the result's, then rows and columns.
struct Operand {
  std::vector<int64_t> batch;
  int64_t row = 0, col = 0;
};

Operand operand(const Graph& g, ValueId v, const LayoutPtr& layout, bool transpose, std::span<const int64_t> batch) {
  const Shape& shape = g.shape(v);
  std::vector<int64_t> strides = strides_in(shape, layout);
  Operand o;
  o.row = strides[strides.size() - 2];
  o.col = strides.back();
  if (transpose) std::swap(o.row, o.col);
  o.batch.assign(batch.size(), 0);
  const size_t own = shape.size() - 2, added = batch.size() - own;
  for (size_t i = 0; i < own; ++i) o.batch[added + i] = shape[i] == 1 ? 0 : strides[i];
  return o;
}

int64_t offset_of(int64_t index, std::span<const int64_t> batch, const Operand& o) {
  int64_t offset = 0;
  for (size_t d = batch.size(); d-- > 0; index /= batch[d]) offset += index % batch[d] * o.batch[d];
  return offset;
}

class AttentionKernel : public Kernel {
 public:
  AttentionKernel(const PrepareCall& call, const Pattern& p) {
    const Graph& g = call.graph;
    name = std::string("attention ") + simd::table().isa;
    const Node &first = call.head(), &last = g.node(call.nodes.back());
    const Shape& scores = g.shape(first.outputs[0]);
    const Shape& out = g.shape(last.outputs[0]);
    batch_.assign(scores.begin(), scores.end() - 2);
    rows_ = scores[scores.size() - 2];
    a_.keys = scores.back();
    a_.value_depth = out.back();
    const Shape& q = g.shape(first.inputs[0]);
    a_.depth = first.attr().b("transpose_a") ? q[q.size() - 2] : q.back();
    a_.scale = p.scale;
    const auto strided = [](const LayoutPtr& l) { return l && l->strides.empty() ? nullptr : l; };
    in_layouts.assign(call.inputs.size(), nullptr);
    in_unused.assign(call.inputs.size(), true);
    value_ = call.inputs.size() - 1;
    for (size_t i = 2; i < value_; ++i) {
      if (call.inputs[i] == p.mask) mask_ = static_cast<int>(i);
    }
    const auto use = [&](size_t i) {
      in_layouts[i] = strided(call.layouts[i]);
      in_unused[i] = false;
      return in_layouts[i];
    };
    q_ = operand(g, call.inputs[0], use(0), first.attr().b("transpose_a"), batch_);
    k_ = operand(g, call.inputs[1], use(1), !first.attr().b("transpose_b"), batch_);
    v_ = operand(g, call.inputs[value_], use(value_), last.attr().b("transpose_b"), batch_);
    if (mask_ >= 0) prepare_mask(call, use(static_cast<size_t>(mask_)));
    LayoutPtr result = layout_for_reader(call);
    if (result && result->strides.back() != 1) result = nullptr;
    out_layouts = {result};
    out_ = operand(g, call.outputs[0], result, false, batch_);
    // Query rows fall into blocks whose number and size do not depend on the threads.
    blocks_ = (rows_ + simd::table().attention_rows - 1) / simd::table().attention_rows;
    work_ = aligned(simd::table().attention_work(a_.depth, a_.value_depth));
    packed_ = aligned(simd::table().attention_packed(a_.depth, a_.value_depth, a_.keys));
    scratch_bytes = (work_ + packed_) * call.threads * static_cast<int64_t>(sizeof(float));
  }

  Status run(const RunCall& call) override {
    auto* scratch = reinterpret_cast<float*>(call.scratch);
    int64_t heads = 1;
    for (const int64_t d : batch_) heads *= d;
    const int64_t tasks = heads * blocks_;
    const int64_t parts = std::min<int64_t>(call.threads, tasks);
    parallel_for(static_cast<int>(parts), parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part)
        run_part(call, tasks * part / parts, tasks * (part + 1) / parts, scratch + part * (work_ + packed_));
    });
    return {};
  }

 private:
  static int64_t aligned(int64_t floats) { return (floats + 15) / 16 * 16; }

  void prepare_mask(const PrepareCall& call, const LayoutPtr& layout) {
    const Graph& g = call.graph;
    const Shape& own = g.shape(call.inputs[static_cast<size_t>(mask_)]);
    Shape scores = batch_;
    scores.insert(scores.end(), {rows_, a_.keys});
    const std::vector<int64_t> s = strides_towards(own, layout, scores);
    m_.batch.assign(s.begin(), s.end() - 2);
    m_.row = s[s.size() - 2];
    m_.col = s.back();
  }

  void run_part(const RunCall& call, int64_t first, int64_t last, float* room) const {
    const simd::Table& t = simd::table();
    float* packed = room + work_;
    int64_t head_packed = -1;
    for (int64_t task = first; task < last; ++task) {
      const int64_t head = task / blocks_, row = task % blocks_ * t.attention_rows;
      simd::Attention a = a_;
      a.q = call.in[0].as<float>() + offset_of(head, batch_, q_) + row * q_.row;
      a.k = call.in[1].as<float>() + offset_of(head, batch_, k_);
      a.v = call.in[value_].as<float>() + offset_of(head, batch_, v_);
      a.q_row = q_.row, a.q_col = q_.col, a.k_row = k_.row, a.k_col = k_.col, a.v_row = v_.row, a.v_col = v_.col;
      if (mask_ >= 0) {
        a.mask = call.in[static_cast<size_t>(mask_)].as<float>() + offset_of(head, batch_, m_) + row * m_.row;
        a.mask_row = m_.row, a.mask_col = m_.col;
      }
      a.out_row = out_.row;
      if (head != head_packed) t.attention_pack(a, packed);
      head_packed = head;
      float* out = call.out[0].as<float>() + offset_of(head, batch_, out_) + row * out_.row;
      t.attention(a, packed, std::min(t.attention_rows, rows_ - row), out, room);
    }
  }

  std::vector<int64_t> batch_;
  int64_t rows_ = 0, blocks_ = 0, work_ = 0, packed_ = 0;
  size_t value_ = 0;
  int mask_ = -1;
  simd::Attention a_{};
  Operand q_, k_, v_, m_, out_;
};

std::unique_ptr<Kernel> prepare(const PrepareCall& call) {
  const std::optional<Pattern> p = find(call.graph, call.nodes[0]);
  if (!p || p->nodes.size() != call.nodes.size()) return nullptr;
  return std::make_unique<AttentionKernel>(call, *p);
}

constexpr Override kRows[] = {{"matmul", "attention", accepts, absorbs, prepare}};

}  // namespace

LayoutPtr layout_for_reader(const PrepareCall& call) {
  const ValueId out = call.outputs[0];
  if (call.graph.is_output(out) || call.graph.use_count(out) != 1) return nullptr;
  const Node& n = call.graph.node(call.graph.value(out).uses[0].node);
  if (n.op->name != "transpose") return nullptr;
  return ordered_layout(call.graph.shape(out), n.attr().ints("perm"));
}

std::span<const Override> attention_overrides() { return kRows; }

}  // namespace npuport
