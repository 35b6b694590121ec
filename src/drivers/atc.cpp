// Huawei's atc (.onnx → .om) and AMCT's command line (.onnx → quantised .onnx). Facts: the open sources of the graph
// engine and the vendor's documents; nothing of this was run on a CANN installation.
#include "drivers/atc.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "frontends/frontend.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

// atc does not say its version in every release: the installation does.
std::string installed_version(const std::string& path) {
  std::error_code ec;
  const fs::path real = fs::canonical(path, ec);
  if (ec) return {};
  fs::path folder = real.parent_path();
  for (int up = 0; up < 4 && folder.has_relative_path(); ++up, folder = folder.parent_path()) {
    std::vector<fs::path> places{folder / "ascend_toolkit_install.info"};
    for (const char* arch : {"x86_64-linux", "aarch64-linux"})
      places.push_back(folder / arch / "ascend_toolkit_install.info");
    for (const fs::path& p : places)
      if (const Result<std::string> text = read_file(p.string(), 1 << 20))
        if (std::string v = parse_atc_version(*text); !v.empty()) return v;
  }
  return {};
}

Result<ToolFacts> probe(const std::string& path) {
  ToolFacts t;
  t.path = path;
  NPU_ASSIGN(const std::string help, ask_tool({path, "--help"}));
  t.version = installed_version(path);
  if (t.version.empty()) t.version = parse_atc_version(help);
  if (t.version.empty())
    if (const Result<std::string> version = ask_tool({path, "--version"})) t.version = parse_atc_version(*version);
  t.digest = tool_digest(path);
  t.abilities["max-opset"] = std::to_string(atc_max_opset(t.version));
  return t;
}

constexpr FlagNote kNotes[] = {
    {"--op_select_implmode=high_precision", "kernels of higher precision where there is a choice"},
    {"--output_type=FP32", "outputs stay float32 whatever the inside computes in"},
    {"--precision_mode=allow_mix_precision", "float16 where the vendor's lists allow it, float32 elsewhere"},
    {"--mode=3", "pre-check: is there a parser for every operator (not: a kernel)"}};
std::span<const FlagNote> notes() { return kNotes; }

// Letters, digits and "_-./" only: what atc's own check lets through (it also takes Chinese letters).
bool plain_path(const std::string& path) {
  return !path.empty() && path.front() != '-' && std::all_of(path.begin(), path.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' || c == '/';
  });
}

// How the compiler is told about the files. Where a path has characters it refuses, the files get plain names in the
// work folder, which is where it runs.
struct Names {
  std::string model, output;  // output without ".om"
  bool linked_model = false, moved_output = false;
};
Names names_of(const CompileRequest& r) {
  Names n{r.model, r.output.ends_with(".om") ? r.output.substr(0, r.output.size() - 3) : r.output};
  if (!plain_path(n.model)) n.model = "model.onnx", n.linked_model = true;
  if (!plain_path(n.output)) n.output = "compiled", n.moved_output = true;
  return n;
}

// "x:1,3,224,224;n:1" as atc wants it, when the file tells; static models compile without it.
std::string input_shape(const Target& t, const CompileRequest& r) {
  if (std::string given = setting(t, r, "input_shape"); !given.empty()) return given;
  const Result<const Frontend*> frontend = frontend_for(r.readable_model());
  if (!frontend) return {};
  const Result<FileFacts> facts = (*frontend)->inspect(r.readable_model());
  if (!facts) return {};
  std::string out;
  for (const InputSpec& i : facts->inputs) {
    std::vector<std::string> dims;
    for (const int64_t d : i.type.shape) {
      if (d < 0) return {};
      dims.push_back(std::to_string(d));
    }
    out += (out.empty() ? "" : ";") + i.name + ":" + join(dims, ",");
  }
  return out;
}

bool on(const std::string& value) { return value == "1" || value == "on" || value == "true" || value == "yes"; }

// A model AMCT quantised must be compiled without any precision option.
Result<std::vector<std::string>> precision_flags(const Target& t, const CompileRequest& r) {
  const std::string mode = setting(t, r, "precision_mode"), v2 = setting(t, r, "precision_mode_v2");
  const bool quantised = on(setting(t, r, "quantised")) || fs::path(r.model).stem().string().ends_with("_deploy_model");
  if (quantised) {
    if (r.options.contains("precision_mode") || r.options.contains("precision_mode_v2"))
      return Diag(diag::usage, "a model quantised by AMCT cannot be compiled with a precision mode",
                  "leave precision_mode out");
    return std::vector<std::string>{};
  }
  if (!mode.empty() && !v2.empty())
    return Diag(diag::usage, "precision_mode and precision_mode_v2 exclude each other", "give one");
  static constexpr std::string_view kModes[] = {"force_fp16",
                                                "force_fp32",
                                                "cube_fp16in_fp32out",
                                                "allow_fp32_to_fp16",
                                                "must_keep_origin_dtype",
                                                "allow_mix_precision",
                                                "allow_mix_precision_fp16",
                                                "allow_mix_precision_bf16",
                                                "allow_fp32_to_bf16"};
  static constexpr std::string_view kModes2[] = {"fp16",           "origin",    "cube_fp16in_fp32out", "mixed_float16",
                                                 "mixed_bfloat16", "cube_hif8", "mixed_hif8"};
  if (!mode.empty() && std::find(std::begin(kModes), std::end(kModes), mode) == std::end(kModes))
    return Diag(diag::usage, "atc has no precision_mode " + mode, "for example allow_mix_precision, force_fp32");
  if (!v2.empty() && std::find(std::begin(kModes2), std::end(kModes2), v2) == std::end(kModes2))
    return Diag(diag::usage, "atc has no precision_mode_v2 " + v2, "for example mixed_float16, origin");
  std::vector<std::string> out;
  std::string implmode = setting(t, r, "op_select_implmode");
  if (implmode.empty()) implmode = "high_precision";
  if (implmode != "none") out.push_back("--op_select_implmode=" + implmode);
  if (!mode.empty()) out.push_back("--precision_mode=" + mode);
  if (!v2.empty()) out.push_back("--precision_mode_v2=" + v2);
  return out;
}

Result<std::vector<std::vector<std::string>>> commands(const ToolFacts& tool, const Target& t,
                                                       const CompileRequest& r) {
  std::string soc = setting(t, r, "soc_version");
  if (soc.empty()) soc = setting(t, r, "soc");
  if (soc.empty())
    return Diag(diag::usage, "target " + t.name + " names no soc_version",
                "add soc_version = \"Ascend310B1\" to its [identity]; the board says it: npu-smi info")
        .in_file(t.file);
  NPU_ASSIGN(const std::vector<std::string> precision, precision_flags(t, r));
  const Names n = names_of(r);
  std::string format = setting(t, r, "input_format");
  if (format.empty()) format = "NCHW";
  const std::string shape = input_shape(t, r);
  std::vector<std::vector<std::string>> out;
  if (setting(t, r, "precheck") != "off") {
    out.push_back({tool.path, "--mode=3", "--model=" + n.model, "--framework=5", "--soc_version=" + soc,
                   "--check_report=check_result.json"});
    if (!shape.empty()) out.back().push_back("--input_shape=" + shape);
  }
  std::vector<std::string> argv{tool.path, "--model=" + n.model, "--framework=5", "--output=" + n.output,
                                "--input_format=" + format};
  if (!shape.empty()) argv.push_back("--input_shape=" + shape);
  argv.insert(argv.end(), {"--output_type=FP32", "--soc_version=" + soc});
  argv.insert(argv.end(), precision.begin(), precision.end());
  argv.insert(argv.end(), t.compiler.options.begin(), t.compiler.options.end());
  NPU_TRY(drop_arguments(r, argv));
  argv.insert(argv.end(), r.extra.begin(), r.extra.end());
  out.push_back(std::move(argv));
  return out;
}

Status place_model(const CompileRequest& r, const Names& n) {
  if (!n.linked_model) return {};
  std::error_code ec;
  fs::remove(fs::path(r.work_folder) / n.model, ec);
  fs::create_symlink(r.model, fs::path(r.work_folder) / n.model, ec);
  if (ec)
    return Diag(diag::not_writable, "cannot link the model under a plain name: " + ec.message()).in_file(r.work_folder);
  return {};
}

// The .om, wherever it is: some models get system and processor into the name (x_linux_x86_64.om).
std::string find_artefact(const CompileRequest& r, const Names& n) {
  const fs::path base = n.moved_output ? fs::path(r.work_folder) / n.output : fs::path(n.output);
  std::error_code ec;
  if (fs::exists(base.string() + ".om", ec)) return base.string() + ".om";
  for (const auto& entry : fs::directory_iterator(base.parent_path(), ec)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(base.filename().string() + "_linux_") && name.ends_with(".om")) return entry.path().string();
  }
  return base.string() + ".om";
}

void add_check_report(const CompileRequest& r, LogFacts& facts) {
  const Result<std::string> report = read_file(r.work_folder + "/check_result.json", uint64_t{64} << 20);
  if (!report) return;
  for (CompilerFinding& f : parse_atc_check(*report))
    if (std::none_of(facts.findings.begin(), facts.findings.end(),
                     [&](const CompilerFinding& g) { return g.node == f.node && g.op == f.op; }))
      add_finding(facts, std::move(f));
}

Result<CompileOutcome> run(const ToolFacts& tool, const Target& t, const CompileRequest& r) {
  CompileOutcome o;
  NPU_ASSIGN(o.commands, commands(tool, t, r));
  const Names n = names_of(r);
  NPU_TRY(place_model(r, n));
  NPU_ASSIGN(LogFile log, LogFile::create(r.log, r.log_head, r.log_tail));
  std::error_code ec;
  for (size_t i = 0; i < o.commands.size(); ++i) {
    const bool last = i + 1 == o.commands.size();
    fs::remove(r.work_folder + "/check_result.json", ec);
    NPU_ASSIGN(const ToolRun run, run_tool({o.commands[i], {}, r.work_folder}, r, log));
    o.seconds += run.process.seconds;
    LogFacts facts = parse_atc_log(run.text);
    if (run.process.exit_code != 0 || !last) add_check_report(r, facts);
    const bool success = facts.metrics.erase("success") > 0;
    const std::string made = find_artefact(r, n);
    std::string bad = last ? check_binary_artefact(made) : "";
    if (bad.empty() && !success) bad = "the line \"ATC run success\" is missing";
    if (!last && bad.empty() && facts.findings.empty() && run.process.ok()) continue;
    judge(run.process, std::move(facts), bad, o);
    if (!last) {
      // A failing pre-check stops the compile.
      o.commands.resize(i + 1);
      o.reason = "pre-check: " + o.reason;
      break;
    }
    if (o.verdict != CompileVerdict::accepted || made == r.output) continue;
    fs::rename(made, r.output, ec);
    if (ec) return Diag(diag::not_writable, "cannot put the result in place: " + ec.message()).in_file(r.output);
  }
  NPU_TRY(log.close());
  return o;
}

// ---- AMCT: calibration before atc

Result<std::vector<std::vector<std::string>>> amct_commands(const ToolFacts& tool, const Target& t,
                                                            const CompileRequest& r) {
  const std::string data = setting(t, r, "data_dir");
  if (data.empty())
    return Diag(diag::usage, "amct_onnx needs calibration data",
                "--set data_dir=\"in0/;in1/\": headerless .bin files, one folder an input");
  // It appends _deploy_model.onnx and others to this prefix.
  std::vector<std::string> argv{tool.path,     "calibration",
                                "--model",     r.model,
                                "--save_path", (fs::path(r.work_folder) / "amct").lexically_normal().string()};
  if (const std::string shape = input_shape(t, r); !shape.empty()) argv.insert(argv.end(), {"--input_shape", shape});
  argv.insert(argv.end(), {"--data_dir", data});
  std::string types = setting(t, r, "data_types");
  if (types.empty()) types = "float32";
  argv.insert(argv.end(), {"--data_types", types});
  if (const std::string n = setting(t, r, "batch_num"); !n.empty()) argv.insert(argv.end(), {"--batch_num", n});
  if (const std::string c = setting(t, r, "calibration_config"); !c.empty())
    argv.insert(argv.end(), {"--calibration_config", c});
  NPU_TRY(drop_arguments(r, argv));
  argv.insert(argv.end(), r.extra.begin(), r.extra.end());
  return std::vector<std::vector<std::string>>{argv};
}

Result<ToolFacts> amct_probe(const std::string& path) {
  ToolFacts t;
  t.path = path;
  NPU_ASSIGN(const std::string help, ask_tool({path, "--help"}));
  t.version = parse_atc_version(help);
  t.digest = tool_digest(path);
  return t;
}

std::string amct_produces(const CompileRequest& r) {
  return (fs::path(r.work_folder) / "amct_deploy_model.onnx").lexically_normal().string();
}

Result<CompileOutcome> amct_run(const ToolFacts& tool, const Target& t, const CompileRequest& r) {
  CompileOutcome o;
  NPU_ASSIGN(o.commands, amct_commands(tool, t, r));
  NPU_ASSIGN(LogFile log, LogFile::create(r.log, r.log_head, r.log_tail));
  NPU_ASSIGN(const ToolRun run, run_tool({o.commands[0], {}, r.work_folder}, r, log));
  o.seconds = run.process.seconds;
  LogFacts facts;
  for_each_line(run.text, [&](std::string_view line) {
    if (!trim(line).empty()) facts.last = line.substr(0, 500);
    if (is_error_line(line) && facts.error.empty()) facts.error = trim(line.substr(0, 500));
  });
  const std::string made = amct_produces(r);
  judge(run.process, std::move(facts), check_binary_artefact(made), o);
  if (o.verdict == CompileVerdict::accepted) {
    std::error_code ec;
    fs::rename(made, r.output, ec);
    if (ec) return Diag(diag::not_writable, "cannot put the result in place: " + ec.message()).in_file(r.output);
  }
  NPU_TRY(log.close());
  return o;
}

}  // namespace

constinit const Driver atc_driver = {.name = "atc",
                                     .tool = "atc",
                                     .doc = "Huawei compiler for Ascend, .onnx to .om",
                                     .input = "onnx",
                                     .suffix = ".om",
                                     .probe = probe,
                                     .commands = commands,
                                     .run = run,
                                     .notes = notes};

constinit const Driver amct_onnx_driver = {.name = "amct_onnx",
                                           .tool = "amct_onnx",
                                           .doc = "Huawei's calibration, .onnx to a quantised .onnx for atc",
                                           .input = "onnx",
                                           .suffix = "_deploy_model.onnx",
                                           .probe = amct_probe,
                                           .commands = amct_commands,
                                           .run = amct_run,
                                           .notes = notes,
                                           .produces = amct_produces};

}  // namespace npuport
