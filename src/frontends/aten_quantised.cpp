#include <algorithm>

#include "base/diag_codes.h"
#include "frontends/aten_extensions.h"

namespace npuport {
namespace {

using Args = std::vector<IValue>;
using Grid = std::shared_ptr<const QuantGrid>;

TensorRef tensor(const Args& args, size_t i) { return i < args.size() ? args[i].as_tensor() : nullptr; }

TensorRef on_grid(const TensorRef& t, const Grid& grid) {
  auto out = std::make_shared<ScriptTensor>(*t);
  out->grid = grid;
  return out;
}

// A float or a rank-0 tensor that does not depend on the inputs.
Result<double> number(AtenBinder& binder, const IValue& v) {
  double d = 0;
  if (v.number(d)) return d;
  if (!v.as_tensor()) return Diag(diag::unsupported, "a quantisation parameter is a " + v.type_name());
  NPU_ASSIGN(const std::shared_ptr<const Tensor> t, binder.concrete(v.as_tensor(), "a quantisation parameter"));
  if (t->count() != 1) return Diag(diag::unsupported, "a quantisation parameter with several elements");
  return get_double(*t, 0);
}

// ScalarType 12 qint8, 13 quint8.
Result<Grid> make_grid(AtenBinder& binder, const IValue& scale, const IValue& zero_point, int64_t scalar_type) {
  auto grid = std::make_shared<QuantGrid>();
  NPU_ASSIGN(const double s, number(binder, scale));
  NPU_ASSIGN(const double z, number(binder, zero_point));
  if (!(s > 0)) return Diag(diag::bad_attribute, "a quantisation scale of " + std::to_string(s));
  if (scalar_type != 12 && scalar_type != 13)
    return Diag(diag::unsupported, "quantisation to ScalarType " + std::to_string(scalar_type));
  grid->scale = {s};
  grid->zero_point = {static_cast<int64_t>(z)};
  grid->low = scalar_type == 13 ? 0 : -128;
  grid->high = scalar_type == 13 ? 255 : 127;
  grid->storage = scalar_type == 13 ? DType::u8 : DType::i8;
  return Grid(grid);
}

Result<IValue> rounded(AtenBinder& binder, const TensorRef& x, const Grid& grid) {
  if (grid->axis >= 0) return Diag(diag::unsupported, "activations quantised per channel");
  NPU_ASSIGN(const IValue out, binder.call_row("aten::fake_quantize_per_tensor_affine",
                                               {IValue(on_grid(x, nullptr)), IValue(grid->scale[0]),
                                                IValue(grid->zero_point[0]), IValue(grid->low), IValue(grid->high)}));
  return IValue(on_grid(out.as_tensor(), grid));
}

IValue pack(std::string kind, const Args& args) {
  auto o = std::make_shared<ScriptObject>();
  o->class_name = std::move(kind);
  o->fields["weight"] = args[0];
  o->fields["bias"] = args.size() > 1 ? args[1] : IValue();
  static constexpr const char* names[] = {"stride", "padding", "dilation", "groups"};
  for (size_t i = 2; i < args.size() && i < 6; ++i) o->fields[names[i - 2]] = args[i];
  return IValue(o);
}

Result<IValue> field(const ScriptObject& o, std::string_view name) {
  // Linear parameters are pickled as the tuple (weight, bias) itself.
  if (const auto state = o.fields.find("state"); state != o.fields.end() && state->second.sequence()) {
    const std::vector<IValue>& items = *state->second.sequence();
    if (items.size() == 2 && (name == "weight" || name == "bias")) return items[name == "bias" ? 1 : 0];
  }
  const auto it = o.fields.find(name);
  if (it == o.fields.end())
    return Diag(diag::unsupported,
                "packed parameters of class " + o.class_name + " without '" + std::string(name) + "'",
                "save the model again with a current PyTorch");
  return it->second;
}

// conv and linear with packed parameters, then relu, then rounding to the output's grid.
Result<IValue> weighted(AtenBinder& binder, std::string_view op, bool relu, const Args& args) {
  const TensorRef x = tensor(args, 0);
  const ScriptObject* packed = args.size() > 1 ? args[1].as_object() : nullptr;
  if (!x || !packed || args.size() < 4) return Diag(diag::unsupported, std::string(op) + " of this form");
  NPU_ASSIGN(const IValue w, field(*packed, "weight"));
  NPU_ASSIGN(const IValue bias, field(*packed, "bias"));
  if (!w.as_tensor()) return Diag(diag::unsupported, "packed parameters without a weight");
  Args call = {IValue(on_grid(x, nullptr)), IValue(on_grid(w.as_tensor(), nullptr)), bias};
  if (op != "aten::linear") {
    for (const char* name : {"stride", "padding", "dilation", "groups"}) {
      NPU_ASSIGN(IValue v, field(*packed, name));
      call.push_back(std::move(v));
    }
  }
  NPU_ASSIGN(IValue y, binder.call_row(op, std::move(call)));
  if (relu) {
    NPU_ASSIGN(y, binder.call_row("aten::relu", {y}));
  }
  NPU_ASSIGN(const Grid grid, make_grid(binder, args[2], args[3], 13));
  return rounded(binder, y.as_tensor(), grid);
}

Result<IValue> combined(AtenBinder& binder, std::string_view op, bool relu, const Args& args) {
  const TensorRef a = tensor(args, 0), b = tensor(args, 1);
  if (!a || !b || args.size() < 4)
    return Diag(diag::unsupported, std::string(op) + " of quantised tensors in this form");
  NPU_ASSIGN(IValue y, binder.call_row(op, {IValue(on_grid(a, nullptr)), IValue(on_grid(b, nullptr))}));
  if (relu) {
    NPU_ASSIGN(y, binder.call_row("aten::relu", {y}));
  }
  NPU_ASSIGN(const Grid grid, make_grid(binder, args[2], args[3], 13));
  return rounded(binder, y.as_tensor(), grid);
}

Result<bool> quantised_namespace(AtenBinder& binder, std::string_view name, const Args& args, IValue& result) {
  name.remove_prefix(std::string_view("quantized::").size());
  if (name.ends_with("_prepack")) {
    if (args.empty()) return false;
    return result = pack("quantized." + std::string(name.substr(0, name.size() - 8)), args), true;
  }
  if (name.ends_with("_unpack") && !args.empty() && args[0].as_object()) {
    NPU_ASSIGN(const IValue w, field(*args[0].as_object(), "weight"));
    NPU_ASSIGN(const IValue b, field(*args[0].as_object(), "bias"));
    return result = IValue::tuple({w, b}), true;
  }
  const bool relu = name.ends_with("_relu");
  const std::string_view base = relu ? name.substr(0, name.size() - 5) : name;
  if (base == "conv1d" || base == "conv2d" || base == "conv3d" || base == "linear") {
    NPU_ASSIGN(result, weighted(binder, "aten::" + std::string(base), relu, args));
    return true;
  }
  if (base == "add" || base == "mul") {
    NPU_ASSIGN(result, combined(binder, "aten::" + std::string(base), relu, args));
    return true;
  }
  return false;
}

// What keeps values on their grid, and what has to be rounded to it again.
bool keeps_grid(std::string_view name) {
  static constexpr std::string_view names[] = {
      "aten::max_pool2d", "aten::relu",    "aten::flatten",   "aten::reshape",           "aten::view",  "aten::permute",
      "aten::transpose",  "aten::squeeze", "aten::unsqueeze", "aten::contiguous",        "aten::slice", "aten::select",
      "aten::dropout",    "aten::clone",   "aten::detach",    "aten::upsample_nearest2d"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}
bool rounds_again(std::string_view name) {
  static constexpr std::string_view names[] = {"aten::adaptive_avg_pool2d", "aten::avg_pool2d", "aten::mean",
                                               "aten::upsample_bilinear2d", "aten::hardtanh",   "aten::clamp"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

}  // namespace

Result<bool> quantised_extension(AtenBinder& binder, std::string_view name, Args& args, Keywords& keywords,
                                 IValue& result) {
  if (name.starts_with("quantized::")) return quantised_namespace(binder, name, args, result);
  if (name == "class::unpack" && !args.empty() && args[0].as_object())
    return quantised_namespace(binder, "quantized::any_unpack", args, result);
  const TensorRef x = tensor(args, 0);
  if (!x) return false;
  if (name == "aten::quantize_per_tensor") {
    if (args.size() < 4 || !args[3].as_int()) return false;
    NPU_ASSIGN(const Grid grid, make_grid(binder, args[1], args[2], *args[3].as_int()));
    NPU_ASSIGN(result, rounded(binder, x, grid));
    return true;
  }
  if (!x->grid) return false;
  if (name == "aten::dequantize") return result = IValue(on_grid(x, nullptr)), true;
  const bool keeps = keeps_grid(name);
  if (!keeps && !rounds_again(name))
    return Diag(diag::unsupported, std::string(name) + " on a quantised tensor",
                "dequantise before it, or port the float model and quantise it here");
  Args plain = args;
  plain[0] = IValue(on_grid(x, nullptr));
  NPU_ASSIGN(const IValue out, binder.call_row(name, std::move(plain), keywords));
  if (!out.as_tensor()) return Diag(diag::unsupported, std::string(name) + " on a quantised tensor");
  if (keeps) return result = IValue(on_grid(out.as_tensor(), x->grid)), true;
  NPU_ASSIGN(result, rounded(binder, out.as_tensor(), x->grid));
  return true;
}

void add_extensions(AtenBinder& binder) {
  for (const auto extension : {nested_extension, complex_extension, quantised_extension}) {
    binder.add_extension([&binder, extension](std::string_view name, Args& args, Keywords& keywords, IValue& result) {
      return extension(binder, name, args, keywords, result);
    });
  }
}

}  // namespace npuport
