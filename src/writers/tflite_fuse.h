// Joining an activation with the arithmetic before it: TFLite's ADD, SUB, MUL, DIV carry one of their own.
#pragma once

#include <span>

#include "ops/tflite.h"

namespace npuport {

// ADD → RELU becomes ADD with fused_activation_function, where nobody else reads the sum and it is no output of the
// file. Returns how many operators went. Exact: the runtime applies the same function to the same value.
size_t fuse_activations(TfliteModel& m, std::span<const int32_t> outputs);

}  // namespace npuport
