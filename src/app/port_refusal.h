// What a refused compile of `port` is followed by: the diagnosis.
#pragma once

#include "app/port_steps.h"
#include "drivers/driver.h"

namespace npuport::app {

// Diagnoses the rewritten graph of a part below diagnose/PART and enters what was found into the step: details
// ("diagnosis"), and a problem per culprit with its cure as the next step. The step's verdict stays: a cured model is a
// proposal until someone takes it over.
Status diagnose_refusal(PortContext& c, const Driver& driver, const ToolFacts& tool, PartRun& p, PortStep& s);

}  // namespace npuport::app
