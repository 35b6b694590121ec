// Files that are no foreign model: NumPy arrays and npuport's own IR text.
#pragma once

#include <string>

#include "frontends/frontend.h"

namespace npuport {

bool accepts_npy(const std::string& path);
Result<FileFacts> inspect_npy(const std::string& path);

bool accepts_npz(const std::string& path);
// Arrays of types npuport has none for are listed with a warning.
Result<FileFacts> inspect_npz(const std::string& path);

bool accepts_ir_text(const std::string& path);
Result<FileFacts> inspect_ir_text(const std::string& path);
// Constants printed by hash come from the array of that name in PATH.npz beside the text; missing_entry when it is not
// there, corrupt when its contents do not have that hash. Given input types must be the graph's own (shape_mismatch).
Result<ImportedModel> import_ir_text(const std::string& path, const ImportOptions& options);

}  // namespace npuport
