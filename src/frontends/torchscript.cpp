#include "frontends/torchscript.h"

#include <algorithm>
#include <cmath>

#include "base/diag_codes.h"
#include "frontends/aten_extensions.h"
#include "frontends/opaque.h"
#include "frontends/torch/archive.h"
#include "frontends/torch/script_inputs.h"
#include "frontends/torch/script_loader.h"

namespace npuport {
namespace {

// Flattens the returned value into graph outputs.
class OutputCollector {
 public:
  explicit OutputCollector(Interpreter& in) : in_(in) {}

  Status collect(const IValue& v, const std::string& name, int depth = 0) {
    constexpr int max_depth = 50;
    if (depth > max_depth) return Diag(diag::too_large, "the result is nested too deeply");
    if (v.is_none()) return {};
    if (const TensorRef t = v.as_sym() ? v.as_sym()->tensor : v.as_tensor()) return tensor(v, t, name);
    if (v.is_number()) return number(v, name);
    if (const TupleObject* t = v.as_tuple(); t && t->named) {
      for (size_t i = 0; i < t->items.size(); ++i)
        NPU_TRY(collect(t->items[i], t->named->def->fields[i].name, depth + 1));
      return {};
    }
    if (const std::vector<IValue>* items = v.sequence()) {
      for (const IValue& item : *items) NPU_TRY(collect(item, "", depth + 1));
      return {};
    }
    if (const DictObject* d = v.as_dict()) {
      for (const auto& [key, item] : d->items)
        NPU_TRY(collect(item, key.as_string() ? *key.as_string() : std::string(), depth + 1));
      return {};
    }
    Diag d(diag::unsupported, "a result of type " + v.type_name() + " is left out");
    d.severity = Severity::warning;
    warnings.push_back(std::move(d));
    return {};
  }

  std::vector<ValueId> values;
  std::vector<std::string> names;
  std::vector<Diag> warnings;

 private:
  void add(ValueId v, const std::string& name) {
    names.push_back(name.empty() ? "out." + std::to_string(values.size()) : name);
    values.push_back(v);
  }

  Status tensor(const IValue& v, const TensorRef& t, const std::string& name) {
    NPU_ASSIGN(ValueId id, in_.binder().read(t));
    if (const SymNumber* s = v.as_sym()) {
      const DType wanted = s->kind == SymNumber::real      ? DType::f32
                           : s->kind == SymNumber::integer ? DType::i64
                                                           : DType::boolean;
      id = in_.binder().builder().cast(id, wanted);
      NPU_TRY(in_.binder().builder().take_status());
    }
    if (t->complex) {
      Diag d(diag::unsupported, "a complex result is given as pairs (real, imaginary) in a last dimension of size 2");
      d.severity = Severity::warning;
      warnings.push_back(std::move(d));
    }
    add(id, name);
    return {};
  }

  Status number(const IValue& v, const std::string& name) {
    double d = 0;
    v.number(d);
    Builder& b = in_.binder().builder();
    add(v.as_int()    ? b.constant(Tensor::scalar(*v.as_int()))
        : v.as_bool() ? b.constant(Tensor::scalar(*v.as_bool()))
                      : b.constant(Tensor::scalar(static_cast<float>(d))),
        name);
    return {};
  }

  Interpreter& in_;
};

bool has_nan(const Tensor& t) {
  bool found = false;
  dispatch_float(t.dtype, [&]<class T>() {
    bool any = false;
    for (const T v : t.as<T>()) any |= std::isnan(static_cast<double>(v));
    found = any;
  });
  return found;
}

Result<std::string> entry_method(const ScriptObject& root, const std::string& wanted) {
  if (root.cls->def->method(wanted)) return wanted;
  for (const char* suffix : {"__0", "1"})
    if (root.cls->def->method(wanted + suffix)) return wanted + suffix;
  std::string list;
  for (const script::Function& f : root.cls->def->methods) list += (list.empty() ? "" : ", ") + f.name;
  return Diag(diag::missing_entry, "the module has no method '" + wanted + "'",
              list.empty() ? "the archive holds no code to run" : "its methods are: " + list);
}

Result<ImportedModel> import_archive(const TorchArchive& archive, const ImportOptions& options) {
  ImportedModel model;
  model.warnings = archive.warnings();
  Builder builder(model.graph, /*fold=*/true);
  CodeLibrary code(archive);
  AtenBinder binder(builder);
  add_extensions(binder);
  Interpreter interp(code, binder);
  ScriptLoader loader(archive, interp);
  NPU_ASSIGN(const std::shared_ptr<ScriptObject> root, loader.root());
  NPU_ASSIGN(std::vector<IValue> constants, loader.constants());
  interp.set_constants(std::move(constants));
  NPU_ASSIGN(const std::string entry, entry_method(*root, options.entry));
  const script::Function& method = *root->cls->def->method(entry);
  model.graph.name = last_component(root->cls->name);

  NPU_ASSIGN(const PickleValue* traced, archive.traced_inputs());
  const PickleValue* example = traced ? traced->find(entry) : nullptr;
  InputBuilder inputs(interp, options, example);
  NPU_ASSIGN(std::vector<IValue> args, inputs.build(method, root->cls->file, root->cls));
  Result<IValue> result = interp.call_method(root, entry, std::move(args));
  if (!result) {
    // An unknown operator upstream is the real reason why a shape or a value is missing.
    if (result.error().code == &diag::unsupported_op && !binder.opaque().empty()) return binder.opaque_error();
    return std::move(result).error();
  }
  OutputCollector outputs(interp);
  NPU_TRY(outputs.collect(*result, ""));
  if (outputs.values.empty())
    return Diag(diag::unsupported, "the method '" + entry + "' returns no tensor", "choose another entry");
  model.graph.set_outputs(outputs.values);
  model.graph.erase_dead();
  for (size_t i = 0; i < outputs.values.size(); ++i) {
    const Value& v = model.graph.value(outputs.values[i]);
    // Inputs, weights and values returned twice keep their name.
    const bool first = std::find(outputs.values.begin(), outputs.values.begin() + static_cast<ptrdiff_t>(i),
                                 outputs.values[i]) == outputs.values.begin() + static_cast<ptrdiff_t>(i);
    if (v.producer.valid() && first) model.graph.rename(outputs.values[i], outputs.names[i]);
  }
  if (archive.has("extra/npuport.io")) {  // our own files say how their interface relates to the model's
    NPU_ASSIGN(model.graph.metadata["npuport.io"], archive.read("extra/npuport.io"));
  }
  model.opaque = live_opaque(model.graph);
  model.warnings.insert(model.warnings.end(), inputs.warnings().begin(), inputs.warnings().end());
  model.warnings.insert(model.warnings.end(), outputs.warnings.begin(), outputs.warnings.end());
  for (uint32_t i = 0; i < model.graph.value_slots(); ++i) {
    const Value& v = model.graph.value(ValueId{i});
    if (!v.alive || !v.constant || !has_nan(*v.constant)) continue;
    Diag d(diag::bad_input_data, "weight " + v.name + " holds NaN", "the training run has probably diverged");
    d.severity = Severity::warning;
    model.warnings.push_back(std::move(d.at_tensor(v.name)));
  }
  return model;
}

}  // namespace

Result<ImportedModel> import_torchscript(const std::string& path, const ImportOptions& options) {
  NPU_ASSIGN(const TorchArchive archive, TorchArchive::open(path));
  if (archive.kind() != TorchFileKind::torchscript)
    return Diag(diag::unknown_format, "the file is a checkpoint, not a TorchScript archive",
                "make one with: npuport trace CKPT --template T")
        .in_file(path);
  Result<ImportedModel> model = import_archive(archive, options);
  if (!model) return std::move(model).error().in_file(path);
  return model;
}

}  // namespace npuport
