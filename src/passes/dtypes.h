// Element types every target knows.
#pragma once

#include "passes/context.h"

namespace npuport {

// float16, bfloat16 and float64 become float32: constants, inputs, outputs (recorded in the I/O contract) and casts.
// With PassOptions::narrow_int64, 64-bit integers become 32-bit ones wherever their range is known to fit: from
// constants, declared ranges and the operators between (domain.h), or by PassOptions::assume_int32. Values that do not
// fit stay 64-bit; a constant that does not fit is never narrowed.
extern const PassDef normalise_dtypes_pass;

}  // namespace npuport
