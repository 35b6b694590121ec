// Lists, tuples and dicts.
#include <algorithm>

#include "base/diag_codes.h"
#include "frontends/torch/script_builtins.h"

namespace npuport {
namespace {

Diag raised(const std::string& what) { return Diag(diag::raised, what, "the model itself raised this error"); }

// A Python index into `size` items; nullopt when out of range.
std::optional<size_t> position(int64_t index, size_t size) {
  const auto n = static_cast<int64_t>(size);
  if (index < -n || index >= n) return std::nullopt;
  return static_cast<size_t>(index < 0 ? index + n : index);
}

auto find_key(DictObject& d, const IValue& key) {
  return std::find_if(d.items.begin(), d.items.end(), [&](const auto& kv) { return equal(kv.first, key); });
}

Result<bool> length(BuiltinCall& c) {
  if (c.args.size() != 1) return false;
  const IValue& v = c.args[0];
  if (v.sequence()) return c.out = IValue(static_cast<int64_t>(v.sequence()->size())), true;
  if (v.as_dict()) return c.out = IValue(static_cast<int64_t>(v.as_dict()->items.size())), true;
  if (v.as_string()) return c.out = IValue(static_cast<int64_t>(v.as_string()->size())), true;
  if (const TensorRef t = v.as_tensor()) {
    NPU_ASSIGN(const Shape shape, c.in.binder().shape(t));
    if (shape.empty()) return raised("len() of a 0-d tensor");
    return c.out = IValue(shape[0]), true;
  }
  if (const ScriptObject* o = v.as_object()) {
    if (o->cls && o->cls->def->method("__len__")) {
      NPU_ASSIGN(c.out, c.in.call_method(v.object_ref(), "__len__", {}));
      return true;
    }
  }
  return false;
}

Result<bool> get_item(BuiltinCall& c) {
  if (c.args.size() != 2) return false;
  const IValue &base = c.args[0], &key = c.args[1];
  if (DictObject* d = base.as_dict()) {
    const auto it = find_key(*d, key);
    if (it == d->items.end()) return raised("KeyError: " + python_str(c.in, key, true));
    return c.out = it->second, true;
  }
  if (const ScriptObject* o = base.as_object()) {  // ModuleList, ModuleDict
    const std::string name = key.as_string() ? *key.as_string() : python_str(c.in, key);
    NPU_ASSIGN(c.out, c.in.get_attribute(base, name));
    (void)o;
    return true;
  }
  if (base.as_tensor()) {
    if (key.as_tensor()) {
      NPU_ASSIGN(c.out, c.in.call_operator("aten::index", {base, IValue::list({key})}, {}));
    } else {
      NPU_ASSIGN(c.out, c.in.call_operator("aten::select", {base, IValue(0), key}, {}));
    }
    return true;
  }
  if (!base.sequence() && !base.as_string()) return false;
  NPU_ASSIGN(const int64_t index, c.in.integer(key, "an index"));
  if (const std::string* s = base.as_string()) {
    const auto at = position(index, s->size());
    if (!at) return raised("string index out of range");
    return c.out = IValue(s->substr(*at, 1)), true;
  }
  const auto at = position(index, base.sequence()->size());
  if (!at) return raised("list index out of range");
  const IValue item = (*base.sequence())[*at];
  return c.out = item, true;
}

Result<bool> set_item(BuiltinCall& c) {
  if (c.args.size() != 3) return false;
  if (DictObject* d = c.args[0].as_dict()) {
    const auto it = find_key(*d, c.args[1]);
    if (it == d->items.end())
      d->items.emplace_back(c.args[1], c.args[2]);
    else
      it->second = c.args[2];
    return c.out = IValue(), true;
  }
  if (ListObject* l = c.args[0].as_list()) {
    NPU_ASSIGN(const int64_t index, c.in.integer(c.args[1], "an index"));
    const auto at = position(index, l->items.size());
    if (!at) return raised("list assignment index out of range");
    l->items[*at] = c.args[2];
    return c.out = c.args[0], true;
  }
  return false;
}

Result<bool> remove_item(BuiltinCall& c) {  // aten::Delete
  if (c.args.size() != 2) return false;
  if (DictObject* d = c.args[0].as_dict()) {
    const auto it = find_key(*d, c.args[1]);
    if (it == d->items.end()) return raised("KeyError");
    d->items.erase(it);
    return true;
  }
  if (ListObject* l = c.args[0].as_list()) {
    NPU_ASSIGN(const int64_t index, c.in.integer(c.args[1], "an index"));
    const auto at = position(index, l->items.size());
    if (!at) return raised("list index out of range");
    l->items.erase(l->items.begin() + static_cast<ptrdiff_t>(*at));
    return true;
  }
  return false;
}

Result<bool> contains(BuiltinCall& c) {
  if (c.args.size() != 2) return false;
  const IValue &in = c.args[0], &what = c.args[1];
  if (DictObject* d = in.as_dict()) return c.out = IValue(find_key(*d, what) != d->items.end()), true;
  if (in.as_string() && what.as_string())
    return c.out = IValue(in.as_string()->find(*what.as_string()) != std::string::npos), true;
  if (const ScriptObject* o = in.as_object(); o && what.as_string())
    return c.out = IValue(o->fields.contains(*what.as_string())), true;
  if (!in.sequence()) return false;
  return c.out = IValue(std::any_of(in.sequence()->begin(), in.sequence()->end(),
                                    [&](const IValue& v) { return equal(v, what); })),
         true;
}

// ---- lists

constexpr size_t kLongestList = size_t{1} << 22;

ListObject* list_of(BuiltinCall& c) { return c.args.empty() ? nullptr : c.args[0].as_list(); }

Result<bool> append(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l || c.args.size() != 2) return false;
  l->items.push_back(c.args[1]);
  return c.out = c.args[0], true;
}
Result<bool> extend(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l || c.args.size() != 2 || !c.args[1].sequence()) return false;
  const std::vector<IValue> more = *c.args[1].sequence();
  l->items.insert(l->items.end(), more.begin(), more.end());
  return c.out = IValue(), true;
}
// list += list and list *= int change the list itself, for everybody who holds it.
Result<bool> add_in_place(BuiltinCall& c) {
  NPU_ASSIGN(const bool done, extend(c));
  if (done) c.out = c.args[0];
  return done;
}
Result<bool> repeat_in_place(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l || c.args.size() != 2 || !c.args[1].as_int()) return false;
  const std::vector<IValue> once = l->items;
  const auto times = static_cast<size_t>(std::max<int64_t>(0, *c.args[1].as_int()));
  if (!once.empty() && times > kLongestList / once.size())
    return Diag(diag::too_large, "a list is repeated " + std::to_string(times) + " times");
  l->items.clear();
  for (size_t k = 0; k < times && !once.empty(); ++k) l->items.insert(l->items.end(), once.begin(), once.end());
  return c.out = c.args[0], true;
}
Result<bool> insert(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l || c.args.size() != 3) return false;
  NPU_ASSIGN(int64_t index, c.in.integer(c.args[1], "an index"));
  const auto n = static_cast<int64_t>(l->items.size());
  if (index < 0) index += n;
  l->items.insert(l->items.begin() + std::clamp(index, int64_t{0}, n), c.args[2]);
  return c.out = IValue(), true;
}
Result<bool> pop(BuiltinCall& c) {
  if (c.args.empty()) return false;
  if (DictObject* d = c.args[0].as_dict()) {
    if (c.args.size() < 2) return false;
    const auto it = find_key(*d, c.args[1]);
    if (it == d->items.end()) {
      if (c.args.size() < 3) return raised("KeyError: " + python_str(c.in, c.args[1], true));
      return c.out = c.args[2], true;
    }
    c.out = it->second;
    d->items.erase(it);
    return true;
  }
  ListObject* l = list_of(c);
  if (!l) return false;
  int64_t index = -1;
  if (c.args.size() > 1) {
    NPU_ASSIGN(index, c.in.integer(c.args[1], "an index"));
  }
  const auto at = position(index, l->items.size());
  if (!at) return raised("pop index out of range");
  c.out = l->items[*at];
  l->items.erase(l->items.begin() + static_cast<ptrdiff_t>(*at));
  return true;
}
Result<bool> remove(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l || c.args.size() != 2) return false;
  const auto it = std::find_if(l->items.begin(), l->items.end(), [&](const IValue& v) { return equal(v, c.args[1]); });
  if (it == l->items.end()) return raised("list.remove(x): x not in list");
  l->items.erase(it);
  return c.out = IValue(), true;
}
Result<bool> clear(BuiltinCall& c) {
  if (c.args.size() != 1) return false;
  if (ListObject* l = c.args[0].as_list()) return l->items.clear(), true;
  if (DictObject* d = c.args[0].as_dict()) return d->items.clear(), true;
  return false;
}
Result<bool> reverse(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l) return false;
  std::reverse(l->items.begin(), l->items.end());
  return c.out = IValue(), true;
}
Result<bool> index_of(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l || c.args.size() < 2 || c.args[1].as_list()) return false;
  const auto it = std::find_if(l->items.begin(), l->items.end(), [&](const IValue& v) { return equal(v, c.args[1]); });
  if (it == l->items.end()) return raised("value is not in list");
  return c.out = IValue(static_cast<int64_t>(it - l->items.begin())), true;
}
Result<bool> count(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l || c.args.size() != 2) return false;
  return c.out = IValue(static_cast<int64_t>(
             std::count_if(l->items.begin(), l->items.end(), [&](const IValue& v) { return equal(v, c.args[1]); }))),
         true;
}

// Orders numbers and strings; anything else is refused before sorting.
bool sortable(const std::vector<IValue>& items) {
  return std::all_of(items.begin(), items.end(), [](const IValue& v) { return v.is_number(); }) ||
         std::all_of(items.begin(), items.end(), [](const IValue& v) { return v.as_string() != nullptr; });
}
bool before(const IValue& a, const IValue& b) {
  if (a.as_string() && b.as_string()) return *a.as_string() < *b.as_string();
  if (a.as_int() && b.as_int()) return *a.as_int() < *b.as_int();
  double x = 0, y = 0;
  a.number(x);
  b.number(y);
  return x < y;
}
Result<bool> sort(BuiltinCall& c) {
  ListObject* l = list_of(c);
  if (!l || !sortable(l->items)) return false;
  bool descending = false;
  if (const IValue* v = c.arg(1, "reverse")) {
    NPU_ASSIGN(descending, c.in.truth(*v, "reverse"));
  }
  std::stable_sort(l->items.begin(), l->items.end(),
                   [&](const IValue& a, const IValue& b) { return descending ? before(b, a) : before(a, b); });
  return c.out = IValue(), true;
}
Result<bool> sorted(BuiltinCall& c) {
  if (c.args.size() != 1 || !c.args[0].sequence() || !sortable(*c.args[0].sequence())) return false;
  std::vector<IValue> items = *c.args[0].sequence();
  std::stable_sort(items.begin(), items.end(), before);
  return c.out = IValue::list(std::move(items)), true;
}
Result<bool> copy(BuiltinCall& c) {
  if (c.args.size() != 1) return false;
  if (const ListObject* l = c.args[0].as_list()) return c.out = IValue::list(l->items), true;
  if (const DictObject* d = c.args[0].as_dict()) {
    auto out = std::make_shared<DictObject>();
    out->items = d->items;
    return c.out = IValue(out), true;
  }
  return false;
}
Result<bool> to_list(BuiltinCall& c) {
  if (c.args.size() != 1) return false;
  if (c.args[0].sequence()) return c.out = IValue::list(*c.args[0].sequence()), true;
  std::vector<IValue> items;
  if (const std::string* s = c.args[0].as_string())
    for (const char ch : *s) items.push_back(IValue(std::string(1, ch)));
  else if (const DictObject* d = c.args[0].as_dict())
    for (const auto& [key, v] : d->items) items.push_back(key);
  else
    return false;
  return c.out = IValue::list(std::move(items)), true;
}
Result<bool> to_tuple(BuiltinCall& c) {
  if (c.args.size() != 1 || !c.args[0].sequence()) return false;
  return c.out = IValue::tuple(*c.args[0].sequence()), true;
}

// list[begin:end:step], also of tuples and strings.
Result<bool> slice(BuiltinCall& c) {
  if (c.args.empty() || (!c.args[0].sequence() && !c.args[0].as_string())) return false;
  const std::string* s = c.args[0].as_string();
  const auto size = static_cast<int64_t>(s ? s->size() : c.args[0].sequence()->size());
  int64_t step = 1;
  if (const IValue* v = c.arg(3, "step"); v && !v->is_none()) {
    NPU_ASSIGN(step, c.in.integer(*v, "a slice step"));
  }
  if (step == 0) return raised("slice step cannot be zero");
  const auto bound = [&](size_t i, std::string_view key, int64_t fallback) -> Result<int64_t> {
    const IValue* v = c.arg(i, key);
    if (!v || v->is_none()) return fallback;
    NPU_ASSIGN(int64_t n, c.in.integer(*v, "a slice bound"));
    if (n < 0) n += size;
    return std::clamp(n, step > 0 ? int64_t{0} : int64_t{-1}, step > 0 ? size : size - 1);
  };
  NPU_ASSIGN(const int64_t begin, bound(1, "start", step > 0 ? 0 : size - 1));
  NPU_ASSIGN(const int64_t end, bound(2, "end", step > 0 ? size : -1));
  std::vector<IValue> items;
  std::string text;
  for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) {
    if (s)
      text += (*s)[static_cast<size_t>(i)];
    else
      items.push_back((*c.args[0].sequence())[static_cast<size_t>(i)]);
    if (step > size || -step > size) break;  // one element; the next index may overflow
  }
  if (s)
    c.out = IValue(std::move(text));
  else
    c.out = c.args[0].as_list() ? IValue::list(std::move(items)) : IValue::tuple(std::move(items));
  return true;
}

// ---- dicts

Result<bool> keys(BuiltinCall& c) {
  if (c.args.size() != 1 || !c.args[0].as_dict()) return false;
  std::vector<IValue> out;
  for (const auto& [key, v] : c.args[0].as_dict()->items) out.push_back(key);
  return c.out = IValue::list(std::move(out)), true;
}
Result<bool> values(BuiltinCall& c) {
  if (c.args.size() != 1 || !c.args[0].as_dict()) return false;
  std::vector<IValue> out;
  for (const auto& [key, v] : c.args[0].as_dict()->items) out.push_back(v);
  return c.out = IValue::list(std::move(out)), true;
}
Result<bool> items(BuiltinCall& c) {
  if (c.args.size() != 1 || !c.args[0].as_dict()) return false;
  std::vector<IValue> out;
  for (const auto& [key, v] : c.args[0].as_dict()->items) out.push_back(IValue::tuple({key, v}));
  return c.out = IValue::list(std::move(out)), true;
}
Result<bool> get(BuiltinCall& c) {
  DictObject* d = c.args.empty() ? nullptr : c.args[0].as_dict();
  if (!d || c.args.size() < 2) return false;
  const auto it = find_key(*d, c.args[1]);
  if (it != d->items.end())
    c.out = it->second;
  else
    c.out = c.args.size() > 2 ? c.args[2] : IValue();
  return true;
}
Result<bool> set_default(BuiltinCall& c) {
  DictObject* d = c.args.empty() ? nullptr : c.args[0].as_dict();
  if (!d || c.args.size() < 2) return false;
  const auto it = find_key(*d, c.args[1]);
  if (it != d->items.end()) return c.out = it->second, true;
  c.out = c.args.size() > 2 ? c.args[2] : IValue();
  d->items.emplace_back(c.args[1], c.out);
  return true;
}
Result<bool> update(BuiltinCall& c) {
  if (c.args.size() != 2 || !c.args[0].as_dict() || !c.args[1].as_dict()) return false;
  const auto more = c.args[1].as_dict()->items;
  for (const auto& [key, v] : more) {
    std::vector<IValue> args = {c.args[0], key, v};
    IValue ignored;
    BuiltinCall one{c.in, c.name, args, c.keywords, ignored};
    NPU_TRY(set_item(one));
  }
  return c.out = IValue(), true;
}
Result<bool> make_dict(BuiltinCall& c) {
  auto out = std::make_shared<DictObject>();
  if (!c.args.empty()) {
    if (const DictObject* d = c.args[0].as_dict()) {
      out->items = d->items;
    } else if (c.args[0].sequence()) {
      for (const IValue& pair : *c.args[0].sequence()) {
        if (!pair.sequence() || pair.sequence()->size() != 2) return false;
        out->items.emplace_back((*pair.sequence())[0], (*pair.sequence())[1]);
      }
    } else {
      return false;
    }
  }
  return c.out = IValue(out), true;
}

// any() and all() of lists of numbers.
Result<bool> any_all(BuiltinCall& c) {
  if (c.args.size() != 1 || !c.args[0].as_list()) return false;
  const bool all = c.name == "aten::all";
  for (const IValue& v : c.args[0].as_list()->items) {
    NPU_ASSIGN(const bool yes, c.in.truth(v, all ? "all()" : "any()"));
    if (yes != all) return c.out = IValue(!all), true;
  }
  return c.out = IValue(all), true;
}

Result<bool> range_list(BuiltinCall& c) {
  if (c.args.size() != 1) return false;
  NPU_ASSIGN(const int64_t n, c.in.integer(c.args[0], "a loop count"));
  if (n > static_cast<int64_t>(kLongestList))
    return Diag(diag::too_large, "a list of " + std::to_string(n) + " elements");
  std::vector<IValue> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(IValue(i));
  return c.out = IValue::list(std::move(out)), true;
}

constexpr std::pair<std::string_view, BuiltinHandler> kContainers[] = {
    {"aten::len", length},
    {"aten::__getitem__", get_item},
    {"aten::_set_item", set_item},
    {"aten::Delete", remove_item},
    {"aten::__contains__", contains},
    {"aten::append", append},
    {"aten::extend", extend},
    {"aten::add_", add_in_place},
    {"aten::mul_", repeat_in_place},
    {"aten::insert", insert},
    {"aten::pop", pop},
    {"aten::remove", remove},
    {"aten::clear", clear},
    {"aten::reverse", reverse},
    {"aten::index", index_of},
    {"aten::count", count},
    {"aten::sort", sort},
    {"aten::sorted", sorted},
    {"aten::copy", copy},
    {"aten::list", to_list},
    {"prim::tuple", to_tuple},
    {"aten::slice", slice},
    {"aten::keys", keys},
    {"aten::values", values},
    {"aten::items", items},
    {"aten::get", get},
    {"aten::setdefault", set_default},
    {"aten::update", update},
    {"aten::dict", make_dict},
    {"aten::any", any_all},
    {"aten::all", any_all},
    {"prim::rangelist", range_list},
};

}  // namespace

BuiltinTable container_builtins() { return kContainers; }

}  // namespace npuport
