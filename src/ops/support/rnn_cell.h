// One step of a recurrent layer in simpler operators.
#pragma once

#include "ir/builder.h"

namespace npuport {

struct RnnState {
  ValueId h, c;  // c for lstm only
};

// The state after one step: `xi` = w_ih·x + b_ih and `hi` = w_hh·h + b_hh, both [batch, gates * hidden]. `op` is lstm,
// gru, rnn (tanh) or rnn_relu; w_hr projects the lstm's h when valid.
RnnState rnn_step(Builder& b, std::string_view op, ValueId xi, ValueId hi, RnnState state, ValueId w_hr = {});

}  // namespace npuport
