#include "frontends/tflite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "base/diag_codes.h"
#include "frontends/tflite_file.h"
#include "ir/registry.h"

namespace npuport {
namespace {

constexpr int kMaxDepth = 16;             // composites inside composites
constexpr int64_t kFoldLimit = 64;        // shape arithmetic only; real folding is a pass
constexpr int64_t kHeapSlack = 64 << 20;  // constants may take a few times the file plus this
constexpr int kComposite = 206;

bool is_control_flow(int code) {
  // CALL, IF, WHILE, CALL_ONCE, STABLEHLO_WHILE, STABLEHLO_CASE and the resource variables.
  constexpr int kCodes[] = {31, 118, 119, 129, 142, 143, 144, 200, 209};
  return std::find(std::begin(kCodes), std::end(kCodes), code) != std::end(kCodes);
}

// "CONV_2D (53), ADD (16)"
std::string counted(const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", name, count);
  return text;
}

const TfliteFileSignature* find_signature(const TfliteFile& f, const std::string& entry) {
  for (const auto& s : f.signatures) {
    if (s.key == entry) return &s;
  }
  if (entry != "forward" && !entry.empty()) return nullptr;
  for (const auto& s : f.signatures) {
    if (s.key == "serving_default") return &s;
  }
  return f.signatures.empty() ? nullptr : &f.signatures.front();
}

// Of input `k`: as the signature calls it, else as its tensor is called.
std::string input_name(const TfliteFileGraph& g, const TfliteFileSignature* signature, size_t k) {
  if (signature != nullptr) {
    for (const auto& [wanted, index] : signature->inputs) {
      if (static_cast<int32_t>(index) == g.inputs[k] && !wanted.empty()) return wanted;
    }
  }
  const std::string& name = g.tensors[static_cast<size_t>(g.inputs[k])].name;
  return name.empty() ? fmt::format("input{}", k) : name;
}

// Refuses what would give wrong numbers, everything at once.
Status check_supported(const TfliteFile& f, const TfliteFileGraph& g) {
  std::map<std::string, int64_t> quantised, control, types;
  const auto types_of = [&](const std::vector<int32_t>& indices, const std::string& op) {
    bool quant = false;
    for (const int32_t i : indices) {
      if (i < 0) continue;
      const TfliteFileTensor& t = g.tensors[static_cast<size_t>(i)];
      quant |= t.quantised && t.type != 0;
      if (t.sparse) ++types["sparse tensors of " + op];
    }
    return quant;
  };
  for (const TfliteFileOperator& o : g.operators) {
    const TfliteFileCode& code = f.code(o);
    const bool in = types_of(o.in, code.text()), out = types_of(o.out, code.text());
    if (in || out) ++quantised[code.text()];
    if (is_control_flow(code.builtin)) ++control[code.text()];
  }
  if (!quantised.empty()) {
    return Diag(diag::unsupported,
                "the model is quantised; quantised operators cannot be read yet: " + counted(quantised),
                "use the float model it was made from");
  }
  if (!control.empty()) {
    return Diag(diag::unsupported, "control flow and variables cannot be read: " + counted(control),
                "export the model without loops, branches and state");
  }
  if (!types.empty()) return Diag(diag::unsupported, "cannot be read: " + counted(types));
  return {};
}

class Importer {
 public:
  Importer(const TfliteFile& file, const ImportOptions& options)
      : file_(file), options_(options), b_(model_.graph, true, kFoldLimit) {}

  Result<ImportedModel> run();

 private:
  struct Scope {
    const TfliteFileGraph& graph;
    std::map<int32_t, ValueId> values;
  };

  Status add_inputs(Scope& s, const TfliteFileSignature* signature);
  Status run_operators(Scope& s, int depth);
  Status run_operator(Scope& s, const TfliteFileOperator& o, size_t index, int depth);
  Status run_row(Scope& s, const TfliteFileOperator& o, const TfliteRow& row, std::vector<ValueId> in);
  Status run_composite(Scope& s, const TfliteFileOperator& o, const std::vector<ValueId>& in, int depth);
  void run_opaque(Scope& s, const TfliteFileOperator& o, const std::vector<ValueId>& in, std::string detail);
  Status bind(Scope& s, const TfliteFileOperator& o, const std::vector<ValueId>& out);
  Result<ValueId> value(Scope& s, int32_t index);
  Result<Tensor> constant(const TfliteFileTensor& t) const;
  void name_values(const Scope& s);
  Status check_heap();

  const TfliteFile& file_;
  const ImportOptions& options_;
  ImportedModel model_;
  Builder b_;
  std::map<std::string, std::vector<Origin>> opaque_;
  std::map<std::pair<uint32_t, Ints>, ValueId> constants_;  // buffer and shape → value
  bool static_shapes_ = true;
  bool warned_shape_ = false;
  int64_t heap_bytes_ = 0;
  size_t counted_values_ = 0;
  int64_t operators_ = 0;
};

Result<Tensor> Importer::constant(const TfliteFileTensor& t) const {
  const DType dtype = tflite_dtype(t.type);
  const auto bytes = file_.buffers[t.buffer];
  if (dtype == DType::unknown) {
    return Diag(diag::unsupported, fmt::format("constant of type {}", tflite_type_name(t.type))).at_tensor(t.name);
  }
  Tensor out{dtype, t.shape, file_.file, bytes.data()};
  if (static_cast<uint64_t>(out.bytes()) != bytes.size()) {
    return Diag(diag::corrupt, fmt::format("{} needs {} bytes, its buffer holds {}",
                                           to_string(TensorType{dtype, t.shape, nullptr}), out.bytes(), bytes.size()))
        .at_tensor(t.name);
  }
  // Kernels read whole elements: what the file aligns badly is copied; so are booleans, which must be 0 or 1.
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % static_cast<uintptr_t>(byte_size(dtype, 1)) == 0;
  if (aligned && dtype != DType::boolean) return out;
  Tensor copy = Tensor::zeros(dtype, t.shape);
  if (bytes.empty()) return copy;
  std::memcpy(copy.mutable_data(), bytes.data(), bytes.size());
  if (dtype == DType::boolean) {
    for (size_t i = 0; i < bytes.size(); ++i) copy.mutable_data()[i] = std::byte{bytes[i] != std::byte{0}};
  }
  return copy;
}

Result<ValueId> Importer::value(Scope& s, int32_t index) {
  if (index < 0) return ValueId{};
  if (const auto it = s.values.find(index); it != s.values.end()) return it->second;
  const TfliteFileTensor& t = s.graph.tensors[static_cast<size_t>(index)];
  const bool empty = element_count(t.shape) == 0;
  if (t.variable)
    return Diag(diag::unsupported, "variable tensors (state between runs) cannot be read").at_tensor(t.name);
  if (t.buffer == 0 || (file_.buffers[t.buffer].empty() && !empty)) {
    return Diag(diag::corrupt, "is used before any operator computes it, and holds no data").at_tensor(t.name);
  }
  Ints key = t.shape;
  key.push_back(t.type);
  auto [it, fresh] = constants_.try_emplace({t.buffer, std::move(key)});
  if (fresh) {
    NPU_ASSIGN(Tensor made, constant(t));
    it->second = model_.graph.add_constant(t.name, std::move(made));
  }
  s.values[index] = it->second;
  return it->second;
}

// Constants that rows made (permuted filters, float16 made float32) live on the heap; a hostile file could make any
// number of them out of one.
Status Importer::check_heap() {
  const Graph& g = model_.graph;
  for (; counted_values_ < g.value_slots(); ++counted_values_) {
    const Value& v = g.value(ValueId{static_cast<uint32_t>(counted_values_)});
    if (v.constant != nullptr && v.constant->owner != file_.file) heap_bytes_ += v.constant->bytes();
  }
  const auto file_bytes = static_cast<int64_t>(file_.file->bytes().size());
  if (heap_bytes_ > 4 * file_bytes + kHeapSlack) {
    return Diag(diag::too_large,
                fmt::format("its constants would take {} bytes, the file has {}", heap_bytes_, file_bytes));
  }
  return {};
}

Status Importer::add_inputs(Scope& s, const TfliteFileSignature* signature) {
  const auto& inputs = s.graph.inputs;
  if (!options_.inputs.empty() && options_.inputs.size() != inputs.size()) {
    return Diag(diag::bad_input_data,
                fmt::format("{} inputs are described, the model has {}", options_.inputs.size(), inputs.size()));
  }
  for (size_t k = 0; k < inputs.size(); ++k) {
    const TfliteFileTensor& t = s.graph.tensors[static_cast<size_t>(inputs[k])];
    std::string name = input_name(s.graph, signature, k);
    TensorType type{tflite_dtype(t.type), t.shape, nullptr};
    const InputSpec* spec = options_.inputs.empty() ? nullptr : &options_.inputs[k];
    if (type.dtype == DType::unknown) {
      return Diag(diag::unsupported, fmt::format("input of type {}", tflite_type_name(t.type))).at_tensor(name);
    }
    if (spec != nullptr && spec->type.dtype != DType::unknown && spec->type.dtype != type.dtype) {
      return Diag(diag::dtype_mismatch,
                  fmt::format("the model takes {}, {} was given", long_name(type.dtype), long_name(spec->type.dtype)))
          .at_tensor(name);
    }
    const bool open = std::find(t.signature.begin(), t.signature.end(), -1) != t.signature.end();
    if (open && spec == nullptr) {
      return Diag(diag::dynamic_shape, fmt::format("the size of input {} is open ({})", name, to_string(t.signature)),
                  fmt::format("fix it: --shape {}={}", name, to_string(t.shape)))
          .at_tensor(name);
    }
    if (spec != nullptr && !(spec->type.shape.empty() && !t.shape.empty())) {
      bool fits = spec->type.shape.size() == t.shape.size();
      for (size_t d = 0; fits && d < t.shape.size(); ++d) {
        fits = spec->type.shape[d] == t.shape[d] || (open && t.signature[d] == -1);
      }
      if (!fits) {
        return Diag(diag::shape_mismatch,
                    fmt::format("input {} is {}, {} was given", name, to_string(open ? t.signature : t.shape),
                                to_string(spec->type.shape)))
            .at_tensor(name);
      }
      type.shape = spec->type.shape;
    }
    NPU_TRY(check_shape(type.shape));
    static_shapes_ &= !open;
    if (spec != nullptr && !spec->name.empty()) name = spec->name;
    const ValueId v = model_.graph.add_input(name, std::move(type));
    if (!s.values.emplace(inputs[k], v).second) return Diag(diag::corrupt, "one tensor is two inputs").at_tensor(name);
  }
  return {};
}

Status Importer::bind(Scope& s, const TfliteFileOperator& o, const std::vector<ValueId>& out) {
  for (size_t k = 0; k < o.out.size(); ++k) {
    const TfliteFileTensor& t = s.graph.tensors[static_cast<size_t>(o.out[k])];
    if (k >= out.size() || !out[k].valid()) return Diag(diag::corrupt, fmt::format("result {} is not made", k));
    const TensorType& type = model_.graph.type(out[k]);
    if (type.known() && tflite_dtype(t.type) != type.dtype) {
      return Diag(diag::corrupt,
                  fmt::format("computes {}, the file says {}", to_string(type), tflite_type_name(t.type)))
          .at_tensor(t.name);
    }
    if (type.known() && static_shapes_ && t.signature.empty() && type.shape != t.shape && !warned_shape_) {
      Diag d(diag::shape_mismatch, fmt::format("the file says shape {}, its operators compute {}", to_string(t.shape),
                                               to_string(type.shape)));
      d.severity = Severity::warning;
      d.at_tensor(t.name);
      model_.warnings.push_back(std::move(d));
      warned_shape_ = true;
    }
    if (!s.values.emplace(o.out[k], out[k]).second) {
      return Diag(diag::corrupt, "is computed twice").at_tensor(t.name);
    }
  }
  return {};
}

void Importer::run_opaque(Scope& s, const TfliteFileOperator& o, const std::vector<ValueId>& in, std::string detail) {
  const std::string name = file_.code(o).text();
  opaque_[name].push_back(b_.origins().empty() ? Origin{"", "", name} : b_.origins().front());
  std::vector<ValueId> present;
  for (const ValueId v : in) {
    if (v.valid()) present.push_back(v);
  }
  const auto out =
      b_.ops("opaque", std::move(present), {{"foreign", name}, {"detail", std::move(detail)}}, o.out.size());
  // What the file says about the results lets the operators behind it be read as usual.
  for (size_t k = 0; k < out.size(); ++k) {
    const TfliteFileTensor& t = s.graph.tensors[static_cast<size_t>(o.out[k])];
    model_.graph.value(out[k]).type = {tflite_dtype(t.type), t.shape, nullptr};
    s.values.emplace(o.out[k], out[k]);
  }
}

Status Importer::run_row(Scope& s, const TfliteFileOperator& o, const TfliteRow& row, std::vector<ValueId> in) {
  if (o.out.empty()) return Diag(diag::corrupt, "has no result");
  TfliteOperator plain{&row, file_.code(o).version, o.in, o.out, {}};
  if (row.options != nullptr) {
    for (const TfliteField& f : row.options->fields) {
      TfliteOption v{&f, f.fallback, {}};
      switch (f.kind) {
        case TfliteKind::i8:
          v.number = o.options.scalar<int8_t>(f.slot, static_cast<int8_t>(f.fallback));
          break;
        case TfliteKind::i32:
          v.number = o.options.scalar<int32_t>(f.slot, static_cast<int32_t>(f.fallback));
          break;
        case TfliteKind::u32:
          v.number = o.options.scalar<uint32_t>(f.slot, static_cast<uint32_t>(f.fallback));
          break;
        case TfliteKind::f32:
          v.number = static_cast<double>(o.options.scalar<float>(f.slot, static_cast<float>(f.fallback)));
          break;
        case TfliteKind::boolean:
          v.number = o.options.scalar<uint8_t>(f.slot, static_cast<uint8_t>(f.fallback)) != 0;
          break;
        case TfliteKind::i32s:
          for (const int32_t n : o.options.scalars<int32_t>(f.slot)) v.list.push_back(n);
          break;
      }
      plain.options.push_back(std::move(v));
    }
  }
  if (file_.view->failed()) return Diag(diag::corrupt, "its options point outside the file");
  std::vector<TensorType> declared;
  for (const int32_t i : o.out) {
    const TfliteFileTensor& t = s.graph.tensors[static_cast<size_t>(i)];
    declared.push_back({tflite_dtype(t.type), t.shape, nullptr});
  }
  TfliteRead call(b_, plain, std::move(in), std::move(declared));
  tflite_read(call);
  if (Status made = b_.take_status(); !made) {
    // Operands that no graph of ours could have: here the file is at fault, not this program.
    if (made.error().code == &diag::internal) made.error().code = &diag::corrupt;
    return made;
  }
  return bind(s, o, call.values());
}

Status Importer::run_composite(Scope& s, const TfliteFileOperator& o, const std::vector<ValueId>& in, int depth) {
  const auto index = o.options2.scalar<int32_t>(1);
  if (index <= 0 || static_cast<size_t>(index) >= file_.graphs.size()) {
    return Diag(diag::corrupt, fmt::format("decomposition subgraph {} of {}", index, file_.graphs.size()));
  }
  const TfliteFileGraph& inner = file_.graphs[static_cast<size_t>(index)];
  if (inner.inputs.size() != in.size() || inner.outputs.size() != o.out.size()) {
    return Diag(diag::corrupt, "the composite and its decomposition have different operands");
  }
  NPU_TRY(check_supported(file_, inner));
  Scope scope{inner, {}};
  for (size_t k = 0; k < in.size(); ++k) scope.values.emplace(inner.inputs[k], in[k]);
  NPU_TRY(run_operators(scope, depth + 1));
  std::vector<ValueId> out;
  for (const int32_t i : inner.outputs) {
    NPU_ASSIGN(const ValueId v, value(scope, i));
    out.push_back(v);
  }
  return bind(s, o, out);
}

Status Importer::run_operator(Scope& s, const TfliteFileOperator& o, size_t index, int depth) {
  const TfliteFileCode& code = file_.code(o);
  std::vector<ValueId> in;
  bool known = true;
  for (const int32_t i : o.in) {
    NPU_ASSIGN(const ValueId v, value(s, i));
    known &= !v.valid() || model_.graph.type(v).known();
    in.push_back(v);
  }
  b_.set_origins({{"", "", code.text()}});
  if (code.builtin == kComposite) return run_composite(s, o, in, depth);
  const TfliteRow* row = code.builtin == 32 ? nullptr : tflite_row(code.builtin);
  const bool readable = row != nullptr && (row->read != nullptr || !row->ours[0].empty());
  if (readable && known) return run_row(s, o, *row, std::move(in));
  run_opaque(s, o, in, fmt::format("operator {} of the file, version {}", index, code.version));
  return b_.take_status();
}

Status Importer::run_operators(Scope& s, int depth) {
  if (depth > kMaxDepth) return Diag(diag::too_large, "composites are nested too deeply");
  for (size_t i = 0; i < s.graph.operators.size(); ++i) {
    // Composites may be expanded again and again: bound the work, not only the depth.
    if (++operators_ > 1'000'000) return Diag(diag::too_large, "more than a million operators");
    const TfliteFileOperator& o = s.graph.operators[i];
    Status done = run_operator(s, o, i, depth);
    if (done.ok()) done = check_heap();
    if (!done) return std::move(done).error().at_node(fmt::format("{} (operator {})", file_.code(o).text(), i));
    if (options_.progress && depth == 0) {
      options_.progress(static_cast<double>(i + 1) / static_cast<double>(s.graph.operators.size()));
    }
  }
  return {};
}

// Results get the names the file has for them; names of inputs and constants stay.
void Importer::name_values(const Scope& s) {
  std::set<ValueId> named;
  for (const auto& [index, v] : s.values) {
    const std::string& name = s.graph.tensors[static_cast<size_t>(index)].name;
    const bool made = model_.graph.producer(v) != nullptr;
    if (made && !name.empty() && named.insert(v).second) model_.graph.rename(v, name);
  }
}

Result<ImportedModel> Importer::run() {
  const TfliteFileSignature* signature = find_signature(file_, options_.entry);
  if (signature == nullptr && options_.entry != "forward" && !options_.entry.empty()) {
    return Diag(diag::usage, fmt::format("the file has no signature {}", options_.entry));
  }
  const TfliteFileGraph& graph = file_.graphs[signature == nullptr ? 0 : signature->subgraph];
  Graph& g = model_.graph;
  g.name = graph.name.empty() ? "main" : graph.name;
  for (const auto& t : graph.tensors) static_shapes_ &= t.signature.empty() || t.signature == t.shape;
  NPU_TRY(check_supported(file_, graph));
  Scope scope{graph, {}};
  NPU_TRY(add_inputs(scope, signature));
  NPU_TRY(run_operators(scope, 0));
  name_values(scope);
  std::vector<ValueId> outputs;
  for (const int32_t i : graph.outputs) {
    NPU_ASSIGN(const ValueId v, value(scope, i));
    outputs.push_back(v);
    if (signature == nullptr || g.producer(v) == nullptr) continue;
    for (const auto& [wanted, index] : signature->outputs) {
      if (static_cast<int32_t>(index) == i && !wanted.empty()) g.rename(v, wanted);
    }
  }
  if (outputs.empty()) return Diag(diag::corrupt, "the model has no outputs");
  g.set_outputs(std::move(outputs));
  g.erase_dead();
  if (const auto it = file_.metadata.find("npuport.io"); it != file_.metadata.end())
    g.metadata["npuport.io"] = it->second;
  for (auto& [name, places] : opaque_) model_.opaque.push_back({name, std::move(places)});
  NPU_TRY(verify(g, Stage::imported));
  return std::move(model_);
}

}  // namespace

bool accepts_tflite(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  char head[8] = {};
  in.read(head, sizeof head);
  return in.gcount() == sizeof head && std::string_view(head + 4, 4) == "TFL3";
}

Result<FileFacts> inspect_tflite(const std::string& path) {
  NPU_ASSIGN(const TfliteFile f, open_tflite(path));
  FileFacts facts;
  facts.format = "tflite";
  facts.detail = fmt::format("TFLite, schema 3{}{}", f.description.empty() ? "" : ", ", f.description);
  facts.file_bytes = f.file->bytes().size();
  const TfliteFileSignature* signature = find_signature(f, "forward");
  const TfliteFileGraph& main = f.graphs[signature == nullptr ? 0 : signature->subgraph];
  for (size_t k = 0; k < main.inputs.size(); ++k) {
    const TfliteFileTensor& t = main.tensors[static_cast<size_t>(main.inputs[k])];
    facts.inputs.push_back({input_name(main, signature, k), {tflite_dtype(t.type), t.shape, nullptr}});
  }
  std::map<std::string, int64_t> operators;
  std::set<uint32_t> seen;
  bool quantised = false;
  for (const TfliteFileGraph& g : f.graphs) {
    for (const TfliteFileOperator& o : g.operators) ++operators[f.code(o).text()];
    for (const TfliteFileTensor& t : g.tensors) {
      quantised |= t.quantised && t.type != 0;
      if (t.buffer == 0 || f.buffers[t.buffer].empty() || !seen.insert(t.buffer).second) continue;
      facts.parameters += element_count(t.shape);
      facts.parameter_bytes += static_cast<int64_t>(f.buffers[t.buffer].size());
    }
  }
  facts.operators.assign(operators.begin(), operators.end());
  facts.properties.emplace_back("subgraphs", std::to_string(f.graphs.size()));
  for (const auto& s : f.signatures) facts.properties.emplace_back("signature", s.key);
  if (quantised) facts.properties.emplace_back("quantised", "yes");
  if (const auto it = f.metadata.find("min_runtime_version"); it != f.metadata.end()) {
    facts.properties.emplace_back("min_runtime_version", it->second.substr(0, it->second.find('\0')));
  }
  return facts;
}

Result<ImportedModel> import_tflite(std::shared_ptr<const MappedFile> file, const ImportOptions& options) {
  const std::string path = file->path();
  auto parsed = parse_tflite(std::move(file));
  if (!parsed) return std::move(parsed).error().in_file(path);
  auto imported = Importer(*parsed, options).run();
  if (!imported) return std::move(imported).error().in_file(path);
  for (Diag& w : imported->warnings) w.in_file(path);
  return imported;
}

Result<ImportedModel> import_tflite(const std::string& path, const ImportOptions& options) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  return import_tflite(std::move(file), options);
}

}  // namespace npuport
