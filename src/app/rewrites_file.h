// `--rewrites FILE`: a user's rewrite rows.
#pragma once

#include <memory>
#include <string>

#include "passes/user_rewrites.h"

namespace npuport::app {

// TOML: version = 1 and [[rewrite]] tables with name, match, replace (IR text of the fused graph, NCHW), doc (why the
// result is the same) and numerics ("exact", the default, "exact-on-domain" or "approximate"). Mistakes name the file,
// and the line or the row.
// An empty path gives none.
Result<std::shared_ptr<const UserRewrites>> read_rewrites(const std::string& path);

}  // namespace npuport::app
