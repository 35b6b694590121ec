#include "frontends/torch/script_loader.h"

#include "base/diag_codes.h"

namespace npuport {
namespace {

constexpr int kMaxDepth = 200;

std::string join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

}  // namespace

std::optional<TensorRecord> complex_as_real(const TensorRecord& r) {
  const bool single = r.storage.dtype_name == "complex64", twice = r.storage.dtype_name == "complex128";
  if (!single && !twice) return std::nullopt;
  TensorRecord out = r;
  out.scales = out.zero_points = nullptr;
  out.storage.dtype = single ? DType::f32 : DType::f64;
  out.storage.dtype_name = single ? "float32" : "float64";
  out.storage.item_bytes = single ? 4 : 8;
  if (r.storage.count > INT64_MAX / 2 || r.offset > INT64_MAX / 2) return std::nullopt;
  out.storage.count *= 2;
  out.offset *= 2;
  for (int64_t& s : out.strides) {
    if (s > INT64_MAX / 2) return std::nullopt;
    s *= 2;
  }
  out.sizes.push_back(2);
  out.strides.push_back(1);
  return out;
}

Result<std::shared_ptr<ScriptObject>> ScriptLoader::root() {
  NPU_ASSIGN(const IValue v, convert(archive_.data(), "", 0));
  if (!v.as_object() || !v.as_object()->cls)
    return Diag(diag::corrupt, "data.pkl holds " + describe(archive_.data()) + ", not a module");
  return v.object_ref();
}

Result<std::vector<IValue>> ScriptLoader::constants() {
  std::vector<IValue> out;
  size_t index = 0;
  for (const PickleValue* v : archive_.constants()) {
    NPU_ASSIGN(IValue value, convert(*v, "constants.c" + std::to_string(index++), 0));
    if (const TensorRef t = value.as_tensor(); t && v->tensor && v->tensor->sizes.empty() && !t->complex) {
      auto number = std::make_shared<ScriptTensor>(*t);
      number->wrapped_number = true;
      value = IValue(std::move(number));
    }
    out.push_back(std::move(value));
  }
  return out;
}

Result<std::vector<IValue>> ScriptLoader::convert_all(std::span<const PickleValue* const> items,
                                                      const std::string& path, int depth) {
  std::vector<IValue> out;
  out.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    NPU_ASSIGN(IValue v, convert(*items[i], join(path, std::to_string(i)), depth + 1));
    out.push_back(std::move(v));
  }
  return out;
}

Result<IValue> ScriptLoader::convert(const PickleValue& v, const std::string& path, int depth) {
  if (depth > kMaxDepth) return Diag(diag::too_large, "modules are nested deeper than " + std::to_string(kMaxDepth));
  using Kind = PickleValue::Kind;
  switch (v.kind) {
    case Kind::none:
      return IValue();
    case Kind::boolean:
      return IValue(v.integer != 0);
    case Kind::integer:
      return IValue(v.integer);
    case Kind::real:
      return IValue(v.real);
    case Kind::string:
    case Kind::bytes:
      return IValue(v.text);
    case Kind::device:
      return IValue(DeviceValue{v.text});
    case Kind::big_integer:
      return Diag(diag::unsupported, "an integer beyond 64 bits in the archive");
    case Kind::global:
      return IValue(v.text);
    case Kind::storage:
      return IValue();
    default:
      break;
  }
  if (const auto it = converted_.find(&v); it != converted_.end()) return it->second;
  switch (v.kind) {
    case Kind::tuple: {
      NPU_ASSIGN(std::vector<IValue> items, convert_all(v.items, path, depth));
      return converted_[&v] = IValue::tuple(std::move(items));
    }
    case Kind::list:
    case Kind::set: {
      const IValue list = IValue::list({});
      converted_[&v] = list;
      NPU_ASSIGN(list.as_list()->items, convert_all(v.items, path, depth));
      return list;
    }
    case Kind::dict: {
      auto d = std::make_shared<DictObject>();
      converted_[&v] = IValue(d);
      for (const auto& [key, value] : v.entries) {
        NPU_ASSIGN(IValue k, convert(*key, path, depth + 1));
        const std::string name = k.as_string() ? *k.as_string() : std::to_string(d->items.size());
        NPU_ASSIGN(IValue item, convert(*value, join(path, name), depth + 1));
        d->items.emplace_back(std::move(k), std::move(item));
      }
      return IValue(d);
    }
    case Kind::tensor:
      return converted_[&v] = convert_tensor(v, path);
    case Kind::object:
      return convert_object(v, path, depth);
    default:
      return Diag(diag::corrupt, "unexpected " + describe(v) + " in the archive");
  }
}

Result<IValue> ScriptLoader::convert_object(const PickleValue& v, const std::string& path, int depth) {
  NPU_ASSIGN(const ClassInfo* cls, interp_.code().find_class(v.text));
  if (cls && (cls->is_enum() || cls->is_named_tuple())) {
    std::vector<IValue> args;
    NPU_ASSIGN(args, convert_all(v.items, path, depth));
    if (cls->is_named_tuple() && args.size() == 1 && args[0].as_tuple() && cls->def->fields.size() != 1)
      args = std::vector<IValue>(args[0].as_tuple()->items);
    NPU_ASSIGN(const IValue value, interp_.construct(*cls, std::move(args), {}));
    return converted_[&v] = value;
  }
  auto object = std::make_shared<ScriptObject>();
  object->cls = cls;
  object->class_name = v.text;
  object->path = path;
  object->module = cls && cls->def->base == "Module";
  converted_[&v] = IValue(object);
  if (!v.state) {
    NPU_ASSIGN(std::vector<IValue> items, convert_all(v.items, path, depth));
    if (!items.empty()) object->fields["state"] = IValue::tuple(std::move(items));
    return IValue(object);
  }
  if (cls && cls->def->method("__setstate__")) {
    NPU_ASSIGN(IValue state, convert(*v.state, path, depth + 1));
    NPU_TRY(interp_.call_method(object, "__setstate__", {std::move(state)}));
    return IValue(object);
  }
  if (!v.state->is(PickleValue::Kind::dict)) {
    NPU_ASSIGN(IValue state, convert(*v.state, path, depth + 1));
    object->fields["state"] = std::move(state);
    return IValue(object);
  }
  for (const auto& [key, value] : v.state->entries) {
    if (!key->is(PickleValue::Kind::string)) continue;
    NPU_ASSIGN(object->fields[key->text], convert(*value, join(path, key->text), depth + 1));
  }
  return IValue(object);
}

IValue ScriptLoader::convert_tensor(const PickleValue& v, const std::string& path) {
  const auto unavailable = [&](Diag d) {
    auto t = std::make_shared<ScriptTensor>();
    t->storage = std::make_shared<TensorStorage>();
    t->storage->name = path;
    t->storage->unavailable = std::make_shared<const Diag>(std::move(d.at_tensor(path)));
    return IValue(t);
  };
  const std::optional<TensorRecord> real = complex_as_real(*v.tensor);
  const TensorRecord& record = real ? *real : *v.tensor;
  Result<std::shared_ptr<const Tensor>> tensor = archive_.tensor(record);
  if (!tensor) return unavailable(std::move(tensor).error());
  if (!record.qscheme.empty()) {
    Result<TensorRef> q = quantised(record, *tensor, path);
    if (!q) return unavailable(std::move(q).error());
    return IValue(*q);
  }
  TensorRef& known = tensors_[tensor->get()];
  if (known) return IValue(known);
  known = std::make_shared<ScriptTensor>();
  known->storage = std::make_shared<TensorStorage>();
  known->storage->pending = *tensor;
  known->storage->name = path;
  known->complex = real.has_value();
  return IValue(known);
}

// Dequantised values with the grid they lie on.
Result<TensorRef> ScriptLoader::quantised(const TensorRecord& r, const std::shared_ptr<const Tensor>& integers,
                                          const std::string& path) {
  auto grid = std::make_shared<QuantGrid>();
  grid->storage = integers->dtype;
  grid->low = integers->dtype == DType::u8 ? 0 : integers->dtype == DType::i8 ? -128 : INT32_MIN;
  grid->high = integers->dtype == DType::u8 ? 255 : integers->dtype == DType::i8 ? 127 : INT32_MAX;
  if (r.scales && r.zero_points && r.scales->tensor && r.zero_points->tensor) {
    NPU_ASSIGN(const std::shared_ptr<const Tensor> scales, archive_.tensor(*r.scales));
    NPU_ASSIGN(const std::shared_ptr<const Tensor> zeros, archive_.tensor(*r.zero_points));
    if (r.axis < 0 || r.axis >= static_cast<int64_t>(integers->shape.size()) ||
        scales->count() != integers->shape[static_cast<size_t>(r.axis)] || zeros->count() != scales->count())
      return Diag(diag::corrupt, "quantised tensor " + path + " has scales of the wrong length");
    for (int64_t i = 0; i < scales->count(); ++i) {
      grid->scale.push_back(get_double(*scales, i));
      grid->zero_point.push_back(get_int(*zeros, i));
    }
    grid->axis = r.axis;
  } else {
    grid->scale = {r.scale};
    grid->zero_point = {r.zero_point};
  }
  Tensor real = Tensor::zeros(DType::f32, integers->shape);
  int64_t inner = 1;
  if (grid->axis >= 0)
    for (size_t d = static_cast<size_t>(grid->axis) + 1; d < integers->shape.size(); ++d) inner *= integers->shape[d];
  const auto channels = static_cast<int64_t>(grid->scale.size());
  for (int64_t i = 0; i < integers->count(); ++i) {
    const auto k = static_cast<size_t>(grid->axis < 0 ? 0 : i / inner % channels);
    real.mut<float>()[static_cast<size_t>(i)] =
        static_cast<float>(static_cast<double>(get_int(*integers, i) - grid->zero_point[k]) * grid->scale[k]);
  }
  auto t = std::make_shared<ScriptTensor>();
  t->storage = std::make_shared<TensorStorage>();
  t->storage->pending = std::make_shared<const Tensor>(std::move(real));
  t->storage->name = path;
  t->grid = std::move(grid);
  return t;
}

}  // namespace npuport
