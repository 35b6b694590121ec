// How a file's inputs and outputs relate to the model's own: what split_to_host and the border layout changed. Stored
// as JSON in the file's metadata "npuport.io", so that the original samples fit every file we write. Executed here, for
// gates, `run` and the device runtime alike.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/permute.h"
#include "base/tensor.h"

namespace npuport {

class Graph;  // of ir; held and handed on only

// One input or output of the model as it was imported.
struct IoPort {
  std::string name;
  TensorType type;
};

// One input or output of the file: the value `name` (an imported input or output, or a value a host step makes or
// takes) with its dimensions permuted: file dim i = dim permutation[i] of the value; empty = unchanged.
// `dtype` is the file's element type where it differs (i64 ids stored as i32); unknown = unchanged.
// `shape`: what the file calls the permuted elements, as many in the same order (dims of a cache merged); empty = as
// permuted. Only for the model's own inputs and outputs, whose shapes the contract knows.
struct IoBinding {
  std::string name;
  Shape permutation;
  DType dtype = DType::unknown;
  Shape shape = {};
};

// A piece that runs on the host before (prefix) or after (suffix) the file's graph.
struct HostStep {
  std::string kind;  // "embedding_lookup": outputs[0] = table[inputs[0]]; "graph": a small graph
  bool suffix = false;
  std::vector<std::string> inputs, outputs;  // value names
  std::string module;                        // module scope it came from, "decoder.token_embedding"
  std::string file, sha256;                  // beside the model once saved: .npy table or .tflite graph
  bool verified = false;                     // the file was compared with sha256, or need not be
  std::shared_ptr<const Tensor> table;       // embedding_lookup, in memory
  std::shared_ptr<const Graph> graph;        // graph, in memory
};

struct IoContract {
  std::vector<IoPort> inputs, outputs;               // the imported model's interface, in its order
  std::vector<IoBinding> file_inputs, file_outputs;  // the graph's, in its order
  std::vector<HostStep> host_steps;                  // prefix steps in order, then suffix steps

  bool identity() const;  // nothing differs
};

inline constexpr const char* kIoContractKey = "npuport.io";

// `corrupt` where the JSON is not what to_json writes, `newer_version` for a later format.
Result<IoContract> io_contract_from_json(const Json& j);
Json to_json(const IoContract& c);

// Maps the tables of embedding steps that are still files of `folder`, and with `check_hash` compares the SHA-256 of
// every step's file (`corrupt` when it differs). Whoever runs a contract more than once calls this first.
Status load_host_tables(IoContract& c, const std::string& folder, bool check_hash = true);

// Runs the file's graph on data of the original interface: host prefix, permutation, `run`, inverse permutation, host
// suffix. Row ids outside an embedding table: index_range naming the id.
struct HostRunner {
  std::function<Result<std::vector<Tensor>>(std::span<const Tensor> file_inputs)> run;
  std::string folder;  // of the step files; not needed for steps in memory
  // Runs a "graph" step: its graph in memory, or the file `path` (whose hash was compared).
  std::function<Result<std::vector<Tensor>>(const HostStep& step, const std::string& path,
                                            std::span<const Tensor> inputs)>
      run_graph;
};
Result<std::vector<Tensor>> run_original_interface(const IoContract& c, std::span<const Tensor> inputs,
                                                   const HostRunner& runner);

// The file's own inputs for given original inputs (prefix and permutation only).
Result<std::vector<Tensor>> to_file_inputs(const IoContract& c, std::span<const Tensor> inputs,
                                           const HostRunner& runner);

}  // namespace npuport
