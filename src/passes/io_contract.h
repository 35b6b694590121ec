// The contract (base/io_contract.h) of a graph: where it is stored, and how its host graphs run.
#pragma once

#include <functional>
#include <string>

#include "base/io_contract.h"
#include "ir/graph.h"

namespace npuport {

// The contract of a graph: parsed from its metadata, or the identity when it has none. `corrupt` when the metadata do
// not fit the graph, `newer_version` for a later format.
Result<IoContract> io_contract(const Graph& g);
// Stores the contract in the metadata (removes it when it is the identity).
void set_io_contract(Graph& g, const IoContract& c);

// A runner whose "graph" steps are executed here: those in memory as they are, files after `load_graph`.
HostRunner host_runner(std::function<Result<std::vector<Tensor>>(std::span<const Tensor>)> run, std::string folder = {},
                       std::function<Result<Graph>(const std::string& path)> load_graph = {});

}  // namespace npuport
