#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "base/diag_codes.h"
#include "ir/npy.h"

namespace npuport::app {
namespace {

using Arrays = std::vector<std::pair<std::string, Tensor>>;

// --input NAME=FILE.npy pairs form one sample.
Result<SampleFile> sample_from_inputs(const std::vector<std::string>& options) {
  SampleFile s;
  s.path = "--input";
  for (const std::string& o : options) {
    const size_t eq = o.find('=');
    if (eq == std::string::npos || eq == 0)
      return Diag(diag::usage, "--input " + o + ": no NAME=", "write NAME=FILE.npy");
    NPU_ASSIGN(Tensor t, read_npy(o.substr(eq + 1)));
    s.arrays.emplace_back(o.substr(0, eq), std::move(t));
  }
  return s;
}

constexpr size_t kSlowestNodes = 10;

std::string name_of(const Node& n, const Graph& g) { return n.outputs.empty() ? "" : g.value(n.outputs[0]).name; }

Json profile_json(const std::vector<NodeTime>& times, const Graph& g) {
  Json j = Json::array();
  for (const NodeTime& t : times) {
    const Node& n = g.node(t.node);
    Json one{{"node", name_of(n, g)}, {"op", t.op}, {"kernel", t.kernel}, {"milliseconds", t.milliseconds}};
    if (!n.origins.empty()) {
      one["scope"] = n.origins.front().scope;
      one["source"] = n.origins.front().source;
    }
    j.push_back(std::move(one));
  }
  return j;
}

// The slowest nodes by themselves: value, shape, module and the user's source line.
std::string slowest_text(std::vector<NodeTime> times, const Graph& g) {
  const size_t shown = std::min(kSlowestNodes, times.size());
  std::partial_sort(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(shown), times.end(),
                    [](const NodeTime& a, const NodeTime& b) { return a.milliseconds > b.milliseconds; });
  std::string out = fmt::format("{:>10}  slowest nodes\n", "ms");
  for (size_t i = 0; i < shown; ++i) {
    const Node& n = g.node(times[i].node);
    out += fmt::format("{:>10.3f}  {} {}", times[i].milliseconds, times[i].op, name_of(n, g));
    if (!n.outputs.empty()) out += " " + to_string(g.type(n.outputs[0]));
    if (!n.origins.empty() && !n.origins.front().scope.empty()) out += "  " + n.origins.front().scope;
    if (!n.origins.empty() && !n.origins.front().source.empty()) out += " (" + n.origins.front().source + ")";
    out += "\n";
  }
  return out;
}

// Sums by operator and kernel, slowest first.
std::string profile_text(const std::vector<NodeTime>& times) {
  std::map<std::string, std::pair<double, int>> sums;
  double total = 0;
  for (const NodeTime& t : times) {
    auto& [ms, n] = sums[t.op + " (" + t.kernel + ")"];
    ms += t.milliseconds;
    ++n;
    total += t.milliseconds;
  }
  std::vector<std::pair<std::string, std::pair<double, int>>> rows(sums.begin(), sums.end());
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.first > b.second.first; });
  std::string out = fmt::format("{:>10}  {:>5}  {:>6}  operator (kernel)\n", "ms", "share", "nodes");
  for (const auto& [what, sum] : rows)
    out += fmt::format("{:>10.3f}  {:>4.0f}%  {:>6}  {}\n", sum.first, total > 0 ? 100 * sum.first / total : 0.0,
                       sum.second, what);
  return out;
}

void add_dumps(const std::vector<std::string>& wanted, const Graph& g, const Node& n, std::span<const Tensor> outputs,
               Arrays& dumped) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = g.value(n.outputs[i]).name;
    const bool take =
        std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) { return w == "all" || w == name; });
    if (take) dumped.emplace_back(name, outputs[i]);
  }
}

}  // namespace

CommandResult run_model(const App& app, const RunArgs& args) {
  ModelOptions options = args.options;
  if (!args.inputs.empty()) {
    NPU_ASSIGN(SampleFile s, sample_from_inputs(args.inputs));
    options.given.push_back(std::move(s));
  }
  NPU_ASSIGN(Runnable r, Runnable::open(app, args.model, options));
  std::vector<SampleFile> samples = std::move(options.given);
  if (!args.options.samples.empty()) {
    NPU_ASSIGN(samples, read_samples(args.options.samples));
  }
  if (samples.empty())
    return Diag(diag::usage, "nothing to run on", "give --samples FILE.npz or --input NAME=FILE.npy");

  Arrays dumped;
  ExecOptions exec;
  exec.threads = app.threads;
  exec.overrides = !args.reference;
  exec.profile = args.profile;
  if (!args.dump.empty())
    exec.observer = [&](NodeId, const Node& n, std::span<const Tensor> out) {
      add_dumps(args.dump, r.model().graph, n, out, dumped);
    };

  Outcome o;
  o.json["samples"] = Json::array();
  const std::vector<std::string> names = r.output_names();
  for (size_t i = 0; i < samples.size(); ++i) {
    NPU_ASSIGN(const std::vector<Tensor> inputs, bind_inputs(samples[i], r.inputs()));
    const auto start = std::chrono::steady_clock::now();
    NPU_ASSIGN(const std::vector<Tensor> outputs, r.run(inputs, exec));
    const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    Json entry{{"sample", samples[i].path}, {"milliseconds", ms}, {"outputs", Json::array()}};
    o.text += fmt::format("{}: {:.1f} ms\n", samples[i].path, ms);
    Arrays results;
    for (size_t k = 0; k < outputs.size(); ++k) {
      entry["outputs"].push_back(
          Json{{"name", names[k]}, {"dtype", std::string(long_name(outputs[k].dtype))}, {"shape", outputs[k].shape}});
      o.text += fmt::format("  {}: {} {}\n", names[k], long_name(outputs[k].dtype), to_string(outputs[k].shape));
      results.emplace_back("out." + std::to_string(k), outputs[k]);
    }
    if (args.profile) {
      entry["profile"] = profile_json(r.executor()->profile(), r.model().graph);
      o.text += profile_text(r.executor()->profile()) +
                escape_terminal(slowest_text(r.executor()->profile(), r.model().graph));
    }
    // What the graph calls out.K is there already, in the model's own layout.
    for (auto& [name, value] : dumped)
      if (std::none_of(results.begin(), results.end(), [&](const auto& r0) { return r0.first == name; }))
        results.emplace_back(name, std::move(value));
    dumped.clear();
    if (!args.output.empty()) {
      std::string file = args.output;
      if (samples.size() > 1) {  // R.npz → R.0.npz, R.1.npz …
        const size_t dot = file.ends_with(".npz") ? file.size() - 4 : file.size();
        file = file.substr(0, dot) + "." + std::to_string(i) + ".npz";
      }
      NPU_TRY(write_npz(file, results));
      entry["file"] = file;
    }
    o.json["samples"].push_back(std::move(entry));
  }
  return o;
}

}  // namespace npuport::app
