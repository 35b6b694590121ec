// What a file of torch.save is, without running anything in it.
#pragma once

#include <string>

#include "frontends/frontend.h"

namespace npuport {

// torch.save files, zip or older; not TorchScript.
bool accepts_checkpoint(const std::string& path);
// FileFacts::detail is "Checkpoint: full module (no template required)." or "Checkpoint: state_dict only (template
// required)."; `operators` counts the module classes of a full module; properties tell nesting, key prefix, input
// channels, averaged weights and what else is saved. A warning names what loading the file in Python would call.
Result<FileFacts> inspect_checkpoint(const std::string& path);

bool accepts_torchscript(const std::string& path);
// Inputs from the traced examples where the archive has them; `operators` counts calls in the archive's code (not how
// often they run); nothing is imported.
Result<FileFacts> inspect_torchscript(const std::string& path);

}  // namespace npuport
