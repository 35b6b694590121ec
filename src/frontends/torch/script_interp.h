// Executes TorchScript code: Python values concretely, tensors as graph nodes.
#pragma once

#include <functional>
#include <unordered_map>

#include "frontends/aten_binder.h"
#include "frontends/torch/script_code.h"
#include "frontends/torch/script_value.h"

namespace npuport {

// Variables of one running function.
struct Frame {
  const script::Function* function = nullptr;
  CodeFile* file = nullptr;
  const ClassInfo* owner = nullptr;
  std::vector<IValue> variables;
  std::vector<bool> assigned;
  std::shared_ptr<Frame> closure;  // of a nested function: a copy of the defining frame
  const Frame* caller = nullptr;
  uint32_t pos = 0;        // byte offset of what runs now
  std::string_view scope;  // path of the innermost module whose method runs
};

struct InterpreterLimits {
  int64_t steps = 10'000'000;  // statements and calls; operators on lists and strings count by their length
  size_t nodes = 2'000'000;    // graph nodes
  int call_depth = 250;
  int expression_depth = 1500;
};

class Interpreter {
 public:
  Interpreter(CodeLibrary& code, AtenBinder& binder, InterpreterLimits limits = {})
      : code_(code), binder_(binder), limits_(limits) {}

  void set_constants(std::vector<IValue> constants) { constants_ = std::move(constants); }
  // Called after every 1024 steps with the number of steps so far; may be empty.
  void set_progress(std::function<void(int64_t)> progress) { progress_ = std::move(progress); }

  // Runs a method of an object. Errors carry the user's source line: syntax, raised, data_dependent, unsupported,
  // unsupported_op, too_large, and whatever operators refuse.
  Result<IValue> call_method(const std::shared_ptr<ScriptObject>& self, std::string_view method,
                             std::vector<IValue> args, Keywords keywords = {});
  Result<IValue> call_function(const FunctionObject& f, std::vector<IValue> args, Keywords keywords);
  // "aten::add", "prim::dtype", "torchvision::nms" on any values.
  Result<IValue> call_operator(const std::string& name, std::vector<IValue> args, Keywords keywords);
  // A class called as in T(…): named tuples take their fields, other classes run __init__.
  Result<IValue> construct(const ClassInfo& cls, std::vector<IValue> args, Keywords keywords);
  // Evaluates a constant expression (argument defaults, class constants).
  Result<IValue> evaluate_constant(const script::Expr& e, CodeFile* file, const ClassInfo* owner);
  Result<IValue> get_attribute(const IValue& base, std::string_view name);

  // A truth value; data_dependent when it depends on the inputs, `use` says what for.
  Result<bool> truth(const IValue& v, std::string_view use);
  // A concrete int (bool and whole rank-0 tensors too).
  Result<int64_t> integer(const IValue& v, std::string_view use);
  // isinstance(v, type).
  Result<bool> has_type(const IValue& v, const script::Expr& type);

  AtenBinder& binder() { return binder_; }
  CodeLibrary& code() { return code_; }
  // The user's source line of what runs now: the innermost frame outside PyTorch's own files, else the innermost.
  std::string source_line() const;
  std::string scope() const { return frame_ ? std::string(frame_->scope) : std::string(); }

 private:
  enum class Flow : uint8_t { next, returned };

  Result<Flow> run_block(const script::Block& block);
  Result<Flow> run_statement(const script::Stmt& s);
  Result<Flow> run_for(const script::Stmt& s);
  Status run_assign(const script::Stmt& s);
  Status assign_target(const script::Expr& target, IValue v);
  Status unpack(const std::vector<script::Expr>& targets, const IValue& v);
  Result<std::vector<IValue>> items_of(const IValue& v, size_t wanted);

  Result<IValue> eval(const script::Expr& e);
  Result<IValue> eval_name(const script::Expr& e);
  Result<IValue> eval_global(const script::Expr& e);
  Result<IValue> eval_index(const script::Expr& e);
  Result<IValue> eval_call(const script::Expr& e);
  Result<IValue> eval_binary(const script::Expr& e);
  Result<IValue> eval_dict(const script::Expr& e);
  Result<IValue> call_global(const script::Expr& e, const std::string& name);
  Result<IValue> call_bare(const script::Expr& e, const std::string& name);
  Result<IValue> call_attribute(const script::Expr& e);
  Result<IValue> convert_annotated(const script::Expr& type, IValue v);
  Status eval_arguments(const script::Expr& call, size_t first, std::vector<IValue>& args, Keywords& keywords);
  const IValue* find_variable(const script::Expr& e) const;
  Status bind_arguments(Frame& frame, const std::shared_ptr<ScriptObject>& self, std::vector<IValue> args,
                        Keywords&& keywords);
  Status step(int64_t cost = 1);
  Diag located(Diag d) const;
  void set_origin(const std::string& name);
  std::string frame_line(const Frame& f, bool& internal) const;

  CodeLibrary& code_;
  AtenBinder& binder_;
  InterpreterLimits limits_;
  std::vector<IValue> constants_;
  std::function<void(int64_t)> progress_;
  Frame* frame_ = nullptr;
  IValue returned_;
  int64_t steps_ = 0;
  int call_depth_ = 0, eval_depth_ = 0;
};

}  // namespace npuport
