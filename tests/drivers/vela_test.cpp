// The real Vela: what it keeps on the CPU, and our Ethos-U rules against its verdicts on both sides of each limit.
#include "drivers/vela.h"

#include <filesystem>

#include "drivers/support.h"
#include "support/paths.h"
#include "target/legality.h"
#include "vela_cases.h"

namespace npuport::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string litert_python() {
  const char* chosen = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
  return chosen && std::string(chosen) != "none" ? chosen : "";
}

class Vela : public DriverTest {
 protected:
  void SetUp() override {
    if (litert_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON names no interpreter with ethos-u-vela";
    const std::string path = (fs::path(litert_python()).parent_path() / "vela").string();
    if (!fs::exists(path)) GTEST_SKIP() << path << " is not there";
    driver_ = find_driver("vela");
    const Result<ToolFacts> tool = driver_->probe(path);
    ASSERT_TRUE(tool.ok()) << to_text(tool.error());
    tool_ = *tool;
  }
  // One-operator models in int8, and what Vela prints on each, made once: {accelerator: {name: text}}.
  static std::string models() {
    static TempFolder folder;
    static const bool made = [] {
      for (const VelaCase& c : vela_cases()) {
        const Result<Graph> g = vela_graph(c);
        EXPECT_TRUE(g.ok()) << c.name << ": " << to_text(g.error());
        if (!g) continue;
        TfliteOptions o;
        o.sync = false;
        const Status s = write_tflite(*g, folder.path(c.name + ".tflite"), o);
        EXPECT_TRUE(s.ok()) << c.name << ": " << (s ? "" : to_text(s.error()));
      }
      ProcessOptions p;
      p.argv = {litert_python(),   source_dir() + "/tests/drivers/vela_models.py",
                folder.path(),     "ethos-u55-128",
                "ethos-u65-256/4", "ethos-u85-256"};
      p.env["PYTHONDONTWRITEBYTECODE"] = "1";
      p.timeout = std::chrono::seconds(300);
      const Result<ProcessResult> r = run_process(p);
      EXPECT_TRUE(r.ok() && r->ok()) << (r ? r->err : to_text(r.error()));
      return r.ok() && r->ok();
    }();
    return made ? folder.path() : std::string();
  }
  CompileOutcome compiled(const std::string& model, const std::string& target, const std::string& name) {
    const Result<CompileOutcome> o = compile(*driver_, tool_, load_target(target).value(), request(model, name));
    EXPECT_TRUE(o.ok()) << to_text(o.error());
    return o ? *o : CompileOutcome{};
  }
  const Driver* driver_ = nullptr;
  ToolFacts tool_;
};

TEST_F(Vela, SaysItsVersion) { EXPECT_THAT(tool_.version, HasSubstr("5.")); }

TEST_F(Vela, AnInt8ConvolutionIsAcceptedWithCyclesAndMemory) {
  const CompileOutcome o = compiled(models() + "/conv_stride_1.tflite", "ethos-u55-128", "conv");
  EXPECT_EQ(o.verdict, CompileVerdict::accepted) << o.reason;
  EXPECT_TRUE(fs::exists(o.artefact));
  EXPECT_GT(std::atof(o.metrics.at("cycles_total").c_str()), 0);
  EXPECT_THAT(o.metrics.at("Total SRAM used"), HasSubstr("KiB"));
  EXPECT_THAT(o.metrics.at("CPU operators"), ::testing::StartsWith("0"));
  ASSERT_TRUE(o.placement.is_array() && !o.placement.empty());
  EXPECT_EQ(o.placement[0]["target"], "NPU");
}

// A float model compiles "successfully": everything stays on the CPU, and that must not pass for a success.
TEST_F(Vela, AFloatModelIsMisplacedAndTheReasonSaysWhy) {
  const std::string model = folder_.path("float model.tflite");
  write_chain(model, {"relu", "tanh"});
  const CompileOutcome o = compiled(model, "ethos-u55-128", "float");
  EXPECT_EQ(o.verdict, CompileVerdict::misplaced);
  EXPECT_THAT(o.reason, HasSubstr("float32"));
  EXPECT_THAT(o.reason, HasSubstr("quantise"));
  EXPECT_EQ(o.findings.size(), 2U);
}

TEST_F(Vela, TheBrokenConstraintIsInTheFinding) {
  const CompileOutcome o = compiled(models() + "/argmax_128.tflite", "ethos-u55-128", "argmax");
  EXPECT_EQ(o.verdict, CompileVerdict::misplaced);
  ASSERT_EQ(o.findings.size(), 1U);
  EXPECT_EQ(o.findings[0].op, "ARG_MAX");
  EXPECT_THAT(o.findings[0].reason, HasSubstr("127"));
}

// Vela itself dies by a segmentation fault here.
TEST_F(Vela, ATruncatedFileIsRefusedBeforeVelaSeesIt) {
  const std::string whole = contents(models() + "/conv_stride_1.tflite"), model = folder_.path("half.tflite");
  std::ofstream(model, std::ios::binary) << whole.substr(0, whole.size() / 2);
  const CompileOutcome o = compiled(model, "ethos-u55-128", "half");
  EXPECT_EQ(o.verdict, CompileVerdict::refused);
  EXPECT_EQ(o.cure, Cure::file);
}

TEST_F(Vela, SystemAndMemoryModeGoTogetherAndFitTheAccelerator) {
  const Target t = load_target("ethos-u55-128").value();
  CompileRequest r = request(models() + "/conv_stride_1.tflite");
  r.options = {{"system_config", "Ethos_U55_High_End_Embedded"}};
  EXPECT_FALSE(driver_->commands(tool_, t, r).ok());
  r.options = {{"config", "Arm/vela.ini"}, {"system_config", "Ethos_U85_SYS_DRAM_Mid"}, {"memory_mode", "Shared_Sram"}};
  EXPECT_FALSE(driver_->commands(tool_, t, r).ok()) << "a U85 system for a U55";
  r.options["system_config"] = "Ethos_U55_High_End_Embedded";
  EXPECT_TRUE(driver_->commands(tool_, t, r).ok());
}

// Rules of ours that a node breaks, types aside: the models are int8, our graphs are checked before quantisation.
std::vector<std::string> broken_rules(const VelaCase& c, const Target& t) {
  const Result<Graph> g = vela_graph(c);
  std::vector<std::string> out;
  if (!g) return out;
  for (const Finding& f : check(*g, t, tflite_view))
    if (f.rule != "dtype") out.push_back(f.rule);
  return out;
}

TEST_F(Vela, OurRulesAgreeWithItOnBothSidesOfEachLimit) {
  ASSERT_FALSE(models().empty());
  const Json verdicts = parse_json(contents(models() + "/verdicts.json")).value();
  for (const char* name : {"ethos-u55-128", "ethos-u65-256", "ethos-u85-256"}) {
    const Target t = load_target(name).value();
    int placed = 0, left = 0;
    for (const VelaCase& c : vela_cases()) {
      if (!verdicts[name].contains(c.name)) continue;  // U65: every fourth, its limits are those of U55
      const LogFacts facts = parse_vela_log(verdicts[name][c.name].get<std::string>());
      // Some it does not leave to the CPU but dies of: no figures then.
      const auto cpu = facts.metrics.find("CPU operators");
      const bool npu = cpu != facts.metrics.end() && cpu->second.starts_with("0 ") && facts.findings.empty();
      ++(npu ? placed : left);
      const std::vector<std::string> broken = broken_rules(c, t);
      EXPECT_EQ(npu, broken.empty()) << t.name << " " << c.name << ": vela says "
                                     << (!facts.findings.empty()
                                             ? facts.findings[0].op + ": " + facts.findings[0].reason
                                         : npu ? "NPU"
                                               : facts.error)
                                     << "; our rules: " << (broken.empty() ? "fine" : broken[0]);
    }
    EXPECT_GT(placed, 20);
    EXPECT_GT(left, 5);
  }
}

TEST(VelaLog, BlocksSummaryAndTracebacks) {
  const LogFacts f = parse_vela_log(
      "Warning (supported operators) operator: RESIZE_BILINEAR, ofm: 'z'\nReason: width scale-factor must be an "
      "integer power of two. "
      "scale-factor: (96/32)\nscale rule\n\nWarning (supported operators) operator: SIN, ofm: 'a, b'\nReason: "
      "Unsupported opType\n\n"
      "Total SRAM used                                 72.73 KiB\nCPU operators = 3 (100.0%)\nNPU operators = 0 "
      "(0.0%)\n");
  ASSERT_EQ(f.findings.size(), 2U);
  EXPECT_EQ(f.findings[0].tensor, "z");
  EXPECT_THAT(f.findings[0].reason, ::testing::AllOf(HasSubstr("power of two"), HasSubstr("scale rule")));
  EXPECT_EQ(f.findings[1].op, "SIN");
  EXPECT_EQ(f.metrics.at("Total SRAM used"), "72.73 KiB");
  const LogFacts t = parse_vela_log(
      "Traceback (most recent call last):\n  File \"x\", line 1\nRuntimeError: Compilation failed: No networks\n");
  EXPECT_EQ(t.error, "RuntimeError: Compilation failed: No networks");
  for (const char* any : {"", "Warning (", "Warning (a) operator: ", "Reason:", "CPU operators",
                          "Traceback (most recent call last):\nx: y"})
    parse_vela_log(any);
  EXPECT_TRUE(parse_vela_summary("").empty());
  EXPECT_EQ(parse_vela_summary("a,cycles_total\n1,42\n").at("cycles_total"), "42");
  EXPECT_EQ(parse_vela_layers("Original Operator,Target,Name\nConv2D,CPU\n")[0]["target"], "CPU");
}

}  // namespace
}  // namespace npuport::testing
