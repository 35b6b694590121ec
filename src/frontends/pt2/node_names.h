// Names and numbers of exported programs in ATen's terms.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"
#include "ir/graph.h"

namespace npuport {

// "torch.ops.aten.conv2d.default" → "aten::conv2d"; other targets ("_operator.mul") stay as they are.
std::string export_operator(const std::string& target);
// Checks and hints of the exporter that compute nothing.
bool is_export_assertion(std::string_view name);
// The schema's MemoryFormat as ATen numbers it.
int64_t export_memory_format(int64_t number);
// What the exporter's metadata say of a node: innermost module path, last line of the stack trace.
Origin export_origin(const Json& node, const std::string& target);

}  // namespace npuport
