// Why the loop over a cached decoder gives other ids than PyTorch although every part agrees with it.
#pragma once

#include "app/task_gate.h"
#include "base/lessons.h"

namespace npuport::app {

struct Explanation {
  std::string sentence;
  const Lesson* lesson = nullptr;
};

// The parts agree with PyTorch when fed its tensors; what stands between them is the host's. Compares the cached
// decoder's logits with those of the decoder without a cache, position by position. `inputs`: of the encoder; `full`:
// whether the decoder without a cache gave the right ids.
Result<Explanation> explain_cached(const Project& project, const DecodeRules& rules, std::span<const Tensor> inputs,
                                   const PartRunner& run, bool full);

}  // namespace npuport::app
