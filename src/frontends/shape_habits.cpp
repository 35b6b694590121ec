#include "frontends/shape_habits.h"

#include <algorithm>

#include "base/text.h"

namespace npuport {
namespace {

constexpr const char* kReads = "import.shape_reads";
constexpr const char* kOpen = "import.open_inputs";
constexpr std::ptrdiff_t kMostReads = 256;

// One line each; what a file says may hold anything.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return text;
}

template <class F>
void each_line(const Graph& g, const char* key, F f) {
  const auto it = g.metadata.find(key);
  if (it == g.metadata.end()) return;
  for (const std::string_view line : split(it->second, '\n'))
    if (!line.empty()) f(line);
}

}  // namespace

void note_shape_read(Graph& g, const Origin& place) {
  std::string& all = g.metadata[kReads];
  if (std::count(all.begin(), all.end(), '\n') >= kMostReads) return;
  const std::string line =
      one_line(place.scope) + "\t" + one_line(place.source) + "\t" + one_line(place.foreign) + "\n";
  if (!all.starts_with(line) && all.find("\n" + line) == std::string::npos) all += line;
}

void note_open_input(Graph& g, const std::string& input) { g.metadata[kOpen] += one_line(input) + "\n"; }

std::vector<Origin> shape_reads(const Graph& g) {
  std::vector<Origin> out;
  each_line(g, kReads, [&](std::string_view line) {
    const auto parts = split(line, '\t');
    if (parts.size() == 3) out.push_back({std::string(parts[0]), std::string(parts[1]), std::string(parts[2])});
  });
  return out;
}

std::vector<std::string> open_inputs(const Graph& g) {
  std::vector<std::string> out;
  each_line(g, kOpen, [&](std::string_view line) { out.emplace_back(line); });
  return out;
}

}  // namespace npuport
