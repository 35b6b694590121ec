// Any compiler by configuration: a command with {input} and {output} in the target's file, regular expressions for its
// log. Also the way to a remote service: the command is a client.
#include <fmt/format.h>

#include <filesystem>
#include <regex>

#include "base/diag_codes.h"
#include "base/text.h"
#include "drivers/tool_run.h"

namespace npuport {
namespace {

Result<ToolFacts> probe(const std::string& path) {
  ToolFacts t;
  t.path = path;
  // A script of the user's may know no --version and begin to work, or to wait for something.
  const Result<std::string> version = ask_tool({path, "--version"}, {}, std::chrono::seconds(5));
  if (!version && version.error().code == &diag::tool_missing) return version.error();
  if (version)
    t.version = valid_utf8(trim(std::string_view(*version).substr(0, std::min<size_t>(version->find('\n'), 200))));
  t.digest = tool_digest(path);
  return t;
}

Result<std::vector<std::vector<std::string>>> commands(const ToolFacts& tool, const Target& t,
                                                       const CompileRequest& r) {
  NPU_ASSIGN(std::vector<std::string> argv, split_words(t.compiler.command));
  if (argv.empty())
    return Diag(diag::usage, "target " + t.name + " has driver \"generic\" but no command",
                "add command = \"mycc {input} -o {output}\" to its [compiler]")
        .in_file(t.file);
  if (t.compiler.command.find("{input}") == std::string::npos ||
      t.compiler.command.find("{output}") == std::string::npos)
    return Diag(diag::usage, "the command of target " + t.name + " lacks {input} or {output}", "name both")
        .in_file(t.file);
  // One pass a placeholder, and never on what was put in: a file may be called {output}.
  for (std::string& word : argv) {
    std::string out;
    for (size_t i = 0; i < word.size();) {
      const std::string_view rest = std::string_view(word).substr(i);
      if (rest.starts_with("{input}")) {
        out += r.model;
        i += 7;
      } else if (rest.starts_with("{output}")) {
        out += r.output;
        i += 8;
      } else {
        out += word[i++];
      }
    }
    word = std::move(out);
  }
  argv[0] = tool.path;
  argv.insert(argv.end(), t.compiler.options.begin(), t.compiler.options.end());
  NPU_TRY(drop_arguments(r, argv));
  argv.insert(argv.end(), r.extra.begin(), r.extra.end());
  return std::vector<std::vector<std::string>>{argv};
}

struct Pattern {
  std::string kind;
  std::regex regex;
  std::vector<std::string> fields;
};

Result<std::vector<Pattern>> patterns(const Target& t) {
  std::vector<Pattern> out;
  for (const LogPattern& p : t.compiler.log) {
    try {
      out.push_back({p.kind, std::regex(p.pattern, std::regex::ECMAScript | std::regex::optimize), p.fields});
    } catch (const std::regex_error& e) {
      return Diag(diag::syntax, "the log pattern '" + p.pattern + "' is no regular expression: " + e.what())
          .in_file(t.file);
    }
  }
  return out;
}

void apply(const Pattern& p, const std::cmatch& m, LogFacts& facts, std::string_view line) {
  const auto field = [&](std::string_view name) {
    for (size_t i = 0; i < p.fields.size() && i + 1 < m.size(); ++i)
      if (p.fields[i] == name) return valid_utf8(m[i + 1].str());
    return std::string();
  };
  if (p.kind == "metric") {
    if (facts.metrics.size() < 256) facts.metrics[field("name")] = field("value");
  } else if (p.kind == "refused") {
    CompilerFinding f{field("op"), field("node"), field("tensor"), field("reason"), field("code")};
    if (p.fields.empty() && m.size() > 1) f.op = valid_utf8(m[1].str());
    if (f.reason.empty()) f.reason = valid_utf8(trim(line));
    add_finding(facts, std::move(f));
  } else if (p.kind == "error" && facts.error.empty()) {
    facts.error = trim(line);
  }
}

LogFacts parse(std::string_view text, const std::vector<Pattern>& rows) {
  // A backtracking engine recurses per character: longer lines are cut.
  constexpr size_t kLongest = 2000;
  LogFacts facts;
  for_each_line(text, [&](std::string_view line) {
    if (trim(line).empty()) return;
    line = line.substr(0, kLongest);
    facts.last = line;
    for (const Pattern& p : rows) {
      std::cmatch m;
      try {
        if (!std::regex_search(line.data(), line.data() + line.size(), m, p.regex)) continue;
      } catch (const std::regex_error&) {
        continue;  // too complex for this line
      }
      return apply(p, m, facts, line);
    }
    if (rows.empty() && is_error_line(line) && facts.error.empty()) facts.error = trim(line);
  });
  return facts;
}

Result<CompileOutcome> run(const ToolFacts& tool, const Target& t, const CompileRequest& r) {
  CompileOutcome o;
  NPU_ASSIGN(o.commands, commands(tool, t, r));
  NPU_ASSIGN(const std::vector<Pattern> rows, patterns(t));
  NPU_ASSIGN(LogFile log, LogFile::create(r.log, r.log_head, r.log_tail));
  NPU_ASSIGN(const ToolRun run, run_tool({o.commands[0], {}, r.work_folder}, r, log));
  o.seconds = run.process.seconds;
  std::error_code ec;
  const std::string bad = std::filesystem::exists(r.output, ec) && std::filesystem::file_size(r.output, ec) > 0
                              ? ""
                              : "no file was written, or an empty one";
  judge(run.process, parse(run.text, rows), bad, o);
  NPU_TRY(log.close());
  return o;
}

}  // namespace

constinit const Driver generic_driver = {.name = "generic",
                                         .tool = "",
                                         .doc = "any command named in the target's file",
                                         .input = "",
                                         .suffix = "",
                                         .probe = probe,
                                         .commands = commands,
                                         .run = run};

}  // namespace npuport
