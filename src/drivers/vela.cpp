// Arm's Vela: int8 .tflite → .tflite with Ethos-U command streams. It never refuses: what the NPU cannot run stays
// behind as an ordinary operator for the CPU, and the exit code is 0. Facts: Vela 5.2.0, run.
#include "drivers/vela.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "frontends/tflite_file.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

Result<ToolFacts> probe(const std::string& path) {
  ToolFacts t;
  t.path = path;
  NPU_ASSIGN(const std::string version, ask_tool({path, "--version"}));
  t.version = trim(std::string_view(version).substr(0, version.find('\n')));
  t.digest = tool_digest(path);
  return t;
}

constexpr FlagNote kNotes[] = {{"--verbose-performance", "cycles per operator as a CSV file"},
                               {"--optimise", "Performance (default) or Size: less SRAM, slower"}};
std::span<const FlagNote> notes() { return kNotes; }
const std::vector<FlagProfile>& profile_rows() {
  static const std::vector<FlagProfile> rows = {{"size", {"--optimise", "Size"}, "least SRAM"},
                                                {"speed", {"--optimise", "Performance"}, "fewest cycles"}};
  return rows;
}
std::span<const FlagProfile> profiles() { return profile_rows(); }

// Vela names its output itself.
std::string produces(const CompileRequest& r) {
  return (fs::path(r.work_folder) / (fs::path(r.model).stem().string() + "_vela.tflite")).lexically_normal().string();
}

// System and memory mode are only taken together, and Vela itself does not see that a U85 system is wrong for a U55.
Status check_system(const std::string& accelerator, const std::string& config, const std::string& system,
                    const std::string& memory) {
  const int given = !config.empty() + !system.empty() + !memory.empty();
  if (given != 0 && given != 3)
    return Diag(diag::usage, "config, system_config and memory_mode must be given together", "give all three, or none");
  if (system.empty()) return {};
  const std::string family = accelerator.substr(0, accelerator.rfind('-'));  // ethos-u55
  std::string expected = "ethos_" + family.substr(family.find('-') + 1);
  if (!lower(system).starts_with(expected))
    return Diag(diag::usage, fmt::format("system_config {} is not for {}", system, accelerator),
                "its name starts with the accelerator's, Ethos_U55_…");
  return {};
}

Result<std::vector<std::vector<std::string>>> commands(const ToolFacts& tool, const Target& t,
                                                       const CompileRequest& r) {
  const std::string accelerator = setting(t, r, "accelerator");
  if (accelerator.empty())
    return Diag(diag::usage, "target " + t.name + " names no accelerator",
                "add accelerator = \"ethos-u55-128\" to its [identity]")
        .in_file(t.file);
  // Not --show-cpu-operations: with 5.2.0 it ends in a KeyError for an ARG_MAX and counts a GATHER on the U85 as a CPU
  // operator; the warnings say the same without it.
  std::vector<std::string> argv{tool.path,      r.model,       "--accelerator-config", accelerator,
                                "--output-dir", r.work_folder, "--verbose-performance"};
  const std::string config = setting(t, r, "config"), system = setting(t, r, "system_config"),
                    memory = setting(t, r, "memory_mode");
  NPU_TRY(check_system(accelerator, config, system, memory));
  if (!system.empty())
    argv.insert(argv.end(), {"--config", config, "--system-config", system, "--memory-mode", memory});
  std::vector<std::string> flags = t.compiler.options;
  if (!r.profile.empty() && r.profile != "default") {
    const auto row = std::find_if(profile_rows().begin(), profile_rows().end(),
                                  [&](const FlagProfile& p) { return p.name == r.profile; });
    if (row == profile_rows().end())
      return Diag(diag::usage, "vela has no profile '" + r.profile + "'", "there are default, size, speed");
    flags = row->flags;
  }
  argv.insert(argv.end(), flags.begin(), flags.end());
  NPU_TRY(drop_arguments(r, argv));
  argv.insert(argv.end(), r.extra.begin(), r.extra.end());
  return std::vector<std::vector<std::string>>{argv};
}

// One row of a CSV text as cells; Vela quotes nothing, and names with commas only shift what stands behind them.
std::vector<std::string> cells(std::string_view line) {
  std::vector<std::string> out;
  for (const std::string_view c : split(line, ',')) out.emplace_back(trim(c));
  return out;
}

void read_csv_files(const CompileRequest& r, CompileOutcome& o) {
  const std::string stem = fs::path(r.model).stem().string();
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(r.work_folder, ec)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(stem) || !name.ends_with(".csv")) continue;
    const Result<std::string> text = read_file(entry.path().string(), uint64_t{64} << 20);
    if (!text) continue;
    if (name.starts_with(stem + "_summary_")) {
      for (auto& [key, value] : parse_vela_summary(*text)) o.metrics[key] = value;
    } else if (name == stem + "_per-layer.csv") {
      o.placement = parse_vela_layers(*text);
    }
  }
}

int64_t count_of(const CompileOutcome& o, const char* key) {
  const auto it = o.metrics.find(key);
  return it == o.metrics.end() ? -1 : std::atoll(it->second.c_str());
}

// Compiled, but what stays on the CPU is a "no" of the NPU.
void check_placement(const Target& t, std::vector<CompilerFinding> warnings, CompileOutcome& o) {
  if (o.verdict != CompileVerdict::accepted) return;
  const int64_t cpu = count_of(o, "CPU operators"), npu = count_of(o, "NPU operators");
  if (cpu == 0 || (cpu < 0 && warnings.empty())) return;
  o.findings = std::move(warnings);
  o.verdict = CompileVerdict::misplaced;
  o.cure = Cure::rewrite;
  const bool all_float =
      !o.findings.empty() &&
      std::all_of(o.findings.begin(), o.findings.end(),
                  [](const CompilerFinding& f) {
                    return contains_word(f.reason, "float32") || contains_word(f.reason, "unsupported optype");
                  }) &&
      contains_word(o.findings.front().reason + o.findings.back().reason, "float32");
  o.reason = fmt::format("{} of {} operators stay on the CPU of {}", cpu, cpu + std::max<int64_t>(npu, 0), t.title);
  if (all_float) {
    o.reason += ": the model is float32, the NPU computes in int8: quantise it first";
  } else if (!o.findings.empty()) {
    o.reason += fmt::format(", first {}: {}", o.findings.front().op, o.findings.front().reason);
  }
}

Result<CompileOutcome> run(const ToolFacts& tool, const Target& t, const CompileRequest& r) {
  CompileOutcome o;
  NPU_ASSIGN(o.commands, commands(tool, t, r));
  NPU_ASSIGN(LogFile log, LogFile::create(r.log, r.log_head, r.log_tail));
  if (refuse_damaged_tflite(r, o, log)) {
    NPU_TRY(log.close());
    return o;
  }
  NPU_ASSIGN(const ToolRun run, run_tool({o.commands[0], {}, r.work_folder}, r, log));
  o.seconds = run.process.seconds;
  LogFacts facts = parse_vela_log(run.text);
  std::vector<CompilerFinding> warnings = std::exchange(facts.findings, {});
  const std::string made = produces(r);
  std::string bad = check_binary_artefact(made);
  if (bad.empty())
    if (const Result<TfliteFile> file = open_tflite(made); !file)
      bad = "what was written is no TFLite file: " + file.error().message;
  judge(run.process, std::move(facts), bad, o);
  if (o.verdict == CompileVerdict::accepted) {
    std::error_code ec;
    fs::rename(made, r.output, ec);
    if (ec) fs::copy_file(made, r.output, fs::copy_options::overwrite_existing, ec);
    if (ec)
      return Diag(diag::not_writable, "cannot put the result in place: " + ec.message(), "free some space")
          .in_file(r.output);
  }
  read_csv_files(r, o);
  check_placement(t, std::move(warnings), o);
  NPU_TRY(log.close());
  return o;
}

// "Warning (supported operators) operator: RESIZE_BILINEAR, ofm: 'z'".
bool warning_header(std::string_view line, CompilerFinding& f) {
  const size_t at = line.find(") operator: ");
  if (!line.starts_with("Warning (") || at == std::string_view::npos) return false;
  std::string_view rest = line.substr(at + 12);
  const size_t comma = rest.find(", ofm: ");
  f = {};
  f.op = valid_utf8(trim(rest.substr(0, comma)));
  if (f.op == "ARGMAX") f.op = "ARG_MAX";  // the one name Vela spells in its own way
  if (comma != std::string_view::npos) {
    std::string_view name = trim(rest.substr(comma + 7));
    if (name.size() >= 2 && name.front() == '\'' && name.back() == '\'') name = name.substr(1, name.size() - 2);
    f.tensor = valid_utf8(name);
  }
  return true;
}

}  // namespace

LogFacts parse_vela_log(std::string_view text) {
  LogFacts facts;
  CompilerFinding pending;
  int state = 0;  // lines of a warning block still to come
  bool traceback = false;
  for_each_line(text, [&](std::string_view raw) {
    const std::string_view line = trim(raw);
    if (CompilerFinding next; warning_header(line, next)) {
      if (state > 0) add_finding(facts, std::exchange(pending, {}));
      pending = std::move(next);
      state = 2;
      return;
    }
    if (state == 2 && line.starts_with("Reason:")) {
      pending.reason = valid_utf8(trim(line.substr(7)));
      state = 1;
      return;
    }
    if (state > 0) {
      if (!line.empty() && state == 1) pending.reason += (pending.reason.empty() ? "" : " - ") + valid_utf8(line);
      add_finding(facts, std::exchange(pending, {}));
      state = 0;
      if (!line.empty()) return;
    }
    if (line.empty()) return;
    facts.last = line;
    if (line.starts_with("Traceback (most recent call last)")) traceback = true;
    // The cause of a Python failure is its last line.
    if (traceback && raw.front() != ' ' && line.find(": ") != std::string_view::npos)
      facts.error = valid_utf8(line.substr(0, 500));
    if (line.starts_with("Error:") && facts.error.empty()) facts.error = valid_utf8(line.substr(0, 500));
    if (contains_word(line, "failed to load tflite model")) {
      facts.error = line;
      facts.cure = Cure::file;
    }
    for (const std::string_view key :
         {"Total SRAM used", "Total DRAM used", "Total Off-chip Flash used", "Total On-chip Flash used"})
      if (line.starts_with(key)) facts.metrics[std::string(key)] = trim(line.substr(key.size()));
    for (const std::string_view key : {"CPU operators", "NPU operators"})
      if (line.starts_with(key)) {
        const size_t eq = line.find('=');
        if (eq != std::string_view::npos) facts.metrics[std::string(key)] = trim(line.substr(eq + 1));
      }
    if (line.starts_with("Neural network macs")) facts.metrics["MACs"] = trim(line.substr(19));
  });
  if (state > 0) add_finding(facts, std::move(pending));
  return facts;
}

std::map<std::string, std::string> parse_vela_summary(std::string_view csv) {
  std::map<std::string, std::string> out;
  const std::vector<std::string_view> lines = split(csv, '\n');
  if (lines.size() < 2) return out;
  const std::vector<std::string> names = cells(lines[0]), values = cells(lines[1]);
  for (size_t i = 0; i < std::min(names.size(), values.size()); ++i)
    for (const std::string_view wanted :
         {"accelerator_configuration", "system_config", "memory_mode", "core_clock", "inference_time",
          "inferences_per_second", "sram_memory_used", "dram_memory_used", "on_chip_flash_memory_used",
          "off_chip_flash_memory_used", "nn_macs", "cycles_npu", "cycles_total"})
      if (names[i] == wanted) out[names[i]] = valid_utf8(values[i]);
  return out;
}

Json parse_vela_layers(std::string_view csv) {
  Json out = Json::array();
  std::vector<std::string> names;
  for_each_line(csv, [&](std::string_view line) {
    if (trim(line).empty() || out.size() >= kMaxFindings) return;
    const std::vector<std::string> row = cells(line);
    if (names.empty()) {
      names = row;
      return;
    }
    Json j = Json::object();
    for (size_t i = 0; i < std::min(row.size(), names.size()); ++i) {
      if (names[i] == "Original Operator") j["operator"] = valid_utf8(row[i]);
      if (names[i] == "Target") j["target"] = valid_utf8(row[i]);
      if (names[i] == "Op Cycles") j["cycles"] = valid_utf8(row[i]);
      if (names[i] == "Name") j["node"] = valid_utf8(row[i]);
    }
    out.push_back(std::move(j));
  });
  return out;
}

constinit const Driver vela_driver = {.name = "vela",
                                      .tool = "vela",
                                      .doc = "Arm compiler for Ethos-U, int8 .tflite to .tflite",
                                      .input = "tflite",
                                      .suffix = ".tflite",
                                      .probe = probe,
                                      .commands = commands,
                                      .run = run,
                                      .profiles = profiles,
                                      .notes = notes,
                                      .produces = produces};

}  // namespace npuport
