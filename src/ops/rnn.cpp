// Recurrent layers: lstm, gru, rnn. One layer, one direction; time first.
#include "ops/rnn.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/diag_codes.h"
#include "ir/op_def.h"
#include "ops/support/compute.h"
#include "ops/support/gemm.h"

namespace npuport {
namespace {

constexpr PortDef kLstmIn[] = {{"x"},
                               {"w_ih"},
                               {"w_hh"},
                               {"b_ih", Port::optional},
                               {"b_hh", Port::optional},
                               {"h0", Port::optional},
                               {"c0", Port::optional},
                               {"w_hr", Port::optional}};
constexpr PortDef kIn[] = {
    {"x"}, {"w_ih"}, {"w_hh"}, {"b_ih", Port::optional}, {"b_hh", Port::optional}, {"h0", Port::optional}};
constexpr PortDef kLstmOut[] = {{"y"}, {"h"}, {"c"}};
constexpr PortDef kOut[] = {{"y"}, {"h"}};
constexpr AttrDef kReverse = {"reverse", AttrKind::boolean, "false", "run from the last step to the first"};
constexpr AttrDef kLengths = {"lengths", AttrKind::integers, "[]",
                              "steps per batch element; empty = all. Later steps give 0 and leave the state alone"};
constexpr AttrDef kAttrs[] = {kReverse, kLengths};
constexpr AttrDef kRnnAttrs[] = {kReverse, kLengths, {"nonlinearity", AttrKind::string, "\"tanh\"", "tanh or relu"}};

// Gates per hidden unit.
int64_t gates_of(std::string_view op) { return op == "lstm" ? 4 : op == "gru" ? 3 : 1; }

struct Sizes {
  int64_t steps, batch, input, hidden, output;  // output = size of h: hidden, or the projection's
};

Status expect_shape(const InferCall& c, size_t i, const Shape& wanted) {
  if (!c.has(i)) return {};
  if (c.in[i]->dtype != c.in[0]->dtype) {
    return Diag(diag::dtype_mismatch, fmt::format("{}: {} is {}, but x is {}", c.op.name, c.op.in[i].name,
                                                  to_string(*c.in[i]), to_string(*c.in[0])));
  }
  if (c.in[i]->shape == wanted) return {};
  return Diag(diag::shape_mismatch, fmt::format("{}: {} is {}, but needs shape {}", c.op.name, c.op.in[i].name,
                                                to_string(*c.in[i]), to_string(wanted)));
}

Status check_attrs(const InferCall& c, const Sizes& s) {
  const Ints& lengths = c.attrs.ints("lengths");
  const bool fits = std::all_of(lengths.begin(), lengths.end(), [&](int64_t n) { return n >= 0 && n <= s.steps; });
  if (!fits || (!lengths.empty() && static_cast<int64_t>(lengths.size()) != s.batch)) {
    return Diag(diag::bad_attribute,
                fmt::format("{}: lengths do not fit {} steps and batch {}", c.op.name, s.steps, s.batch));
  }
  if (c.op.name == "rnn" && c.attrs.s("nonlinearity") != "tanh" && c.attrs.s("nonlinearity") != "relu") {
    return Diag(diag::bad_attribute, fmt::format("rnn: nonlinearity \"{}\"", c.attrs.s("nonlinearity")));
  }
  return {};
}

Result<std::vector<TensorType>> infer(const InferCall& c) {
  const TensorType &x = *c.in[0], &w = *c.in[1];
  const int64_t gates = gates_of(c.op.name);
  if (x.shape.size() != 3 || w.shape.size() != 2 || w.shape[0] % gates != 0 || w.shape[1] != x.shape[2]) {
    return Diag(diag::shape_mismatch, fmt::format("{}: w_ih {} must be [{} * hidden, inputs] for x {} [steps, batch, "
                                                  "inputs]",
                                                  c.op.name, to_string(w), gates, to_string(x)));
  }
  if (!is_float(x.dtype)) {
    return Diag(diag::dtype_mismatch, fmt::format("{}: x is {}, a float type is needed", c.op.name, to_string(x)));
  }
  Sizes s{x.shape[0], x.shape[1], x.shape[2], w.shape[0] / gates, w.shape[0] / gates};
  if (c.has(7) && !c.in[7]->shape.empty()) s.output = c.in[7]->shape[0];
  NPU_TRY(expect_shape(c, 1, {gates * s.hidden, s.input}));
  NPU_TRY(expect_shape(c, 2, {gates * s.hidden, s.output}));
  NPU_TRY(expect_shape(c, 3, {gates * s.hidden}));
  NPU_TRY(expect_shape(c, 4, {gates * s.hidden}));
  NPU_TRY(expect_shape(c, 5, {s.batch, s.output}));
  NPU_TRY(expect_shape(c, 6, {s.batch, s.hidden}));
  NPU_TRY(expect_shape(c, 7, {s.output, s.hidden}));
  NPU_TRY(check_attrs(c, s));
  std::vector<TensorType> out{{x.dtype, {s.steps, s.batch, s.output}, nullptr},
                              {x.dtype, {s.batch, s.output}, nullptr}};
  if (c.op.out.size() == 3) out.push_back({x.dtype, {s.batch, s.hidden}, nullptr});
  return out;
}

int64_t macs(const InferCall& c, std::span<const TensorType> out) {
  const int64_t rows = out[0].shape[0] * out[0].shape[1];
  int64_t n = element_count(c.in[1]->shape) + element_count(c.in[2]->shape);
  if (c.has(7)) n += element_count(c.in[7]->shape);
  return rows * n;
}

template <class T>
T sigmoid(T v) {
  return T(1) / (T(1) + std::exp(-v));
}

// One batch row: xi and hi are the projections of the input and of the state (biases included).
template <class T>
void step_lstm(const T* xi, const T* hi, int64_t hidden, T* h, T* c) {
  for (int64_t k = 0; k < hidden; ++k) {
    const auto gate = [&](int64_t g) { return xi[g * hidden + k] + hi[g * hidden + k]; };
    c[k] = sigmoid(gate(1)) * c[k] + sigmoid(gate(0)) * std::tanh(gate(2));
    h[k] = sigmoid(gate(3)) * std::tanh(c[k]);
  }
}

template <class T>
void step_gru(const T* xi, const T* hi, int64_t hidden, T* h) {
  for (int64_t k = 0; k < hidden; ++k) {
    const T reset = sigmoid(xi[k] + hi[k]), update = sigmoid(xi[hidden + k] + hi[hidden + k]);
    const T fresh = std::tanh(xi[2 * hidden + k] + reset * hi[2 * hidden + k]);
    h[k] = (T(1) - update) * fresh + update * h[k];
  }
}

template <class T>
void step_rnn(const T* xi, const T* hi, int64_t hidden, bool relu, T* h) {
  for (int64_t k = 0; k < hidden; ++k) {
    const T v = xi[k] + hi[k];
    h[k] = !relu ? std::tanh(v) : v < T(0) ? T(0) : v;
  }
}

template <class T>
void add_bias(T* rows, int64_t n, int64_t width, const T* bias) {
  if (!bias) return;
  for (int64_t i = 0; i < n * width; ++i) rows[i] += bias[i % width];
}

View optional_input(const EvalCall& c, size_t i) { return c.has(i) ? c.in[i] : View{}; }

template <class T>
std::vector<T> initial(const Operand<T>& v, int64_t count) {
  return v.data() ? std::vector<T>(v.data(), v.data() + count) : std::vector<T>(static_cast<size_t>(count));
}

template <class T>
void run(const EvalCall& call) {
  const Operand<T> x(call.in[0]), w_ih(call.in[1]), w_hh(call.in[2]), b_ih(optional_input(call, 3)),
      b_hh(optional_input(call, 4)), h0(optional_input(call, 5)), c0(optional_input(call, 6)),
      w_hr(optional_input(call, 7));
  Target<T> y(call.out[0]), h_out(call.out[1]);
  const std::string_view op = call.op.name;
  const int64_t rows = call.in[1].shape[0];
  const Sizes s{call.in[0].shape[0], call.in[0].shape[1], call.in[0].shape[2], rows / gates_of(op),
                call.out[0].shape[2]};
  const Ints& lengths = call.attrs.ints("lengths");
  const bool relu = op == "rnn" && call.attrs.s("nonlinearity") == "relu";
  std::vector<T> h = initial(h0, s.batch * s.output), c = initial(c0, op == "lstm" ? s.batch * s.hidden : 0);
  std::vector<T> xi(static_cast<size_t>(s.batch * rows)), hi(xi.size()), fresh(static_cast<size_t>(s.hidden));
  std::fill_n(y.data(), call.out[0].count(), T{});
  for (int64_t i = 0; i < s.steps; ++i) {
    const int64_t t = call.attrs.b("reverse") ? s.steps - 1 - i : i;
    gemm<T>(s.batch, rows, s.input, {x.data() + t * s.batch * s.input, s.input, 1}, {w_ih.data(), 1, s.input},
            xi.data(), rows);
    gemm<T>(s.batch, rows, s.output, {h.data(), s.output, 1}, {w_hh.data(), 1, s.output}, hi.data(), rows);
    add_bias(xi.data(), s.batch, rows, b_ih.data());
    add_bias(hi.data(), s.batch, rows, b_hh.data());
    for (int64_t n = 0; n < s.batch; ++n) {
      if (!lengths.empty() && t >= lengths[static_cast<size_t>(n)]) continue;
      T* state = h.data() + n * s.output;
      const T *a = xi.data() + n * rows, *b = hi.data() + n * rows;
      if (op == "lstm") {
        step_lstm(a, b, s.hidden, w_hr.data() ? fresh.data() : state, c.data() + n * s.hidden);
        if (w_hr.data()) {
          gemm<T>(1, s.output, s.hidden, {fresh.data(), s.hidden, 1}, {w_hr.data(), 1, s.hidden}, state, s.output);
        }
      } else if (op == "gru") {
        step_gru(a, b, s.hidden, state);
      } else {
        step_rnn(a, b, s.hidden, relu, state);
      }
      std::copy_n(state, s.output, y.data() + (t * s.batch + n) * s.output);
    }
  }
  std::copy(h.begin(), h.end(), h_out.data());
  y.store();
  h_out.store();
  if (call.out.size() == 3) {
    Target<T> c_out(call.out[2]);
    std::copy(c.begin(), c.end(), c_out.data());
    c_out.store();
  }
}

Status eval(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { run<T>(c); });
  return {};
}

constexpr OpDef kRows[] = {
    {.name = "lstm",
     .doc = "c = sigmoid(f)*c + sigmoid(i)*tanh(g), h = sigmoid(o)*tanh(c) (times w_hr when given) over the steps of x "
            "[steps, batch, inputs]; gates i, f, g, o = w_ih*x + b_ih + w_hh*h + b_hh.",
     .in = kLstmIn,
     .out = kLstmOut,
     .attrs = kAttrs,
     .infer = infer,
     .eval = eval,
     .macs = macs,
     .exact = Exactness::approximate},
    {.name = "gru",
     .doc = "h = (1-z)*n + z*h with r, z = sigmoid(w_ih*x + b_ih + w_hh*h + b_hh) and n = tanh(w_in*x + b_in + "
            "r*(w_hn*h + b_hn)); gates in the order r, z, n.",
     .in = kIn,
     .out = kOut,
     .attrs = kAttrs,
     .infer = infer,
     .eval = eval,
     .macs = macs,
     .exact = Exactness::approximate},
    {.name = "rnn",
     .doc = "h = f(w_ih*x + b_ih + w_hh*h + b_hh) with f = tanh or relu.",
     .in = kIn,
     .out = kOut,
     .attrs = kRnnAttrs,
     .infer = infer,
     .eval = eval,
     .macs = macs,
     .exact = Exactness::approximate},
};

}  // namespace

std::span<const OpDef> ops_rnn() { return kRows; }

}  // namespace npuport
