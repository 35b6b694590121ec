// ncc-tflite against its stand-in: argv, verdicts, findings, cache.
#include "drivers/ncc_tflite.h"

#include <filesystem>
#include <thread>

#include "base/diag_codes.h"
#include "base/text.h"
#include "drivers/support.h"
#include "frontends/tflite_file.h"
#include "support/paths.h"

namespace npuport::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class Ncc : public DriverTest {
 protected:
  void SetUp() override {
    driver_ = find_driver("ncc-tflite");
    ASSERT_NE(driver_, nullptr);
    Result<ToolFacts> tool = driver_->probe(standin_ncc());
    ASSERT_TRUE(tool.ok()) << to_text(tool.error());
    tool_ = *tool;
    target_ = load_target("mt8371").value();
    model_ = folder_.path("model.tflite");
    write_chain(model_, {"relu", "tanh", "exp"});
  }
  CompileOutcome compiled(const CompileRequest& r, const std::string& cache = {}) {
    Result<CompileOutcome> o = compile(*driver_, tool_, target_, r, cache);
    EXPECT_TRUE(o.ok()) << to_text(o.error());
    return o ? *o : CompileOutcome{};
  }
  CompileOutcome in_mode(const std::string& mode) {
    const EnvScope scope("STANDIN_MODE", mode);
    return compiled(request(model_, mode));
  }
  const Driver* driver_ = nullptr;
  ToolFacts tool_;
  Target target_;
  std::string model_;
};

TEST_F(Ncc, ReadsVersionAndHelp) {
  EXPECT_EQ(tool_.version, "ncc-tflite 6.3.3 (stand-in)");
  EXPECT_EQ(tool_.abilities["dla-flag"], "--dla-file");
  EXPECT_EQ(tool_.digest.size(), 64U);
  const EnvScope scope("STANDIN_MODE", "old-help");
  const ToolFacts old = driver_->probe(standin_ncc()).value();
  EXPECT_EQ(old.abilities.at("dla-flag"), "-o");
  const auto o = compile(*driver_, old, target_, request(model_));
  ASSERT_TRUE(o.ok());
  EXPECT_EQ(o->verdict, CompileVerdict::accepted) << o->reason;
}

// The command of each shipped platform, without a tool to ask (what --dry-run prints on a bare machine).
TEST_F(Ncc, ArgvPerPlatform) {
  const ToolFacts bare{"ncc-tflite", "", "", {}};
  CompileRequest r;
  r.model = "m.tflite";
  r.output = "m.dla";
  const auto argv = [&](const char* target) { return driver_->commands(bare, load_target(target).value(), r).value(); };
  EXPECT_THAT(argv("mt8371"), ElementsAre(ElementsAre("ncc-tflite", "m.tflite", "--arch=mdla5.3,edma3.6",
                                                      "--l1-size-kb=256", "--num-mdla=1", "--relax-fp32",
                                                      "--opt-accuracy", "--opt-footprint", "-o", "m.dla")));
  EXPECT_THAT(argv("mt6899")[0],
              ::testing::IsSupersetOf({"--arch=mdla5.5,edma3.6", "--l1-size-kb=2048", "--num-mdla=2"}));
  EXPECT_THAT(argv("mt6991")[0],
              ::testing::IsSupersetOf({"--arch=mdla5.5,edma3.6", "--l1-size-kb=7168", "--num-mdla=4"}));
}

TEST_F(Ncc, UsesWhatTheHelpOffers) {
  const auto argv = driver_->commands(tool_, target_, request(model_)).value();
  ASSERT_EQ(argv.size(), 2U);
  EXPECT_EQ(argv[0].back(), "--check-target-only");
  EXPECT_THAT(argv[1], ::testing::IsSupersetOf({"--show-exec-plan", "--show-memory-summary", "--dla-file"}));
}

TEST_F(Ncc, DefaultsCanBeDroppedAndUnknownFlagsAreRefused) {
  CompileRequest r = request(model_);
  r.drop = {"--opt-accuracy"};
  const auto argv = driver_->commands(tool_, target_, r).value().back();
  EXPECT_THAT(argv, ::testing::Not(::testing::Contains("--opt-accuracy")));
  EXPECT_THAT(argv, ::testing::Contains("--opt-footprint"));
  r.drop = {"--not-there"};
  EXPECT_FALSE(driver_->commands(tool_, target_, r).ok());
  r.drop.clear();
  for (const char* wrong : {"--l1=256", "--mdla=1", "--nonsense", "-Z"}) {
    r.extra = {wrong};
    const auto refused = driver_->commands(tool_, target_, r);
    ASSERT_FALSE(refused.ok()) << wrong;
    EXPECT_EQ(refused.error().code, &diag::usage);
  }
  for (const char* right : {"--fc-to-conv", "--gno=NDF,SMP", "-O3", "--opt", "--platform-config=mt6989"}) {
    r.extra = {right};
    EXPECT_TRUE(driver_->commands(tool_, target_, r).ok()) << right;
  }
}

TEST_F(Ncc, ProfilesAndNotesExplainThemselves) {
  for (const FlagProfile& p : driver_->profiles()) {
    CompileRequest r = request(model_);
    r.profile = p.name;
    EXPECT_TRUE(driver_->commands(tool_, target_, r).ok()) << p.name;
    EXPECT_FALSE(p.why.empty());
  }
  CompileRequest r = request(model_);
  r.profile = "magic";
  EXPECT_FALSE(driver_->commands(tool_, target_, r).ok());
  for (const std::string& flag : target_.compiler.options)
    EXPECT_TRUE(std::any_of(driver_->notes().begin(), driver_->notes().end(),
                            [&](const FlagNote& n) { return n.flag == flag; }))
        << flag << " is not explained";
}

TEST_F(Ncc, Accepts) {
  const CompileOutcome o = compiled(request(model_));
  EXPECT_EQ(o.verdict, CompileVerdict::accepted) << o.reason;
  EXPECT_TRUE(fs::exists(o.artefact));
  EXPECT_EQ(o.placement.size(), 3U);
  EXPECT_EQ(o.placement[0]["target"], "MDLA_5_3");
  EXPECT_THAT(o.metrics, ::testing::Contains(::testing::Key("MDLA 0 DRAM")));
  EXPECT_EQ(o.env.at("LD_LIBRARY_PATH"), fs::path(standin_ncc()).parent_path().parent_path().string() + "/lib");
  EXPECT_THAT(contents(o.log), HasSubstr("Patch done!"));
}

TEST_F(Ncc, JudgesEveryWayToFail) {
  struct Case {
    const char* mode;
    CompileVerdict verdict;
  };
  for (const Case& c : {Case{"error-exit0", CompileVerdict::refused}, Case{"crash", CompileVerdict::crashed},
                        Case{"no-file", CompileVerdict::no_output}, Case{"garbage", CompileVerdict::no_output},
                        Case{"text-file", CompileVerdict::no_output}, Case{"internal", CompileVerdict::crashed},
                        Case{"misplaced", CompileVerdict::misplaced}}) {
    const CompileOutcome o = in_mode(c.mode);
    EXPECT_EQ(name(o.verdict), name(c.verdict)) << c.mode << ": " << o.reason;
    EXPECT_FALSE(o.reason.empty());
    EXPECT_EQ(o.artefact.empty(), o.verdict != CompileVerdict::misplaced) << c.mode;
    EXPECT_EQ(fs::exists(folder_.path(std::string(c.mode) + ".bin")), !o.artefact.empty()) << c.mode;
  }
}

TEST_F(Ncc, NamesEveryRefusedOperator) {
  const EnvScope scope("STANDIN_WHITELIST", "RELU,TANH");
  write_chain(model_, {"relu", "exp", "tanh", "exp"});
  const CompileOutcome o = compiled(request(model_));
  EXPECT_EQ(o.verdict, CompileVerdict::refused);
  EXPECT_EQ(o.cure, Cure::rewrite);
  ASSERT_EQ(o.findings.size(), 2U);
  EXPECT_EQ(o.findings[0].op, "EXP");
  EXPECT_EQ(o.findings[0].node, "1");
  EXPECT_EQ(o.findings[1].node, "3");
  EXPECT_THAT(o.findings[0].reason, HasSubstr("Unsupported operation"));
  EXPECT_EQ(o.commands.size(), 1U) << "the pre-check is enough";
}

TEST_F(Ncc, RefusesBySizeWithoutNamingAnOperator) {
  const EnvScope scope("STANDIN_MAX_OPS", "2");
  const CompileOutcome o = compiled(request(model_));
  EXPECT_EQ(o.verdict, CompileVerdict::refused);
  EXPECT_TRUE(o.findings.empty());
  EXPECT_THAT(o.reason, HasSubstr("Cannot allocate memory"));
}

// S0-43: damaged file (back to writing) or refused operator (back to rewriting).
TEST_F(Ncc, DamagedFileIsNoOperatorsFault) {
  const std::string whole = contents(model_);
  for (const size_t size : {size_t{0}, size_t{7}, whole.size() / 2}) {
    std::ofstream(model_, std::ios::binary) << whole.substr(0, size);
    const CompileOutcome o = compiled(request(model_));
    EXPECT_EQ(o.verdict, CompileVerdict::refused) << size;
    EXPECT_EQ(o.cure, Cure::file) << size;
    EXPECT_TRUE(o.findings.empty());
  }
}

TEST_F(Ncc, StopsWhatNeverEnds) {
  for (const char* mode : {"hang", "stubborn"}) {
    const EnvScope scope("STANDIN_MODE", mode);
    CompileRequest r = request(model_, mode);
    r.timeout = std::chrono::milliseconds(400);
    const CompileOutcome o = compiled(r);
    EXPECT_EQ(o.verdict, CompileVerdict::timed_out) << mode;
    EXPECT_LT(o.seconds, 5);
  }
}

TEST_F(Ncc, ChildrenOfTheCompilerAreStoppedToo) {
  const std::string pids = folder_.path("pid");
  const EnvScope mode("STANDIN_MODE", "fork"), file("STANDIN_PIDFILE", pids);
  const CompileOutcome o = compiled(request(model_));
  EXPECT_EQ(o.verdict, CompileVerdict::accepted) << o.reason;
  const std::string pid = contents(pids);
  ASSERT_FALSE(pid.empty());
  bool gone = false;
  for (int i = 0; i < 100 && !gone; ++i) {
    const std::string state = contents("/proc/" + pid + "/stat");
    gone = state.empty() || state.find(") Z") != std::string::npos;
    if (!gone) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(gone) << "process " << pid << " lives on";
}

TEST_F(Ncc, LogOfAFloodKeepsHeadAndTail) {
  const EnvScope mode("STANDIN_MODE", "flood"), bytes("STANDIN_BYTES", std::to_string(48 << 20));
  CompileRequest r = request(model_);
  r.log_head = 1 << 20;
  r.log_tail = 1 << 16;
  const CompileOutcome o = compiled(r);
  EXPECT_EQ(o.verdict, CompileVerdict::accepted) << o.reason;
  const std::string log = contents(o.log);
  EXPECT_LT(log.size(), (1U << 20) + (1U << 16) + 200);
  EXPECT_TRUE(log.starts_with("$ "));
  EXPECT_THAT(log, HasSubstr("bytes of log dropped here"));
  EXPECT_THAT(log.substr(log.size() - 300), HasSubstr("Patch done!"));
}

TEST_F(Ncc, StrangePathsReachTheCompilerUnchanged) {
  for (const std::string name : {"a b", "q'uo\"te", "semi;colon", "$(touch pwned)", "new\nline", "--help"}) {
    const std::string model = folder_.path(name + ".tflite");
    fs::copy_file(model_, model);
    const CompileOutcome o = compiled(request(model, "o " + name));
    EXPECT_EQ(o.verdict, CompileVerdict::accepted) << name << ": " << o.reason;
  }
  EXPECT_FALSE(fs::exists(folder_.path("pwned")));
  EXPECT_FALSE(fs::exists("pwned"));
}

TEST_F(Ncc, CacheKnowsModelArgumentsAndTool) {
  const std::string cache = folder_.path("cache"), calls = folder_.path("calls");
  const EnvScope log("STANDIN_LOG", calls);
  const auto count = [&] { return std::ranges::count(contents(calls), '\n'); };
  EXPECT_FALSE(compiled(request(model_), cache).cached);
  const auto first = count();
  // The same model under another name, to another place.
  const std::string other = folder_.path("other.tflite");
  fs::copy_file(model_, other);
  const CompileOutcome again = compiled(request(other, "elsewhere"), cache);
  EXPECT_TRUE(again.cached);
  EXPECT_EQ(count(), first);
  EXPECT_TRUE(fs::exists(again.artefact));
  EXPECT_EQ(again.artefact, folder_.path("elsewhere.bin"));
  EXPECT_THAT(contents(again.log), HasSubstr("Patch done!"));
  // Other arguments, another tool, another model: not the same.
  CompileRequest r = request(model_);
  r.extra = {"--fc-to-conv"};
  EXPECT_FALSE(compiled(r, cache).cached);
  const std::string digest = std::exchange(tool_.digest, "changed");
  EXPECT_FALSE(compiled(request(model_), cache).cached);
  tool_.digest = digest;
  write_chain(model_, {"relu", "tanh"});
  EXPECT_FALSE(compiled(request(model_), cache).cached);
  // A damaged entry is done again.
  for (const auto& entry : fs::recursive_directory_iterator(cache))
    if (entry.path().filename() == "artefact") std::ofstream(entry.path()) << "x";
  EXPECT_FALSE(compiled(request(model_), cache).cached);
}

TEST_F(Ncc, CrashesAreNotCached) {
  const std::string cache = folder_.path("cache");
  {
    const EnvScope scope("STANDIN_MODE", "crash");
    EXPECT_EQ(compiled(request(model_), cache).verdict, CompileVerdict::crashed);
  }
  const CompileOutcome o = compiled(request(model_), cache);
  EXPECT_EQ(o.verdict, CompileVerdict::accepted);
}

TEST_F(Ncc, AFullDiskIsOurErrorNotTheCompilers) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  CompileRequest r = request(model_);
  r.log = "/dev/full";
  const auto o = compile(*driver_, tool_, target_, r);
  ASSERT_FALSE(o.ok());
  EXPECT_EQ(o.error().code, &diag::not_writable);
}

TEST_F(Ncc, MissingToolAndMissingModel) {
  const auto gone = driver_->probe(folder_.path("none/ncc-tflite"));
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, &diag::tool_missing);
  const auto o = compile(*driver_, tool_, target_, request(folder_.path("none.tflite")));
  ASSERT_FALSE(o.ok());
  EXPECT_EQ(o.error().code, &diag::file_not_found);
}

TEST_F(Ncc, TheStandInWrapsTheModel) {
  const std::string dla = contents(compiled(request(model_)).artefact);
  ASSERT_GT(dla.size(), 24U);
  EXPECT_EQ(dla.substr(0, 11), "STANDIN-DLA");
  EXPECT_EQ(dla.substr(24), contents(model_));
}

TEST(NccLog, OperatorTableWithSeveralReasons) {
  const LogFacts f = parse_ncc_log(
      "OP[0]: CONV_2D\nOP[7]: GATHER\n  |- MDLA: Unsupported operation\n  |- EDMA: Indices should be constant\nOP[8]: "
      "RESHAPE\n"
      "OP[9]: TOPK_V2 Unsupported\nERROR: something\n");
  ASSERT_EQ(f.findings.size(), 2U);
  EXPECT_EQ(f.findings[0].op, "GATHER");
  EXPECT_EQ(f.findings[0].reason, "|- MDLA: Unsupported operation; |- EDMA: Indices should be constant");
  EXPECT_EQ(f.findings[1].op, "TOPK_V2");
  EXPECT_EQ(f.error, "ERROR: something");
}

TEST(NccLog, AnyTextIsTaken) {
  for (const std::string text : {"", "OP[", "OP[]: X", "OP[1", "OP[1]", "OP[99999999999999999999]: A\n x",
                                 "Target:", "\x1b[", "OP[1]: \n a\n", "\r\r\r\n", "ERROR", ":::"})
    parse_ncc_log(text);
}

TEST(LogLines, WhatIsAnError) {
  for (const char* yes : {"ERROR: no", "[ERROR] x", "2026-11-21 10:00:00 ERROR compile failed", "error: bad",
                          "FATAL: x", "Fatal error: y", "ncc-tflite: error: cannot open", "Error 5"})
    EXPECT_TRUE(is_error_line(yes)) << yes;
  for (const char* no :
       {"", "WARNING: an ERROR may follow", "0 errors, 2 warnings", "no error", "errors: 0", "quantisation error 0.01",
        "max abs error: 1e-4", "terror", "INFO: error correction on", "mirrored"})
    EXPECT_FALSE(is_error_line(no)) << no;
}

TEST(LogLines, ColoursAndProgressBarsAreRemoved) {
  std::vector<std::string> lines;
  for_each_line("a\r\n10%\r50%\rdone\n\x1b[31mred\x1b[0m\n\nlast", [&](std::string_view l) { lines.emplace_back(l); });
  EXPECT_THAT(lines, ElementsAre("a", "done", "red", "", "last"));
}

TEST(Words, SplitLikeAShell) {
  const auto words = [](const char* text) { return split_words(text).value(); };
  EXPECT_THAT(words("--log=info  --a 'b c' \"d $e\\\"\" f\\ g ''"),
              ElementsAre("--log=info", "--a", "b c", "d $e\"", "f g", ""));
  EXPECT_THAT(words("$(rm -rf x); `y` | z"), ElementsAre("$(rm", "-rf", "x);", "`y`", "|", "z"));
  EXPECT_TRUE(words(" \t\n").empty());
  for (const char* bad : {"'a", "\"a", "a\\"}) EXPECT_FALSE(split_words(bad).ok()) << bad;
}

}  // namespace
}  // namespace npuport::testing
