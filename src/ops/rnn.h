// Recurrent layers: rows lstm, gru and rnn (one layer, one direction), and their unrolled form.
#pragma once

#include "ir/builder.h"

namespace npuport {

// Replaces one lstm, gru or rnn row by linear layers, slices and activations, unrolled over time. `in` and `attrs` are
// those of the row; returns its outputs ([y, h, c] or [y, h]). The input projection of all steps is one linear layer.
std::vector<ValueId> expand_rnn(Builder& b, std::string_view op, std::span<const ValueId> in,
                                std::span<const Attr> attrs);

}  // namespace npuport
