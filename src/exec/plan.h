// The executor's plan: steps in order, buffers with lifetimes, views resolved to places in buffers.
#pragma once

#include "exec/executor.h"
#include "exec/override.h"

namespace npuport {

struct Buffer {
  enum Kind { constant, input, arena, output } kind = arena;
  int64_t bytes = 0;
  const std::byte* data = nullptr;  // constant
  size_t index = 0;                 // input or output number
  int first = 0, last = -1;         // steps that touch it
  int64_t offset = 0;               // arena
  int merged = -1;                  // shares the memory of that buffer instead of having its own
};

// Where a value (in one layout) starts.
struct Place {
  int buffer = -1;
  int64_t offset = 0;  // bytes
};

struct Step {
  NodeId node;                     // the node (of the plan's graph) it is counted for
  std::string_view op;             // for the profile: the node's operator, "reorder" or "copy"
  std::string kernel_name;         // "reference" or the override's
  std::unique_ptr<Kernel> kernel;  // nullptr: reference kernel of `node`, or a copy when `copy_bytes` ≥ 0
  int64_t copy_bytes = -1;
  std::vector<Place> in, out;
  std::vector<View> in_views;  // data filled in at run time
  std::vector<MutView> out_views;
};

// What an observer gets: the outputs of a node of the caller's graph, ready after a step (-1: before the first).
struct Observation {
  NodeId node;
  int after_step = -1;
  std::vector<Place> places;
  std::vector<TensorType> types;
};

struct Plan {
  Graph graph;  // snapshot, bodies expanded
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<Place> outputs;  // plain
  std::vector<Observation> observations;
  int64_t arena_bytes = 0, scratch_bytes = 0;
};

// Buffer that owns the memory `b` lies in.
int root_buffer(const Plan& plan, int b);

Result<std::unique_ptr<Plan>> make_plan(const Graph& g, const ExecOptions& options, int threads);

}  // namespace npuport
