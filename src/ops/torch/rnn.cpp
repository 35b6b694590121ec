// Recurrent layers: one layer and direction of PyTorch's, time first.
#include "ops/torch.h"

namespace npuport {
namespace {

// The last states PyTorch gives have a dim for layers in front.
std::string state(TorchEmit& c, size_t k, int64_t size) {
  if (c.has(k)) return c.let("torch.unsqueeze(" + c.in(k) + ", 0)", "state");
  return c.constant(Tensor::zeros(c.dtype(0), {1, c.shape(0)[1], size}), "zero_state");
}

void write_rnn(TorchEmit& c) {
  const bool lstm = c.node().op->name == "lstm", gru = c.node().op->name == "gru";
  if (!c.attr().ints("lengths").empty()) return c.refuse("sequences of different lengths");
  if (c.has(3) != c.has(4)) return c.refuse("one of two biases");
  const int64_t gates = lstm ? 4 : gru ? 3 : 1, hidden = c.shape(1)[0] / gates, size = c.out_shape(1)[1];
  const std::string h0 = state(c, 5, size);
  std::string weights = c.in(1) + ", " + c.in(2);
  if (c.has(3)) weights += ", " + c.in(3) + ", " + c.in(4);
  if (lstm && c.has(7)) weights += ", " + c.in(7);
  std::string x = c.in(0);
  if (c.attr().b("reverse")) x = c.let("torch.flip(" + x + ", [0])", "backwards");
  const std::string rest = ", [" + weights + "], " + TorchEmit::text(c.has(3)) + ", 1, 0.0, False, False, False)";
  std::vector<std::string> out;
  if (lstm) {
    const std::string c0 = state(c, 6, hidden);
    out = c.let_all("aten.lstm(" + x + ", [" + h0 + ", " + c0 + "]" + rest, 3, "lstm");
  } else {
    const std::string name = gru ? "gru" : c.attr().s("nonlinearity") == "relu" ? "rnn_relu" : "rnn_tanh";
    out = c.let_all("aten." + name + "(" + x + ", " + h0 + rest, 2, name);
  }
  c.ret(0, c.attr().b("reverse") ? "torch.flip(" + out[0] + ", [0])" : "torch.clone(" + out[0] + ")");
  for (size_t k = 1; k < out.size(); ++k) c.ret(k, "torch.squeeze(" + out[k] + ", 0)");
}

constexpr TorchRow kRows[] = {{"lstm", {}, write_rnn}, {"gru", {}, write_rnn}, {"rnn", {}, write_rnn}};

}  // namespace

std::span<const TorchRow> torch_rnn() { return kRows; }

}  // namespace npuport
