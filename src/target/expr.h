// The predicate language of target rules: comparisons, ranges, `in`, and/or/not, arithmetic, over shapes, attributes
// and dtypes of one node. No loops, no assignments, no calls but the few functions listed here.
//
//   kernel[0] * dilation[0] <= 64 and in0.dtype in ["f32", "f16"] and 1 <= min(in0.shape)
//
// Names: rank (largest rank among inputs and outputs) · inN / outN . shape | rank | dtype | constant | present | count
// · inN / outN . height | width | depth of a picture of rank 4, by the node's layout · inN.int8_sum: of a constant
// filter quantised symmetrically to int8, the largest sum of absolute values of one output channel · every attribute of
// the rule's operator. Functions of a list: min max len product product_but_two (without the two smallest); of a
// number: power_of_two. Lists are indexed from 0, negative from the end; an index outside makes the whole predicate
// fail with "index out of range" as its reason.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "ir/graph.h"

namespace npuport {

class Expr {
 public:
  // `syntax` with column on bad text; `unknown_key` when a name is neither generic nor an attribute of `op` (nullptr =
  // rule for every operator: generic names only).
  static Result<Expr> parse(std::string_view text, const OpDef* op);

  struct Outcome {
    bool holds = false;
    // "kernel = [7,7], in0.shape = [1,3,224,224]": the values of all names the predicate looked at.
    std::string actual;
  };
  Outcome test(const Graph& g, NodeId node) const;
  const std::string& text() const { return text_; }

  struct Ast;

 private:
  std::string text_;
  std::shared_ptr<const Ast> root_;
};

}  // namespace npuport
