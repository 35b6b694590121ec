#include "drivers/tool_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/text.h"
#include "frontends/tflite_file.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

// What the parsers see of one stream; the file on disk keeps more.
constexpr size_t kKeepForParsing = size_t{64} << 20;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Position of `word` as a whole word in `text` at or after `from`; npos. Both lower case.
size_t find_word(std::string_view text, std::string_view word, size_t from = 0) {
  for (size_t at = text.find(word, from); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool left = at == 0 || !is_word(text[at - 1]);
    const size_t end = at + word.size();
    if (left && (end == text.size() || !is_word(text[end]))) return at;
  }
  return std::string_view::npos;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool contains_word(std::string_view text, std::string_view word) {
  return lower(text).find(lower(word)) != std::string::npos;
}

Result<ToolRun> run_tool(const ToolCommand& command, const CompileRequest& request, LogFile& log) {
  ToolRun run;
  std::atomic<bool> stop = false;
  std::string head, tail;  // both streams in the order they came
  ProcessOptions p;
  p.argv = command.argv;
  p.cwd = command.cwd;
  p.env = command.env;
  p.timeout = request.timeout;
  p.keep = size_t{64} << 10;
  p.memory_limit = request.memory_limit;
  p.cancel = request.cancel;
  p.stop = &stop;
  p.on_output = [&](std::string_view text, bool) {
    if (!log.write(text)) stop = true;
    const size_t n = std::min(text.size(), kKeepForParsing / 2 - head.size());
    head += text.substr(0, n);
    text.remove_prefix(n);
    tail += text;
    if (tail.size() > kKeepForParsing) tail.erase(0, tail.size() - kKeepForParsing / 2);
  };
  log.write("$ " + shell_quote(command.argv) + "\n");
  NPU_ASSIGN(run.process, run_process(p));
  if (stop.load()) {
    NPU_TRY(log.close());
  }
  if (run.process.cancelled) return Diag(diag::interrupted, "the compiler was stopped on request");
  log.write(fmt::format("\n[{} after {:.2f} s]\n", describe(run.process), run.process.seconds));
  run.text = std::move(head) + "\n" + tail;
  return run;
}

Result<std::string> ask_tool(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
                             std::chrono::seconds limit) {
  ProcessOptions p;
  p.argv = argv;
  p.env = env;
  p.timeout = limit;
  p.keep = size_t{1} << 20;
  std::error_code ec;
  p.cwd = fs::temp_directory_path(ec).string();  // a tool may litter
  NPU_ASSIGN(const ProcessResult r, run_process(p));
  if (r.signal || r.timed_out)
    return Diag(diag::tool_failed, argv[0] + " does not answer: " + describe(r),
                "check the tool by hand: " + shell_quote(argv));
  return r.out + (r.err.empty() || r.out.empty() || r.out.ends_with('\n') ? "" : "\n") + r.err;
}

std::string setting(const Target& t, const CompileRequest& r, const std::string& key) {
  if (const auto it = r.options.find(key); it != r.options.end()) return it->second;
  if (const auto it = t.compiler.settings.find(key); it != t.compiler.settings.end()) return it->second;
  const auto it = t.identity.find(key);
  return it == t.identity.end() ? std::string() : it->second;
}

Status drop_arguments(const CompileRequest& r, std::vector<std::string>& argv) {
  // Without the model and the result nothing can be compiled.
  const auto needed = [&](const std::string& word) { return word == r.model || word == r.output; };
  for (const std::string& unwanted : r.drop)
    if (std::erase_if(argv, [&](const std::string& word) {
          return !needed(word) && (word == unwanted || word.starts_with(unwanted + "="));
        }) == 0)
      return Diag(diag::usage, unwanted + " is not among the arguments: " + join(argv, " "), "nothing to drop");
  return {};
}

std::string tool_digest(const std::string& path) {
  std::error_code ec;
  if (path.find('/') == std::string::npos) return {};
  const fs::path real = fs::canonical(path, ec);
  if (ec || !fs::is_regular_file(real, ec)) return {};
  const Result<std::string> digest = sha256_file(real.string());
  return digest ? *digest : std::string();
}

void add_finding(LogFacts& facts, CompilerFinding finding) {
  if (facts.findings.size() >= kMaxFindings) {
    ++facts.dropped;
    return;
  }
  facts.findings.push_back(std::move(finding));
}

void for_each_line(std::string_view text, const std::function<void(std::string_view line)>& line) {
  std::string clean;
  const auto flush = [&] {
    if (!clean.empty() && clean.back() == '\r') clean.pop_back();
    const size_t bar = clean.rfind('\r');
    line(bar == std::string::npos ? std::string_view(clean) : std::string_view(clean).substr(bar + 1));
    clean.clear();
  };
  constexpr size_t kLongest = size_t{64} << 10;  // no parser needs more of one line
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      flush();
    } else if (c == '\x1b' && i + 1 < text.size() && text[i + 1] == '[') {
      // ESC [ parameters final byte
      i += 2;
      while (i < text.size() && text[i] != '\n' && !(text[i] >= '@' && text[i] <= '~')) ++i;
      if (i < text.size() && text[i] == '\n') flush();
    } else if (clean.size() < kLongest) {
      clean += c;
    }
  }
  if (!clean.empty()) flush();
}

bool is_error_line(std::string_view line) {
  const std::string text = lower(trim(line));
  size_t at = std::string::npos;
  for (const std::string_view word : {"error", "fatal", "errors"}) at = std::min(at, find_word(text, word));
  if (at == std::string::npos) return false;
  // A line that is tagged as a warning or as information may speak of errors.
  for (const std::string_view tag : {"warning", "warn", "info", "debug"})
    if (find_word(text, tag) < at) return false;
  // "0 errors", "no error", "errors: 0".
  const std::string before(trim(std::string_view(text).substr(0, at)));
  for (const std::string_view none : {"0", "no", "without", "zero"})
    if (before == none || before.ends_with(" " + std::string(none)) || before.ends_with("," + std::string(none)))
      return false;
  size_t after = at;
  while (after < text.size() && is_word(text[after])) ++after;
  const std::string_view rest = trim(std::string_view(text).substr(after));
  if (rest == ": 0" || rest == "= 0" || rest == ":0" || rest == "=0") return false;
  // "quantisation error 0.01", "max error: 1e-4" are figures, not failures: an error is the line's tag (first word, in
  // brackets, in capitals, or before a colon and words).
  const std::string_view original = trim(line);
  const bool capitals = std::isupper(static_cast<unsigned char>(original[at])) &&
                        std::isupper(static_cast<unsigned char>(original[at + 1]));
  const bool first = before.empty() || before.ends_with('[') || before.ends_with(':') || before.ends_with(']');
  const bool colon =
      rest.starts_with(':') &&
      !(rest.size() > 1 &&
        std::isdigit(static_cast<unsigned char>(trim(rest.substr(1)).empty() ? 'x' : trim(rest.substr(1))[0])));
  return capitals || first || colon;
}

void judge(const ProcessResult& process, LogFacts facts, const std::string& bad_artefact, CompileOutcome& o) {
  o.metrics.insert(facts.metrics.begin(), facts.metrics.end());
  if (!facts.placement.is_null()) o.placement = std::move(facts.placement);
  o.findings.insert(o.findings.end(), facts.findings.begin(), facts.findings.end());
  if (facts.dropped > 0) o.metrics["findings not kept"] = std::to_string(facts.dropped);
  o.cure = facts.cure;
  const auto quoted = [](std::string_view line) {
    return line.empty() ? std::string() : ": " + valid_utf8(trim(line.substr(0, std::min<size_t>(line.size(), 300))));
  };
  if (process.timed_out) {
    o.verdict = CompileVerdict::timed_out;
    o.reason = describe(process);
    return;
  }
  // 128 + n: a wrapper script reports that a signal killed the program it started.
  const bool wrapped_signal = process.exit_code > 128 && process.exit_code <= 128 + 31;
  if (process.signal != 0 || (wrapped_signal && facts.findings.empty())) {
    o.verdict = CompileVerdict::crashed;
    o.reason = (process.signal
                    ? describe(process)
                    : fmt::format("exit code {}: a signal killed the program behind the script", process.exit_code)) +
               quoted(facts.error);
    return;
  }
  if (!facts.findings.empty()) {
    const CompilerFinding& f = facts.findings.front();
    const std::string what = f.op.empty() ? f.node : f.op;
    o.verdict = CompileVerdict::refused;
    if (o.cure == Cure::none) o.cure = Cure::rewrite;
    o.reason = fmt::format("{} refusal{}, first{}{}", facts.findings.size() + facts.dropped,
                           facts.findings.size() + facts.dropped == 1 ? "" : "s", what.empty() ? "" : ": " + what,
                           quoted(f.reason));
    return;
  }
  if (process.exit_code != 0) {
    o.verdict = contains_word(facts.error, "internal error") ? CompileVerdict::crashed : CompileVerdict::refused;
    o.reason = describe(process) + quoted(facts.error.empty() ? facts.last : facts.error);
    return;
  }
  if (!facts.error.empty()) {
    o.verdict = CompileVerdict::refused;
    o.reason = "exit code 0, but the log says" + quoted(facts.error);
    return;
  }
  if (!bad_artefact.empty()) {
    o.verdict = CompileVerdict::no_output;
    o.reason = "exit code 0, but " + bad_artefact;
    return;
  }
  o.verdict = CompileVerdict::accepted;
  o.reason = "artefact written, exit code 0, no error in the log";
}

bool refuse_damaged_tflite(const CompileRequest& request, CompileOutcome& o, LogFile& log) {
  const Result<TfliteFile> file = open_tflite(request.model);
  if (file) return false;
  o.verdict = CompileVerdict::refused;
  o.cure = Cure::file;
  o.reason = "not given to the compiler: the .tflite file is damaged: " + file.error().message;
  o.commands.clear();
  log.write(o.reason + "\n");
  return true;
}

std::string check_binary_artefact(const std::string& path, uint64_t minimum) {
  std::error_code ec;
  if (!fs::exists(path, ec)) return "no file was written";
  if (!fs::is_regular_file(path, ec)) return "what was written is no regular file";
  const uint64_t size = fs::file_size(path, ec);
  if (size < minimum) return fmt::format("the file has only {} bytes", size);
  std::FILE* f = std::fopen(path.c_str(), "rb");
  if (!f) return "the file cannot be read";
  std::string start(4096, '\0');
  start.resize(std::fread(start.data(), 1, start.size(), f));
  std::fclose(f);
  if (start.find_first_not_of('\0') == std::string::npos && size <= start.size()) return "the file holds zeros only";
  const bool text = std::all_of(start.begin(), start.end(),
                                [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; });
  if (text) return "the file holds text, not a compiled model";
  return {};
}

Result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == '\'') {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (quote == '"') {
      if (c == quote) {
        quote = 0;
      } else if (c == '\\' && i + 1 < line.size() &&
                 std::string_view("$`\"\\\n").find(line[i + 1]) != std::string_view::npos) {
        if (line[++i] != '\n') word += line[i];
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == '\\') {
      if (i + 1 == line.size())
        return Diag(diag::syntax, "the arguments end in a lone backslash", "remove it or double it");
      if (line[++i] != '\n') word += line[i], in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote) return Diag(diag::syntax, fmt::format("the arguments hold an unfinished {} quote", quote), "close it");
  if (in_word) words.push_back(std::move(word));
  return words;
}

}  // namespace npuport
