#include "frontends/aten_binder.h"

#include <algorithm>

#include "base/diag_codes.h"
#include "frontends/aten_call.h"
#include "ir/registry.h"

namespace npuport {
namespace {

// Arguments that say where or how memory lies, or how gradients flow: npuport has one memory and no gradients.
bool ignored_keyword(std::string_view name) {
  return name == "pin_memory" || name == "layout" || name == "device" || name == "memory_format" ||
         name == "non_blocking" || name == "generator" || name == "requires_grad" || name == "names";
}

IValue default_of(const SchemaDefault& d, const SchemaArg& arg) {
  switch (d.kind) {
    case SchemaDefault::none:
      return {};
    case SchemaDefault::boolean:
      return IValue(d.i != 0);
    case SchemaDefault::integer:
      return arg.kind == AtenKind::real ? IValue(static_cast<double>(d.i)) : IValue(d.i);
    case SchemaDefault::real:
      return IValue(d.f);
    case SchemaDefault::string:
      return IValue(d.s);
    default:
      break;
  }
  std::vector<IValue> items;
  for (const double v : d.items) {
    if (arg.kind == AtenKind::boolean)
      items.push_back(IValue(v != 0));
    else if (d.kind == SchemaDefault::reals)
      items.push_back(IValue(v));
    else
      items.push_back(IValue(static_cast<int64_t>(v)));
  }
  return IValue::list(std::move(items));
}

// A number that depends on input values takes part in tensor operators as a rank-0 tensor.
void sym_to_tensor(IValue& v) {
  if (const SymNumber* s = v.as_sym()) {
    auto copy = std::make_shared<ScriptTensor>(*s->tensor);
    copy->wrapped_number = true;
    v = IValue(std::move(copy));
  } else if (ListObject* l = v.as_list()) {
    if (std::none_of(l->items.begin(), l->items.end(), [](const IValue& i) { return i.as_sym() != nullptr; })) return;
    std::vector<IValue> items = l->items;
    for (IValue& i : items) sym_to_tensor(i);
    v = IValue::list(std::move(items));
  }
}

}  // namespace

const IValue* find_argument(const std::vector<IValue>& args, const Keywords& keywords, size_t position,
                            std::string_view name) {
  if (position < args.size()) return &args[position];
  for (const auto& [key, value] : keywords)
    if (key == name) return &value;
  return nullptr;
}

bool AtenBinder::knows(std::string_view name) const {
  if (!AtenTable::global().find(name).empty()) return true;
  return name.ends_with('_') && !name.ends_with("__") &&
         !AtenTable::global().find(name.substr(0, name.size() - 1)).empty();
}

Result<bool> AtenBinder::accepts_element(const SchemaArg& arg, IValue& v, bool convert) {
  switch (arg.kind) {
    case AtenKind::tensor:
      if (v.as_tensor()) return true;
      if (convert && v.is_number()) return v = IValue(number_tensor(v)), true;
      return false;
    case AtenKind::scalar:
      if (v.is_number()) return true;
      break;
    case AtenKind::integer:
    case AtenKind::scalar_type:
    case AtenKind::layout:
    case AtenKind::memory_format:
      if (v.as_int()) return true;
      if (v.as_bool() && convert) return v = IValue(static_cast<int64_t>(*v.as_bool())), true;
      break;
    case AtenKind::real:
      if (v.as_real()) return true;
      if (v.as_int()) return v = IValue(static_cast<double>(*v.as_int())), true;
      break;
    case AtenKind::boolean:
      if (v.as_bool()) return true;
      if (convert && v.as_int()) return v = IValue(*v.as_int() != 0), true;
      break;
    case AtenKind::string:
      return v.as_string() != nullptr;
    case AtenKind::device:
      return v.as_device() != nullptr || v.as_string() != nullptr;
    case AtenKind::generator:
      return v.is_none();
    case AtenKind::any:
      return true;
  }
  // A rank-0 tensor where a number is wanted: legal only when its value is known.
  const TensorRef t = convert ? v.as_tensor() : nullptr;
  if (!t) return false;
  NPU_ASSIGN(const Shape tensor_shape, shape(t));
  if (element_count(tensor_shape) != 1) return false;
  NPU_ASSIGN(const std::shared_ptr<const Tensor> value, concrete(t, "a number argument"));
  if (arg.kind == AtenKind::boolean || (arg.kind == AtenKind::scalar && value->dtype == DType::boolean))
    v = IValue(get_double(*value, 0) != 0);
  else if (arg.kind == AtenKind::real || (arg.kind == AtenKind::scalar && is_float(value->dtype)))
    v = IValue(get_double(*value, 0));
  else
    v = IValue(get_int(*value, 0));
  return true;
}

// Whether `value` fits the argument; converts it in place (number → list, int → float …).
Result<bool> AtenBinder::accepts(const SchemaArg& arg, IValue& value, bool convert) {
  if (value.is_none()) return arg.optional || (arg.has_default && arg.default_value.kind == SchemaDefault::none);
  if (!arg.list) return accepts_element(arg, value, convert);
  if (!value.as_list() && !value.as_tuple()) {
    IValue element = value;  // int[N] takes a single int
    if (arg.list_size == 0 && !(convert && arg.kind == AtenKind::integer)) return false;
    NPU_ASSIGN(const bool fits, accepts_element(arg, element, convert));
    if (!fits) return false;
    value = IValue::list(std::vector<IValue>(static_cast<size_t>(std::max(1, arg.list_size)), element));
    return true;
  }
  std::vector<IValue> items = *value.sequence();
  bool changed = false;
  for (IValue& item : items) {
    if (item.is_none() && arg.optional_element) continue;
    const bool was_tensor = item.as_tensor() != nullptr, was_int = item.as_int() != nullptr;
    NPU_ASSIGN(const bool fits, accepts_element(arg, item, convert));
    if (!fits) return false;
    changed = changed || was_tensor != (item.as_tensor() != nullptr) || was_int != (item.as_int() != nullptr);
  }
  if (changed || value.as_tuple()) value = IValue::list(std::move(items));
  return true;
}

// Positional arguments, then keywords, then defaults. False when something does not fit.
Result<bool> AtenBinder::bind(const AtenSchema& schema, const std::vector<IValue>& args, const Keywords& keywords,
                              bool convert, std::vector<IValue>& bound) {
  bound.assign(schema.args.size(), IValue());
  std::vector<bool> given(schema.args.size(), false);
  if (args.size() > schema.args.size()) return false;
  for (size_t i = 0; i < args.size(); ++i) {
    bound[i] = args[i];
    given[i] = true;
  }
  for (const auto& [key, value] : keywords) {
    const int i = schema.arg_index(key);
    if (i < 0) {
      if (ignored_keyword(key) || (key == "dtype" && value.is_none())) continue;
      return false;
    }
    if (given[static_cast<size_t>(i)]) return false;
    bound[static_cast<size_t>(i)] = value;
    given[static_cast<size_t>(i)] = true;
  }
  for (size_t i = 0; i < schema.args.size(); ++i) {
    const SchemaArg& arg = schema.args[i];
    if (!given[i]) {
      if (!arg.has_default && !arg.optional) return false;
      bound[i] = default_of(arg.default_value, arg);
      continue;
    }
    NPU_ASSIGN(const bool fits, accepts(arg, bound[i], convert));
    if (!fits) return false;
  }
  return true;
}

// The first overload that fits as given, else the first that fits after conversions (number → tensor, rank-0 tensor →
// number). Like PyTorch's own two rounds.
Result<AtenBinder::Choice> AtenBinder::choose(std::string_view name, const std::vector<IValue>& args,
                                              const Keywords& keywords) {
  Choice choice;
  for (const bool convert : {false, true}) {
    for (const AtenSchema& schema : AtenTable::global().find(name)) {
      NPU_ASSIGN(const bool fits, bind(schema, args, keywords, convert, choice.bound));
      if (!fits) continue;
      choice.schema = &schema;
      return choice;
    }
  }
  std::string given;
  for (const IValue& v : args) given += (given.empty() ? "" : ", ") + v.type_name();
  for (const auto& [key, value] : keywords) given += ", " + key + "=" + value.type_name();
  return Diag(diag::unsupported_op, "no known form of " + std::string(name) + " takes (" + given + ")",
              "report the operator and this argument list");
}

bool AtenBinder::has_unknown(const std::vector<IValue>& args) {
  return std::any_of(args.begin(), args.end(), [&](const IValue& v) {
    if (const TensorRef t = v.as_tensor()) {
      const Result<ValueId> id = read(t);
      return id && !b_.graph().type(*id).known();
    }
    const std::vector<IValue>* items = v.sequence();
    return items && has_unknown(*items);
  });
}

Result<IValue> AtenBinder::call(std::string_view name, std::vector<IValue> args, Keywords keywords) {
  for (IValue& v : args) sym_to_tensor(v);
  for (auto& [key, v] : keywords) sym_to_tensor(v);
  if (!has_unknown(args)) {
    for (const Extension& e : extensions_) {
      IValue result;
      NPU_ASSIGN(const bool handled, e(name, args, keywords, result));
      if (handled) return result;
    }
  }
  return call_row(name, std::move(args), std::move(keywords));
}

Result<IValue> AtenBinder::call_row(std::string_view name, std::vector<IValue> args, Keywords keywords) {
  for (size_t i = 0; i < keywords.size(); ++i) {  // add(a, b, out=c) writes into c
    if (keywords[i].first != "out") continue;
    const TensorRef out = keywords[i].second.as_tensor();
    if (!out) return Diag(diag::unsupported, std::string(name) + " with several out= tensors");
    keywords.erase(keywords.begin() + static_cast<ptrdiff_t>(i));
    NPU_ASSIGN(const ValueId v, run(name, std::move(args), std::move(keywords)));
    NPU_TRY(assign(out, v));
    return IValue(out);
  }
  const bool own_row = !AtenTable::global().find(name).empty();
  const bool in_place_name = name.ends_with('_') && !name.ends_with("__");
  const std::string_view base = name.substr(0, name.size() - (in_place_name ? 1 : 0));
  static constexpr std::string_view built_in[] = {"aten::copy", "aten::fill", "aten::zero", "aten::detach",
                                                  "aten::requires_grad"};
  const bool writes = !own_row && in_place_name &&
                      (knows(base) || std::find(std::begin(built_in), std::end(built_in), base) != std::end(built_in));
  if (!own_row && !writes) return make_opaque(name, args, "");
  if (has_unknown(args)) {
    NPU_ASSIGN(const IValue one, make_opaque(name, args, "an argument has unknown type"));
    if (writes) {
      if (const TensorRef self = args[0].as_tensor()) {
        NPU_ASSIGN(const ValueId v, read(one.as_tensor()));
        NPU_TRY(assign(self, v));
        return IValue(self);
      }
    }
    const size_t returns = own_row ? AtenTable::global().find(name)[0].returns.size() : 1;
    if (returns < 2) return one;
    return IValue::tuple(std::vector<IValue>(returns, one));
  }
  if (writes) return in_place(base, std::move(args), std::move(keywords));
  NPU_ASSIGN(const Choice choice, choose(name, args, keywords));
  return execute(choice);
}

Result<ValueId> AtenBinder::run(std::string_view name, std::vector<IValue> args, Keywords keywords) {
  NPU_ASSIGN(const IValue v, call_row(name, std::move(args), std::move(keywords)));
  if (const TensorRef t = v.as_tensor()) return read(t);
  return Diag(diag::internal, std::string(name) + " was expected to give one tensor");
}

Result<IValue> AtenBinder::execute(const Choice& choice) {
  BoundCall call(*this, *choice.schema, choice.bound);
  NPU_TRY(call.prepare());
  const AtenRow& row = *choice.schema->row;
  if (row.fn)
    row.fn(call);
  else
    call.run_one_to_one();
  if (Status s = b_.take_status(); !s) return std::move(s).error().at_node(choice.schema->name);
  return wrap_result(choice, std::move(call.results));
}

// Shapes the results like the schema's return type; views remember how they were made.
Result<IValue> AtenBinder::wrap_result(const Choice& choice, std::vector<std::vector<ValueId>> results) {
  const AtenSchema& schema = *choice.schema;
  if (results.size() != schema.returns.size())
    return Diag(diag::internal, schema.full + " gave " + std::to_string(results.size()) + " results, its schema says " +
                                    std::to_string(schema.returns.size()));
  TensorRef self;
  if (!choice.bound.empty()) self = choice.bound[0].as_tensor();
  std::vector<IValue> out;
  for (size_t i = 0; i < results.size(); ++i) {
    const SchemaReturn& ret = schema.returns[i];
    const bool view = ret.view && self;
    if (!ret.list) {
      if (results[i].size() != 1 || !results[i][0].valid())
        return Diag(diag::internal, schema.full + " did not return the tensor its schema promises");
      out.push_back(view ? wrap_view(choice, self, results[i][0], 0) : IValue(fresh(results[i][0])));
      continue;
    }
    std::vector<IValue> items;
    for (size_t k = 0; k < results[i].size(); ++k)
      items.push_back(view ? wrap_view(choice, self, results[i][k], k) : IValue(fresh(results[i][k])));
    out.push_back(IValue::list(std::move(items)));
  }
  if (out.size() == 1) return out[0];
  return IValue::tuple(std::move(out));
}

// foo_(self, …): runs foo, then writes the result back into self.
Result<IValue> AtenBinder::in_place(std::string_view base, std::vector<IValue> args, Keywords keywords) {
  const TensorRef self = args.empty() ? nullptr : args[0].as_tensor();
  if (!self) return Diag(diag::unsupported, std::string(base) + "_ on something that is no tensor");
  if (base == "aten::detach" || base == "aten::requires_grad") return IValue(self);
  if (base == "aten::copy" || base == "aten::fill" || base == "aten::zero") {
    IValue source(int64_t{0});
    if (base != "aten::zero") {
      const IValue* given = find_argument(args, keywords, 1, base == "aten::copy" ? "src" : "value");
      if (!given) return Diag(diag::unsupported, std::string(base) + "_ without a source");
      source = *given;
    }
    if (source.is_number()) source = IValue(number_tensor(source));
    const TensorRef from = source.as_tensor();
    if (!from) return Diag(diag::unsupported, std::string(base) + "_ from a " + source.type_name());
    NPU_ASSIGN(const ValueId v, read(from));
    NPU_TRY(assign(self, v));
    return IValue(self);
  }
  NPU_ASSIGN(const ValueId v, run(base, std::move(args), std::move(keywords)));
  NPU_TRY(assign(self, v));
  return IValue(self);
}

Result<IValue> AtenBinder::make_opaque(std::string_view name, const std::vector<IValue>& args,
                                       std::string_view detail) {
  std::vector<ValueId> in;
  const std::function<Status(const std::vector<IValue>&)> collect = [&](const std::vector<IValue>& values) -> Status {
    for (const IValue& v : values) {
      if (const TensorRef t = v.as_tensor()) {
        NPU_ASSIGN(const ValueId id, read(t));
        in.push_back(id);
      } else if (const std::vector<IValue>* items = v.sequence()) {
        NPU_TRY(collect(*items));
      }
    }
    return {};
  };
  NPU_TRY(collect(args));
  if (detail.empty()) {
    const Origin origin = b_.origins().empty() ? Origin{} : b_.origins().front();
    const auto it = std::find_if(opaque_.begin(), opaque_.end(), [&](const auto& o) { return o.foreign == name; });
    if (it == opaque_.end())
      opaque_.push_back({std::string(name), {origin}});
    else
      it->places.push_back(origin);
  }
  const ValueId v = b_.op("opaque", std::move(in), {{"foreign", std::string(name)}, {"detail", std::string(detail)}});
  NPU_TRY(b_.take_status());
  return IValue(fresh(v));
}

Diag AtenBinder::opaque_error() const {
  std::string list;
  for (const OpaqueOperator& o : opaque_)
    list += (list.empty() ? "" : ", ") + o.foreign + " (" + std::to_string(o.places.size()) + "×)";
  Diag d(diag::unsupported_op, "operators without mapping: " + list,
         "rewrite these operators in the model, or report them with the model's name");
  constexpr size_t max_places = 20;
  for (const OpaqueOperator& o : opaque_) {
    for (size_t i = 0; i < o.places.size() && i < max_places; ++i) {
      Diag note(diag::unsupported_op, o.foreign);
      note.severity = Severity::note;
      note.at_source(o.places[i].source).at_node(o.places[i].scope);
      d.with_note(std::move(note));
    }
  }
  return d;
}

}  // namespace npuport
