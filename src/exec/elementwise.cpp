// Elementwise operators on f32: one pass over memory in whatever dense order it comes.
#include <cmath>
#include <optional>

#include "exec/row_loop.h"
#include "exec/simd/simd.h"
#include "exec/simd_overrides.h"

namespace npuport {

namespace {

using simd::Binary;
using simd::Unary;

bool is_f32(const Graph& g, ValueId v) {
  return v.valid() && g.type(v).dtype == DType::f32 && element_count(g.shape(v)) > 0;
}

bool blocked(const LayoutPtr& l) { return l && l->strides.empty(); }

// ---- one operand
// -----------------------------------------------------------------------------------------------------

struct UnaryCall {
  Unary f;
  float a = 0, b = 0;
};

struct UnaryName {
  std::string_view op;
  Unary f;
};
constexpr UnaryName kPlain[] = {
    {"neg", Unary::neg},
    {"abs", Unary::abs},
    {"square", Unary::square},
    {"sqrt", Unary::sqrt},
    {"rsqrt", Unary::rsqrt},
    {"reciprocal", Unary::reciprocal},
    {"exp", Unary::exp},
    {"log", Unary::log},
    {"relu", Unary::relu},
    {"tanh", Unary::tanh},
    {"sigmoid", Unary::sigmoid},
    {"erf", Unary::erf},
    {"silu", Unary::silu},
    {"hard_swish", Unary::hard_swish},
    {"hard_sigmoid", Unary::hard_sigmoid},
};

UnaryCall unary_of(const Node& n) {
  const std::string_view op = n.op->name;
  const AttrView attr = n.attr();
  for (const UnaryName& row : kPlain) {
    if (row.op == op) return {row.f};
  }
  if (op == "gelu") return {attr.s("approximate") == "tanh" ? Unary::gelu_tanh : Unary::gelu};
  if (op == "clamp") return {Unary::clamp, static_cast<float>(attr.f("min")), static_cast<float>(attr.f("max"))};
  return {op == "elu" ? Unary::elu : Unary::leaky_relu, static_cast<float>(attr.f("alpha"))};
}

class UnaryKernel : public Kernel {
 public:
  UnaryKernel(UnaryCall f, int64_t count) : f_(f), count_(count) { name = simd::table().isa; }

  Status run(const RunCall& call) override {
    const float* x = call.in[0].as<float>();
    float* y = call.out[0].as<float>();
    parallel_for(count_ < 16384 ? 1 : call.threads, count_, 1024, [&](int64_t begin, int64_t end) {
      simd::table().unary(f_.f, x + begin, y + begin, end - begin, f_.a, f_.b);
    });
    return {};
  }

 private:
  UnaryCall f_;
  int64_t count_;
};

bool accepts_unary(const Graph& g, NodeId id) { return is_f32(g, g.node(id).inputs[0]); }

std::unique_ptr<Kernel> prepare_unary(const PrepareCall& call) {
  auto kernel = std::make_unique<UnaryKernel>(unary_of(call.head()), element_count(call.graph.shape(call.outputs[0])));
  const LayoutPtr layout = call.layouts[0] && call.layouts[0]->dense ? call.layouts[0] : nullptr;
  kernel->in_layouts = {layout};
  kernel->out_layouts = {layout};
  kernel->share_input = 0;
  return kernel;
}

// ---- two operands
// ----------------------------------------------------------------------------------------------------

std::optional<Binary> binary_of(std::string_view op) {
  if (op == "add") return Binary::add;
  if (op == "sub") return Binary::sub;
  if (op == "mul") return Binary::mul;
  if (op == "div") return Binary::div;
  if (op == "maximum") return Binary::maximum;
  if (op == "minimum") return Binary::minimum;
  if (op == "squared_difference") return Binary::squared_difference;
  return std::nullopt;
}

// The layout an elementwise result takes, and what each operand must come in: that of the first dense full-size
// operand; others are read through their own strides.
struct Layouts {
  std::vector<LayoutPtr> in;
  LayoutPtr out;
};

// Whether the result is needed plain, so that turning it would only be put off.
bool read_plain(const PrepareCall& call) {
  if (call.graph.is_output(call.outputs[0])) return true;
  const auto uses = call.graph.value(call.outputs[0]).uses;
  return std::any_of(uses.begin(), uses.end(), [&](const Use& u) {
    const std::string_view op = call.graph.node(u.node).op->name;
    return op == "linear" || op == "layer_norm" || op == "rms_norm";
  });
}

// Whether walking `layout` in the order of `out` jumps at each step.
bool crosses(const Shape& shape, const LayoutPtr& layout, const LayoutPtr& out) {
  const std::vector<int64_t> from = strides_in(shape, layout), to = strides_in(shape, out);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1 && to[i] == 1) return from[i] > 1;
  }
  return false;
}

Layouts choose_layouts(const PrepareCall& call, size_t first) {
  const Shape& shape = call.graph.shape(call.outputs[0]);
  Layouts l;
  l.in.assign(call.layouts.begin(), call.layouts.end());
  const auto full = [&](size_t i) { return call.graph.shape(call.inputs[i]) == shape; };
  bool plain = false;
  for (size_t i = first; i < l.in.size(); ++i) plain = plain || (full(i) && !l.in[i]);
  for (size_t i = first; i < l.in.size() && !l.out && !(plain && read_plain(call)); ++i) {
    if (full(i) && l.in[i] && l.in[i]->dense) l.out = l.in[i];
  }
  if (blocked(l.out)) {
    for (size_t i = 0; i < l.in.size(); ++i) {
      if (!full(i) && element_count(call.graph.shape(call.inputs[i])) != 1) l.out = nullptr;
      if (call.type(i).dtype != DType::f32) l.out = nullptr;
    }
  }
  for (size_t i = 0; i < l.in.size(); ++i) {
    if (full(i) && blocked(l.out)) l.in[i] = l.out;
    if (blocked(l.in[i]) && !blocked(l.out)) l.in[i] = nullptr;
    // Turning a whole operand first is faster than reading it across.
    if (i >= first && full(i) && !blocked(l.out) && crosses(shape, l.in[i], l.out)) l.in[i] = l.out;
  }
  return l;
}

// Copies a strided piece of a row where the operand is neither contiguous nor constant along it.
template <class T>
const T* gathered(const T* x, int64_t step, int64_t count, T* room, int64_t& new_step) {
  new_step = step;
  if (step == 0 || step == 1) return x;
  for (int64_t i = 0; i < count; ++i) room[i] = x[i * step];
  new_step = 1;
  return room;
}

constexpr int64_t kPiece = 2048;

class BinaryKernel : public Kernel {
 public:
  BinaryKernel(Binary f, const PrepareCall& call, const Layouts& l) : f_(f) {
    name = simd::table().isa;
    in_layouts = l.in;
    out_layouts = {l.out};
    const Shape& shape = call.graph.shape(call.outputs[0]);
    if (blocked(l.out)) {  // same memory order everywhere: one long row
      const int64_t count = element_count(shape);
      const auto step = [&](size_t i) -> int64_t { return blocked(l.in[i]) ? 1 : 0; };
      loop_.inner = {count, {1, step(0), step(1)}};
    } else {
      loop_ = RowLoop<3>(shape,
                         {strides_in(shape, l.out), strides_towards(call.graph.shape(call.inputs[0]), l.in[0], shape),
                          strides_towards(call.graph.shape(call.inputs[1]), l.in[1], shape)});
    }
    for (int i = 0; i < 2 && share_input < 0; ++i) {
      const auto k = static_cast<size_t>(i);
      if (call.graph.shape(call.inputs[k]) == shape && same_layout(l.in[k], l.out)) share_input = i;
    }
  }

  Status run(const RunCall& call) override {
    const float *a = call.in[0].as<float>(), *b = call.in[1].as<float>();
    float* y = call.out[0].as<float>();
    const auto& step = loop_.inner.step;
    loop_.run(call.threads, [&](const std::array<int64_t, 3>& at, int64_t first, int64_t count) {
      if (step[1] <= 1 && step[2] <= 1) {
        simd::table().binary(f_, a + at[1] + first * step[1], step[1], b + at[2] + first * step[2], step[2],
                             y + at[0] + first, count);
        return;
      }
      float ra[kPiece], rb[kPiece];
      for (int64_t i = first; i < first + count; i += kPiece) {
        const int64_t n = std::min(kPiece, first + count - i);
        int64_t sa = 0, sb = 0;
        const float* pa = gathered(a + at[1] + i * step[1], step[1], n, ra, sa);
        const float* pb = gathered(b + at[2] + i * step[2], step[2], n, rb, sb);
        simd::table().binary(f_, pa, sa, pb, sb, y + at[0] + i, n);
      }
    });
    return {};
  }

 private:
  Binary f_;
  RowLoop<3> loop_;
};

bool accepts_binary(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  return is_f32(g, n.inputs[0]) && is_f32(g, n.inputs[1]) && is_f32(g, n.outputs[0]);
}

std::unique_ptr<Kernel> prepare_binary(const PrepareCall& call) {
  return std::make_unique<BinaryKernel>(*binary_of(call.head().op->name), call, choose_layouts(call, 0));
}

// ---- pow with a constant exponent
// --------------------------------------------------------------------------------------

std::optional<UnaryCall> power_of(const Graph& g, const Node& n) {
  const Tensor* e = g.value(n.inputs[1]).constant.get();
  if (!e || e->count() != 1 || e->dtype != DType::f32) return std::nullopt;
  const float p = e->as<float>()[0];
  if (p == 2) return UnaryCall{Unary::square};
  if (p == 0.5F) return UnaryCall{Unary::sqrt};
  if (p == -0.5F) return UnaryCall{Unary::rsqrt};
  if (p == -1) return UnaryCall{Unary::reciprocal};
  return std::nullopt;
}

bool accepts_pow(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  return is_f32(g, n.inputs[0]) && g.type(n.inputs[0]) == g.type(n.outputs[0]) && power_of(g, n).has_value();
}

std::unique_ptr<Kernel> prepare_pow(const PrepareCall& call) {
  auto kernel = std::make_unique<UnaryKernel>(*power_of(call.graph, call.head()),
                                              element_count(call.graph.shape(call.outputs[0])));
  const LayoutPtr layout = call.layouts[0] && call.layouts[0]->dense ? call.layouts[0] : nullptr;
  kernel->in_layouts = {layout, nullptr};
  kernel->in_unused = {false, true};
  kernel->out_layouts = {layout};
  kernel->share_input = 0;
  return kernel;
}

// ---- where
// -------------------------------------------------------------------------------------------------------------

class WhereKernel : public Kernel {
 public:
  WhereKernel(const PrepareCall& call, const Layouts& l) {
    name = simd::table().isa;
    in_layouts = l.in;
    out_layouts = {l.out};
    const Shape& shape = call.graph.shape(call.outputs[0]);
    const auto towards = [&](size_t i) { return strides_towards(call.graph.shape(call.inputs[i]), l.in[i], shape); };
    loop_ = RowLoop<4>(shape, {strides_in(shape, l.out), towards(0), towards(1), towards(2)});
  }

  Status run(const RunCall& call) override {
    const auto* c = call.in[0].as<uint8_t>();
    const float *a = call.in[1].as<float>(), *b = call.in[2].as<float>();
    float* y = call.out[0].as<float>();
    const auto& s = loop_.inner.step;
    loop_.run(call.threads, [&](const std::array<int64_t, 4>& at, int64_t first, int64_t count) {
      simd::table().select(c + at[1] + first * s[1], s[1], a + at[2] + first * s[2], s[2], b + at[3] + first * s[3],
                           s[3], y + at[0] + first, count);
    });
    return {};
  }

 private:
  RowLoop<4> loop_;
};

bool accepts_where(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  return is_f32(g, n.inputs[1]) && is_f32(g, n.outputs[0]);
}

std::unique_ptr<Kernel> prepare_where(const PrepareCall& call) {
  return std::make_unique<WhereKernel>(call, choose_layouts(call, 1));
}

// ---- batch_norm on its own
// -----------------------------------------------------------------------------------------------

std::vector<float> vector_of(const PrepareCall& call, std::string_view port, float fill, size_t count) {
  const Node& n = call.head();
  for (size_t i = 0; i < n.inputs.size(); ++i) {
    if (n.op->in[i].name != port || !call.has(i)) continue;
    const auto* p = reinterpret_cast<const float*>(call.data[i]);
    return {p, p + count};
  }
  return std::vector<float>(count, fill);
}

class ScaleKernel : public Kernel {
 public:
  ScaleKernel(const PrepareCall& call, size_t axis) {
    name = simd::table().isa;
    const Shape& shape = call.graph.shape(call.outputs[0]);
    const auto channels = static_cast<size_t>(shape[axis]);
    const LayoutPtr layout =
        call.layouts[0] && call.layouts[0]->dense && !blocked(call.layouts[0]) ? call.layouts[0] : nullptr;
    in_layouts.assign(call.inputs.size(), nullptr);
    in_unused.assign(call.inputs.size(), true);
    in_unused[0] = false;
    in_layouts[0] = layout;
    out_layouts = {layout};
    share_input = 0;
    std::vector<int64_t> per_channel(shape.size(), 0);
    per_channel[axis] = 1;
    loop_ = RowLoop<2>(shape, {strides_in(shape, layout), per_channel});
    const auto mean = vector_of(call, "mean", 0, channels), var = vector_of(call, "var", 1, channels);
    const auto weight = vector_of(call, "weight", 1, channels), bias = vector_of(call, "bias", 0, channels);
    for (size_t c = 0; c < channels; ++c) {
      const double scale = weight[c] / std::sqrt(static_cast<double>(var[c]) + call.head().attr().f("eps"));
      scale_.push_back(static_cast<float>(scale));
      shift_.push_back(static_cast<float>(bias[c] - mean[c] * scale));
    }
  }

  Status run(const RunCall& call) override {
    const float* x = call.in[0].as<float>();
    float* y = call.out[0].as<float>();
    const int64_t step = loop_.inner.step[1];
    loop_.run(call.threads, [&](const std::array<int64_t, 2>& at, int64_t first, int64_t count) {
      const float* from = x + at[0] + first;
      float* to = y + at[0] + first;
      const auto channel = static_cast<size_t>(at[1] + first * step);
      if (step == 0) {
        simd::table().unary(Unary::scale_shift, from, to, count, scale_[channel], shift_[channel]);
        return;
      }
      simd::table().binary(Binary::mul, from, 1, &scale_[channel], 1, to, count);
      simd::table().binary(Binary::add, to, 1, &shift_[channel], 1, to, count);
    });
    return {};
  }

 private:
  RowLoop<2> loop_;
  std::vector<float> scale_, shift_;
};

bool accepts_batch_norm(const Graph& g, NodeId id) { return is_f32(g, g.node(id).inputs[0]); }

std::unique_ptr<Kernel> prepare_batch_norm(const PrepareCall& call) {
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    if (call.has(i) && (!call.constant(i) || call.layouts[i])) return nullptr;
  }
  const int64_t axis = call.head().attr().i("axis"),
                rank = static_cast<int64_t>(call.graph.shape(call.outputs[0]).size());
  return std::make_unique<ScaleKernel>(call, static_cast<size_t>(axis < 0 ? axis + rank : axis));
}

constexpr Override unary_row(std::string_view op) { return {op, "simd", accepts_unary, nullptr, prepare_unary}; }
constexpr Override binary_row(std::string_view op) { return {op, "simd", accepts_binary, nullptr, prepare_binary}; }

constexpr Override kRows[] = {
    unary_row("neg"),
    unary_row("abs"),
    unary_row("square"),
    unary_row("sqrt"),
    unary_row("rsqrt"),
    unary_row("reciprocal"),
    unary_row("exp"),
    unary_row("log"),
    unary_row("relu"),
    unary_row("tanh"),
    unary_row("sigmoid"),
    unary_row("erf"),
    unary_row("silu"),
    unary_row("hard_swish"),
    unary_row("hard_sigmoid"),
    unary_row("gelu"),
    unary_row("clamp"),
    unary_row("elu"),
    unary_row("leaky_relu"),
    binary_row("add"),
    binary_row("sub"),
    binary_row("mul"),
    binary_row("div"),
    binary_row("maximum"),
    binary_row("minimum"),
    binary_row("squared_difference"),
    {"pow", "simd", accepts_pow, nullptr, prepare_pow},
    {"where", "simd", accepts_where, nullptr, prepare_where},
    {"batch_norm", "simd", accepts_batch_norm, nullptr, prepare_batch_norm},
};

}  // namespace

std::vector<int64_t> strides_towards(std::span<const int64_t> own, const LayoutPtr& layout,
                                     std::span<const int64_t> shape) {
  const std::vector<int64_t> strides = strides_in(own, layout);
  std::vector<int64_t> out(shape.size(), 0);
  const size_t added = shape.size() - own.size();
  for (size_t i = 0; i < own.size(); ++i) out[added + i] = own[i] == 1 ? 0 : strides[i];
  return out;
}

std::span<const Override> elementwise_overrides() { return kRows; }

}  // namespace npuport
