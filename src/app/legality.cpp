#include "app/legality.h"

#include "ops/tflite.h"

namespace npuport::app {

FormatView tflite_view(const Graph& g, NodeId node) {
  TfliteModel model;
  TfliteEmit emit(g, model, /*half=*/false);
  if (std::optional<std::string> why = emit.emit(node)) return {{}, *why};
  FormatView view;
  for (const TfliteOperator& o : model.operators) view.operators.emplace_back(o.row->name);
  return view;
}

FormatMapper format_mapper(const Target&) { return tflite_view; }

std::vector<Diag> TargetLegality::check(const Graph& g, NodeId node) const {
  if (keep_.contains(std::string(g.node(node).op->name))) return {};
  std::vector<Diag> out;
  for (const Finding& f : check_node(g, node, target_, format_)) out.push_back(f.to_diag(g));
  return out;
}

}  // namespace npuport::app
