// Runs a graph on this machine: a plan (order, buffers, kernels) made once, then run many times.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace npuport {

struct ExecOptions {
  int threads = 0;        // 0 = all cores
  bool overrides = true;  // false: the rows' reference kernels only
  bool profile = false;   // collect times per node
  // Called after each node with its outputs (plain dense layout); copies made only when set.
  std::function<void(NodeId, const Node&, std::span<const Tensor>)> observer = {};
};

struct NodeTime {
  NodeId node;
  std::string op;
  std::string kernel;  // "reference" or the override's name
  double milliseconds = 0;
};

class Executor {
 public:
  // Takes a snapshot of `g` (stage canonical). Fails on opaque operators, naming all of them.
  static Result<Executor> create(const Graph& g, const ExecOptions& options = {});
  Executor(Executor&&) noexcept;
  Executor& operator=(Executor&&) noexcept;
  ~Executor();

  // Inputs in graph order; dtype and shape must match (`bad_input_data` naming the input, wanted and given). Outputs
  // own their memory.
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs);
  const std::vector<NodeTime>& profile() const;  // of the last run
  int64_t arena_bytes() const;                   // planned buffer memory for activations

 private:
  struct Impl;
  explicit Executor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// create + run once.
Result<std::vector<Tensor>> execute(const Graph& g, std::span<const Tensor> inputs, const ExecOptions& options = {});

}  // namespace npuport
