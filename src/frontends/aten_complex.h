// Arithmetic on complex tensors kept as pairs; shared by the operators and the Fourier transforms.
#pragma once

#include "frontends/aten_binder.h"

namespace npuport {

// Real and imaginary part as graph values of equal shape; an invalid `im` means zero.
struct ComplexParts {
  ValueId re, im;
};

// The parts of a complex tensor, or {value, invalid} of a real one (integers become f32).
Result<ComplexParts> complex_parts(AtenBinder& binder, const TensorRef& t);
// A complex tensor of these parts.
Result<TensorRef> join_complex(AtenBinder& binder, ComplexParts parts);

// fft_fft, fft_rfft2, fft_irfftn, stft, istft …; false for other names.
Result<bool> fourier_operator(AtenBinder& binder, std::string_view name, const std::vector<IValue>& args,
                              const Keywords& keywords, IValue& result);

}  // namespace npuport
