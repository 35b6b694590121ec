#include "frontends/plain.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "base/zip.h"
#include "ir/npy.h"
#include "ir/text.h"

namespace npuport {
namespace {

InputSpec spec_of(const std::string& name, const Tensor& t) { return {name, {t.dtype, t.shape, nullptr}}; }

bool is_graph_text(std::span<const std::byte> bytes) {
  const std::string_view text = trim(as_text(bytes.first(std::min<size_t>(bytes.size(), 4096))));
  return text.starts_with("graph \"") || text.starts_with("graph{") || text.starts_with("graph {");
}

// Arrays of PATH.npz by hash; none when there is no such file.
Result<ConstantSource> constants_beside(const std::string& path) {
  auto npz = NpzReader::open(path + ".npz");
  if (!npz && npz.error().code == &diag::file_not_found)
    return ConstantSource([](std::string_view) { return nullptr; });
  if (!npz) return std::move(npz).error();
  auto reader = std::make_shared<NpzReader>(std::move(*npz));
  return ConstantSource([reader](std::string_view hash) -> std::shared_ptr<const Tensor> {
    auto t = reader->read(hash);
    if (!t || content_hash(*t) != hash) return nullptr;
    return std::make_shared<const Tensor>(std::move(*t));
  });
}

Result<Graph> read_graph(const std::string& path, const ConstantSource& source) {
  NPU_ASSIGN(const std::string text, read_file(path));
  auto graph = parse_graph(text, source);
  if (!graph) return std::move(graph).error().in_file(path);
  return graph;
}

Status apply_inputs(Graph& g, const std::vector<InputSpec>& specs, const std::string& path) {
  if (specs.size() > g.inputs().size())
    return Diag(diag::bad_input_data,
                fmt::format("{} inputs are given, the graph has {}", specs.size(), g.inputs().size()))
        .in_file(path);
  for (size_t i = 0; i < specs.size(); ++i) {
    const ValueId id = g.inputs()[i];
    const TensorType& wanted = specs[i].type;
    const TensorType& own = g.type(id);
    const bool fits = (wanted.dtype == DType::unknown && wanted.shape.empty()) ||
                      (wanted.shape == own.shape && (wanted.dtype == DType::unknown || wanted.dtype == own.dtype));
    if (!fits)
      return Diag(diag::shape_mismatch,
                  fmt::format("the graph's input is {}[{}], {}[{}] was asked for", name(own.dtype),
                              to_string(own.shape), name(wanted.dtype), to_string(wanted.shape)),
                  "IR text has fixed shapes: import the original model with the new shape")
          .in_file(path)
          .at_tensor(g.value(id).name);
    if (!specs[i].name.empty()) g.rename(id, specs[i].name);
  }
  return {};
}

}  // namespace

bool accepts_npy(const std::string& path) {
  const auto file = MappedFile::open(path);
  return file.ok() && looks_like_npy((*file)->bytes());
}

Result<FileFacts> inspect_npy(const std::string& path) {
  NPU_ASSIGN(const auto file, MappedFile::open(path));
  NPU_ASSIGN(const Tensor t, read_npy(path));
  FileFacts facts;
  facts.format = "npy";
  facts.detail = fmt::format("NumPy array, {} {}.", long_name(t.dtype), to_string(t.shape));
  facts.file_bytes = file->bytes().size();
  facts.inputs.push_back(spec_of("", t));
  return facts;
}

bool accepts_npz(const std::string& path) {
  const auto file = MappedFile::open(path);
  if (!file || !ZipReader::looks_like_zip((*file)->bytes())) return false;
  const auto npz = NpzReader::open(*file);
  return npz.ok() && !npz->names().empty();
}

Result<FileFacts> inspect_npz(const std::string& path) {
  NPU_ASSIGN(const auto file, MappedFile::open(path));
  NPU_ASSIGN(const NpzReader npz, NpzReader::open(file));
  FileFacts facts;
  facts.format = "npz";
  facts.file_bytes = file->bytes().size();
  for (const std::string& name : npz.names()) {
    auto t = npz.read(name);
    if (t) {
      facts.inputs.push_back(spec_of(name, *t));
      continue;
    }
    if (t.error().code != &diag::unsupported) return std::move(t).error();
    t.error().severity = Severity::warning;
    facts.warnings.push_back(std::move(t).error());
  }
  facts.detail = fmt::format("NumPy archive of {} arrays.", npz.names().size());
  return facts;
}

bool accepts_ir_text(const std::string& path) {
  const auto file = MappedFile::open(path);
  return file.ok() && is_graph_text((*file)->bytes());
}

Result<FileFacts> inspect_ir_text(const std::string& path) {
  NPU_ASSIGN(const auto file, MappedFile::open(path));
  NPU_ASSIGN(const Graph g, read_graph(path, {}));
  FileFacts facts;
  facts.format = "ir-text";
  facts.detail = fmt::format("npuport IR text, graph \"{}\".", g.name);
  facts.file_bytes = file->bytes().size();
  for (const ValueId id : g.inputs()) facts.inputs.push_back({g.value(id).name, g.type(id)});
  std::map<std::string, int64_t> operators;
  for (const NodeId id : g.topological()) ++operators[std::string(g.node(id).op->name)];
  facts.operators.assign(operators.begin(), operators.end());
  for (uint32_t i = 0; i < g.value_slots(); ++i) {
    const Value& v = g.value(ValueId{i});
    if (!v.alive || !v.constant) continue;
    facts.parameters += v.constant->count();
    facts.parameter_bytes += v.constant->bytes();
  }
  return facts;
}

Result<ImportedModel> import_ir_text(const std::string& path, const ImportOptions& options) {
  NPU_ASSIGN(const ConstantSource source, constants_beside(path));
  ImportedModel model;
  NPU_ASSIGN(model.graph, read_graph(path, source));
  NPU_TRY(apply_inputs(model.graph, options.inputs, path));
  return model;
}

}  // namespace npuport
