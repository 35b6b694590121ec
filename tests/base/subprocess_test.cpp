#include "base/subprocess.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "support/temp_folder.h"

namespace npuport {
namespace {

using namespace std::chrono_literals;

ProcessOptions sh(const std::string& script) {
  ProcessOptions o;
  o.argv = {"/bin/sh", "-c", script};
  return o;
}

TEST(Subprocess, CapturesBothStreamsAndTheCode) {
  const auto r = run_process(sh("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->out, "out\n");
  EXPECT_EQ(r->err, "err\n");
  EXPECT_EQ(r->exit_code, 3);
  EXPECT_FALSE(r->ok());
  EXPECT_EQ(describe(*r), "exit code 3");
}

TEST(Subprocess, NoShellTouchesTheArguments) {
  ProcessOptions o;
  o.argv = {"printf", "%s|", "a b", "$(id)", "'\";", "*", ""};
  const auto r = run_process(o);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->out, "a b|$(id)|'\";|*||");
}

// A daemon of the tool's has its own session and no open pipe.
TEST(Subprocess, TimeoutKillsWhatLeftTheGroup) {
  const testing::TempFolder folder;
  ProcessOptions o;
  o.argv = {"/bin/sh", "-c", "setsid sh -c 'echo $$ > \"$0\"; exec sleep 100' \"$0\" >/dev/null 2>&1 & sleep 100",
            folder.path("pid")};
  o.timeout = 1500ms;
  const Result<ProcessResult> r = run_process(o);
  ASSERT_TRUE(r.ok());
  EXPECT_TRUE(r->timed_out);
  const int daemon = std::atoi(read_file(folder.path("pid"))->c_str());
  ASSERT_GT(daemon, 0);
  const auto gone = [&] {
    const auto stat = read_file("/proc/" + std::to_string(daemon) + "/stat");
    return !stat || stat->find(") Z") != std::string::npos;
  };
  for (int i = 0; i < 250 && !gone(); ++i) std::this_thread::sleep_for(20ms);  // a killed process takes a moment to end
  EXPECT_TRUE(gone());
}

TEST(Subprocess, TimeoutKillsTheWholeGroup) {
  const testing::TempFolder folder;
  ProcessOptions o = sh("sleep 60 & echo $! > pid; wait");
  o.cwd = folder.path();
  o.timeout = 300ms;
  const auto start = std::chrono::steady_clock::now();
  const auto r = run_process(o);
  ASSERT_TRUE(r.ok());
  EXPECT_TRUE(r->timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 20s);
  const int grandchild = std::atoi(read_file(folder.path("pid"))->c_str());
  ASSERT_GT(grandchild, 0);
  for (int i = 0; i < 100 && ::kill(grandchild, 0) == 0; ++i) std::this_thread::sleep_for(20ms);
  // Gone, or a zombie that nobody in a container collects.
  const auto stat = read_file("/proc/" + std::to_string(grandchild) + "/stat");
  EXPECT_TRUE(!stat.ok() || stat->find(") Z") != std::string::npos);
}

TEST(Subprocess, ReturnsThoughAGrandchildHoldsThePipe) {
  const auto start = std::chrono::steady_clock::now();
  const auto r = run_process(sh("sleep 60 & echo done"));
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->out, "done\n");
  EXPECT_TRUE(r->ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, 20s);
}

TEST(Subprocess, KeepsStartAndEndOfLongOutput) {
  ProcessOptions o = sh("echo first; yes | head -c 3000000; echo last");
  o.keep = 1000;
  const auto r = run_process(o);
  ASSERT_TRUE(r.ok());
  EXPECT_TRUE(r->out.starts_with("first\n"));
  EXPECT_TRUE(r->out.ends_with("last\n"));
  EXPECT_NE(r->out.find("bytes dropped"), std::string::npos);
  EXPECT_LT(r->out.size(), 1100U);
  EXPECT_EQ(r->out_bytes, 3000011U);
}

TEST(Subprocess, CrashesAreResults) {
  const auto r = run_process(sh("kill -SEGV $$"));
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->signal, SIGSEGV);
  EXPECT_NE(describe(*r).find("signal 11"), std::string::npos);
}

TEST(Subprocess, WhatCannotStart) {
  ProcessOptions o;
  EXPECT_EQ(run_process(o).error().code, &diag::internal);
  o.argv = {"no-such-program-anywhere"};
  EXPECT_EQ(run_process(o).error().code, &diag::tool_missing);
  o.argv = {"/no/such/program"};
  EXPECT_EQ(run_process(o).error().code, &diag::tool_missing);
  o.argv = {"/"};
  EXPECT_EQ(run_process(o).error().code, &diag::not_readable);
  o.argv = {"/bin/true"};
  o.cwd = "/no/such/folder";
  EXPECT_EQ(run_process(o).error().code, &diag::not_readable);
}

TEST(Subprocess, FeedsLargeInputAndSurvivesAClosedOne) {
  ProcessOptions o = sh("wc -c");
  o.stdin_text = std::string(1000000, 'x');
  EXPECT_EQ(trim(run_process(o)->out), "1000000");
  o.argv = {"/bin/true"};
  EXPECT_TRUE(run_process(o)->ok());
}

TEST(Subprocess, EnvironmentAndFolder) {
  const testing::TempFolder folder;
  ProcessOptions o = sh("echo \"$NPU_A|${HOME-unset}\"; pwd");
  o.env = {{"NPU_A", "x y"}, {"HOME", ""}};
  o.cwd = folder.path();
  EXPECT_EQ(run_process(o)->out, "x y|unset\n" + folder.path() + "\n");
}

TEST(Subprocess, LiveOutputAndCancel) {
  std::atomic<bool> cancel{false};
  ProcessOptions o = sh("echo go; sleep 60");
  o.cancel = &cancel;
  o.on_output = [&](std::string_view text, bool is_stderr) {
    EXPECT_FALSE(is_stderr);
    EXPECT_EQ(text, "go\n");
    cancel = true;
  };
  const auto r = run_process(o);
  ASSERT_TRUE(r.ok());
  EXPECT_TRUE(r->cancelled);
  EXPECT_FALSE(r->ok());
}

TEST(Subprocess, MemoryLimit) {
  ProcessOptions o = sh("ulimit -v");
  o.memory_limit = uint64_t{1} << 30;
  EXPECT_EQ(run_process(o)->out, "1048576\n");
}

TEST(Subprocess, ShellQuote) {
  EXPECT_EQ(shell_quote({"ncc-tflite", "--arch=mdla5.3,edma3.6", "-d", "a b's.dla", ""}),
            "ncc-tflite --arch=mdla5.3,edma3.6 -d 'a b'\\''s.dla' ''");
  const auto r = run_process(sh(shell_quote({"printf", "%s", "$x `y` \"z\" 'w' \\"})));
  EXPECT_EQ(r->out, "$x `y` \"z\" 'w' \\");
}

}  // namespace
}  // namespace npuport
