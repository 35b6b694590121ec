// Reads TFLite files: what npuport writes and what LiteRT's converters write in float (float16 weights behind
// DEQUANTIZE become float32). Quantised models, control flow and resource variables are refused by name; operators
// without a row become `opaque`. Channels-last operators keep layout nhwc; filters become O,I,H,W.
#pragma once

#include "base/mapped_file.h"
#include "frontends/frontend.h"

namespace npuport {

// Bytes 4 to 8 are "TFL3".
bool accepts_tflite(const std::string& path);
Result<FileFacts> inspect_tflite(const std::string& path);
// `options.entry` names a signature; "forward" means the file's only or default one. Inputs whose size the file leaves
// open need `options.inputs` (dynamic_shape otherwise). Metadata "npuport.io" comes back in graph.metadata.
Result<ImportedModel> import_tflite(const std::string& path, const ImportOptions& options);
// The same from bytes, for tests and fuzzers.
Result<ImportedModel> import_tflite(std::shared_ptr<const MappedFile> file, const ImportOptions& options);

}  // namespace npuport
