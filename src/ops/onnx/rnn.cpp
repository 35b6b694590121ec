// LSTM, GRU and RNN: our rows where they mean the same, else the steps written out.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

constexpr int64_t kMaxSteps = 4096;  // of a loop written out

struct Recurrent {
  ValueId x;  // [steps, batch, inputs]
  int64_t gates = 1, hidden = 0, steps = 0, batch = 0;
  bool batch_first = false;
  std::vector<bool> reverse;             // per direction
  Ints lengths;                          // empty: all steps
  std::vector<std::string> activations;  // lower case, all directions
};

// Direction d of an operand with a leading dim of directions.
ValueId part(OnnxRead& c, size_t k, size_t d) {
  if (!c.has(k)) return {};
  const auto at = static_cast<int64_t>(d);
  return ox::squeeze(c.b, ox::slice(c.b, c.in(k), 0, at, at + 1), 0);
}

// Blocks of `hidden` rows in another order.
ValueId reordered(Builder& b, ValueId v, int64_t hidden, const Ints& order) {
  if (!v.valid()) return {};
  std::vector<ValueId> blocks;
  for (const int64_t g : order) blocks.push_back(ox::slice(b, v, 0, g * hidden, (g + 1) * hidden));
  return ox::concat(b, std::move(blocks), 0);
}

Recurrent recurrent(OnnxRead& c, int64_t gates, std::vector<std::string> usual) {
  Builder& b = c.b;
  Recurrent r;
  r.gates = gates;
  r.batch_first = c.opset() >= 14 && c.i("layout", 0) != 0;
  r.x = c.in(0);
  const ValueId w = c.in(1), u = c.in(2);
  if (c.stopped()) return r;
  const std::string direction = c.s("direction", "forward");
  if (direction == "bidirectional") {
    r.reverse = {false, true};
  } else if (direction == "forward" || direction == "reverse") {
    r.reverse = {direction == "reverse"};
  } else {
    c.fail(Diag(diag::bad_attribute, "direction = " + direction));
    return r;
  }
  const auto n = static_cast<int64_t>(r.reverse.size());
  if (b.shape(r.x).size() != 3 || b.shape(w).size() != 3 || b.shape(u).size() != 3 || b.shape(w)[0] != n ||
      b.shape(u)[0] != n || b.shape(u)[1] != gates * b.shape(u)[2] || b.shape(w)[1] != b.shape(u)[1]) {
    c.fail(Diag(diag::shape_mismatch, fmt::format("{}: x {}, W {}, R {}", c.type(), to_string(b.shape(r.x)),
                                                  to_string(b.shape(w)), to_string(b.shape(u)))));
    return r;
  }
  if (r.batch_first) r.x = b.transpose(r.x, {1, 0, 2});
  r.hidden = b.shape(u)[2];
  r.steps = b.shape(r.x)[0];
  r.batch = b.shape(r.x)[1];
  if (c.has(4)) {
    r.lengths = c.const_ints(4);
    if (std::all_of(r.lengths.begin(), r.lengths.end(), [&](int64_t l) { return l == r.steps; })) r.lengths.clear();
  }
  for (size_t d = 0; d < r.reverse.size(); ++d) r.activations.insert(r.activations.end(), usual.begin(), usual.end());
  if (c.has_attr("activations")) r.activations = c.strings("activations");
  for (std::string& a : r.activations) {
    for (char& ch : a) ch = static_cast<char>(std::tolower(static_cast<unsigned char>(ch)));
  }
  if (r.activations.size() != usual.size() * r.reverse.size()) {
    c.fail(Diag(diag::bad_attribute, fmt::format("{} activations", r.activations.size())));
  }
  if (c.has_attr("clip")) c.refuse("with clip");
  if (c.has_attr("activation_alpha") || c.has_attr("activation_beta")) c.refuse("with activation_alpha or _beta");
  return r;
}

// Directions side by side: Y [steps, directions, batch, hidden] and the last states [directions, batch, hidden].
void give(OnnxRead& c, const Recurrent& r, const std::vector<ValueId>& y,
          const std::vector<std::vector<ValueId>>& last) {
  Builder& b = c.b;
  std::vector<ValueId> parts;
  for (const ValueId v : y) parts.push_back(ox::unsqueeze(b, v, 1));
  ValueId whole = ox::concat(b, std::move(parts), 1);
  if (r.batch_first) whole = b.transpose(whole, {2, 0, 1, 3});
  c.ret(0, whole);
  for (size_t k = 0; k < last.size(); ++k) {
    std::vector<ValueId> states;
    for (const ValueId v : last[k]) states.push_back(ox::unsqueeze(b, v, r.batch_first ? 1 : 0));
    c.ret(k + 1, ox::concat(b, std::move(states), r.batch_first ? 1 : 0));
  }
}

ValueId initial(OnnxRead& c, const Recurrent& r, size_t k, size_t d) {
  if (!c.has(k)) return {};
  if (!r.batch_first) return part(c, k, d);
  const auto at = static_cast<int64_t>(d);
  return ox::squeeze(c.b, ox::slice(c.b, c.in(k), 1, at, at + 1), 1);
}

ValueId half_bias(Builder& b, ValueId bias, int64_t rows, bool second) {
  return bias.valid() ? ox::slice(b, bias, 0, second ? rows : 0, second ? 2 * rows : rows) : ValueId{};
}

ValueId activated(OnnxRead& c, const std::string& name, ValueId v) {
  for (const char* known : {"sigmoid", "tanh", "relu", "softsign", "softplus"}) {
    if (name == known) return c.b.op(known, {v});
  }
  c.refuse("with activation " + name);
  return {};
}

// The steps one after another; `step` gets x[t] (projected by W, biases added) and changes the states.
ValueId written_out(OnnxRead& c, const Recurrent& r, size_t d, ValueId projected, std::vector<ValueId>& states,
                    const std::function<void(ValueId xt, std::vector<ValueId>& states)>& step) {
  Builder& b = c.b;
  if (r.steps > kMaxSteps) {
    c.refuse("of that many steps");
    return {};
  }
  if (!r.lengths.empty()) {
    c.refuse("with lengths and a form of its own");
    return {};
  }
  std::vector<ValueId> y(static_cast<size_t>(r.steps));
  for (int64_t i = 0; i < r.steps && !c.stopped(); ++i) {
    const int64_t t = r.reverse[d] ? r.steps - 1 - i : i;
    step(ox::squeeze(b, ox::slice(b, projected, 0, t, t + 1), 0), states);
    y[static_cast<size_t>(t)] = ox::unsqueeze(b, states[0], 0);
  }
  return c.stopped() ? ValueId{} : ox::concat(b, std::move(y), 0);
}

ValueId project(Builder& b, ValueId x, ValueId w, ValueId bias) {
  return bias.valid() ? b.op("linear", {x, w, bias}) : b.op("linear", {x, w});
}

ValueId zeros(Builder& b, const Recurrent& r) { return ox::full(b, {r.batch, r.hidden}, ox::integer(0), b.dtype(r.x)); }

ValueId block(const OnnxRead& c, ValueId v, int64_t hidden, int64_t g) {
  return ox::slice(c.b, v, static_cast<int64_t>(c.b.shape(v).size()) - 1, g * hidden, (g + 1) * hidden);
}

std::vector<Attr> attributes(const Recurrent& r, size_t d) {
  return {{"reverse", static_cast<bool>(r.reverse[d])}, {"lengths", r.lengths}};
}

// Gates i, o, f, c here; i, f, c, o in our row.
void read_lstm(OnnxRead& c) {
  Builder& b = c.b;
  const Recurrent r = recurrent(c, 4, {"sigmoid", "tanh", "tanh"});
  const bool coupled = c.i("input_forget", 0) != 0;
  if (c.stopped()) return;
  std::vector<ValueId> ys;
  std::vector<std::vector<ValueId>> last(2);
  const Ints order{0, 2, 3, 1};
  for (size_t d = 0; d < r.reverse.size(); ++d) {
    const std::vector<std::string> f(r.activations.begin() + static_cast<std::ptrdiff_t>(3 * d),
                                     r.activations.begin() + static_cast<std::ptrdiff_t>(3 * d + 3));
    const ValueId w = part(c, 1, d), u = part(c, 2, d), bias = part(c, 3, d), peep = part(c, 7, d);
    ValueId h = initial(c, r, 5, d), cell = initial(c, r, 6, d);
    const ValueId bw = half_bias(b, bias, 4 * r.hidden, false), bu = half_bias(b, bias, 4 * r.hidden, true);
    if (c.stopped()) return;
    if (!peep.valid() && !coupled && f == std::vector<std::string>{"sigmoid", "tanh", "tanh"}) {
      const auto out = b.ops("lstm",
                             {r.x, reordered(b, w, r.hidden, order), reordered(b, u, r.hidden, order),
                              reordered(b, bw, r.hidden, order), reordered(b, bu, r.hidden, order), h, cell},
                             attributes(r, d));
      if (c.stopped()) return;
      ys.push_back(out[0]), last[0].push_back(out[1]), last[1].push_back(out[2]);
      continue;
    }
    const ValueId both = bias.valid() ? b.add(bw, bu) : ValueId{};
    std::vector<ValueId> states{h.valid() ? h : zeros(b, r), cell.valid() ? cell : zeros(b, r)};
    ys.push_back(written_out(c, r, d, project(b, r.x, w, both), states, [&](ValueId xt, std::vector<ValueId>& s) {
      const ValueId all = b.add(xt, project(b, s[0], u, {}));
      const auto gate = [&](int64_t g) { return block(c, all, r.hidden, g); };
      const auto peeped = [&](ValueId v, int64_t g, ValueId state) {  // peepholes i, o, f
        return peep.valid() ? b.add(v, b.mul(block(c, peep, r.hidden, g), state)) : v;
      };
      const ValueId i = activated(c, f[0], peeped(gate(0), 0, s[1]));
      const ValueId forget = coupled ? b.sub(ox::like(b, i, 1), i) : activated(c, f[0], peeped(gate(2), 2, s[1]));
      const ValueId next = b.add(b.mul(forget, s[1]), b.mul(i, activated(c, f[1], gate(3))));
      const ValueId o = activated(c, f[0], peeped(gate(1), 1, next));
      s = {b.mul(o, activated(c, f[2], next)), next};
    }));
    if (c.stopped()) return;
    last[0].push_back(states[0]), last[1].push_back(states[1]);
  }
  give(c, r, ys, last);
}

// Gates z, r, h here; r, z, h in our row, which resets behind the product (linear_before_reset).
void read_gru(OnnxRead& c) {
  Builder& b = c.b;
  const Recurrent r = recurrent(c, 3, {"sigmoid", "tanh"});
  const bool after = c.i("linear_before_reset", 0) != 0;
  if (c.stopped()) return;
  std::vector<ValueId> ys;
  std::vector<std::vector<ValueId>> last(1);
  const Ints order{1, 0, 2};
  for (size_t d = 0; d < r.reverse.size(); ++d) {
    const std::vector<std::string> f{r.activations[2 * d], r.activations[2 * d + 1]};
    const ValueId w = part(c, 1, d), u = part(c, 2, d), bias = part(c, 3, d), h = initial(c, r, 5, d);
    const ValueId bw = half_bias(b, bias, 3 * r.hidden, false), bu = half_bias(b, bias, 3 * r.hidden, true);
    if (c.stopped()) return;
    if (after && f == std::vector<std::string>{"sigmoid", "tanh"}) {
      const auto out = b.ops("gru",
                             {r.x, reordered(b, w, r.hidden, order), reordered(b, u, r.hidden, order),
                              reordered(b, bw, r.hidden, order), reordered(b, bu, r.hidden, order), h},
                             attributes(r, d));
      if (c.stopped()) return;
      ys.push_back(out[0]), last[0].push_back(out[1]);
      continue;
    }
    std::vector<ValueId> states{h.valid() ? h : zeros(b, r)};
    const ValueId gates_u = ox::slice(b, u, 0, 0, 2 * r.hidden),
                  fresh_u = ox::slice(b, u, 0, 2 * r.hidden, 3 * r.hidden);
    const ValueId gates_b = bu.valid() ? ox::slice(b, bu, 0, 0, 2 * r.hidden) : ValueId{};
    const ValueId fresh_b = bu.valid() ? ox::slice(b, bu, 0, 2 * r.hidden, 3 * r.hidden) : ValueId{};
    ys.push_back(written_out(c, r, d, project(b, r.x, w, bw), states, [&](ValueId xt, std::vector<ValueId>& s) {
      const ValueId gates =
          activated(c, f[0], b.add(ox::slice(b, xt, 1, 0, 2 * r.hidden), project(b, s[0], gates_u, gates_b)));
      if (c.stopped()) return;
      const ValueId z = block(c, gates, r.hidden, 0), reset = block(c, gates, r.hidden, 1);
      const ValueId from_state =
          after ? b.mul(reset, project(b, s[0], fresh_u, fresh_b)) : project(b, b.mul(reset, s[0]), fresh_u, fresh_b);
      const ValueId fresh = activated(c, f[1], b.add(block(c, xt, r.hidden, 2), from_state));
      s = {b.add(b.mul(b.sub(ox::like(b, z, 1), z), fresh), b.mul(z, s[0]))};
    }));
    if (c.stopped()) return;
    last[0].push_back(states[0]);
  }
  give(c, r, ys, last);
}

void read_rnn(OnnxRead& c) {
  Builder& b = c.b;
  const Recurrent r = recurrent(c, 1, {"tanh"});
  if (c.stopped()) return;
  std::vector<ValueId> ys;
  std::vector<std::vector<ValueId>> last(1);
  for (size_t d = 0; d < r.reverse.size(); ++d) {
    const std::string& f = r.activations[d];
    if (f != "tanh" && f != "relu") return c.refuse("with activation " + f);
    const ValueId bias = part(c, 3, d);
    auto attrs = attributes(r, d);
    attrs.emplace_back("nonlinearity", f);
    const auto out = b.ops("rnn",
                           {r.x, part(c, 1, d), part(c, 2, d), half_bias(b, bias, r.hidden, false),
                            half_bias(b, bias, r.hidden, true), initial(c, r, 5, d)},
                           std::move(attrs));
    if (c.stopped()) return;
    ys.push_back(out[0]), last[0].push_back(out[1]);
  }
  give(c, r, ys, last);
}

constexpr OnnxRow rows[] = {
    {.name = "LSTM", .since = 7, .read = read_lstm},
    {.name = "GRU", .since = 7, .read = read_gru},
    {.name = "RNN", .since = 7, .read = read_rnn},
};

}  // namespace

std::span<const OnnxRow> onnx_rnn() { return rows; }

}  // namespace npuport
