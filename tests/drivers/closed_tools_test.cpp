// atc, amct_onnx, mtk_converter and rknn-toolkit2 by their documented contract (stand-ins); rknn-toolkit2 for real
// where NPUPORT_TEST_RKNN_PYTHON names an interpreter that has it. And the driver for any command.
#include <filesystem>

#include "base/diag_codes.h"
#include "base/text.h"
#include "drivers/atc.h"
#include "drivers/mtk_converter.h"
#include "drivers/rknn.h"
#include "drivers/support.h"
#include "support/paths.h"

namespace npuport::testing {
namespace {

// The stand-ins are scripts: any Python runs them, PyTorch or not.
std::string plain_python() { return "/usr/bin/python3"; }

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string standin(const std::string& name) { return source_dir() + "/tests/drivers/standin/" + name; }

class Closed : public DriverTest {
 protected:
  CompileOutcome run(const char* driver, const std::string& tool, const Target& t, CompileRequest r) {
    const Driver* d = find_driver(driver);
    const Result<ToolFacts> facts = d->probe(tool);
    EXPECT_TRUE(facts.ok()) << to_text(facts.error());
    if (!facts) return {};
    const Result<CompileOutcome> o = compile(*d, *facts, t, std::move(r));
    EXPECT_TRUE(o.ok()) << to_text(o.error());
    return o ? *o : CompileOutcome{};
  }
  CompileRequest model(const std::string& name, const std::string& suffix) {
    const std::string path = folder_.path(name);
    std::ofstream(path, std::ios::binary) << "any bytes";
    CompileRequest r = request(path, name);
    r.output = folder_.path(name + suffix);
    return r;
  }
};

class Atc : public Closed {
 protected:
  Target target_ = parse_target(
                       "version = 1\nname = \"a\"\ntitle = \"Ascend 310B1\"\nformat = \"onnx\"\nunlisted = "
                       "\"ok\"\n[identity]\nsoc_version = "
                       "\"Ascend310B1\"\n[compiler]\ndriver = \"atc\"\n",
                       "a.toml")
                       .value();
  CompileOutcome in_mode(const char* mode) {
    const EnvScope scope("STANDIN_MODE", mode);
    return run("atc", standin("atc"), target_, model(std::string(mode) + ".onnx", ".om"));
  }
};

TEST_F(Atc, Argv) {
  const Driver* d = find_driver("atc");
  const ToolFacts bare{"atc", "", "", {}};
  CompileRequest r;
  r.model = "x.onnx";
  r.output = "x.om";
  r.options = {{"input_shape", "input:1,3,64,64"}, {"precheck", "off"}};
  EXPECT_THAT(d->commands(bare, target_, r).value(),
              ElementsAre(ElementsAre("atc", "--model=x.onnx", "--framework=5", "--output=x", "--input_format=NCHW",
                                      "--input_shape=input:1,3,64,64", "--output_type=FP32",
                                      "--soc_version=Ascend310B1", "--op_select_implmode=high_precision")));
  r.options["precision_mode"] = "allow_mix_precision";
  EXPECT_THAT(d->commands(bare, target_, r).value()[0], ::testing::Contains("--precision_mode=allow_mix_precision"));
  r.options["precision_mode_v2"] = "origin";
  EXPECT_FALSE(d->commands(bare, target_, r).ok()) << "the two exclude each other";
  r.options.erase("precision_mode_v2");
  r.options["quantised"] = "1";
  EXPECT_FALSE(d->commands(bare, target_, r).ok()) << "Ascend forbids precision modes for quantised models";
  r.options.erase("precision_mode");
  EXPECT_THAT(join(d->commands(bare, target_, r).value()[0], " "), ::testing::Not(HasSubstr("precision")));
  r.options = {};
  r.extra = split_words("--log=info '--keep_dtype=a b;$(x)'").value();
  const auto argv = d->commands(bare, target_, r).value();
  ASSERT_EQ(argv.size(), 2U) << "pre-check first";
  EXPECT_EQ(argv[0][1], "--mode=3");
  EXPECT_EQ(argv[1].back(), "--keep_dtype=a b;$(x)");
}

TEST_F(Atc, AcceptsAlsoStrangePathsAndSystemNames) {
  for (const char* name : {"plain.onnx", "with blank;$(x).onnx", "-dash.onnx"}) {
    const CompileOutcome o = run("atc", standin("atc"), target_, model(name, ".om"));
    EXPECT_EQ(o.verdict, CompileVerdict::accepted) << name << ": " << o.reason;
    EXPECT_TRUE(fs::exists(o.artefact));
  }
  const CompileOutcome o = in_mode("os-name");
  EXPECT_EQ(o.verdict, CompileVerdict::accepted) << o.reason;
  EXPECT_EQ(o.artefact, folder_.path("os-name.onnx.om"));
}

TEST_F(Atc, EveryFailingNodeIsListed) {
  const CompileOutcome o = in_mode("no-parser");
  EXPECT_EQ(o.verdict, CompileVerdict::refused);
  ASSERT_EQ(o.findings.size(), 3U);
  std::vector<std::string> ops;
  for (const CompilerFinding& f : o.findings) {
    ops.push_back(f.op);
    EXPECT_EQ(f.code, "E19010");
  }
  EXPECT_THAT(ops, ::testing::UnorderedElementsAre("Div", "Conv", "Gelu"));
  const auto div = std::find_if(o.findings.begin(), o.findings.end(), [](const auto& f) { return f.op == "Div"; });
  EXPECT_EQ(div->node, "/m/Div");
  EXPECT_THAT(div->reason, ::testing::AllOf(HasSubstr("opset 23"), HasSubstr("solution: Remove the op")));
}

TEST_F(Atc, JudgesEveryWayToFail) {
  EXPECT_EQ(in_mode("old-words").findings.at(0).op, "Conv2D");
  EXPECT_EQ(in_mode("crash").verdict, CompileVerdict::crashed);
  EXPECT_EQ(in_mode("no-file").verdict, CompileVerdict::no_output);
  EXPECT_EQ(in_mode("exit0-no-success").verdict, CompileVerdict::no_output);
  const CompileOutcome check = in_mode("check-fails");
  EXPECT_EQ(check.verdict, CompileVerdict::refused);
  EXPECT_EQ(check.commands.size(), 1U) << "a failing pre-check stops the compile";
  EXPECT_EQ(check.findings.at(0).op, "Einsum");
  CompileRequest r = model("bad.onnx", ".om");
  r.extra = {"--nonsense=1"};
  const CompileOutcome o = run("atc", standin("atc"), target_, r);
  EXPECT_EQ(o.verdict, CompileVerdict::refused);
  EXPECT_EQ(o.cure, Cure::options);
}

// Every shipped target names a driver that is there, and gives it what it needs.
TEST(ShippedTargets, HaveTheirDriver) {
  size_t with = 0;
  for (const std::string& name : builtin_targets()) {
    const Target t = load_target(name).value();
    if (t.compiler.driver.empty()) continue;
    ++with;
    const Driver* d = find_driver(t.compiler.driver);
    ASSERT_NE(d, nullptr) << name << " names " << t.compiler.driver;
    EXPECT_EQ(d->input, t.format) << name;
    CompileRequest r;
    r.model = "m";
    r.output = "m" + driver_suffix(*d, t);
    r.work_folder = "w";
    const auto argv = d->commands({"tool", "", "", {}}, t, r);
    EXPECT_TRUE(argv.ok()) << name;
  }
  EXPECT_GE(with, 8U);
}

// S4-06: --version may fail; help or the installation tell.
TEST_F(Atc, VersionFromThreePlaces) {
  const Driver* d = find_driver("atc");
  {
    const EnvScope scope("STANDIN_HELP_VERSION", "1");
    EXPECT_EQ(d->probe(standin("atc"))->version, "8.0.RC1");
  }
  {
    const EnvScope scope("STANDIN_VERSION_WORKS", "1");
    EXPECT_EQ(d->probe(standin("atc"))->version, "7.0.1");
  }
  EXPECT_EQ(d->probe(standin("atc"))->version, "");
  fs::create_directories(folder_.path("toolkit/bin"));
  fs::create_directories(folder_.path("toolkit/x86_64-linux"));
  fs::copy_file(standin("atc"), folder_.path("toolkit/bin/atc"));
  std::ofstream(folder_.path("toolkit/x86_64-linux/ascend_toolkit_install.info"))
      << "package_name=Ascend-cann-toolkit\nversion=8.3.RC1\narch=x86_64\n";
  const ToolFacts t = d->probe(folder_.path("toolkit/bin/atc")).value();
  EXPECT_EQ(t.version, "8.3.RC1");
  EXPECT_EQ(t.abilities.at("max-opset"), "17");
  EXPECT_EQ(atc_max_opset("6.0.1"), 11);
  EXPECT_EQ(atc_max_opset("8.0.RC1"), 15);
  EXPECT_EQ(atc_max_opset(""), 15);
}

TEST_F(Atc, AnyTextIsTaken) {
  for (const char* text : {"", "E", "E1", "E19010", "E19010:", "E19010: Op [", "E19010: optype [[[", "TraceBack",
                           "E10001: [PID", "\xff\xfe"})
    parse_atc_log(text);
  for (const char* text : {"", "{", "{\"op\":1}", "{\"op\":[1,{\"result\":\"failed\",\"cause\":[1,{}]}]}"})
    parse_atc_check(text);
}

TEST_F(Closed, AmctCalibrates) {
  const Target t = load_target("generic-tflite").value();
  CompileRequest r = model("m.onnx", "_deploy_model.onnx");
  const Driver* d = find_driver("amct_onnx");
  EXPECT_FALSE(d->commands({"amct_onnx", "", "", {}}, t, r).ok()) << "calibration data is needed";
  r.options = {
      {"data_dir", "in0/;in1/"}, {"data_types", "float32;float32"}, {"batch_num", "4"}, {"input_shape", "a:1,3;b:1,2"}};
  r.drop = {"--data_types", "float32;float32"};
  EXPECT_THAT(d->commands({"amct_onnx", "", "", {}}, t, r).value()[0],
              ::testing::Not(::testing::Contains("--data_types")));
  r.drop = {"--no-such"};
  EXPECT_FALSE(d->commands({"amct_onnx", "", "", {}}, t, r).ok());
  r.drop.clear();
  const CompileOutcome o = run("amct_onnx", standin("amct_onnx"), t, r);
  EXPECT_EQ(o.verdict, CompileVerdict::accepted) << o.reason;
  EXPECT_THAT(o.commands[0], ::testing::IsSupersetOf({"calibration", "--data_dir", "in0/;in1/", "--batch_num", "4",
                                                      "--input_shape", "a:1,3;b:1,2"}));
  const EnvScope scope("STANDIN_MODE", "bad-size");
  EXPECT_EQ(run("amct_onnx", standin("amct_onnx"), t, r).verdict, CompileVerdict::refused);
}

class Mtk : public Closed {
 protected:
  void SetUp() override { write_chain(folder_.path("made.tflite"), {"relu"}); }
  CompileOutcome in_mode(const char* mode) {
    const EnvScope scope("STANDIN_MODE", mode), made("STANDIN_TFLITE", folder_.path("made.tflite"));
    CompileRequest r = model(std::string(mode) + ".pt", ".tflite");
    r.options = {{"input_shapes", "1x3x8x8,1x4:int64"}};
    return run("mtk_converter", plain_python(), load_target("mt8371").value(), r);
  }
  EnvScope path_{"PYTHONPATH", standin("python")};
};

TEST_F(Mtk, ConvertsByTheStep2Script) {
  const CompileOutcome o = in_mode("ok");
  EXPECT_EQ(o.verdict, CompileVerdict::accepted) << o.reason;
  EXPECT_THAT(contents(o.log), ::testing::AllOf(HasSubstr("[[1, 3, 8, 8], [1, 4]] ['float32', 'int64']"),
                                                HasSubstr("('quantize', False)")));
}

TEST_F(Mtk, UnsupportedOperatorsAreFindings) {
  const CompileOutcome o = in_mode("unsupported");
  EXPECT_EQ(o.verdict, CompileVerdict::refused);
  ASSERT_EQ(o.findings.size(), 2U);
  EXPECT_EQ(o.findings[0].op, "aten::index");
  EXPECT_EQ(o.findings[1].op, "aten::var");
  EXPECT_EQ(o.cure, Cure::rewrite);
  EXPECT_EQ(in_mode("no-file").verdict, CompileVerdict::no_output);
  EXPECT_EQ(in_mode("error-exit0").verdict, CompileVerdict::refused)
      << "an ERROR in the log counts although the file is there";
}

TEST_F(Mtk, MissingConverterNamesTheInterpreter) {
  const EnvScope nowhere("PYTHONPATH", folder_.path());
  const auto t = find_driver("mtk_converter")->probe(plain_python());
  ASSERT_FALSE(t.ok());
  EXPECT_EQ(t.error().code, &diag::tool_missing) << "exit code 3: the environment";
  EXPECT_THAT(t.error().message, ::testing::AllOf(HasSubstr("mtk_converter not found"), HasSubstr(plain_python())));
}

TEST_F(Mtk, ScriptTextAndItsRefusals) {
  const std::string script =
      mtk_converter_script("1x3x64x64",
                           {{"use_hessian_opt", "true"}, {"quantize", "true"}, {"calibration_method", "a'b"}})
          .value();
  EXPECT_THAT(
      script,
      HasSubstr("from_script_module_file(\n        model, input_shapes=INPUT_SHAPES, input_types=input_types)"));
  EXPECT_THAT(script, HasSubstr("INPUT_SHAPES = [[1, 3, 64, 64]]"));
  EXPECT_THAT(script, HasSubstr("converter.quantize = True"));
  EXPECT_THAT(script, HasSubstr("converter.calibration_method = 'a\\'b'"));
  EXPECT_THAT(script, HasSubstr("tflite_op_export_spec='builtin_first'"));
  EXPECT_FALSE(mtk_converter_script("1x3", {{"no_such_option", "1"}}).ok());
  EXPECT_FALSE(mtk_converter_script("1x3", {{"tflite_op_export_spec", "x"}}).ok());
  for (const char* bad : {"", "x", "1x", "axb", "1x2:float128", "1x99999999999"})
    EXPECT_FALSE(mtk_converter_script(bad, {}).ok()) << bad;
}

TEST_F(Mtk, DefaultsOfTheScriptCanBeLeftOut) {
  const std::vector<std::string> both{"quantize", "tflite_op_export_spec"};
  const std::string script = mtk_converter_script("1x3x64x64", {}, both).value();
  EXPECT_THAT(script, ::testing::Not(HasSubstr("converter.quantize")));
  EXPECT_THAT(script, HasSubstr("convert_to_tflite(output_file=output)\n"));
  EXPECT_FALSE(mtk_converter_script("1x3", {}, std::vector<std::string>{"--opt-accuracy"}).ok());
  EXPECT_FALSE(mtk_converter_script("1x3", {{"quantize", "true"}}, std::vector<std::string>{"quantize"}).ok())
      << "given and dropped";
}

// S2-04
TEST(MtkVersion, FromWheelNamesAndVersionStrings) {
  EXPECT_EQ(parse_mtk_version("mtk_converter-7.14.1-cp39-cp39m-manylinux1_x86_64.whl"), "7.14.1");
  EXPECT_EQ(parse_mtk_version("7.14.1+release"), "7.14.1");
  EXPECT_EQ(parse_mtk_version("mtk_converter 8.13.0+release\nPython 3.11.2"), "8.13.0");
  for (const char* none : {"", "mtk_converter", "release"}) EXPECT_EQ(parse_mtk_version(none), "") << none;
}

// S2-01, S2-02
TEST(MtkVersion, PythonAndPackagesAreJudged) {
  EXPECT_EQ(mtk_python_mismatch("5.0.6-build20230426", "3.6.9"), "");
  EXPECT_THAT(mtk_python_mismatch("5.0.6-build20230426", "3.8.10"), HasSubstr("3.5 to 3.6"));
  EXPECT_EQ(mtk_python_mismatch("7.0.5-build20240205", "3.9.2"), "");
  EXPECT_THAT(mtk_python_mismatch("7.0.5-build20240205", "3.10.1"), HasSubstr("3.5 to 3.9"));
  EXPECT_THAT(mtk_python_mismatch("8.13.0", "3.9.2"), HasSubstr("3.10 to 3.11"));
  EXPECT_EQ(mtk_python_mismatch("9.9.9", "3.9.2"), "") << "not in the table";
  const std::string good =
      "flatbuffers 23.5\nmatplotlib 3.6\nnumpy 1.24.2\npackaging 23.0\nprotobuf 3.21.12\npybind11 2.10\ntqdm 4.64\n";
  EXPECT_TRUE(mtk_package_deviations(good).empty());
  EXPECT_THAT(
      mtk_package_deviations("numpy 1.13.2\n" + good.substr(good.find("packaging"))),
      ElementsAre("flatbuffers is missing (1.12 or newer needed)", "matplotlib is missing (3.0 or newer needed)",
                  "numpy 1.13.2 is too old (1.13.3 or newer needed)"));
  EXPECT_EQ(mtk_package_deviations("").size(), 7U);
}

class Rknn : public Closed {
 protected:
  Target target_ = parse_target(
                       "version = 1\nname = \"rk\"\ntitle = \"RK3588\"\nformat = \"onnx\"\nunlisted = "
                       "\"ok\"\n[identity]\nplatform = "
                       "\"rk3588\"\n[compiler]\ndriver = \"rknn\"\n",
                       "rk.toml")
                       .value();
  // The stand-in is no installed package, so it cannot be asked for its version.
  CompileOutcome in_mode(const char* mode) {
    const EnvScope scope("STANDIN_MODE", mode), path("PYTHONPATH", standin("python"));
    const auto o = compile(*find_driver("rknn"), {plain_python(), "rknn-toolkit2 2.5.0", "", {}}, target_,
                           model(std::string(mode) + ".onnx", ".rknn"));
    EXPECT_TRUE(o.ok()) << to_text(o.error());
    return o ? *o : CompileOutcome{};
  }
};

TEST_F(Rknn, JudgesEveryWayToFail) {
  const CompileOutcome ok = in_mode("ok");
  EXPECT_EQ(ok.verdict, CompileVerdict::accepted) << ok.reason;
  EXPECT_EQ(ok.metrics.at("NPU operators"), "2");
  EXPECT_EQ(ok.metrics.at("Total Internal Memory Size"), "12.5KB");
  const CompileOutcome cpu = in_mode("cpu");
  EXPECT_EQ(cpu.verdict, CompileVerdict::misplaced);
  ASSERT_EQ(cpu.findings.size(), 1U);
  EXPECT_EQ(cpu.findings[0].op, "Sin");
  EXPECT_EQ(cpu.findings[0].node, "sin0");
  // Reshapes of inputs and outputs are the toolkit's own, one for each; an inner one is the model's.
  const CompileOutcome border = in_mode("border");
  EXPECT_EQ(border.verdict, CompileVerdict::accepted) << border.reason;
  EXPECT_EQ(border.metrics.at("Reshapes of inputs and outputs on the CPU"), "2");
  const CompileOutcome inner = in_mode("inner");
  EXPECT_EQ(inner.verdict, CompileVerdict::misplaced);
  ASSERT_EQ(inner.findings.size(), 1U);
  EXPECT_EQ(inner.findings[0].node, "inner0");
  const CompileOutcome trap = in_mode("no-lowering");
  EXPECT_EQ(trap.verdict, CompileVerdict::refused) << "build and export say 0, the board would stop";
  EXPECT_EQ(trap.findings.at(0).op, "Sign");
  EXPECT_EQ(in_mode("minus-one").verdict, CompileVerdict::refused);
  const CompileOutcome raised = in_mode("raises");
  EXPECT_EQ(raised.verdict, CompileVerdict::refused);
  EXPECT_EQ(raised.findings.at(0).op, "NonZero");
  EXPECT_EQ(in_mode("crash").verdict, CompileVerdict::crashed);
}

TEST_F(Rknn, MissingToolkitNamesTheInterpreter) {
  const EnvScope nowhere("PYTHONPATH", "");
  const auto t = find_driver("rknn")->probe(plain_python());
  ASSERT_FALSE(t.ok());
  EXPECT_THAT(t.error().message, HasSubstr(plain_python()));
}

TEST_F(Rknn, TheRealToolkit) {
  const char* python = std::getenv("NPUPORT_TEST_RKNN_PYTHON");
  if (!python || !*python) GTEST_SKIP() << "NPUPORT_TEST_RKNN_PYTHON names no interpreter with rknn-toolkit2";
  ProcessOptions p;
  p.argv = {python, "-c",
            "import sys, numpy as np, onnx\n"
            "from onnx import helper as h, TensorProto as T, numpy_helper as nh\n"
            "w = nh.from_array(np.random.RandomState(0).randn(4, 3, 3, 3).astype(np.float32), 'w')\n"
            "for last in ('Relu', 'Sin', 'Sign'):\n"
            "    g = h.make_graph([h.make_node('Conv', ['x', 'w'], ['c'], pads=[1] * 4, name='conv0'), "
            "h.make_node(last, ['c'], ['y'], "
            "name='last0')], 'g', [h.make_tensor_value_info('x', T.FLOAT, [1, 3, 16, 16])], "
            "[h.make_tensor_value_info('y', T.FLOAT, "
            "[1, 4, 16, 16])], [w])\n"
            "    m = h.make_model(g, opset_imports=[h.make_opsetid('', 13)])\n"
            "    m.ir_version = 8\n"
            "    onnx.save(m, sys.argv[1] + '/' + last + '.onnx')\n",
            folder_.path()};
  const Result<ProcessResult> made = run_process(p);
  ASSERT_TRUE(made.ok() && made->ok()) << (made ? made->err : to_text(made.error()));
  const auto verdict = [&](const std::string& op) {
    CompileRequest r = request(folder_.path(op + ".onnx"), op);
    r.output = folder_.path(op + ".rknn");
    r.timeout = std::chrono::seconds(300);
    return run("rknn", python, target_, r);
  };
  EXPECT_EQ(verdict("Relu").verdict, CompileVerdict::accepted);
  const CompileOutcome sin = verdict("Sin");
  EXPECT_EQ(sin.verdict, CompileVerdict::misplaced) << sin.reason;
  EXPECT_EQ(sin.findings.at(0).op, "Sin");
  const CompileOutcome sign = verdict("Sign");
  EXPECT_EQ(sign.verdict, CompileVerdict::refused) << sign.reason;
  EXPECT_EQ(sign.findings.at(0).op, "Sign");
}

class Generic : public Closed {
 protected:
  Target target(const std::string& command) {
    const Result<Target> t = parse_target(
        "version = 1\nname = \"g\"\ntitle = \"any\"\nformat = \"tflite\"\nunlisted = \"ok\"\n[compiler]\ndriver = "
        "\"generic\"\nsuffix = \".bin\"\ncommand = '''" +
            command +
            "'''\n"
            "[[compiler.log]]\nkind = \"refused\"\npattern = 'cannot map (\\w+) \\((.*)\\)'\nfields = [\"op\", "
            "\"reason\"]\n"
            "[[compiler.log]]\nkind = \"error\"\npattern = '^E:'\n"
            "[[compiler.log]]\nkind = \"metric\"\npattern = '^(\\w+)=(\\d+)$'\nfields = [\"name\", \"value\"]\n",
        "g.toml");
    EXPECT_TRUE(t.ok()) << to_text(t.error());
    return *t;
  }
};

TEST_F(Generic, RunsTheTemplateWithoutAShell) {
  const std::string script =
      "import sys; open(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read()); print('cycles=42')";
  CompileRequest r = model("a b;$(touch x){output}.tflite", ".bin");
  const Target t = target("python3 -c \"" + script + "\" {input} {output}");
  EXPECT_EQ(driver_tool(*find_driver("generic"), t), "python3");
  const CompileOutcome o = run("generic", plain_python(), t, r);
  EXPECT_EQ(o.verdict, CompileVerdict::accepted) << o.reason;
  EXPECT_EQ(contents(o.artefact), "any bytes");
  EXPECT_EQ(o.metrics.at("cycles"), "42");
}

TEST_F(Generic, ReadsTheLogByItsExpressions) {
  const CompileOutcome refused =
      run("generic", plain_python(), target("py -c \"print('cannot map GATHER (no unit for it)')\" {input} {output}"),
          model("m.tflite", ".bin"));
  EXPECT_EQ(refused.verdict, CompileVerdict::refused);
  EXPECT_EQ(refused.findings.at(0).op, "GATHER");
  EXPECT_EQ(refused.findings.at(0).reason, "no unit for it");
  const CompileOutcome error =
      run("generic", plain_python(), target("py -c \"print('E: boom')\" {input} {output}"), model("m.tflite", ".bin"));
  EXPECT_EQ(error.verdict, CompileVerdict::refused);
  EXPECT_EQ(run("generic", plain_python(), target("py -c pass {input} {output}"), model("m.tflite", ".bin")).verdict,
            CompileVerdict::no_output);
}

TEST_F(Generic, BadTemplatesAreUsageErrors) {
  const CompileRequest r = model("m.tflite", ".bin");
  for (const char* bad : {"cc {input}", "cc {output}", "", "cc 'x {input} {output}"})
    EXPECT_FALSE(find_driver("generic")->commands({"cc", "", "", {}}, target(bad), r).ok()) << bad;
}

}  // namespace
}  // namespace npuport::testing
