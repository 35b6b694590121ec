#include "frontends/tflite_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/diag_codes.h"

namespace npuport {
namespace {

// Slots of the schema's tables.
namespace slot {
enum Model { version, operator_codes, subgraphs, description, buffers, metadata_buffer, metadata, signatures };
enum Graph { tensors, inputs, outputs, operators, graph_name };
enum Tensor { shape, type, buffer, tensor_name, quantization, is_variable, sparsity, shape_signature };
enum Operator { opcode, op_inputs, op_outputs, options_type, options, options2_type = 11, options2 = 12 };
enum Code { deprecated_code, custom_code, code_version, builtin_code };
enum Buffer { data, offset, size };
enum Quantization { scale = 2 };
enum Signature { sig_inputs, sig_outputs, sig_key, sig_subgraph = 4 };
}  // namespace slot

constexpr size_t kMaxRank = 64;

Diag corrupt(std::string what) { return Diag(diag::corrupt, std::move(what)); }

// Bytes of one buffer: stored inside the flatbuffer, or behind it (offset 0 and 1 mean "not there").
Result<std::span<const std::byte>> buffer_bytes(const FlatTable& t, std::span<const std::byte> file, size_t index) {
  const auto inside = t.bytes(slot::data);
  const auto offset = t.scalar<uint64_t>(slot::offset), size = t.scalar<uint64_t>(slot::size);
  if (!inside.empty() || offset <= 1) return inside;
  if (offset > file.size() || size > file.size() - offset) {
    return Diag(diag::truncated,
                fmt::format("buffer {} lies at {}+{}, but the file has {} bytes", index, offset, size, file.size()));
  }
  return file.subspan(offset, size);
}

Status check_indices(std::span<const int32_t> indices, size_t count, bool optional, std::string_view what) {
  for (const int32_t i : indices) {
    if (i == -1 && optional) continue;
    if (i < 0 || static_cast<size_t>(i) >= count) {
      return corrupt(fmt::format("{}: tensor index {} of {} tensors", what, i, count));
    }
  }
  return {};
}

Result<TfliteFileTensor> read_tensor(const FlatTable& t, size_t buffers) {
  TfliteFileTensor out;
  out.name = std::string(t.text(slot::tensor_name));
  out.type = t.scalar<int8_t>(slot::type);
  for (const int32_t d : t.scalars<int32_t>(slot::shape)) out.shape.push_back(d);
  for (const int32_t d : t.scalars<int32_t>(slot::shape_signature)) out.signature.push_back(d);
  out.buffer = t.scalar<uint32_t>(slot::buffer);
  out.quantised = !t.table(slot::quantization).scalars<float>(slot::scale).empty();
  out.sparse = t.table(slot::sparsity).present();
  out.variable = t.scalar<uint8_t>(slot::is_variable) != 0;
  if (out.buffer >= buffers && out.buffer != 0) {
    return corrupt(fmt::format("buffer index {} of {} buffers", out.buffer, buffers)).at_tensor(out.name);
  }
  if (out.shape.size() > kMaxRank) {
    return Diag(diag::too_large, fmt::format("rank {}", out.shape.size())).at_tensor(out.name);
  }
  if (!out.signature.empty() && out.signature.size() != out.shape.size()) {
    return corrupt("shape and shape_signature have different ranks").at_tensor(out.name);
  }
  for (size_t d = 0; d < out.shape.size(); ++d) {
    // Some writers put -1 into the shape itself.
    if (out.shape[d] == -1) {
      if (out.signature.empty()) out.signature = out.shape;
      out.signature[d] = -1;
      out.shape[d] = 1;
    }
  }
  if (const Status ok = check_shape(out.shape); !ok) return Diag(ok.error()).at_tensor(out.name);
  return out;
}

Result<TfliteFileGraph> read_graph(const FlatTable& t, size_t codes, size_t buffers) {
  TfliteFileGraph g;
  g.name = std::string(t.text(slot::graph_name));
  for (const FlatTable& tensor : t.tables(slot::tensors)) {
    NPU_ASSIGN(TfliteFileTensor read, read_tensor(tensor, buffers));
    g.tensors.push_back(std::move(read));
  }
  g.inputs = t.scalars<int32_t>(slot::inputs);
  g.outputs = t.scalars<int32_t>(slot::outputs);
  NPU_TRY(check_indices(g.inputs, g.tensors.size(), false, "model inputs"));
  NPU_TRY(check_indices(g.outputs, g.tensors.size(), false, "model outputs"));
  for (const FlatTable& op : t.tables(slot::operators)) {
    TfliteFileOperator o;
    o.code = op.scalar<uint32_t>(slot::opcode);
    o.in = op.scalars<int32_t>(slot::op_inputs);
    o.out = op.scalars<int32_t>(slot::op_outputs);
    if (op.scalar<uint8_t>(slot::options_type) != 0) o.options = op.table(slot::options);
    if (op.scalar<uint8_t>(slot::options2_type) != 0) o.options2 = op.table(slot::options2);
    const std::string what = fmt::format("operator {}", g.operators.size());
    if (o.code >= codes) return corrupt(fmt::format("{}: operator code {} of {}", what, o.code, codes));
    NPU_TRY(check_indices(o.in, g.tensors.size(), true, what));
    NPU_TRY(check_indices(o.out, g.tensors.size(), false, what));
    g.operators.push_back(std::move(o));
  }
  return g;
}

std::vector<std::pair<std::string, uint32_t>> read_names(const std::vector<FlatTable>& entries) {
  std::vector<std::pair<std::string, uint32_t>> out;
  for (const FlatTable& e : entries) out.emplace_back(std::string(e.text(0)), e.scalar<uint32_t>(1));
  return out;
}

Status read_model(const FlatTable& model, TfliteFile& f) {
  f.description = std::string(model.text(slot::description));
  for (const FlatTable& t : model.tables(slot::operator_codes)) {
    TfliteFileCode c;
    c.builtin = std::max<int>(t.scalar<int8_t>(slot::deprecated_code), t.scalar<int32_t>(slot::builtin_code));
    c.version = t.scalar<int32_t>(slot::code_version, 1);
    c.custom = std::string(t.text(slot::custom_code));
    f.codes.push_back(std::move(c));
  }
  for (const FlatTable& t : model.tables(slot::buffers)) {
    NPU_ASSIGN(const auto bytes, buffer_bytes(t, f.file->bytes(), f.buffers.size()));
    f.buffers.push_back(bytes);
  }
  for (const FlatTable& t : model.tables(slot::subgraphs)) {
    NPU_ASSIGN(TfliteFileGraph g, read_graph(t, f.codes.size(), f.buffers.size()));
    f.graphs.push_back(std::move(g));
  }
  for (const FlatTable& t : model.tables(slot::metadata)) {
    const auto buffer = t.scalar<uint32_t>(1);
    if (buffer >= f.buffers.size()) return corrupt(fmt::format("metadata: buffer {} of {}", buffer, f.buffers.size()));
    const auto bytes = f.buffers[buffer];
    f.metadata[std::string(t.text(0))] = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  for (const FlatTable& t : model.tables(slot::signatures)) {
    TfliteFileSignature s;
    s.key = std::string(t.text(slot::sig_key));
    s.subgraph = t.scalar<uint32_t>(slot::sig_subgraph);
    s.inputs = read_names(t.tables(slot::sig_inputs));
    s.outputs = read_names(t.tables(slot::sig_outputs));
    if (s.subgraph >= f.graphs.size()) return corrupt(fmt::format("signature {}: subgraph {}", s.key, s.subgraph));
    f.signatures.push_back(std::move(s));
  }
  return {};
}

}  // namespace

std::string TfliteFileCode::text() const { return builtin == 32 ? "CUSTOM:" + custom : tflite_builtin_name(builtin); }

Result<TfliteFile> parse_tflite(std::shared_ptr<const MappedFile> file) {
  TfliteFile f;
  f.file = std::move(file);
  const auto bytes = f.file->bytes();
  f.view = std::make_unique<FlatView>(bytes, uint64_t{4} * bytes.size() + 1024);
  if (f.view->identifier() != "TFL3")
    return Diag(diag::unknown_format, "no TFLite file: the identifier TFL3 is missing");
  const FlatTable model = f.view->root();
  const auto version = model.scalar<uint32_t>(slot::version);
  if (!f.view->failed() && version != 3) {
    return Diag(version > 3 ? diag::newer_version : diag::corrupt, fmt::format("schema version {}, not 3", version));
  }
  Status read = read_model(model, f);
  if (f.view->failed()) {
    Diag d = corrupt("an offset or a length points outside the file (or far too often inside)");
    d.hint = "the file is cut off or damaged: copy or write it again";
    return d;
  }
  if (!read) return std::move(read).error();
  if (f.graphs.empty()) return corrupt("the file holds no graph");
  return f;
}

Result<TfliteFile> open_tflite(const std::string& path) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  auto parsed = parse_tflite(std::move(file));
  if (!parsed) return std::move(parsed).error().in_file(path);
  return parsed;
}

}  // namespace npuport
