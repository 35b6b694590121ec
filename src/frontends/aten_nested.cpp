#include <algorithm>

#include "base/diag_codes.h"
#include "frontends/aten_extensions.h"

namespace npuport {
namespace {

TensorRef tensor(const std::vector<IValue>& args, size_t i) { return i < args.size() ? args[i].as_tensor() : nullptr; }

TensorRef tagged(const TensorRef& t, const TensorRef& rows) {
  auto out = std::make_shared<ScriptTensor>(*t);
  out->valid_rows = rows;
  return out;
}

// Row r of sample b exists when r < number of true entries of mask[b] (what nested_from_padded keeps).
Result<TensorRef> rows_of(AtenBinder& binder, const TensorRef& mask) {
  NPU_ASSIGN(const Shape shape, binder.shape(mask));
  if (shape.size() != 2) return Diag(diag::unsupported, "a nested tensor from a mask of shape " + to_string(shape));
  NPU_ASSIGN(const IValue count, binder.call_row("aten::sum", {IValue(mask), IValue::ints({1}), IValue(true)}));
  Tensor index = Tensor::zeros(DType::i64, {1, shape[1]});
  for (int64_t i = 0; i < shape[1]; ++i) index.mut<int64_t>()[static_cast<size_t>(i)] = i;
  const TensorRef positions = binder.fresh(binder.builder().constant(std::move(index)));
  NPU_ASSIGN(const IValue rows, binder.call_row("aten::lt", {IValue(positions), count}));
  return rows.as_tensor();
}

Result<IValue> to_padded(AtenBinder& binder, const TensorRef& x, const std::vector<IValue>& args) {
  NPU_ASSIGN(const Shape shape, binder.shape(x));
  if (args.size() > 2 && args[2].sequence()) {
    const std::vector<IValue>& size = *args[2].sequence();
    for (size_t i = 0; i < size.size(); ++i)
      if (!size[i].as_int() || i >= shape.size() || *size[i].as_int() != shape[i])
        return Diag(diag::unsupported, "to_padded_tensor with another size than the tensor had before");
  } else {
    return Diag(diag::data_dependent, "the longest row of a nested tensor depends on the values of the inputs",
                "export with enable_nested_tensor=False in nn.TransformerEncoder");
  }
  NPU_ASSIGN(const IValue mask, binder.call_row("aten::unsqueeze", {IValue(x->valid_rows), IValue(-1)}));
  NPU_ASSIGN(const DType dtype, binder.dtype(x));
  double padding = 0;
  args[1].number(padding);
  const TensorRef fill = binder.fresh(binder.builder().scalar(padding, dtype));
  const TensorRef plain = tagged(x, nullptr);
  return binder.call_row("aten::where", {mask, IValue(plain), IValue(fill)});
}

}  // namespace

Result<bool> nested_extension(AtenBinder& binder, std::string_view name, std::vector<IValue>& args, Keywords& keywords,
                              IValue& result) {
  if (name == "aten::_nested_tensor_from_mask") {
    const TensorRef t = tensor(args, 0), mask = tensor(args, 1);
    if (!t || !mask) return false;
    if (const auto value = binder.concrete(mask, ""); value) {
      bool all = true;
      for (int64_t i = 0; i < (*value)->count(); ++i) all = all && get_int(**value, i) != 0;
      if (all) return result = IValue(t), true;
    }
    NPU_ASSIGN(const TensorRef rows, rows_of(binder, mask));
    return result = IValue(tagged(t, rows)), true;
  }
  const TensorRef x = tensor(args, 0);
  if (!x || !x->valid_rows) return false;
  if (name == "aten::to_padded_tensor" || name == "aten::nested_to_padded_tensor") {
    NPU_ASSIGN(result, to_padded(binder, x, args));
    return true;
  }
  std::vector<IValue> plain = args;
  plain[0] = IValue(tagged(x, nullptr));
  if (name == "aten::_transformer_encoder_layer_fwd") {
    constexpr size_t mask_position = 18;
    if (plain.size() > mask_position && !plain[mask_position].is_none())
      return Diag(diag::unsupported, "a nested tensor together with an attention mask");
    plain.resize(mask_position);
    NPU_ASSIGN(IValue padding, binder.call_row("aten::logical_not", {IValue(x->valid_rows)}));
    plain.push_back(std::move(padding));
    plain.push_back(IValue(1));  // mask type 1: key padding
    NPU_ASSIGN(const IValue out, binder.call_row(name, std::move(plain)));
    return result = IValue(tagged(out.as_tensor(), x->valid_rows)), true;
  }
  static constexpr std::string_view by_row[] = {"aten::dropout", "aten::linear",    "aten::layer_norm",
                                                "aten::relu",    "aten::gelu",      "aten::add",
                                                "aten::mul",     "aten::contiguous"};
  if (std::find(std::begin(by_row), std::end(by_row), name) == std::end(by_row))
    return Diag(diag::unsupported, std::string(name) + " on a nested tensor",
                "export with enable_nested_tensor=False in nn.TransformerEncoder");
  for (IValue& v : plain)
    if (const TensorRef t = v.as_tensor(); t && t->valid_rows) v = IValue(tagged(t, nullptr));
  NPU_ASSIGN(const IValue out, binder.call_row(name, std::move(plain), keywords));
  return result = IValue(tagged(out.as_tensor(), x->valid_rows)), true;
}

}  // namespace npuport
