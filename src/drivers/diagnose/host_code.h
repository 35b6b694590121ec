// Source code of a host part: the same computation as a Python (numpy) and as a C++ function, for people who want no
// model file on the host.
#pragma once

#include <string>

#include "ir/graph.h"

namespace npuport::diagnose {

struct HostCode {
  std::string python;  // def FUNCTION(input, …): returns one array or a tuple
  std::string cpp;     // std::vector<Array> FUNCTION(const Array& input, …); complete with its helpers
};

// Code for a small graph; float32 results are rounded to float32 after each operator, as the graph's are. unsupported
// names the operators there is no code for, or constants too large for source code (65,536 elements).
Result<HostCode> host_code(const Graph& g, const std::string& function);

}  // namespace npuport::diagnose
