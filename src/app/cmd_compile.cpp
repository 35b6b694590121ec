#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/artefacts.h"
#include "app/commands.h"
#include "app/compile_tool.h"
#include "app/output_folder.h"
#include "base/diag_codes.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "drivers/tool_run.h"
#include "frontends/frontend.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

// "tflite" from the file itself; a file of no known format by its name (a vendor's own format).
std::string format_of(const std::string& file) {
  const Result<const Frontend*> frontend = frontend_for(file);
  if (frontend) return std::string(frontend.value()->format);
  const std::string suffix = fs::path(file).extension().string();
  return suffix.empty() ? "" : suffix.substr(1);
}

Result<CompileRequest> request_of(const CompileArgs& args) {
  CompileRequest r;
  r.model = args.file;
  r.profile = args.profile;
  r.drop = args.drop;
  r.timeout = std::chrono::milliseconds(static_cast<int64_t>(args.timeout * 1000));
  r.memory_limit = args.memory_mb << 20;
  for (const std::string& text : args.extra) {
    NPU_ASSIGN(const std::vector<std::string> words, split_words(text));
    r.extra.insert(r.extra.end(), words.begin(), words.end());
  }
  for (const std::string& s : args.settings) {
    const size_t eq = s.find('=');
    if (eq == std::string::npos || eq == 0)
      return Diag(diag::usage, "--set " + s + " is not KEY=VALUE",
                  "for example --set precision_mode=allow_mix_precision");
    r.options[s.substr(0, eq)] = s.substr(eq + 1);
  }
  return r;
}

// The artefact's name: MODEL_SOC.dla.
std::string artefact_name(const CompileArgs& args, const Target& target, const Driver& d) {
  const auto soc = target.identity.find("soc");
  return safe_file_name(fs::path(args.file).stem().string()) + "_" +
         safe_file_name(soc == target.identity.end() ? target.name : soc->second) + driver_suffix(d, target);
}

CommandResult dry_run(const Compiler& c, const Target& target, const CompileRequest& r) {
  NPU_ASSIGN(const auto commands, compile_commands(c, target, r));
  std::map<std::string, std::string> files;  // settings that go into a script are checked as well
  if (c.driver->files) {
    NPU_ASSIGN(files, c.driver->files(target, r));
  }
  Outcome o;
  o.json = Json{{"verdict", "skipped"}, {"tool", c.tool}, {"path", c.facts.path}, {"commands", commands}};
  if (!files.empty()) o.json["files"] = files;
  const std::map<std::string, std::string> env = c.driver->added_environment(c.facts);
  o.json["environment"] = env;
  for (const auto& argv : commands) {
    std::string line;
    for (const auto& [key, value] : env) line += key + "=" + shell_quote({value}) + " ";
    o.text += line + shell_quote(argv) + "\n";
  }
  return o;
}

CommandResult bundle(const Compiler& c, const Target& target, const CompileArgs& args, const CompileRequest& r) {
  const std::string stem = safe_file_name(fs::path(args.file).stem().string());
  const std::string model = stem + fs::path(args.file).extension().string();
  const std::vector<CompileJob> jobs{{safe_file_name(model), artefact_name(args, target, *c.driver), r}};
  NPU_ASSIGN(const std::vector<std::string> files,
             write_bundle(args.bundle, c, target, jobs, {{args.file, jobs[0].model, ""}}));
  Outcome o;
  o.json = Json{{"verdict", "skipped"}, {"tool", c.tool}, {"bundle", args.bundle}, {"files", files}};
  o.text = fmt::format("{}: {} files; there: {}=PATH sh compile.sh\n", args.bundle, files.size(),
                       tool_variable(c.tool).substr(8));
  return o;
}

Json sizes(const std::string& model, const std::string& artefact) {
  std::error_code ec;
  const uint64_t before = fs::file_size(model, ec), after = artefact.empty() ? 0 : fs::file_size(artefact, ec);
  Json j{{"model_bytes", before}};
  if (after > 0) {
    j["artefact_bytes"] = after;
    j["percent"] = before > 0 ? 100.0 * static_cast<double>(after) / static_cast<double>(before) : 0.0;
  }
  return j;
}

// Where a compiled file is entered when it lands beside a port's metadata.
struct PortEntry {
  std::string metadata;              // relative to `port`, or to the folder itself without one; empty: no metadata
  std::optional<OutputFolder> port;  // the port whose models/ this is, locked; none for a copy of models/ alone
};

Result<PortEntry> port_entry(const std::string& folder, const std::string& model) {
  PortEntry e;
  e.metadata = metadata_of(folder, model);
  std::error_code ec;
  const fs::path models = fs::canonical(folder, ec);
  const std::string above = models.parent_path().string();
  if (e.metadata.empty() || ec || models.filename() != "models" || !fs::exists(above + "/.npuport/state.json", ec))
    return e;
  e.metadata = "models/" + e.metadata;
  NPU_ASSIGN(OutputFolder port, OutputFolder::open(above));
  e.port.emplace(std::move(port));
  return e;
}

}  // namespace

CommandResult compile_model(const App& app, const CompileArgs& args) {
  NPU_ASSIGN(const Target target, load_target(args.target));
  NPU_ASSIGN(CompileRequest r, request_of(args));
  std::error_code ec;
  if (!fs::is_regular_file(args.file, ec))
    return Diag(diag::file_not_found, "there is no such file", "check the path").in_file(args.file);
  NPU_ASSIGN(const Compiler c, find_compiler(app, target, format_of(args.file), args.driver));
  const std::string folder = args.output.empty() ? "." : args.output;
  r.output = (fs::path(folder) / artefact_name(args, target, *c.driver)).lexically_normal().string();
  r.work_folder = (fs::path(folder) / ".npuport/compile").lexically_normal().string();
  r.log = r.output + ".log";
  if (args.dry_run) return dry_run(c, target, r);
  if (!args.bundle.empty()) return bundle(c, target, args, r);
  if (!c.here()) return compiler_missing(c);

  NPU_ASSIGN(OutputFolder lock, OutputFolder::open(folder));
  NPU_ASSIGN(PortEntry entry, port_entry(folder, args.file));
  fs::remove_all(r.work_folder, ec);
  const std::string cache = args.cache.empty() ? folder + "/.npuport/cache" : args.cache;
  NPU_ASSIGN(const CompileOutcome made, compile(*c.driver, c.facts, target, r, args.no_cache ? "" : cache));
  fs::remove_all(r.work_folder, ec);
  Outcome o;
  o.exit_code = made.verdict == CompileVerdict::accepted ? 0 : 1;
  o.json = to_json(made);
  o.json["tool"] = Json{{"name", c.tool}, {"path", c.facts.path}, {"version", c.facts.version}};
  o.json["size"] = sizes(args.file, made.artefact);
  o.json["problems"] = Json::array();
  for (const Diag& d : outcome_problems(made, c.tool, args.file)) o.json["problems"].push_back(diag_json(d));
  o.text = outcome_text(made);
  if (!entry.metadata.empty() && made.verdict == CompileVerdict::accepted) {
    const Artefact a{fs::path(args.file).filename().string(), fs::path(r.output).filename().string()};
    NPU_TRY(enter_artefacts(entry.port ? *entry.port : lock, entry.metadata, {a}, false));
    o.json["metadata"] = entry.metadata;
  }
  if (!made.artefact.empty()) {
    const Json& s = o.json["size"];
    o.text += fmt::format("{} ({}, {:.1f} % of the model)\n", r.output,
                          format_bytes(s["artefact_bytes"].get<uint64_t>()), s["percent"].get<double>());
  } else {
    for (const Diag& d : outcome_problems(made, c.tool, args.file)) {
      o.text += "next: " + d.hint + "\n";
      break;
    }
  }
  o.text = escape_terminal(o.text) + "log: " + r.log + "\n";
  return o;
}

}  // namespace npuport::app
