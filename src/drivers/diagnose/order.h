// A graph's nodes in one fixed order, pieces of it as sets of positions, and each piece as a model of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace npuport::diagnose {

// Positions in Order::nodes, ascending. The currency of diagnosis: a question to a compiler is a set.
using Set = std::vector<uint32_t>;

Set united(const Set& a, const Set& b);
Set without(const Set& a, const Set& b);
bool is_subset(const Set& inner, const Set& outer);

class Order {
 public:
  // Keeps a reference to `g`, which must not change meanwhile.
  explicit Order(const Graph& g);

  const Graph& graph() const { return g_; }
  size_t size() const { return nodes_.size(); }
  NodeId node(uint32_t position) const { return nodes_[position]; }
  const Node& at(uint32_t position) const { return g_.node(nodes_[position]); }
  Set all() const;
  // Name of the node's first output: how people and compilers call it.
  const std::string& name(uint32_t position) const;
  const std::vector<uint32_t>& users(uint32_t position) const { return users_[position]; }
  const std::vector<uint32_t>& producers(uint32_t position) const { return producers_[position]; }

  // The set with everything it is computed from.
  Set prefix_of(const Set& s) const;
  // Nodes of `within` at most `distance` edges away from `s`, `s` included.
  Set neighbourhood(const Set& s, const Set& within, int distance) const;

  // Where to cut `s` in two: the index in `s` at which the second half starts. Between 35 % and 65 % of the nodes,
  // where fewest values cross; ties: where the module scope changes at the highest level, then nearest to the middle.
  size_t split(const Set& s) const;
  // Contiguous pieces: about `wanted` of them, cut where fewest values cross and modules begin, and after each value
  // that `cuts` names. Chained they are the whole graph.
  std::vector<Set> partition(size_t wanted, const std::vector<std::string>& cuts) const;

  // The longest module scope all nodes of `s` share; "" when there is none.
  std::string scope_of(const Set& s) const;

 private:
  // Values that cross each cut of `s`: element i counts those made before index i and read from i on.
  std::vector<uint32_t> crossings(const Set& s) const;
  // How high the module changes between two neighbours in `s`: 0 = not at all, larger = nearer to the root.
  int scope_change(uint32_t before, uint32_t after) const;

  const Graph& g_;
  std::vector<NodeId> nodes_;
  std::vector<std::vector<uint32_t>> users_, producers_;
};

// The nodes as a model of their own: what they read from elsewhere becomes inputs, what others (or nobody) read of
// theirs becomes outputs; names, shapes, attributes and origins stay. The set of all nodes gives the graph's own
// interface.
Result<Graph> subgraph(const Order& order, const Set& s);

}  // namespace npuport::diagnose
