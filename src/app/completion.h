// Shell completion, generated from the command line's own tree of verbs and options.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace npuport::app {

struct CompletionOption {
  std::vector<std::string> names;  // "-o", "--output"
  std::string description;
  bool takes_value = false;
  std::vector<std::string> choices;  // of the value; empty: a file name
};

struct CompletionVerb {
  std::string name, description;
  std::vector<CompletionOption> options;
};

// Script for "bash", "zsh" or "fish"; `usage` for another shell. `global`: options before or after any verb.
Result<std::string> completion_script(const std::string& shell, const std::vector<CompletionVerb>& verbs,
                                      const std::vector<CompletionOption>& global);

}  // namespace npuport::app
