#include "frontends/onnx.h"

#include <fmt/format.h>

#include "base/diag_codes.h"
#include "frontends/onnx_import.h"

namespace npuport {
namespace {

struct Count {
  FileFacts& facts;
  std::map<std::string, int64_t> operators = {};

  void tensor(const OnnxFileTensor& t) {
    if (!check_shape(t.dims)) return;
    const int64_t n = element_count(t.dims);
    const DType dtype = onnx_dtype(t.type);
    facts.parameters += n;
    if (dtype != DType::unknown) facts.parameter_bytes += byte_size(dtype, n);
  }
  void nodes(const std::vector<OnnxFileNode>& list) {
    for (const OnnxFileNode& n : list) {
      ++operators[n.domain.empty() ? n.type : n.domain + "::" + n.type];
      for (const OnnxFileAttr& a : n.attrs) {
        if (a.graph) graph(*a.graph);
        if (a.tensor && n.type == "Constant") tensor(*a.tensor);
      }
    }
  }
  void graph(const OnnxFileGraph& g) {
    nodes(g.nodes);
    for (const auto& [name, t] : g.initialisers) tensor(t);
  }
};

}  // namespace

bool accepts_onnx(const std::string& path) {
  auto file = MappedFile::open(path);
  if (!file) return false;
  // A cut-off file is worth a better message than "unknown"; its name has to say what it is.
  return looks_like_onnx((*file)->bytes(), !path.ends_with(".onnx"));
}

Result<FileFacts> inspect_onnx(const std::string& path) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  NPU_ASSIGN(const OnnxFile f, parse_onnx(std::move(file)));
  FileFacts facts;
  facts.format = "onnx";
  facts.detail =
      fmt::format("ONNX, IR version {}{}{}", f.ir_version, f.producer.empty() ? "" : ", produced by ", f.producer);
  facts.file_bytes = f.file->bytes().size();
  Count count{facts};
  count.graph(f.graph);
  for (const auto& [key, fn] : f.functions) count.nodes(fn.nodes);
  facts.operators.assign(count.operators.begin(), count.operators.end());
  for (const OnnxFileValue& v : f.graph.inputs) {
    if (f.graph.initialisers.contains(v.name)) continue;
    Shape shape;
    for (const OnnxFileDim& d : v.dims) shape.push_back(d.size);
    facts.inputs.push_back({v.name, {onnx_dtype(v.type), std::move(shape), nullptr}});
  }
  for (const auto& [domain, version] : f.opsets)
    facts.properties.emplace_back("opset", fmt::format("{}{}", domain.empty() ? "" : domain + " ", version));
  for (const OnnxFileValue& v : f.graph.outputs) facts.properties.emplace_back("output", v.name);
  for (const auto& [key, fn] : f.functions)
    facts.properties.emplace_back("function", fn.domain.empty() ? fn.name : fn.domain + "::" + fn.name);
  if (f.training) facts.properties.emplace_back("training information", "ignored");
  return facts;
}

Result<ImportedModel> import_onnx(std::shared_ptr<const MappedFile> file, const ImportOptions& options) {
  const std::string path = file->path();
  NPU_ASSIGN(const OnnxFile parsed, parse_onnx(std::move(file)));
  auto imported = OnnxImporter(parsed, options).run();
  if (!imported) return std::move(imported).error().in_file(path);
  for (Diag& w : imported->warnings) w.in_file(path);
  return imported;
}

Result<ImportedModel> import_onnx(const std::string& path, const ImportOptions& options) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  return import_onnx(std::move(file), options);
}

}  // namespace npuport
