// ATen operators outside the rows: kinds of tensors the graph has no type for are lowered to plain ones here.
#pragma once

#include "frontends/aten_binder.h"

namespace npuport {

// Complex tensors as pairs (real, imaginary) in a last dimension of size 2; Fourier transforms as products with
// constant matrices (lengths up to 8192), stft and istft as convolutions. `unsupported` naming the operator for complex
// operands of any operator that is not lowered.
Result<bool> complex_extension(AtenBinder& binder, std::string_view name, std::vector<IValue>& args, Keywords& keywords,
                               IValue& result);

// Nested tensors of transformer encoders as padded tensors with a mask of the rows that exist.
Result<bool> nested_extension(AtenBinder& binder, std::string_view name, std::vector<IValue>& args, Keywords& keywords,
                              IValue& result);

// Statically quantised operators (quantized::conv2d_relu, linear, add …) as float operators between roundings to the
// grid: the numbers of FBGEMM up to ties in the rounding.
Result<bool> quantised_extension(AtenBinder& binder, std::string_view name, std::vector<IValue>& args,
                                 Keywords& keywords, IValue& result);

// Adds all of them to a binder that outlives the calls.
void add_extensions(AtenBinder& binder);

}  // namespace npuport
