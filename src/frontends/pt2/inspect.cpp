// What can be said of an exported program without importing it.
#include "base/diag_codes.h"
#include "frontends/pt2.h"
#include "frontends/pt2/archive.h"
#include "frontends/pt2/node_names.h"
#include "frontends/pt2/signature.h"

namespace npuport {

bool is_signature_21(const Json& signature) {
  return signature.is_object() && !signature.contains("input_specs") && signature.contains("user_inputs");
}

Result<const Json*> tensor_meta(const Json& tensors, const std::string& name) {
  NPU_ASSIGN(const Json* value, json_member(tensors, name.c_str()));
  return value->is_object() && value->contains("meta") ? json_member(*value, "meta") : Result<const Json*>(value);
}

Result<std::vector<std::string>> user_inputs(const Json& signature) {
  std::vector<std::string> names;
  if (is_signature_21(signature)) {
    for (const Json& name : signature["user_inputs"]) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
    return names;
  }
  const auto specs = signature.find("input_specs");
  if (specs == signature.end() || !specs->is_array()) return names;
  for (const Json& spec : *specs) {
    NPU_ASSIGN(const auto u, json_union(spec));
    if (u.first != "user_input") continue;
    NPU_ASSIGN(const Json* arg, json_member(*u.second, "arg"));
    NPU_ASSIGN(const auto a, json_union(*arg));
    if (a.first != "as_tensor") continue;
    NPU_ASSIGN(std::string name, json_string(*a.second, "name"));
    names.push_back(std::move(name));
  }
  return names;
}

namespace {

// What `inspect` says of user inputs.
Status add_inputs(FileFacts& facts, const Json& module) {
  NPU_ASSIGN(const Json* graph, json_member(module, "graph"));
  NPU_ASSIGN(const Json* tensors, json_member(*graph, "tensor_values"));
  NPU_ASSIGN(const Json* signature, json_member(module, "signature"));
  NPU_ASSIGN(const std::vector<std::string> names, user_inputs(*signature));
  for (const std::string& name : names) {
    InputSpec in;
    in.name = name;
    NPU_ASSIGN(const Json* meta, tensor_meta(*tensors, name));
    const auto type = meta->find("dtype");
    if (type != meta->end() && type->is_number_integer()) {
      in.type.dtype = dtype_of_export_type(type->get<int64_t>()).value_or(DType::unknown);
    }
    NPU_ASSIGN(const Json* sizes, json_member(*meta, "sizes"));
    for (const Json& s : *sizes) {
      bool symbolic = false;
      NPU_ASSIGN(const int64_t n, json_size(s, symbolic));
      in.type.shape.push_back(symbolic ? -1 : n);
    }
    facts.inputs.push_back(std::move(in));
  }
  return {};
}

Result<FileFacts> facts_of(const Pt2Archive& archive) {
  FileFacts facts;
  facts.format = "pt2";
  facts.file_bytes = archive.file_bytes();
  const Json& program = archive.program();
  std::string made_by;
  if (const auto v = program.find("torch_version"); program.is_object() && v != program.end() && v->is_string()) {
    made_by = ", PyTorch " + v->get<std::string>();
  }
  facts.detail = "Exported program (torch.export), " + archive.container() + made_by + ".";
  for (const std::string& name : archive.weights()) {
    NPU_ASSIGN(const TensorType t, archive.weight_type(name));
    facts.parameters += element_count(t.shape);
    facts.parameter_bytes += byte_size(t.dtype, element_count(t.shape));
  }
  NPU_ASSIGN(const Json* module, json_member(program, "graph_module"));
  NPU_TRY(add_inputs(facts, *module));
  NPU_ASSIGN(const Json* graph, json_member(*module, "graph"));
  NPU_ASSIGN(const Json* nodes, json_member(*graph, "nodes"));
  std::map<std::string, int64_t> calls;
  for (const Json& node : *nodes) {
    NPU_ASSIGN(const std::string target, json_string(node, "target"));
    ++calls[export_operator(target)];
  }
  for (const auto& [name, count] : calls) facts.operators.emplace_back(name, count);
  return facts;
}

}  // namespace

bool accepts_pt2(const std::string& path) { return Pt2Archive::looks_like(path); }

Result<FileFacts> inspect_pt2(const std::string& path) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  NPU_ASSIGN(const Pt2Archive archive, Pt2Archive::open(std::move(file)));
  Result<FileFacts> facts = facts_of(archive);
  if (!facts) return std::move(facts).error().in_file(path);
  return facts;
}

}  // namespace npuport
