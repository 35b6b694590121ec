// Parser of the TorchScript serialisation source.
#pragma once

#include "base/result.h"
#include "frontends/torch/script_ast.h"

namespace npuport::script {

// Parses one file of code/. Errors: `syntax` naming line and column and what was expected, `too_large` when the
// nesting or the size exceeds the limits. Never recurses deeper than a fixed limit.
Result<Module> parse_module(std::string_view source);

}  // namespace npuport::script
