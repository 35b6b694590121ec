// The situations people ran into, reproduced with the built program: each gives the way out (requirement S1-26).
#include <gmock/gmock.h>

#include "app/cli_support.h"
#include "frontends/tflite_build.h"
#include "ir/text.h"
#include "writers/onnx_writer.h"

namespace npuport::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Situation : public ::testing::Test {
 protected:
  // relu, as an .onnx file.
  std::string onnx() {
    const Result<Graph> g =
        parse_graph("graph \"g\" {\n  input %x: f32[1,4]\n  %y: f32[1,4] = relu(%x)\n  output %y\n}\n");
    EXPECT_TRUE(g.ok() && write_onnx(*g, folder_.path("m.onnx"), {}).ok());
    return folder_.path("m.onnx");
  }
  // What MediaTek's converter writes: a vendor's operator between builtin ones.
  std::string vendor_tflite() {
    BuiltGraph g;
    g.tensors = {{"x", {1, 4}}, {"y", {1, 4}}, {"z", {1, 4}}};
    g.inputs = {0};
    g.outputs = {2};
    g.operators = {{32, {0}, {1}, 0, {}, "MTKEXT_LAYER_NORMALIZATION"}, {19, {1}, {2}}};
    put(folder_.path("m.tflite"), BuiltModel{{g}}.bytes());
    return folder_.path("m.tflite");
  }
  // A Python whose environment lacks what is wanted: it fails the way Python does.
  std::string bare_python() {
    const std::string path = folder_.path("python");
    put(path, "#!/bin/sh\nprintf 'Traceback:\\nModuleNotFoundError: No module named torch\\n' >&2\nexit 1\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  TempFolder folder_;
};

// 1. The way by ONNX was tried: it works, and the shorter way is named.
TEST_F(Situation, TheWayByOnnxToTflite) {
  const Ran r = npuport_run({"port", onnx(), "--target", "mt8371", "-o", folder_.path("o")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, AllOf(HasSubstr("comes as ONNX"), HasSubstr("straight from PyTorch"), HasSubstr("npuport trace"),
                           HasSubstr("NPU-T02")));
  EXPECT_THAT(contents(folder_.path("o") + "/report.html"), HasSubstr("NPU-T02"));
  // Where ONNX is what the target reads it is no detour.
  const Ran ascend = npuport_run({"port", onnx(), "--target", "ascend310b1", "-o", folder_.path("a")});
  EXPECT_THAT(ascend.err, Not(HasSubstr("NPU-T02")));
  // The vendor's compiler does not read ONNX at all.
  const Ran compile = npuport_run({"compile", onnx(), "--target", "mt8371", "-o", folder_.path("c")});
  EXPECT_EQ(compile.code, 2);
  EXPECT_THAT(compile.err, HasSubstr("npuport convert MODEL -o model.tflite"));
}

// 2. A TFLite file with the vendor's operators does not load: normal, and what it is for.
TEST_F(Situation, ATfliteFileThatOnlyTheVendorLoads) {
  for (const std::vector<std::string>& line :
       std::vector<std::vector<std::string>>{{"run", vendor_tflite(), "-o", folder_.path("r.npz")},
                                             {"convert", vendor_tflite(), "-o", folder_.path("b.tflite")},
                                             {"verify", vendor_tflite(), "--samples", folder_.path("s.npz")}}) {
    const Ran r = npuport_run(line);
    EXPECT_EQ(r.code, 1) << line[0] << r.err;
    EXPECT_THAT(r.err, AllOf(HasSubstr("not runnable here"), HasSubstr("MTKEXT_LAYER_NORMALIZATION"),
                             HasSubstr("normal"), HasSubstr("compiler"), HasSubstr("lesson: NPU-T03")))
        << line[0];
  }
  const Json seen = document(npuport_run({"inspect", vendor_tflite(), "--json"}));
  EXPECT_THAT(seen.dump(), HasSubstr("MTKEXT_LAYER_NORMALIZATION"));
}

// 3. The environment is not active: which interpreter was tried, and how to name another.
TEST_F(Situation, AnEnvironmentThatIsNotActive) {
  const Ran none = npuport_run({"trace", "x.pt"}, {{"NPUPORT_PYTHON", ""}});
  EXPECT_EQ(none.code, 3);
  EXPECT_THAT(none.err, AllOf(HasSubstr("--tool python=PATH"), HasSubstr("NPUPORT_PYTHON"), HasSubstr("NPU-T01")));
  const Ran wrong = npuport_run({"--tool", "mtk-python=" + bare_python(), "compile", onnx(), "--driver",
                                 "mtk_converter", "--target", "mt8371", "-o", folder_.path("c")});
  EXPECT_EQ(wrong.code, 3);
  EXPECT_THAT(wrong.err, AllOf(HasSubstr("mtk_converter not found: the interpreter " + bare_python()),
                               HasSubstr("--tool mtk-python=PATH"), HasSubstr("NPU-T01")));
  const Ran doctor = npuport_run({"--tool", "python=" + bare_python(), "doctor"});
  EXPECT_THAT(doctor.out, AllOf(HasSubstr("not usable: ModuleNotFoundError: No module named torch"),
                                HasSubstr("set --tool python=PATH")));
}

// The helper itself in an interpreter without PyTorch.
TEST_F(Situation, AnInterpreterWithoutPyTorch) {
  ProcessOptions options;
  options.argv = {torch_python(), "-S", "-c", "import torch"};
  const Result<ProcessResult> plain = run_process(options);
  if (!plain || plain->ok()) GTEST_SKIP() << "no interpreter that lacks PyTorch can be made here";
  put(folder_.path("python"), "#!/bin/sh\nexec " + torch_python() + " -S \"$@\"\n");
  std::filesystem::permissions(folder_.path("python"), std::filesystem::perms::owner_all);
  const Ran r = npuport_run({"--tool", "python=" + folder_.path("python"), "trace", onnx(), "-o", folder_.path("t")});
  EXPECT_EQ(r.code, 3) << r.err;
  EXPECT_THAT(r.err, AllOf(HasSubstr("cannot import PyTorch"), HasSubstr("--tool python=PATH"), HasSubstr("NPU-T01")));
}

}  // namespace
}  // namespace npuport::testing
