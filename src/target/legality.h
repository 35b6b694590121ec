// Connects the passes' question "is this node legal?" with the target's rules and the output format.
#pragma once

#include <set>

#include "passes/context.h"
#include "target/check.h"

namespace npuport {

// How a node looks in a .tflite file: the writer's own answer.
FormatView tflite_view(const Graph& g, NodeId node);
// The same for an .onnx file of `opset`.
FormatView onnx_view(const Graph& g, NodeId node, int opset);
// By the target's format; that of a target without one of its own is TFLite.
FormatMapper format_mapper(const Target& target);

// How `keep` names one place of an operator.
std::string kept_place(std::string_view op, const Origin& place);

class TargetLegality : public Legality {
 public:
  // Operators a person decided to `keep` (our names, or `kept_place`) are not reported.
  explicit TargetLegality(const Target& target, std::set<std::string> keep = {})
      : target_(target), format_(format_mapper(target)), keep_(std::move(keep)) {}
  std::vector<Diag> check(const Graph& g, NodeId node) const override;

 private:
  const Target& target_;
  FormatMapper format_;
  std::set<std::string> keep_;
};

}  // namespace npuport
