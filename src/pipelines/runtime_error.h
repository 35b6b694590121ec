// The runtime's errors as diagnostics.
#pragma once

#include "base/diag.h"
#include "runtime/npuport_runtime.hpp"

namespace npuport {

// Keeps message, file, tensor and hint; the status decides the kind (and with it the exit code).
Diag diag_of(const rt::Error& error);

}  // namespace npuport
