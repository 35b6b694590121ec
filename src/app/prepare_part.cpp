#include "app/prepare_part.h"

#include <algorithm>

#include "app/legality.h"
#include "app/prover.h"
#include "passes/pipeline.h"

namespace npuport::app {

Status prepare_graph(const App& app, Graph& g, IoContract& contract, Ledger& ledger, const PrepareRequest& request) {
  const TargetLegality legality(request.target, request.keep);
  NPU_ASSIGN(const Target host_format, load_target("generic-tflite"));
  const TargetLegality host_legality(host_format);
  RandomProver prover(request.options.ranges);
  const auto log = [&](int level, const std::string& line) { app.log(level + 1, line); };
  const bool channels_last = request.target.format != "onnx";  // its operators are NCHW
  NPU_ASSIGN(Prepared prepared, prepare(std::move(g), request.options, legality, request.measure ? &prover : nullptr,
                                        ledger, log, &host_legality, channels_last));
  g = std::move(prepared.graph);
  contract = std::move(prepared.io);
  return {};
}

Status prepare_part(PortContext& c, PartRun& p) {
  PrepareRequest request{c.run.target, {}, {}};
  request.options.io_layout = c.run.options.nhwc ? IoLayout::channels_last : IoLayout::keep;
  request.options.allow_approximate = c.run.options.allow_approximate;
  request.options.assume_int32 = c.run.options.assume_int32;
  request.options.ranges = p.spec->ranges;
  request.options.preferred = c.run.target.prefer;
  request.options.rewrites = c.run.options.rewrites;
  request.measure = true;
  const std::vector<std::string>& dtypes = c.run.target.dtypes;
  request.options.narrow_int64 =
      !dtypes.empty() && std::find(dtypes.begin(), dtypes.end(), name(DType::i64)) == dtypes.end();
  for (const auto& [key, decision] : c.decisions) {
    if (!key.starts_with(p.spec->name + "/")) continue;
    const std::string op = key.substr(p.spec->name.size() + 1);
    if (decision == "keep") request.keep.insert(op);
    for (const NodeId id : p.imported.graph.topological()) {
      const Node& n = p.imported.graph.node(id);
      if (n.op->name == op && !n.outputs.empty())
        request.options.decisions[p.imported.graph.value(n.outputs.front()).name] = decision;
    }
  }
  p.rewritten = p.imported.graph;
  p.ledger = Ledger();
  return prepare_graph(c.run.app, p.rewritten, p.contract, p.ledger, request);
}

Result<std::vector<Tensor>> run_part(PartRun& p, std::span<const Tensor> inputs) {
  const HostRunner host = host_runner([&](std::span<const Tensor> in) { return p.rewritten_executor->run(in); });
  return run_original_interface(p.contract, inputs, host);
}

}  // namespace npuport::app
