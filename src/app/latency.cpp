#include "app/latency.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/diag.h"
#include "base/text.h"

namespace npuport::app {

double millis_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

Json latency_json(const std::vector<double>& millis) {
  return Json{{"count", millis.size()},
              {"p50", percentile(millis, 0.5)},
              {"p90", percentile(millis, 0.9)},
              {"p99", percentile(millis, 0.99)}};
}

std::string latency_line(const std::string& what, const Json& latency, int width) {
  return fmt::format("  {:{}} p50 {:.1f}  p90 {:.1f}  p99 {:.1f}  of {}\n", what, width, latency["p50"].get<double>(),
                     latency["p90"].get<double>(), latency["p99"].get<double>(), latency["count"].get<size_t>());
}

std::string machine_name() {
  utsname host{};
  uname(&host);
  std::string processor = "processor unknown";
  std::ifstream cpus("/proc/cpuinfo");
  for (std::string line; std::getline(cpus, line);)
    if (line.starts_with("model name") && line.find(':') != std::string::npos) {
      processor = trim(std::string_view(line).substr(line.find(':') + 1));
      break;
    }
  return fmt::format("{}, {} cores, {} {}", escape_terminal(processor), std::thread::hardware_concurrency(),
                     host.sysname, host.machine);
}

int64_t peak_memory_bytes() {
  // getrusage's figure outlives exec: a large program that starts this one would be counted.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6) * 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

}  // namespace npuport::app
