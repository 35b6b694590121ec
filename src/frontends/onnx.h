// Reads ONNX files: opsets 7 to the current one. Functions are inlined, control flow is resolved where constants and
// shapes decide it, external data is mapped from the model's own folder. Operators and forms without a row become
// `opaque`.
#pragma once

#include "base/mapped_file.h"
#include "frontends/frontend.h"

namespace npuport {

// The bytes are a protobuf message with the fields of ModelProto; a cut-off file still counts.
bool accepts_onnx(const std::string& path);
// Dims the file leaves open are -1 in the facts' inputs.
Result<FileFacts> inspect_onnx(const std::string& path);
// `options.inputs` gives the shapes of symbolic inputs (dynamic_shape otherwise, naming tensor and dim).
Result<ImportedModel> import_onnx(const std::string& path, const ImportOptions& options);
// The same from bytes, for tests and fuzzers; external data is looked for beside `file`'s path.
Result<ImportedModel> import_onnx(std::shared_ptr<const MappedFile> file, const ImportOptions& options);

}  // namespace npuport
