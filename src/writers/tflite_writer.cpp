#include "writers/tflite_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "frontends/tflite_file.h"
#include "writers/constant_stream.h"
#include "writers/tflite_fuse.h"
#include "writers/tflite_serialise.h"

namespace npuport {
namespace {

std::string places(const Node& n) {
  if (n.origins.empty()) return {};
  const Origin& o = n.origins.front();
  return o.scope.empty() ? o.source : o.scope;
}

// Nodes → operators; every refusal at once.
Status emit_nodes(const Graph& g, TfliteEmit& emit) {
  std::vector<Diag> refusals;
  for (const NodeId id : g.topological()) {
    const auto reason = emit.emit(id);
    if (!reason) continue;
    const Node& n = g.node(id);
    Diag d(diag::not_representable, *reason);
    d.at_node(n.op->name).at_tensor(n.outputs.empty() ? "" : g.value(n.outputs[0]).name).at_source(places(n));
    refusals.push_back(std::move(d));
  }
  if (refusals.empty()) return {};
  if (refusals.size() == 1) return std::move(refusals[0]);
  Diag all(diag::not_representable, fmt::format("{} operators cannot be written as TFLite", refusals.size()),
           "the port's rewrites lower them; convert without a target keeps them");
  all.notes = std::move(refusals);
  return all;
}

// Outputs must be tensors of their own: one that is an input, a constant or another output is copied.
void add_outputs(const Graph& g, TfliteEmit& emit, TfliteModel& m, TfliteFrame& frame) {
  std::set<int32_t> taken(frame.inputs.begin(), frame.inputs.end());
  for (const ValueId v : g.outputs()) {
    int32_t tensor = emit.value(v);
    std::string name = g.value(v).name;
    if (g.is_constant(v) || !taken.insert(tensor).second) {
      const TfliteTensor like = m.tensors[static_cast<size_t>(tensor)];
      const int32_t shape = emit.i32(like.shape);
      name += fmt::format("_{}", frame.outputs.size());
      m.tensors.push_back({name, like.dtype, like.shape, {}});
      const auto copy = static_cast<int32_t>(m.tensors.size() - 1);
      emit.op("RESHAPE", {tensor, shape}, {copy});
      tensor = copy;
      taken.insert(copy);
    }
    frame.outputs.push_back(tensor);
    frame.output_names.push_back(std::move(name));
  }
}

// The latest of the runtimes that the operators need, as 16 bytes.
std::string runtime_version(const TfliteModel& m) {
  std::array<int, 3> best{};
  std::string text = "1.14.0";
  for (const TfliteOperator& o : m.operators) {
    std::array<int, 3> v{};
    (void)std::sscanf(std::string(o.row->runtime).c_str(), "%d.%d.%d", &v[0], &v[1], &v[2]);
    if (v > best) {
      best = v;
      text = o.row->runtime;
    }
  }
  text.resize(16);
  return text;
}

std::span<const std::byte> as_bytes(const void* p, size_t n) { return {static_cast<const std::byte*>(p), n}; }

Status write_image(AtomicFile& out, const TfliteModel& m, const TfliteImage& image, bool inline_data) {
  NPU_TRY(out.write(image.head));
  for (const TflitePlacement& p : image.data) {
    const uint64_t front = inline_data ? 4 : 0;
    NPU_TRY(out.zeros(p.position - front - out.position()));
    const auto length = static_cast<uint32_t>(p.bytes);
    if (inline_data) NPU_TRY(out.write(as_bytes(&length, sizeof length)));
    const TfliteTensor& t = m.tensors[static_cast<size_t>(p.tensor)];
    NPU_TRY(stream_constant(out, *t.constant.source, t.constant.perm, t.dtype, t.name));
  }
  return {};
}

// The written file must parse and hold what was meant.
Status read_back(const std::string& path, const TfliteModel& m) {
  NPU_ASSIGN(const TfliteFile f, open_tflite(path));
  const TfliteFileGraph& g = f.graphs[0];
  if (g.tensors.size() == m.tensors.size() && g.operators.size() == m.operators.size()) return {};
  return Diag(diag::internal, "the written file does not hold the graph").in_file(path);
}

}  // namespace

Status write_tflite(const Graph& g, const std::string& path, const TfliteOptions& options) {
  TfliteModel m;
  TfliteEmit emit(g, m, options.float16);
  TfliteFrame frame;
  frame.name = g.name.empty() ? "main" : g.name;
  frame.description = options.description.empty() ? "npuport " NPUPORT_VERSION : options.description;
  for (const ValueId v : g.inputs()) {
    frame.inputs.push_back(emit.value(v));
    frame.input_names.push_back(g.value(v).name);
    if (const auto why = emit.take_refusal()) return Diag(diag::not_representable, *why).at_tensor(g.value(v).name);
  }
  NPU_TRY(emit_nodes(g, emit));
  add_outputs(g, emit, m, frame);
  if (const auto why = emit.take_refusal()) return Diag(diag::not_representable, *why);
  fuse_activations(m, frame.outputs);
  frame.metadata.emplace_back("min_runtime_version", runtime_version(m));
  if (const auto it = g.metadata.find("npuport.io"); it != g.metadata.end()) {
    frame.metadata.emplace_back("npuport.io", it->second);
  }
  uint64_t bulk = 0;
  for (const TfliteTensor& t : m.tensors) bulk += t.constant.source == nullptr ? 0 : stored_bytes(t) + 32;
  frame.inline_data = bulk <= options.inline_limit;
  const TfliteImage image = serialise(m, frame);
  NPU_ASSIGN(AtomicFile out, AtomicFile::create(path));
  NPU_TRY(write_image(out, m, image, frame.inline_data));
  NPU_TRY(out.commit(options.sync));
  Status good = read_back(path, m);
  if (!good) (void)std::remove(path.c_str());
  return good;
}

}  // namespace npuport
