#include "target/legality.h"

#include <algorithm>

#include "ops/onnx.h"
#include "ops/tflite.h"

namespace npuport {

FormatView tflite_view(const Graph& g, NodeId node) {
  TfliteModel model;
  TfliteEmit emit(g, model, /*half=*/false);
  if (std::optional<std::string> why = emit.emit(node)) return {{}, *why};
  FormatView view;
  for (const TfliteOperator& o : model.operators) view.operators.emplace_back(o.row->name);
  return view;
}

FormatView onnx_view(const Graph& g, NodeId node, int opset) {
  OnnxModel model;
  OnnxEmit emit(g, model, opset);
  if (std::optional<std::string> why = emit.emit(node)) return {{}, *why};
  FormatView view;
  for (const OnnxOperator& o : model.operators) view.operators.push_back(o.type);
  return view;
}

FormatMapper format_mapper(const Target& target) {
  if (target.format != "onnx") return tflite_view;
  return [opset = target.opset](const Graph& g, NodeId node) { return onnx_view(g, node, opset); };
}

std::string kept_place(std::string_view op, const Origin& place) {
  return std::string(op) + "\n" + place.scope + "\n" + place.source + "\n" + place.foreign;
}

std::vector<Diag> TargetLegality::check(const Graph& g, NodeId node) const {
  const Node& n = g.node(node);
  if (keep_.contains(std::string(n.op->name))) return {};
  if (!keep_.empty() && std::any_of(n.origins.begin(), n.origins.end(),
                                    [&](const Origin& o) { return keep_.contains(kept_place(n.op->name, o)); }))
    return {};
  std::vector<Diag> out;
  for (const Finding& f : check_node(g, node, target_, format_)) out.push_back(f.to_diag(g));
  return out;
}

}  // namespace npuport
