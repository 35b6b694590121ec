// Finding the weights inside what a PyTorch file holds: names as state_dict would give them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontends/torch/pickle.h"

namespace npuport {

struct WeightEntry {
  std::string name;                    // "layer1.0.conv1.weight"
  const PickleValue* value = nullptr;  // a tensor
  bool buffer = false;                 // told by the module (_buffers) or by a batch norm's names
};

// All tensors reachable from `root`, in file order; each object and container is visited once.
std::vector<WeightEntry> collect_weights(const PickleValue& root);

// A pickled torch.nn.Module (not of TorchScript): an object whose state has _modules and _parameters.
bool is_full_module(const PickleValue& v);

// Where a checkpoint keeps its model.
struct CheckpointModel {
  const PickleValue* value = nullptr;  // nullptr when there is none
  std::string path;                    // keys from the root, "model_state_dict" or "" for the root itself
  bool full_module = false;
};
// Looks at the root, then below the usual keys (model_state_dict, state_dict, model …), then at any dict of tensors.
CheckpointModel find_model(const PickleValue& root);

struct WeightCount {
  int64_t elements = 0;
  int64_t bytes = 0;
};
// Elements and bytes of the given kind (buffers or the others); what several tensors share counts once.
WeightCount count_weights(const std::vector<WeightEntry>& weights, bool buffers);

// Input channels of the first convolution by its weight's shape (out, in / groups, kernel …); 0 when there is none.
int64_t guess_input_channels(const std::vector<WeightEntry>& weights);

}  // namespace npuport
