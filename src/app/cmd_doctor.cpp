#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "app/commands.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "drivers/driver.h"
#include "runtime/npuport_runtime_host.h"

namespace npuport::app {
namespace {

using namespace std::chrono_literals;

// An external program npuport can use, and how to ask for its version; the compilers' drivers know that themselves.
struct Tool {
  const char* name;
  const char* purpose;
  std::vector<std::string> version_args;
  const char* without;  // what is off when it is missing
};

const std::vector<Tool>& tools() {
  static const std::vector<Tool> list = {
      {"python",
       "PyTorch helper: trace checkpoints, make baselines",
       {"-c", "import torch, sys; print('Python', sys.version.split()[0], 'PyTorch', torch.__version__)"},
       "`trace`; ports from .pt archives need no Python"},
      {"litert-python",
       "runs written .tflite files by LiteRT",
       {"-c", "import ai_edge_litert, importlib.metadata as m; print('ai-edge-litert', m.version('ai-edge-litert'))"},
       "the LiteRT check of step 5"},
      {"onnxruntime-python",
       "runs written .onnx files by ONNX Runtime",
       {"-c", "import onnxruntime; print('onnxruntime', onnxruntime.__version__)"},
       "the ONNX Runtime check of step 5"},
      {"device-runner",
       "runs compiled files where their NPU is: PATH MODEL IN.npz OUT.npz",
       {"--version"},
       "the check of compiled files against PyTorch in step 7"},
  };
  return list;
}

struct Finding {
  std::string state, version;
};

// What is off without a compiler: step 7 for the targets that need it.
std::string targets_of(const Driver& d) {
  std::vector<std::string> names;
  for (const std::string& t : builtin_targets())
    if (const Result<Target> target = load_target(t); target && target->compiler.driver == d.name) names.push_back(t);
  return names.empty() ? "`compile --driver " + std::string(d.name) + "`"
                       : "step 7 of port and `compile` for " + join(names, ", ");
}

Finding probe(const Driver& d, const std::string& path) {
  if (path.empty()) return {"not configured", ""};
  const Result<ToolFacts> facts = d.probe(path);
  if (!facts) return {"not usable: " + facts.error().message, ""};
  std::string version = facts->version.empty() ? "version unknown" : facts->version;
  if (const auto note = facts->abilities.find("note"); note != facts->abilities.end() && !note->second.empty())
    version += " (" + note->second + ")";
  return {"ok", version};
}

Finding probe(const Tool& tool, const std::string& path) {
  if (path.empty()) return {"not configured", ""};
  ProcessOptions p;
  p.argv = {path};
  p.argv.insert(p.argv.end(), tool.version_args.begin(), tool.version_args.end());
  p.timeout = 30s;
  const Result<ProcessResult> r = run_process(p);
  if (!r) return {"cannot start: " + r.error().message, ""};
  if (!r->ok()) {
    // A Python without the package says so in its last line.
    const std::string_view said = trim(r->err);
    const std::string why(said.substr(said.rfind('\n') == std::string_view::npos ? 0 : said.rfind('\n') + 1));
    return {"not usable: " + (why.empty() ? describe(*r) : why.substr(0, 200)), ""};
  }
  const std::string& text = trim(r->out).empty() ? r->err : r->out;
  return {"ok", std::string(trim(text.substr(0, text.find('\n'))))};
}

// The runtime's backends: which of them find their libraries here.
void add_backends(Outcome& o) {
  npuport_runtime_host_register();
  o.json["backends"] = Json::array();
  o.text += "backends of the runtime\n";
  for (size_t i = 0; i < npuport_backend_count(); ++i) {
    const char* text = npuport_backend_probe(npuport_backend_name(i), nullptr, 0);
    const Result<Json> probed = parse_json(text ? text : "", "backend");
    if (!probed) continue;
    const Json& j = *probed;
    const auto field = [&](const char* key) { return j.value(key, std::string()); };
    const bool usable = j.value("usable", false);
    o.text += fmt::format("{:<14} {:<16} {}\n", field("backend"), usable ? "ok" : "not usable",
                          trim(fmt::format("{} {} {}", field("version"), field("library"), field("detail"))));
    if (!usable) o.text += fmt::format("    {}\n", field("hint"));
    o.json["backends"].push_back(j);
  }
}

}  // namespace

CommandResult doctor(const App& app) {
  Outcome o;
  o.json["npuport"] = version();
  o.json["cores"] = std::thread::hardware_concurrency();
  o.json["tools"] = Json::array();
  o.text = fmt::format("npuport {}, {} cores\n", version(), std::thread::hardware_concurrency());
  const auto add = [&](const std::string& name, const std::string& purpose, const std::string& without,
                       const std::string& path, const Finding& f) {
    const std::string variable = tool_variable(name);
    o.json["tools"].push_back(Json{{"name", name},
                                   {"purpose", purpose},
                                   {"path", path},
                                   {"state", f.state},
                                   {"version", f.version},
                                   {"variable", variable},
                                   {"without_it", without}});
    o.text += fmt::format("{:<14} {:<16} {}\n", name, f.state, f.version.empty() ? path : f.version + " at " + path);
    if (f.state != "ok")
      o.text += fmt::format("    {}; off without it: {}\n    set --tool {}=PATH or {}=PATH\n", purpose, without, name,
                            variable);
  };
  for (const Tool& tool : tools()) {
    const std::string path = tool_path(app, tool.name);
    add(tool.name, tool.purpose, tool.without, path, probe(tool, path));
  }
  for (const Driver& d : drivers()) {
    if (d.tool.empty()) continue;
    const std::string path = tool_path(app, std::string(d.tool));
    add(std::string(d.tool), std::string(d.doc), targets_of(d), path, probe(d, path));
  }
  add_backends(o);
  return o;
}

}  // namespace npuport::app
