// What the column `decision` of operator_analysis.md may say.
#pragma once

#include "app/analysis.h"
#include "passes/user_rewrites.h"

namespace npuport::app {

// `usage` naming operator, decision and the nearest known one, unless every decision is auto, keep, host, body, a row
// of lower_illegal, one of the user's rows, or what `generated_json` (the analysis as last written) names as a rewrite.
Status check_decisions(const Decisions& decisions, const std::string& generated_json, const UserRewrites* own);

}  // namespace npuport::app
