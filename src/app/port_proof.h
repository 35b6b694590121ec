// What the steps of `port` say of themselves: number, proofs, verdict.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// An empty step; `id` is its name in the state, `title` what people read.
PortStep make_step(int number, const char* id, const char* title);

// The step's verdict is its worst proof's; the reason is that proof's sentence.
void conclude(PortStep& s);

// What comes back from the file must compute what the graph computes: one proof per sample, named `what`. A file with
// operators that npuport does not read is UNVERIFIED, naming one. An error when it cannot be read at all.
Status prove_read_back(PortContext& c, PartRun& p, const std::string& path, const char* what, PortStep& s);

}  // namespace npuport::app
