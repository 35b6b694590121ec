// Fast kernels beside the rows' reference kernels: a table of overrides, and what the plan and a kernel tell each
// other. An override never changes what an operator means; tests hold each to its row.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exec/layout.h"

namespace npuport {

struct RunCall {
  std::span<const View> in;      // in the layouts the kernel asked for; absent optional inputs are not present()
  std::span<const MutView> out;  // in the layouts the kernel announced
  std::byte* scratch = nullptr;  // scratch_bytes of it, 64-byte aligned, contents undefined
  int threads = 1;
};

// A node (or a group of nodes run as one) made ready: packed weights, chosen implementation, layouts.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual Status run(const RunCall& call) = 0;

  std::string name;                    // for the profile
  std::vector<LayoutPtr> in_layouts;   // wanted; missing entries = plain
  std::vector<LayoutPtr> out_layouts;  // given; missing entries = plain
  std::vector<bool> in_unused;         // inputs it does not read at run time (packed constants)
  int64_t scratch_bytes = 0;
  int share_input = -1;      // output 0 may use this input's buffer (same bytes, elementwise access)
  bool accumulates = false;  // output 0 must start as a copy of input `share_input`
};

struct PrepareCall {
  const Graph& graph;
  std::span<const NodeId> nodes;       // the head, then the followers it absorbed, in order
  std::span<const ValueId> inputs;     // the head's inputs, then each follower's other operands
  std::span<const LayoutPtr> layouts;  // of `inputs`, as they are produced
  std::span<const std::byte* const>
      data;                          // first element of constants and views of constants (in `layouts`), else null
  std::span<const ValueId> outputs;  // of the last node
  int threads = 1;

  const Node& head() const { return graph.node(nodes[0]); }
  const TensorType& type(size_t input) const { return graph.type(inputs[input]); }
  bool has(size_t input) const { return input < inputs.size() && inputs[input].valid(); }
  bool constant(size_t input) const { return has(input) && data[input] != nullptr; }
};

struct Override {
  std::string_view op;
  std::string_view name;
  // Cheap test on types, attributes and constants.
  bool (*accepts)(const Graph& g, NodeId node);
  // Whether `next`, the only user of the group's single output, can run inside the group. nullptr: none.
  bool (*absorbs)(const Graph& g, std::span<const NodeId> group, NodeId next);
  // nullptr when this machine's library cannot do it after all: the plan tries the next row, then the reference.
  std::unique_ptr<Kernel> (*prepare)(const PrepareCall& call);
};

// All rows; for one operator the first that accepts and prepares wins.
std::span<const Override> overrides();

// Converts between layouts of one value (nullptr = plain). Both known to the library that made them.
std::unique_ptr<Kernel> prepare_reorder(const TensorType& type, const LayoutPtr& from, const LayoutPtr& to);

// Copies elements of `type` between two sets of strides (every destination written once).
std::unique_ptr<Kernel> prepare_copy(const TensorType& type, const std::vector<int64_t>& from,
                                     const std::vector<int64_t>& to);

}  // namespace npuport
