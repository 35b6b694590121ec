// What Arm's Vela prints and writes.
#pragma once

#include "drivers/tool_run.h"

namespace npuport {

// The summary and the "Warning (…) operator:" blocks: findings are operators left to the CPU, with the rule they break.
// Accepts any text.
LogFacts parse_vela_log(std::string_view text);
// One data row of NAME_summary_SYSTEM.csv: cycles_total, inference_time (s), sram_memory_used (KiB) …
std::map<std::string, std::string> parse_vela_summary(std::string_view csv);
// NAME_per-layer.csv as [{operator, target, cycles, node}].
Json parse_vela_layers(std::string_view csv);

}  // namespace npuport
