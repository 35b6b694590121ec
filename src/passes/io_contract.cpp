#include "passes/io_contract.h"

#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "exec/executor.h"

namespace npuport {

void set_io_contract(Graph& g, const IoContract& c) {
  if (c.identity()) {
    g.metadata.erase(kIoContractKey);
  } else {
    g.metadata[kIoContractKey] = dump_json(to_json(c), -1);
  }
}

Result<IoContract> io_contract(const Graph& g) {
  const auto it = g.metadata.find(kIoContractKey);
  if (it == g.metadata.end()) {
    IoContract c;
    for (const ValueId v : g.inputs()) {
      c.inputs.push_back({g.value(v).name, g.type(v)});
      c.file_inputs.push_back({g.value(v).name, {}});
    }
    for (const ValueId v : g.outputs()) {
      c.outputs.push_back({g.value(v).name, g.type(v)});
      c.file_outputs.push_back({g.value(v).name, {}});
    }
    return c;
  }
  NPU_ASSIGN(const Json j, parse_json(it->second, kIoContractKey));
  NPU_ASSIGN(IoContract c, io_contract_from_json(j));
  if (c.file_inputs.size() != g.inputs().size() || c.file_outputs.size() != g.outputs().size())
    return Diag(diag::corrupt, "metadata npuport.io name " + std::to_string(c.file_inputs.size()) + " inputs and " +
                                   std::to_string(c.file_outputs.size()) + " outputs, the graph has " +
                                   std::to_string(g.inputs().size()) + " and " + std::to_string(g.outputs().size()));
  return c;
}

HostRunner host_runner(std::function<Result<std::vector<Tensor>>(std::span<const Tensor>)> run, std::string folder,
                       std::function<Result<Graph>(const std::string& path)> load_graph) {
  HostRunner r;
  r.run = std::move(run);
  r.folder = std::move(folder);
  r.run_graph = [load = std::move(load_graph)](const HostStep& step, const std::string& path,
                                               std::span<const Tensor> inputs) -> Result<std::vector<Tensor>> {
    if (step.graph) return execute(*step.graph, inputs);
    if (!load)
      return Diag(diag::unsupported, "a part of the model was moved to the host, and its file is not read here")
          .in_file(path);
    NPU_ASSIGN(const Graph g, load(path));
    return execute(g, inputs);
  };
  return r;
}

}  // namespace npuport
