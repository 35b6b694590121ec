// Making a graph legal for a target or a file format.
#pragma once

#include "passes/rewrite.h"

namespace npuport {

// For every node with findings: tries the lowering rows for its operator, then the row's `body`, each on a snapshot,
// lowering what they produce in turn; keeps the candidate with the fewest findings left (ties: exactness, number of
// nodes, the target's preference, row order); a candidate that leaves as many findings as there were is dropped.
// The Prover, where there is one, is asked about each kept change, and a change it refuses is rolled back. Nodes that
// stay illegal are left for split_to_host or the report.
extern const PassDef lower_pass;

// All lowering rows, family by family.
std::span<const Rewrite> lower_rewrites();

// The node with its findings; nodes of `g` in topological order, legal ones left out.
struct IllegalNode {
  NodeId node;
  std::vector<Diag> findings;
};
std::vector<IllegalNode> illegal_nodes(const Graph& g, const Legality& legality);

// Families, in the order they are tried (passes/lower/<family>.cpp).
std::span<const Rewrite> lower_norm_rows();
std::span<const Rewrite> lower_activation_rows();
std::span<const Rewrite> lower_approximate_rows();
std::span<const Rewrite> lower_mask_rows();
std::span<const Rewrite> lower_index_rows();
std::span<const Rewrite> lower_rank_rows();
std::span<const Rewrite> lower_product_rows();
std::span<const Rewrite> lower_conv_rows();
std::span<const Rewrite> lower_window_rows();
std::span<const Rewrite> lower_movement_rows();
std::span<const Rewrite> lower_sequence_rows();
std::span<const Rewrite> lower_logic_rows();
std::span<const Rewrite> lower_element_rows();
std::span<const Rewrite> lower_sampling_rows();

}  // namespace npuport
