#include "ops/support/rnn_cell.h"

#include <variant>

#include "ops/rnn.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

// The gates of a projection [batch, gates * hidden].
std::vector<ValueId> split_gates(Builder& b, ValueId x, int64_t gates) {
  const Shape s = b.shape(x);
  if (b.failed() || s.size() != 2) return std::vector<ValueId>(static_cast<size_t>(gates));
  std::vector<ValueId> parts =
      b.ops("split", {x}, {{"axis", 1}, {"sizes", Ints(static_cast<size_t>(gates), s[1] / gates)}});
  parts.resize(static_cast<size_t>(gates));
  return parts;
}

RnnState lstm_step(Builder& b, ValueId xi, ValueId hi, RnnState state, ValueId w_hr) {
  const std::vector<ValueId> g = split_gates(b, b.add(xi, hi), 4);
  const ValueId kept = b.mul(b.op("sigmoid", {g[1]}), state.c);
  const ValueId fresh = b.mul(b.op("sigmoid", {g[0]}), b.op("tanh", {g[2]}));
  const ValueId c = b.add(kept, fresh);
  const ValueId h = b.mul(b.op("sigmoid", {g[3]}), b.op("tanh", {c}));
  return {w_hr.valid() ? b.op("linear", {h, w_hr}) : h, c};
}

RnnState gru_step(Builder& b, ValueId xi, ValueId hi, RnnState state) {
  const std::vector<ValueId> x = split_gates(b, xi, 3), h = split_gates(b, hi, 3);
  const ValueId reset = b.op("sigmoid", {b.add(x[0], h[0])}), update = b.op("sigmoid", {b.add(x[1], h[1])});
  const ValueId fresh = b.op("tanh", {b.add(x[2], b.mul(reset, h[2]))});
  // (1-z)*n + z*h = n + z*(h - n).
  return {b.add(fresh, b.mul(update, b.sub(state.h, fresh))), {}};
}

const AttrValue* find(std::span<const Attr> attrs, std::string_view name) {
  for (const Attr& a : attrs) {
    if (a.name == name) return &a.value;
  }
  return nullptr;
}

struct Layer {
  std::string op;
  bool reverse = false;
  Ints lengths;
};

Layer layer_of(std::string_view op, std::span<const Attr> attrs) {
  Layer l{std::string(op), false, {}};
  if (const AttrValue* v = find(attrs, "reverse")) l.reverse = std::get<bool>(*v);
  if (const AttrValue* v = find(attrs, "lengths")) l.lengths = std::get<Ints>(*v);
  if (const AttrValue* v = find(attrs, "nonlinearity"); v && std::get<std::string>(*v) == "relu") l.op = "rnn_relu";
  return l;
}

// [batch, 1] with true where step t lies inside the sequence; invalid when it does everywhere.
ValueId live_at(Builder& b, const Layer& l, int64_t t) {
  Tensor live = Tensor::zeros(DType::boolean, {static_cast<int64_t>(l.lengths.size()), 1});
  bool all = true;
  for (size_t n = 0; n < l.lengths.size(); ++n) {
    live.mut<bool>()[n] = t < l.lengths[n];
    all = all && t < l.lengths[n];
  }
  return all ? ValueId{} : b.constant(std::move(live));
}

}  // namespace

RnnState rnn_step(Builder& b, std::string_view op, ValueId xi, ValueId hi, RnnState state, ValueId w_hr) {
  if (op == "lstm") return lstm_step(b, xi, hi, state, w_hr);
  if (op == "gru") return gru_step(b, xi, hi, state);
  return {b.op(op == "rnn_relu" ? "relu" : "tanh", {b.add(xi, hi)}), {}};
}

std::vector<ValueId> expand_rnn(Builder& b, std::string_view op, std::span<const ValueId> in,
                                std::span<const Attr> attrs) {
  const auto input = [&](size_t i) { return i < in.size() ? in[i] : ValueId{}; };
  const Layer l = layer_of(op, attrs);
  const Shape x = b.shape(input(0)), w_ih = b.shape(input(1)), w_hh = b.shape(input(2));
  if (b.failed() || x.size() != 3 || w_ih.size() != 2 || w_hh.size() != 2) return {};
  const DType dtype = b.dtype(input(0));
  const int64_t hidden = w_ih[0] / (op == "lstm" ? 4 : op == "gru" ? 3 : 1);
  const auto zeros = [&](int64_t width) { return b.constant(Tensor::zeros(dtype, {x[1], width})); };
  RnnState state{input(5).valid() ? input(5) : zeros(w_hh[1]), {}};
  if (op == "lstm") state.c = input(6).valid() ? input(6) : zeros(hidden);
  const ValueId projected = b.op("linear", {b.reshape(input(0), {x[0] * x[1], x[2]}), input(1), input(3)});
  std::vector<ValueId> steps(static_cast<size_t>(x[0]));
  for (int64_t i = 0; i < x[0] && !b.failed(); ++i) {
    const int64_t t = l.reverse ? x[0] - 1 - i : i;
    const ValueId xi = aten_nn::slice(b, projected, 0, t * x[1], (t + 1) * x[1]);
    const ValueId hi = b.op("linear", {state.h, input(2), input(4)});
    RnnState next = rnn_step(b, l.op, xi, hi, state, input(7));
    ValueId y = next.h;
    if (const ValueId live = live_at(b, l, t); live.valid()) {
      y = b.op("where", {live, next.h, zeros(w_hh[1])});
      next.h = b.op("where", {live, next.h, state.h});
      if (op == "lstm") next.c = b.op("where", {live, next.c, state.c});
    }
    steps[static_cast<size_t>(t)] = aten_nn::unsqueeze(b, y, 0);
    state = next;
  }
  if (b.failed()) return {};
  const ValueId y = steps.empty()       ? b.constant(Tensor::zeros(dtype, {0, x[1], w_hh[1]}))
                    : steps.size() == 1 ? steps[0]
                                        : b.op("concat", steps, {{"axis", 0}});
  if (op == "lstm") return {y, state.h, state.c};
  return {y, state.h};
}

}  // namespace npuport
