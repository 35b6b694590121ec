#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output_folder.h"
#include "app/port_keys.h"
#include "app/port_opset.h"
#include "app/port_steps.h"
#include "app/prepare_part.h"
#include "app/report.h"
#include "app/rewrites_file.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"

namespace npuport::app {
namespace {

using Step = Result<PortStep> (*)(PortContext&);
constexpr Step kSteps[] = {step_import, step_analyze,  step_rewrite, step_model_gate,
                           step_write,  step_quantise, step_compile, step_debug};

// A project file says these of each part itself.
Status no_part_options(const PortArgs& args) {
  const char* option = !args.samples.empty()  ? "--samples"
                       : !args.shapes.empty() ? "--shape"
                       : !args.gate.empty()   ? "--gate"
                                              : nullptr;
  if (!option) return {};
  return Diag(diag::usage, std::string(option) + " does not go with a project file, which says it for each part",
              "change the file, or give the model instead of it")
      .in_file(args.models.front());
}

Result<Project> load_project(const PortArgs& args) {
  Project p;
  if (args.models.size() == 1 && args.models.front().ends_with(".toml")) {
    NPU_TRY(no_part_options(args));
    NPU_ASSIGN(p, read_project(args.models.front()));
  } else {
    NPU_ASSIGN(p, project_from_arguments(args));
  }
  if (!args.target.empty()) p.target = args.target;
  if (!args.name.empty()) p.name = args.name;
  if (p.target.empty()) return Diag(diag::usage, "no target", "give --target NAME; `npuport targets` lists them");
  NPU_TRY(settle_shapes(p));
  return p;
}

// The report as written: time and memory of a second one would differ.
Result<Json> write_reports(const PortRun& run) {
  Json report = report_json(run);
  NPU_TRY(write_file(run.path("report.json"), dump_json(report)));
  NPU_TRY(write_file(run.path("report.html"), report_html(report)));
  NPU_TRY(write_file(run.path("README.md"), output_readme(report)));
  return report;
}

std::string step_line(const PortStep& s) {
  std::string line = fmt::format("{:>2} {:<12} {:<10} {:6.2f} s", s.number, s.title, name(s.verdict), s.seconds);
  if (s.reused) line += "  unchanged";
  if (!s.reason.empty()) line += "  " + s.reason;
  return line;
}

// FAIL is always 1; UNVERIFIED and SKIP only under --strict. Quantisation nobody asked for is no omission.
int exit_code(const PortRun& run) {
  for (const PortStep& s : run.steps) {
    if (s.verdict == Verdict::fail) return 1;
    if (run.options.strict && s.verdict != Verdict::pass && s.id != "quantise") return 1;
  }
  return 0;
}

std::string last_line(const PortRun& run) {
  std::string open;
  for (const PortStep& s : run.steps)
    if (s.verdict != Verdict::pass && s.id != "quantise")
      open += (open.empty() ? "" : "; ") + std::string(name(s.verdict)) + " " + s.id +
              (s.reason.empty() ? "" : ": " + s.reason);
  return fmt::format("{}: {}{}\nreport: {}\n", run.project.name, name(run.verdict()),
                     open.empty() ? "" : " (" + open + ")", run.path("report.html"));
}

// A run that ended early must not leave what an earlier one made behind it: models and a report that say otherwise.
Status drop_stale(PortContext& c, int number) {
  std::error_code ec;
  for (const char* file : {"report.json", "report.html", "README.md"}) std::filesystem::remove(c.run.path(file), ec);
  for (const char* folder : {"models", "scripts"})  // made, but nothing came of it; a folder with files stays
    std::filesystem::remove(c.run.path(folder), ec);
  return c.folder.drop_from(number);
}

// The analysis of a refused model stays, and is known as this run's; a file that failed its proof goes.
Status after_failure(PortContext& c, const PortStep& s) {
  if (!s.files.empty()) NPU_TRY(c.folder.record(s.id, s.number, "failed", Json::object(), s.files));
  return c.folder.drop_from(s.number <= 2 ? s.number + 1 : s.number);
}

Status run_steps(PortContext& c) {
  for (size_t i = 0; i < std::size(kSteps); ++i) {
    const int started = static_cast<int>(i) + 1;
    const auto start = std::chrono::steady_clock::now();
    Result<PortStep> made = kSteps[i](c);
    if (!made) {
      NPU_TRY(drop_stale(c, started));
      return std::move(made).error();
    }
    PortStep s = std::move(*made);
    if (std::exchange(c.again, false)) {
      c.run.steps.resize(1);  // the import holds
      i = 0;
      continue;
    }
    s.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    c.run.app.log(0, step_line(s));
    if (s.verdict == Verdict::fail)
      for (const Diag& d : s.problems)
        if (d.severity == Severity::error) c.run.app.warn(d);
    c.run.steps.push_back(std::move(s));
    if (c.run.steps.back().verdict == Verdict::fail) return after_failure(c, c.run.steps.back());
  }
  return {};
}

}  // namespace

CommandResult port(const App& app, const PortArgs& args) {
  PortRun run;
  run.app = app;
  NPU_ASSIGN(run.project, load_project(args));
  if (args.init) {
    NPU_TRY(make_folders(args.output));
    const std::string file = args.output + "/port.toml";
    std::error_code ec;
    if (std::filesystem::exists(file, ec))
      return Diag(diag::usage, "port.toml is there already", "remove it, or choose another -o").in_file(file);
    NPU_TRY(write_file(file, to_toml(run.project, args.output)));
    return Outcome{0, Json{{"file", file}}, file + "\n"};
  }
  NPU_ASSIGN(run.target, load_target(run.project.target));
  NPU_TRY(choose_opset(run.target, args.opset));
  NPU_ASSIGN(std::shared_ptr<const UserRewrites> rewrites, read_rewrites(args.rewrites));
  const bool nhwc = args.io_layout.empty() ? run.target.nhwc_io : args.io_layout == "nhwc";
  run.options = {args.strict, args.allow_approximate, args.assume_int32, args.float16,        args.force,       nhwc,
                 args.bundle, args.compile_timeout,   args.rewrites,     std::move(rewrites), !args.no_diagnose};
  run.out = args.output;
  NPU_ASSIGN(OutputFolder folder, OutputFolder::open(args.output));
  if (args.force) NPU_TRY(folder.drop_from(1));
  for (const ProjectPart& p : run.project.parts) {
    run.parts.emplace_back();
    run.parts.back().spec = &p;
  }
  for (PartRun& p : run.parts) {
    NPU_ASSIGN(p.model_hash, sha256_file(p.spec->model));
  }
  PortContext context{run, folder, {}};
  NPU_TRY(load_decisions(context));
  recall_opsets(context);
  if (nothing_to_do(context, run.steps)) {
    for (const PortStep& s : run.steps) app.log(0, step_line(s));
    NPU_ASSIGN(const std::string text, read_file(run.path("report.json")));
    NPU_ASSIGN(Json report, parse_json(text, run.path("report.json")));
    return Outcome{exit_code(run), std::move(report), last_line(run)};
  }
  run.steps.clear();
  NPU_TRY(run_steps(context));
  NPU_ASSIGN(Json report, write_reports(run));
  return Outcome{exit_code(run), std::move(report), last_line(run)};
}

}  // namespace npuport::app
