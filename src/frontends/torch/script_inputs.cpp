#include "frontends/torch/script_inputs.h"

#include "base/diag_codes.h"

namespace npuport {

using script::Expr;
using Kind = PickleValue::Kind;

namespace {

constexpr int kMaxDepth = 20;

std::string_view head_of(const Expr& type) {
  if (type.kind == Expr::Kind::index) return type.kids[0].text;
  if (type.kind == Expr::Kind::none) return "NoneType";
  return type.text;
}

const PickleValue* example_item(const PickleValue* example, size_t i) {
  if (!example || !(example->is(Kind::tuple) || example->is(Kind::list)) || i >= example->items.size()) return nullptr;
  return example->items[i];
}

bool contains_tensor(const PickleValue& v, int depth = 0) {
  if (v.is(Kind::tensor)) return true;
  if (depth > kMaxDepth) return false;
  for (const PickleValue* item : v.items)
    if (contains_tensor(*item, depth + 1)) return true;
  for (const auto& [key, item] : v.entries)
    if (contains_tensor(*item, depth + 1)) return true;
  return false;
}

}  // namespace

namespace {

bool is_leaf(std::string_view head) {
  return head == "Tensor" || head == "int" || head == "float" || head == "bool" || head == "number";
}

void add_leaves(const Expr& type, const std::string& name, const PickleValue* example, int depth,
                SignatureInputs& out) {
  const std::string_view head = head_of(type);
  if (depth > kMaxDepth) {
    out.complete = false;
    return;
  }
  if (is_leaf(head)) {
    const bool shown = head == "Tensor" && example && example->is(Kind::tensor);
    out.inputs.push_back(
        {name, shown ? TensorType{example->tensor->storage.dtype, example->tensor->sizes, nullptr} : TensorType{}});
  } else if (head == "Optional" && type.kids.size() == 2) {
    if (!example || !example->is(Kind::none)) add_leaves(type.kids[1], name, example, depth + 1, out);
  } else if (head == "Tuple" && type.kind == Expr::Kind::index) {
    for (size_t kid = 1; kid < type.kids.size(); ++kid)
      if (!(type.kids[kid].kind == Expr::Kind::tuple && type.kids[kid].kids.empty()))
        add_leaves(type.kids[kid], name + "." + std::to_string(kid - 1), example_item(example, kid - 1), depth + 1,
                   out);
  } else if (head != "NoneType" && head != "Device" && head != "str") {
    out.complete = false;
  }
}

}  // namespace

SignatureInputs signature_inputs(const script::Function& f, const PickleValue* example) {
  SignatureInputs out;
  // Behind an argument of unknown size no position is known.
  for (size_t i = 1; i < f.params.size() && out.complete; ++i)
    add_leaves(f.params[i].type, f.params[i].name, example_item(example, i - 1), 0, out);
  return out;
}

Diag InputBuilder::missing(const std::string& name) const {
  return Diag(diag::dynamic_shape, "the shape of input '" + name + "' is not known",
              "give a sample with --samples FILE.npz, or the shape with --shape " + name + "=1x3x224x224:float32")
      .at_tensor(name);
}

ValueId InputBuilder::add_input(const std::string& name, const InputSpec* spec, TensorType type) {
  Graph& g = interp_.binder().builder().graph();
  const ValueId v = g.add_input(spec && !spec->name.empty() ? spec->name : name, std::move(type));
  if (!spec || !spec->value) return v;
  Diag note(diag::unverified, "input '" + g.value(v).name + "' is fixed to the given value: the graph ignores it");
  note.severity = Severity::warning;
  warnings_.push_back(std::move(note));
  return interp_.binder().builder().constant(*spec->value);
}

Result<IValue> InputBuilder::tensor(const std::string& name, const PickleValue* example) {
  const InputSpec* spec = spec_left() ? &options_.inputs[next_++] : nullptr;
  TensorType type;
  bool shape_known = false;
  if (example && example->is(Kind::tensor)) {
    type = {example->tensor->storage.dtype, example->tensor->sizes, nullptr};
    shape_known = options_.inputs.empty();
  }
  if (spec) {
    type.shape = spec->value ? spec->value->shape : spec->type.shape;
    if (spec->type.known()) type.dtype = spec->type.dtype;
    if (spec->value) type.dtype = spec->value->dtype;
    shape_known = true;
  }
  if (!shape_known) return missing(name);
  if (!type.known()) type.dtype = DType::f32;
  for (const int64_t d : type.shape)
    if (d < 0) return missing(name);
  NPU_TRY(check_shape(type.shape));
  return IValue(interp_.binder().fresh(add_input(name, spec, std::move(type))));
}

Result<IValue> InputBuilder::number(std::string_view type, const std::string& name, const PickleValue* example) {
  const InputSpec* spec = spec_left() ? &options_.inputs[next_++] : nullptr;
  if (!spec) {
    if (example && example->is(Kind::integer)) return IValue(example->integer);
    if (example && example->is(Kind::boolean)) return IValue(example->integer != 0);
    if (example && example->is(Kind::real)) return IValue(example->real);
    return Diag(diag::bad_input_data, "the value of input '" + name + "' (" + std::string(type) + ") is not known",
                "numbers decide the graph: give a sample with --samples FILE.npz")
        .at_tensor(name);
  }
  const DType dtype = type == "int" ? DType::i64 : type == "bool" ? DType::boolean : DType::f32;
  if (spec->value) {
    if (spec->value->count() != 1)
      return Diag(diag::bad_input_data,
                  "input '" + name + "' is a number, the sample has shape " + to_string(spec->value->shape));
    add_input(name, spec, {spec->value->dtype, spec->value->shape, nullptr});
    if (type == "int") return IValue(get_int(*spec->value, 0));
    if (type == "bool") return IValue(get_double(*spec->value, 0) != 0);
    return IValue(get_double(*spec->value, 0));
  }
  if (!spec->type.shape.empty())
    return Diag(diag::bad_input_data, "input '" + name + "' is a number (" + std::string(type) + "), not a tensor of " +
                                          to_string(spec->type.shape));
  const ValueId v = add_input(name, spec, {dtype, {}, nullptr});
  const SymNumber::Kind kind = dtype == DType::i64       ? SymNumber::integer
                               : dtype == DType::boolean ? SymNumber::boolean
                                                         : SymNumber::real;
  return IValue(SymNumber{interp_.binder().fresh(v), kind});
}

// List[X] takes as many elements as the trace had, else all samples that are left.
Result<IValue> InputBuilder::sequence(const Expr& type, const std::string& name, const PickleValue* example,
                                      int depth) {
  const bool tuple = head_of(type) == "Tuple";
  const bool sized = type.kind == Expr::Kind::index;
  std::vector<IValue> items;
  const auto add = [&](size_t i, size_t kid) -> Status {
    NPU_ASSIGN(IValue v, value(type.kids[kid], name + "." + std::to_string(i), example_item(example, i), depth + 1));
    items.push_back(std::move(v));
    return {};
  };
  if (tuple) {
    for (size_t kid = 1; sized && kid < type.kids.size(); ++kid)
      if (!(type.kids[kid].kind == Expr::Kind::tuple && type.kids[kid].kids.empty())) NPU_TRY(add(kid - 1, kid));
    return IValue::tuple(std::move(items));
  }
  if (!sized) return Diag(diag::unsupported, "input '" + name + "' is a list of unknown type");
  if (example && (example->is(Kind::list) || example->is(Kind::tuple))) {
    for (size_t i = 0; i < example->items.size(); ++i) NPU_TRY(add(i, 1));
    return IValue::list(std::move(items));
  }
  if (!spec_left()) return missing(name);
  for (size_t i = 0; spec_left(); ++i) NPU_TRY(add(i, 1));
  return IValue::list(std::move(items));
}

Result<IValue> InputBuilder::dict(const Expr& type, const std::string& name, const PickleValue* example, int depth) {
  auto d = std::make_shared<DictObject>();
  if (type.kids.size() < 3) return Diag(diag::unsupported, "input '" + name + "' is a dict of unknown type");
  if (example && example->is(Kind::dict)) {
    for (const auto& [key, item] : example->entries) {
      IValue k = key->is(Kind::string) ? IValue(key->text) : IValue(key->integer);
      const std::string suffix = key->is(Kind::string) ? key->text : std::to_string(key->integer);
      NPU_ASSIGN(IValue v, value(type.kids[2], name + "." + suffix, item, depth + 1));
      d->items.emplace_back(std::move(k), std::move(v));
    }
    return IValue(d);
  }
  // The keys of a scripted module's dict are only known when the samples' names are the keys.
  if (!spec_left()) return missing(name);
  while (spec_left()) {
    const std::string key = options_.inputs[next_].name;
    if (key.empty() || key.starts_with("in."))
      return Diag(diag::bad_input_data, "input '" + name + "' is a dict and its keys are not known",
                  "name the sample arrays by the dict's keys");
    NPU_ASSIGN(IValue v, value(type.kids[2], key, nullptr, depth + 1));
    d->items.emplace_back(IValue(key), std::move(v));
  }
  return IValue(d);
}

// Any, Union[…]: the trace says what it was; else a tensor while samples are left, else None.
Result<IValue> InputBuilder::untyped(const std::string& name, const PickleValue* example, int depth) {
  if (example && !contains_tensor(*example)) {
    if (example->is(Kind::integer)) return number("int", name, example);
    if (example->is(Kind::real)) return number("float", name, example);
    if (example->is(Kind::boolean)) return number("bool", name, example);
    if (example->is(Kind::string)) return IValue(example->text);
    if (example->is(Kind::none)) return IValue();
  }
  if (example && (example->is(Kind::list) || example->is(Kind::tuple))) {
    std::vector<IValue> items;
    for (size_t i = 0; i < example->items.size() && depth < kMaxDepth; ++i) {
      NPU_ASSIGN(IValue v, untyped(name + "." + std::to_string(i), example->items[i], depth + 1));
      items.push_back(std::move(v));
    }
    return example->is(Kind::list) ? IValue::list(std::move(items)) : IValue::tuple(std::move(items));
  }
  if (!spec_left() && !example) return IValue();
  return tensor(name, example);
}

Result<IValue> InputBuilder::value(const Expr& type, const std::string& name, const PickleValue* example, int depth) {
  if (depth > kMaxDepth) return Diag(diag::too_large, "the type of input '" + name + "' is nested too deeply");
  const std::string_view head = head_of(type);
  if (head == "Tensor") return tensor(name, example);
  if (head == "int" || head == "float" || head == "bool" || head == "number") return number(head, name, example);
  if (head == "Optional" && type.kids.size() == 2) {
    if (example ? example->is(Kind::none) : !spec_left()) return IValue();
    return value(type.kids[1], name, example, depth + 1);
  }
  if (head == "List" || head == "Tuple") return sequence(type, name, example, depth);
  if (head == "Dict") return dict(type, name, example, depth);
  if (head == "NoneType") return IValue();
  if (head == "Device") return IValue(DeviceValue{"cpu"});
  if (head == "str") {
    if (example && example->is(Kind::string)) return IValue(example->text);
    return Diag(diag::bad_input_data, "input '" + name + "' is a string without default",
                "wrap the model in a module that passes the string");
  }
  if (type.kind == Expr::Kind::global) {
    NPU_ASSIGN(const ClassInfo* cls, interp_.code().find_class(type.text));
    if (cls && cls->is_named_tuple()) {
      std::vector<IValue> fields;
      for (size_t i = 0; i < cls->def->fields.size(); ++i) {
        const script::ClassField& f = cls->def->fields[i];
        NPU_ASSIGN(IValue v, value(f.type, name + "." + f.name, example_item(example, i), depth + 1));
        fields.push_back(std::move(v));
      }
      return interp_.construct(*cls, std::move(fields), {});
    }
    return Diag(diag::unsupported, "input '" + name + "' is an object of class " + type.text,
                "wrap the model in a module that takes tensors");
  }
  return untyped(name, example, depth);
}

Result<std::vector<IValue>> InputBuilder::build(const script::Function& f, CodeFile* file, const ClassInfo* owner) {
  std::vector<IValue> out;
  for (size_t i = 1; i < f.params.size(); ++i) {
    const script::Parameter& p = f.params[i];
    const PickleValue* example = example_item(example_, i - 1);
    if (p.has_default && !spec_left() && !example) {
      NPU_ASSIGN(IValue v, interp_.evaluate_constant(p.default_value, file, owner));
      out.push_back(std::move(v));
      continue;
    }
    NPU_ASSIGN(IValue v, value(p.type, p.name, example, 0));
    out.push_back(std::move(v));
  }
  if (spec_left())
    return Diag(diag::bad_input_data,
                "the model takes " + std::to_string(next_) + " inputs, " + std::to_string(options_.inputs.size()) +
                    " are given",
                "give one array per tensor argument, in the order of " + f.name + "()");
  return out;
}

}  // namespace npuport
