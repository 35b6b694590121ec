// Runs one archive of a model suite: import, execute, compare with PyTorch's saved outputs.
#pragma once

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>

#include "exec/compare.h"
#include "exec/executor.h"
#include "frontends/torchscript.h"
#include "ir/npy.h"

namespace npuport::test {

struct SuiteResult {
  enum Outcome { equal, differs, refused, failed } outcome = failed;
  std::string detail;  // figures or the refusal
  std::string code;    // slug of the refusal
  size_t nodes = 0;
  double import_ms = 0, run_ms = 0;
};

// "in.0", "in.1", … in numerical order.
inline Result<std::vector<Tensor>> numbered(const NpzReader& npz, const std::string& prefix) {
  std::vector<Tensor> out;
  for (size_t i = 0; npz.has(prefix + std::to_string(i)); ++i) {
    NPU_ASSIGN(Tensor t, npz.read(prefix + std::to_string(i)));
    out.push_back(std::move(t));
  }
  return out;
}

inline ImportOptions options_for(std::span<const Tensor> inputs) {
  ImportOptions options;
  for (const Tensor& t : inputs) {
    InputSpec spec;
    spec.type = {t.dtype, t.shape, nullptr};
    options.inputs.push_back(std::move(spec));
  }
  return options;
}

// Numbers (int, float, bool arguments) get their sample value: a first import tells which inputs want one.
inline Result<ImportedModel> import_with_sample(const std::string& path, std::span<const Tensor> inputs) {
  ImportOptions options = options_for(inputs);
  Result<ImportedModel> model = import_torchscript(path, options);
  bool has_scalar = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].shape.empty()) continue;
    options.inputs[i].value = std::make_shared<const Tensor>(inputs[i]);
    has_scalar = true;
  }
  if (model || !has_scalar) return model;
  return import_torchscript(path, options);
}

}  // namespace npuport::test
