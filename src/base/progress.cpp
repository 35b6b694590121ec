#include "base/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/diag.h"
#include "base/text.h"

namespace npuport {
namespace {

bool smart_terminal(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return ::isatty(::fileno(stream)) != 0 && !(term && std::string_view(term) == "dumb");
}

size_t columns_of(std::FILE* stream) {
  winsize size = {};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

// At most `columns` characters, counted as code points.
std::string clip(const std::string& text, size_t columns) {
  size_t used = 0;
  size_t i = 0;
  while (i < text.size() && used < columns) {
    i += std::max<size_t>(1, utf8_length(std::string_view(text).substr(i)));
    ++used;
  }
  return text.substr(0, i);
}

}  // namespace

bool wants_colour(std::FILE* stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  return smart_terminal(stream) && !(no_colour && *no_colour);
}

Progress::Progress(std::string title, bool quiet, std::FILE* stream)
    : title_(std::move(title)),
      stream_(stream),
      enabled_(!quiet && smart_terminal(stream)),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { clear(); }

void Progress::update(double fraction, std::string_view what) {
  using namespace std::chrono_literals;
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - start_ < 1s || (shown_ && now - last_ < 100ms)) return;
  std::string line = title_;
  if (fraction >= 0) line += fmt::format(" {:3.0f}%", 100 * std::min(fraction, 1.0));
  if (!what.empty()) line += " " + std::string(what);
  std::string safe = escape_terminal(line);
  std::replace(safe.begin(), safe.end(), '\n', ' ');
  std::replace(safe.begin(), safe.end(), '\t', ' ');
  fmt::print(stream_, "\r\x1b[K{}", clip(safe, columns_of(stream_) - 1));
  std::fflush(stream_);
  last_ = now;
  shown_ = true;
}

void Progress::clear() {
  if (!shown_) return;
  fmt::print(stream_, "\r\x1b[K");
  std::fflush(stream_);
  shown_ = false;
}

}  // namespace npuport
