#include "base/subprocess.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/diag_codes.h"

extern char** environ;

namespace npuport {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  int read_end = -1;
  int write_end = -1;
  ~Pipe() { close_read(), close_write(); }
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read_end = ends[0];
    write_end = ends[1];
    return true;
  }
  void close_read() {
    if (read_end >= 0) ::close(read_end);
    read_end = -1;
  }
  void close_write() {
    if (write_end >= 0) ::close(write_end);
    write_end = -1;
  }
};

// Process groups of running children, for kill_children. More than that many at once are not known to it.
std::array<std::atomic<pid_t>, 256> running_groups;

class GroupSlot {
 public:
  explicit GroupSlot(pid_t pid) {
    for (auto& slot : running_groups) {
      pid_t free = 0;
      if (slot.compare_exchange_strong(free, pid)) {
        slot_ = &slot;
        return;
      }
    }
  }
  GroupSlot(const GroupSlot&) = delete;
  ~GroupSlot() {
    if (slot_) slot_->store(0);
  }

 private:
  std::atomic<pid_t>* slot_ = nullptr;
};

// In the environment of each run, and so of everything it starts.
constexpr const char* kMarker = "NPUPORT_RUN";

// Kills every process whose environment holds the entry: a tool's helpers may have left its process group and session.
void kill_marked(const std::string& entry) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), ::closedir);
  if (!folder) return;
  while (const dirent* e = ::readdir(folder.get())) {
    char* end = nullptr;
    const long pid = std::strtol(e->d_name, &end, 10);
    if (*end != '\0' || pid <= 1 || pid == ::getpid()) continue;
    const int fd = ::open(fmt::format("/proc/{}/environ", pid).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;  // another user's
    std::string text(1, '\0');
    std::array<char, 65536> block;
    for (ssize_t n; text.size() < (size_t{4} << 20) && (n = ::read(fd, block.data(), block.size())) > 0;)
      text.append(block.data(), static_cast<size_t>(n));
    ::close(fd);
    if (text.find('\0' + entry + '\0') != std::string::npos) ::kill(static_cast<pid_t>(pid), SIGKILL);
  }
}

// Keeps the start and the end of a stream.
class Capture {
 public:
  explicit Capture(size_t keep) : half_(keep / 2) {}
  void add(std::string_view text) {
    total_ += text.size();
    const size_t room = half_ - head_.size();
    head_ += text.substr(0, room);
    if (text.size() <= room) return;
    tail_ += text.substr(room);
    if (tail_.size() > 2 * half_) tail_.erase(0, tail_.size() - half_);
  }
  std::string text() const {
    if (total_ <= 2 * half_) return head_ + tail_;
    const std::string end = tail_.size() > half_ ? tail_.substr(tail_.size() - half_) : tail_;
    return fmt::format("{}\n… {} bytes dropped …\n{}", head_, total_ - head_.size() - end.size(), end);
  }
  uint64_t total() const { return total_; }

 private:
  size_t half_;
  uint64_t total_ = 0;
  std::string head_, tail_;
};

std::vector<std::string> environment(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    if (!changes.contains(std::string(text.substr(0, text.find('='))))) result.emplace_back(text);
  }
  for (const auto& [key, value] : changes)
    if (!value.empty()) result.push_back(key + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

// The program's path; empty when no folder of PATH holds it. Looked up before the fork: the child may only make
// async-signal-safe calls.
std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "/usr/bin:/bin";
  while (true) {
    const size_t end = rest.find(':');
    const std::string_view folder = rest.substr(0, end);
    std::string candidate = (folder.empty() ? "." : std::string(folder)) + "/" + name;
    if (!name.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    if (end == std::string_view::npos) return {};
    rest.remove_prefix(end + 1);
  }
}

enum class Stage : int { directory, exec };
struct ChildError {
  Stage stage;
  int error;
};

struct Start {
  const char* program;
  char** argv;
  char** envp;
  const char* cwd;
  uint64_t memory_limit;
  int stdin_fd, stdout_fd, stderr_fd, report_fd;
  pid_t parent;
};

[[noreturn]] void child(const Start& s) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != s.parent) ::_exit(127);  // it died before the line above
  ::dup2(s.stdin_fd, STDIN_FILENO);
  ::dup2(s.stdout_fd, STDOUT_FILENO);
  ::dup2(s.stderr_fd, STDERR_FILENO);
  // Handlers and masks of the parent must not reach the tool.
  for (const int signal_number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ, SIGBUS}) ::signal(signal_number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const auto report = [&](Stage stage) {
    const ChildError e{stage, errno};
    [[maybe_unused]] const ssize_t n = ::write(s.report_fd, &e, sizeof e);
    ::_exit(127);
  };
  if (s.memory_limit > 0) {
    const rlimit limit{s.memory_limit, s.memory_limit};
    ::setrlimit(RLIMIT_AS, &limit);
  }
  if (*s.cwd && ::chdir(s.cwd) != 0) report(Stage::directory);
  ::execve(s.program, s.argv, s.envp);
  report(Stage::exec);
  ::_exit(127);
}

Diag start_error(const ProcessOptions& o, Stage stage, int error) {
  if (stage == Stage::directory)
    return Diag(diag::not_readable, fmt::format("cannot enter the folder {}: {}", o.cwd, std::strerror(error)),
                "check the folder");
  if (error == ENOENT || error == ENOTDIR)
    return Diag(diag::tool_missing, fmt::format("the program {} is not there", o.argv[0]),
                "install it or name its path");
  return Diag(diag::not_readable, fmt::format("cannot start {}: {}", o.argv[0], std::strerror(error)),
              "check that the file is an executable for this machine");
}

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

// Moves bytes between the pipes and the buffers until the child has ended and the pipes are dry, or time is up.
class Session {
 public:
  Session(const ProcessOptions& options, std::string marker, pid_t pid, Pipe& in, Pipe& out, Pipe& err)
      : options_(options),
        marker_(std::move(marker)),
        pid_(pid),
        in_(in),
        out_(out),
        err_(err),
        out_text_(options.keep),
        err_text_(options.keep) {}

  ProcessResult run() {
    while (!ended_ || out_.read_end >= 0 || err_.read_end >= 0) {
      step();
      reap();
      if (should_stop()) ::kill(-pid_, SIGKILL);
      // Once the child is gone, what its own children still print within a moment is kept; then they are stopped.
      if (ended_ && Clock::now() - ended_at_ > std::chrono::milliseconds(200)) break;
    }
    ::kill(-pid_, SIGKILL);                                            // leftovers of the group
    if (result_.timed_out || result_.cancelled) kill_marked(marker_);  // and those that left it
    result_.out = out_text_.text();
    result_.err = err_text_.text();
    result_.out_bytes = out_text_.total();
    result_.err_bytes = err_text_.total();
    result_.seconds = std::chrono::duration<double>(ended_at_ - start_).count();
    return std::move(result_);
  }

 private:
  bool should_stop() {
    if (ended_) return false;
    if (options_.timeout.count() > 0 && Clock::now() - start_ > options_.timeout) result_.timed_out = true;
    if (options_.cancel && options_.cancel->load()) result_.cancelled = true;
    if (options_.stop && options_.stop->load()) result_.cancelled = true;
    return result_.timed_out || result_.cancelled;
  }

  void step() {
    std::array<pollfd, 3> fds = {pollfd{out_.read_end, POLLIN, 0}, pollfd{err_.read_end, POLLIN, 0},
                                 pollfd{in_.write_end, POLLOUT, 0}};
    // Both streams closed: the child is about to end, and waiting long for that would be most of a short run.
    const bool closed = out_.read_end < 0 && err_.read_end < 0;
    ::poll(fds.data(), fds.size(), closed ? 1 : 20);
    if (fds[0].revents) drain(out_, out_text_, false);
    if (fds[1].revents) drain(err_, err_text_, true);
    if (fds[2].revents) feed();
  }

  void drain(Pipe& pipe, Capture& capture, bool is_stderr) {
    std::array<char, 65536> block;
    const ssize_t n = ::read(pipe.read_end, block.data(), block.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return pipe.close_read();
    const std::string_view text(block.data(), static_cast<size_t>(n));
    capture.add(text);
    if (options_.on_output) options_.on_output(text, is_stderr);
  }

  void feed() {
    const std::string& text = options_.stdin_text;
    const ssize_t n = ::write(in_.write_end, text.data() + fed_, text.size() - fed_);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) fed_ += static_cast<size_t>(n);
    if (n < 0 || fed_ == text.size()) in_.close_write();
  }

  void reap() {
    if (ended_) return;
    int status = 0;
    const pid_t done = ::waitpid(pid_, &status, WNOHANG);
    if (done == 0 || (done < 0 && errno == EINTR)) return;
    ended_ = true;
    ended_at_ = Clock::now();
    if (done == pid_ && WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (done == pid_ && WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
  }

  const ProcessOptions& options_;
  std::string marker_;
  pid_t pid_;
  Pipe &in_, &out_, &err_;
  Capture out_text_, err_text_;
  size_t fed_ = 0;
  bool ended_ = false;
  Clock::time_point start_ = Clock::now(), ended_at_ = start_;
  ProcessResult result_;
};

// A child that closed its stdin must not kill us: SIGPIPE is ignored while we feed it.
class IgnoreSigpipe {
 public:
  IgnoreSigpipe() {
    struct sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before_);
  }
  ~IgnoreSigpipe() { ::sigaction(SIGPIPE, &before_, nullptr); }

 private:
  struct sigaction before_ = {};
};

}  // namespace

Result<ProcessResult> run_process(const ProcessOptions& options) {
  if (options.argv.empty()) return Diag(diag::internal, "no program was named");
  const std::string program = find_program(options.argv[0]);
  if (program.empty()) return start_error(options, Stage::exec, ENOENT);
  Pipe in, out, err, report;
  if (!in.open() || !out.open() || !err.open() || !report.open())
    return Diag(diag::not_readable, fmt::format("cannot make a pipe: {}", std::strerror(errno)),
                "close other programs or raise the limit of open files");
  std::vector<std::string> argv = options.argv;
  static std::atomic<unsigned> counter = 0;
  std::map<std::string, std::string> marked = options.env;
  marked[kMarker] = fmt::format("{}.{}", ::getpid(), counter++);
  std::vector<std::string> env = environment(marked);
  const std::vector<char*> argv_pointers = pointers(argv);
  const std::vector<char*> env_pointers = pointers(env);
  const Start start{program.c_str(),
                    const_cast<char**>(argv_pointers.data()),
                    const_cast<char**>(env_pointers.data()),
                    options.cwd.c_str(),
                    options.memory_limit,
                    in.read_end,
                    out.write_end,
                    err.write_end,
                    report.write_end,
                    ::getpid()};
  const IgnoreSigpipe guard;
  const pid_t pid = ::fork();
  if (pid < 0)
    return Diag(diag::not_readable, fmt::format("cannot start a process: {}", std::strerror(errno)),
                "close other programs");
  if (pid == 0) child(start);
  ::setpgid(pid, pid);  // in both processes: whoever comes first
  const GroupSlot slot(pid);
  in.close_read();
  out.close_write();
  err.close_write();
  report.close_write();
  ChildError failure{};
  ssize_t n = 0;
  do n = ::read(report.read_end, &failure, sizeof failure);
  while (n < 0 && errno == EINTR);
  if (n == sizeof failure) {
    ::waitpid(pid, nullptr, 0);
    return start_error(options, failure.stage, failure.error);
  }
  set_nonblocking(out.read_end);
  set_nonblocking(err.read_end);
  set_nonblocking(in.write_end);
  if (options.stdin_text.empty()) in.close_write();
  return Session(options, kMarker + ("=" + marked[kMarker]), pid, in, out, err).run();
}

void kill_children() {
  for (const auto& slot : running_groups)
    if (const pid_t group = slot.load(); group > 0) ::kill(-group, SIGKILL);
}

std::string describe(const ProcessResult& r) {
  if (r.cancelled) return "stopped on request";
  if (r.timed_out) return fmt::format("stopped after {:.0f} s", r.seconds);
  if (r.signal) return fmt::format("killed by signal {} ({})", r.signal, ::strsignal(r.signal));
  return fmt::format("exit code {}", r.exit_code);
}

std::string shell_quote(const std::vector<std::string>& argv) {
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
  std::string line;
  for (const std::string& word : argv) {
    if (!line.empty()) line += ' ';
    if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

}  // namespace npuport
