// What is known to trouble vendor compilers, told before any of them runs, with the line of the user's code.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace npuport::diagnose {

struct Lint {
  std::string rule;  // "integer-index"
  std::string what;  // one sentence
  std::string cure;  // what to write instead, or what npuport does about it
  int count = 0;
  std::vector<Origin> places;  // up to eight
};

// Over the graph as imported: operators by their names in the user's framework (an exporter's habits show there) and
// by what they are.
std::vector<Lint> lint(const Graph& imported);

}  // namespace npuport::diagnose
