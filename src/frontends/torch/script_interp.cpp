#include "frontends/torch/script_interp.h"

#include <limits>

#include "base/diag_codes.h"
#include "frontends/torch/script_lexer.h"

namespace npuport {

using script::Expr;
using script::Stmt;

namespace {

struct DepthGuard {
  explicit DepthGuard(int& d) : depth(d) { ++depth; }
  ~DepthGuard() { --depth; }
  int& depth;
};

}  // namespace

// ---- source lines and limits

std::string Interpreter::frame_line(const Frame& f, bool& internal) const {
  internal = false;
  if (!f.file) return "";
  const std::vector<UserFrame>& frames = f.file->map.frames(f.pos);
  for (const UserFrame& u : frames)
    if (!u.internal()) return u.text();
  internal = true;
  if (!frames.empty()) return frames.front().text();
  return "";
}

std::string Interpreter::source_line() const {
  std::string innermost;
  for (const Frame* f = frame_; f; f = f->caller) {
    bool internal = false;
    std::string line = frame_line(*f, internal);
    if (!internal && !line.empty()) return line;
    if (innermost.empty()) innermost = std::move(line);
  }
  if (!innermost.empty()) return innermost;
  if (!frame_ || !frame_->file) return "";
  return "code/" + frame_->file->name + ":" + std::to_string(script::line_of(frame_->file->source, frame_->pos));
}

Diag Interpreter::located(Diag d) const {
  if (d.where.source.empty()) d.at_source(source_line());
  if (frame_ && !frame_->scope.empty()) d.at_node(frame_->scope);
  return d;
}

void Interpreter::set_origin(const std::string& name) {
  binder_.builder().set_origins({Origin{scope(), source_line(), name}});
}

Status Interpreter::step(int64_t cost) {
  const int64_t before = steps_;
  steps_ += cost;
  if (steps_ > limits_.steps)
    return Diag(diag::too_large, "the model runs more than " + std::to_string(limits_.steps) + " statements",
                "a loop runs too long: fixed loops are unrolled, shorten them or export the loop body alone");
  if (steps_ / 1024 == before / 1024) return {};
  if (progress_) progress_(steps_);
  if (binder_.builder().graph().node_slots() > limits_.nodes)
    return Diag(diag::too_large, "the unrolled graph exceeds " + std::to_string(limits_.nodes) + " nodes");
  return {};
}

// ---- statements

Result<Interpreter::Flow> Interpreter::run_block(const script::Block& block) {
  for (const Stmt& s : block) {
    NPU_ASSIGN(const Flow flow, run_statement(s));
    if (flow == Flow::returned) return flow;
  }
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::run_statement(const Stmt& s) {
  frame_->pos = s.pos;
  NPU_TRY(step());
  switch (s.kind) {
    case Stmt::Kind::assign:
      NPU_TRY(run_assign(s));
      return Flow::next;
    case Stmt::Kind::expression:
      NPU_TRY(eval(s.value));
      return Flow::next;
    case Stmt::Kind::if_else: {
      NPU_ASSIGN(const IValue condition, eval(s.value));
      frame_->pos = s.pos;
      NPU_ASSIGN(const bool yes, truth(condition, "the condition of `if`"));
      return run_block(yes ? s.body : s.orelse);
    }
    case Stmt::Kind::while_loop:
      for (;;) {
        NPU_ASSIGN(const IValue condition, eval(s.value));
        frame_->pos = s.pos;
        NPU_ASSIGN(const bool yes, truth(condition, "the condition of `while`"));
        if (!yes) return Flow::next;
        NPU_TRY(step());
        NPU_ASSIGN(const Flow flow, run_block(s.body));
        if (flow == Flow::returned) return flow;
      }
    case Stmt::Kind::for_range:
      return run_for(s);
    case Stmt::Kind::with: {
      // Context managers in TorchScript switch gradients or profiling, which do not change results.
      NPU_ASSIGN(IValue context, eval(s.value));
      if (!s.targets.empty()) NPU_TRY(assign_target(s.targets[0], std::move(context)));
      return run_block(s.body);
    }
    case Stmt::Kind::return_value: {
      NPU_ASSIGN(returned_, eval(s.value));
      return Flow::returned;
    }
    case Stmt::Kind::pass:
      return Flow::next;
    case Stmt::Kind::function: {
      auto f = std::make_shared<FunctionObject>();
      f->function = s.function.get();
      f->owner = frame_->owner;
      f->closure = std::make_shared<Frame>(*frame_);
      NPU_TRY(assign_target(s.targets[0], IValue(f)));
      return Flow::next;
    }
  }
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::run_for(const Stmt& s) {
  NPU_ASSIGN(const IValue over, eval(s.value));
  const std::vector<IValue>* given = over.sequence();
  if (!given) return located(Diag(diag::unsupported, "`for` over a " + over.type_name()));
  const std::vector<IValue> items = *given;  // the body may change the list
  for (const IValue& item : items) {
    NPU_TRY(step());
    NPU_TRY(assign_target(s.targets[0], item));
    NPU_ASSIGN(const Flow flow, run_block(s.body));
    if (flow == Flow::returned) return flow;
  }
  return Flow::next;
}

Status Interpreter::run_assign(const Stmt& s) {
  NPU_ASSIGN(IValue v, eval(s.value));
  if (s.unpack) return unpack(s.targets, v);
  return assign_target(s.targets[0], std::move(v));
}

// The items a value is unpacked into; an unknown tensor gives as many unknown tensors as asked for.
Result<std::vector<IValue>> Interpreter::items_of(const IValue& v, size_t wanted) {
  if (const TensorRef t = v.as_tensor()) {
    NPU_ASSIGN(const ValueId id, binder_.read(t));
    if (!binder_.builder().graph().type(id).known()) return std::vector<IValue>(wanted, v);
    NPU_ASSIGN(const IValue list, call_operator("aten::unbind", {v}, {}));
    return items_of(list, wanted);
  }
  if (!v.sequence()) return located(Diag(diag::unsupported, "unpacking a " + v.type_name()));
  return *v.sequence();
}

Status Interpreter::unpack(const std::vector<Expr>& targets, const IValue& v) {
  NPU_ASSIGN(const std::vector<IValue> items, items_of(v, targets.size()));
  if (items.size() != targets.size())
    return located(Diag(diag::raised, "unpacking " + std::to_string(items.size()) + " values into " +
                                          std::to_string(targets.size()) + " variables"));
  for (size_t i = 0; i < items.size(); ++i) NPU_TRY(assign_target(targets[i], items[i]));
  return {};
}

Status Interpreter::assign_target(const Expr& target, IValue v) {
  switch (target.kind) {
    case Expr::Kind::name:
      frame_->variables[target.slot] = std::move(v);
      frame_->assigned[target.slot] = true;
      return {};
    case Expr::Kind::attribute: {
      NPU_ASSIGN(const IValue base, eval(target.kids[0]));
      if (ScriptObject* o = base.as_object()) {
        o->fields[target.text] = std::move(v);
        return {};
      }
      return located(Diag(diag::unsupported, "setting attribute '" + target.text + "' of a " + base.type_name()));
    }
    case Expr::Kind::index: {
      if (target.kids.size() != 2) break;
      NPU_ASSIGN(IValue base, eval(target.kids[0]));
      NPU_ASSIGN(IValue key, eval(target.kids[1]));
      NPU_TRY(call_operator("aten::_set_item", {std::move(base), std::move(key), std::move(v)}, {}));
      return {};
    }
    case Expr::Kind::tuple:
      return unpack(target.kids, v);
    default:
      break;
  }
  return located(Diag(diag::unsupported, "assignment to this kind of expression"));
}

// ---- values

Result<bool> Interpreter::truth(const IValue& v, std::string_view use) {
  if (const bool* b = v.as_bool()) return *b;
  double d = 0;
  if (v.number(d)) return d != 0;
  if (v.is_none()) return false;
  if (const std::string* s = v.as_string()) return !s->empty();
  if (v.sequence()) return !v.sequence()->empty();
  if (const DictObject* o = v.as_dict()) return !o->items.empty();
  const TensorRef t = v.as_sym() ? v.as_sym()->tensor : v.as_tensor();
  if (!t) return located(Diag(diag::unsupported, std::string(use) + " is a " + v.type_name()));
  Result<std::shared_ptr<const Tensor>> value = binder_.concrete(t, use);
  if (!value) return located(std::move(value).error());
  if ((*value)->count() != 1)
    return located(Diag(diag::raised, "Boolean value of Tensor with more than one value is ambiguous"));
  return get_double(**value, 0) != 0;
}

Result<int64_t> Interpreter::integer(const IValue& v, std::string_view use) {
  if (const int64_t* i = v.as_int()) return *i;
  if (const bool* b = v.as_bool()) return static_cast<int64_t>(*b);
  if (const double* d = v.as_real(); d && *d >= -9.0e18 && *d <= 9.0e18) return static_cast<int64_t>(*d);
  const TensorRef t = v.as_sym() ? v.as_sym()->tensor : v.as_tensor();
  if (!t) return located(Diag(diag::unsupported, std::string(use) + " is a " + v.type_name() + ", not an int"));
  Result<std::shared_ptr<const Tensor>> value = binder_.concrete(t, use);
  if (!value) return located(std::move(value).error());
  if ((*value)->count() != 1)
    return located(Diag(diag::raised, "only one element tensors can be converted to numbers"));
  return get_int(**value, 0);
}

const IValue* Interpreter::find_variable(const Expr& e) const {
  if (e.slot < frame_->assigned.size() && frame_->assigned[e.slot]) return &frame_->variables[e.slot];
  for (const Frame* f = frame_->closure.get(); f; f = f->closure.get())
    for (size_t i = 0; i < f->function->variables.size(); ++i)
      if (i < f->assigned.size() && f->assigned[i] && f->function->variables[i] == e.text) return &f->variables[i];
  return nullptr;
}

Result<IValue> Interpreter::eval_name(const Expr& e) {
  if (const IValue* v = find_variable(e)) return *v;
  if (e.text == "inf") return IValue(std::numeric_limits<double>::infinity());
  if (e.text == "nan") return IValue(std::numeric_limits<double>::quiet_NaN());
  return located(Diag(diag::syntax, "variable '" + e.text + "' is used before it has a value",
                      "the archive's code/ folder is damaged"));
}

// CONSTANTS.c3, __torch__.M.Mode.ADD, __torch__.f as a value, torch.float as a dtype.
Result<IValue> Interpreter::eval_global(const Expr& e) {
  static constexpr std::string_view prefix = "CONSTANTS.c";
  if (e.text.starts_with(prefix)) {
    size_t index = 0;
    for (const char c : std::string_view(e.text).substr(prefix.size())) {
      if (c < '0' || c > '9' || index > constants_.size())
        return located(Diag(diag::corrupt, "bad constant " + e.text));
      index = index * 10 + static_cast<size_t>(c - '0');
    }
    if (index >= constants_.size())
      return located(Diag(diag::missing_entry, e.text + " is not in constants.pkl", "the archive is damaged"));
    return constants_[index];
  }
  if (e.text.starts_with("__torch__")) {
    NPU_ASSIGN(const CodeLibrary::FunctionRef f, code_.find_function(e.text));
    if (f.function) {
      auto object = std::make_shared<FunctionObject>();
      object->function = f.function;
      object->closure = std::make_shared<Frame>();
      object->closure->function = f.function;
      object->closure->file = f.file;
      return IValue(object);
    }
    const size_t dot = e.text.rfind('.');
    NPU_ASSIGN(const ClassInfo* cls, code_.find_class(std::string_view(e.text).substr(0, dot)));
    const std::string member = e.text.substr(dot + 1);
    if (cls && cls->is_enum() && cls->def->field(member)) {
      auto value = std::make_shared<EnumObject>();
      value->cls = cls;
      value->member = member;
      return IValue(value);
    }
    NPU_ASSIGN(const ClassInfo* itself, code_.find_class(e.text));
    if (itself) return IValue(itself->name);  // the argument of __new__
  }
  return located(Diag(diag::missing_entry, "the archive does not define " + e.text, "the archive is damaged"));
}

Result<IValue> Interpreter::get_attribute(const IValue& base, std::string_view name) {
  if (ScriptObject* o = base.as_object()) {
    if (const auto it = o->fields.find(name); it != o->fields.end()) return it->second;
    if (o->cls) {
      if (const script::ClassField* f = o->cls->def->field(name); f && f->has_value) {
        NPU_ASSIGN(IValue v, evaluate_constant(f->value, o->cls->file, o->cls));
        o->fields.emplace(name, v);
        return v;
      }
      if (const script::Function* m = o->cls->def->method(name)) {
        auto f = std::make_shared<FunctionObject>();
        f->function = m;
        f->owner = o->cls;
        f->self = base.object_ref();
        return IValue(f);
      }
    }
    return located(Diag(diag::missing_entry, "'" + o->class_name + "' has no attribute '" + std::string(name) + "'",
                        "the archive is damaged"));
  }
  if (const TupleObject* t = base.as_tuple(); t && t->named) {
    const auto& fields = t->named->def->fields;
    for (size_t i = 0; i < fields.size() && i < t->items.size(); ++i)
      if (fields[i].name == name) return t->items[i];
  }
  if (const EnumObject* e = base.as_enum()) {
    if (name == "name") return IValue(e->member);
    if (name == "value") return evaluate_constant(e->cls->def->field(e->member)->value, e->cls->file, e->cls);
  }
  if (base.as_tensor()) return call_operator((name == "T" ? "aten::" : "prim::") + std::string(name), {base}, {});
  return located(Diag(diag::unsupported, "attribute '" + std::string(name) + "' of a " + base.type_name()));
}

Result<IValue> Interpreter::eval_dict(const Expr& e) {
  auto d = std::make_shared<DictObject>();
  for (size_t i = 0; i + 1 < e.kids.size(); i += 2) {
    NPU_ASSIGN(IValue key, eval(e.kids[i]));
    NPU_ASSIGN(IValue value, eval(e.kids[i + 1]));
    NPU_TRY(call_operator("aten::_set_item", {IValue(d), std::move(key), std::move(value)}, {}));
  }
  return IValue(d);
}

Result<IValue> Interpreter::eval_index(const Expr& e) {
  NPU_ASSIGN(IValue base, eval(e.kids[0]));
  if (e.kids.size() != 2) return located(Diag(diag::unsupported, "indexing with several indices"));
  if (e.kids[1].kind == Expr::Kind::slice) {
    std::vector<IValue> args = {base};
    if (base.as_tensor()) args.push_back(IValue(0));
    for (const Expr& part : e.kids[1].kids) {
      NPU_ASSIGN(IValue v, eval(part));
      args.push_back(std::move(v));
    }
    if (args.back().is_none()) args.back() = IValue(1);
    return call_operator("aten::slice", std::move(args), {});
  }
  NPU_ASSIGN(IValue key, eval(e.kids[1]));
  frame_->pos = e.pos;
  return call_operator("aten::__getitem__", {std::move(base), std::move(key)}, {});
}

Result<IValue> Interpreter::eval_binary(const Expr& e) {
  NPU_ASSIGN(IValue a, eval(e.kids[0]));
  NPU_ASSIGN(IValue b, eval(e.kids[1]));
  frame_->pos = e.pos;
  if (e.text == "__contains__") std::swap(a, b);
  if (e.text == "__not_contains__") {
    NPU_ASSIGN(const IValue in, call_operator("aten::__contains__", {std::move(b), std::move(a)}, {}));
    NPU_ASSIGN(const bool yes, truth(in, "`not in`"));
    return IValue(!yes);
  }
  return call_operator("aten::" + e.text, {std::move(a), std::move(b)}, {});
}

Result<IValue> Interpreter::eval(const Expr& e) {
  const DepthGuard guard(eval_depth_);
  if (eval_depth_ > limits_.expression_depth)
    return located(Diag(diag::too_large, "calls and expressions are nested too deeply"));
  switch (e.kind) {
    case Expr::Kind::none:
      return IValue();
    case Expr::Kind::boolean:
      return IValue(e.integer != 0);
    case Expr::Kind::integer:
      return IValue(e.integer);
    case Expr::Kind::real:
      return IValue(e.real);
    case Expr::Kind::string:
      return IValue(e.text);
    case Expr::Kind::name:
      return eval_name(e);
    case Expr::Kind::global:
      return eval_global(e);
    case Expr::Kind::list:
    case Expr::Kind::tuple: {
      std::vector<IValue> items;
      items.reserve(e.kids.size());
      for (const Expr& kid : e.kids) {
        NPU_ASSIGN(IValue v, eval(kid));
        items.push_back(std::move(v));
      }
      return e.kind == Expr::Kind::list ? IValue::list(std::move(items)) : IValue::tuple(std::move(items));
    }
    case Expr::Kind::dict:
      return eval_dict(e);
    case Expr::Kind::attribute: {
      NPU_ASSIGN(const IValue base, eval(e.kids[0]));
      frame_->pos = e.pos;
      return get_attribute(base, e.text);
    }
    case Expr::Kind::call:
      return eval_call(e);
    case Expr::Kind::index:
      return eval_index(e);
    case Expr::Kind::negate: {
      NPU_ASSIGN(IValue v, eval(e.kids[0]));
      return call_operator("aten::neg", {std::move(v)}, {});
    }
    case Expr::Kind::logic_not: {
      NPU_ASSIGN(const IValue v, eval(e.kids[0]));
      NPU_ASSIGN(const bool yes, truth(v, "`not`"));
      return IValue(!yes);
    }
    case Expr::Kind::binary:
      return eval_binary(e);
    case Expr::Kind::logic_and:
    case Expr::Kind::logic_or: {
      NPU_ASSIGN(IValue left, eval(e.kids[0]));
      NPU_ASSIGN(const bool yes, truth(left, "a condition"));
      if (yes == (e.kind == Expr::Kind::logic_or)) return left;
      return eval(e.kids[1]);
    }
    case Expr::Kind::conditional: {
      NPU_ASSIGN(const IValue condition, eval(e.kids[1]));
      NPU_ASSIGN(const bool yes, truth(condition, "a condition"));
      return eval(e.kids[yes ? 0 : 2]);
    }
    case Expr::Kind::slice:
      break;
  }
  return located(Diag(diag::syntax, "a slice outside an index"));
}

}  // namespace npuport
