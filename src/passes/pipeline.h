// From an imported graph to one a target takes, in one call.
#pragma once

#include "passes/context.h"
#include "passes/lower.h"

namespace npuport {

struct Prepared {
  Graph graph;                    // contract stored in its metadata (kIoContractKey)
  IoContract io;                  // host steps hold their tables and graphs in memory
  std::vector<IllegalNode> left;  // what is still illegal; empty = every node is legal
};

// normalise_dtypes → fold → cleanup → fuse → channels_last (off for formats that are NCHW) → absorb → lower_illegal →
// split_to_host → cleanup. `g` is of stage imported, without opaque operators. `prover` may be null. Nodes that stay
// illegal are no error: the caller reports them.
Result<Prepared> prepare(Graph g, const PassOptions& options, const Legality& legality, Prover* prover, Ledger& ledger,
                         std::function<void(int level, const std::string& line)> log = {}, bool channels_last = true);

// Every pass, for documentation and tests.
std::span<const PassDef* const> all_passes();

}  // namespace npuport
