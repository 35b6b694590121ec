// What Huawei's atc prints and writes.
#pragma once

#include "drivers/tool_run.h"

namespace npuport {

// Error blocks "E19010: message" with their "Possible Cause", "Solution" and one TraceBack line per further node.
// Accepts any text. metrics["success"] is set when the success line is there.
LogFacts parse_atc_log(std::string_view text);
// The report of --mode=3: operators that failed, with code and message. Empty for text that is no such report.
std::vector<CompilerFinding> parse_atc_check(std::string_view json);
// "8.0.RC1" from ascend_toolkit_install.info or a help text; empty when it is not there.
std::string parse_atc_version(std::string_view text);
// Highest ONNX opset a CANN version reads: 11 below 7, 15 for 7 and 8.0, 17 for newer ones; 15 when unknown.
int atc_max_opset(std::string_view version);

}  // namespace npuport
