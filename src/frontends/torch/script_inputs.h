// Model arguments: from shapes and samples to graph inputs.
#pragma once

#include "frontends/torch/script_interp.h"

namespace npuport {

// The inputs a method takes, named as InputBuilder names them. Shapes come from the trace's example arguments, else the
// dtype is unknown. Arguments the example leaves out are left out.
struct SignatureInputs {
  std::vector<InputSpec> inputs;
  bool complete = true;  // false: a list, dict or object whose leaves the signature does not tell
};
SignatureInputs signature_inputs(const script::Function& f, const PickleValue* example);

class InputBuilder {
 public:
  // `example`: the trace's example arguments (tuple or list), or nullptr.
  InputBuilder(Interpreter& interp, const ImportOptions& options, const PickleValue* example)
      : interp_(interp), options_(options), example_(example) {}

  // One value per parameter after self; Tensor leaves become graph inputs.
  Result<std::vector<IValue>> build(const script::Function& f, CodeFile* file, const ClassInfo* owner);
  const std::vector<Diag>& warnings() const { return warnings_; }

 private:
  struct Leaf {
    const InputSpec* spec = nullptr;       // of options.inputs; nullptr when exhausted
    const PickleValue* example = nullptr;  // of the trace
  };
  Result<IValue> value(const script::Expr& type, const std::string& name, const PickleValue* example, int depth);
  Result<IValue> tensor(const std::string& name, const PickleValue* example);
  Result<IValue> number(std::string_view type, const std::string& name, const PickleValue* example);
  Result<IValue> sequence(const script::Expr& type, const std::string& name, const PickleValue* example, int depth);
  Result<IValue> dict(const script::Expr& type, const std::string& name, const PickleValue* example, int depth);
  Result<IValue> untyped(const std::string& name, const PickleValue* example, int depth);
  bool spec_left() const { return next_ < options_.inputs.size(); }
  ValueId add_input(const std::string& name, const InputSpec* spec, TensorType type);
  Diag missing(const std::string& name) const;

  Interpreter& interp_;
  const ImportOptions& options_;
  const PickleValue* example_;
  size_t next_ = 0;
  std::vector<Diag> warnings_;
};

}  // namespace npuport
