// Ports and short forms for operator rows.
#pragma once

#include "ops/support/infer.h"

namespace npuport::ports {

// clang-format off
inline constexpr PortDef x[]       = {{"x"}};
inline constexpr PortDef y[]       = {{"y"}};
inline constexpr PortDef ab[]      = {{"a"}, {"b"}};
inline constexpr PortDef list_x[]  = {{"x", Port::variadic}};
inline constexpr PortDef list_y[]  = {{"y", Port::variadic}};
inline constexpr PortDef data_indices[] = {{"data"}, {"indices"}};
inline constexpr PortDef data_indices_updates[] = {{"data"}, {"indices"}, {"updates"}};
inline constexpr PortDef values_indices[] = {{"values"}, {"indices"}};
// clang-format on

}  // namespace npuport::ports
