// Figures of --benchmark and of reports: latencies and memory of this process.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/json.h"

namespace npuport::app {

using Clock = std::chrono::steady_clock;
double millis_since(Clock::time_point start);

// The smallest of `values` that at least `share` (0…1) of them do not exceed (nearest rank); 0 without values.
double percentile(std::vector<double> values, double share);
// {"count", "p50", "p90", "p99"} of milliseconds.
Json latency_json(const std::vector<double>& millis);
// One line of a person's table: `what` in `width` columns, then the figures of latency_json.
std::string latency_line(const std::string& what, const Json& latency, int width);
// "PROCESSOR, 2 cores, Linux x86_64": what a figure was measured on.
std::string machine_name();
// The most memory this process held at any time so far, in bytes.
int64_t peak_memory_bytes();

}  // namespace npuport::app
