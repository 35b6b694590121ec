// Operators of a TFLite file → graph nodes.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/diag_codes.h"
#include "ir/registry.h"
#include "ops/support/tflite_permute.h"
#include "ops/tflite.h"

namespace npuport {
namespace {

Attr attribute(const OpDef& op, const TfliteAttr& a, double number) {
  const auto def = std::find_if(op.attrs.begin(), op.attrs.end(), [&](const AttrDef& d) { return d.name == a.attr; });
  if (def == op.attrs.end()) {
    fmt::print(stderr, "npuport: {} has no attribute {}\n", op.name, a.attr);
    std::abort();
  }
  switch (def->kind) {
    case AttrKind::real:
      return {std::string(a.attr), number};
    case AttrKind::boolean:
      return {std::string(a.attr), AttrValue(number != 0)};
    case AttrKind::string: {
      // A number without a word becomes a name that the row's own check refuses.
      const auto i = static_cast<size_t>(std::clamp(number, -1.0, 1e6));
      return {std::string(a.attr), i < a.words.size() ? std::string(a.words[i]) : fmt::format("number {}", number)};
    }
    default:
      return {std::string(a.attr), AttrValue(static_cast<int64_t>(number))};
  }
}

bool stores_activation(const TfliteRow& row) {
  if (row.options == nullptr) return false;
  return std::any_of(row.options->fields.begin(), row.options->fields.end(),
                     [](const TfliteField& f) { return f.name == "fused_activation_function"; });
}

void read_generic(TfliteRead& c) {
  const TfliteRow& row = c.row();
  const OpDef& def = op(row.ours[0]);
  std::vector<ValueId> in;
  std::vector<Attr> attrs;
  if (row.operands.empty()) {
    for (size_t k = 0; k < c.arity(); ++k) in.push_back(c.has(k) ? c.in(k) : ValueId{});
  }
  for (size_t k = 0; k < row.operands.size(); ++k) {
    const TfliteOperand& o = row.operands[k];
    switch (o.kind) {
      case TfliteOperand::input:
        in.push_back(c.in(k));
        break;
      case TfliteOperand::ints:
        attrs.emplace_back(std::string(o.attr), c.const_ints(k));
        break;
      case TfliteOperand::integer:
        attrs.emplace_back(std::string(o.attr), c.const_int(k));
        break;
    }
  }
  for (size_t k = 0; k < def.in.size() && def.in[k].kind != Port::optional; ++k) {
    if (k >= in.size() || !in[k].valid()) {
      return c.fail(Diag(diag::corrupt, fmt::format("operand {} of {} is missing", k, row.name)));
    }
  }
  for (const TfliteAttr& a : row.attrs) attrs.push_back(attribute(def, a, c.option(a.field)));
  if (c.b.failed()) return;
  const std::vector<ValueId> out = c.b.ops(def.name, std::move(in), std::move(attrs));
  for (size_t k = 0; k < out.size() && k < c.results(); ++k) c.ret(k, out[k]);
  if (c.results() == 1 && !out.empty() && stores_activation(row)) {
    c.ret(c.activated(out[0], c.i("fused_activation_function")));
  }
}

}  // namespace

ValueId TfliteRead::in(size_t k) {
  if (has(k)) return in_[k];
  fail(Diag(diag::corrupt, fmt::format("operand {} is missing", k)));
  return {};
}

ValueId TfliteRead::permuted(size_t k, Ints perm) {
  const ValueId v = in(k);
  if (b.failed()) return {};
  if (b.shape(v).size() != perm.size()) {
    fail(Diag(diag::shape_mismatch,
              fmt::format("operand {} has shape {}; rank {} is needed", k, to_string(b.shape(v)), perm.size())));
    return {};
  }
  const Tensor* t = b.constant_of(v);
  return t == nullptr ? transposed(v, std::move(perm)) : derived(v, permute(*t, perm));
}

ValueId TfliteRead::transposed(ValueId v, Ints perm) {
  const Node* n = b.failed() ? nullptr : b.graph().producer(v);
  if (n != nullptr && n->op->name == "transpose") {
    const Ints& before = n->attr().ints("perm");
    bool undone = before.size() == perm.size();
    for (size_t i = 0; undone && i < perm.size(); ++i)
      undone = before[static_cast<size_t>(perm[i])] == static_cast<int64_t>(i);
    if (undone) return n->inputs[0];
  }
  return b.transpose(v, std::move(perm));
}

ValueId TfliteRead::derived(ValueId stored, Tensor made) {
  const std::string name = b.graph().value(stored).name;
  b.graph().rename(stored, name + "/stored");
  return b.constant(std::move(made), name);
}

Ints TfliteRead::const_ints(size_t k) {
  const ValueId v = in(k);
  if (b.failed()) return {};
  const Tensor* t = b.constant_of(v);
  if (t == nullptr) {
    fail(Diag(diag::data_dependent,
              fmt::format("operand {} ({}) is computed from the inputs, so shapes would depend "
                          "on input values",
                          k, b.graph().value(v).name),
              "npuport works on fixed shapes; export the model with constant shapes, axes and sizes"));
    return {};
  }
  if (!is_integer(t->dtype) || t->shape.size() > 2 || t->count() > 64) {
    fail(Diag(diag::corrupt, fmt::format("operand {} is {}; a short list of integers is needed", k,
                                         to_string(TensorType{t->dtype, t->shape, nullptr}))));
    return {};
  }
  Ints out;
  for (int64_t i = 0; i < t->count(); ++i) out.push_back(get_int(*t, i));
  return out;
}

int64_t TfliteRead::const_int(size_t k) {
  const Ints v = const_ints(k);
  if (v.size() == 1) return v[0];
  fail(Diag(diag::corrupt, fmt::format("operand {} holds {} values; one integer is needed", k, v.size())));
  return 0;
}

double TfliteRead::const_real(size_t k) {
  const ValueId v = in(k);
  if (b.failed()) return 0;
  const Tensor* t = b.constant_of(v);
  if (t != nullptr && t->count() == 1) return get_double(*t, 0);
  fail(Diag(diag::data_dependent, fmt::format("operand {} is not one constant number", k)));
  return 0;
}

std::optional<std::string> TfliteRead::activation_name(int64_t number) {
  constexpr std::string_view kNames[] = {"none", "relu", "relu_n1_to_1", "relu6"};
  if (number < 0 || number > 3) return std::nullopt;
  return std::string(kNames[number]);
}

ValueId TfliteRead::activated(ValueId y, int64_t number) {
  switch (number) {
    case 0:
      return y;
    case 1:
      return b.op("relu", {y});
    case 2:
      return b.op("clamp", {y}, {{"min", -1.0}, {"max", 1.0}});
    case 3:
      return b.op("clamp", {y}, {{"min", 0.0}, {"max", 6.0}});
    case 4:
      return b.op("tanh", {y});
    default:
      fail(Diag(diag::unsupported, fmt::format("fused activation function {} is not supported", number)));
      return {};
  }
}

void tflite_read(TfliteRead& c) {
  if (c.row().read != nullptr) {
    c.row().read(c);
  } else {
    read_generic(c);
  }
}

}  // namespace npuport
