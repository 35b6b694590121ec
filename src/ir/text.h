// IR text: printing and parsing give the same graph back; the same syntax serves dumps, golden files, bodies, patterns.
//
//   graph "edsr" {
//     input %x: f32[1,3,8,8]
//     const %w: f32[2] = [0.5, 1.0]              small constants inline (at most 16 elements)
//     const %big: f32[64,3,3,3] = #1f2e…         larger ones by hash; parse needs the same constants at hand
//     %y: f32[1,64,8,8] = conv2d(%x, %big, _) stride=[1,1] pad_begin=[1,1] @"scope" "model.py:12" "aten::conv2d"
//     output %y
//   }
//
// `_` is an absent optional input; attributes at their default are left out.
#pragma once

#include "ir/graph.h"

namespace npuport {

struct PrintOptions {
  bool origins = false;
  bool types = true;
};
std::string print(const Graph& g, const PrintOptions& options = {});

// Finds a constant by the hash printed for it; nullptr when unknown.
using ConstantSource = std::function<std::shared_ptr<const Tensor>(std::string_view hash)>;
// Parses print's output. Without a source a hashed constant becomes zeros (structure only).
Result<Graph> parse_graph(std::string_view text, const ConstantSource& source = {});

// A body or pattern: "%h = mul(%x, 0.5); %y = add(%h, relu(%x))". Operators nest; numbers are scalar constants of the
// dtype of the first tensor input; names that no statement defines are free (inputs). `attr=$name` takes the attribute
// `name` of the op whose body it is.
struct ExprNode {
  std::string op;    // empty: a reference or number
  std::string name;  // %name it defines or refers to (without %)
  std::optional<double> number;
  std::vector<ExprNode> args;
  std::vector<std::pair<std::string, std::string>> attrs;  // raw text values
};
struct Statement {
  std::vector<std::string> results;  // names without %
  ExprNode expr;
};
Result<std::vector<Statement>> parse_statements(std::string_view text);

// FNV-1a 64 over dtype, shape and bytes, as 16 hex digits: identity of a constant inside dumps (not cryptographic).
std::string content_hash(const Tensor& t);

}  // namespace npuport
