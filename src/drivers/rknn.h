// What Rockchip's rknn-toolkit2 prints.
#pragma once

#include "drivers/tool_run.h"

namespace npuport {

// The layer table (placement: NPU or CPU per operator), "No lowering found" lines (findings: the board's runtime will
// stop there although the build says it went well), and the last line of our build script. Accepts any text.
LogFacts parse_rknn_log(std::string_view text);

}  // namespace npuport
