// One line of progress on a terminal; silent in pipes, in --quiet runs and for anything shorter than a second.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace npuport {

// True when `stream` is a terminal that wants colour (NO_COLOR unset or empty, TERM not "dumb").
bool wants_colour(std::FILE* stream);

class Progress {
 public:
  // `quiet` switches it off whatever stderr is. `stream` must outlive the object.
  explicit Progress(std::string title, bool quiet = false, std::FILE* stream = stderr);
  ~Progress();  // removes the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `fraction` in [0, 1], negative when unknown; `what` is shown behind it. Redraws at most ten times a second.
  void update(double fraction, std::string_view what = {});
  void clear();

 private:
  std::string title_;
  std::FILE* stream_;
  bool enabled_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace npuport
