// The tables of overrides that run on our own vector kernels.
#pragma once

#include "exec/override.h"

namespace npuport {

std::span<const Override> elementwise_overrides();
std::span<const Override> row_overrides();  // softmax, normalisations, means
std::span<const Override> group_norm_overrides();
std::span<const Override> recurrent_overrides();  // lstm, gru, rnn
std::span<const Override> attention_overrides();  // before those of matmul
std::span<const Override> movement_overrides();   // concat, pad, depth_to_space

// The layout the only reader of the unit's result would like, when that reader turns it; nullptr = plain.
LayoutPtr layout_for_reader(const PrepareCall& call);

}  // namespace npuport
