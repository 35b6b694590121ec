#include "frontends/onnx_import.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/diag_codes.h"
#include "frontends/shape_habits.h"

namespace npuport {
namespace {

constexpr int64_t kFoldLimit = 1 << 16;             // shape arithmetic and small tables; real folding is a pass
constexpr int64_t kHeapSlack = int64_t{512} << 20;  // constants may take a few times the file plus this
constexpr int64_t kMaxOperators = 200'000;
constexpr int kMaxDepth = 40;  // subgraphs and functions inside each other
constexpr int kOldestOpset = 7;

// Failures of a row that mean "we cannot say this", as opposed to "this is wrong".
bool is_refusal(const Diag& d) {
  return d.code == &diag::unsupported_op || d.code == &diag::unsupported || d.code == &diag::data_dependent ||
         d.code == &diag::dtype_mismatch || d.code == &diag::not_representable;
}

std::string full_name(const OnnxFileNode& n) {
  return n.domain.empty() ? n.type : fmt::format("{}::{}", n.domain, n.type);
}

std::string joined(const std::string& path, const std::string& name) {
  if (path.empty() || name.empty()) return path + name;
  return path + "/" + name;
}

std::string dims_text(const OnnxFileValue& v) {
  std::string text;
  for (const OnnxFileDim& d : v.dims) {
    text += text.empty() ? "" : "x";
    text += d.size >= 0 ? std::to_string(d.size) : d.symbol.empty() ? "?" : d.symbol;
  }
  return v.ranked ? text : "unknown";
}

}  // namespace

OnnxImporter::OnnxImporter(const OnnxFile& file, const ImportOptions& options)
    : file_(file), options_(options), b_(model_.graph, true, kFoldLimit), tensors_(file.file) {}

// Constants that rows made live on the heap; a hostile file could make any number of them out of one.
Status OnnxImporter::check_heap() {
  const Graph& g = model_.graph;
  for (; counted_values_ < g.value_slots(); ++counted_values_) {
    const Value& v = g.value(ValueId{static_cast<uint32_t>(counted_values_)});
    if (v.constant != nullptr && !tensors_.mapped(*v.constant)) heap_bytes_ += v.constant->bytes();
  }
  const auto file_bytes = static_cast<int64_t>(file_.file->bytes().size()) + tensors_.external_bytes();
  if (heap_bytes_ > 4 * file_bytes + kHeapSlack) {
    return Diag(diag::too_large,
                fmt::format("its constants would take {} bytes, the file has {}", heap_bytes_, file_bytes));
  }
  return {};
}

int OnnxImporter::opset_of(const Scope& s, const std::string& domain) const {
  if (const auto it = s.opsets->find(domain); it != s.opsets->end()) return it->second;
  // Functions may leave out what the model says.
  if (const auto it = file_.opsets.find(domain); it != file_.opsets.end()) return it->second;
  return 1;
}

Result<ValueId> OnnxImporter::constant(const OnnxFileTensor& t) {
  auto [it, fresh] = constants_.try_emplace(t.message.data());
  if (fresh) {
    Result<Tensor> made = tensors_.read(t);
    if (!made) {
      constants_.erase(it);
      return std::move(made).error();
    }
    it->second = model_.graph.add_constant(t.name, std::move(*made));
  }
  return it->second;
}

Result<OnnxValue> OnnxImporter::lookup(Scope& s, const std::string& name) {
  if (name.empty()) return OnnxValue{};
  for (const Scope* at = &s; at != nullptr; at = at->parent) {
    if (const auto it = at->values.find(name); it != at->values.end()) return it->second;
    if (at->graph == nullptr) continue;
    if (const auto it = at->graph->initialisers.find(name); it != at->graph->initialisers.end()) {
      Result<ValueId> v = constant(it->second);
      if (v) return OnnxValue{*v, nullptr, false};
      if (!is_refusal(v.error())) return std::move(v).error();
      // Strings, float8 and the like: named once, as an operator without a mapping.
      const std::string foreign = v.error().message;
      opaque_[foreign].push_back({"", "", name});
      const OnnxValue made{b_.op("opaque", {}, {{"foreign", foreign}, {"detail", name}}), nullptr, false};
      NPU_TRY(b_.take_status());
      s.values.emplace(name, made);
      return made;
    }
    if (const auto it = at->graph->sparse.find(name); it != at->graph->sparse.end()) {
      NPU_ASSIGN(Tensor dense, tensors_.read(it->second));
      const OnnxValue made{model_.graph.add_constant(name, std::move(dense)), nullptr, false};
      s.values.emplace(name, made);
      return made;
    }
  }
  return Diag(diag::corrupt, "is used before any operator computes it", "the nodes may be out of order, or a cycle")
      .at_tensor(name);
}

Status OnnxImporter::bind(Scope& s, const OnnxFileNode& n, const Values& out) {
  for (size_t k = 0; k < n.out.size(); ++k) {
    const std::string& name = n.out[k];
    if (name.empty()) continue;
    if (k >= out.size() || (out[k].is_tensor() && !out[k].id.valid())) {
      return Diag(diag::corrupt, fmt::format("result {} is not made by {}", k, full_name(n))).at_tensor(name);
    }
    if (!s.values.emplace(name, out[k]).second) return Diag(diag::corrupt, "is computed twice").at_tensor(name);
    const ValueId v = out[k].id;
    if (out[k].is_tensor() && model_.graph.producer(v) != nullptr && named_.insert(v).second) {
      model_.graph.rename(v, joined(s.path, name));
    }
  }
  return {};
}

const OnnxFileValue* OnnxImporter::declared(const Scope& s, const std::string& name) const {
  if (s.graph == nullptr) return nullptr;
  if (const auto it = s.graph->values.find(name); it != s.graph->values.end()) return &it->second;
  for (const OnnxFileValue& v : s.graph->outputs) {
    if (v.name == name) return &v;
  }
  return nullptr;
}

Status OnnxImporter::run_opaque(Call& c, const std::string& why, Values& out) {
  // An operator behind one of unknown type is not to blame for it.
  const bool follows = why.empty();
  const std::string name = follows ? full_name(c.node) : why;
  if (!follows) opaque_[name].push_back(b_.origins().front());
  std::vector<ValueId> present;
  for (const OnnxValue& v : c.in) {
    if (v.is_tensor() && v.id.valid()) present.push_back(v.id);
  }
  const auto made = b_.ops("opaque", std::move(present),
                           {{"foreign", name}, {"detail", follows ? "an input's type is not known" : c.node.name}},
                           c.node.out.size());
  out.clear();
  for (size_t k = 0; k < made.size(); ++k) {
    out.push_back({made[k], nullptr, false});
    // What the file says about the results lets the operators behind it be read as usual.
    const OnnxFileValue* v = declared(c.scope, c.node.out[k]);
    if (v == nullptr || !v->is_static() || onnx_dtype(v->type) == DType::unknown) continue;
    Shape shape;
    for (const OnnxFileDim& d : v->dims) shape.push_back(d.size);
    if (check_shape(shape)) model_.graph.value(made[k]).type = {onnx_dtype(v->type), std::move(shape), nullptr};
  }
  return b_.take_status();
}

std::vector<OnnxFileAttr> OnnxImporter::attributes(const Scope& s, const OnnxFileNode& n) {
  std::vector<OnnxFileAttr> out;
  for (const OnnxFileAttr& a : n.attrs) {
    if (a.ref.empty()) {
      out.push_back(a);
      continue;
    }
    // A reference inside a subgraph of a function means the function's call.
    const Scope* function = &s;
    while (function != nullptr && function->bound == nullptr) function = function->parent;
    if (function == nullptr) continue;
    for (const OnnxFileAttr& given : *function->bound) {
      if (given.name != a.ref) continue;
      out.push_back(given);
      out.back().name = a.name;
      if (out.back().value) out.back().value->name = a.name;
    }
  }
  return out;
}

std::optional<OnnxFileAttr> OnnxImporter::attribute(const Call& c, std::string_view name) {
  for (OnnxFileAttr& a : attributes(c.scope, c.node)) {
    if (a.name == name) return std::move(a);
  }
  return std::nullopt;
}

Result<std::optional<OnnxAttr>> OnnxImporter::plain_attribute(const OnnxFileAttr& a) {
  if (a.value) return a.value;
  if (a.tensor) {
    NPU_ASSIGN(Tensor t, tensors_.read(*a.tensor));
    return std::optional(OnnxAttr(a.name, std::make_shared<const Tensor>(std::move(t))));
  }
  if (a.sparse) {
    NPU_ASSIGN(Tensor t, tensors_.read(*a.sparse));
    return std::optional(OnnxAttr(a.name, std::make_shared<const Tensor>(std::move(t))));
  }
  if (!a.problem.empty()) return Diag(diag::unsupported, fmt::format("attribute {} {}", a.name, a.problem));
  return std::optional<OnnxAttr>();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_row(Call& c, const OnnxRow& row, int opset, Values& out) {
  std::vector<ValueId> in;
  for (const OnnxValue& v : c.in) {
    if (!v.is_tensor()) return Refusal("takes a sequence or an optional");
    in.push_back(v.id);
  }
  OnnxOperator plain{c.node.type, c.node.domain, c.node.name, {}, {}, {}};
  for (const auto& name : c.node.out) plain.out.push_back(name.empty() ? -1 : 0);
  for (const OnnxFileAttr& a : attributes(c.scope, c.node)) {
    Result<std::optional<OnnxAttr>> value = plain_attribute(a);
    if (!value) {
      if (is_refusal(value.error())) return Refusal(value.error().message);
      return std::move(value).error();
    }
    if (*value) plain.attrs.push_back(std::move(**value));
  }
  OnnxRead call(b_, row, plain, opset, std::move(in));
  onnx_read(call);
  Status made = b_.take_status();
  if (call.refusal()) return Refusal(*call.refusal());
  if (!made) {
    if (is_refusal(made.error())) return Refusal(made.error().message);
    // Operands that no graph of ours could have: here the file is at fault, not this program.
    if (made.error().code == &diag::internal) made.error().code = &diag::corrupt;
    return std::move(made).error();
  }
  for (const ValueId v : call.values()) out.push_back({v, nullptr, false});
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_function(Call& c, const OnnxFileFunction& f, Values& out) {
  if (std::find(calls_.begin(), calls_.end(), &f) != calls_.end()) {
    return Diag(diag::corrupt, fmt::format("function {} calls itself", f.name));
  }
  if (c.in.size() > f.in.size() || c.node.out.size() > f.out.size()) {
    return Diag(diag::corrupt, fmt::format("function {} takes {} operands and gives {} results, the call has {} and {}",
                                           f.name, f.in.size(), f.out.size(), c.in.size(), c.node.out.size()));
  }
  std::vector<OnnxFileAttr> bound = attributes(c.scope, c.node);
  for (const OnnxFileAttr& d : f.defaults) {
    const bool given = std::any_of(bound.begin(), bound.end(), [&](const auto& a) { return a.name == d.name; });
    if (!given) bound.push_back(d);
  }
  Scope inner{nullptr, nullptr, &f.opsets, &bound, joined(c.scope.path, c.node.name), c.scope.depth + 1};
  for (size_t k = 0; k < f.in.size(); ++k) inner.values.emplace(f.in[k], k < c.in.size() ? c.in[k] : OnnxValue{});
  calls_.push_back(&f);
  NPU_TRY(run_nodes(inner, f.nodes));
  calls_.pop_back();
  for (size_t k = 0; k < c.node.out.size(); ++k) {
    if (c.node.out[k].empty()) {
      out.emplace_back();
      continue;
    }
    NPU_ASSIGN(OnnxValue v, lookup(inner, f.out[k]));
    out.push_back(std::move(v));
  }
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::dispatch(Call& c, Values& out) {
  const OnnxFileNode& n = c.node;
  if (const auto f = file_.functions.find(OnnxFile::key(n.domain, n.type, n.overload)); f != file_.functions.end()) {
    return run_function(c, f->second, out);
  }
  if (n.domain.empty()) {
    if (const Handler handler = control(n.type)) return (this->*handler)(c, out);
  }
  const int opset = opset_of(c.scope, n.domain);
  const OnnxRow* row = onnx_row(n.domain, n.type, opset);
  if (row == nullptr) {
    const int since = onnx_known_since(n.domain, n.type);
    if (since > 0) return Refusal(fmt::format("form of opset {}", opset));
    return Refusal("");
  }
  const bool known = std::all_of(c.in.begin(), c.in.end(), [&](const OnnxValue& v) {
    return !v.is_tensor() || !v.id.valid() || model_.graph.type(v.id).known();
  });
  if (!known) {
    NPU_TRY(run_opaque(c, "", out));
    return Refusal();
  }
  return run_row(c, *row, opset, out);
}

Status OnnxImporter::run_node(Scope& s, const OnnxFileNode& n) {
  Call c{s, n, {}};
  for (const std::string& name : n.in) {
    NPU_ASSIGN(OnnxValue v, lookup(s, name));
    c.in.push_back(std::move(v));
  }
  b_.set_origins({{joined(s.path, n.scope), n.source, full_name(n)}});
  const std::vector<Origin> origins = b_.origins();
  if (n.type == "Shape") note_shape_read(model_.graph, {origins.front().scope, n.source, n.name});
  Values out;
  NPU_ASSIGN(const Refusal refusal, dispatch(c, out));
  b_.set_origins(origins);
  if (refusal) {
    const std::string name = full_name(n);
    NPU_TRY(run_opaque(c, refusal->empty() ? name : fmt::format("{} ({})", name, *refusal), out));
  }
  return bind(s, n, out);
}

Status OnnxImporter::run_nodes(Scope& s, const std::vector<OnnxFileNode>& nodes) {
  if (s.depth > kMaxDepth) return Diag(diag::too_large, "functions or subgraphs are nested too deeply");
  for (size_t i = 0; i < nodes.size(); ++i) {
    // Loops and functions may be expanded again and again: bound the work, not only the depth.
    if (++operators_ > kMaxOperators)
      return Diag(diag::too_large, "more than 200,000 operators once loops and functions are written out");
    Status done = run_node(s, nodes[i]);
    if (done.ok()) done = check_heap();
    if (!done) {
      const std::string name = nodes[i].name.empty() ? fmt::format("node {}", i) : nodes[i].name;
      return std::move(done).error().at_node(fmt::format("{} ({})", full_name(nodes[i]), name));
    }
    if (options_.progress && s.depth == 0) {
      options_.progress(static_cast<double>(i + 1) / static_cast<double>(nodes.size()));
    }
  }
  return {};
}

Result<TensorType> OnnxImporter::input_type(const OnnxFileValue& v, const InputSpec* spec) {
  if (!v.other.empty()) return Diag(diag::unsupported, fmt::format("input is a {}", v.other)).at_tensor(v.name);
  TensorType type{onnx_dtype(v.type), {}, nullptr};
  if (type.dtype == DType::unknown || bits(type.dtype) < 8) {
    return Diag(diag::unsupported, fmt::format("input of type {}", onnx_type_name(v.type))).at_tensor(v.name);
  }
  const bool given = spec != nullptr && spec->type.known() &&
                     std::all_of(spec->type.shape.begin(), spec->type.shape.end(), [](int64_t d) { return d >= 0; });
  if (given) {
    const Shape& shape = spec->type.shape;
    bool fits = !v.ranked || v.dims.size() == shape.size();
    for (size_t i = 0; fits && v.ranked && i < shape.size(); ++i)
      fits = v.dims[i].size < 0 || v.dims[i].size == shape[i];
    if (!fits) {
      return Diag(diag::shape_mismatch, fmt::format("shape {} is given for input {}, the file says {}",
                                                    to_string(shape), v.name, dims_text(v)))
          .at_tensor(v.name);
    }
    type.shape = shape;
    if (!v.is_static()) note_open_input(model_.graph, v.name + " " + dims_text(v));
  } else if (!v.is_static()) {
    std::string open;
    for (size_t i = 0; i < v.dims.size(); ++i) {
      if (v.dims[i].size >= 0) continue;
      open += fmt::format("{}dim {}{}", open.empty() ? "" : ", ", i,
                          v.dims[i].symbol.empty() ? "" : fmt::format(" ('{}')", v.dims[i].symbol));
    }
    return Diag(diag::dynamic_shape,
                fmt::format("input {} has shape {}: {} not fixed", v.name, dims_text(v),
                            open.empty() ? "its rank is" : open + " is"),
                fmt::format("give it: --shape {}=…", v.name))
        .at_tensor(v.name);
  } else {
    for (const OnnxFileDim& d : v.dims) type.shape.push_back(d.size);
  }
  Status fits = check_shape(type.shape);
  if (!fits) return std::move(fits).error().at_tensor(v.name);
  return type;
}

Status OnnxImporter::add_inputs(Scope& s) {
  std::vector<const OnnxFileValue*> inputs;
  for (const OnnxFileValue& v : file_.graph.inputs) {
    // Before IR version 4 initialisers are listed among the inputs.
    if (!file_.graph.initialisers.contains(v.name) && !file_.graph.sparse.contains(v.name)) inputs.push_back(&v);
  }
  if (!options_.inputs.empty() && options_.inputs.size() != inputs.size()) {
    return Diag(diag::bad_input_data,
                fmt::format("{} inputs are described, the model has {}", options_.inputs.size(), inputs.size()));
  }
  for (size_t k = 0; k < inputs.size(); ++k) {
    const InputSpec* spec = options_.inputs.empty() ? nullptr : &options_.inputs[k];
    NPU_ASSIGN(TensorType type, input_type(*inputs[k], spec));
    const std::string name = spec != nullptr && !spec->name.empty() ? spec->name : inputs[k]->name;
    ValueId v = model_.graph.add_input(name, type);
    if (spec != nullptr && spec->value != nullptr) {
      Tensor fixed = cast_tensor(*spec->value, type.dtype);
      if (fixed.shape != type.shape) {
        return Diag(diag::bad_input_data, fmt::format("the value fixed for input {} has shape {}, not {}", name,
                                                      to_string(fixed.shape), to_string(type.shape)));
      }
      v = model_.graph.add_constant(name + ".fixed", std::move(fixed));
      Diag d(diag::unverified, "input '" + name + "' is fixed to the given value: the graph ignores it");
      d.severity = Severity::warning;
      model_.warnings.push_back(std::move(d));
    }
    if (!s.values.emplace(inputs[k]->name, OnnxValue{v, nullptr, false}).second) {
      return Diag(diag::corrupt, "one name is two inputs").at_tensor(name);
    }
  }
  return {};
}

Status OnnxImporter::set_outputs(Scope& s) {
  Graph& g = model_.graph;
  std::vector<ValueId> outputs;
  for (const OnnxFileValue& o : file_.graph.outputs) {
    NPU_ASSIGN(const OnnxValue v, lookup(s, o.name));
    if (!v.is_tensor()) return Diag(diag::unsupported, "the output is a sequence or an optional").at_tensor(o.name);
    if (!v.id.valid()) return Diag(diag::corrupt, "an output of the model has no name or is an absent operand");
    ValueId id = v.id;
    const bool taken = std::find(outputs.begin(), outputs.end(), id) != outputs.end();
    const bool input = g.producer(id) == nullptr && !g.is_constant(id);
    if ((taken || input) && g.value(id).name != o.name && g.type(id).known()) {
      // A second name for one value: outputs keep the model's names.
      b_.set_origins({{"", "", "Identity"}});
      id = b_.op("cast", {id}, {{"to", g.type(id).dtype}});
      NPU_TRY(b_.take_status());
    }
    if (g.value(id).name != o.name && (g.producer(id) != nullptr || g.is_constant(id))) g.rename(id, o.name);
    outputs.push_back(id);
  }
  if (outputs.empty()) return Diag(diag::corrupt, "the model has no outputs");
  g.set_outputs(std::move(outputs));
  return {};
}

Result<ImportedModel> OnnxImporter::run() {
  Graph& g = model_.graph;
  g.name = file_.graph.name.empty() ? "main" : file_.graph.name;
  Scope scope{nullptr, &file_.graph, &file_.opsets, nullptr, "", 0};
  const int opset = opset_of(scope, "");
  if (opset < kOldestOpset) {
    return Diag(diag::unsupported, fmt::format("opset {}; {} and newer are read", opset, kOldestOpset),
                "export the model again, or convert it with onnx.version_converter");
  }
  if (opset > kOnnxOpset) {
    Diag d(diag::newer_version,
           fmt::format("opset {} is newer than {}: operators are read as of {}", opset, kOnnxOpset, kOnnxOpset));
    d.severity = Severity::warning;
    model_.warnings.push_back(std::move(d));
  }
  NPU_TRY(add_inputs(scope));
  NPU_TRY(run_nodes(scope, file_.graph.nodes));
  NPU_TRY(set_outputs(scope));
  g.erase_dead();
  if (const auto it = file_.metadata.find("npuport.io"); it != file_.metadata.end())
    g.metadata["npuport.io"] = it->second;
  for (auto& [name, places] : opaque_) model_.opaque.push_back({name, std::move(places)});
  NPU_TRY(verify(g, Stage::imported));
  return std::move(model_);
}

}  // namespace npuport
