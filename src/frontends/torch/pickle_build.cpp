#include "frontends/torch/pickle_build.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/diag_codes.h"

namespace npuport::pickle_detail {
namespace {

using Kind = PickleValue::Kind;

struct ElementType {
  std::string_view storage;  // the part before "Storage"
  std::string_view name;     // PyTorch's dtype
  DType dtype;
  int item_bytes;
};

// c10/core/ScalarType.h: the classes of storages that pickles name, and their dtypes.
// clang-format off
constexpr ElementType element_types[] = {
    {"Double", "float64", DType::f64, 8},           {"Float", "float32", DType::f32, 4},
    {"Half", "float16", DType::f16, 2},             {"BFloat16", "bfloat16", DType::bf16, 2},
    {"Long", "int64", DType::i64, 8},               {"Int", "int32", DType::i32, 4},
    {"Short", "int16", DType::i16, 2},              {"Char", "int8", DType::i8, 1},
    {"Byte", "uint8", DType::u8, 1},                {"Bool", "bool", DType::boolean, 1},
    {"UInt16", "uint16", DType::u16, 2},            {"UInt32", "uint32", DType::u32, 4},
    {"UInt64", "uint64", DType::u64, 8},            {"QInt8", "qint8", DType::i8, 1},
    {"QUInt8", "quint8", DType::u8, 1},             {"QInt32", "qint32", DType::i32, 4},
    {"QUInt4x2", "quint4x2", DType::unknown, 0},    {"QUInt2x4", "quint2x4", DType::unknown, 0},
    {"ComplexHalf", "complex32", DType::unknown, 4},
    {"ComplexFloat", "complex64", DType::unknown, 8},
    {"ComplexDouble", "complex128", DType::unknown, 16},
    {"Float8_e4m3fn", "float8_e4m3fn", DType::unknown, 1},
    {"Float8_e5m2", "float8_e5m2", DType::unknown, 1},
    {"Float8_e4m3fnuz", "float8_e4m3fnuz", DType::unknown, 1},
    {"Float8_e5m2fnuz", "float8_e5m2fnuz", DType::unknown, 1},
    {"Float8_e8m0fnu", "float8_e8m0fnu", DType::unknown, 1},
    {"Float4_e2m1fn_x2", "float4_e2m1fn_x2", DType::unknown, 1},
    {"Untyped", "uint8", DType::u8, 1},
};

// Names that are values: never called, harmless to keep.
constexpr std::string_view constants[] = {
    "torch.per_tensor_affine", "torch.per_channel_affine", "torch.per_tensor_symmetric", "torch.per_channel_symmetric",
    "torch.per_channel_affine_float_qparams", "torch.strided", "torch.sparse_coo", "torch.sparse_csr",
    "torch.contiguous_format", "torch.channels_last", "torch.channels_last_3d", "torch.preserve_format",
    "torch.Tensor", "torch.nn.parameter.Parameter", "torch.float", "torch.double", "torch.half", "torch.long",
    "torch.int", "torch.short", "torch.complex64", "torch.cfloat",
};
// clang-format on

const ElementType* storage_type(std::string_view global) {
  for (const std::string_view prefix : {"torch.storage.", "torch.cuda.", "torch."}) {
    if (!global.starts_with(prefix)) continue;
    global.remove_prefix(prefix.size());
    break;
  }
  constexpr std::string_view suffix = "Storage";
  if (!global.ends_with(suffix)) return nullptr;
  global.remove_suffix(suffix.size());
  const auto* found = std::ranges::find(element_types, global, &ElementType::storage);
  return found == std::end(element_types) ? nullptr : found;
}

const ElementType* dtype_named(std::string_view global) {
  if (!global.starts_with("torch.")) return nullptr;
  global.remove_prefix(6);
  // torch.uint8 is a byte tensor, not the untyped row.
  const auto* found = std::ranges::find(element_types, global, &ElementType::name);
  return found == std::end(element_types) ? nullptr : found;
}

bool is_script_class(std::string_view name) { return name.starts_with("__torch__."); }

Result<int64_t> integer(const PickleValue* v, std::string_view what) {
  if (v->is(Kind::integer) || v->is(Kind::boolean)) return v->integer;
  return bad_pickle(fmt::format("{} is {} instead of an integer", what, describe(*v)));
}

Result<std::vector<int64_t>> integers(const PickleValue* v, std::string_view what) {
  if (!v->is(Kind::tuple) && !v->is(Kind::list))
    return bad_pickle(fmt::format("{} is {} instead of a tuple", what, describe(*v)));
  // PyTorch's own limit on dimensions.
  if (v->items.size() > 64) return bad_pickle(fmt::format("{} has {} dimensions", what, v->items.size()));
  std::vector<int64_t> result;
  for (const PickleValue* item : v->items) {
    NPU_ASSIGN(const int64_t n, integer(item, what));
    if (n < 0) return bad_pickle(fmt::format("{} holds {}", what, n));
    result.push_back(n);
  }
  return result;
}

}  // namespace

Diag bad_pickle(std::string message) {
  return Diag(diag::corrupt, "the pickle is damaged: " + std::move(message), "save or download the file again");
}

Diag too_many_values() {
  return Diag(diag::too_large, "the pickle holds more values than the safety limit", "is this really a model?");
}

PickleValue* Builder::make(Kind kind) {
  if (pickle_.values.size() >= options_.max_values) return nullptr;
  PickleValue& v = pickle_.values.emplace_back();
  v.kind = kind;
  return &v;
}

Builder::Handler Builder::handler_of(std::string_view name) {
  static const std::unordered_map<std::string_view, Handler> table = {
      {"collections.OrderedDict", &Builder::ordered_dict},
      {"builtins.set", &Builder::make_set},
      {"__builtin__.set", &Builder::make_set},
      {"builtins.frozenset", &Builder::make_set},
      {"__builtin__.frozenset", &Builder::make_set},
      {"builtins.bytearray", &Builder::make_bytes},
      {"__builtin__.bytearray", &Builder::make_bytes},
      {"_codecs.encode", &Builder::encode},
      {"builtins.complex", &Builder::complex},
      {"__builtin__.complex", &Builder::complex},
      {"torch.device", &Builder::device},
      {"torch.Size", &Builder::size},
      {"torch.jit._pickle.build_intlist", &Builder::int_list},
      {"torch.jit._pickle.build_doublelist", &Builder::double_list},
      {"torch.jit._pickle.build_boollist", &Builder::bool_list},
      {"torch.jit._pickle.build_tensorlist", &Builder::tensor_list},
      {"torch.jit._pickle.restore_type_tag", &Builder::type_tag},
      {"torch.jit._pickle.build_tensor_from_id", &Builder::refused},
      {"torch._utils._rebuild_tensor", &Builder::tensor_v1},
      {"torch._utils._rebuild_tensor_v2", &Builder::tensor_v2},
      {"torch._utils._rebuild_tensor_v3", &Builder::tensor_v3},
      {"torch._utils._rebuild_qtensor", &Builder::quantised},
      {"torch._utils._rebuild_parameter", &Builder::parameter},
      {"torch._utils._rebuild_parameter_with_state", &Builder::parameter},
      {"torch._tensor._rebuild_from_type_v2", &Builder::from_type},
      {"torch._utils._rebuild_sparse_tensor", &Builder::refused},
      {"torch._utils._rebuild_sparse_csr_tensor", &Builder::refused},
      {"torch._utils._rebuild_nested_tensor", &Builder::refused},
      {"torch._utils._rebuild_meta_tensor_no_storage", &Builder::refused},
      {"torch._utils._rebuild_device_tensor_from_numpy", &Builder::refused},
  };
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

Result<PickleValue*> Builder::global(std::string_view module, std::string_view name) {
  std::string full = fmt::format("{}.{}", module, name);
  names_.insert(full);
  const bool known = is_script_class(full) || handler_of(full) || storage_type(full) || dtype_named(full) ||
                     std::ranges::find(constants, full) != std::end(constants);
  if (!known) {
    if (!options_.record_unknown)
      return Diag(diag::unsafe_pickle,
                  fmt::format("the pickle wants to import {}, which is not on the closed list", full),
                  "only load this file with programs you trust it with; export the model with torch.jit.save");
    unknown_.insert(full);
  }
  PickleValue* v = make(Kind::global);
  if (!v) return too_many_values();
  v->text = std::move(full);
  return v;
}

Result<PickleValue*> Builder::reduce(PickleValue* function, PickleValue* arguments) {
  if (!function->is(Kind::global)) {
    if (!options_.record_unknown)
      return Diag(diag::unsafe_pickle, fmt::format("the pickle wants to call {}", describe(*function)),
                  "export the model with torch.jit.save");
    called_.insert(describe(*function));
    return opaque(describe(*function), {arguments});
  }
  // TorchScript writes an enum as REDUCE of its class with the bare value.
  if (is_script_class(function->text))
    return opaque(function->text, arguments->is(Kind::tuple) ? arguments->items : Arguments{arguments});
  if (!arguments->is(Kind::tuple)) return bad_pickle("arguments of a call are " + describe(*arguments));
  return call(function->text, arguments->items);
}

Result<PickleValue*> Builder::call(const std::string& name, const Arguments& a) {
  if (const Handler handler = handler_of(name)) {
    calling_ = name;
    return (this->*handler)(a);
  }
  if (!options_.record_unknown)
    return Diag(diag::unsafe_pickle, fmt::format("the pickle wants to call {}", name),
                "export the model with torch.jit.save");
  // copyreg._reconstructor(cls, base, state): how protocol 0 and 1 make plain objects.
  if ((name == "copyreg._reconstructor" || name == "copy_reg._reconstructor") && !a.empty() && a[0]->is(Kind::global))
    return opaque(a[0]->text, {});
  called_.insert(name);
  return opaque(name, a);
}

Result<PickleValue*> Builder::opaque(const std::string& name, Arguments arguments) {
  PickleValue* v = make(Kind::object);
  if (!v) return too_many_values();
  v->text = name;
  v->items = std::move(arguments);
  return v;
}

Result<PickleValue*> Builder::new_object(PickleValue* cls, Arguments arguments) {
  if (!cls->is(Kind::global)) return bad_pickle("the class of an object is " + describe(*cls));
  if (cls->text == "collections.OrderedDict") return ordered_dict(arguments);
  if (!is_script_class(cls->text) && !options_.record_unknown)
    return Diag(diag::unsafe_pickle, fmt::format("the pickle wants to make an object of class {}", cls->text),
                "export the model with torch.jit.save");
  return opaque(cls->text, std::move(arguments));
}

Status Builder::build(PickleValue* target, PickleValue* state) {
  const bool takes_state = target->is(Kind::object) || target->is(Kind::dict);
  if (!takes_state && !options_.record_unknown)
    return bad_pickle(fmt::format("{} cannot take a state", describe(*target)));
  target->state = state;
  return {};
}

Result<PickleValue*> Builder::persistent(const PickleValue* id) {
  if (!id->is(Kind::tuple) || id->items.empty() || !id->items[0]->is(Kind::string))
    return bad_pickle("a persistent id is " + describe(*id));
  const auto& a = id->items;
  // torch.save before 1.6 wraps a module's class together with its source text.
  if (a[0]->text == "module" && a.size() >= 2 && a[1]->is(Kind::global)) return const_cast<PickleValue*>(a[1]);
  if (a[0]->text != "storage" || a.size() < 5) return bad_pickle("a persistent id is of an unknown kind");
  const ElementType* type = a[1]->is(Kind::global) ? storage_type(a[1]->text) : nullptr;
  if (!type)
    return Diag(diag::unsupported, fmt::format("storages of type {} are not supported", describe(*a[1])),
                "save the model with ordinary tensors");
  if ((!a[2]->is(Kind::string) && !a[2]->is(Kind::integer)) || !a[3]->is(Kind::string))
    return bad_pickle("a storage has no key or device");
  // A view into another storage, as torch.save before 0.4 could write it.
  if (a.size() >= 6 && !a[5]->is(Kind::none))
    return Diag(diag::unsupported, "storages that are views of others are not supported",
                "save the checkpoint again with a newer PyTorch");
  NPU_ASSIGN(const int64_t count, integer(a[4], "a storage's size"));
  if (count < 0 || count > int64_t{1} << 46) return bad_pickle(fmt::format("a storage has {} elements", count));
  PickleValue* v = make(Kind::storage);
  if (!v) return too_many_values();
  v->tensor = std::make_unique<TensorRecord>();
  StorageRecord& s = v->tensor->storage;
  s.pool = options_.pool;
  s.key = a[2]->is(Kind::string) ? a[2]->text : std::to_string(a[2]->integer);
  s.type_name = a[1]->text;
  s.dtype_name = type->name;
  s.dtype = type->dtype;
  s.item_bytes = type->item_bytes;
  s.device = a[3]->text;
  s.count = count;
  return v;
}

void Builder::publish_names() {
  pickle_.globals.assign(names_.begin(), names_.end());
  pickle_.unknown_globals.assign(unknown_.begin(), unknown_.end());
  pickle_.called.assign(called_.begin(), called_.end());
}

Result<PickleValue*> Builder::ordered_dict(const Arguments& a) {
  PickleValue* v = make(Kind::dict);
  if (!v) return too_many_values();
  // Python 2 passes the pairs as a list of lists.
  if (a.empty()) return v;
  for (const PickleValue* pair : a[0]->items) {
    if (pair->items.size() != 2) return bad_pickle("an OrderedDict is made of something else than pairs");
    v->entries.emplace_back(pair->items[0], pair->items[1]);
  }
  return v;
}

Result<PickleValue*> Builder::make_set(const Arguments& a) {
  PickleValue* v = make(Kind::set);
  if (!v) return too_many_values();
  if (!a.empty()) v->items = a[0]->items;
  return v;
}

Result<PickleValue*> Builder::make_bytes(const Arguments& a) {
  PickleValue* v = make(Kind::bytes);
  if (!v) return too_many_values();
  if (!a.empty()) v->text = a[0]->text;
  return v;
}

// Protocol 2 has no bytes: Python 3 writes _codecs.encode(text, 'latin1').
Result<PickleValue*> Builder::encode(const Arguments& a) {
  PickleValue* v = make(Kind::bytes);
  if (!v) return too_many_values();
  if (a.size() != 2 || !a[0]->is(Kind::string) || (a[1]->text != "latin1" && a[1]->text != "latin-1"))
    return bad_pickle("_codecs.encode with unusual arguments");
  const std::string& text = a[0]->text;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      v->text += text[i];
    } else if ((c == 0xC2 || c == 0xC3) && i + 1 < text.size()) {
      v->text += static_cast<char>((c & 3) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3F));
    } else {
      return bad_pickle("bytes hold a character above 255");
    }
  }
  return v;
}

Result<PickleValue*> Builder::complex(const Arguments& a) { return opaque("complex", a); }

Result<PickleValue*> Builder::device(const Arguments& a) {
  if (a.empty() || !a[0]->is(Kind::string)) return bad_pickle("torch.device without a name");
  PickleValue* v = make(Kind::device);
  if (!v) return too_many_values();
  v->text = a[0]->text;
  if (a.size() > 1 && a[1]->is(Kind::integer)) v->text += fmt::format(":{}", a[1]->integer);
  return v;
}

Result<PickleValue*> Builder::size(const Arguments& a) {
  PickleValue* v = make(Kind::tuple);
  if (!v) return too_many_values();
  v->text = "torch.Size";
  if (!a.empty()) v->items = a[0]->items;
  return v;
}

Result<PickleValue*> Builder::typed_list(const Arguments& a, std::string_view type) {
  if (a.size() != 1 || !a[0]->is(Kind::list)) return bad_pickle(calling_ + " without a list");
  auto* list = const_cast<PickleValue*>(a[0]);
  list->text = type;
  return list;
}

Result<PickleValue*> Builder::int_list(const Arguments& a) { return typed_list(a, "List[int]"); }
Result<PickleValue*> Builder::double_list(const Arguments& a) { return typed_list(a, "List[float]"); }
Result<PickleValue*> Builder::bool_list(const Arguments& a) { return typed_list(a, "List[bool]"); }
Result<PickleValue*> Builder::tensor_list(const Arguments& a) { return typed_list(a, "List[Tensor]"); }

Result<PickleValue*> Builder::type_tag(const Arguments& a) {
  if (a.size() != 2 || !a[1]->is(Kind::string)) return bad_pickle("restore_type_tag with unusual arguments");
  auto* v = const_cast<PickleValue*>(a[0]);
  if (v->is(Kind::list) || v->is(Kind::dict)) v->text = a[1]->text;
  return v;
}

Result<PickleValue*> Builder::tensor_base(const Arguments& a) {
  if (a.size() < 4 || !a[0]->is(Kind::storage)) return bad_pickle("a tensor without storage, sizes or strides");
  PickleValue* v = make(Kind::tensor);
  if (!v) return too_many_values();
  v->tensor = std::make_unique<TensorRecord>();
  TensorRecord& t = *v->tensor;
  t.storage = a[0]->tensor->storage;
  NPU_ASSIGN(t.offset, integer(a[1], "a tensor's offset"));
  NPU_ASSIGN(t.sizes, integers(a[2], "a tensor's shape"));
  NPU_ASSIGN(t.strides, integers(a[3], "a tensor's strides"));
  if (t.offset < 0) return bad_pickle(fmt::format("a tensor starts at {}", t.offset));
  if (t.sizes.size() != t.strides.size()) return bad_pickle("a tensor has more sizes than strides or fewer");
  NPU_TRY(check_shape(t.sizes));
  return v;
}

Result<PickleValue*> Builder::tensor_v1(const Arguments& a) { return tensor_base(a); }

Result<PickleValue*> Builder::tensor_v2(const Arguments& a) {
  NPU_ASSIGN(PickleValue * v, tensor_base(a));
  if (a.size() > 4) v->tensor->requires_grad = a[4]->is(Kind::boolean) && a[4]->integer != 0;
  return v;
}

// As v2, with the element type given apart from an untyped storage.
Result<PickleValue*> Builder::tensor_v3(const Arguments& a) {
  NPU_ASSIGN(PickleValue * v, tensor_v2(a));
  const ElementType* type = a.size() > 6 && a[6]->is(Kind::global) ? dtype_named(a[6]->text) : nullptr;
  if (!type) return bad_pickle("a tensor without an element type");
  StorageRecord& s = v->tensor->storage;
  if (type->item_bytes > 0) s.count = s.count * std::max<int64_t>(s.item_bytes, 1) / type->item_bytes;
  s.dtype_name = type->name;
  s.dtype = type->dtype;
  s.item_bytes = type->item_bytes;
  return v;
}

Result<PickleValue*> Builder::quantised(const Arguments& a) {
  NPU_ASSIGN(PickleValue * v, tensor_base(a));
  if (a.size() < 5 || !a[4]->is(Kind::tuple) || a[4]->items.size() < 3 || !a[4]->items[0]->is(Kind::global))
    return bad_pickle("a quantised tensor without its scheme");
  const auto& q = a[4]->items;
  TensorRecord& t = *v->tensor;
  t.qscheme = q[0]->text;
  if (t.qscheme == "torch.per_tensor_affine" && q[1]->is(Kind::real)) {
    t.scale = q[1]->real;
    NPU_ASSIGN(t.zero_point, integer(q[2], "a zero point"));
    return v;
  }
  if (t.qscheme == "torch.per_channel_affine" && q.size() >= 4 && q[1]->is(Kind::tensor) && q[2]->is(Kind::tensor)) {
    t.scales = q[1];
    t.zero_points = q[2];
    NPU_ASSIGN(t.axis, integer(q[3], "a quantisation axis"));
    if (t.axis < 0 || t.axis >= static_cast<int64_t>(t.sizes.size()))
      return bad_pickle("a quantisation axis is outside");
    return v;
  }
  return Diag(diag::unsupported, fmt::format("quantised tensors of scheme {} are not supported", t.qscheme),
              "quantise per tensor or per channel with integer zero points");
}

Result<PickleValue*> Builder::parameter(const Arguments& a) {
  if (a.empty()) return bad_pickle("a parameter without data");
  auto* v = const_cast<PickleValue*>(a[0]);
  if (!v->is(Kind::tensor)) {
    if (options_.record_unknown) return v;
    return bad_pickle("the data of a parameter is " + describe(*v));
  }
  v->tensor->parameter = true;
  if (a.size() > 1) v->tensor->requires_grad = a[1]->is(Kind::boolean) && a[1]->integer != 0;
  return v;
}

// torch._tensor._rebuild_from_type_v2(function, type, arguments, state)
Result<PickleValue*> Builder::from_type(const Arguments& a) {
  if (a.size() < 3 || !a[0]->is(Kind::global) || !a[2]->is(Kind::tuple))
    return bad_pickle("a tensor subclass without its parts");
  if (nested_calls_ >= 4) return bad_pickle("tensor subclasses are nested too deeply");
  ++nested_calls_;
  auto made = call(a[0]->text, a[2]->items);
  --nested_calls_;
  return made;
}

Result<PickleValue*> Builder::refused(const Arguments& a) {
  if (options_.record_unknown) return opaque(calling_, a);
  return Diag(diag::unsupported, fmt::format("tensors made by {} are not supported", calling_),
              "save the model with ordinary dense tensors");
}

}  // namespace npuport::pickle_detail
