// Runs another program: no shell, own process group, a time limit, bounded capture of what it prints.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace npuport {

struct ProcessOptions {
  std::vector<std::string> argv;  // argv[0]: a path, or a name looked up in PATH
  std::string cwd;                // empty: the caller's
  // Added to (or replacing entries of) the caller's environment; an empty value removes the variable.
  std::map<std::string, std::string> env;
  std::string stdin_text;  // fed to the child, then end of file
  // Zero: no limit. At the limit the whole process group is killed.
  std::chrono::milliseconds timeout{0};
  // Bytes kept of stdout and of stderr each: the first half and the last half of the limit, the middle is dropped.
  size_t keep = size_t{4} << 20;
  // Address space limit of the child in bytes; 0: none.
  uint64_t memory_limit = 0;
  // Called with every piece as it arrives (for a live log); may be empty.
  std::function<void(std::string_view text, bool is_stderr)> on_output;
  // Set from elsewhere (a signal handler) to stop the child; may be null.
  const std::atomic<bool>* cancel = nullptr;
  // A second reason to stop, for the caller's own callback (its disk is full); may be null.
  const std::atomic<bool>* stop = nullptr;
};

struct ProcessResult {
  int exit_code = -1;  // valid when signal == 0
  int signal = 0;      // what killed the child, 0 when it exited
  bool timed_out = false;
  bool cancelled = false;
  std::string out, err;                   // with a line "… N bytes dropped …" where something was dropped
  uint64_t out_bytes = 0, err_bytes = 0;  // as printed
  double seconds = 0;

  bool ok() const { return signal == 0 && exit_code == 0 && !timed_out && !cancelled; }
};

// Starts, feeds, waits. Grandchildren that keep the pipes open or stay in the group are killed when the child has
// ended. Errors only when the program could not be started: tool_missing (no such file), not_readable (not executable,
// no such cwd), internal. A program that fails, crashes or times out is a ProcessResult.
Result<ProcessResult> run_process(const ProcessOptions& options);

// Kills every child that is running, with its process group. Async-signal-safe: for the handler that ends this program.
// (Children die with the thread that started them anyhow; their own children need this.)
void kill_children();

// "exit code 3", "killed by signal 11 (Segmentation fault)", "stopped after 60 s".
std::string describe(const ProcessResult& r);
// The command as a line for a POSIX shell, quoted where needed: for scripts and messages, never executed by us.
std::string shell_quote(const std::vector<std::string>& argv);

}  // namespace npuport
