// Bad input at the command line: the right exit code, one message with the next step, nothing written, nothing changed.
#include "app/cli_support.h"

namespace npuport::testing {
namespace {

using CliBadInput = WithModels;

// Exit code `code`, a message that names every one of `parts`, no stack trace, no exception text.
void expect_error(const Ran& r, int code, const std::vector<std::string>& parts) {
  EXPECT_EQ(r.code, code) << r.out.substr(0, 300) << r.err;
  for (const std::string& p : parts)
    EXPECT_NE(r.err.find(p), std::string::npos) << "'" << p << "' is not in\n" << r.err;
  EXPECT_EQ(r.err.find("terminate called"), std::string::npos) << r.err;
  EXPECT_EQ(r.err.find("NP09"), std::string::npos) << "bad input is no bug of ours\n" << r.err;
}

TEST_F(CliBadInput, BrokenArchivesAreRefusedByName) {
  const auto before = tree(made_files());
  for (const char* file : {"empty.pt", "noise.pt", "truncated1.pt", "truncated5.pt", "truncated9.pt", "flipped.pt",
                           "evil.pt", "missing_weight.pt", "no_data.pt", "bomb.pt", "short.tflite", "bad.txt"}) {
    SCOPED_TRACE(file);
    // limited address space: a file that claims more than it holds must not make us ask for it
    expect_error(npuport_run({"run", made(file), "--samples", made("net.npz")}, {}, {}, uint64_t{4} << 30), 2,
                 {"error[NP02"});
    expect_error(
        npuport_run({"port", made(file), "--samples", made("net.npz"), "--target", "mt8371", "-o", out_.path("port")}),
        2, {"error[NP0"});
    EXPECT_FALSE(std::filesystem::exists(out_.path("port"))) << "a refused model leaves nothing";
  }
  EXPECT_EQ(tree(made_files()), before) << "inputs were touched";
}

TEST_F(CliBadInput, PicklesAreNeverExecuted) {
  const std::string mark = out_.path("pwned");
  for (const char* file : {"evil.pt", "evil.pth"})
    for (const char* verb : {"inspect", "run"}) {
      const Ran r = npuport_run({verb, made(file)}, {{"NPUPORT_TEST_PWNED", mark}}, out_.path());
      EXPECT_NE(r.code, 4) << r.err;
      EXPECT_NE(r.code, -1) << r.err;
      EXPECT_FALSE(std::filesystem::exists(mark));
      EXPECT_EQ(out_.count(), 0u);
    }
  expect_error(npuport_run({"run", made("evil.pt"), "--samples", made("net.npz")}), 2, {"system"});
}

TEST_F(CliBadInput, SamplesThatDoNotFitAreNamed) {
  const struct {
    const char* file;
    std::vector<std::string> parts;
  } cases[] = {{"wrong_name.npz", {"picture", "wrong_name.npz"}},
               {"too_many.npz", {"in.1"}},
               {"no_input.npz", {"'x'", "no_input.npz"}},
               {"strings.npz", {"strings.npz", "in.0", "text"}},
               {"complex.npz", {"complex.npz", "in.0", "complex"}},
               {"objects.npz", {"objects.npz", "in.0", "objects"}},
               {"dates.npz", {"dates.npz", "out.0", "dates"}},
               {"truncated.npz", {"truncated.npz"}},
               {"missing.npz", {"missing.npz", "no such file"}},
               {"wrong_channels.npz", {"channel", "wrong_channels.npz"}},
               {"wrong_rank.npz", {"wrong_rank.npz"}},
               {"wrong_dtype.npz", {"wrong_dtype.npz"}},
               {"nan.npz", {"nan.npz", "NaN", "element 0"}}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.file);
    const Ran r = npuport_run({"verify", made("net.pt"), "--samples", made(c.file)});
    expect_error(r, 2, c.parts);
    EXPECT_NE(r.err.find("error["), std::string::npos) << r.err;
  }
}

TEST_F(CliBadInput, FixedFilesRefuseOtherShapesAndCounts) {
  const std::string tflite = out_.path("net.tflite");
  ASSERT_EQ(npuport_run({"convert", made("net.pt"), "-o", tflite, "--samples", made("net.npz")}).code, 0);
  EXPECT_EQ(npuport_run({"verify", tflite, "--samples", made("net.npz")}).code, 0);
  expect_error(npuport_run({"run", tflite, "--samples", made("wrong_shape.npz")}), 2, {"1x3x8x8", "1x3x4x8"});
  expect_error(npuport_run({"run", tflite, "--samples", made("wrong_dtype.npz")}), 2, {"float32", "int64"});
  expect_error(npuport_run({"run", tflite, "--samples", made("float64.npz")}), 2, {"float64", "exactly"});
  expect_error(npuport_run({"run", tflite, "--samples", made("too_many.npz")}), 2, {"in.1"});
  expect_error(npuport_run({"run", tflite, "--samples", made("wrong_name.npz")}), 2, {"picture", "in.0"});
  expect_error(npuport_run({"run", tflite}), 2, {"--samples"});
}

TEST_F(CliBadInput, NanInTheWeightsIsWarned) {
  for (const auto& line :
       {std::vector<std::string>{"convert", made("nan_weights.pt"), "-o", out_.path("n.tflite"), "--samples",
                                 made("no_baseline.npz")},
        std::vector<std::string>{"run", made("nan_weights.pt"), "--samples", made("no_baseline.npz")}}) {
    const Ran r = npuport_run(line);
    EXPECT_NE(r.err.find("NaN"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("second"), std::string::npos) << "the warning names the tensor\n" << r.err;
  }
}

TEST_F(CliBadInput, ADynamicShapeNamesTensorAndFlag) {
  for (const auto& line :
       {std::vector<std::string>{"run", made("scripted.pt")},
        std::vector<std::string>{"analyze", made("scripted.pt"), "--target", "mt8371"},
        std::vector<std::string>{"convert", made("scripted.pt"), "-o", out_.path("x.tflite")},
        std::vector<std::string>{"port", made("scripted.pt"), "--target", "mt8371", "-o", out_.path("port")}})
    expect_error(npuport_run(line), 2, {"'x'", "--shape", "--samples"});
  const Ran fixed =
      npuport_run({"convert", made("scripted.pt"), "-o", out_.path("x.tflite"), "--shape", "x=1x3x8x8", "--json"});
  EXPECT_EQ(fixed.code, 0) << fixed.err;
  EXPECT_EQ(npuport_run({"verify", out_.path("x.tflite"), "--samples", made("net.npz")}).code, 0);
}

TEST_F(CliBadInput, AShapeForAnInputTheModelDoesNotHaveIsRefused) {
  ASSERT_EQ(npuport_run({"convert", made("net.pt"), "-o", out_.path("x.tflite"), "--samples", made("net.npz")}).code,
            0);
  for (const std::string& model : {made("scripted.pt"), made("net.pt"), out_.path("x.tflite")})
    for (const char* option : {"picture=1x3x8x8", "in.1=1x3x8x8"})
      for (std::vector<std::string> line : {std::vector<std::string>{"convert", model, "-o", out_.path("y.onnx")},
                                            {"run", model, "--samples", made("net.npz")},
                                            {"analyze", model, "--target", "mt8371"},
                                            {"port", model, "--target", "mt8371", "-o", out_.path("port")},
                                            {"port", model, "--target", "mt8371", "-o", out_.path("port"), "--init"}}) {
        line.insert(line.end(), {"--shape", option});
        SCOPED_TRACE(line[0] + " " + model);
        expect_error(npuport_run(line), 2, {"no such input", option, "it has ", "in.0"});
        EXPECT_FALSE(std::filesystem::exists(out_.path("port")));
      }
  for (const char* option : {"x=1x3x8x8", "in.0=1x3x8x8", "0=1x3x8x8"})
    EXPECT_EQ(npuport_run({"convert", made("scripted.pt"), "-o", out_.path("y.onnx"), "--shape", option}).code, 0);
}

TEST_F(CliBadInput, LayersThatAreNotThereAreSaidEvenWhenTheyAreNotNeeded) {
  expect_error(npuport_run({"verify", made("net.pt"), "--samples", made("net.npz"), "--bisect", "--layers",
                            made("no_layers.npz")}),
               2, {"no_layers.npz", "no such file"});
}

TEST_F(CliBadInput, AProjectFileHasNoShapesOrSamplesBesideIt) {
  const std::string toml = demo("edsr-nano/port.toml");
  for (const char* option : {"--shape", "--samples", "--gate"})
    expect_error(npuport_run({"port", toml, "-o", out_.path("port"), option, "general"}), 2, {option, "port.toml"});
  EXPECT_FALSE(std::filesystem::exists(out_.path("port")));
}

TEST_F(CliBadInput, UnsupportedOperatorsAreListedAtOnce) {
  const std::vector<std::string> all = {"igamma", "digamma", "×2", "×1", ".py:"};
  expect_error(npuport_run({"run", made("unsupported.pt"), "--samples", made("no_baseline.npz")}), 1, all);
  expect_error(npuport_run({"convert", made("unsupported.pt"), "-o", out_.path("u.tflite"), "--samples",
                            made("no_baseline.npz")}),
               1, all);
  EXPECT_FALSE(std::filesystem::exists(out_.path("u.tflite")));
  const Ran r = npuport_run({"port", made("unsupported.pt"), "--samples", made("no_baseline.npz"), "--target", "mt8371",
                             "-o", out_.path("port")});
  EXPECT_EQ(r.code, 1) << r.err;
  const std::string analysis = contents(out_.path("port/operator_analysis.md"));
  for (const char* part : {"igamma", "digamma"}) EXPECT_NE(analysis.find(part), std::string::npos) << analysis;
  EXPECT_TRUE(tree(out_.path("port/models")).empty());
  const Json j = Json::parse(contents(out_.path("port/operator_analysis.json")), nullptr, false);
  EXPECT_FALSE(j.is_discarded());
}

TEST_F(CliBadInput, ControlFlowOnValuesIsRefusedWithItsLine) {
  expect_error(npuport_run({"run", made("branch.pt"), "--samples", made("no_baseline.npz")}), 1,
               {"error[NP0403]", ".py:"});
}

TEST_F(CliBadInput, OutputsThatCannotBeWritten) {
  put(out_.path("file"), "mine");
  const std::vector<std::string> port = {"port", made("net.pt"), "--samples", made("net.npz"), "--target", "mt8371"};
  auto to = [&](const std::string& folder) {
    auto line = port;
    line.insert(line.end(), {"-o", folder});
    return npuport_run(line);
  };
  expect_error(to(out_.path("file")), 3, {"error[NP0103]", "next"});
  expect_error(to("/proc/npuport"), 3, {"error[NP0103]"});
  EXPECT_EQ(contents(out_.path("file")), "mine");
  expect_error(npuport_run({"convert", made("net.pt"), "--samples", made("net.npz"), "-o",
                            out_.path("no/such/folder/x.tflite")}),
               3, {"error[NP0103]", "folder"});
  std::filesystem::create_directories(out_.path("taken.tflite"));
  expect_error(npuport_run({"convert", made("net.pt"), "--samples", made("net.npz"), "-o", out_.path("taken.tflite")}),
               3, {"error[NP0103]"});
  expect_error(npuport_run({"run", made("net.pt"), "--samples", made("net.npz"), "-o", "/dev/full"}), 3,
               {"error[NP0103]"});
}

TEST_F(CliBadInput, ADiskThatFillsUpLeavesNothingHalfWritten) {
  // A limit on file size is what a full disk looks like to a program that ignores SIGXFSZ.
  ProcessOptions options;
  options.argv = {"/bin/sh",
                  "-c",
                  "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"",
                  binary(),
                  "convert",
                  made("net.pt"),
                  "--samples",
                  made("net.npz"),
                  "-o",
                  out_.path("x.txt")};
  const Result<ProcessResult> r = run_process(options);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->exit_code, 3) << r->err;
  EXPECT_NE(r->err.find("error[NP0103]"), std::string::npos) << r->err;
  EXPECT_TRUE(tree(out_.path()).empty());
}

TEST_F(CliBadInput, NamesInModelsCannotDriveTerminalOrPage) {
  const std::string folder = out_.path("port");
  const Ran r =
      npuport_run({"port", made("hostile.pt"), "--samples", made("hostile.npz"), "--target", "mt8371", "-o", folder});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ((r.out + r.err).find('\x1b'), std::string::npos);
  for (const auto& [file, hash] : tree(folder)) {
    if (file.ends_with(".tflite") || file.ends_with(".npy")) continue;
    const std::string text = contents(folder + "/" + file);
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << file;
    if (file.ends_with(".html") || file.ends_with(".md")) {
      EXPECT_EQ(text.find("<script>alert"), std::string::npos) << file;
    }
    EXPECT_EQ(file.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/"),
              std::string::npos)
        << file;
  }
  for (const char* verb : {"inspect", "run"}) {
    std::vector<std::string> line{verb, made("hostile.pt")};
    if (std::string(verb) == "run") line.insert(line.end(), {"--samples", made("hostile.npz"), "--profile"});
    const Ran shown = npuport_run(line);
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_EQ((shown.out + shown.err).find('\x1b'), std::string::npos) << shown.out;
  }
}

TEST_F(CliBadInput, NamesGivenByTheUserCannotLeaveTheFolder) {
  const Ran r = npuport_run({"port", made("net.pt"), "--samples", made("net.npz"), "--target", "mt8371", "--name",
                             "../../a b'\"|", "-o", out_.path("deep/port")});
  EXPECT_TRUE(r.code == 0 || r.code == 2) << r.err;
  for (const auto& [file, hash] : tree(out_.path()))
    EXPECT_EQ(file.rfind("deep/port/", 0), 0u) << file << " lies outside the output folder";
}

TEST_F(CliBadInput, PathsWithBlanksQuotesAndUnicode) {
  const std::string folder = out_.path("a b'c\"d $(touch x) Größe 模型");
  std::filesystem::create_directories(folder);
  std::filesystem::copy(made("net.pt"), folder + "/my model.pt");
  std::filesystem::copy(made("net.npz"), folder + "/my sample.npz");
  const Ran r = npuport_run({"port", folder + "/my model.pt", "--samples", folder + "/my sample.npz", "--target",
                             "mt8371", "-o", folder + "/out dir"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(npuport_run({"verify", folder + "/out dir", "--samples", folder + "/my sample.npz"}).code, 0);
  const Ran text = npuport_run(
      {"convert", folder + "/my model.pt", "--samples", folder + "/my sample.npz", "-o", folder + "/x y.txt"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(npuport_run({"verify", folder + "/x y.txt", "--samples", folder + "/my sample.npz"}).code, 0);
}

}  // namespace
}  // namespace npuport::testing
