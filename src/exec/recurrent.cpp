// lstm, gru and rnn: the products with the input for many steps at once, then each step's product with the state and
// its gates on vectors.
#include <algorithm>

#include "exec/parallel.h"
#include "exec/simd/simd.h"
#include "exec/simd_overrides.h"

namespace npuport {

namespace {

using simd::Binary;
using simd::Unary;

enum class Cell : uint8_t { lstm, gru, rnn_tanh, rnn_relu };

constexpr int64_t kPanel = 64;       // columns of a packed panel
constexpr int64_t kRowsAtOnce = 64;  // rows of the input product: its results stay in the cache
// Multiply-adds of a step's product from which waking other threads pays.
constexpr int64_t kWorthThreads = 1 << 20;

// A matrix [n, k] as panels [n / kPanel][k][kPanel], filled up with zeros.
struct Packed {
  int64_t width = 0, depth = 0;  // width: n rounded up
  std::vector<float> data;

  Packed() = default;
  Packed(const float* w, int64_t n, int64_t k, std::span<const int64_t> strides)
      : width((n + kPanel - 1) / kPanel * kPanel), depth(k), data(static_cast<size_t>(width * k)) {
    for (int64_t i = 0; i < n; ++i) {
      float* to = data.data() + i / kPanel * kPanel * k + i % kPanel;
      for (int64_t j = 0; j < k; ++j) to[j * kPanel] = w[i * strides[0] + j * strides[1]];
    }
  }

  // y[rows, width] += x[rows, depth] · wᵀ
  void add_product(const float* x, int64_t rows, float* y, int threads) const {
    const int parts = rows * width * depth < kWorthThreads ? 1 : threads;
    parallel_for(parts, width / kPanel, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        simd::table().product(x, depth, data.data() + p * kPanel * depth, kPanel, y + p * kPanel, width, rows, kPanel,
                              depth, true);
      }
    });
  }
};

class RecurrentKernel : public Kernel {
 public:
  RecurrentKernel(const PrepareCall& call, Cell cell) : cell_(cell) {
    name = std::string("recurrent ") + simd::table().isa;
    const Shape &x = call.graph.shape(call.inputs[0]), &w = call.graph.shape(call.inputs[1]);
    const AttrView attr = call.head().attr();
    steps_ = x[0], batch_ = x[1];
    hidden_ = w[0] / (cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1);
    reverse_ = attr.b("reverse");
    lengths_ = attr.ints("lengths");
    const auto data = [&](size_t i) { return reinterpret_cast<const float*>(call.data[i]); };
    input_ = Packed(data(1), w[0], x[2], strides_in(w, call.layouts[1]));
    const Shape& hh = call.graph.shape(call.inputs[2]);
    state_ = Packed(data(2), w[0], hidden_, strides_in(hh, call.layouts[2]));
    // Both biases are added at once, but for gru, whose reset gate acts on the state's side with its bias.
    bias_.assign(static_cast<size_t>(input_.width), 0);
    state_bias_ = bias_;
    for (int64_t i = 0; i < w[0]; ++i) {
      const auto k = static_cast<size_t>(i);
      if (call.has(3)) bias_[k] = data(3)[i];
      if (call.has(4)) (cell == Cell::gru ? state_bias_ : bias_)[k] += data(4)[i];
    }
    at_once_ = std::clamp<int64_t>(kRowsAtOnce / batch_, 1, steps_);
    in_unused = {false, true, true, true, true, false, false, false};
    in_unused.resize(call.inputs.size());
    scratch_bytes =
        (at_once_ * batch_ + (cell == Cell::gru ? batch_ : 0)) * input_.width * static_cast<int64_t>(sizeof(float));
  }

  Status run(const RunCall& call) override {
    const float* x = call.in[0].as<float>();
    float *y = call.out[0].as<float>(), *h = call.out[1].as<float>();
    float* c = cell_ == Cell::lstm ? call.out[2].as<float>() : nullptr;
    start(call, 5, h);
    if (c) start(call, 6, c);
    auto* gates = reinterpret_cast<float*>(call.scratch);
    float* fresh = gates + at_once_ * batch_ * input_.width;  // gru: the state's products
    for (int64_t done = 0; done < steps_; done += at_once_) {
      const int64_t some = std::min(at_once_, steps_ - done), first = reverse_ ? steps_ - done - some : done;
      fill(gates, some * batch_, bias_);
      input_.add_product(x + first * batch_ * input_.depth, some * batch_, gates, call.threads);
      for (int64_t i = 0; i < some; ++i) {
        const int64_t at = reverse_ ? some - 1 - i : i;
        step(gates + at * batch_ * input_.width, fresh, h, c, first + at, y, call.threads);
      }
    }
    return {};
  }

 private:
  void start(const RunCall& call, size_t input, float* state) const {
    const int64_t count = batch_ * hidden_;
    if (input < call.in.size() && call.in[input].present())
      std::copy_n(call.in[input].as<float>(), count, state);
    else
      std::fill_n(state, count, 0.0F);
  }

  void fill(float* rows, int64_t n, const std::vector<float>& bias) const {
    for (int64_t i = 0; i < n; ++i) std::copy(bias.begin(), bias.end(), rows + i * input_.width);
  }

  // `gates` holds the products with the input of step t; h and c are the state before and after.
  void step(float* gates, float* fresh, float* h, float* c, int64_t t, float* y, int threads) const {
    if (cell_ == Cell::gru) fill(fresh, batch_, state_bias_);
    state_.add_product(h, batch_, cell_ == Cell::gru ? fresh : gates, threads);
    for (int64_t n = 0; n < batch_; ++n) {
      float *to = y + (t * batch_ + n) * hidden_, *state = h + n * hidden_;
      if (!lengths_.empty() && t >= lengths_[static_cast<size_t>(n)]) {
        std::fill_n(to, hidden_, 0.0F);
        continue;
      }
      float* g = gates + n * input_.width;
      if (cell_ == Cell::lstm)
        step_lstm(g, state, c + n * hidden_);
      else if (cell_ == Cell::gru)
        step_gru(g, fresh + n * input_.width, state);
      else
        simd::table().unary(cell_ == Cell::rnn_tanh ? Unary::tanh : Unary::relu, g, state, hidden_, 0, 0);
      std::copy_n(state, hidden_, to);
    }
  }

  // Gates i, f, g, o.
  void step_lstm(float* a, float* h, float* c) const {
    const simd::Table& s = simd::table();
    const int64_t n = hidden_;
    s.unary(Unary::sigmoid, a, a, 2 * n, 0, 0);
    s.unary(Unary::tanh, a + 2 * n, a + 2 * n, n, 0, 0);
    s.unary(Unary::sigmoid, a + 3 * n, a + 3 * n, n, 0, 0);
    s.binary(Binary::mul, a + n, 1, c, 1, c, n);
    s.binary(Binary::mul, a, 1, a + 2 * n, 1, a, n);
    s.binary(Binary::add, c, 1, a, 1, c, n);
    s.unary(Unary::tanh, c, h, n, 0, 0);
    s.binary(Binary::mul, h, 1, a + 3 * n, 1, h, n);
  }

  // Gates r, z, n: h = n + z·(h − n).
  void step_gru(float* a, float* b, float* h) const {
    const simd::Table& s = simd::table();
    const int64_t n = hidden_;
    s.binary(Binary::add, a, 1, b, 1, a, 2 * n);
    s.unary(Unary::sigmoid, a, a, 2 * n, 0, 0);
    s.binary(Binary::mul, b + 2 * n, 1, a, 1, b + 2 * n, n);
    s.binary(Binary::add, a + 2 * n, 1, b + 2 * n, 1, a + 2 * n, n);
    s.unary(Unary::tanh, a + 2 * n, a + 2 * n, n, 0, 0);
    s.binary(Binary::sub, h, 1, a + 2 * n, 1, h, n);
    s.binary(Binary::mul, h, 1, a + n, 1, h, n);
    s.binary(Binary::add, h, 1, a + 2 * n, 1, h, n);
  }

  Cell cell_;
  int64_t steps_ = 0, batch_ = 0, hidden_ = 0, at_once_ = 1;
  bool reverse_ = false;
  Ints lengths_;
  Packed input_, state_;
  std::vector<float> bias_, state_bias_;
};

// No projection of the state; outputs of no elements stay with the row.
bool accepts(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  if (n.inputs.size() > 7 && n.inputs[7].valid()) return false;
  const auto fits = [&](ValueId v) {
    return !v.valid() || (g.type(v).dtype == DType::f32 && element_count(g.shape(v)) > 0);
  };
  return std::all_of(n.inputs.begin(), n.inputs.end(), fits) && std::all_of(n.outputs.begin(), n.outputs.end(), fits);
}

std::unique_ptr<Kernel> prepare(const PrepareCall& call) {
  for (size_t i = 1; i <= 4; ++i) {
    if (call.has(i) && (!call.constant(i) || (i > 2 && call.layouts[i]))) return nullptr;
  }
  const Node& n = call.head();
  const Cell cell = n.op->name == "lstm"                   ? Cell::lstm
                    : n.op->name == "gru"                  ? Cell::gru
                    : n.attr().s("nonlinearity") == "relu" ? Cell::rnn_relu
                                                           : Cell::rnn_tanh;
  return std::make_unique<RecurrentKernel>(call, cell);
}

constexpr Override kRows[] = {
    {"lstm", "simd", accepts, nullptr, prepare},
    {"gru", "simd", accepts, nullptr, prepare},
    {"rnn", "simd", accepts, nullptr, prepare},
};

}  // namespace

std::span<const Override> recurrent_overrides() { return kRows; }

}  // namespace npuport
