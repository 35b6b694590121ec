// What convolutions and pools share.
#pragma once

#include "ops/torch.h"

namespace npuport::torch_rows {

// y through the activation an operator is fused with.
inline std::string activated(TorchEmit& c, std::string y) {
  const std::string& name = c.attr().s("activation");
  if (name == "none") return y;
  y = c.let(y, "before");
  if (name == "relu") return "torch.relu(" + y + ")";
  if (name == "relu6") return "F.hardtanh(" + y + ", 0.0, 6.0)";
  return "F.hardtanh(" + y + ", -1.0, 1.0)";
}

// x with `begin`/`end` elements of `value` around its last dims.
inline std::string padded(TorchEmit& c, const std::string& x, const Ints& begin, const Ints& end,
                          const std::string& value) {
  Ints pads;  // last dim first
  for (size_t i = begin.size(); i-- > 0;) pads.insert(pads.end(), {begin[i], end[i]});
  return c.let("torch.constant_pad_nd(" + x + ", " + TorchEmit::text(pads) + ", " + value + ")", "padded");
}

}  // namespace npuport::torch_rows
