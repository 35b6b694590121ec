// Recurrent layers: gates in ONNX's order, a leading dim for the direction.
#include <cstring>

#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

// Rows of `t` regrouped: gate k of the result is gate order[k]. A new leading dim of 1.
Tensor regrouped(const Tensor& t, std::span<const int> order) {
  Shape shape = t.shape;
  shape.insert(shape.begin(), 1);
  Tensor out = Tensor::zeros(t.dtype, std::move(shape));
  const size_t block = static_cast<size_t>(t.bytes()) / order.size();
  for (size_t k = 0; k < order.size(); ++k) {
    std::memcpy(out.mutable_data() + k * block, t.data + static_cast<size_t>(order[k]) * block, block);
  }
  return out;
}

// Both biases one after the other, zeros for one that is absent; nothing when both are.
std::optional<Tensor> biases(const OnnxEmit& c, std::span<const int> order, int64_t rows) {
  if (!c.has(3) && !c.has(4)) return std::nullopt;
  Tensor out = Tensor::zeros(c.dtype(0), {1, 2 * rows});
  const auto half = static_cast<size_t>(byte_size(c.dtype(0), rows));
  for (size_t i = 0; i < 2; ++i) {
    if (!c.has(3 + i)) continue;
    const Tensor part = regrouped(*c.constant_of(3 + i), order);
    std::memcpy(out.mutable_data() + i * half, part.data, half);
  }
  return out;
}

std::string activation_of(const OnnxEmit& c) { return c.attr().s("nonlinearity") == "relu" ? "Relu" : "Tanh"; }

void write_rnn(OnnxEmit& c) {
  static constexpr int lstm[] = {0, 3, 1, 2}, gru[] = {1, 0, 2}, plain[] = {0};
  const std::string_view op = c.node().op->name;
  const std::span<const int> order = op == "lstm"  ? std::span<const int>(lstm)
                                     : op == "gru" ? std::span<const int>(gru)
                                                   : std::span<const int>(plain);
  if (c.has(7)) return c.refuse("LSTM has no projection");
  for (size_t k = 1; k < 5; ++k) {
    if (c.has(k) && c.constant_of(k) == nullptr) return c.refuse("the weights are no constants");
  }
  const int64_t steps = c.shape(0)[0], batch = c.shape(0)[1], hidden = c.shape(2)[1], rows = c.shape(1)[0];
  const auto bias = biases(c, order, rows);
  std::vector<int32_t> in{c.in(0), c.constant(regrouped(*c.constant_of(1), order)),
                          c.constant(regrouped(*c.constant_of(2), order)), bias ? c.constant(*bias) : -1};
  const Ints& lengths = c.attr().ints("lengths");
  const std::vector<int32_t> narrow(lengths.begin(), lengths.end());
  in.push_back(narrow.empty() ? -1 : c.constant(Tensor::of<int32_t>({batch}, std::span<const int32_t>(narrow))));
  for (size_t k = 5; k < (op == "lstm" ? 7u : 6u); ++k) {
    in.push_back(c.has(k) ? c.reshape(c.in(k), {1, batch, hidden}) : -1);
  }
  std::vector<OnnxAttr> attrs{{"direction", c.attr().b("reverse") ? "reverse" : "forward"}, {"hidden_size", hidden}};
  if (op == "gru") attrs.emplace_back("linear_before_reset", 1);
  if (op == "rnn") attrs.insert(attrs.begin(), {"activations", std::vector<std::string>{activation_of(c)}});
  std::vector<TensorType> results;
  const Shape shapes[] = {{steps, 1, batch, hidden}, {1, batch, hidden}, {1, batch, hidden}};
  for (size_t k = 0; k < c.node().outputs.size(); ++k) {
    results.push_back({c.wanted(k) ? c.dtype(0) : DType::unknown, shapes[k], nullptr});
  }
  const auto y = c.ops(op == "lstm"  ? "LSTM"
                       : op == "gru" ? "GRU"
                                     : "RNN",
                       std::move(in), std::move(results), std::move(attrs));
  for (size_t k = 0; k < y.size(); ++k) {
    if (y[k] >= 0) c.give(y[k], k);
  }
}

constexpr OnnxWriter rows[] = {{"lstm", write_rnn}, {"gru", write_rnn}, {"rnn", write_rnn}};

}  // namespace

std::span<const OnnxWriter> onnx_write_rnn() { return rows; }

}  // namespace npuport
