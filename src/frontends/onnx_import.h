// The importer of ONNX graphs: names → values, functions inlined, control flow resolved where its conditions follow
// from constants and shapes. Values that follow from constants and shapes are constants at once (the builder folds).
#pragma once

#include <set>
#include <unordered_map>

#include "frontends/frontend.h"
#include "frontends/onnx_file.h"

namespace npuport {

// What a name stands for: a tensor, a list known at import time, or an optional that is empty.
struct OnnxValue {
  ValueId id;
  std::shared_ptr<const std::vector<OnnxValue>> list;  // a sequence when set
  bool none = false;                                   // an empty optional

  bool is_tensor() const { return list == nullptr && !none; }
};

class OnnxImporter {
 public:
  OnnxImporter(const OnnxFile& file, const ImportOptions& options);

  Result<ImportedModel> run();

 private:
  // Names of one graph or function body while it is read.
  struct Scope {
    const Scope* parent = nullptr;  // subgraphs see the names around them; function bodies do not
    const OnnxFileGraph* graph = nullptr;
    const OnnxOpsets* opsets = nullptr;
    const std::vector<OnnxFileAttr>* bound = nullptr;  // attributes of the function call
    std::string path;                                  // goes before names and scopes of inlined nodes
    int depth = 0;
    std::unordered_map<std::string, OnnxValue> values = {};
  };
  using Values = std::vector<OnnxValue>;
  // A node with what it reads resolved.
  struct Call {
    Scope& scope;
    const OnnxFileNode& node;
    Values in;

    bool has(size_t k) const { return k < in.size() && (in[k].id.valid() || !in[k].is_tensor()); }
  };
  // nullopt: handled. A text: why not; the node becomes opaque.
  using Refusal = std::optional<std::string>;
  using Handler = Result<Refusal> (OnnxImporter::*)(Call& c, Values& out);

  Status add_inputs(Scope& s);
  Result<TensorType> input_type(const OnnxFileValue& v, const InputSpec* spec);
  Status set_outputs(Scope& s);
  Status run_nodes(Scope& s, const std::vector<OnnxFileNode>& nodes);
  Status run_node(Scope& s, const OnnxFileNode& n);
  Result<Refusal> dispatch(Call& c, Values& out);
  Result<Refusal> run_row(Call& c, const OnnxRow& row, int opset, Values& out);
  Result<Refusal> run_function(Call& c, const OnnxFileFunction& f, Values& out);
  Status run_opaque(Call& c, const std::string& why, Values& out);
  Status bind(Scope& s, const OnnxFileNode& n, const Values& out);
  Result<OnnxValue> lookup(Scope& s, const std::string& name);
  Result<ValueId> constant(const OnnxFileTensor& t);
  // Attributes of a node with references to the function's replaced.
  static std::vector<OnnxFileAttr> attributes(const Scope& s, const OnnxFileNode& n);
  static std::optional<OnnxFileAttr> attribute(const Call& c, std::string_view name);
  Result<std::optional<OnnxAttr>> plain_attribute(const OnnxFileAttr& a);
  int opset_of(const Scope& s, const std::string& domain) const;
  const OnnxFileValue* declared(const Scope& s, const std::string& name) const;
  Status check_heap();

  // onnx_control.cpp
  static Handler control(std::string_view type);
  // Runs a subgraph on `in`; its outputs.
  Result<Values> run_graph(const Scope& parent, const OnnxFileGraph& g, const Values& in, const std::string& path);
  Result<Refusal> run_if(Call& c, Values& out);
  Result<Refusal> run_loop(Call& c, Values& out);
  Result<Refusal> run_scan(Call& c, Values& out);
  Result<Refusal> run_identity(Call& c, Values& out);
  Result<Refusal> run_sequence(Call& c, Values& out);
  Result<Refusal> run_split_to_sequence(Call& c, Values& out);
  Result<Refusal> run_concat_from_sequence(Call& c, Values& out);
  Result<Refusal> run_sequence_map(Call& c, Values& out);
  Result<Refusal> run_optional(Call& c, Values& out);
  // The one number of a constant; nullopt when it depends on input values or is no number.
  std::optional<int64_t> known_integer(const OnnxValue& v) const;
  Result<int64_t> integer_attribute(const Call& c, std::string_view name, int64_t fallback);
  ValueId stack(const std::vector<ValueId>& parts, int64_t axis);

  const OnnxFile& file_;
  const ImportOptions& options_;
  ImportedModel model_;
  Builder b_;
  OnnxTensors tensors_;
  std::map<const std::byte*, ValueId> constants_;  // by where the TensorProto lies
  std::map<std::string, std::vector<Origin>> opaque_;
  std::vector<const OnnxFileFunction*> calls_;  // functions being inlined
  std::set<ValueId> named_;
  int64_t operators_ = 0;
  int64_t heap_bytes_ = 0;
  size_t counted_values_ = 0;
};

}  // namespace npuport
