// Questions to tensors that give Python values, tensors made from Python values, and operators without effect here.
#include "base/diag_codes.h"
#include "frontends/shape_habits.h"
#include "frontends/torch/script_builtins.h"

namespace npuport {
namespace {

Diag raised(const std::string& what) { return Diag(diag::raised, what, "the model itself raised this error"); }

TensorRef tensor(const BuiltinCall& c, size_t i = 0) { return i < c.args.size() ? c.args[i].as_tensor() : nullptr; }

Result<int64_t> dimension(int64_t dim, size_t rank) {
  const auto n = static_cast<int64_t>(rank == 0 ? 1 : rank);
  if (dim < -n || dim >= n) return raised("Dimension out of range: " + std::to_string(dim));
  return dim < 0 ? dim + n : dim;
}

Result<bool> size(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const Shape shape, c.in.binder().shape(t));
  note_shape_read(c.in.binder().builder().graph(), {c.in.scope(), c.in.source_line(), "aten::size"});
  const IValue* dim = c.arg(1, "dim");
  if (!dim || dim->is_none()) return c.out = IValue::ints(shape), true;
  NPU_ASSIGN(const int64_t d, c.in.integer(*dim, "a dimension"));
  NPU_ASSIGN(const int64_t axis, dimension(d, shape.size()));
  if (shape.empty()) return raised("size() of dimension 0 of a 0-d tensor");
  return c.out = IValue(shape[static_cast<size_t>(axis)]), true;
}

Result<bool> rank(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const Shape shape, c.in.binder().shape(t));
  return c.out = IValue(static_cast<int64_t>(shape.size())), true;
}

Result<bool> numel(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const Shape shape, c.in.binder().shape(t));
  return c.out = IValue(element_count(shape)), true;
}

Result<bool> stride(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const Shape shape, c.in.binder().shape(t));
  if (!t->strides_known) return Diag(diag::unsupported, "the strides of this view are not known");
  const Ints strides = t->strides.empty() ? strides_of(shape) : t->strides;
  const IValue* dim = c.arg(1, "dim");
  if (!dim) return c.out = IValue::ints(strides), true;
  NPU_ASSIGN(const int64_t d, c.in.integer(*dim, "a dimension"));
  NPU_ASSIGN(const int64_t axis, dimension(d, shape.size()));
  return c.out = IValue(strides[static_cast<size_t>(axis)]), true;
}

Result<bool> is_contiguous(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const Shape shape, c.in.binder().shape(t));
  return c.out = IValue(t->strides.empty() || t->strides == strides_of(shape)), true;
}

Result<bool> dtype(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const DType d, c.in.binder().dtype(t));
  if (t->complex) return c.out = IValue(d == DType::f64 ? 10 : 9), true;
  return c.out = IValue(scalar_type_of(d)), true;
}

Result<bool> is_floating_point(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const DType d, c.in.binder().dtype(t));
  return c.out = IValue(is_float(d) && !t->complex), true;
}

Result<bool> is_complex(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  return c.out = IValue(t->complex), true;
}

Result<bool> is_nested(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  return c.out = IValue(t->valid_rows != nullptr), true;
}

Result<bool> device(BuiltinCall& c) {
  if (c.name == "aten::device") {
    const std::string* name = c.args.empty() ? nullptr : c.args[0].as_string();
    return c.out = IValue(DeviceValue{name ? *name : "cpu"}), true;
  }
  return c.out = IValue(DeviceValue{"cpu"}), true;
}

Result<bool> device_type(BuiltinCall& c) {  // prim::type(device)
  const DeviceValue* d = c.args.empty() ? nullptr : c.args[0].as_device();
  if (!d) return false;
  return c.out = IValue(d->name.substr(0, d->name.find(':'))), true;
}

Result<bool> item(BuiltinCall& c) {
  if (c.args.empty()) return false;
  if (c.args[0].as_sym() || c.args[0].is_number()) return c.out = IValue(c.args[0]), true;
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(c.out, tensor_to_number(c.in, t, std::nullopt));
  return true;
}

// prim::NumToTensor: a rank-0 tensor, which is no "wrapped number" in promotion.
Result<bool> num_to_tensor(BuiltinCall& c) {
  if (c.args.size() != 1) return false;
  if (const SymNumber* s = c.args[0].as_sym()) return c.out = IValue(s->tensor), true;
  if (c.args[0].as_tensor()) return c.out = IValue(c.args[0]), true;
  if (!c.args[0].is_number()) return false;
  TensorRef t = c.in.binder().number_tensor(c.args[0]);
  t->wrapped_number = false;
  return c.out = IValue(t), true;
}

// Collects nested lists of numbers; `shape` grows along the first path and every other path has to agree.
Status flatten(const IValue& v, size_t depth, Shape& shape, bool first, std::vector<IValue>& out) {
  constexpr size_t max_depth = 32, max_items = size_t{1} << 24;
  const std::vector<IValue>* items = v.sequence();
  if (!items) {
    if (depth != shape.size()) return raised("expected a sequence: the nested lists differ in depth");
    out.push_back(v);
    if (out.size() > max_items) return Diag(diag::too_large, "a list with more than 2^24 numbers");
    return {};
  }
  if (depth >= max_depth) return Diag(diag::too_large, "lists are nested too deeply");
  const auto n = static_cast<int64_t>(items->size());
  if (first && depth == shape.size()) shape.push_back(n);
  if (depth >= shape.size() || shape[depth] != n) return raised("expected sequence of equal length");
  for (size_t i = 0; i < items->size(); ++i) NPU_TRY(flatten((*items)[i], depth + 1, shape, first && i == 0, out));
  return {};
}

// torch.tensor(data, dtype) for numbers and nested lists of them.
Result<bool> make_tensor(BuiltinCall& c) {
  if (c.args.empty()) return false;
  AtenBinder& binder = c.in.binder();
  std::optional<DType> wanted;
  if (const IValue* d = c.arg(1, "dtype"); d && d->as_int()) wanted = dtype_of_scalar_type(*d->as_int());
  if (const TensorRef t = tensor(c)) {
    NPU_ASSIGN(ValueId v, binder.read(t));
    if (wanted) v = binder.builder().cast(v, *wanted);
    NPU_TRY(binder.builder().take_status());
    const bool alias = c.name == "aten::as_tensor" && v == t->value;
    return c.out = IValue(alias ? t : binder.fresh(v)), true;
  }
  Shape shape;
  std::vector<IValue> items;
  NPU_TRY(flatten(c.args[0], 0, shape, true, items));
  bool real = items.empty(), boolean = !items.empty(), dynamic = false;
  for (const IValue& v : items) {
    const SymNumber* s = v.as_sym();
    if (!v.is_number() && !s && !v.as_tensor()) return Diag(diag::unsupported, "torch.tensor of a " + v.type_name());
    dynamic = dynamic || s || v.as_tensor();
    real = real || v.as_real() || (s && s->kind == SymNumber::real);
    boolean = boolean && (v.as_bool() || (s && s->kind == SymNumber::boolean));
  }
  const DType type = wanted.value_or(boolean ? DType::boolean : real ? DType::f32 : DType::i64);
  if (dynamic) {
    std::vector<IValue> parts;
    for (const IValue& v : items) {
      TensorRef t = v.as_sym() ? v.as_sym()->tensor : v.as_tensor() ? v.as_tensor() : binder.number_tensor(v);
      NPU_ASSIGN(const ValueId id, binder.read(t));
      const ValueId one = binder.builder().cast(binder.builder().reshape(id, {1}), type);
      NPU_TRY(binder.builder().take_status());
      parts.push_back(IValue(binder.fresh(one)));
    }
    NPU_ASSIGN(const ValueId joined, binder.run("aten::cat", {IValue::list(std::move(parts)), IValue(0)}));
    const ValueId shaped = binder.builder().reshape(joined, shape);
    NPU_TRY(binder.builder().take_status());
    return c.out = IValue(binder.fresh(shaped)), true;
  }
  const bool exact_ints = !real && !boolean;
  Tensor t = Tensor::zeros(exact_ints ? DType::i64 : DType::f64, shape);
  for (size_t i = 0; i < items.size(); ++i) {
    double d = 0;
    items[i].number(d);
    if (exact_ints)
      t.mut<int64_t>()[i] = items[i].as_int() ? *items[i].as_int() : static_cast<int64_t>(d);
    else
      t.mut<double>()[i] = d;
  }
  const ValueId v = binder.builder().constant(cast_tensor(t, type));
  return c.out = IValue(binder.fresh(v)), true;
}

Result<bool> shape_as_tensor(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const Shape shape, c.in.binder().shape(t));
  return c.out = IValue(c.in.binder().fresh(c.in.binder().builder().ints(shape))), true;
}

// tolist(): numbers, known or not, nested like the shape.
Result<bool> to_list(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const Shape shape, c.in.binder().shape(t));
  if (element_count(shape) > (1 << 20)) return Diag(diag::too_large, "tolist() of more than a million elements");
  if (shape.empty()) {
    NPU_ASSIGN(c.out, tensor_to_number(c.in, t, std::nullopt));
    return true;
  }
  std::vector<IValue> items;
  for (int64_t i = 0; i < shape[0]; ++i) {
    NPU_ASSIGN(const IValue row, c.in.binder().call("aten::select", {IValue(t), IValue(0), IValue(i)}));
    std::vector<IValue> args = {row};
    IValue out;
    BuiltinCall inner{c.in, c.name, args, c.keywords, out};
    NPU_TRY(to_list(inner));
    items.push_back(out);
  }
  return c.out = IValue::list(std::move(items)), true;
}

Result<bool> raise(BuiltinCall& c) {
  std::string message = c.args.empty() ? "" : python_str(c.in, c.args[0]);
  if (c.args.size() > 1 && c.args[1].as_string()) message = *c.args[1].as_string() + ": " + message;
  return raised("the model raised: " + message);
}

Result<bool> assert_true(BuiltinCall& c) {  // torch._assert(condition, message)
  if (c.args.empty()) return false;
  const TensorRef t = c.args[0].as_sym() ? c.args[0].as_sym()->tensor : tensor(c);
  if (t && !c.in.binder().is_concrete(t)) return c.out = IValue(), true;  // an assertion about data changes no result
  NPU_ASSIGN(const bool yes, c.in.truth(c.args[0], "an assertion"));
  if (!yes) return raised("assertion failed: " + (c.args.size() > 1 ? python_str(c.in, c.args[1]) : std::string()));
  return c.out = IValue(), true;
}

Result<bool> nothing(BuiltinCall& c) { return c.out = IValue(), true; }
Result<bool> always_false(BuiltinCall& c) { return c.out = IValue(false), true; }
Result<bool> zero(BuiltinCall& c) { return c.out = IValue(0), true; }
Result<bool> same(BuiltinCall& c) {
  if (c.args.empty()) return false;
  return c.out = IValue(c.args[0]), true;
}

Result<bool> wait(BuiltinCall& c) {
  const FutureObject* f = c.args.empty() ? nullptr : c.args[0].as_future();
  if (!f) return false;
  return c.out = f->value, true;
}

Result<bool> unwrap_optional(BuiltinCall& c) {
  if (c.args.empty()) return false;
  if (c.args[0].is_none()) return raised("Unwrapping null optional");
  return c.out = IValue(c.args[0]), true;
}

Result<bool> mkldnn_constant(BuiltinCall&) {
  return Diag(diag::unsupported,
              "the archive was saved after torch.jit.optimize_for_inference: its weights are not in the file "
              "(ConstantMKLDNNTensor)",
              "save the model again without optimize_for_inference; torch.jit.freeze is fine");
}

// Indices of the elements that are not zero: as many as the values say, so only for known values.
Result<bool> nonzero(BuiltinCall& c) {
  const TensorRef t = tensor(c);
  if (!t) return false;
  NPU_ASSIGN(const std::shared_ptr<const Tensor> value,
             c.in.binder().concrete(t, "the number of results of " + c.name));
  const auto rank = static_cast<int64_t>(value->shape.size());
  std::vector<int64_t> found;
  const Ints strides = strides_of(value->shape);
  for (int64_t i = 0; i < value->count(); ++i) {
    if (get_double(*value, i) == 0) continue;
    for (size_t d = 0; d < strides.size(); ++d) found.push_back(i / strides[d] % value->shape[d]);
  }
  const int64_t rows = rank == 0 ? (get_double(*value, 0) != 0) : static_cast<int64_t>(found.size()) / rank;
  const ValueId v = c.in.binder().builder().constant(Tensor::of<int64_t>({rows, rank}, found));
  return c.out = IValue(c.in.binder().fresh(v)), true;
}

// Operators whose result has as many elements as the values of their inputs say.
Result<bool> value_sized(BuiltinCall& c) {
  return Diag(diag::data_dependent, "the number of results of " + c.name + " depends on the values of the inputs",
              "end the model before this operator and run it on the host, or use masks of fixed size");
}

Result<bool> random_number(BuiltinCall& c) {
  return Diag(diag::unsupported, c.name + " draws random numbers: there is nothing to reproduce",
              "pass the random tensor to the model as an input");
}

Result<bool> get_element_type(BuiltinCall& c) {  // torch.get_default_dtype
  return c.out = IValue(6), true;
}

Result<bool> promote(BuiltinCall& c) {
  if (c.args.size() != 2 || !c.args[0].as_int() || !c.args[1].as_int()) return false;
  const auto a = dtype_of_scalar_type(*c.args[0].as_int()), b = dtype_of_scalar_type(*c.args[1].as_int());
  if (!a || !b) return false;
  return c.out = IValue(scalar_type_of(promote_types(*a, *b))), true;
}

constexpr std::pair<std::string_view, BuiltinHandler> kTensors[] = {
    {"aten::size", size},
    {"prim::shape", size},
    {"aten::dim", rank},
    {"prim::ndim", rank},
    {"aten::ndimension", rank},
    {"aten::numel", numel},
    {"aten::stride", stride},
    {"aten::is_contiguous", is_contiguous},
    {"prim::dtype", dtype},
    {"aten::is_floating_point", is_floating_point},
    {"aten::is_complex", is_complex},
    {"aten::device", device},
    {"prim::device", device},
    {"prim::type", device_type},
    {"prim::layout", zero},
    {"aten::storage_offset", zero},
    {"prim::is_cuda", always_false},
    {"prim::is_cpu", [](BuiltinCall& c) -> Result<bool> { return c.out = IValue(true), true; }},
    {"prim::is_sparse", always_false},
    {"prim::is_quantized", always_false},
    {"prim::is_mkldnn", always_false},
    {"prim::is_meta", always_false},
    {"prim::is_mps", always_false},
    {"prim::is_xpu", always_false},
    {"prim::is_vulkan", always_false},
    {"prim::is_nested", is_nested},
    {"aten::is_nested", is_nested},
    {"prim::is_leaf", always_false},
    {"prim::requires_grad", always_false},
    {"prim::data", same},
    {"aten::data", same},
    {"aten::is_grad_enabled", always_false},
    {"aten::is_inference", always_false},
    {"aten::is_autocast_enabled", always_false},
    {"aten::is_autocast_cpu_enabled", always_false},
    {"aten::_is_any_autocast_enabled", always_false},
    {"prim::is_scripting", always_false},
    {"aten::is_scripting", always_false},
    {"aten::is_tracing", always_false},
    {"aten::_get_tracing_state", always_false},
    {"aten::has_torch_function", always_false},
    {"aten::set_grad_enabled", nothing},
    {"aten::warn", nothing},
    {"prim::Print", nothing},
    {"aten::manual_seed", nothing},
    {"aten::backward", nothing},
    {"profiler::_record_function_enter_new", nothing},
    {"profiler::_record_function_enter", nothing},
    {"profiler::_record_function_exit", nothing},
    {"profiler::_call_end_callbacks_on_jit_fut", nothing},
    {"aten::item", item},
    {"aten::ScalarImplicit", item},
    {"prim::NumToTensor", num_to_tensor},
    {"aten::tensor", make_tensor},
    {"aten::as_tensor", make_tensor},
    {"aten::_shape_as_tensor", shape_as_tensor},
    {"prim::tolist", to_list},
    {"aten::tolist", to_list},
    {"prim::RaiseException", raise},
    {"aten::_assert", assert_true},
    {"aten::_assert_async", assert_true},
    {"aten::wait", wait},
    {"aten::_unwrap_optional", unwrap_optional},
    {"prim::unchecked_unwrap_optional", unwrap_optional},
    {"prim::ConstantMKLDNNTensor", mkldnn_constant},
    {"aten::get_default_dtype", get_element_type},
    {"aten::promote_types", promote},
    {"aten::nonzero", nonzero},
    {"aten::nonzero_numpy", value_sized},
    {"aten::_unique", value_sized},
    {"torchvision::nms", value_sized},
    {"aten::rand", random_number},
    {"aten::randn", random_number},
    {"aten::rand_like", random_number},
    {"aten::randn_like", random_number},
    {"aten::randint", random_number},
    {"aten::randperm", random_number},
    {"aten::normal", random_number},
    {"aten::normal_", random_number},
    {"aten::uniform_", random_number},
    {"aten::bernoulli", random_number},
    {"aten::bernoulli_", random_number},
    {"aten::multinomial", random_number},
    {"aten::exponential_", random_number},
    {"aten::random_", random_number},
};

}  // namespace

BuiltinTable tensor_builtins() { return kTensors; }

}  // namespace npuport
