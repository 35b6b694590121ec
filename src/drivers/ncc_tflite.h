// The log of MediaTek's ncc-tflite.
#pragma once

#include "drivers/tool_run.h"

namespace npuport {

// Findings from "OP[n]: NAME" headers with indented reasons, placement from "Target:" lines of the execution plan
// ([{node, operator, target}]), metrics from the memory summary, the first error line. Accepts any text.
LogFacts parse_ncc_log(std::string_view text);

}  // namespace npuport
