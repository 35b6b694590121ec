// What the steps of `port` say of themselves: number, proofs, verdict.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// An empty step; `id` is its name in the state, `title` what people read.
PortStep make_step(int number, const char* id, const char* title);

// The step's verdict is its worst proof's; the reason is that proof's sentence.
void conclude(PortStep& s);

// Two runs of one graph, compared at the borders of the file. A value that a host step goes on with may hold infinities
// (a mask's): the same one in the same place is no difference here. In the model's own results, PyTorch's, it fails.
Comparison compare_borders(std::vector<Tensor> got, std::vector<Tensor> expected, const ProjectPart& part);

// What comes back from the file must compute what the graph computes: one proof per sample, named `what`. A file with
// operators that npuport does not read is UNVERIFIED, naming one. An error when it cannot be read at all.
Status prove_read_back(PortContext& c, PartRun& p, const std::string& path, const char* what, PortStep& s);

}  // namespace npuport::app
