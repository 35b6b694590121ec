// Times one model in npuport's executor:  bench_exec MODEL SAMPLE.npz THREADS SECONDS [--profile]
// Prints one JSON object: medians of wall and CPU milliseconds per run, memory, largest difference from the sample's
// outputs.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>

#include "exec/executor.h"
#include "frontends/frontend.h"
#include "ir/npy.h"
#include "ops/manifest.h"

namespace {

using namespace npuport;

double wall_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu_ms() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

double peak_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

struct Arguments {
  std::string model, sample;
  int threads = 1;
  double seconds = 2;
  bool profile = false;
};

// Largest |Δ| against out.K of the sample; partial baselines (out.K.index) are left out.
double largest_difference(const std::vector<Tensor>& got, const NamedTensors& sample) {
  double worst = 0;
  for (size_t k = 0; k < got.size(); ++k) {
    for (const auto& [name, want] : sample) {
      if (name != fmt::format("out.{}", k) || want.shape != got[k].shape) continue;
      for (int64_t i = 0; i < want.count(); ++i)
        worst = std::max(worst, std::abs(get_double(got[k], i) - get_double(want, i)));
    }
  }
  return worst;
}

// The best time of each step so far: on a busy machine the runs that nothing interrupted.
void keep_best(std::vector<NodeTime>& best, const std::vector<NodeTime>& times) {
  if (best.empty()) best = times;
  for (size_t i = 0; i < best.size(); ++i) best[i].milliseconds = std::min(best[i].milliseconds, times[i].milliseconds);
}

// Steps that take a hundredth of the whole or more, with the shapes of their node.
void print_steps(const Graph& g, const std::vector<NodeTime>& times) {
  double all = 0;
  for (const NodeTime& t : times) all += t.milliseconds;
  for (const NodeTime& t : times) {
    if (t.milliseconds < all / 100) continue;
    const bool known = t.node.v < g.node_slots() && g.node(t.node).alive;
    std::string shapes;
    for (const ValueId v : known ? g.node(t.node).inputs : std::vector<ValueId>{})
      shapes += v.valid() ? fmt::format(" [{}]", fmt::join(g.shape(v), ",")) : " -";
    fmt::print(stderr, "{:9.3f} ms  {} {} {}{}\n", t.milliseconds, t.op, t.kernel,
               known ? g.node(t.node).op->name : std::string_view(), shapes);
  }
}

void print_profile(const std::vector<NodeTime>& times) {
  std::map<std::string, std::pair<double, int>> by_kernel;
  for (const NodeTime& t : times) {
    auto& [sum, count] = by_kernel[t.op + " " + t.kernel];
    sum += t.milliseconds;
    ++count;
  }
  std::vector<std::pair<double, std::string>> rows;
  for (const auto& [name, row] : by_kernel)
    rows.emplace_back(row.first, fmt::format("{:9.3f} ms  {:4} x  {}\n", row.first, row.second, name));
  std::sort(rows.rbegin(), rows.rend());
  for (const auto& [ms, line] : rows) fmt::print(stderr, "{}", line);
}

Status measure(const Arguments& a) {
  NPU_ASSIGN(const NamedTensors sample, read_npz(a.sample));
  ImportOptions import;
  std::vector<Tensor> inputs;
  for (const auto& [name, t] : sample) {
    if (!name.starts_with("in.")) continue;
    InputSpec spec;
    spec.type = {t.dtype, t.shape, nullptr};
    import.inputs.push_back(std::move(spec));
    inputs.push_back(t);
  }
  const double start = wall_ms();
  NPU_ASSIGN(const ImportedModel model, import_model(a.model, import));
  const double imported = wall_ms();
  ExecOptions options;
  options.threads = a.threads;
  options.profile = a.profile;
  NPU_ASSIGN(Executor executor, Executor::create(model.graph, options));
  const double planned = wall_ms();
  NPU_ASSIGN(std::vector<Tensor> outputs, executor.run(inputs));
  const double difference = largest_difference(outputs, sample);
  std::vector<double> wall, cpu;
  std::vector<NodeTime> best;
  for (double begin = wall_ms(); wall.size() < 3 || (wall_ms() - begin < a.seconds * 1e3 && wall.size() < 1000);) {
    const double w = wall_ms(), c = cpu_ms();
    outputs.clear();  // the peers keep no results of the run before either
    NPU_ASSIGN(outputs, executor.run(inputs));
    wall.push_back(wall_ms() - w);
    cpu.push_back(cpu_ms() - c);
    if (a.profile) keep_best(best, executor.profile());
  }
  fmt::print(
      "{{\"wall_ms\": {:.3f}, \"cpu_ms\": {:.3f}, \"runs\": {}, \"import_ms\": {:.1f}, \"plan_ms\": {:.1f}, "
      "\"arena_mb\": {:.1f}, \"peak_mb\": {:.0f}, \"max_diff\": {:.3e}}}\n",
      median(wall), median(cpu), wall.size(), imported - start, planned - imported,
      static_cast<double>(executor.arena_bytes()) / 1048576, peak_mb(), difference);
  if (a.profile) {
    print_steps(model.graph, best);
    print_profile(best);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fputs("usage: bench_exec MODEL SAMPLE.npz THREADS SECONDS [--profile]\n", stderr);
    return 2;
  }
  ops::register_all();
  Arguments a{argv[1], argv[2], std::atoi(argv[3]), std::atof(argv[4]),
              argc > 5 && std::string_view(argv[5]) == "--profile"};
  Status done = measure(a);
  if (done) return 0;
  fmt::print(stderr, "{}\n", to_text(done.error()));
  return done.error().code->exit_code;
}
