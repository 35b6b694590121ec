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
// illegal are no error: the caller reports them. `host`: what the files of host steps cannot hold; none: they hold
// everything.
Result<Prepared> prepare(Graph g, const PassOptions& options, const Legality& legality, Prover* prover, Ledger& ledger,
                         std::function<void(int level, const std::string& line)> log = {},
                         const Legality* host = nullptr, bool channels_last = true);

// Rewrites the graph of a host step, in place, until c.host_legality takes it: true when nothing is left that it
// refuses. The changes enter the ledger.
Result<bool> lower_for_host(Graph& g, const PassContext& c);

// Every pass, for documentation and tests.
std::span<const PassDef* const> all_passes();

}  // namespace npuport
