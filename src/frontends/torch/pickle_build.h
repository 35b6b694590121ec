// Meaning of globals, calls and persistent ids inside a pickle: the closed list. Private to the pickle reader.
#pragma once

#include <set>

#include "frontends/torch/pickle.h"

namespace npuport::pickle_detail {

// Makes values of one Pickle and applies the closed list. Never calls anything.
class Builder {
 public:
  Builder(Pickle& pickle, const PickleOptions& options) : pickle_(pickle), options_(options) {}

  // A new value; nullptr when max_values is reached (the machine turns that into `too_large`).
  PickleValue* make(PickleValue::Kind kind);

  // GLOBAL: a class or function by name. unsafe_pickle when it is off the list (strict mode).
  Result<PickleValue*> global(std::string_view module, std::string_view name);
  // REDUCE: `function(*arguments)`.
  Result<PickleValue*> reduce(PickleValue* function, PickleValue* arguments);
  // NEWOBJ, OBJ, INST: `cls.__new__(cls, *arguments)`.
  Result<PickleValue*> new_object(PickleValue* cls, std::vector<const PickleValue*> arguments);
  // BUILD: gives `target` its state.
  Status build(PickleValue* target, PickleValue* state);
  // BINPERSID: ('storage', type, key, device, count …) or ('module', class, …).
  Result<PickleValue*> persistent(const PickleValue* id);

  // Fills Pickle's lists of names.
  void publish_names();

 private:
  using Arguments = std::vector<const PickleValue*>;
  using Handler = Result<PickleValue*> (Builder::*)(const Arguments&);
  static Handler handler_of(std::string_view name);

  Result<PickleValue*> call(const std::string& name, const Arguments& a);
  Result<PickleValue*> ordered_dict(const Arguments& a);
  Result<PickleValue*> make_set(const Arguments& a);
  Result<PickleValue*> make_bytes(const Arguments& a);
  Result<PickleValue*> encode(const Arguments& a);
  Result<PickleValue*> complex(const Arguments& a);
  Result<PickleValue*> device(const Arguments& a);
  Result<PickleValue*> size(const Arguments& a);
  Result<PickleValue*> int_list(const Arguments& a);
  Result<PickleValue*> double_list(const Arguments& a);
  Result<PickleValue*> bool_list(const Arguments& a);
  Result<PickleValue*> tensor_list(const Arguments& a);
  Result<PickleValue*> type_tag(const Arguments& a);
  Result<PickleValue*> tensor_v1(const Arguments& a);
  Result<PickleValue*> tensor_v2(const Arguments& a);
  Result<PickleValue*> tensor_v3(const Arguments& a);
  Result<PickleValue*> quantised(const Arguments& a);
  Result<PickleValue*> parameter(const Arguments& a);
  Result<PickleValue*> from_type(const Arguments& a);
  Result<PickleValue*> refused(const Arguments& a);

  Result<PickleValue*> typed_list(const Arguments& a, std::string_view type);
  // Storage, offset, sizes and strides: the first four arguments of every tensor.
  Result<PickleValue*> tensor_base(const Arguments& a);
  Result<PickleValue*> opaque(const std::string& name, Arguments arguments);

  Pickle& pickle_;
  const PickleOptions& options_;
  std::string calling_;  // for messages
  int nested_calls_ = 0;
  std::set<std::string, std::less<>> names_, unknown_, called_;
};

// A later equal key replaces the earlier value, as in Python. Only strings and integers can be compared here; other
// keys stay as they are.
void drop_duplicate_keys(PickleValue& dict);
// Refuses trees that would exhaust the stack of whoever walks them by recursion, and (strictly) cycles.
Status check_nesting(const PickleValue* root, const PickleOptions& options);

Diag bad_pickle(std::string message);
Diag too_many_values();

}  // namespace npuport::pickle_detail
