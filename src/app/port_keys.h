// Keys of port steps: a hash over everything a step depends on, so that a later run repeats only what changed.
#pragma once

#include "app/port_steps.h"

namespace npuport::app {

// Grows while the run goes on: each step's key covers what came before it.
class StepKey {
 public:
  StepKey& add(std::string_view text);
  StepKey& add_file(const std::string& path);  // contents; a missing file counts as such
  std::string hex() const;

 private:
  std::string text_;
};

// Models, shapes, samples, gates, tool version: what importing depends on.
std::string import_key(const PortRun& run);
// Plus target, options and decisions.
std::string rewrite_key(const PortContext& c);
// Plus the task and its samples.
std::string task_key(const PortContext& c);

// Proofs and details as the state stores them, and back.
Json step_to_json(const PortStep& s);
Status step_from_json(const Json& j, PortStep& s);

// What the debug and write steps depend on beside rewrite_key.
std::string write_key(const PortContext& c);
// Plus the compiler that was configured: its path stands in the step's commands.
std::string compile_key(const PortContext& c);

// True when nothing that any step depends on changed since a run that finished, and all its files are as it left them;
// `steps` then holds that run's results.
bool nothing_to_do(PortContext& c, std::vector<PortStep>& steps);

// Takes verdict, proofs, files and details of an earlier run when the key still holds.
bool reuse(PortContext& c, const std::string& key, PortStep& s);
Status remember(PortContext& c, const std::string& key, const PortStep& s);

}  // namespace npuport::app
