// The verb `transcribe`: sound files to text.
#pragma once

#include "app/app.h"

namespace npuport::app {

struct TranscribeArgs {
  std::vector<std::string> audio;
  std::string model, backend, vocabulary;
  std::string language, task = "transcribe";  // language: code, English name, "auto"; empty = the model's default
  std::string decoder = "auto";               // auto, full, kv
  std::string format = "text";                // text, json, srt, vtt
  std::string output;                         // folder for one file per sound; empty = stdout
  std::string timestamps;                     // on, off; empty = the model's default
  std::vector<double> temperatures;           // empty = the model's
  std::string debug_outputs;                  // folder for .npy of the first window
  std::string compare_debug;                  // folder of such files to compare with
  std::string baseline;                       // transcripts to compare with
  int benchmark = 0;                          // repetitions; 0 = no figures
};
CommandResult transcribe(const App& app, const TranscribeArgs& args);

}  // namespace npuport::app
