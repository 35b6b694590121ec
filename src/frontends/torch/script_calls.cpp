// Calls: functions, methods, classes, operators and the special forms of TorchScript.
#include "base/diag_codes.h"
#include "frontends/torch/script_builtins.h"
#include "frontends/torch/script_interp.h"

namespace npuport {

using script::Expr;

namespace {

struct DepthGuard {
  explicit DepthGuard(int& d) : depth(d) { ++depth; }
  ~DepthGuard() { --depth; }
  int& depth;
};

struct FrameGuard {
  FrameGuard(Frame*& slot, Frame& f) : slot_(slot), saved(slot) { slot = &f; }
  ~FrameGuard() { slot_ = saved; }
  Frame*& slot_;
  Frame* saved;
};

// "List[int]" of a type expression; "torch.x" names keep their dots.
std::string_view type_head(const Expr& type) {
  if (type.kind == Expr::Kind::index) return type.kids[0].text;
  if (type.kind == Expr::Kind::none) return "NoneType";
  return type.text;
}

// Elements that a builtin went through at most once or twice.
int64_t length_of(const IValue& v) {
  if (const std::string* s = v.as_string()) return static_cast<int64_t>(s->size());
  if (const DictObject* d = v.as_dict()) return static_cast<int64_t>(d->items.size());
  const std::vector<IValue>* items = v.sequence();
  return items ? static_cast<int64_t>(items->size()) : 0;
}
constexpr int64_t kItemsPerStep = 16;

}  // namespace

Status Interpreter::eval_arguments(const Expr& call, size_t first, std::vector<IValue>& args, Keywords& keywords) {
  args.reserve(call.kids.size() - first);
  for (size_t i = first; i < call.kids.size(); ++i) {
    NPU_ASSIGN(IValue v, eval(call.kids[i]));
    args.push_back(std::move(v));
  }
  for (const auto& [name, e] : call.keywords) {
    NPU_ASSIGN(IValue v, eval(e));
    keywords.emplace_back(name, std::move(v));
  }
  frame_->pos = call.pos;
  return {};
}

Result<IValue> Interpreter::eval_call(const Expr& e) {
  NPU_TRY(step());
  const Expr& callee = e.kids[0];
  if (callee.kind == Expr::Kind::global) return call_global(e, callee.text);
  if (callee.kind == Expr::Kind::attribute) return call_attribute(e);
  if (callee.kind == Expr::Kind::name && !find_variable(callee)) return call_bare(e, callee.text);
  NPU_ASSIGN(const IValue f, eval(callee));
  std::vector<IValue> args;
  Keywords keywords;
  NPU_TRY(eval_arguments(e, 1, args, keywords));
  if (const FunctionObject* function = f.as_function())
    return call_function(*function, std::move(args), std::move(keywords));
  return located(Diag(diag::unsupported, "calling a " + f.type_name()));
}

Result<IValue> Interpreter::call_global(const Expr& e, const std::string& name) {
  std::vector<IValue> args;
  Keywords keywords;
  if (name.starts_with("__torch__") && name.ends_with(".__new__")) {
    auto object = std::make_shared<ScriptObject>();
    object->class_name = name.substr(0, name.size() - std::string_view(".__new__").size());
    NPU_ASSIGN(object->cls, code_.find_class(object->class_name));
    if (!object->cls)
      return located(Diag(diag::unsupported, "custom class " + object->class_name, "custom C++ classes cannot run"));
    object->module = object->cls->def->base == "Module";
    return IValue(object);
  }
  NPU_TRY(eval_arguments(e, 1, args, keywords));
  if (name.starts_with("torch.")) {
    std::string op = name.substr(6);
    if (const size_t dot = op.rfind('.'); dot != op.npos) op = op.substr(dot + 1);
    return call_operator("aten::" + op, std::move(args), std::move(keywords));
  }
  if (name.starts_with("ops.")) {
    const size_t dot = name.find('.', 4);
    if (dot == name.npos) return located(Diag(diag::syntax, "malformed operator name " + name));
    return call_operator(name.substr(4, dot - 4) + "::" + name.substr(dot + 1), std::move(args), std::move(keywords));
  }
  if (name.starts_with("__torch__")) {
    NPU_ASSIGN(const CodeLibrary::FunctionRef f, code_.find_function(name));
    if (f.function) {
      FunctionObject object;
      object.function = f.function;
      object.closure = std::make_shared<Frame>();
      object.closure->function = f.function;
      object.closure->file = f.file;
      return call_function(object, std::move(args), std::move(keywords));
    }
    NPU_ASSIGN(const ClassInfo* cls, code_.find_class(name));
    if (cls) return construct(*cls, std::move(args), std::move(keywords));
    // A static method: __torch__.M.Class.method(…).
    const size_t dot = name.rfind('.');
    NPU_ASSIGN(const ClassInfo* owner, code_.find_class(std::string_view(name).substr(0, dot)));
    if (const script::Function* m = owner ? owner->def->method(name.substr(dot + 1)) : nullptr) {
      FunctionObject object;
      object.function = m;
      object.owner = owner;
      return call_function(object, std::move(args), std::move(keywords));
    }
  }
  return located(Diag(diag::missing_entry, "the archive does not define " + name, "the archive is damaged"));
}

// annotate(T, x) and unchecked_cast(T, x) convert rank-0 tensors to the numbers T asks for (IntImplicit and friends).
Result<IValue> Interpreter::convert_annotated(const Expr& type, IValue v) {
  if (!v.as_tensor() && !v.as_sym()) return v;
  const std::string_view head = type_head(type);
  if (head == "int") return call_operator("aten::Int", {std::move(v)}, {});
  if (head == "float") return call_operator("aten::Float", {std::move(v)}, {});
  if (head == "bool") return call_operator("aten::Bool", {std::move(v)}, {});
  if (head == "number" || head == "Scalar") return call_operator("aten::ScalarImplicit", {std::move(v)}, {});
  return v;
}

// int(x), annotate(T, x), range(n) … : names that are no variables.
Result<IValue> Interpreter::call_bare(const Expr& e, const std::string& name) {
  if (name == "uninitialized") return IValue(Uninitialised{});
  if (name == "annotate" || name == "unchecked_cast" || name == "isinstance") {
    const bool test = name == "isinstance";
    if (e.kids.size() != 3) return located(Diag(diag::syntax, name + " takes two arguments"));
    NPU_ASSIGN(IValue v, eval(e.kids[test ? 1 : 2]));
    frame_->pos = e.pos;
    if (!test) return convert_annotated(e.kids[1], std::move(v));
    NPU_ASSIGN(const bool yes, has_type(v, e.kids[2]));
    return IValue(yes);
  }
  std::vector<IValue> args;
  Keywords keywords;
  NPU_TRY(eval_arguments(e, 1, args, keywords));
  if (name == "getattr" || name == "hasattr") {
    if (args.size() < 2 || !args[1].as_string())
      return located(Diag(diag::syntax, name + " takes an object and a name"));
    Result<IValue> v = get_attribute(args[0], *args[1].as_string());
    if (name == "hasattr") return IValue(v.ok());
    return v;
  }
  if (name == "fork") {
    const FunctionObject* f = args.empty() ? nullptr : args[0].as_function();
    if (!f) return located(Diag(diag::syntax, "fork needs a function"));
    const FunctionObject callee = *f;
    args.erase(args.begin());
    auto future = std::make_shared<FutureObject>();
    NPU_ASSIGN(future->value, call_function(callee, std::move(args), std::move(keywords)));
    return IValue(future);
  }
  if (name == "range") {
    int64_t bounds[3] = {0, 0, 1};
    if (args.empty() || args.size() > 3) return located(Diag(diag::syntax, "range takes one to three arguments"));
    for (size_t i = 0; i < args.size(); ++i) {
      NPU_ASSIGN(bounds[args.size() == 1 ? 1 : i], integer(args[i], "a loop count"));
    }
    if (bounds[2] == 0) return located(Diag(diag::raised, "range() arg 3 must not be zero"));
    std::vector<IValue> items;
    for (int64_t i = bounds[0]; bounds[2] > 0 ? i < bounds[1] : i > bounds[1]; i += bounds[2]) {
      if (static_cast<int64_t>(items.size()) > limits_.steps)
        return located(Diag(diag::too_large, "a loop runs more than " + std::to_string(limits_.steps) + " times"));
      items.push_back(IValue(i));
    }
    return IValue::list(std::move(items));
  }
  if (const std::string_view op = bare_function(name); !op.empty())
    return call_operator(std::string(op), std::move(args), std::move(keywords));
  return located(Diag(diag::unsupported, "function '" + name + "'"));
}

// x.method(…): a method of an object, or an old-style method of a tensor, list or string.
Result<IValue> Interpreter::call_attribute(const Expr& e) {
  const Expr& callee = e.kids[0];
  NPU_ASSIGN(const IValue base, eval(callee.kids[0]));
  std::vector<IValue> args;
  Keywords keywords;
  NPU_TRY(eval_arguments(e, 1, args, keywords));
  if (ScriptObject* o = base.as_object()) {
    if (o->cls && o->cls->def->method(callee.text))
      return call_method(base.object_ref(), callee.text, std::move(args), std::move(keywords));
    if (const auto it = o->fields.find(callee.text); it != o->fields.end() && it->second.as_function())
      return call_function(*it->second.as_function(), std::move(args), std::move(keywords));
    if (!o->cls) {  // packed parameters and other classes without source
      args.insert(args.begin(), base);
      return call_operator("class::" + callee.text, std::move(args), std::move(keywords));
    }
    return located(Diag(diag::missing_entry, "'" + o->class_name + "' has no method '" + callee.text + "'",
                        "the archive is damaged"));
  }
  args.insert(args.begin(), base);
  return call_operator("aten::" + callee.text, std::move(args), std::move(keywords));
}

Result<IValue> Interpreter::call_method(const std::shared_ptr<ScriptObject>& self, std::string_view method,
                                        std::vector<IValue> args, Keywords keywords) {
  const script::Function* f = self->cls ? self->cls->def->method(method) : nullptr;
  if (!f)
    return Diag(diag::missing_entry, "'" + self->class_name + "' has no method '" + std::string(method) + "'",
                "choose one of its methods as the entry");
  FunctionObject object;
  object.function = f;
  object.owner = self->cls;
  object.self = self;
  return call_function(object, std::move(args), std::move(keywords));
}

Result<IValue> Interpreter::construct(const ClassInfo& cls, std::vector<IValue> args, Keywords keywords) {
  if (cls.is_named_tuple()) {
    auto t = std::make_shared<TupleObject>();
    t->items = std::move(args);
    for (auto& [name, v] : keywords) t->items.push_back(std::move(v));
    t->named = &cls;
    if (t->items.size() != cls.def->fields.size())
      return located(Diag(diag::corrupt, cls.name + " takes " + std::to_string(cls.def->fields.size()) + " fields"));
    return IValue(t);
  }
  if (cls.is_enum()) {
    for (const script::ClassField& f : cls.def->fields) {
      NPU_ASSIGN(const IValue v, evaluate_constant(f.value, cls.file, &cls));
      if (args.size() != 1 || !equal(v, args[0])) continue;
      auto value = std::make_shared<EnumObject>();
      value->cls = &cls;
      value->member = f.name;
      return IValue(value);
    }
    return located(Diag(diag::corrupt, "no enumerator of " + cls.name + " has this value"));
  }
  auto object = std::make_shared<ScriptObject>();
  object->cls = &cls;
  object->class_name = cls.name;
  object->module = cls.def->base == "Module";
  if (cls.def->method("__init__")) NPU_TRY(call_method(object, "__init__", std::move(args), std::move(keywords)));
  return IValue(object);
}

Status Interpreter::bind_arguments(Frame& frame, const std::shared_ptr<ScriptObject>& self, std::vector<IValue> args,
                                   Keywords&& keywords) {
  const script::Function& f = *frame.function;
  if (self) args.insert(args.begin(), IValue(self));
  if (args.size() > f.params.size())
    return located(Diag(diag::corrupt, f.name + " takes " + std::to_string(f.params.size()) + " arguments, got " +
                                           std::to_string(args.size())));
  for (size_t i = 0; i < f.params.size(); ++i) {
    const script::Parameter& p = f.params[i];
    if (i < args.size()) {
      frame.variables[i] = std::move(args[i]);
    } else {
      bool found = false;
      for (auto& [name, v] : keywords)
        if (name == p.name) frame.variables[i] = std::move(v), found = true;
      if (!found && !p.has_default) return located(Diag(diag::corrupt, f.name + " needs argument '" + p.name + "'"));
      if (!found) {
        NPU_ASSIGN(frame.variables[i], evaluate_constant(p.default_value, frame.file, frame.owner));
      }
    }
    frame.assigned[i] = true;
  }
  return {};
}

Result<IValue> Interpreter::call_function(const FunctionObject& f, std::vector<IValue> args, Keywords keywords) {
  const DepthGuard guard(call_depth_);
  if (call_depth_ > limits_.call_depth)
    return located(Diag(diag::too_large, "calls are nested deeper than " + std::to_string(limits_.call_depth)));
  Frame frame;
  frame.function = f.function;
  frame.owner = f.owner;
  frame.file = f.owner ? f.owner->file : f.closure ? f.closure->file : nullptr;
  // A nested function sees the variables of its definition; a free function's closure only names its file.
  if (f.closure && !f.closure->assigned.empty()) frame.closure = f.closure;
  frame.variables.resize(f.function->variables.size());
  frame.assigned.resize(f.function->variables.size(), false);
  frame.caller = frame_;
  frame.pos = f.function->pos;
  frame.scope = frame_ ? frame_->scope : std::string_view();
  if (f.self && f.self->module) frame.scope = f.self->path;
  NPU_TRY(bind_arguments(frame, f.self, std::move(args), std::move(keywords)));
  const FrameGuard frame_guard(frame_, frame);
  Result<Flow> flow = run_block(f.function->body);
  if (!flow) return located(std::move(flow).error());
  IValue result = *flow == Flow::returned ? std::move(returned_) : IValue();
  returned_ = IValue();
  return result;
}

Result<IValue> Interpreter::evaluate_constant(const Expr& e, CodeFile* file, const ClassInfo* owner) {
  static const script::Function empty;
  Frame frame;
  frame.function = &empty;
  frame.file = file;
  frame.owner = owner;
  frame.caller = frame_;
  frame.pos = e.pos;
  // No variables: names in constants are only inf, nan and types.
  const FrameGuard guard(frame_, frame);
  return eval(e);
}

Result<bool> Interpreter::has_type(const IValue& v, const Expr& type) {
  if (type.kind == Expr::Kind::tuple || type.kind == Expr::Kind::list) {
    for (const Expr& t : type.kids) {
      NPU_ASSIGN(const bool yes, has_type(v, t));
      if (yes) return true;
    }
    return false;
  }
  const std::string_view head = type_head(type);
  const auto arguments_fit = [&](const std::vector<IValue>& items) -> Result<bool> {
    for (size_t i = 0; i < items.size() && type.kind == Expr::Kind::index; ++i) {
      const size_t k = head == "Tuple" ? i + 1 : 1;
      if (k >= type.kids.size()) return false;
      NPU_ASSIGN(const bool yes, has_type(items[i], type.kids[k]));
      if (!yes) return false;
    }
    return true;
  };
  if (head == "Any") return true;
  if (head == "NoneType" || head == "None") return v.is_none();
  if (head == "int") return v.as_int() || (v.as_sym() && v.as_sym()->kind == SymNumber::integer);
  if (head == "float") return v.as_real() || (v.as_sym() && v.as_sym()->kind == SymNumber::real);
  if (head == "bool") return v.as_bool() || (v.as_sym() && v.as_sym()->kind == SymNumber::boolean);
  if (head == "number" || head == "Scalar") return v.is_number() || v.as_sym();
  if (head == "str") return v.as_string() != nullptr;
  if (head == "Tensor") return v.as_tensor() != nullptr;
  if (head == "Device") return v.as_device() != nullptr;
  if (head == "List" || head == "list") return v.as_list() ? arguments_fit(v.as_list()->items) : Result<bool>(false);
  if (head == "Tuple" || head == "tuple")
    return v.as_tuple() ? arguments_fit(v.as_tuple()->items) : Result<bool>(false);
  if (head == "Dict" || head == "dict") return v.as_dict() != nullptr;
  if (head == "Optional" || head == "Union") {
    if (head == "Optional" && v.is_none()) return true;
    for (size_t k = 1; k < type.kids.size(); ++k) {
      NPU_ASSIGN(const bool yes, has_type(v, type.kids[k]));
      if (yes) return true;
    }
    return false;
  }
  if (const ScriptObject* o = v.as_object()) return o->class_name == type.text;
  if (const EnumObject* en = v.as_enum()) return en->cls->name == type.text;
  if (const TupleObject* t = v.as_tuple(); t && t->named) return t->named->name == type.text;
  return false;
}

Result<IValue> Interpreter::call_operator(const std::string& name, std::vector<IValue> args, Keywords keywords) {
  IValue result;
  Result<bool> handled = run_builtin(*this, name, args, keywords, result);
  if (!handled) return located(std::move(handled).error());
  if (*handled) {
    // Strings and lists may double with every statement: what works on them counts as that many statements.
    NPU_TRY(step((length_of(result) + (args.empty() ? 0 : length_of(args[0]))) / kItemsPerStep));
    return result;
  }
  set_origin(name);
  Result<IValue> out = binder_.call(name, std::move(args), std::move(keywords));
  if (!out) return located(std::move(out).error().at_node(name));
  return out;
}

}  // namespace npuport
