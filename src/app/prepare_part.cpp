#include "app/prepare_part.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/prover.h"
#include "base/diag_codes.h"
#include "passes/pipeline.h"
#include "target/legality.h"
#include "writers/onnx_writer.h"

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

Target at_opset(const Target& target, int opset) {
  Target t = target;
  if (opset != 0) t.opset = opset;
  return t;
}

Status choose_opset(Target& target, int opset) {
  if (opset == 0) return {};
  if (target.format != "onnx" || opset < kOnnxOldestWritten || opset > kOnnxNewestWritten)
    return Diag(diag::usage, fmt::format("--opset takes {} to {}, for .onnx", kOnnxOldestWritten, kOnnxNewestWritten));
  target.opset = opset;
  return {};
}

namespace {

// Every node refused now would be taken at `opset` as it is.
bool culprits_pass(const Graph& g, const Target& target, int opset, const std::vector<Finding>& left) {
  const Target lower = at_opset(target, opset);
  const FormatMapper format = format_mapper(lower);
  return std::all_of(left.begin(), left.end(),
                     [&](const Finding& f) { return check_node(g, f.node, lower, format).empty(); });
}

std::string refusals(const Graph& g, int opset, const std::vector<Finding>& left) {
  const Finding& f = left.front();
  std::string out = fmt::format("ONNX opset {}: {} ({})", opset, f.why, g.node(f.node).op->name);
  if (left.size() > 1) out += fmt::format(" and {} more", left.size() - 1);
  return out;
}

}  // namespace

Result<Fit> fit_graph(const App& app, Graph& g, IoContract& contract, Ledger& ledger, const PrepareRequest& request) {
  const bool onnx = request.target.format == "onnx";
  const Graph imported = onnx && !request.import_again ? g : Graph();
  Fit fit;
  NPU_TRY(prepare_graph(app, g, contract, ledger, request));
  fit.left = check(g, request.target, format_mapper(request.target));
  fit.opset = onnx ? request.target.opset : 0;
  if (!onnx || fit.left.empty()) return fit;
  std::vector<std::string> tries{refusals(g, fit.opset, fit.left)};
  for (int opset = request.target.opset - 1; opset >= kOnnxLowestTried; --opset) {
    if (!culprits_pass(g, request.target, opset, fit.left)) {
      tries.push_back(fmt::format("ONNX opset {}: the same", opset));
      continue;
    }
    const Target lower = at_opset(request.target, opset);
    Graph other = imported;
    if (request.import_again) {
      NPU_ASSIGN(other, request.import_again());
    }
    IoContract other_contract;
    Ledger other_ledger;
    NPU_TRY(prepare_graph(app, other, other_contract, other_ledger,
                          {lower, request.options, request.keep, request.measure}));
    const std::vector<Finding> left = check(other, lower, format_mapper(lower));
    if (!left.empty()) {
      tries.push_back(refusals(other, opset, left));
      continue;
    }
    g = std::move(other);
    contract = std::move(other_contract);
    ledger = std::move(other_ledger);
    fit = {opset, {}, std::move(tries)};
    for (const std::string& t : fit.tries) app.log(0, t);
    app.log(0, fmt::format("ONNX opset {} is written", opset));
    return fit;
  }
  return fit;
}

namespace {

// The decisions made by hand, node by node; what names no node of the model is said.
void apply_decisions(PortContext& c, const PartRun& p, PrepareRequest& request) {
  const Graph& g = p.imported.graph;
  std::set<std::string> used;
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    const Origin* place = n.origins.empty() ? nullptr : &n.origins.front();
    const auto* d = find_decision(c.decisions, p.spec->name, n.op->name, place);
    if (!d) continue;
    used.insert(d->first);
    const auto& [key, decision] = *d;
    if (!n.outputs.empty()) request.options.decisions[g.value(n.outputs.front()).name] = decision;
    if (decision != "keep") continue;
    request.keep.insert(key.find('@') == std::string::npos ? std::string(n.op->name)
                                                           : kept_place(n.op->name, n.origins.front()));
  }
  for (const auto& [key, decision] : c.decisions) {
    if (!key.starts_with(p.spec->name + "/") || used.contains(key)) continue;
    Diag d(diag::bad_input_data, fmt::format("the decision '{}' for {} meets no operator of the model", decision, key),
           "the model has changed, or the place is written differently in its row");
    d.severity = Severity::warning;
    c.run.app.warn(d.in_file("operator_analysis.md"));
  }
}

}  // namespace

Result<std::vector<Finding>> prepare_part(PortContext& c, PartRun& p) {
  const Target target = at_opset(c.run.target, p.opset_limit);
  PrepareRequest request{target, {}, {}};
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
  apply_decisions(c, p, request);
  p.rewritten = p.imported.graph;
  p.ledger = Ledger();
  NPU_ASSIGN(Fit fit, fit_graph(c.run.app, p.rewritten, p.contract, p.ledger, request));
  p.opset = fit.opset;
  p.opset_tries = p.refused_opsets;
  p.opset_tries.insert(p.opset_tries.end(), fit.tries.begin(), fit.tries.end());
  return std::move(fit.left);
}

Result<std::vector<Tensor>> run_part(const PartRun& p, std::span<const Tensor> inputs) {
  const HostRunner host = host_runner([&](std::span<const Tensor> in) { return p.rewritten_executor->run(in); });
  return run_original_interface(p.contract, inputs, host);
}

Result<std::vector<Tensor>> run_sample(const PartRun& p, BoundSample& sample) {
  const HostRunner host = host_runner([&](std::span<const Tensor> in) { return run_rewritten(p, sample, in); });
  return run_original_interface(p.contract, sample.inputs, host);
}

Result<std::vector<Tensor>> run_rewritten(const PartRun& p, BoundSample& sample, std::span<const Tensor> file_inputs) {
  constexpr int64_t kept_bytes = int64_t{128} << 20;
  if (!sample.rewritten.empty()) return sample.rewritten;
  NPU_ASSIGN(std::vector<Tensor> outputs, p.rewritten_executor->run(file_inputs));
  int64_t bytes = 0;
  for (const Tensor& t : outputs) bytes += t.bytes();
  if (bytes <= kept_bytes) sample.rewritten = outputs;
  return outputs;
}

}  // namespace npuport::app
