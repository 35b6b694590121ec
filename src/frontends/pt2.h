// Reads archives of torch.export.save (.pt2) without PyTorch: the JSON schema of PyTorch 2.2 and later, in both
// containers (a plain zip with pickled weights up to 2.7, PT2 archives since).
#pragma once

#include "base/mapped_file.h"
#include "frontends/frontend.h"

namespace npuport {

bool accepts_pt2(const std::string& path);
Result<FileFacts> inspect_pt2(const std::string& path);

// Imports the exported program. Inputs are its user inputs in order; sizes that were exported as symbols need
// options.inputs (`dynamic_shape` otherwise), fixed sizes must agree with them (`shape_mismatch`). Outputs are the user
// outputs, named out.0, out.1 …; mutations of buffers and inputs are left out with a warning.
// Errors: corrupt, syntax, missing_entry, newer_version (another major schema), unsupported (subgraphs of control
// flow), and whatever the operators' rows refuse.
Result<ImportedModel> import_pt2(const std::string& path, const ImportOptions& options);
Result<ImportedModel> import_pt2(std::shared_ptr<const MappedFile> file, const ImportOptions& options);

}  // namespace npuport
