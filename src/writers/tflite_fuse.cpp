#include "writers/tflite_fuse.h"

#include <algorithm>

namespace npuport {
namespace {

constexpr std::string_view kField = "fused_activation_function";
constexpr std::string_view kHosts[] = {"ADD", "SUB", "MUL", "DIV"};

// Numbers of the format's enum ActivationFunctionType.
int activation_number(std::string_view name) {
  if (name == "RELU") return 1;
  if (name == "RELU_N1_TO_1") return 2;
  if (name == "RELU6") return 3;
  return 0;
}

// Sets the option; false when the operator has no such field or already carries an activation.
bool set_activation(TfliteOperator& o, int number) {
  if (!o.row->options || o.option(kField) != 0) return false;
  for (TfliteOption& option : o.options)
    if (option.field->name == kField) {
      option.number = number;
      return true;
    }
  for (const TfliteField& f : o.row->options->fields)
    if (f.name == kField) {
      o.options.push_back({&f, static_cast<double>(number), {}});
      return true;
    }
  return false;
}

}  // namespace

size_t fuse_activations(TfliteModel& m, std::span<const int32_t> outputs) {
  std::vector<int> readers(m.tensors.size(), 0);
  std::vector<int> producer(m.tensors.size(), -1);
  for (const int32_t t : outputs) ++readers[static_cast<size_t>(t)];
  for (size_t i = 0; i < m.operators.size(); ++i) {
    for (const int32_t t : m.operators[i].in)
      if (t >= 0) ++readers[static_cast<size_t>(t)];
    for (const int32_t t : m.operators[i].out) producer[static_cast<size_t>(t)] = static_cast<int>(i);
  }
  std::vector<bool> gone(m.operators.size(), false);
  for (size_t i = 0; i < m.operators.size(); ++i) {
    const TfliteOperator& activation = m.operators[i];
    const int number = activation_number(activation.row->name);
    if (number == 0) continue;
    const auto sum = static_cast<size_t>(activation.in[0]);
    if (readers[sum] != 1 || producer[sum] < 0) continue;
    TfliteOperator& host = m.operators[static_cast<size_t>(producer[sum])];
    if (std::find(std::begin(kHosts), std::end(kHosts), host.row->name) == std::end(kHosts)) continue;
    if (m.tensors[sum].dtype != DType::f32 || !set_activation(host, number)) continue;
    host.out[0] = activation.out[0];
    gone[i] = true;
  }
  size_t kept = 0;
  for (size_t i = 0; i < m.operators.size(); ++i)
    if (!gone[i]) {
      if (kept != i) m.operators[kept] = std::move(m.operators[i]);
      ++kept;
    }
  const size_t fused = m.operators.size() - kept;
  m.operators.resize(kept);
  return fused;
}

}  // namespace npuport
