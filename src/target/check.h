// Checking a graph against a target: every violation, not only the first.
#pragma once

#include "target/target.h"

namespace npuport {

struct Finding {
  NodeId node;
  std::string format_operator;  // "GATHER"; empty when the format has no such operator
  std::string rule;             // rule id, "operator-refused", "operator-unlisted", "not-representable", "dtype"
  std::string why;              // the rule's sentence
  std::string actual;           // the values that broke it
  Citation evidence;

  Diag to_diag(const Graph& g) const;
};

// How one node looks in the target's file format.
struct FormatView {
  std::vector<std::string> operators;  // format operators the node is written as
  std::string refusal;                 // not empty: why the format cannot express it
};
using FormatMapper = std::function<FormatView(const Graph&, NodeId)>;

std::vector<Finding> check_node(const Graph& g, NodeId node, const Target& target, const FormatMapper& format);
std::vector<Finding> check(const Graph& g, const Target& target, const FormatMapper& format);

}  // namespace npuport
