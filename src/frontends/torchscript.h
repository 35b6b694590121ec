// Reads TorchScript archives (torch.jit.save of traced or scripted modules) without PyTorch.
#pragma once

#include "frontends/frontend.h"

namespace npuport {

// Imports the method `options.entry` of the archive's module.
//
// Inputs: the method's arguments in order, containers flattened (tuples and lists by position, dicts by insertion
// order); each Tensor becomes a graph input whose shape comes from options.inputs, else from the example inputs that
// traces keep (`dynamic_shape` naming the input when neither is there). int, float and bool arguments take
// InputSpec::value; without one their default; else they become rank-0 inputs usable in arithmetic only. Surplus
// entries of options.inputs are `bad_input_data`.
// Outputs: tuples, lists and dicts flattened in order; named by dict keys and named-tuple fields, else out.0, out.1 ….
// int, float and bool results become rank-0 constants (i64, f32, bool).
// Errors: those of TorchArchive::open; syntax, raised, data_dependent, unsupported and unsupported_op with the user's
// source line.
Result<ImportedModel> import_torchscript(const std::string& path, const ImportOptions& options);

}  // namespace npuport
