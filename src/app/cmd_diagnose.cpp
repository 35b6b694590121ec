#include "app/cmd_diagnose.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "app/compile_tool.h"
#include "app/diagnose_run.h"
#include "app/model_file.h"
#include "app/output_folder.h"
#include "base/diag_codes.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "drivers/tool_run.h"
#include "frontends/tflite.h"
#include "passes/pipeline.h"
#include "target/legality.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

// What the file format cannot express, and nothing else: the target's own rules are suspicions here, not orders.
class FormatLegality : public Legality {
 public:
  explicit FormatLegality(const Target& target) : format_(format_mapper(target)) {}
  std::vector<Diag> check(const Graph& g, NodeId node) const override {
    const FormatView v = format_(g, node);
    if (v.refusal.empty()) return {};
    return {Diag(diag::not_representable, v.refusal)};
  }

 private:
  FormatMapper format_;
};

// "labels=-1:3" (whole numbers) or "x=0.0:1.0".
Result<std::map<std::string, ValueRange>> parse_ranges(const std::vector<std::string>& options) {
  std::map<std::string, ValueRange> out;
  for (const std::string& o : options) {
    const size_t equals = o.rfind('='), colon = o.rfind(':');
    const Diag bad(diag::usage, "--range " + o + " is not NAME=LOW:HIGH",
                   "for example --range labels=-1:3 (whole numbers) or x=0.0:1.0");
    if (equals == std::string::npos || colon == std::string::npos || colon < equals || equals == 0) return bad;
    const std::string low = o.substr(equals + 1, colon - equals - 1), high = o.substr(colon + 1);
    ValueRange r;
    const auto number = [](const std::string& s, double& v) {
      const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
      return error == std::errc() && end == s.data() + s.size();
    };
    if (!number(low, r.low) || !number(high, r.high) || !(r.low <= r.high)) return bad;
    r.integers = (low + high).find_first_of(".eE") == std::string::npos;
    out[o.substr(0, equals)] = r;
  }
  return out;
}

// What unknown compilers usually print when they refuse an operator.
void add_usual_patterns(CompilerSpec& c) {
  const auto add = [&](const char* kind, const char* pattern, std::vector<std::string> fields) {
    c.log.push_back({kind, pattern, std::move(fields)});
  };
  add("refused",
      R"([Uu]nsupported (?:nodes?|ops?|operators?|layers?)\s*:?\s*'?(?:onnx\.|tfl\.)?([A-Za-z][A-Za-z0-9_]*))", {"op"});
  add("refused", R"(failed to legalize operation '?(?:[a-z]+\.)?([A-Za-z][A-Za-z0-9_]*))", {"op"});
  add("refused",
      R"((?:[Oo]p|[Oo]perator|[Nn]ode|[Ll]ayer)\s*(?:type)?\s*[:'"]?\s*([A-Za-z][A-Za-z0-9_]*)['"]?\s+(?:is )?(?:not supported|unsupported))",
      {"op"});
  add("error", R"((^|[^A-Za-z])(ERROR|FATAL|[Ee]rror:))", {});
}

// The compiler runs in a folder of its own: words that name files here (`table.txt`, `--config=cc/a.ini`) by absolute
// paths.
Result<std::string> with_files_of_here(const std::string& command) {
  NPU_ASSIGN(std::vector<std::string> words, split_words(command));
  for (std::string& word : words) {
    const size_t equals = word.starts_with("-") ? word.find('=') : std::string::npos;
    const size_t at = equals == std::string::npos ? 0 : equals + 1;
    const std::string path = word.substr(at);
    std::error_code ec;
    if (path.find_first_of("./") != std::string::npos && fs::is_regular_file(path, ec))
      word = word.substr(0, at) + fs::absolute(path).string();
  }
  return shell_quote(words);
}

Result<Compiler> compiler_of(const App& app, Target& target, const DiagnoseArgs& args) {
  App given = app;
  if (!args.compiler.empty()) {
    target.compiler = CompilerSpec{};
    target.compiler.driver = "generic";
    NPU_ASSIGN(target.compiler.command, with_files_of_here(args.compiler));
    add_usual_patterns(target.compiler);
    // A command given on the command line is its own configuration.
    const std::string tool = driver_tool(*find_driver("generic"), target);
    given.tools[tool] = tool;
  }
  if (target.compiler.driver.empty())
    return Diag(diag::usage, "target " + target.name + " names no compiler",
                "give one: --compiler 'mycc {input} -o {output}'");
  NPU_ASSIGN(Compiler c, find_compiler(given, target, target.format, target.compiler.driver));
  if (!c.here()) return compiler_missing(c);
  return c;
}

// A cut that names nothing would be no cut.
Status check_cuts(const Graph& g, const std::vector<std::string>& cuts) {
  for (const std::string& cut : cuts) {
    std::string names;
    bool known = false;
    size_t listed = 0;
    for (const NodeId id : g.topological())
      for (const ValueId v : g.node(id).outputs) {
        const std::string& name = g.value(v).name;
        known = known || name == cut;
        if (!name.empty() && listed++ < 40) names += (names.empty() ? "" : ", ") + name;
      }
    if (!known)
      return Diag(diag::usage, "--cut " + cut + ": no operator makes a value of that name",
                  "values of the model as it is compiled: " + names + (listed > 40 ? " …" : ""));
  }
  return {};
}

Result<std::vector<DiagnoseSample>> bound_samples(const Runnable& model, const DiagnoseArgs& args) {
  std::vector<DiagnoseSample> out;
  if (args.options.samples.empty()) return out;
  NPU_ASSIGN(const std::vector<SampleFile> files, read_samples(args.options.samples));
  for (const SampleFile& f : files) {
    DiagnoseSample s;
    s.name = fs::path(f.path).stem().string();
    NPU_ASSIGN(s.inputs, bind_inputs(f, model.inputs()));
    NPU_ASSIGN(s.baseline, f.baseline());
    out.push_back(std::move(s));
  }
  return out;
}

// A quantised file is not read, so not divided; its compiler can still be asked about the whole of it.
Diag next_step(Diag d, const DiagnoseArgs& args) {
  const Result<FileFacts> facts = inspect_tflite(args.model);
  if (d.code != &diag::unsupported || !facts) return d;
  for (const auto& [key, value] : facts->properties)
    if (key == "quantised" && value == "yes")
      d.hint = "`npuport compile " + args.model + " --target " + args.target +
               "` compiles it as it is and lists what the compiler says of each operator; "
               "to divide it, diagnose the float model it was made from";
  return d;
}

}  // namespace

Status write_for_target(const App& app, const Target& target, const Graph& g, const std::string& path) {
  ModelFileOptions o;
  o.opset = target.opset;
  o.sync = false;
  const Result<ModelFile> written = write_model_file(app, g, path, o);
  return written ? Status() : Status(written.error());
}

std::string model_suffix(const Target& target) { return model_ending(target); }

CommandResult diagnose(const App& app, const DiagnoseArgs& args) {
  NPU_ASSIGN(Target target, load_target(args.target));
  NPU_ASSIGN(const Compiler compiler, compiler_of(app, target, args));
  NPU_ASSIGN(const auto ranges, parse_ranges(args.ranges));
  Result<Runnable> opened = Runnable::open(app, args.model, args.options);
  if (!opened) return next_step(std::move(opened).error(), args);
  const Runnable model = std::move(*opened);
  DiagnoseRequest r;
  r.name = fs::path(args.model).filename().string();
  r.imported = model.model().graph;
  NPU_ASSIGN(r.samples, bound_samples(model, args));
  for (const auto& [name, range] : ranges) {
    const auto& in = r.imported.inputs();
    const bool known = std::any_of(in.begin(), in.end(), [&](ValueId v) { return r.imported.value(v).name == name; });
    if (!known) {
      std::string names;
      for (const ValueId v : in) names += (names.empty() ? "" : ", ") + r.imported.value(v).name;
      return Diag(diag::usage, "--range " + name + ": the model has no such input", "its inputs are " + names);
    }
  }
  r.passes.ranges = ranges;
  r.passes.split_host = false;
  r.passes.preferred = target.prefer;
  const FormatLegality legality(target);
  NPU_ASSIGN(Prepared prepared, prepare(r.imported, r.passes, legality, nullptr, r.ledger, {}, nullptr,
                                        /*channels_last=*/target.format != "onnx"));
  if (!prepared.left.empty()) {
    Diag d(diag::not_representable,
           fmt::format("{} operators have no form in {}", prepared.left.size(), model_suffix(target)),
           "diagnosis needs a file to compile; `npuport analyze` lists them");
    for (const IllegalNode& n : prepared.left) d.with_note(n.findings.front());
    return d;
  }
  NPU_TRY(check_cuts(prepared.graph, args.cuts));
  r.graph = std::move(prepared.graph);
  r.io = std::move(prepared.io);
  r.passes.split_host = !args.no_host;
  r.passes.allow_approximate = args.allow_approximate;
  r.passes.approximate = target.allow_approximate;
  r.target = &target;
  r.driver = compiler.driver;
  r.tool = compiler.facts;
  if (args.model.ends_with(model_suffix(target))) r.original = args.model;
  NPU_ASSIGN(const OutputFolder folder, OutputFolder::open(args.output));
  r.folder = folder.file("diagnose");
  r.cuts = args.cuts;
  r.whitelist = args.whitelist;
  r.compiler_arguments = args.extra;
  r.max_compiles = args.max_compiles;
  r.repeats = args.repeats;
  r.rounds = args.rounds;
  r.timeout = std::chrono::milliseconds(static_cast<int64_t>(args.timeout * 1000));
  r.cure = !args.no_cure;
  NPU_ASSIGN(const DiagnoseResult result, run_diagnosis(app, std::move(r)));
  Outcome o;
  o.exit_code = result.compiles ? 0 : 1;
  o.json = result.report;
  o.text = diagnose_text(result.report) + "Report: " + folder.file("diagnose/report.html") + "\n";
  return o;
}

}  // namespace npuport::app
