// The second opinion on a written file: the real LiteRT, run by the user's Python (--tool litert-python=PATH).
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// One proof per sample, or a note in the step's details when no interpreter is configured. A file with operators LiteRT
// lacks is UNVERIFIED here, naming them.
Status check_with_litert(PortContext& c, PartRun& p, const std::string& path, PortStep& s);

}  // namespace npuport::app
