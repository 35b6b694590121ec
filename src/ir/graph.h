// The graph: values and nodes by id. A Graph is a value: copying it is a snapshot (constants are shared).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>

#include "ir/op_def.h"

namespace npuport {

template <class Tag>
struct Id {
  uint32_t v = UINT32_MAX;
  bool valid() const { return v != UINT32_MAX; }
  bool operator==(const Id&) const = default;
  auto operator<=>(const Id&) const = default;
};
using ValueId = Id<struct ValueTag>;  // an invalid ValueId as node input = optional input absent
using NodeId = Id<struct NodeTag>;

// Where a node came from in the user's model. Rewrites concatenate the origins of what they replace.
struct Origin {
  std::string scope;    // "encoder.blocks.0.attn"
  std::string source;   // "model.py:93"
  std::string foreign;  // "aten::linear", "CONV_2D"
  bool operator==(const Origin&) const = default;
};

struct Use {
  NodeId node;
  uint32_t slot;
  bool operator==(const Use&) const = default;
};

struct Value {
  std::string name;  // unique in the graph; set by add_* and rename
  TensorType type;
  NodeId producer;  // invalid for inputs and constants
  uint32_t slot = 0;
  std::shared_ptr<const Tensor> constant;  // set for constants only
  std::vector<Use> uses;                   // node inputs; graph outputs are not uses
  bool alive = true;
};

struct Node {
  const OpDef* op = nullptr;
  std::vector<ValueId> inputs;  // trailing absent optionals may be dropped
  std::vector<ValueId> outputs;
  std::vector<Attr> attrs;  // complete: defaults filled in, schema order
  std::vector<Origin> origins;
  bool alive = true;

  AttrView attr() const { return AttrView(attrs); }
};

class Graph {
 public:
  std::string name;
  // Free-form facts that travel with the graph (file metadata, host steps); keys sorted.
  std::map<std::string, std::string> metadata;

  ValueId add_input(std::string wanted, TensorType type);
  ValueId add_constant(std::string wanted, std::shared_ptr<const Tensor> t);
  ValueId add_constant(std::string wanted, Tensor t) {
    return add_constant(std::move(wanted), std::make_shared<const Tensor>(std::move(t)));
  }

  // Appends a node: checks ports and attributes against the row, fills defaults, infers output types. When an input's
  // type is unknown, or the op is `opaque`, outputs are unknown too (opaque: `opaque_outputs` of them).
  Result<NodeId> add(const OpDef& op, std::vector<ValueId> inputs, std::vector<Attr> attrs = {},
                     std::vector<Origin> origins = {}, size_t opaque_outputs = 1);
  // The same by operator name (`unsupported_op` when there is no row).
  Result<NodeId> add(std::string_view op, std::vector<ValueId> inputs, std::vector<Attr> attrs = {},
                     std::vector<Origin> origins = {}, size_t opaque_outputs = 1);

  void set_outputs(std::vector<ValueId> outputs) { outputs_ = std::move(outputs); }
  void set_inputs(std::vector<ValueId> inputs) { inputs_ = std::move(inputs); }  // reorder or drop unused inputs
  const std::vector<ValueId>& inputs() const { return inputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }

  Value& value(ValueId id) { return values_[id.v]; }
  const Value& value(ValueId id) const { return values_[id.v]; }
  Node& node(NodeId id) { return nodes_[id.v]; }
  const Node& node(NodeId id) const { return nodes_[id.v]; }
  const TensorType& type(ValueId id) const { return values_[id.v].type; }
  const Shape& shape(ValueId id) const { return values_[id.v].type.shape; }
  bool is_constant(ValueId id) const { return id.valid() && values_[id.v].constant != nullptr; }
  bool is_output(ValueId id) const;
  // The node that makes `id`, or nullptr for inputs and constants.
  const Node* producer(ValueId id) const;
  // Uses by nodes plus appearances among graph outputs.
  size_t use_count(ValueId id) const;

  // Redirects node inputs and graph outputs from `from` to `to`; types must be equal. When `from` was a graph output
  // and `to` has a generated name, `to` takes over the name.
  void replace_uses(ValueId from, ValueId to);
  void set_input(NodeId node, size_t slot, ValueId value);
  // Removes a node whose outputs are unused.
  void erase(NodeId id);
  // Erases every pure node (and constant) that no output needs; returns how many nodes went.
  size_t erase_dead();
  // Gives a value a new name, made unique by a suffix; returns the final name.
  std::string rename(ValueId id, std::string_view wanted);

  // Live nodes, producers before users; stable: ties keep insertion order.
  std::vector<NodeId> topological() const;
  size_t node_count() const;                             // live nodes
  size_t value_slots() const { return values_.size(); }  // ids are 0 … value_slots()-1, some dead
  size_t node_slots() const { return nodes_.size(); }

  // Dense ids, dead entries dropped, nodes in topological order. Ids change: for writers and printing only.
  Graph compacted() const;

 private:
  ValueId new_value(std::string wanted, TensorType type);
  std::string unique_name(std::string_view wanted);

  std::deque<Value> values_;
  std::deque<Node> nodes_;
  std::vector<ValueId> inputs_, outputs_;
  std::map<std::string, uint32_t, std::less<>> names_;  // name → value id, live and dead
  uint32_t next_name_ = 0;
};

// Infers a node's outputs again after its inputs or attributes changed; `shape_mismatch` etc. when they no longer fit.
Status reinfer(Graph& g, NodeId id);

enum class Stage { imported, canonical, legal, quantised };
// Checks every invariant of `stage`: ids, uses, acyclicity, types = inference, outputs alive; from `canonical` on no
// opaque operators and no unknown types. `verify_graph` (a bug) on failure.
Status verify(const Graph& g, Stage stage);

}  // namespace npuport
