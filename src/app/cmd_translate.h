// The verb `translate`: lines of text to another language.
#pragma once

#include "app/app.h"

namespace npuport::app {

struct TranslateArgs {
  std::vector<std::string> texts;  // sentences; or
  std::string input;               // a text file, a sentence per line; "-" = stdin
  std::string model, backend;
  int beams = 1;
  std::string reference;      // expected translations, one per line
  std::string debug_outputs;  // folder for .npy of the first sentence
  int benchmark = 0;          // repetitions; 0 = no figures
};
CommandResult translate(const App& app, const TranslateArgs& args);

}  // namespace npuport::app
