// Samples: .npz files whose arrays are named after the model's inputs, or in.0, in.1, …; baseline outputs out.0, out.1,
// ….
#pragma once

#include <string>
#include <vector>

#include "exec/baseline.h"
#include "frontends/frontend.h"

namespace npuport::app {

// One file as read, arrays in file order.
struct SampleFile {
  std::string path;
  std::vector<std::pair<std::string, Tensor>> arrays;
  const Tensor* find(std::string_view name) const;
  Result<std::vector<Baseline>> baseline() const;  // out.0, out.1, … until the first gap; whole or chosen elements
};

// Reads FILE, all *.npz of a DIR (sorted by name), or a pattern with * in its last component. bad_input_data when a
// folder or pattern matches nothing.
Result<std::vector<SampleFile>> read_samples(const std::vector<std::string>& paths);

// The files read_samples would read, without reading them.
Result<std::vector<std::string>> sample_paths(const std::vector<std::string>& paths);

// An import error with a note on the sample that gave the shapes: it is often the sample that is wrong.
Diag with_sample(Diag d, const SampleFile& file);

// The sample's inputs for these ports: by position (in.k) or by name. bad_input_data naming the file, the missing input
// and what the file holds instead; dtype differences that lose nothing are converted (f64→f32 no, i64→i32 by range).
// NaN and more inputs than the model has are refused.
Result<std::vector<Tensor>> bind_inputs(const SampleFile& file, std::span<const InputSpec> inputs);

// Shapes and dtypes of a model's inputs as a sample shows them. `names`: the model's own input names when known.
std::vector<InputSpec> specs_from_sample(const SampleFile& file, std::span<const InputSpec> known);

// "mel=1x80x3000:float32" or "mel=1x80x3000"; the name may hold ':' and '='. `usage` when malformed.
Result<InputSpec> parse_shape_option(const std::string& text);

// What to tell the importer of a model's inputs, in its order: as the sample shows them (null: as the file says), with
// the --shape options over it, by the model's name, the sample's, or position ("in.0", "0"). `usage` listing the inputs
// for an option that names none of them; `dynamic_shape` for an input in the middle that stays without a shape.
Result<std::vector<InputSpec>> input_specs(const FileFacts& facts, const SampleFile* sample,
                                           const std::vector<std::string>& options);

}  // namespace npuport::app
