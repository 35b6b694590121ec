// One open model: buffers, runs, times, the rule of one thread at a time. Internal; c_api.cpp gives it its C face.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/io_contract.h"
#include "runtime/backend.h"

namespace npuport::runtime {

// What a session runs besides the model file: the contract that gives it the model's original interface.
struct Interface {
  IoContract contract;                                        // tables loaded
  std::map<std::string, std::shared_ptr<Model>> step_models;  // "graph" steps by file name
};

class Session {
 public:
  // `interface` empty: the file's own inputs and outputs. `corrupt` when the loaded file's inputs and outputs are not
  // those `source` names; the backend's errors.
  static Result<std::shared_ptr<Session>> open(const Backend& backend, const ModelSource& source,
                                               const Options& options, std::optional<Interface> interface);
  ~Session();

  const Backend& backend() const { return backend_; }
  const std::vector<IoInfo>& inputs() const { return inputs_; }
  const std::vector<IoInfo>& outputs() const { return outputs_; }

  Status set_input(size_t i, const void* data, size_t bytes);
  Status get_output(size_t i, void* data, size_t bytes);
  Result<std::span<std::byte>> input_buffer(size_t i);
  Result<std::span<const std::byte>> output_buffer(size_t i);
  Status bind_input(size_t i, const void* data, size_t bytes);
  Status bind_output(size_t i, void* data, size_t bytes);
  Status run(uint32_t timeout_ms);
  Result<npuport_profile> profile();
  Result<std::string> details();

  // Forbids further calls; busy when one is under way (not counting a run that timed out).
  Status shut();

  void remember(Diag error);  // as the session's last error
  std::optional<Diag> last_error() const;

  // Text kept for the caller of npuport_session_profile_json.
  std::string text;

 private:
  struct Core;
  explicit Session(const Backend& backend) : backend_(backend) {}
  Status allocate();
  Status index(size_t i, const std::vector<IoInfo>& list, const char* what) const;
  Status size(const IoInfo& info, const void* data, size_t bytes) const;
  Result<std::span<const std::byte>> result(size_t i) const;
  std::vector<Tensor> current_inputs(bool copy) const;
  Status take_outputs(std::vector<Tensor> results);

  const Backend& backend_;
  std::vector<IoInfo> inputs_, outputs_;
  std::shared_ptr<Core> core_;         // shared with a run in the background
  std::vector<Tensor> own_;            // the inputs' own buffers
  std::vector<const void*> bound_in_;  // null: own_
  std::vector<void*> bound_out_;       // null: the backend's memory
  std::vector<Tensor> results_;        // of the last run; empty before it
  npuport_profile profile_{};
  double total_ms_ = 0;
  mutable std::mutex error_mutex_;
  std::optional<Diag> error_;
};

}  // namespace npuport::runtime
