// What a compiler was seen to take and to refuse: operators with element type, rank and attributes, counted, kept per
// target and tool version in a file, merged across runs.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/json.h"
#include "ir/graph.h"

namespace npuport::diagnose {

// The format operators a node is written as.
using Kinds = std::function<std::vector<std::string>(const Graph&, NodeId)>;

// Text of a node's operator, attributes, operand types and which operands are constants: what a verdict on one node can
// carry over to.
std::string node_signature(const Graph& g, NodeId id);

class Whitelist {
 public:
  std::string target, tool;  // "mt8371", "ncc-tflite 8.0.9": an entry says nothing about another pair

  // All nodes of a model the compiler took. Equal entries count up.
  void add(const Graph& g, const Kinds& kinds);
  void merge(const Whitelist& other);
  // Seen in any form.
  bool has(std::string_view kind) const;
  // Every kind of the node was seen with its element type and rank.
  bool covers(const Graph& g, NodeId id, const Kinds& kinds) const;
  std::set<std::string> kinds() const;
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }

  Json to_json() const;
  // corrupt, newer_version
  static Result<Whitelist> from_json(const Json& j, const std::string& file);

 private:
  using Key = std::tuple<std::string, std::string, int, std::string>;  // kind, element type, rank, attributes
  static Key key(const Graph& g, NodeId id, std::string kind);
  std::map<Key, int64_t> entries_;
};

// What was refused.
struct Refusals {
  std::set<std::string> kinds;       // format operators no passing model has
  std::set<std::string> signatures;  // nodes whose operators pass elsewhere in another form
  std::set<std::string> names;       // particular nodes: the same form passes elsewhere

  bool refuses(const Graph& g, NodeId id, const Kinds& kinds_of) const;
};

}  // namespace npuport::diagnose
