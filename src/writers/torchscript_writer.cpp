#include "writers/torchscript_writer.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/zip.h"
#include "frontends/torch/archive.h"
#include "ops/torch.h"
#include "passes/layout.h"
#include "writers/torch_pickle.h"

namespace npuport {
namespace {

constexpr const char* kModule = "__torch__.npuport";
constexpr const char* kFile = "code/__torch__/npuport.py";

std::string quoted_list(const std::vector<std::string>& names) {
  std::string out = "[";
  for (const std::string& n : names) out += TorchEmit::quoted(n) + ", ";
  return out + "]";
}

// The code of the archive. Attributes are declared in the order of the pickled state.
std::string script_source(const TorchProgram& p, const std::string& class_name) {
  std::vector<std::string> parameters, buffers;
  for (const TorchConstant& c : p.constants) (is_float(c.tensor->dtype) ? parameters : buffers).push_back(c.attribute);
  std::string out = fmt::format("class {}(Module):\n  __parameters__ = {}\n  __buffers__ = {}\n  training : bool\n",
                                class_name, quoted_list(parameters), quoted_list(buffers));
  for (const TorchConstant& c : p.constants) out += fmt::format("  {} : Tensor\n", c.attribute);
  out += fmt::format("  def forward(self: {}.{}", kModule, class_name);
  for (const std::string& in : p.inputs) out += fmt::format(",\n    {}: Tensor", in);
  const bool one = p.outputs.size() == 1;
  std::string type, result;
  for (const std::string& o : p.outputs) {
    type += type.empty() ? "Tensor" : ", Tensor";
    result += (result.empty() ? "" : ", ") + o;
  }
  out += one ? fmt::format(") -> {}:\n", type) : fmt::format(") -> Tuple[{}]:\n", type);
  for (const TorchLine& l : p.lines) out += "    " + l.text + "\n";
  out += one ? fmt::format("    return {}\n", result)
             : fmt::format("    return ({}{})\n", result, p.outputs.size() == 1 ? "," : "");
  return out;
}

// Storages of the constants: tensors over the same bytes share one.
struct Storages {
  std::vector<std::shared_ptr<const Tensor>> content;
  std::map<std::pair<const std::byte*, int64_t>, size_t> known;

  size_t of(const std::shared_ptr<const Tensor>& t) {
    const auto key = std::make_pair(t->data, t->bytes() * 256 + static_cast<int64_t>(t->dtype));
    const auto [it, fresh] = known.emplace(key, content.size());
    if (fresh) content.push_back(t);
    return it->second;
  }
};

std::string data_pickle(const TorchProgram& p, const std::string& class_name, Storages& storages) {
  PickleWriter w;
  w.global(kModule, class_name).empty_tuple().new_object().empty_dict().mark();
  w.text("training").boolean(false);
  for (const TorchConstant& c : p.constants) {
    const size_t key = storages.of(c.tensor);
    w.text(c.attribute).tensor(c.tensor->dtype, c.tensor->shape, std::to_string(key), c.tensor->count());
  }
  return w.set_items().build().finish();
}

// What a trace stores as example inputs: here only types and shapes matter, so all elements are the same zero.
std::string example_pickle(const Graph& g, std::vector<int64_t>& storage_bytes) {
  PickleWriter w;
  w.empty_dict().mark().text("forward").empty_list();
  for (const ValueId v : g.inputs()) {
    const TensorType& t = g.type(v);
    const int64_t elements = element_count(t.shape) == 0 ? 0 : 1;
    w.tensor(t.dtype, t.shape, std::to_string(storage_bytes.size()), elements, Shape(t.shape.size(), 0)).append();
    storage_bytes.push_back(byte_size(t.dtype, elements));
  }
  return w.set_items().finish();
}

std::span<const std::byte> as_bytes(std::string_view s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}

class ArchiveWriter {
 public:
  ArchiveWriter(AtomicFile& out, std::string root)
      : zip_([&out](std::span<const std::byte> b) { return out.write(b); }), root_(std::move(root)) {}

  Status add(const std::string& name, std::span<const std::byte> contents) {
    return zip_.add(root_ + "/" + name, contents, {.align = 64, .deflate = false});
  }
  Status add(const std::string& name, std::string_view contents) { return add(name, as_bytes(contents)); }
  Status finish() { return zip_.finish(); }

 private:
  ZipWriter zip_;
  std::string root_;
};

Status write_archive(const Graph& g, const TorchProgram& p, const std::string& class_name, AtomicFile& out) {
  ArchiveWriter zip(out, class_name);
  Storages storages;
  std::vector<int64_t> examples;
  NPU_TRY(zip.add("data.pkl", data_pickle(p, class_name, storages)));
  for (size_t k = 0; k < storages.content.size(); ++k) {
    const Tensor& t = *storages.content[k];
    NPU_TRY(zip.add(fmt::format("data/{}", k), {t.data, static_cast<size_t>(t.bytes())}));
  }
  NPU_TRY(zip.add(kFile, script_source(p, class_name)));
  NPU_TRY(zip.add("traced_inputs.pkl", example_pickle(g, examples)));
  for (size_t k = 0; k < examples.size(); ++k) {
    NPU_TRY(zip.add(fmt::format("traced_inputs/{}", k), std::string(static_cast<size_t>(examples[k]), '\0')));
  }
  if (const auto it = g.metadata.find("npuport.io"); it != g.metadata.end()) {
    NPU_TRY(zip.add("extra/npuport.io", it->second));
  }
  NPU_TRY(zip.add("constants.pkl", PickleWriter().empty_tuple().finish()));
  NPU_TRY(zip.add("version", fmt::format("{}\n", p.archive_version)));
  return zip.finish();
}

}  // namespace

std::string torch_class_name(const std::string& name) {
  std::string out;
  bool upper = true;
  for (const char c : torch_identifier(name)) {
    if (c == '_') {
      upper = true;
      continue;
    }
    out += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = false;
  }
  return torch_identifier(out);
}

Status write_torchscript(const Graph& g, const std::string& path, const TorchScriptOptions& options) {
  NPU_ASSIGN(const Graph images, channels_first(g));
  NPU_ASSIGN(const TorchProgram p, torch_program(images, TorchDialect::script));
  if (p.outputs.empty()) return Diag(diag::not_representable, "a module without results").in_file(path);
  NPU_ASSIGN(AtomicFile out, AtomicFile::create(path));
  NPU_TRY(write_archive(g, p, torch_class_name(g.name.empty() ? "model" : g.name), out));
  return out.commit(options.sync);
}

}  // namespace npuport
