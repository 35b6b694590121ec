#include "passes/pipeline.h"

#include "passes/cleanup.h"
#include "passes/domain.h"
#include "passes/dtypes.h"
#include "passes/fuse.h"
#include "passes/host.h"
#include "passes/layout.h"

namespace npuport {
namespace {

// Shapes and spelled-out operators first: what fuse finds must not be hidden by redundant nodes.
constexpr const PassDef* kCanonical[] = {&normalise_dtypes_pass, &fold_pass, &cleanup_pass, &fuse_pass, &fold_pass,
                                         &cleanup_pass};
constexpr const PassDef* kLayout[] = {&channels_last_pass, &cleanup_pass, &absorb_pass, &fold_pass, &cleanup_pass};
constexpr const PassDef* kSameLayout[] = {&absorb_pass, &fold_pass, &cleanup_pass};
constexpr const PassDef* kLegal[] = {&lower_pass, &fold_pass, &cleanup_pass, &refold_pass, &cleanup_pass};
constexpr const PassDef* kSplit[] = {&split_to_host_pass, &cleanup_pass};
constexpr const PassDef* kAll[] = {&normalise_dtypes_pass, &fold_pass,   &cleanup_pass, &fuse_pass,
                                   &channels_last_pass,    &absorb_pass, &lower_pass,   &split_to_host_pass};
constexpr int kLegalRounds = 4;

// Moves to the host what the target refuses, unless nothing would be left for the target: then the model is infeasible,
// and the report must say so instead of an empty file.
Status split(Prepared& p, PassContext& c, Ledger& ledger) {
  const Graph graph = p.graph;
  const IoContract io = p.io;
  const size_t entries = ledger.size();
  NPU_TRY(run_passes(p.graph, kSplit, c));
  if (p.graph.node_count() > 0 || graph.node_count() == 0) return {};
  p.graph = graph;
  p.io = io;
  ledger.truncate(entries);
  return {};
}

}  // namespace

std::span<const PassDef* const> all_passes() { return kAll; }

Result<Prepared> prepare(Graph g, const PassOptions& options, const Legality& legality, Prover* prover, Ledger& ledger,
                         std::function<void(int level, const std::string& line)> log, bool channels_last) {
  Prepared p;
  NPU_ASSIGN(p.io, io_contract(g));
  p.graph = std::move(g);
  set_declared_ranges(p.graph, options.ranges);
  PassContext c{options, ledger, &p.io, &legality, prover, std::move(log), {}};
  NPU_TRY(run_passes(p.graph, kCanonical, c));
  NPU_TRY(channels_last ? run_passes(p.graph, kLayout, c) : run_passes(p.graph, kSameLayout, c));
  // Cleaning joins what lowering left in pieces, and lowering may find new ways in what cleaning left.
  for (int round = 0; round < kLegalRounds; ++round) {
    const size_t before = ledger.size();
    NPU_TRY(run_passes(p.graph, kLegal, c));
    if (ledger.size() == before) break;
  }
  if (options.split_host) NPU_TRY(split(p, c, ledger));
  p.left = illegal_nodes(p.graph, legality);
  set_declared_ranges(p.graph, {});
  set_io_contract(p.graph, p.io);
  NPU_TRY(verify(p.graph, Stage::canonical));
  return p;
}

}  // namespace npuport
