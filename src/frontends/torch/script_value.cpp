#include "frontends/torch/script_value.h"

#include <algorithm>
#include <array>

namespace npuport {

IValue IValue::list(std::vector<IValue> items) {
  auto l = std::make_shared<ListObject>();
  l->items = std::move(items);
  return l;
}

IValue IValue::tuple(std::vector<IValue> items) {
  auto t = std::make_shared<TupleObject>();
  t->items = std::move(items);
  return t;
}

IValue IValue::ints(const std::vector<int64_t>& v) {
  std::vector<IValue> items(v.begin(), v.end());
  return list(std::move(items));
}

const std::vector<IValue>* IValue::sequence() const {
  if (const ListObject* l = as_list()) return &l->items;
  if (const TupleObject* t = as_tuple()) return &t->items;
  return nullptr;
}

bool IValue::number(double& out) const {
  if (const bool* b = as_bool()) return out = *b, true;
  if (const int64_t* i = as_int()) return out = static_cast<double>(*i), true;
  if (const double* d = as_real()) return out = *d, true;
  return false;
}

bool IValue::same(const IValue& o) const {
  if (v_.index() != o.v_.index()) return false;
  if (as_string()) return *as_string() == *o.as_string();
  if (as_enum()) return equal(*this, o);
  return std::visit(
      [&]<class T>(const T& a) {
        if constexpr (std::is_same_v<T, Uninitialised> || std::is_same_v<T, std::monostate>)
          return true;
        else
          return a == std::get<T>(o.v_);
      },
      v_);
}

std::string IValue::type_name() const {
  static constexpr std::array<const char*, 16> names = {
      "NoneType", "bool", "int",    "float", "uninitialised", "str",    "Tensor", "List",
      "Tuple",    "Dict", "object", "Enum",  "function",      "Future", "Device", "number"};
  if (const ScriptObject* o = as_object()) return "object of class " + o->class_name;
  return names[v_.index()];
}

bool equal(const IValue& a, const IValue& b) {
  double x = 0, y = 0;
  if (a.as_int() && b.as_int()) return *a.as_int() == *b.as_int();
  if (a.number(x) && b.number(y)) return x == y;
  if (a.as_string() && b.as_string()) return *a.as_string() == *b.as_string();
  if (a.as_device() && b.as_device()) return a.as_device()->name == b.as_device()->name;
  if (const EnumObject *e = a.as_enum(), *f = b.as_enum(); e && f) return e->cls == f->cls && e->member == f->member;
  if (const DictObject *d = a.as_dict(), *e = b.as_dict(); d && e) {
    return d->items.size() == e->items.size() && std::all_of(d->items.begin(), d->items.end(), [&](const auto& kv) {
             return std::any_of(e->items.begin(), e->items.end(), [&](const auto& other) {
               return equal(kv.first, other.first) && equal(kv.second, other.second);
             });
           });
  }
  if (a.sequence() && b.sequence() && (a.as_list() != nullptr) == (b.as_list() != nullptr)) {
    return std::equal(a.sequence()->begin(), a.sequence()->end(), b.sequence()->begin(), b.sequence()->end(), equal);
  }
  return a.same(b);
}

namespace {
constexpr std::array<DType, 16> kScalarTypes = {DType::u8,      DType::i8,      DType::i16,     DType::i32,
                                                DType::i64,     DType::f16,     DType::f32,     DType::f64,
                                                DType::unknown, DType::unknown, DType::unknown, DType::boolean,
                                                DType::unknown, DType::unknown, DType::unknown, DType::bf16};
}  // namespace

std::optional<DType> dtype_of_scalar_type(int64_t code) {
  if (code == 27) return DType::u16;
  if (code == 28) return DType::u32;
  if (code == 29) return DType::u64;
  if (code < 0 || code >= static_cast<int64_t>(kScalarTypes.size())) return std::nullopt;
  const DType t = kScalarTypes[static_cast<size_t>(code)];
  if (t == DType::unknown) return std::nullopt;
  return t;
}

int64_t scalar_type_of(DType t) {
  if (t == DType::u16) return 27;
  if (t == DType::u32) return 28;
  if (t == DType::u64) return 29;
  const auto it = std::find(kScalarTypes.begin(), kScalarTypes.end(), t);
  return it == kScalarTypes.end() || t == DType::unknown ? -1 : it - kScalarTypes.begin();
}

}  // namespace npuport
