#include "app/compile_tool.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

// "ncc-tflite" → "NCC_TFLITE": what scripts take the tool's path from.
std::string script_variable(const std::string& tool) {
  std::string v = tool_variable(fs::path(tool).filename().string());
  return v.substr(std::string_view("NPUPORT_").size());
}

std::string next_step(Cure cure, const std::string& model) {
  switch (cure) {
    case Cure::rewrite:
      return "`npuport diagnose` finds every culprit and the smallest rewrite; `npuport analyze` lists the rules this "
             "operator meets";
    case Cure::file:
      return "the model file itself is at fault: write it again (`npuport convert`, or `port` from step 5)";
    case Cure::environment:
      return "check the tool's own surroundings: its libraries, licence, memory, Python packages";
    case Cure::options:
      return "an argument is at fault: see the tool's --help and the log";
    case Cure::none:
      break;
  }
  return "see the complete log; `npuport diagnose " + model + "` finds out by dividing the model";
}

Status copy_into(const BundleFile& f, const std::string& path) {
  NPU_TRY(make_folders(fs::path(path).parent_path().string()));
  if (f.source.empty()) return write_file(path, f.text);
  std::error_code ec;
  fs::copy_file(f.source, path, fs::copy_options::overwrite_existing, ec);
  if (ec)
    return Diag(diag::not_writable, "cannot copy " + f.source + ": " + ec.message(), "free some space").in_file(path);
  return {};
}

std::string bundle_readme(const Compiler& c, const Target& target, const std::vector<CompileJob>& jobs) {
  const std::string variable = script_variable(c.tool);
  std::string out = fmt::format(
      "Compile for {} elsewhere\n\nThis folder holds everything the compiler {} needs. On a machine that has it:\n\n"
      "  {}=/path/to/{} sh compile.sh\n\nThe script checks the files against SHA256SUMS, runs the commands below, and "
      "says "
      "whether each\nresult is there. Logs end in .log.\n\n",
      target.title, c.tool, variable, c.tool);
  for (const CompileJob& j : jobs) out += "  " + j.model + " -> " + j.output + "\n";
  return out + "\nCompiled does not mean correct: compare the result's outputs with the samples of the port.\n";
}

}  // namespace

Result<Compiler> find_compiler(const App& app, const Target& target, std::string_view format,
                               const std::string& driver) {
  Compiler c;
  if (driver.empty()) {
    NPU_ASSIGN(c.driver, driver_for(target, format));
  } else {
    c.driver = find_driver(driver);
    if (!c.driver) {
      std::vector<std::string> names;
      for (const Driver& d : drivers()) names.emplace_back(d.name);
      return Diag(diag::usage, "there is no driver '" + driver + "'", "there are " + join(names, ", "));
    }
  }
  c.tool = driver_tool(*c.driver, target);
  std::string path = tool_path(app, c.tool);
  // A command of the user's own target file may name its program by path.
  if (path.empty() && c.tool.find('/') != std::string::npos) path = std::filesystem::absolute(c.tool).string();
  if (path.empty()) return c;
  NPU_ASSIGN(c.facts, c.driver->probe(path));
  return c;
}

Diag compiler_missing(const Compiler& c) {
  return Diag(
      diag::tool_missing, "the compiler " + c.tool + " is not configured (" + std::string(c.driver->doc) + ")",
      fmt::format("give --tool {}=PATH or set {}; --dry-run prints the command, --bundle DIR packs everything for "
                  "another machine",
                  c.tool, tool_variable(c.tool)));
}

Result<std::vector<std::vector<std::string>>> compile_commands(const Compiler& c, const Target& target,
                                                               const CompileRequest& request) {
  ToolFacts tool = c.facts;
  if (tool.path.empty()) tool.path = c.tool;
  return c.driver->commands(tool, target, request);
}

Result<std::string> compile_script(const Compiler& c, const Target& target, const std::vector<CompileJob>& jobs,
                                   const std::string& up, bool checked) {
  const std::string variable = script_variable(c.tool);
  std::string out = fmt::format(
      "#!/bin/sh\n# The vendor commands of this port. Set {0} to the path of {1}.\nset -u\ntool=${{{0}:-{1}}}\n"
      "case \"$tool\" in */*) tool=$(cd \"$(dirname \"$tool\")\" && pwd)/$(basename \"$tool\");; esac\n"
      "cd \"$(dirname \"$0\")/{2}\" || exit 3\n"
      "command -v \"$tool\" >/dev/null || {{ echo \"error: $tool is not there: set {0}\" >&2; exit 3; }}\n",
      variable, fs::path(c.tool).filename().string(), up);
  if (checked)
    out += "sha256sum -c SHA256SUMS >/dev/null || { echo 'error: the files were damaged on the way' >&2; exit 2; }\n";
  if (!c.driver->added_environment({"x/bin/tool", "", "", {}}).empty())
    out +=
        "case \"$tool\" in */bin/*) LD_LIBRARY_PATH=${tool%/bin/*}/lib; export LD_LIBRARY_PATH;; esac  # its own "
        "libraries\n";
  if (c.driver->name == "ncc-tflite")
    out +=
        "dla=-o; case \"$(\"$tool\" --help 2>&1)\" in *--dla-file*) dla=--dla-file;; esac  # there -o is something "
        "else\n";
  out += "failed=0\n";
  for (const CompileJob& j : jobs) {
    CompileRequest r = j.request;
    r.model = j.model;
    r.output = j.output;
    r.work_folder = ".";
    r.look_into = j.request.model;
    // Another machine's tool: nothing is known of it.
    const ToolFacts tool{"TOOL", "", "", {{"dla-flag", "DLA_FLAG"}}};
    NPU_ASSIGN(const auto commands, c.driver->commands(tool, target, r));
    const std::string log = shell_quote({j.output + ".log"});
    out += "rm -f " + shell_quote({"./" + j.output}) + " " + log + "\n";
    for (const auto& argv : commands) {
      out += "\"$tool\"";
      for (size_t i = 1; i < argv.size(); ++i)
        out += argv[i] == "DLA_FLAG" ? " \"$dla\"" : " " + shell_quote({argv[i]});
      out += " >>" + log + " 2>&1 || failed=1\n";
    }
    if (c.driver->produces)
      out += "mv " + shell_quote({"./" + c.driver->produces(r), "./" + j.output}) + " || failed=1\n";
    out += fmt::format("if [ -s {} ]; then echo {}; else echo {} >&2; failed=1; fi\n", shell_quote({"./" + j.output}),
                       shell_quote({"made " + j.output}),
                       shell_quote({"error: " + j.output + " was not made, see " + j.output + ".log"}));
  }
  return out + "exit $failed\n";
}

Result<std::vector<std::string>> write_bundle(const std::string& folder, const Compiler& c, const Target& target,
                                              const std::vector<CompileJob>& jobs, std::vector<BundleFile> files) {
  std::error_code ec;
  if (fs::exists(folder, ec) && !fs::is_empty(folder, ec))
    return Diag(diag::usage, "the folder of the bundle is there and not empty", "choose another --bundle")
        .in_file(folder);
  NPU_TRY(make_folders(folder));
  if (c.driver->files)
    for (const CompileJob& j : jobs) {
      CompileRequest r = j.request;
      r.model = j.model;
      r.output = j.output;
      r.work_folder = ".";
      r.look_into = j.request.model;
      NPU_ASSIGN(const auto made, c.driver->files(target, r));
      for (const auto& [name, text] : made) files.push_back({"", name, text});
    }
  NPU_ASSIGN(const std::string script, compile_script(c, target, jobs, ".", true));
  files.push_back({"", "README.txt", bundle_readme(c, target, jobs)});
  files.push_back({"", "compile.sh", script});
  std::sort(files.begin(), files.end(), [](const BundleFile& a, const BundleFile& b) { return a.name < b.name; });
  std::string sums;
  std::vector<std::string> names;
  for (const BundleFile& f : files) {
    const std::string path = folder + "/" + f.name;
    NPU_TRY(copy_into(f, path));
    NPU_ASSIGN(const std::string digest, sha256_file(path));
    sums += digest + "  " + f.name + "\n";
    names.push_back(f.name);
  }
  fs::permissions(folder + "/compile.sh", fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec,
                  fs::perm_options::add, ec);
  NPU_TRY(write_file(folder + "/SHA256SUMS", sums));
  names.emplace_back("SHA256SUMS");
  return names;
}

std::string outcome_text(const CompileOutcome& o) {
  std::string out = fmt::format("{}: {}{}\n", name(o.verdict), o.reason, o.cached ? " (from the cache)" : "");
  size_t shown = 0;
  for (const CompilerFinding& f : o.findings) {
    if (++shown > 40) {
      out += fmt::format("  … and {} more\n", o.findings.size() - 40);
      break;
    }
    out += "  ";
    for (const std::string* part : {&f.code, &f.op, &f.node, &f.tensor})
      if (!part->empty()) out += *part + " ";
    out += f.reason.empty() ? "\n" : "- " + f.reason + "\n";
  }
  for (const auto& [key, value] : o.metrics) out += fmt::format("  {}: {}\n", key, value);
  return out;
}

std::vector<Diag> outcome_problems(const CompileOutcome& o, const std::string& tool, const std::string& model) {
  std::vector<Diag> out;
  if (o.verdict == CompileVerdict::accepted || o.verdict == CompileVerdict::skipped) return out;
  const DiagCode& code = o.findings.empty() ? diag::tool_failed : diag::illegal_for_target;
  Diag whole(code, fmt::format("{} ({}): {}", tool, name(o.verdict), o.reason), next_step(o.cure, model));
  whole.in_file(o.log);
  out.push_back(std::move(whole));
  for (const CompilerFinding& f : o.findings) {
    if (out.size() > 200) break;
    Diag d(diag::illegal_for_target, (f.code.empty() ? "" : f.code + ": ") + (f.reason.empty() ? "refused" : f.reason),
           next_step(o.cure == Cure::none ? Cure::rewrite : o.cure, model));
    d.at_node(f.op + (f.node.empty() ? "" : " " + f.node)).at_tensor(f.tensor);
    out.push_back(std::move(d));
  }
  return out;
}

}  // namespace npuport::app
