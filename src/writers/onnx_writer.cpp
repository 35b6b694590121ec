#include "writers/onnx_writer.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "ops/onnx.h"
#include "writers/constant_stream.h"
#include "writers/onnx_serialise.h"

namespace npuport {
namespace {

std::string place(const Node& n) {
  if (n.origins.empty()) return {};
  const Origin& o = n.origins.front();
  return o.scope.empty() ? o.source : o.scope;
}

// Nodes → operators; every refusal at once.
std::vector<Diag> emit_nodes(const Graph& g, OnnxEmit& emit) {
  std::vector<Diag> refusals;
  for (const NodeId id : g.topological()) {
    const auto reason = emit.emit(id);
    if (!reason) continue;
    const Node& n = g.node(id);
    Diag d(diag::not_representable, *reason);
    d.at_node(n.op->name).at_tensor(n.outputs.empty() ? "" : g.value(n.outputs[0]).name).at_source(place(n));
    refusals.push_back(std::move(d));
  }
  return refusals;
}

Diag joined(std::vector<Diag> refusals, int opset) {
  if (refusals.size() == 1) return std::move(refusals[0]);
  Diag all(diag::not_representable,
           fmt::format("{} operators cannot be written as ONNX opset {}", refusals.size(), opset),
           "the port's rewrites lower them; convert without a target keeps them");
  all.notes = std::move(refusals);
  return all;
}

// A name for the stored form of a constant whose own name the output takes.
std::string stored_name(const Graph& g, const std::string& name) {
  std::string stored = name + "/value";
  for (bool free = false; !free;) {
    free = true;
    for (uint32_t k = 0; k < g.value_slots() && free; ++k) free = g.value(ValueId{k}).name != stored;
    if (!free) stored += "_";
  }
  return stored;
}

// Outputs must be values of their own: one that is an input, a constant or another output is copied. The copy of a
// constant has its name: outputs are what callers know.
void add_outputs(const Graph& g, OnnxEmit& emit, OnnxModel& model, OnnxFrame& frame) {
  std::set<int32_t> taken(frame.inputs.begin(), frame.inputs.end());
  for (const ValueId v : g.outputs()) {
    int32_t tensor = emit.value(v);
    const std::string& name = g.value(v).name;
    const bool constant = g.is_constant(v);
    if (constant) model.tensors[static_cast<size_t>(tensor)].name = stored_name(g, name);
    if (constant || !taken.insert(tensor).second) {
      tensor = emit.copy(tensor, constant ? name : fmt::format("{}_{}", name, frame.outputs.size()));
      taken.insert(tensor);
    }
    frame.outputs.push_back(tensor);
  }
}

// The oldest IR version that knows the opset, so that old checkers accept the file.
int ir_version(int opset) { return opset >= 15 ? 8 : opset >= 12 ? 7 : 6; }

Status check_input(const Graph& g, ValueId v, OnnxEmit& emit) {
  if (const auto why = emit.take_refusal()) return Diag(diag::not_representable, *why).at_tensor(g.value(v).name);
  return {};
}

// The graph in one opset: a model and its frame, or all refusals.
struct Attempt {
  OnnxModel model;
  OnnxFrame frame;
  std::vector<Diag> refusals;
};

Result<Attempt> attempt(const Graph& g, int opset, bool half) {
  Attempt a;
  OnnxEmit emit(g, a.model, opset, half);
  a.frame.name = g.name.empty() ? "main" : g.name;
  a.frame.opset = opset;
  a.frame.ir_version = ir_version(opset);
  a.frame.producer_version = NPUPORT_VERSION;
  for (const ValueId v : g.inputs()) {
    a.frame.inputs.push_back(emit.value(v));
    NPU_TRY(check_input(g, v, emit));
  }
  a.refusals = emit_nodes(g, emit);
  if (!a.refusals.empty()) return a;
  add_outputs(g, emit, a.model, a.frame);
  if (const auto why = emit.take_refusal()) return Diag(diag::not_representable, *why);
  emit.finish();
  if (const auto it = g.metadata.find("npuport.io"); it != g.metadata.end()) {
    a.frame.metadata.emplace_back("npuport.io", it->second);
  }
  return a;
}

Status stream(AtomicFile& out, const OnnxTensor& t) {
  return stream_constant(out, *t.constant, t.perm, t.dtype, t.name);
}

Status write_external(const OnnxModel& m, const OnnxImage& image, const std::string& path, bool sync) {
  NPU_ASSIGN(AtomicFile out, AtomicFile::create(path));
  for (const auto& [tensor, offset] : image.external) {
    NPU_TRY(out.zeros(offset - out.position()));
    NPU_TRY(stream(out, m.tensors[static_cast<size_t>(tensor)]));
  }
  return out.commit(sync);
}

Status write_model(const OnnxModel& m, const OnnxImage& image, const std::string& path, bool sync) {
  NPU_ASSIGN(AtomicFile out, AtomicFile::create(path));
  for (const OnnxPiece& piece : image.pieces) {
    NPU_TRY(out.write(piece.text));
    if (piece.tensor >= 0) NPU_TRY(stream(out, m.tensors[static_cast<size_t>(piece.tensor)]));
  }
  return out.commit(sync);
}

}  // namespace

Result<OnnxWritten> write_onnx(const Graph& g, const std::string& path, const OnnxOptions& options) {
  if (options.opset > kOnnxNewestWritten || options.opset < kOnnxOldestWritten) {
    return Diag(diag::usage, fmt::format("opset {} is not written", options.opset),
                fmt::format("{} to {} are", kOnnxOldestWritten, kOnnxNewestWritten));
  }
  OnnxWritten written;
  std::optional<Attempt> made;
  std::vector<Diag> first;
  for (int opset = options.opset; opset >= std::min(options.lowest, options.opset) && !made; --opset) {
    NPU_ASSIGN(Attempt a, attempt(g, opset, options.float16));
    if (a.refusals.empty()) {
      written.opset = opset;
      made = std::move(a);
      break;
    }
    written.tries.push_back(fmt::format("opset {}: {} of the operators cannot be written ({}: {})", opset,
                                        a.refusals.size(), a.refusals[0].where.node, a.refusals[0].message));
    if (first.empty()) first = std::move(a.refusals);
  }
  if (!made) return joined(std::move(first), options.opset);
  uint64_t bulk = 0;
  for (const OnnxTensor& t : made->model.tensors) bulk += t.constant == nullptr ? 0 : stored_bytes(t) + 64;
  made->frame.external = bulk > options.inline_limit;
  made->frame.external_file = std::filesystem::path(path).filename().string() + ".data";
  const OnnxImage image = serialise(made->model, made->frame);
  written.operators = made->model.operators.size();
  for (const OnnxOperator& o : made->model.operators) ++written.counts[o.type];
  written.files.push_back(path);
  if (made->frame.external) {
    written.files.push_back(path + ".data");
    NPU_TRY(write_external(made->model, image, path + ".data", options.sync));
  }
  NPU_TRY(write_model(made->model, image, path, options.sync));
  return written;
}

}  // namespace npuport
