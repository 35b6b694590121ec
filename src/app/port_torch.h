// What `port` writes for PyTorch: models/{part}.pt, models/{name}_model.py and the converter scripts.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// Part of step 5. Each archive is read back and compared on the samples (proofs of `s`). A graph that PyTorch cannot
// express is a problem in the report, not a failure: the port does not need it.
Status write_torch_files(PortContext& c, PortStep& s);

// The Python script that runs MediaTek's converter on one part's archive. `archive` and `output` are file names in
// models/; shapes and types are those of the archive's inputs.
std::string mtk_script(const std::string& part, const std::string& archive, const std::string& output,
                       const std::vector<TensorType>& inputs);

}  // namespace npuport::app
