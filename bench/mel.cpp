// bench_mel BINS [RUNS]: CPU milliseconds of one thread for the log-mel features of 30 s of noise in memory, buffers
// and filters made anew each time, as for a file of its own. Prints JSON: the lowest, the median, the first of the
// process.
#include "pipelines/whisper/mel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <random>

namespace {

using namespace npuport;
using namespace npuport::whisper;

double cpu_ms() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

bool features(const std::vector<float>& samples, size_t bins) {
  auto mel =
      MelWindows::open([&]() -> Result<std::unique_ptr<SampleSource>> { return sound_from_samples(samples); }, bins, 1);
  if (!mel) return false;
  const auto out = std::make_unique_for_overwrite<float[]>(bins * kFrames);
  return bool(mel->window(0, std::min(kFrames, mel->content_frames()), Padding::silence, {out.get(), bins * kFrames}));
}

}  // namespace

int main(int argc, char** argv) {
  const size_t bins = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 80;
  const size_t runs = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 200;
  std::mt19937 random(0);
  std::normal_distribution<float> noise(0, 0.1f);
  std::vector<float> samples(static_cast<size_t>(kSampleRate) * 30);
  for (float& s : samples) s = noise(random);
  std::vector<double> times;
  for (size_t i = 0; i < std::max<size_t>(1, runs); ++i) {
    const double start = cpu_ms();
    if (!features(samples, bins)) return 2;
    times.push_back(cpu_ms() - start);
  }
  const double first = times.front();
  std::sort(times.begin(), times.end());
  fmt::print(R"({{"bins":{},"lowest_ms":{:.4f},"median_ms":{:.4f},"first_ms":{:.4f}}})"
             "\n",
             bins, times.front(), times[times.size() / 2], first);
  return 0;
}
