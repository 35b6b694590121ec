// Step 7 of `port`: the vendor's compiler, or everything needed to run it elsewhere.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/artefacts.h"
#include "app/compile_tool.h"
#include "app/port_keys.h"
#include "app/port_opset.h"
#include "app/port_proof.h"
#include "app/port_refusal.h"
#include "app/port_steps.h"
#include "app/runtime_check.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

std::string compiled_name(const PortRun& run, const PartRun& p, const Driver& d) {
  const std::string soc = run.target.identity.contains("soc") ? run.target.identity.at("soc") : run.target.name;
  return fmt::format("models/{}_{}_{}_{}{}", p.spec->name, run.project.name, p.shape_tag, safe_file_name(soc),
                     driver_suffix(d, run.target));
}

// "DLA": how people call what the compiler makes.
std::string artefact_kind(const Driver& d, const Target& t) {
  std::string kind = driver_suffix(d, t).substr(1);
  for (char& ch : kind) ch = static_cast<char>(std::toupper(static_cast<unsigned char>(ch)));
  return kind;
}

CompileRequest request_of(const PortContext& c) {
  CompileRequest r;
  r.timeout = std::chrono::milliseconds(static_cast<int64_t>(c.run.options.compile_timeout * 1000));
  return r;
}

std::vector<CompileJob> jobs_of(const PortContext& c, const Driver& d) {
  std::vector<CompileJob> jobs;
  for (const PartRun& p : c.run.parts) {
    jobs.push_back({p.file_name, compiled_name(c.run, p, d), request_of(c)});
    jobs.back().request.model = c.run.path(p.file_name);
  }
  return jobs;
}

// What every flag of the command does.
Json flags_json(const Compiler& compiler, const std::vector<std::string>& argv) {
  Json out = Json::array();
  for (const FlagNote& n : compiler.driver->flag_notes())
    for (const std::string& word : argv)
      if (word == n.flag) out.push_back(Json{{"flag", word}, {"why", std::string(n.why)}});
  return out;
}

// File sizes; without the compiler an estimate, and it says so: weights as float16, everything else as written.
Json size_json(const PortRun& run, const PartRun& p, const std::string& compiled) {
  std::error_code ec;
  const uint64_t before = fs::file_size(run.path(p.file_name), ec);
  Json j{{"part", p.spec->name}, {"file", p.file_name}, {"bytes", before}};
  const bool real = !compiled.empty();
  const uint64_t weights = std::min<uint64_t>(static_cast<uint64_t>(std::max<int64_t>(p.weight_bytes, 0)), before);
  const uint64_t after = real                  ? fs::file_size(run.path(compiled), ec)
                         : run.options.float16 ? before
                                               : before - weights / 2;
  j["compiled_bytes"] = after;
  j["percent"] = before > 0 ? 100.0 * static_cast<double>(after) / static_cast<double>(before) : 0.0;
  j["estimate"] = !real;
  if (!real) j["note"] = "estimate: weights as float16, no compiler here";
  return j;
}

Status write_script(PortContext& c, const Compiler& compiler, PortStep& s) {
  NPU_ASSIGN(const std::string script,
             compile_script(compiler, c.run.target, jobs_of(c, *compiler.driver), "..", false));
  NPU_TRY(make_folders(c.run.path("scripts")));
  NPU_TRY(write_file(c.run.path("scripts/compile.sh"), script));
  std::error_code ec;
  fs::permissions(c.run.path("scripts/compile.sh"),
                  fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec, fs::perm_options::add, ec);
  s.files.push_back("scripts/compile.sh");
  if (!compiler.driver->files) return {};
  for (const CompileJob& j : jobs_of(c, *compiler.driver)) {
    CompileRequest r = j.request;
    r.model = j.model;
    r.output = j.output;
    r.work_folder = ".";
    r.look_into = j.request.model;
    NPU_ASSIGN(const auto files, compiler.driver->files(c.run.target, r));
    for (const auto& [name, text] : files) {
      NPU_TRY(write_file(c.run.path(name), text));
      s.files.push_back(name);
    }
  }
  return {};
}

Status compile_part(PortContext& c, const Compiler& compiler, PartRun& p, PortStep& s) {
  const std::string out = compiled_name(c.run, p, *compiler.driver);
  CompileRequest r = request_of(c);
  r.model = c.run.path(p.file_name);
  r.output = c.run.path(out);
  r.log = c.run.path("logs/" + safe_file_name(p.spec->name) + "_compile.log");
  r.work_folder = c.run.path(".npuport/compile");
  std::error_code ec;
  fs::remove_all(r.work_folder, ec);
  NPU_ASSIGN(const CompileOutcome o,
             compile(*compiler.driver, compiler.facts, c.run.target, r, c.run.path(".npuport/cache")));
  fs::remove_all(r.work_folder, ec);
  // Only a refusal of the graph is worth another opset or a hunt: not a crash, a time limit or a broken environment. A
  // log that nobody understands says nothing against it.
  const bool of_graph = o.verdict == CompileVerdict::refused && (o.cure == Cure::rewrite || o.cure == Cure::none);
  if (of_graph) {
    NPU_ASSIGN(c.again, lower_opset(c, compiler, p, o, s));
    if (c.again) return {};
  }
  Json j = to_json(o);
  // Relative names: the folder may move, and two runs must say the same.
  j["artefact"] = o.artefact.empty() ? "" : out;
  j["log"] = "logs/" + safe_file_name(p.spec->name) + "_compile.log";
  j.erase("seconds");
  j.erase("cached");
  s.details["parts"][p.spec->name] = std::move(j);
  if (!o.commands.empty()) s.details["flags"] = flags_json(compiler, o.commands.back());
  s.details["sizes"].push_back(size_json(c.run, p, o.artefact.empty() ? "" : out));
  if (o.verdict == CompileVerdict::accepted) {
    s.files.push_back(out);
    s.files.push_back("logs/" + safe_file_name(p.spec->name) + "_compile.log");
    return check_on_device(c, p, c.run.path(out), artefact_kind(*compiler.driver, c.run.target), s);
  }
  for (Diag& d : outcome_problems(o, compiler.tool, p.file_name)) s.problems.push_back(std::move(d));
  // A compiled model that runs elsewhere than asked stays for inspection; the step fails all the same.
  s.verdict = Verdict::fail;
  s.reason += fmt::format("{}{}: {} {}: {}", s.reason.empty() ? "" : "; ", p.spec->name, compiler.tool, name(o.verdict),
                          o.reason);
  if (of_graph && c.run.options.diagnose) return diagnose_refusal(c, *compiler.driver, compiler.facts, p, s);
  return {};
}

// The metadata name what this step compiled, with hashes: the runtime refuses a file that is another.
Status enter_compiled(PortContext& c, const PortStep& s) {
  std::vector<Artefact> list;
  for (const PartRun& p : c.run.parts) {
    const Json& parts = s.details.contains("parts") ? s.details["parts"] : s.details;
    if (!parts.contains(p.spec->name)) continue;
    const std::string file = parts[p.spec->name].value("artefact", "");
    if (std::find(s.files.begin(), s.files.end(), file) != s.files.end())
      list.push_back({fs::path(p.file_name).filename().string(), fs::path(file).filename().string()});
  }
  return enter_artefacts(c.folder, "models/" + c.run.project.name + "_metadata.json", list, true);
}

Status skip(PortContext& c, const Compiler& compiler, PortStep& s) {
  s.verdict = Verdict::skip;
  s.reason = artefact_kind(*compiler.driver, c.run.target) + " not built: " + compiler.tool + " not found";
  for (const CompileJob& job : jobs_of(c, *compiler.driver)) {
    CompileRequest r = job.request;
    r.model = job.model;
    r.output = job.output;
    r.work_folder = ".";
    r.look_into = job.request.model;
    NPU_ASSIGN(const auto commands, compile_commands(compiler, c.run.target, r));
    for (const auto& argv : commands) {
      const std::string line = shell_quote(argv);
      s.details["commands"].push_back(line);
      s.details["flags"] = flags_json(compiler, argv);
      c.run.app.log(0, "   would run: " + line);
    }
  }
  for (const PartRun& p : c.run.parts) s.details["sizes"].push_back(size_json(c.run, p, ""));
  return {};
}

Status bundle(PortContext& c, const Compiler& compiler, PortStep& s) {
  if (c.run.options.bundle.empty()) return {};
  std::vector<BundleFile> files;
  for (const PartRun& p : c.run.parts) files.push_back({c.run.path(p.file_name), p.file_name, ""});
  NPU_ASSIGN(const auto names, write_bundle(c.run.options.bundle, compiler, c.run.target, jobs_of(c, *compiler.driver),
                                            std::move(files)));
  s.details["bundle"] = Json{{"folder", c.run.options.bundle}, {"files", names}};
  return {};
}

}  // namespace

Result<PortStep> step_compile(PortContext& c) {
  PortStep s = make_step(7, "compile", "compile");
  s.verdict = Verdict::skip;
  const std::string key = compile_key(c);
  if (c.run.target.compiler.driver.empty()) {
    s.reason = "the target has no compiler";
    NPU_TRY(remember(c, key, s));
    return s;
  }
  if (c.run.options.bundle.empty() && reuse(c, key, s)) return s;
  NPU_TRY(c.folder.drop_from(7));
  NPU_ASSIGN(const Compiler compiler, find_compiler(c.run.app, c.run.target, c.run.target.format));
  NPU_TRY(write_script(c, compiler, s));
  if (compiler.here()) {
    s.verdict = Verdict::pass;
    s.details["tool"] =
        Json{{"name", compiler.tool}, {"path", compiler.facts.path}, {"version", compiler.facts.version}};
    for (PartRun& p : c.run.parts) {
      NPU_TRY(compile_part(c, compiler, p, s));
      if (c.again) return s;
    }
    const auto broken = [](const Proof& proof) { return proof.result.verdict == Verdict::fail; };
    if (s.verdict == Verdict::fail && std::none_of(s.proofs.begin(), s.proofs.end(), broken))
      s.reason =
          "the written files are proven, " + artefact_kind(*compiler.driver, c.run.target) + " not built: " + s.reason;
  } else {
    NPU_TRY(skip(c, compiler, s));
  }
  NPU_TRY(enter_compiled(c, s));
  NPU_TRY(bundle(c, compiler, s));
  NPU_TRY(remember(c, key, s));
  return s;
}

}  // namespace npuport::app
