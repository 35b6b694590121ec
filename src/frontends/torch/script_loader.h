// Turns the pickled module tree and constants into interpreter values.
#pragma once

#include <unordered_map>

#include "frontends/torch/script_interp.h"

namespace npuport {

class ScriptLoader {
 public:
  // `interp` runs __setstate__ of classes that define it.
  ScriptLoader(const TorchArchive& archive, Interpreter& interp) : archive_(archive), interp_(interp) {}

  // The module object with all its attributes. Submodules know their path ("encoder.layers.0"), weights are named by it
  // ("encoder.layers.0.weight"); a tensor reached twice keeps its first name and stays one object.
  Result<std::shared_ptr<ScriptObject>> root();
  // CONSTANTS.c0, c1 …. Rank-0 tensors among them act as Python numbers in type promotion.
  Result<std::vector<IValue>> constants();

 private:
  Result<IValue> convert(const PickleValue& v, const std::string& path, int depth);
  Result<IValue> convert_object(const PickleValue& v, const std::string& path, int depth);
  Result<std::vector<IValue>> convert_all(std::span<const PickleValue* const> items, const std::string& path,
                                          int depth);
  IValue convert_tensor(const PickleValue& v, const std::string& path);
  Result<TensorRef> quantised(const TensorRecord& r, const std::shared_ptr<const Tensor>& integers,
                              const std::string& path);

  TorchArchive archive_;
  Interpreter& interp_;
  std::unordered_map<const PickleValue*, IValue> converted_;
  std::unordered_map<const Tensor*, TensorRef> tensors_;
};

// A complex tensor's record as one of reals with a trailing dimension of two; nullopt for other element types.
std::optional<TensorRecord> complex_as_real(const TensorRecord& r);

}  // namespace npuport
