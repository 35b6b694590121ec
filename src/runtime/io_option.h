// Option `io`: what the inputs and outputs of a file are that does not say so itself.
#pragma once

#include "runtime/backend.h"

namespace npuport::runtime {

// Reads {"inputs": [{"name", "dtype", "shape"}…], "outputs": […]} into `source`; nothing when the option is not given.
// usage naming what is wrong.
Status read_io_option(const Options& options, ModelSource& source);

}  // namespace npuport::runtime
