// MediaTek's ncc-tflite: .tflite → .dla. Facts: the printed help of 6.3.3 and public scripts for 7 to 9 (the help of
// later versions is not public, so what a tool offers is read from its own help).
#include "drivers/ncc_tflite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "base/diag_codes.h"
#include "base/text.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

// Printed by 6.3.3.
constexpr std::string_view kDocumented[] = {
    "-d", "--dla-file", "--arch", "--platform", "-O", "--opt", "--verify", "--no-verify", "--resize", "--verbose",
    "--version", "--help", "--check-target-only", "--show-builtin-ops", "--show-mtkext-ops", "--rewrite-pattern", "-s",
    "--show-tflite", "--show-io-info", "--show-exec-plan", "--show-memory-summary", "--show-l1-req", "--gen-debug-info",
    "-e", "--exec", "-i", "--input", "-o", "--output", "--opt-accuracy", "--opt-aggressive", "--opt-bw",
    "--opt-footprint", "--opt-size", "--relax-fp32", "--l1-size-kb", "--l2-size-kb", "--intval-color-fast",
    "--stable-linearize", "--extract-static-data", "--suppress-input", "--suppress-output", "--int8-to-uint8",
    "--avoid-reorder", "--disallow-bridge", "--dla-metadata", "--fc-to-conv", "--decompose-qlstmv2", "--sink-concat",
    "--reshape-to-4d", "--num-mdla", "--mdla-bw", "--mdla-freq", "--mdla-wt-to-l1", "--mdla-wt-pruned",
    "--prefer-large-acc", "--use-sw-dilated-conv", "--use-sw-deconv", "--req-per-ch-conv", "--trim-io-alignment",
    "--gno", "--basic-tiling", "--cltuner-file", "--cltuning-mode", "--cmdl-dir", "--clprofile", "--clfinish",
    "--num-mvpu", "--mvpu-algo", "--mvpu-l1-heuristic", "--mvpu-l2-limit", "--mvpu-disable-cycle-mem-opt", "--dual-vpu",
    "--aps-cbfc-vids", "--aps-ext-datatype",
    // Seen with versions 7 to 9.
    "--platform-config", "--subsys", "--cast-fp32", "--mem-opt", "--dla-opt", "--gen-mem-info", "--disable-edpa",
    "--disable-mvpu", "--disable-apusys", "--gno-exp", "--gno-non-4d-tiling", "--mlo", "--mdla-mlo",
    "--rewrite-elw-to-gather", "--broadcast-act-wgt", "--broadcast-flow-distance", "--split-large-conv-ic",
    "--split-16a4w-conv-oc", "--split-16a4w-conv-ic-xy", "--mdla-int16-lut", "--mdla-conv-exp", "--intval-color-legacy",
    "--opt-static-sharing", "--ncl-patch", "--runtime-dynamic-shape", "--apusys-config", "--option-bundle"};

// "--gno=NDF" → "--gno"; "-O3" → "-O"; "" for a word that is no flag.
std::string flag_of(std::string_view word) {
  if (word.starts_with("--")) return std::string(word.substr(0, word.find('=')));
  if (word.size() >= 2 && word[0] == '-' && std::isalpha(static_cast<unsigned char>(word[1])))
    return std::string(word.substr(0, 2));
  return {};
}

// All "--flag" words of a help text.
std::set<std::string> flags_in(std::string_view help) {
  std::set<std::string> out;
  for (size_t at = help.find("--"); at != std::string_view::npos; at = help.find("--", at)) {
    size_t end = at + 2;
    while (end < help.size() && (std::isalnum(static_cast<unsigned char>(help[end])) || help[end] == '-')) ++end;
    if (end > at + 2 && (at == 0 || !std::isalnum(static_cast<unsigned char>(help[at - 1]))))
      out.emplace(help.substr(at, end - at));
    at = end;
  }
  return out;
}

bool offers(const ToolFacts& tool, const std::string& flag) {
  const auto it = tool.abilities.find("flags");
  return it != tool.abilities.end() && (" " + it->second + " ").find(" " + flag + " ") != std::string::npos;
}

std::map<std::string, std::string> environment(const ToolFacts& tool) {
  // {SDK}/host/bin/ncc-tflite brings its own libraries in {SDK}/host/lib.
  const fs::path bin = fs::path(tool.path).parent_path();
  if (bin.filename() != "bin") return {};
  return {{"LD_LIBRARY_PATH", (bin.parent_path() / "lib").string()}};
}

Result<ToolFacts> probe(const std::string& path) {
  ToolFacts t;
  t.path = path;
  NPU_ASSIGN(const std::string help, ask_tool({path, "--help"}, environment(t)));
  const std::set<std::string> flags = flags_in(help);
  t.abilities["flags"] = join({flags.begin(), flags.end()}, " ");
  // -o is the output of an inference on the PC in tools that know --dla-file.
  t.abilities["dla-flag"] = flags.contains("--dla-file") ? "--dla-file" : "-o";
  const Result<std::string> version = ask_tool({path, "--version"}, environment(t));
  if (version) t.version = trim(std::string_view(*version).substr(0, version->find('\n')));
  t.digest = tool_digest(path);
  return t;
}

const std::vector<FlagProfile>& profile_rows() {
  static const std::vector<FlagProfile> rows = {
      {"speed", {"--relax-fp32", "--opt-aggressive", "-O3"}, "slow compile, fast model; rounding may change"},
      {"bandwidth",
       {"--relax-fp32", "--opt-accuracy", "--opt-bw"},
       "less DRAM traffic, for boards whose memory is the limit"},
      {"size", {"--relax-fp32", "--opt-size", "--opt-footprint"}, "smallest file and least memory"},
      {"fc-to-conv",
       {"--relax-fp32", "--opt-accuracy", "--opt-footprint", "--fc-to-conv"},
       "fully connected layers as 1x1 convolutions, which MDLAs tile better"},
      {"debug",
       {"--relax-fp32", "--opt-accuracy", "--opt-footprint", "--gen-debug-info"},
       "the usual flags, with names of operators in the file for profilers"},
      {"plain", {}, "no flags at all: the compiler's own defaults, float32 operators refused"}};
  return rows;
}
std::span<const FlagProfile> profiles() { return profile_rows(); }

constexpr FlagNote kNotes[] = {
    {"--relax-fp32", "float32 operators run as float16; without it the MDLA takes no float32 model"},
    {"--opt-accuracy",
     "int16 layers as float16, convolution bias as an ADD of its own, deeper cascades for large average pools"},
    {"--opt-footprint", "orders operators so that less memory is needed at once"},
    {"--opt-bw", "less traffic to DRAM"},
    {"--opt-size", "a smaller .dla"},
    {"--opt-aggressive", "optimisations that may change rounding"},
    {"--fc-to-conv", "FULLY_CONNECTED becomes CONV_2D"},
    {"-O3", "the highest optimisation level: a slower compile"},
    {"--gen-debug-info", "operator names in the file"},
    {"--reshape-to-4d", "gives operators of lower rank four dimensions"},
    {"--disallow-bridge", "an error where a copy between two processors would be needed"}};
std::span<const FlagNote> notes() { return kNotes; }

Status check_flags(const ToolFacts& tool, const std::vector<std::string>& words) {
  for (const std::string& w : words) {
    const std::string flag = flag_of(w);
    if (flag.empty()) continue;
    const bool documented = std::find(std::begin(kDocumented), std::end(kDocumented), flag) != std::end(kDocumented);
    if (!documented && !offers(tool, flag))
      return Diag(diag::usage, "ncc-tflite has no flag " + flag,
                  "see `ncc-tflite --help`; the flags npuport knows are in docs/drivers.md");
  }
  return {};
}

std::string identity(const Target& t, const char* key) {
  const auto it = t.identity.find(key);
  return it == t.identity.end() ? std::string() : it->second;
}

// Arguments that say what hardware to compile for.
std::vector<std::string> target_flags(const Target& t) {
  std::vector<std::string> out;
  if (const std::string v = identity(t, "arch"); !v.empty()) out.push_back("--arch=" + v);
  if (const std::string v = identity(t, "l1_kb"); !v.empty()) out.push_back("--l1-size-kb=" + v);
  if (const std::string v = identity(t, "mdla"); !v.empty()) out.push_back("--num-mdla=" + v);
  return out;
}

Result<std::vector<std::string>> default_flags(const Target& t, const CompileRequest& r) {
  std::vector<std::string> flags = t.compiler.options;
  if (!r.profile.empty() && r.profile != "default") {
    const auto& rows = profile_rows();
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const FlagProfile& p) { return p.name == r.profile; });
    if (row == rows.end()) {
      std::vector<std::string> names{"default"};
      for (const FlagProfile& p : rows) names.emplace_back(p.name);
      return Diag(diag::usage, "ncc-tflite has no profile '" + r.profile + "'", "there are " + join(names, ", "));
    }
    flags = row->flags;
  }
  NPU_TRY(drop_arguments(r, flags));
  return flags;
}

Result<std::vector<std::vector<std::string>>> commands(const ToolFacts& tool, const Target& t,
                                                       const CompileRequest& r) {
  NPU_ASSIGN(const std::vector<std::string> flags, default_flags(t, r));
  NPU_TRY(check_flags(tool, flags));
  NPU_TRY(check_flags(tool, r.extra));
  std::vector<std::string> base{tool.path, r.model};
  for (const std::string& f : target_flags(t)) base.push_back(f);
  std::vector<std::vector<std::string>> out;
  if (offers(tool, "--check-target-only")) {
    out.push_back(base);
    // Only what decides whether an operator fits: the pre-check must judge the model the compile will see.
    for (const std::string& f : flags)
      if (f == "--relax-fp32" || f == "--reshape-to-4d" || f == "--fc-to-conv") out.back().push_back(f);
    out.back().push_back("--check-target-only");
  }
  std::vector<std::string> main = std::move(base);
  main.insert(main.end(), flags.begin(), flags.end());
  for (const char* report : {"--show-exec-plan", "--show-memory-summary"})
    if (offers(tool, report)) main.emplace_back(report);
  main.insert(main.end(), r.extra.begin(), r.extra.end());
  const auto flag = tool.abilities.find("dla-flag");
  main.push_back(flag == tool.abilities.end() ? "-o" : flag->second);
  main.push_back(r.output);
  out.push_back(std::move(main));
  return out;
}

// Targets of --arch in the spelling of the messages: "mdla5.3,edma3.6" → MDLA_5_3, EDMA_3_6.
std::set<std::string> expected_targets(const Target& t) {
  std::set<std::string> out;
  const std::string arch = identity(t, "arch");  // outlives the pieces below
  for (const std::string_view part : split(arch, ',')) {
    std::string name;
    for (const char c : trim(part)) {
      if (std::isdigit(static_cast<unsigned char>(c)) && !name.empty() &&
          std::isalpha(static_cast<unsigned char>(name.back())))
        name += '_';
      name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    if (!name.empty()) out.insert(name);
  }
  return out;
}

// Operators the execution plan puts elsewhere than on the target's processors.
void check_placement(const Target& t, CompileOutcome& o) {
  if (o.verdict != CompileVerdict::accepted || !o.placement.is_array()) return;
  const std::set<std::string> expected = expected_targets(t);
  size_t elsewhere = 0;
  std::string where;
  for (const Json& row : o.placement) {
    const std::string target = row.value("target", "");
    if (expected.contains(target)) continue;
    ++elsewhere;
    if (where.empty()) where = target;
    o.findings.push_back({row.value("operator", ""), row.value("node", ""), "", "placed on " + target, ""});
  }
  if (elsewhere == 0) return;
  o.verdict = CompileVerdict::misplaced;
  o.cure = Cure::rewrite;
  o.reason = fmt::format("{} of {} entries of the execution plan are not on {}, the first on {}", elsewhere,
                         o.placement.size(), join({expected.begin(), expected.end()}, " or "), where);
}

Result<CompileOutcome> run(const ToolFacts& tool, const Target& t, const CompileRequest& r) {
  CompileOutcome o;
  NPU_ASSIGN(o.commands, commands(tool, t, r));
  NPU_ASSIGN(LogFile log, LogFile::create(r.log, r.log_head, r.log_tail));
  if (refuse_damaged_tflite(r, o, log)) {
    NPU_TRY(log.close());
    return o;
  }
  for (size_t i = 0; i < o.commands.size(); ++i) {
    const bool last = i + 1 == o.commands.size();
    NPU_ASSIGN(const ToolRun run, run_tool({o.commands[i], environment(tool), r.work_folder}, r, log));
    o.seconds += run.process.seconds;
    LogFacts facts = parse_ncc_log(run.text);
    // The pre-check counts when it names operators; what it cannot do otherwise, the compile will tell.
    if (!last && (facts.findings.empty() || run.process.timed_out)) continue;
    judge(run.process, std::move(facts), last ? check_binary_artefact(r.output, 32) : "", o);
    if (!last) {
      o.commands.resize(i + 1);
      break;
    }
  }
  check_placement(t, o);
  NPU_TRY(log.close());
  return o;
}

// "OP[12]: GATHER" at the start of a line (blanks before it allowed).
bool op_header(std::string_view line, std::string& index, std::string& op, std::string& rest) {
  line = trim(line);
  if (!line.starts_with("OP[")) return false;
  const size_t close = line.find(']');
  if (close == std::string_view::npos || close == 3) return false;
  for (const char c : line.substr(3, close - 3))
    if (!std::isdigit(static_cast<unsigned char>(c))) return false;
  index = line.substr(3, close - 3);
  line = trim(line.substr(close + 1));
  if (line.starts_with(':')) line = trim(line.substr(1));
  size_t end = 0;
  while (end < line.size() &&
         (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '_' || line[end] == ':'))
    ++end;
  op = line.substr(0, end);
  rest = trim(line.substr(end));
  return !op.empty();
}

bool says_no(std::string_view text) {
  for (const char* word : {"unsupported", "not support", "cannot", "out of range", "should be", "fail", "invalid"})
    if (contains_word(text, word)) return true;
  return false;
}

bool says_damaged(std::string_view line) {
  for (const char* word : {"flatbuffer", "schema", "cannot open", "failed to load", "failed to open", "not a valid",
                           "invalid tflite", "corrupt", "fail to load", "parse the model"})
    if (contains_word(line, word)) return true;
  return false;
}

class NccParser {
 public:
  void line(std::string_view line) {
    std::string index, op, rest;
    if (op_header(line, index, op, rest)) {
      flush();
      pending_ = CompilerFinding{op, index, "", says_no(rest) ? rest : "", ""};
      op_ = op;
      index_ = index;
      place(rest);
      return;
    }
    if (trim(line).empty()) return;
    facts_.last = line;
    if (place(line)) return;
    const bool indented = line.front() == ' ' || line.front() == '\t';
    if (pending_ && indented) {
      if (!pending_->reason.empty()) pending_->reason += "; ";
      pending_->reason += trim(line.substr(0, 500));
      return;
    }
    flush();
    other(line);
  }
  LogFacts take() {
    flush();
    if (!facts_.findings.empty()) facts_.cure = Cure::rewrite;
    return std::move(facts_);
  }

 private:
  void flush() {
    // A header without reasons is an operator that passed.
    if (pending_ && !pending_->reason.empty()) add_finding(facts_, std::move(*pending_));
    pending_.reset();
  }
  bool place(std::string_view line) {
    const size_t at = line.find("Target:");
    if (at == std::string_view::npos) return false;
    const std::string_view rest = trim(line.substr(at + 7));
    size_t end = 0;
    while (end < rest.size() &&
           (std::isalnum(static_cast<unsigned char>(rest[end])) || rest[end] == '_' || rest[end] == '.'))
      ++end;
    if (end == 0 || (facts_.placement.is_array() && facts_.placement.size() >= kMaxFindings)) return false;
    facts_.placement.push_back(Json{{"node", index_}, {"operator", op_}, {"target", std::string(rest.substr(0, end))}});
    pending_.reset();
    return true;
  }
  void other(std::string_view line) {
    if (is_error_line(line)) {
      if (facts_.error.empty()) facts_.error = trim(line);
      if (facts_.cure == Cure::none) facts_.cure = cure_of(line);
    } else if (const size_t colon = line.find(':'); colon < 60 && facts_.metrics.size() < 64) {
      const std::string_view key = trim(line.substr(0, colon)), value = trim(line.substr(colon + 1));
      const bool number = value.find_first_of("0123456789") != std::string_view::npos;
      if (number && (contains_word(key, "dram") || contains_word(key, "l1") || contains_word(key, "footprint") ||
                     contains_word(key, "bandwidth")))
        facts_.metrics[valid_utf8(key)] = valid_utf8(value.substr(0, 100));
    }
  }
  static Cure cure_of(std::string_view line) {
    if (contains_word(line, "unsupported") || contains_word(line, "not support")) return Cure::rewrite;
    if (contains_word(line, "unknown option") || contains_word(line, "unrecognized") ||
        contains_word(line, "does not exist"))
      return Cure::options;
    if (contains_word(line, "shared librar") || contains_word(line, "license") || contains_word(line, "memory"))
      return Cure::environment;
    return says_damaged(line) ? Cure::file : Cure::none;
  }

  LogFacts facts_;
  std::optional<CompilerFinding> pending_;
  std::string op_, index_;
};

}  // namespace

LogFacts parse_ncc_log(std::string_view text) {
  NccParser parser;
  for_each_line(text, [&](std::string_view line) { parser.line(line); });
  return parser.take();
}

constinit const Driver ncc_tflite_driver = {.name = "ncc-tflite",
                                            .tool = "ncc-tflite",
                                            .doc = "MediaTek compiler, .tflite to .dla",
                                            .input = "tflite",
                                            .suffix = ".dla",
                                            .probe = probe,
                                            .commands = commands,
                                            .run = run,
                                            .environment = environment,
                                            .profiles = profiles,
                                            .notes = notes};

}  // namespace npuport
