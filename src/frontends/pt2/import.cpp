// The exported program's graph, node by node, through the ATen rows.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/diag_codes.h"
#include "frontends/aten_extensions.h"
#include "frontends/opaque.h"
#include "frontends/pt2.h"
#include "frontends/pt2/archive.h"
#include "frontends/pt2/node_names.h"
#include "frontends/pt2/signature.h"

namespace npuport {
namespace {

constexpr int64_t kNewestMajor = 8;

class ProgramImporter {
 public:
  ProgramImporter(Pt2Archive& archive, const ImportOptions& options)
      : archive_(archive), options_(options), builder_(model_.graph, /*fold=*/true), binder_(builder_) {
    add_extensions(binder_);
  }

  Result<ImportedModel> run() {
    NPU_TRY(check_version());
    NPU_ASSIGN(const Json* module, json_member(archive_.program(), "graph_module"));
    NPU_ASSIGN(const Json* graph, json_member(*module, "graph"));
    NPU_ASSIGN(const Json* signature, json_member(*module, "signature"));
    NPU_ASSIGN(tensors_, json_member(*graph, "tensor_values"));
    NPU_TRY(bind_inputs(*signature));
    NPU_ASSIGN(const Json* nodes, json_member(*graph, "nodes"));
    if (!nodes->is_array()) return wrong("\"nodes\" is no list");
    for (const Json& node : *nodes) NPU_TRY(run_node(node));
    NPU_TRY(bind_outputs(*signature));
    model_.graph.erase_dead();
    model_.opaque = live_opaque(model_.graph);
    return std::move(model_);
  }

 private:
  static Diag wrong(std::string what) {
    return Diag(diag::corrupt, "the program's JSON: " + std::move(what), "export the model again");
  }

  void warn(const DiagCode& code, std::string what) {
    Diag d(code, std::move(what));
    d.severity = Severity::warning;
    model_.warnings.push_back(std::move(d));
  }

  Status check_version() {
    const auto v = archive_.program().find("schema_version");
    if (!archive_.program().is_object() || v == archive_.program().end()) return wrong("it lacks \"schema_version\"");
    const Json* major = &*v;
    if (v->is_object()) {
      NPU_ASSIGN(major, json_member(*v, "major"));
    }
    if (!major->is_number_integer()) return wrong("its schema version is no number");
    if (major->get<int64_t>() <= kNewestMajor) return {};
    return Diag(diag::newer_version,
                fmt::format("schema {} of exported programs is newer than {}, the newest known one",
                            major->get<int64_t>(), kNewestMajor),
                "export with an older PyTorch, or use TorchScript or ONNX");
  }

  // -- inputs --

  Status bind_weight(const std::string& argument, const std::string& name) {
    Result<std::shared_ptr<const Tensor>> t = archive_.weight(name);
    if (!t) {
      // An error only when something uses it.
      missing_.emplace(argument, std::move(t).error());
      return {};
    }
    env_[argument] = IValue(binder_.fresh(model_.graph.add_constant(name, std::move(*t))));
    return {};
  }

  Result<TensorType> declared(const std::string& name, bool& symbolic) {
    NPU_ASSIGN(const Json* meta, tensor_meta(*tensors_, name));
    NPU_ASSIGN(const Json* type, json_member(*meta, "dtype"));
    const auto dtype = type->is_number_integer() ? dtype_of_export_type(type->get<int64_t>()) : std::nullopt;
    if (!dtype) {
      return Diag(diag::unsupported, "input '" + name + "' has an element type npuport does not know").at_tensor(name);
    }
    NPU_ASSIGN(const Json* sizes, json_member(*meta, "sizes"));
    if (!sizes->is_array()) return wrong("\"sizes\" is no list");
    TensorType t{*dtype, {}, nullptr};
    for (const Json& s : *sizes) {
      bool one = false;
      NPU_ASSIGN(const int64_t n, json_size(s, one));
      symbolic = symbolic || one;
      t.shape.push_back(one ? -1 : n);
    }
    return t;
  }

  Status bind_user_tensor(const std::string& name) {
    bool symbolic = false;
    NPU_ASSIGN(TensorType type, declared(name, symbolic));
    const InputSpec* spec = next_ < options_.inputs.size() ? &options_.inputs[next_] : nullptr;
    ++next_;
    if (spec) {
      const Shape& given = spec->value ? spec->value->shape : spec->type.shape;
      bool fits = given.size() == type.shape.size();
      for (size_t d = 0; fits && d < given.size(); ++d) fits = type.shape[d] < 0 || type.shape[d] == given[d];
      if (!fits) {
        Shape shown = type.shape;
        return Diag(diag::shape_mismatch,
                    fmt::format("input '{}' was exported as {}, the shape given is {}", name, to_string(shown),
                                to_string(given)),
                    "-1 stands for a free size; export again for other sizes")
            .at_tensor(name);
      }
      type.shape = given;
      if (spec->type.known()) type.dtype = spec->type.dtype;
    } else if (symbolic) {
      return Diag(diag::dynamic_shape, "input '" + name + "' has sizes that were exported as symbols",
                  "fix them with --shape " + name + "=…, or give a sample with --samples FILE.npz")
          .at_tensor(name);
    }
    NPU_TRY(check_shape(type.shape));
    const std::string shown = spec && !spec->name.empty() ? spec->name : name;
    ValueId v = model_.graph.add_input(shown, type);
    if (spec && spec->value) {
      warn(diag::unverified, "input '" + shown + "' is fixed to the given value: the graph ignores it");
      v = builder_.constant(*spec->value);
    }
    env_[name] = IValue(binder_.fresh(v));
    return {};
  }

  Status bind_input(const std::string& kind, const Json& spec) {
    if (kind == "constant_input") return {};  // its value is part of the nodes already
    if (kind == "token" || kind == "custom_obj") return {};
    NPU_ASSIGN(const Json* arg, json_member(spec, "arg"));
    if (kind == "user_input") {
      NPU_ASSIGN(const auto u, json_union(*arg));
      if (u.first == "as_none") return {};
      if (u.first != "as_tensor") {
        return Diag(diag::unsupported, "an input of kind " + u.first + " is no tensor",
                    "export with that argument as a constant");
      }
      NPU_ASSIGN(const std::string name, json_string(*u.second, "name"));
      return bind_user_tensor(name);
    }
    NPU_ASSIGN(const std::string name, json_string(*arg, "name"));
    const char* key = kind == "parameter" ? "parameter_name"
                      : kind == "buffer"  ? "buffer_name"
                                          : "tensor_constant_name";
    NPU_ASSIGN(const std::string weight, json_string(spec, key));
    return bind_weight(name, weight);
  }

  // PyTorch 2.1: maps from arguments to the names of weights, and a list of the user's.
  Status bind_inputs_21(const Json& signature) {
    for (const char* key : {"inputs_to_parameters", "inputs_to_buffers"}) {
      NPU_ASSIGN(const Json* names, json_member(signature, key));
      for (const auto& [argument, weight] : names->items()) {
        if (!weight.is_string()) return wrong(fmt::format("\"{}\" does not name weights", key));
        NPU_TRY(bind_weight(argument, weight.get<std::string>()));
      }
    }
    NPU_ASSIGN(const Json* users, json_member(signature, "user_inputs"));
    if (!users->is_array()) return wrong("\"user_inputs\" is no list");
    for (const Json& name : *users) {
      if (!name.is_string()) return wrong("\"user_inputs\" holds no names");
      NPU_TRY(bind_user_tensor(name.get<std::string>()));
    }
    return {};
  }

  Status bind_inputs(const Json& signature) {
    if (is_signature_21(signature)) {
      NPU_TRY(bind_inputs_21(signature));
    } else {
      NPU_ASSIGN(const Json* specs, json_member(signature, "input_specs"));
      if (!specs->is_array()) return wrong("\"input_specs\" is no list");
      for (const Json& spec : *specs) {
        NPU_ASSIGN(const auto u, json_union(spec));
        NPU_TRY(bind_input(u.first, *u.second));
      }
    }
    if (next_ < options_.inputs.size()) {
      return Diag(diag::bad_input_data,
                  fmt::format("the model takes {} inputs, {} are given", next_, options_.inputs.size()));
    }
    return {};
  }

  // -- nodes --

  Result<IValue> lookup(const std::string& name) {
    if (const auto it = env_.find(name); it != env_.end()) return it->second;
    if (const auto it = missing_.find(name); it != missing_.end()) return it->second;
    return wrong("the name " + name + " is used before it is made");
  }

  Result<IValue> named(const Json& v) {
    NPU_ASSIGN(const std::string name, json_string(v, "name"));
    return lookup(name);
  }

  // SymIntArgument and its kin: {"as_name": …} or {"as_int": …}.
  Result<IValue> symbolic(const Json& v) {
    NPU_ASSIGN(const auto u, json_union(v));
    if (u.first == "as_name" && u.second->is_string()) return lookup(u.second->get<std::string>());
    return plain(*u.second);
  }

  Result<IValue> plain(const Json& v) {
    if (v.is_boolean()) return IValue(v.get<bool>());
    if (v.is_number_integer()) return IValue(v.get<int64_t>());
    if (v.is_number()) return IValue(v.get<double>());
    if (v.is_string()) return IValue(v.get<std::string>());
    return wrong("a value is neither number nor text");
  }

  // JSON has no infinities: the exporter writes them as text.
  Result<IValue> real(const Json& v) {
    if (v.is_number()) return IValue(v.get<double>());
    const std::string s = v.is_string() ? v.get<std::string>() : std::string();
    if (s == "Infinity") return IValue(HUGE_VAL);
    if (s == "-Infinity") return IValue(-HUGE_VAL);
    if (s == "NaN") return IValue(std::nan(""));
    return wrong("a number is missing");
  }

  template <class Fn>
  Result<IValue> list(const Json& items, Fn&& each) {
    if (!items.is_array()) return wrong("a list is missing");
    std::vector<IValue> out;
    for (const Json& item : items) {
      NPU_ASSIGN(IValue v, each(item));
      out.push_back(std::move(v));
    }
    return IValue::list(std::move(out));
  }

  Result<IValue> argument(const Json& arg) {
    NPU_ASSIGN(const auto u, json_union(arg));
    const std::string& tag = u.first;
    const Json& v = *u.second;
    if (tag == "as_none") return IValue();
    if (tag == "as_tensor") return named(v);
    if (tag == "as_tensors") return list(v, [&](const Json& x) { return named(x); });
    if (tag == "as_optional_tensor") return optional_tensor(v);
    if (tag == "as_optional_tensors") return list(v, [&](const Json& x) { return optional_tensor(x); });
    if (tag == "as_sym_int" || tag == "as_sym_float" || tag == "as_sym_bool") return symbolic(v);
    if (tag == "as_sym_ints" || tag == "as_sym_floats" || tag == "as_sym_bools") {
      return list(v, [&](const Json& x) { return symbolic(x); });
    }
    if (tag == "as_float") return real(v);
    if (tag == "as_floats") return list(v, [&](const Json& x) { return real(x); });
    if (tag == "as_ints" || tag == "as_bools" || tag == "as_strings") {
      return list(v, [&](const Json& x) { return plain(x); });
    }
    if (tag == "as_int" || tag == "as_bool" || tag == "as_string") return plain(v);
    if (tag == "as_device") {
      NPU_ASSIGN(const std::string type, json_string(v, "type"));
      return IValue(DeviceValue{type});
    }
    if (!v.is_number_integer()) return Diag(diag::unsupported, "an argument of kind " + tag);
    const int64_t number = v.get<int64_t>();
    if (tag == "as_layout") return IValue(0);
    if (tag == "as_memory_format") return IValue(export_memory_format(number));
    if (tag == "as_scalar_type") return scalar_type(number);
    return Diag(diag::unsupported, "an argument of kind " + tag);
  }

  Result<IValue> optional_tensor(const Json& v) {
    NPU_ASSIGN(const auto u, json_union(v));
    if (u.first == "as_none") return IValue();
    return named(*u.second);
  }

  static Result<IValue> scalar_type(int64_t number) {
    if (const auto t = dtype_of_export_type(number); t && scalar_type_of(*t) >= 0) return IValue(scalar_type_of(*t));
    if (number >= 9 && number <= 11) return IValue(number - 1);  // complex
    return Diag(diag::unsupported, fmt::format("element type number {} of exported programs", number));
  }

  Status run_node(const Json& node) {
    NPU_ASSIGN(const std::string target, json_string(node, "target"));
    builder_.set_origins({export_origin(node, target)});
    Status s = execute(node, target);
    if (s) return s;
    Diag d = std::move(s).error();
    const Origin& o = builder_.origins().front();
    if (d.where.source.empty()) d.where.source = o.source;
    return std::move(d).at_node(o.foreign + (o.scope.empty() ? "" : " in " + o.scope));
  }

  Status execute(const Json& node, const std::string& target) {
    NPU_ASSIGN(const Json* outputs, json_member(node, "outputs"));
    NPU_ASSIGN(const Json* inputs, json_member(node, "inputs"));
    if (!outputs->is_array() || !inputs->is_array()) return wrong("a node without lists of inputs and outputs");
    const std::string name = export_operator(target);
    if (is_export_assertion(name)) return {};
    std::vector<IValue> args;
    Keywords keywords;
    for (const Json& input : *inputs) {
      NPU_ASSIGN(const std::string key, json_string(input, "name"));
      NPU_ASSIGN(const Json* arg, json_member(input, "arg"));
      NPU_ASSIGN(IValue v, argument(*arg));
      // In-place rows want their tensor by position; whatever follows a gap (defaults are left out) goes by name.
      const bool leads = keywords.empty() && (v.as_tensor() || v.as_list()) && stands_at(name, args.size(), key);
      if (key.empty() || leads || !binder_.knows(name)) {
        args.push_back(std::move(v));
      } else {
        keywords.emplace_back(key, std::move(v));
      }
    }
    IValue result;
    NPU_ASSIGN(const bool number, run_number(name, args, keywords, result));
    if (!number) {
      NPU_ASSIGN(result, binder_.call(name, std::move(args), std::move(keywords)));
    }
    return assign(*outputs, result);
  }

  // Whether argument `position` of some overload is called `key`.
  static bool stands_at(const std::string& name, size_t position, const std::string& key) {
    std::span<const AtenSchema> rows = AtenTable::global().find(name);
    if (rows.empty() && name.ends_with('_')) rows = AtenTable::global().find(name.substr(0, name.size() - 1));
    return std::any_of(rows.begin(), rows.end(), [&](const AtenSchema& row) {
      return position < row.args.size() && row.args[position].name == key;
    });
  }

  // Sizes and arithmetic on them: all numbers are concrete, since the inputs' shapes are.
  Result<bool> run_number(const std::string& name, std::vector<IValue>& args, const Keywords& keywords, IValue& out) {
    const IValue* dim = find_argument(args, keywords, 1, "dim");
    if (name == "aten::sym_size" && !args.empty() && args[0].as_tensor() && dim && dim->as_int()) {
      NPU_ASSIGN(const Shape shape, binder_.shape(args[0].as_tensor()));
      NPU_ASSIGN(const int64_t d, normalise_axis(*dim->as_int(), shape.size()));
      out = IValue(shape[static_cast<size_t>(d)]);
      return true;
    }
    if (name == "aten::sym_numel" && !args.empty() && args[0].as_tensor()) {
      NPU_ASSIGN(const Shape shape, binder_.shape(args[0].as_tensor()));
      out = IValue(element_count(shape));
      return true;
    }
    if (name == "aten::item" || name == "aten::_local_scalar_dense") {
      if (args.size() != 1 || !args[0].as_tensor()) return false;
      NPU_ASSIGN(const auto t, binder_.concrete(args[0].as_tensor(), "a number taken out of a tensor"));
      if (t->count() != 1) return Diag(diag::raised, "item() of a tensor of several elements");
      if (t->dtype == DType::boolean) {
        out = IValue(get_int(*t, 0) != 0);
      } else {
        out = is_float(t->dtype) ? IValue(get_double(*t, 0)) : IValue(get_int(*t, 0));
      }
      return true;
    }
    return run_arithmetic(name, args, out);
  }

  static Result<bool> run_arithmetic(const std::string& name, const std::vector<IValue>& args, IValue& out) {
    const bool ours = name.starts_with("_operator.") || name.starts_with("math.") || name == "torch.sym_float" ||
                      name == "torch.sym_int" || name == "torch.sym_max" || name == "torch.sym_min" ||
                      name == "torch.sym_not";
    if (!ours || args.empty() || !args[0].is_number() || (args.size() > 1 && !args[1].is_number())) return false;
    double a = 0, b = 0;
    args[0].number(a);
    if (args.size() > 1) args[1].number(b);
    const std::string op = name.substr(name.find('.') + 1);
    const bool whole = !args[0].as_real() && (args.size() < 2 || !args[1].as_real());
    const auto number = [&](double v) { return whole ? IValue(static_cast<int64_t>(v)) : IValue(v); };
    if ((op == "floordiv" || op == "mod" || op == "truediv") && b == 0) {
      return Diag(diag::raised, "division by zero in the arithmetic of shapes");
    }
    // Products of sizes stay below 2^53, where doubles are exact: check_shape limits them to 2^40 elements.
    if (op == "add") return out = number(a + b), true;
    if (op == "sub") return out = number(a - b), true;
    if (op == "mul") return out = number(a * b), true;
    if (op == "floordiv") return out = number(std::floor(a / b)), true;
    if (op == "mod") return out = number(a - b * std::floor(a / b)), true;
    if (op == "truediv") return out = IValue(a / b), true;
    if (op == "pow") return out = number(std::pow(a, b)), true;
    if (op == "neg") return out = number(-a), true;
    if (op == "eq") return out = IValue(a == b), true;
    if (op == "ne") return out = IValue(a != b), true;
    if (op == "lt") return out = IValue(a < b), true;
    if (op == "le") return out = IValue(a <= b), true;
    if (op == "gt") return out = IValue(a > b), true;
    if (op == "ge") return out = IValue(a >= b), true;
    if (op == "and_") return out = IValue(a != 0 && b != 0), true;
    if (op == "or_") return out = IValue(a != 0 || b != 0), true;
    if (op == "sym_not" || op == "not_") return out = IValue(a == 0), true;
    if (op == "sym_float") return out = IValue(a), true;
    if (op == "sym_max") return out = number(std::max(a, b)), true;
    if (op == "sym_min") return out = number(std::min(a, b)), true;
    if (op == "sqrt") return out = IValue(std::sqrt(a)), true;
    if (op == "trunc" || op == "sym_int") return out = IValue(static_cast<int64_t>(std::trunc(a))), true;
    if (op == "floor") return out = IValue(static_cast<int64_t>(std::floor(a))), true;
    if (op == "ceil") return out = IValue(static_cast<int64_t>(std::ceil(a))), true;
    return false;
  }

  // One declared result takes the whole value; several take its items.
  Status assign(const Json& outputs, const IValue& result) {
    if (outputs.size() == 1) return assign_one(outputs[0], result);
    const std::vector<IValue>* items = result.sequence();
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (items && i < items->size()) {
        NPU_TRY(assign_one(outputs[i], (*items)[i]));
      } else if (result.as_tensor()) {
        NPU_TRY(assign_one(outputs[i], result));  // an opaque operator stands for all of its results
      }
    }
    return {};
  }

  Status assign_one(const Json& output, const IValue& v) {
    NPU_ASSIGN(const auto u, json_union(output));
    if (u.first == "as_none") return {};
    if (u.first == "as_tensors") {
      const std::vector<IValue>* items = v.sequence();
      for (size_t i = 0; i < u.second->size(); ++i) {
        NPU_ASSIGN(const std::string name, json_string((*u.second)[i], "name"));
        if (items && i >= items->size()) return wrong("a list has fewer tensors than names");
        env_[name] = items ? (*items)[i] : v;
      }
      return {};
    }
    const char* key = u.first.starts_with("as_sym") ? "as_name" : "name";
    NPU_ASSIGN(const std::string name, json_string(*u.second, key));
    const std::vector<IValue>* items = v.sequence();
    env_[name] = u.first == "as_tensor" && items && items->size() == 1 ? (*items)[0] : v;
    return {};
  }

  // -- outputs --

  Status add_output(const IValue& v) {
    if (v.is_none()) return {};
    ValueId id;
    if (const TensorRef t = v.as_tensor()) {
      NPU_ASSIGN(id, binder_.read(t));
    } else if (v.as_bool()) {
      id = builder_.constant(Tensor::scalar(*v.as_bool()));
    } else if (v.as_int()) {
      id = builder_.constant(Tensor::scalar(*v.as_int()));
    } else if (v.as_real()) {
      id = builder_.constant(Tensor::scalar(static_cast<float>(*v.as_real())));
    } else {
      return Diag(diag::unsupported, "a result of type " + v.type_name());
    }
    outputs_.push_back(id);
    return {};
  }

  Result<size_t> collect_outputs_21(const Json& signature) {
    NPU_ASSIGN(const Json* users, json_member(signature, "user_outputs"));
    if (!users->is_array()) return wrong("\"user_outputs\" is no list");
    for (const Json& name : *users) {
      if (!name.is_string()) return wrong("\"user_outputs\" holds no names");
      NPU_ASSIGN(const IValue v, lookup(name.get<std::string>()));
      NPU_TRY(add_output(v));
    }
    const auto mutated = signature.find("buffers_to_mutate");
    return mutated == signature.end() ? 0 : mutated->size();
  }

  // Adds the user's results; the number of changed buffers and inputs.
  Result<size_t> collect_outputs(const Json& signature) {
    if (is_signature_21(signature)) return collect_outputs_21(signature);
    NPU_ASSIGN(const Json* specs, json_member(signature, "output_specs"));
    if (!specs->is_array()) return wrong("\"output_specs\" is no list");
    size_t mutations = 0;
    for (const Json& spec : *specs) {
      NPU_ASSIGN(const auto u, json_union(spec));
      if (u.first != "user_output") {
        mutations += u.first == "token" ? 0 : 1;
        continue;
      }
      NPU_ASSIGN(const Json* arg, json_member(*u.second, "arg"));
      NPU_ASSIGN(const IValue v, argument(*arg));
      NPU_TRY(add_output(v));
    }
    return mutations;
  }

  Status bind_outputs(const Json& signature) {
    NPU_ASSIGN(const size_t mutations, collect_outputs(signature));
    if (mutations > 0) {
      warn(diag::unsupported, fmt::format("{} of buffers or inputs left out: the graph has no state",
                                          mutations == 1 ? "a change" : fmt::format("{} changes", mutations)));
    }
    if (outputs_.empty()) return Diag(diag::unsupported, "the program returns no tensor");
    model_.graph.set_outputs(outputs_);
    std::set<ValueId> renamed;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const bool made = model_.graph.value(outputs_[i]).producer.valid();
      if (made && renamed.insert(outputs_[i]).second) model_.graph.rename(outputs_[i], fmt::format("out.{}", i));
    }
    return {};
  }

  Pt2Archive& archive_;
  const ImportOptions& options_;
  ImportedModel model_;
  Builder builder_;
  AtenBinder binder_;
  const Json* tensors_ = nullptr;
  std::map<std::string, IValue, std::less<>> env_;
  std::map<std::string, Diag, std::less<>> missing_;  // weights that cannot be read
  std::vector<ValueId> outputs_;
  size_t next_ = 0;
};

}  // namespace

Result<ImportedModel> import_pt2(const std::string& path, const ImportOptions& options) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  return import_pt2(std::move(file), options);
}

Result<ImportedModel> import_pt2(std::shared_ptr<const MappedFile> file, const ImportOptions& options) {
  const std::string path = file->path();
  NPU_ASSIGN(Pt2Archive archive, Pt2Archive::open(std::move(file)));
  Result<ImportedModel> model = ProgramImporter(archive, options).run();
  if (!model) return std::move(model).error().in_file(path);
  return model;
}

}  // namespace npuport
