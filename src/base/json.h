// JSON for reports, metadata and --json. Order of keys is kept as written, so output is deterministic.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace npuport {

using Json = nlohmann::ordered_json;

// Text with an indent of `indent` blanks (-1: one line), ending in a line break when indented. Invalid UTF-8 in strings
// becomes U+FFFD, NaN and infinities become null: this never throws.
std::string dump_json(const Json& json, int indent = 2);
// `syntax` with line and column; depth above 200 and texts above 1 GiB are too_large. Duplicate keys: the last wins.
Result<Json> parse_json(std::string_view text, std::string_view file_name = {});

}  // namespace npuport
