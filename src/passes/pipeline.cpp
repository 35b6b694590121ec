#include "passes/pipeline.h"

#include "passes/cache_borders.h"
#include "passes/cleanup.h"
#include "passes/domain.h"
#include "passes/dtypes.h"
#include "passes/fuse.h"
#include "passes/host.h"
#include "passes/layout.h"
#include "passes/user_rewrites.h"

namespace npuport {
namespace {

// Shapes and spelled-out operators first: what fuse finds must not be hidden by redundant nodes.
constexpr const PassDef* kCanonical[] = {&normalise_dtypes_pass, &fold_pass, &cleanup_pass, &fuse_pass,
                                         &user_rewrites_pass,    &fold_pass, &cleanup_pass};
constexpr const PassDef* kLayout[] = {&channels_last_pass, &cleanup_pass, &absorb_pass, &fold_pass, &cleanup_pass};
constexpr const PassDef* kSameLayout[] = {&absorb_pass, &fold_pass, &cleanup_pass};
constexpr const PassDef* kCaches[] = {&cache_borders_pass, &cleanup_pass};
constexpr const PassDef* kLegal[] = {&lower_pass, &fold_pass, &cleanup_pass, &refold_pass, &cleanup_pass};
constexpr const PassDef* kSplit[] = {&split_to_host_pass, &cleanup_pass};
constexpr const PassDef* kAll[] = {
    &normalise_dtypes_pass, &fold_pass,   &cleanup_pass,       &fuse_pass,  &user_rewrites_pass,
    &channels_last_pass,    &absorb_pass, &cache_borders_pass, &lower_pass, &split_to_host_pass};
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

// Cleaning joins what lowering left in pieces, and lowering may find new ways in what cleaning left.
Status make_legal(Graph& g, PassContext& c) {
  for (int round = 0; round < kLegalRounds; ++round) {
    const size_t before = c.ledger.size();
    NPU_TRY(run_passes(g, kLegal, c));
    if (c.ledger.size() == before) break;
  }
  return {};
}

}  // namespace

std::span<const PassDef* const> all_passes() { return kAll; }

Result<Prepared> prepare(Graph g, const PassOptions& options, const Legality& legality, Prover* prover, Ledger& ledger,
                         std::function<void(int level, const std::string& line)> log, const Legality* host,
                         bool channels_last) {
  Prepared p;
  NPU_ASSIGN(p.io, io_contract(g));
  p.graph = std::move(g);
  set_declared_ranges(p.graph, options.ranges);
  PassContext c{options, ledger, &p.io, &legality, prover, std::move(log), {}, host};
  NPU_TRY(run_passes(p.graph, kCanonical, c));
  NPU_TRY(channels_last ? run_passes(p.graph, kLayout, c) : run_passes(p.graph, kSameLayout, c));
  NPU_TRY(run_passes(p.graph, kCaches, c));
  NPU_TRY(make_legal(p.graph, c));
  if (options.split_host) NPU_TRY(split(p, c, ledger));
  p.left = illegal_nodes(p.graph, legality);
  set_declared_ranges(p.graph, {});
  set_io_contract(p.graph, p.io);
  NPU_TRY(verify(p.graph, Stage::canonical));
  return p;
}

Result<bool> lower_for_host(Graph& g, const PassContext& c) {
  if (!c.host_legality || illegal_nodes(g, *c.host_legality).empty()) return true;
  PassOptions options;
  options.allow_approximate = c.options.allow_approximate;
  NPU_ASSIGN(IoContract io, io_contract(g));
  PassContext host{options, c.ledger, &io, c.host_legality, nullptr, {}, {}, nullptr};
  NPU_TRY(make_legal(g, host));
  return illegal_nodes(g, *c.host_legality).empty();
}

}  // namespace npuport
