// Operators on Python values: numbers, strings, lists, dicts, and the questions one asks tensors (size, dtype, item).
#pragma once

#include "frontends/torch/script_interp.h"

namespace npuport {

// One call of a builtin. A handler sets `out` and returns true, or returns false when the arguments are none of its
// business (tensors: the ATen rows take over).
struct BuiltinCall {
  Interpreter& in;
  const std::string& name;
  std::vector<IValue>& args;
  Keywords& keywords;
  IValue& out;

  // The argument by position or keyword; nullptr when not given.
  const IValue* arg(size_t position, std::string_view key = {}) const {
    if (position < args.size()) return &args[position];
    for (const auto& [k, v] : keywords)
      if (!key.empty() && k == key) return &v;
    return nullptr;
  }
};
using BuiltinHandler = Result<bool> (*)(BuiltinCall&);

// Runs "aten::append", "prim::dtype" … when the arguments are Python values it knows; false otherwise.
Result<bool> run_builtin(Interpreter& in, const std::string& name, std::vector<IValue>& args, Keywords& keywords,
                         IValue& out);
// Whether any builtin of that name exists (for listing operators without mapping).
bool has_builtin(std::string_view name);

// The operator behind a bare function name: "int" → "aten::Int"; empty when there is none.
std::string_view bare_function(std::string_view name);

// Python's str() of a value; tensors print as "<tensor f32[2,3]>".
std::string python_str(Interpreter& in, const IValue& v, bool quote_strings = false);

// Python-number form of a rank-0 tensor: a concrete int/float/bool when it does not depend on the inputs' values, else
// a SymNumber. `kind` forces int(), float() or bool().
Result<IValue> tensor_to_number(Interpreter& in, const TensorRef& t, std::optional<SymNumber::Kind> kind);

// The tables, one per file.
using BuiltinTable = std::span<const std::pair<std::string_view, BuiltinHandler>>;
BuiltinTable number_builtins();
BuiltinTable container_builtins();
BuiltinTable string_builtins();
BuiltinTable tensor_builtins();

}  // namespace npuport
