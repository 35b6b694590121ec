// `compile`, step 7 of `port`, bundles and `doctor`, with the stand-in of ncc-tflite in the compiler's place.
#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "app/cli_support.h"
#include "app/runnable.h"
#include "base/hash.h"
#include "ir/builder.h"
#include "runtime/npuport_runtime.hpp"
#include "support/paths.h"
#include "writers/tflite_writer.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Env = std::map<std::string, std::string>;

class CliCompile : public ::testing::Test {
 protected:
  void SetUp() override {
    Graph g;
    g.name = "chain";
    Builder b(g);
    ValueId y = g.add_input("x", {DType::f32, {1, 4, 4, 8}, nullptr});
    for (const char* op : {"relu", "exp", "tanh"}) y = b.op(op, {y});
    g.set_outputs({y});
    model_ = out_.path("it's a \"model\"; $(x).tflite");
    ASSERT_TRUE(write_tflite(g, model_).ok());
  }
  Ran compile(std::vector<std::string> more, Env env = {}, const std::string& target = "mt8371") {
    more.insert(more.begin(), {"--json", "compile", model_, "--target", target});
    return npuport_run(more, std::move(env));
  }
  Env tool(Env more = {}) {
    more["NPUPORT_NCC_TFLITE"] = standin_ncc();
    return more;
  }
  TempFolder out_;
  std::string model_;
};

TEST_F(CliCompile, WithoutTheToolItEndsWith3AndSaysHowToGoOn) {
  const Ran r = compile({"-o", out_.path("o")}, {{"NPUPORT_NCC_TFLITE", ""}});
  EXPECT_EQ(r.code, 3);
  EXPECT_THAT(r.err, ::testing::AllOf(HasSubstr("NPUPORT_NCC_TFLITE"), HasSubstr("--bundle"), HasSubstr("--dry-run")));
}

TEST_F(CliCompile, AToolOnThePathIsNotTaken) {
  const std::string bin = fs::path(standin_ncc()).parent_path().string();
  EXPECT_EQ(compile({"-o", out_.path("o")}, {{"NPUPORT_NCC_TFLITE", ""}, {"PATH", bin + ":/usr/bin:/bin"}}).code, 3);
  const Ran doctor = npuport_run({"--json", "doctor"}, {{"NPUPORT_NCC_TFLITE", ""}, {"PATH", bin + ":/usr/bin:/bin"}});
  const Json found = document(doctor);
  for (const Json& t : found["tools"])
    if (t["name"] == "ncc-tflite") {
      EXPECT_EQ(t["state"], "not configured");
    }
}

// Tools run in folders of their own; a path is meant from where the user stands.
TEST_F(CliCompile, AToolMayBeNamedFromTheCurrentFolder) {
  const fs::path tool(standin_ncc());
  const Ran r = npuport_run({"--tool", "ncc-tflite=./" + tool.filename().string(), "compile", model_, "--target",
                             "mt8371", "-o", out_.path("o")},
                            {{"NPUPORT_NCC_TFLITE", ""}}, tool.parent_path().string());
  EXPECT_EQ(r.code, 0) << r.err;
  put(out_.path("cc.sh"), "#!/bin/sh\ncp \"$1\" \"$2\"\n");
  fs::permissions(out_.path("cc.sh"), fs::perms::owner_all);
  const Ran hunt = npuport_run({"diagnose", model_, "--target", "generic-tflite", "--compiler",
                                "./cc.sh {input} {output}", "-o", out_.path("d")},
                               {}, out_.path());
  EXPECT_EQ(hunt.code, 0) << hunt.err;
}

TEST_F(CliCompile, DryRunPrintsTheCommandAndRunsNothing) {
  const Ran r = compile({"--dry-run", "--compiler-arg", "--fc-to-conv '--gno=A B'"});
  EXPECT_EQ(r.code, 0) << r.err;
  const Json argv = document(r)["commands"][0];
  EXPECT_EQ(argv[0], "ncc-tflite");
  EXPECT_EQ(argv[1], model_);
  EXPECT_THAT(argv.get<std::vector<std::string>>(),
              ::testing::IsSupersetOf({"--arch=mdla5.3,edma3.6", "--fc-to-conv", "--gno=A B"}));
  EXPECT_EQ(compile({"--dry-run", "--compiler-arg=--l1=256"}).code, 2)
      << "flags the compiler does not have are refused";
}

TEST_F(CliCompile, VerdictsAndExitCodes) {
  const Ran ok = compile({"-o", out_.path("o")}, tool());
  EXPECT_EQ(ok.code, 0) << ok.err << ok.out;
  EXPECT_EQ(document(ok)["verdict"], "accepted");
  EXPECT_TRUE(fs::exists(document(ok)["artefact"].get<std::string>()));
  EXPECT_EQ(document(compile({"-o", out_.path("o")}, tool()))["cached"], true);
  const Ran refused = compile({"-o", out_.path("r")}, tool({{"STANDIN_WHITELIST", "RELU,TANH"}}));
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(document(refused)["verdict"], "refused");
  EXPECT_EQ(document(refused)["findings"][0]["operator"], "EXP");
  EXPECT_THAT(document(refused)["problems"][0]["next"].get<std::string>(), HasSubstr("npuport diagnose"));
  const Ran hung = compile({"-o", out_.path("h"), "--timeout", "0.5"}, tool({{"STANDIN_MODE", "hang"}}));
  EXPECT_EQ(hung.code, 1);
  EXPECT_EQ(document(hung)["verdict"], "timed-out");
}

TEST_F(CliCompile, TwoRunsInOneFolder) {
  Ran slow;
  std::thread first([&] { slow = compile({"-o", out_.path("o")}, tool({{"STANDIN_DELAY_MS", "3000"}})); });
  while (!fs::exists(out_.path("o/.npuport/compile"))) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const Ran second = compile({"-o", out_.path("o")}, tool());
  first.join();
  EXPECT_EQ(second.code, 3);
  EXPECT_THAT(second.err, HasSubstr("another npuport run"));
  EXPECT_EQ(slow.code, 0);
}

TEST_F(CliCompile, ABundleCompilesElsewhere) {
  const std::string bundle = out_.path("take away");
  ASSERT_EQ(compile({"--bundle", bundle}).code, 0);
  for (const char* f : {"compile.sh", "SHA256SUMS", "README.txt"}) EXPECT_TRUE(fs::exists(bundle + "/" + f)) << f;
  EXPECT_EQ(compile({"--bundle", bundle}).code, 2) << "the folder is not empty";
  const auto run = [&](Env env) {
    ProcessOptions p;
    p.argv = {"/bin/sh", bundle + "/compile.sh"};
    p.env = std::move(env);
    p.timeout = std::chrono::seconds(60);
    return run_process(p).value();
  };
  EXPECT_EQ(run({{"NCC_TFLITE", "/nowhere/ncc-tflite"}}).exit_code, 3);
  EXPECT_EQ(run({{"NCC_TFLITE", standin_ncc()}, {"STANDIN_MODE", "no-file"}}).exit_code, 1);
  const ProcessResult made = run({{"NCC_TFLITE", standin_ncc()}});
  EXPECT_EQ(made.exit_code, 0) << made.out << made.err;
  const ProcessResult old = run({{"NCC_TFLITE", standin_ncc()}, {"STANDIN_MODE", "old-help"}});
  EXPECT_EQ(old.exit_code, 0) << "the script reads the help: " << old.out << old.err;
  for (const auto& f : fs::directory_iterator(bundle))
    if (f.path().extension() == ".tflite") put(f.path().string(), "changed");
  EXPECT_EQ(run({{"NCC_TFLITE", standin_ncc()}}).exit_code, 2) << "damaged on the way";
}

TEST_F(CliCompile, VendorOperatorsAreRefusedWithTheReason) {
  const Ran r = compile({"--vendor-ops", "on"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("not public"));
  EXPECT_EQ(compile({"--vendor-ops", "off", "--dry-run"}).code, 0);
}

TEST_F(CliCompile, DoctorListsEveryToolWithPathAndVersion) {
  const Json tools = document(npuport_run({"--json", "doctor"}, tool()))["tools"];
  std::vector<std::string> names;
  for (const Json& t : tools) {
    names.push_back(t["name"]);
    if (t["name"] == "ncc-tflite") {
      EXPECT_EQ(t["path"], standin_ncc());
      EXPECT_EQ(t["version"], "ncc-tflite 6.3.3 (stand-in)");
      EXPECT_EQ(t["state"], "ok");
    }
  }
  EXPECT_THAT(names, ::testing::IsSupersetOf({"python", "litert-python", "ncc-tflite", "mtk-python", "atc", "amct_onnx",
                                              "vela", "rknn-python"}));
}

// S0-36: a stock runtime cannot load a vendor's operators; the message says that this is normal, and names them.
TEST(VendorOperators, AreNormalAndNamed) {
  const Diag d = app::opaque_diag({{"CUSTOM:MTKEXT_SILU", {{}}}, {"CUSTOM:MTKEXT_GELU", {{}}}});
  EXPECT_THAT(d.message, ::testing::AllOf(HasSubstr("MTKEXT_SILU, MTKEXT_GELU"), HasSubstr("not runnable here"),
                                          HasSubstr("normal")));
  EXPECT_THAT(app::opaque_diag({{"CUSTOM:Mine", {{}}}}).message, HasSubstr("1 operator without a mapping"));
}

class CliPortCompile : public WithModels {
 protected:
  Ran port(const std::string& out, Env env, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--json", "port", made("net.pt"), "--target", "mt8371", "--samples", made("net.npz"),
                               "-o", out, "--name", "net"});
    env["NPUPORT_NCC_TFLITE"] = standin_ncc();
    return npuport_run(more, std::move(env));
  }
  static Json step(const Ran& r) {
    const Json all = document(r);
    for (const Json& s : all["steps"])
      if (s["id"] == "compile") return s;
    return {};
  }
};

TEST_F(CliPortCompile, CompilesEveryPartAndReportsSizesAndFlags) {
  const std::string out = out_.path("o");
  const Ran r = port(out, {});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json s = step(r);
  EXPECT_EQ(s["verdict"], "PASS");
  EXPECT_EQ(s["details"]["sizes"][0]["estimate"], false);
  EXPECT_EQ(s["details"]["flags"].size(), 3U);
  EXPECT_EQ(s["details"]["tool"]["version"], "ncc-tflite 6.3.3 (stand-in)");
  size_t dla = 0;
  for (const auto& [name, digest] : tree(out)) dla += name.starts_with("models/") && name.ends_with("_MT8371.dla");
  EXPECT_EQ(dla, 1U);
  EXPECT_THAT(port(out, {}).err, ::testing::ContainsRegex("7 compile .*unchanged"));
  EXPECT_THAT(contents(out + "/report.html"), HasSubstr("TFLite"));
}

// Why the runtime does not open the port's only part by the Neuron stand-in; empty when it does.
std::string opening_refused(const std::string& out) {
  auto port = rt::Port::open(out);
  if (!port) return port.error().message;
  const auto session = port->open_part("", "neuron", {{"library", standin_runtime() + "/libneuron_runtime.so"}});
  return session ? "" : session.error().message;
}

// What the runtime checks before it gives a compiled file to a driver.
TEST_F(CliPortCompile, CompiledFilesEnterTheMetadataWithTheirHashes) {
  const std::string out = out_.path("o");
  const Ran first = port(out, {});
  ASSERT_EQ(first.code, 0) << first.err;
  const auto artefacts = [&] {
    const Json m = Json::parse(contents(out + "/models/net_metadata.json"));
    return m["parts"][0].value("artefacts", Json::array());
  };
  const Json port_wrote = artefacts();
  ASSERT_EQ(port_wrote.size(), 1U);
  const std::string dla = out + "/models/" + port_wrote[0]["file"].get<std::string>();
  EXPECT_EQ(port_wrote[0]["sha256"], *sha256_file(dla));
  EXPECT_EQ(port_wrote[0]["bytes"].get<uint64_t>(), fs::file_size(dla));
  EXPECT_EQ(opening_refused(out), "");
  put(dla, contents(dla) + "x");
  EXPECT_THAT(opening_refused(out), HasSubstr("bytes, the metadata say"));
  std::string other = contents(dla);
  other.pop_back();
  other.back() ^= 1;
  put(dla, other);
  EXPECT_THAT(opening_refused(out), HasSubstr("SHA-256 differs"));

  // Another run makes it again, and a run without the compiler leaves no entry behind.
  ASSERT_EQ(port(out, {}).code, 0);
  EXPECT_EQ(artefacts(), port_wrote);
  const Ran again = port(out, {});
  EXPECT_THAT(again.err, ::testing::ContainsRegex("5 write .*unchanged")) << "the changed metadata are the port's own";
  ASSERT_EQ(npuport_run({"port", made("net.pt"), "--target", "mt8371", "--samples", made("net.npz"), "-o", out,
                         "--name", "net"},
                        {{"NPUPORT_NCC_TFLITE", ""}})
                .code,
            0);
  EXPECT_TRUE(artefacts().empty());

  // `compile` into models/ enters its file too.
  const std::string model =
      out + "/models/" +
      Json::parse(contents(out + "/models/net_metadata.json"))["parts"][0]["file"].get<std::string>();
  ASSERT_EQ(npuport_run({"compile", model, "--target", "mt8371", "-o", out + "/models"},
                        {{"NPUPORT_NCC_TFLITE", standin_ncc()}})
                .code,
            0);
  EXPECT_EQ(artefacts(), port_wrote);
  EXPECT_EQ(opening_refused(out), "");
}

TEST_F(CliPortCompile, ARefusalFailsTheStepWithFindings) {
  const std::string out = out_.path("o");
  const Ran r = port(out, {{"STANDIN_WHITELIST", "RELU"}});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(step(r)["verdict"], "FAIL");
  const Json problems = document(r)["problems"];
  ASSERT_GE(problems.size(), 2U);
  EXPECT_THAT(problems[0]["next"].get<std::string>(), HasSubstr("npuport diagnose"));
  EXPECT_TRUE(fs::exists(out + "/" + step(r)["details"]["parts"].begin().value()["log"].get<std::string>()))
      << "the log stays";
  bool tflite = false, dla = false;
  for (const auto& [name, digest] : tree(out))
    tflite |= name.ends_with(".tflite"), dla |= name.starts_with("models/") && name.ends_with(".dla");
  EXPECT_TRUE(tflite) << "what is proven stays";
  EXPECT_FALSE(dla);
  // The hunt has begun by itself: a report, and a problem that names a refused operator.
  const Json found = step(r)["details"]["diagnosis"].begin().value();
  EXPECT_TRUE(fs::exists(out + "/" + found["report"].get<std::string>())) << found;
  EXPECT_GT(found["compiles"].get<int>(), 1);
  bool named = false;
  for (const Json& p : problems) named |= p["message"].get<std::string>().starts_with("the compiler refuses CONV_2D");
  EXPECT_TRUE(named) << problems;
}

// S4-19: the compiled file against PyTorch, by whatever runs it on the device.
TEST_F(CliPortCompile, ADeviceRunnerHoldsTheCompiledFileToPyTorch) {
  const auto runner = [&](const std::string& name, const std::string& body) {
    const std::string path = out_.path(name);
    put(path, "#!/bin/sh\n" + body + "\n");
    fs::permissions(path, fs::perms::owner_all);
    return path;
  };
  const auto with = [&](const std::string& tool) {
    return port(out_.path("o"), {{"NPUPORT_DEVICE_RUNNER", tool}}, {"--io-layout", "nchw", "--no-diagnose"});
  };
  const Json absent = step(with(""));
  EXPECT_THAT(absent["details"]["device"].begin().value().get<std::string>(), HasSubstr("--tool device-runner"));
  // In the device's place: the .tflite file the compiler was given.
  const Ran good = with(runner(
      "it runs.sh", "exec '" + binary() + "' run \"$(ls \"$(dirname \"$1\")\"/*.tflite)\" --samples \"$2\" -o \"$3\""));
  EXPECT_EQ(good.code, 0) << good.err;
  const Json rows = step(good)["details"]["device"].begin().value();
  ASSERT_FALSE(rows.empty()) << step(good);
  EXPECT_EQ(rows[0]["close"], true);
  EXPECT_LT(rows[0]["max_diff"].get<double>(), 1e-3);
  EXPECT_LE(rows[0]["mean_diff"].get<double>(), rows[0]["max_diff"].get<double>());
  EXPECT_THAT(good.out, HasSubstr("DLA = PyTorch"));
  EXPECT_EQ(step(with(runner("no.sh", "echo no board >&2; exit 3")))["verdict"], "UNVERIFIED");
  const Ran wrong = with(runner("wrong.sh", "cp \"$2\" \"$3\""));
  EXPECT_EQ(wrong.code, 1);
  EXPECT_EQ(step(wrong)["verdict"], "FAIL");
}

TEST_F(CliPortCompile, WithoutTheToolSizesAreALabelledEstimate) {
  const Ran r = npuport_run({"--json", "port", made("net.pt"), "--target", "mt8371", "--samples", made("net.npz"), "-o",
                             out_.path("o"), "--bundle", out_.path("bundle")},
                            {{"NPUPORT_NCC_TFLITE", ""}});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(step(r)["verdict"], "SKIP");
  EXPECT_EQ(step(r)["details"]["sizes"][0]["estimate"], true);
  EXPECT_THAT(step(r)["reason"].get<std::string>(), HasSubstr("DLA not built: ncc-tflite not found"));
  EXPECT_TRUE(fs::exists(out_.path("bundle/compile.sh")));
}

}  // namespace
}  // namespace npuport::testing
