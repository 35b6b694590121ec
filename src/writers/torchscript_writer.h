// Writes a graph for PyTorch: as a TorchScript archive (.pt) and as a readable Python file.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace npuport {

struct TorchScriptOptions {
  bool sync = true;  // on the disk before the function returns
};

// A `.pt` archive that PyTorch 1.8 and later load and run: straight-line code in class __torch__.npuport.<Graph name>,
// float constants as parameters, others as buffers, all with their names as far as identifiers allow. Channels-last
// operators become NCHW first (channels_first). Shapes of the inputs go into traced_inputs.pkl, metadata "npuport.io"
// into extra/. Constants stream from where they are; same graph, same bytes; the file appears complete or not at all.
// Every node must be expressible: those that are not come as notes of one `not_representable`.
Status write_torchscript(const Graph& g, const std::string& path, const TorchScriptOptions& options = {});

// One class of a Python file.
struct TorchModelPart {
  const Graph* graph;
  std::string class_name;  // made an identifier
  std::string weights;     // file name of the part's archive, beside the Python file
};

// Python source with one torch.nn.Module per part that computes what the graph computes, with the weights of the
// archive that write_torchscript makes of the same graph. Imports torch only (torchvision where its operators are
// used). Module scopes appear as comments. `not_representable` as above.
Result<std::string> torch_model_source(const std::string& title, const std::vector<TorchModelPart>& parts);

// "whisper encoder" → "WhisperEncoder": the class name the archive and the Python file use.
std::string torch_class_name(const std::string& name);

}  // namespace npuport
