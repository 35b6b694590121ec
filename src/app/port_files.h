// Files beside the models: host tables and graphs, embedding_info.json, {name}_metadata.json.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// Keys of decoding rules whose values name files beside them: they travel with the port.
inline constexpr const char* kTextFiles[] = {"vocab", "source_spm", "target_spm"};

// Saves every host step's table (.npy) or graph (.tflite) under models/ and enters file name and hash into the
// contract.
Status write_host_files(PortContext& c, PartRun& p, PortStep& s);

// models/{name}_metadata.json: parts with files, hashes, shapes, dtypes, layouts, host steps, gates; the runtime starts
// from it alone.
Status write_metadata(PortContext& c, PortStep& s);

}  // namespace npuport::app
