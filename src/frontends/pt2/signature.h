// The parts of an exported program's signature that changed between releases of PyTorch.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace npuport {

// PyTorch 2.1 wrote the signature as maps from arguments to names; later ones a list of specifications.
bool is_signature_21(const Json& signature);

// TensorMeta of a value in "tensor_values"; PyTorch 2.1 put it one level deeper. `corrupt` when there is none.
Result<const Json*> tensor_meta(const Json& tensors, const std::string& name);

// Names of the tensors that a caller gives, in order.
Result<std::vector<std::string>> user_inputs(const Json& signature);

}  // namespace npuport
