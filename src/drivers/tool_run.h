// What the drivers share: a run with its log on disk, and the judgement of an ordinary compiler.
#pragma once

#include <cstdio>

#include "base/subprocess.h"
#include "drivers/driver.h"

namespace npuport {

// A log file of bounded size: the first `head` and the last `tail` bytes of what is written, with a note between them.
// It grows while the tool runs; the last bytes stand in a ring behind the head until `close` puts them in order.
class LogFile {
 public:
  // not_writable
  static Result<LogFile> create(const std::string& path, uint64_t head, uint64_t tail);
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&&) = delete;
  ~LogFile();

  // False once the disk is full or the file is gone; the error comes from close().
  bool write(std::string_view text);
  Status close();
  uint64_t written() const { return written_; }  // bytes offered so far, dropped ones included

 private:
  LogFile() = default;
  bool put(std::string_view text, uint64_t offset);
  std::string path_;
  int fd_ = -1;
  uint64_t head_ = 0, tail_ = 0, written_ = 0;
  int error_ = 0;
};

// One command of a driver.
struct ToolCommand {
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;
  std::string cwd;
};

struct ToolRun {
  ProcessResult process;
  std::string text;  // stdout and stderr as they came, bounded: what the parsers read
};

// Runs a command; everything it prints goes to `log`, after a line "$ command". Errors: the tool cannot be started
// (tool_missing, not_readable), the log cannot be written, cancelled (interrupted).
Result<ToolRun> run_tool(const ToolCommand& command, const CompileRequest& request, LogFile& log);

// Asks a program something: first line and whole text of its answer, both streams, within `limit`. tool_missing,
// not_readable; tool_failed when it crashed or hung. A non-zero exit code with text is an answer.
Result<std::string> ask_tool(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env = {},
                             std::chrono::seconds limit = std::chrono::seconds(30));
// What is set under `key`: by the request, in the target's [compiler.settings], in its [identity]; empty = nowhere.
std::string setting(const Target& t, const CompileRequest& r, const std::string& key);
// Takes the request's unwanted arguments out of `argv`: words equal to one, or that give it a value ("--flag" takes
// "--flag=3" along). The model and the result stay. usage when one is not there.
Status drop_arguments(const CompileRequest& r, std::vector<std::string>& argv);

// SHA-256 of the program behind a path or a bare name; empty when it cannot be read.
std::string tool_digest(const std::string& path);

// What a log says, in any compiler's terms.
struct LogFacts {
  std::vector<CompilerFinding> findings;  // refusals
  std::string error;                      // first line that is an error; empty = none
  std::string last;                       // last line that says anything
  Cure cure = Cure::none;
  std::map<std::string, std::string> metrics;
  Json placement;
  size_t dropped = 0;  // findings beyond kMaxFindings
};
inline constexpr size_t kMaxFindings = 10000;

// Adds a finding, or counts it when there are too many.
void add_finding(LogFacts& facts, CompilerFinding finding);
// Calls `line` for every line of text: ends at \n or \r\n, carriage-return progress bars keep their last state, ANSI
// colour codes are removed.
void for_each_line(std::string_view text, const std::function<void(std::string_view line)>& line);
// Whether a line reports an error: ERROR, FATAL, "error:" … A line that only warns, or says there is none, does not.
bool is_error_line(std::string_view line);
// Case-insensitive search.
bool contains_word(std::string_view text, std::string_view word);
std::string lower(std::string_view text);

// Verdict of a compiler that follows the usual rules: exit code, signal, error lines, an artefact. `bad_artefact`:
// what is wrong with the artefact, empty when it is good. Fills verdict, reason, findings, cure, metrics, placement.
void judge(const ProcessResult& process, LogFacts facts, const std::string& bad_artefact, CompileOutcome& o);

// S0-43: a damaged .tflite and a refused operator need different cures, and the tools' words do not always tell (Vela
// dies by a segmentation fault). True when request.model is damaged: the outcome and the log say so, and the tool must
// not be given it.
bool refuse_damaged_tflite(const CompileRequest& request, CompileOutcome& o, LogFile& log);

// Empty when the file is there, has at least `minimum` bytes and is neither text nor all zeros; otherwise what is
// wrong.
std::string check_binary_artefact(const std::string& path, uint64_t minimum = 16);

// Words of a line as a POSIX shell splits them: quotes and backslashes count, nothing is expanded. `syntax` for an
// unfinished quote.
Result<std::vector<std::string>> split_words(std::string_view line);

// The rows, one function per file.
extern const Driver ncc_tflite_driver, mtk_converter_driver, atc_driver, amct_onnx_driver, vela_driver, rknn_driver,
    generic_driver;

}  // namespace npuport
