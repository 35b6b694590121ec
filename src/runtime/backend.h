// What a backend is: one row of backends(), and the model it makes of a file. Internal to the runtime.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/tensor.h"
#include "runtime/npuport_runtime.h"

namespace npuport::runtime {

// One input or output of a model file.
struct IoInfo {
  std::string name;
  TensorType type;
  npuport_layout layout = NPUPORT_LAYOUT_MODEL;
  Shape permutation;  // for NPUPORT_LAYOUT_PERMUTED
};

// The options of an open call. Keys are known to the backend or to the runtime: anything else was refused.
class Options {
 public:
  void set(std::string key, std::string value) { values_[std::move(key)] = std::move(value); }
  // The value; else that of the environment variable (may be null); else "".
  std::string get(std::string_view key, const char* variable = nullptr) const;
  // An integer in [low, high]; `otherwise` when not given; usage naming the key when it is none.
  Result<int64_t> integer(std::string_view key, int64_t otherwise, int64_t low, int64_t high) const;
  // One of `choices`, the first when not given; usage listing them.
  Result<std::string> choice(std::string_view key, std::span<const std::string_view> choices) const;
  const std::map<std::string, std::string, std::less<>>& values() const { return values_; }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

struct ModelSource {
  std::string path;                  // empty: the model is in memory
  std::span<const std::byte> bytes;  // then here, alive as long as the model
  // What metadata say of the file's inputs and outputs. Formats that describe themselves ignore it (the caller
  // compares); .dla files need it.
  std::vector<IoInfo> inputs, outputs;

  std::string name() const { return path.empty() ? "(memory)" : path; }
};

// A loaded model. Used by one thread at a time, not always the same.
class Model {
 public:
  virtual ~Model() = default;
  const std::vector<IoInfo>& inputs() const { return inputs_; }
  const std::vector<IoInfo>& outputs() const { return outputs_; }
  // Inputs have exactly the types of inputs(). outputs[i].data, where not null, is memory of the right size: the result
  // goes there if the backend can place it, else outputs[i] becomes a tensor of its own or one of the model's that
  // lives until the next run.
  virtual Status run(std::span<const Tensor> inputs, std::span<Tensor> outputs) = 0;
  // What there is to tell about the last run, as a JSON object.
  virtual Json details() const;

 protected:
  std::vector<IoInfo> inputs_, outputs_;
};

struct Backend {
  std::string_view name;
  std::string_view doc;
  std::span<const std::string_view> options;  // keys it knows besides "threads"
  std::string_view suffix;                    // of the compiled files it takes: ".dla", ".om"; "": the written model
  Result<std::unique_ptr<Model>> (*load)(const ModelSource& source, const Options& options);
  // What npuport_backend_probe gives, without "backend".
  Json (*probe)(const Options& options);
};

// Rows linked in, in a fixed order; grows by add_backend only.
std::vector<const Backend*> backends();
// Null when there is none of that name.
const Backend* find_backend(std::string_view name);
// Adds a row of static storage; adding it again does nothing. Any thread.
void add_backend(const Backend& backend);

// The rows of this library.
const Backend& litert_backend();
const Backend& neuron_backend();
const Backend& ascend_backend();

}  // namespace npuport::runtime
