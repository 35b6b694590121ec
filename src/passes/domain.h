// What values a tensor can hold, as far as constants, types, declared ranges and simple operators say.
#pragma once

#include "passes/context.h"

namespace npuport {

class Domains {
 public:
  // `ranges` by input name; may be empty.
  Domains(const Graph& g, const std::map<std::string, ValueRange>& ranges) : g_(g), ranges_(ranges) {}
  // nullopt: nothing is known.
  std::optional<ValueRange> of(ValueId v) const { return of(v, 32); }

 private:
  std::optional<ValueRange> of(ValueId v, int depth) const;
  std::optional<ValueRange> of_node(const Node& n, uint32_t slot, int depth) const;
  const Graph& g_;
  const std::map<std::string, ValueRange>& ranges_;
};

// The ranges declared for the graph's inputs, kept in the graph's metadata ("npuport.ranges") so that rewrites see
// them.
void set_declared_ranges(Graph& g, const std::map<std::string, ValueRange>& ranges);
std::map<std::string, ValueRange> declared_ranges(const Graph& g);

}  // namespace npuport
