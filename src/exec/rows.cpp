// Operators that work along rows: softmax, normalisations, means and sums.
#include <algorithm>
#include <numeric>
#include <optional>

#include "exec/parallel.h"
#include "exec/simd/simd.h"
#include "exec/simd_overrides.h"

namespace npuport {

namespace {

bool is_f32(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  return g.type(n.inputs[0]).dtype == DType::f32 && element_count(g.shape(n.inputs[0])) > 0;
}

size_t positive(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

// The input's own layout when its rows along the last `inner` dimensions are contiguous, else one that makes them so.
LayoutPtr rows_layout(const Shape& shape, const LayoutPtr& given, std::span<const int64_t> inner) {
  const std::vector<int64_t> strides = strides_in(shape, given);
  bool fits = !given || (given->dense && !given->strides.empty());
  int64_t next = 1;
  for (size_t i = inner.size(); i-- > 0 && fits;) {
    const auto axis = static_cast<size_t>(inner[i]);
    fits = shape[axis] == 1 || strides[axis] == next;
    next *= shape[axis];
  }
  if (fits) return given;
  Ints order;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) {
    if (std::find(inner.begin(), inner.end(), i) == inner.end()) order.push_back(i);
  }
  order.insert(order.end(), inner.begin(), inner.end());
  return ordered_layout(shape, order);
}

// ---- softmax
// -----------------------------------------------------------------------------------------------------------

class SoftmaxKernel : public Kernel {
 public:
  SoftmaxKernel(int64_t rows, int64_t columns, bool log) : rows_(rows), columns_(columns), log_(log) {
    name = simd::table().isa;
  }
  Status run(const RunCall& call) override {
    const float* x = call.in[0].as<float>();
    float* y = call.out[0].as<float>();
    parallel_for(rows_ * columns_ < 8192 ? 1 : call.threads, rows_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) simd::table().softmax(x + r * columns_, y + r * columns_, columns_, log_);
    });
    return {};
  }

 private:
  int64_t rows_, columns_;
  bool log_;
};

std::unique_ptr<Kernel> prepare_softmax(const PrepareCall& call) {
  const Shape& shape = call.graph.shape(call.inputs[0]);
  if (shape.empty()) return nullptr;
  const size_t axis = positive(call.head().attr().i("axis"), shape.size());
  const int64_t inner[] = {static_cast<int64_t>(axis)};
  auto kernel = std::make_unique<SoftmaxKernel>(element_count(shape) / shape[axis], shape[axis],
                                                call.head().op->name == "log_softmax");
  const LayoutPtr layout = rows_layout(shape, call.layouts[0], inner);
  kernel->in_layouts = {layout};
  kernel->out_layouts = {layout};
  kernel->share_input = 0;
  return kernel;
}

// ---- layer_norm, rms_norm
// ------------------------------------------------------------------------------------------------

class NormKernel : public Kernel {
 public:
  NormKernel(int64_t rows, int64_t columns, float eps, bool centred)
      : rows_(rows), columns_(columns), eps_(eps), centred_(centred) {
    name = simd::table().isa;
  }
  Status run(const RunCall& call) override {
    const float* x = call.in[0].as<float>();
    const float* w = call.in.size() > 1 && call.in[1].present() ? call.in[1].as<float>() : nullptr;
    const float* b = call.in.size() > 2 && call.in[2].present() ? call.in[2].as<float>() : nullptr;
    float* y = call.out[0].as<float>();
    parallel_for(rows_ * columns_ < 16384 ? 1 : call.threads, rows_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        simd::table().norm(x + r * columns_, w, b, y + r * columns_, columns_, eps_, centred_);
    });
    return {};
  }

 private:
  int64_t rows_, columns_;
  float eps_;
  bool centred_;
};

std::unique_ptr<Kernel> prepare_norm(const PrepareCall& call) {
  const Shape& shape = call.graph.shape(call.inputs[0]);
  const AttrView attr = call.head().attr();
  const auto rank = static_cast<int64_t>(shape.size());
  Ints inner(static_cast<size_t>(attr.i("normalized_rank")));
  std::iota(inner.begin(), inner.end(), rank - static_cast<int64_t>(inner.size()));
  int64_t columns = 1;
  for (const int64_t axis : inner) columns *= shape[static_cast<size_t>(axis)];
  auto kernel = std::make_unique<NormKernel>(element_count(shape) / columns, columns, static_cast<float>(attr.f("eps")),
                                             call.head().op->name == "layer_norm");
  const LayoutPtr layout = rows_layout(shape, call.layouts[0], inner);
  kernel->in_layouts.assign(call.inputs.size(), nullptr);
  kernel->in_layouts[0] = layout;
  kernel->out_layouts = {layout};
  kernel->share_input = 0;
  return kernel;
}

// ---- reduce_mean, reduce_sum
// ---------------------------------------------------------------------------------------------

// The input as [outer kept][reduced][inner kept] in memory order.
struct Reduction {
  int64_t outer = 1, reduced = 1, inner = 1;
};

// nullopt when reduced and kept dimensions alternate, or kept ones are out of order.
std::optional<Reduction> reduction_of(const Shape& shape, const LayoutPtr& layout, const std::vector<bool>& gone) {
  const std::vector<int64_t> strides = strides_in(shape, layout);
  std::vector<size_t> order;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return strides[a] > strides[b]; });
  Reduction r;
  int phase = 0;  // 0: outer kept, 1: reduced, 2: inner kept
  size_t last_kept = 0;
  for (const size_t axis : order) {
    if (gone[axis]) {
      if (phase == 2) return std::nullopt;
      phase = 1;
      r.reduced *= shape[axis];
      continue;
    }
    if (axis < last_kept) return std::nullopt;
    last_kept = axis;
    if (phase == 1) phase = 2;
    (phase == 0 ? r.outer : r.inner) *= shape[axis];
  }
  return r;
}

class ReduceKernel : public Kernel {
 public:
  ReduceKernel(Reduction r, float scale) : r_(r), scale_(scale) { name = simd::table().isa; }
  Status run(const RunCall& call) override {
    const float* x = call.in[0].as<float>();
    float* y = call.out[0].as<float>();
    const int parts = r_.outer * r_.reduced * r_.inner < 32768 ? 1 : call.threads;
    if (r_.inner == 1) {
      parallel_for(parts, r_.outer, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) y[i] = simd::table().sum(x + i * r_.reduced, r_.reduced) * scale_;
      });
      return {};
    }
    parallel_for(parts, r_.outer, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* to = y + i * r_.inner;
        std::fill_n(to, r_.inner, 0.0F);
        for (int64_t k = 0; k < r_.reduced; ++k)
          simd::table().accumulate(x + (i * r_.reduced + k) * r_.inner, to, r_.inner);
        simd::table().unary(simd::Unary::scale_shift, to, to, r_.inner, scale_, 0);
      }
    });
    return {};
  }

 private:
  Reduction r_;
  float scale_;
};

// A running f32 sum over many elements loses digits that the row's double keeps.
constexpr int64_t kLongest = 4096;

std::unique_ptr<Kernel> prepare_reduce(const PrepareCall& call) {
  const Shape& shape = call.graph.shape(call.inputs[0]);
  std::vector<bool> gone(shape.size(), false);
  for (const int64_t axis : call.head().attr().ints("axes")) gone[positive(axis, shape.size())] = true;
  LayoutPtr layout =
      call.layouts[0] && call.layouts[0]->dense && !call.layouts[0]->strides.empty() ? call.layouts[0] : nullptr;
  std::optional<Reduction> r = reduction_of(shape, layout, gone);
  if (!r && layout) {
    layout = nullptr;
    r = reduction_of(shape, layout, gone);
  }
  if (!r || (r->inner > 1 && r->reduced > kLongest)) return nullptr;
  const float scale = call.head().op->name == "reduce_mean" ? 1 / static_cast<float>(r->reduced) : 1;
  auto kernel = std::make_unique<ReduceKernel>(*r, scale);
  kernel->in_layouts = {layout};
  return kernel;
}

// ---- linear of a single row
// ----------------------------------------------------------------------------------------------

class DotsKernel : public Kernel {
 public:
  DotsKernel(const float* weight, int64_t n, int64_t depth) : weight_(weight), n_(n), depth_(depth) {
    name = std::string("dots ") + simd::table().isa;
  }
  Status run(const RunCall& call) override {
    const float* x = call.in[0].as<float>();
    const float* b = call.in.size() > 2 && call.in[2].present() ? call.in[2].as<float>() : nullptr;
    float* y = call.out[0].as<float>();
    // Pieces of four rows, so that threads do not change which rows are summed together.
    parallel_for(n_ * depth_ < 65536 ? 1 : call.threads, n_, 4, [&](int64_t begin, int64_t end) {
      simd::table().dots(weight_ + begin * depth_, depth_, x, b ? b + begin : nullptr, y + begin, end - begin, depth_);
    });
    return {};
  }

 private:
  const float* weight_;  // lives as long as the graph
  int64_t n_, depth_;
};

bool accepts_one_row(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  const Shape& x = g.shape(n.inputs[0]);
  return is_f32(g, id) && g.type(n.inputs[1]).dtype == DType::f32 && n.attr().s("activation") == "none" &&
         element_count(x) == x.back() && element_count(g.shape(n.outputs[0])) > 0;
}

// Reading the weights is all the time it takes: they stay where they are, unpacked.
std::unique_ptr<Kernel> prepare_one_row(const PrepareCall& call) {
  if (!call.constant(1) || call.layouts[1]) return nullptr;
  const Shape& w = call.graph.shape(call.inputs[1]);
  auto kernel = std::make_unique<DotsKernel>(reinterpret_cast<const float*>(call.data[1]), w[0], w[1]);
  kernel->in_unused = {false, true, false};
  return kernel;
}

constexpr Override kRows[] = {
    {"linear", "simd", accepts_one_row, nullptr, prepare_one_row},
    {"softmax", "simd", is_f32, nullptr, prepare_softmax},
    {"log_softmax", "simd", is_f32, nullptr, prepare_softmax},
    {"layer_norm", "simd", is_f32, nullptr, prepare_norm},
    {"rms_norm", "simd", is_f32, nullptr, prepare_norm},
    {"reduce_mean", "simd", is_f32, nullptr, prepare_reduce},
    {"reduce_sum", "simd", is_f32, nullptr, prepare_reduce},
};

}  // namespace

std::span<const Override> row_overrides() { return kRows; }

}  // namespace npuport
