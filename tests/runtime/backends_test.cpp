// The device backends on test doubles of the vendors' libraries, with injected faults; LiteRT for real where it is.
#include <array>
#include <thread>

#include "base/subprocess.h"
#include "runtime/ascend_abi.h"
#include "runtime/neuron_abi.h"
#include "runtime/support.h"
#include "support/paths.h"

namespace npuport {
namespace {

using ::testing::HasSubstr;
using testing::SmallPort;
using testing::TempFolder;
using testing::Variable;

std::string library(const std::string& name) { return standin_runtime() + "/" + name; }

struct Way {
  const char* name;
  const char* backend;
  rt::Options options;
};

const std::vector<Way>& ways() {
  static const std::vector<Way> list = {
      {"V2", "neuron", {{"library", library("libneuron_runtime.so")}}},
      {"V1", "neuron", {{"library", library("libneuron_runtime.so.5")}}},
      {"V1Chosen", "neuron", {{"library", library("libneuron_runtime.so")}, {"api", "v1"}, {"boost", "80"}}},
      {"V1Suppressed", "neuron", {{"library", library("libneuron_runtime.so")}, {"suppress", "both"}}},
      {"Adapter", "neuron", {{"library", library("libneuron_adapter.so")}, {"preference", "turbo"}, {"boost", "50"}}},
      {"AdapterSuppressed", "neuron", {{"library", library("libneuron_adapter.so")}, {"suppress", "output"}}},
      {"Ascend", "ascend", {{"library", library("libascendcl.so")}}},
  };
  return list;
}

class DeviceTest : public ::testing::TestWithParam<Way> {
 protected:
  static void SetUpTestSuite() { npuport_runtime_host_register(); }
  rt::Result<rt::Session> open(rt::Options more = {}) {
    auto port = rt::Port::open(port_.folder());
    if (!port) return port.error();
    rt::Options options = GetParam().options;
    options.insert(options.end(), more.begin(), more.end());
    return port->open_part("p", GetParam().backend, options);
  }
  TempFolder folder_;
  SmallPort port_{folder_.path("OUT")};
};

TEST_P(DeviceTest, RunsThePortThroughItsContract) {
  auto s = open();
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  EXPECT_EQ(s->backend(), GetParam().backend);
  testing::run_small(*s);
}

TEST_P(DeviceTest, HalfFloatsAndMoreThreads) {
  const Variable half("STANDIN_FP16", "1"), output("STANDIN_OUTPUT_HALF", "1"), once("STANDIN_ONCE", "1");
  auto s = open();
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  std::thread other([&] { testing::run_small(*s); });
  other.join();
  testing::run_small(*s);
}

TEST_P(DeviceTest, BuffersTooSmallAreRefused) {
  const Variable small("STANDIN_SHORT", "4");
  auto s = open();
  // Adapter without suppression has no question for sizes: the run tells.
  if (s && GetParam().backend == std::string("neuron")) {
    const auto r = s->run();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().status, NPUPORT_FAILED);
    return;
  }
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().status, NPUPORT_BAD_FILE) << s.error().message;
  EXPECT_THAT(s.error().message, HasSubstr("bytes"));
}

TEST_P(DeviceTest, HangingRunTimesOutAndIsLeftAlone) {
  auto s = open();
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  {
    const Variable hang("STANDIN_HANG_MS", "400");
    const auto r = s->run(50);
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().status, NPUPORT_TIMEOUT);
    EXPECT_EQ(s->run().error().status, NPUPORT_BUSY);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  // The device comes back: the session works again.
  for (int k = 0; k < 100 && !s->profile(); ++k) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  testing::run_small(*s);
}

TEST_P(DeviceTest, ClosingDuringAHangingRun) {
  auto s = open();
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  const Variable hang("STANDIN_HANG_MS", "200");
  ASSERT_FALSE(s->run(20));
  npuport_session* handle = s->handle();
  s = rt::last_error();
  EXPECT_EQ(npuport_session_run(handle, 0), NPUPORT_BAD_ARGUMENT);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
}

TEST_P(DeviceTest, WrongFile) {
  const std::string name =
      GetParam().backend == std::string("neuron") ? "p_small_2_MT8371.dla" : "p_small_2_Ascend310B1.om";
  testing::write_text(port_.path(name), "garbage");
  const auto changed = open();
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().status, NPUPORT_BAD_FILE);
  EXPECT_THAT(changed.error().message, HasSubstr("SHA-256"));
  const auto unchecked = open({{"verify", "0"}});
  ASSERT_FALSE(unchecked);
  EXPECT_EQ(unchecked.error().status, NPUPORT_FAILED);
}

INSTANTIATE_TEST_SUITE_P(All, DeviceTest, ::testing::ValuesIn(ways()),
                         [](const auto& way) { return std::string(way.param.name); });

class FaultTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { npuport_runtime_host_register(); }
  // The error of opening the port's part and running it once; OK when both succeed.
  rt::Error attempt(const std::string& backend, const rt::Options& options) {
    const auto port = rt::Port::open(port_.folder());
    EXPECT_TRUE(port);
    auto s = port->open_part("p", backend, options);
    if (!s) return s.error();
    const auto r = s->run();
    return r ? rt::Error{NPUPORT_OK, "", "", "", "", ""} : r.error();
  }
  TempFolder folder_;
  SmallPort port_{folder_.path("OUT")};
};

TEST_F(FaultTest, EveryResultCodeOfEveryFunctionIsTold) {
  struct Row {
    const char* library;
    std::vector<const char*> functions;
    int codes;
    std::string (*text)(int);
  };
  const Row rows[] = {
      {"libneuron_runtime.so.5",
       {"NeuronRuntime_create", "NeuronRuntime_loadNetworkFromFile", "NeuronRuntime_setInput",
        "NeuronRuntime_setOutput", "NeuronRuntime_inference"},
       7,
       neuron::runtime_result},
      {"libneuron_runtime.so",
       {"NeuronRuntimeV2_create", "NeuronRuntimeV2_getInputNumber", "NeuronRuntimeV2_run"},
       7,
       neuron::runtime_result},
      {"libneuron_adapter.so",
       {"NeuronModel_create", "NeuronModel_addOperand", "NeuronModel_setOperandValue", "NeuronModel_addOperation",
        "NeuronModel_identifyInputsAndOutputs", "NeuronModel_getExtensionOperandType",
        "NeuronModel_getExtensionOperationType", "NeuronModel_finish", "NeuronCompilation_create",
        "NeuronCompilation_finish", "NeuronExecution_create", "NeuronExecution_setInput", "NeuronExecution_setOutput",
        "NeuronExecution_compute"},
       16,
       neuron::adapter_result}};
  for (const Row& row : rows)
    for (size_t f = 0; f < row.functions.size(); ++f) {
      // Every code by the last function, one code by the others.
      for (int code = f + 1 == row.functions.size() ? 1 : row.codes - 1; code < row.codes; ++code) {
        const Variable fault("STANDIN_FAIL", std::string(row.functions[f]) + ":" + std::to_string(code));
        const rt::Error e = attempt("neuron", {{"library", library(row.library)}});
        EXPECT_EQ(e.status, NPUPORT_FAILED) << row.functions[f] << code << e.message;
        EXPECT_THAT(e.message, HasSubstr(row.text(code)));
      }
    }
}

TEST_F(FaultTest, AscendCodesCarryTheLibrarysWordsAndAHint) {
  for (const char* function : {"aclInit", "aclrtSetDevice", "aclrtCreateContext", "aclmdlLoadFromFile", "aclmdlGetDesc",
                               "aclrtMalloc", "aclmdlAddDatasetBuffer", "aclrtMemcpy", "aclmdlExecute"}) {
    const Variable fault("STANDIN_FAIL", std::string(function) + ":507008");
    const rt::Error e = attempt("ascend", {{"library", library("libascendcl.so")}});
    EXPECT_EQ(e.status, NPUPORT_FAILED) << function;
    EXPECT_THAT(e.message, HasSubstr("507008: the chip is another one"));
    EXPECT_THAT(e.message, HasSubstr("E29999 in"));
    EXPECT_THAT(e.hint, HasSubstr("--soc_version"));
  }
  EXPECT_EQ(attempt("ascend", {{"library", library("libascendcl.so")}, {"device", "3"}}).status, NPUPORT_FAILED);
  for (const int code :
       {100000, 100039, 107001, 145013, 145999, 207001, 245123, 500002, 507011, 507018, 545001, 999999})
    EXPECT_THAT(ascend::result_text(code), HasSubstr(std::to_string(code) + ": "));
}

TEST_F(FaultTest, MissingLibrariesAndSymbols) {
  const rt::Error none = attempt("neuron", {{"library", folder_.path("nothing.so")}});
  EXPECT_EQ(none.status, NPUPORT_UNAVAILABLE);
  EXPECT_THAT(none.message, HasSubstr("nothing.so"));
  EXPECT_THAT(none.hint, HasSubstr("NPUPORT_NEURON_LIBRARY"));
  const rt::Error other = attempt("neuron", {{"library", library("libascendcl.so")}});
  EXPECT_EQ(other.status, NPUPORT_UNAVAILABLE);
  EXPECT_THAT(other.message, HasSubstr("neither"));
  const rt::Error v2 = attempt("neuron", {{"library", library("libneuron_runtime.so.5")}, {"api", "v2"}});
  EXPECT_EQ(v2.status, NPUPORT_UNAVAILABLE);
  EXPECT_THAT(v2.message, HasSubstr("NeuronRuntimeV2_run"));
  const rt::Error broken = attempt("ascend", {{"library", library("libascendcl_broken.so")}});
  EXPECT_EQ(broken.status, NPUPORT_UNAVAILABLE);
  EXPECT_THAT(broken.message, HasSubstr("aclmdlExecute"));
  const rt::Error lite = attempt("litert", {{"library", library("libascendcl.so")}});
  EXPECT_EQ(lite.status, NPUPORT_UNAVAILABLE);
  EXPECT_THAT(lite.message, HasSubstr("LiteRtCreateEnvironment"));
  EXPECT_THAT(lite.hint, HasSubstr("ai-edge-litert==2.3.0"));
}

TEST_F(FaultTest, AnotherReleaseOfLiteRtIsRefused) {
  std::filesystem::create_directories(folder_.path("site/ai_edge_litert"));
  std::filesystem::create_directories(folder_.path("site/ai_edge_litert-2.1.0.dist-info"));
  std::filesystem::copy_file(library("libascendcl.so"), folder_.path("site/ai_edge_litert/libLiteRt.so"));
  const rt::Error e = attempt("litert", {{"library", folder_.path("site/ai_edge_litert/libLiteRt.so")}});
  EXPECT_EQ(e.status, NPUPORT_UNAVAILABLE);
  EXPECT_THAT(e.message, HasSubstr("LiteRT 2.1.0"));
}

TEST_F(FaultTest, OptionsAreChecked) {
  const rt::Options good = {{"library", library("libneuron_runtime.so")}};
  const auto with = [&](const char* key, const char* value) {
    rt::Options o = good;
    o.push_back({key, value});
    return attempt("neuron", o);
  };
  EXPECT_THAT(with("boost", "101").message, HasSubstr("boost=101"));
  EXPECT_THAT(with("api", "v3").message, HasSubstr("adapter"));
  EXPECT_THAT(with("suppress", "all").message, HasSubstr("both"));
  EXPECT_THAT(with("speed", "high").message, HasSubstr("preference"));
  EXPECT_EQ(with("speed", "high").status, NPUPORT_BAD_ARGUMENT);
  rt::Options v2 = {{"library", library("libneuron_runtime.so")}, {"api", "v2"}, {"suppress", "input"}};
  EXPECT_EQ(attempt("neuron", v2).status, NPUPORT_UNSUPPORTED);
}

TEST_F(FaultTest, ADlaAloneNeedsItsInputsDescribed) {
  const std::string dla = port_.path("p_small_2_MT8371.dla");
  const rt::Options options = {{"library", library("libneuron_runtime.so")}};
  const auto bare = rt::Session::open(dla, "", options);
  ASSERT_FALSE(bare);
  EXPECT_THAT(bare.error().hint, HasSubstr("option io"));
  rt::Options with = options;
  with.push_back(
      {"io",
       R"({"inputs":[{"name":"e","dtype":"float32","shape":[1,2,3]},{"name":"i","dtype":"float32","shape":[1,1,3,2]}],
                            "outputs":[{"name":"y","dtype":"float32","shape":[1,1,3,2]}]})"});
  auto s = rt::Session::open(dla, "", with);
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  EXPECT_EQ(s->backend(), "neuron");
  EXPECT_TRUE(s->run());
  // From memory, by every interface.
  const std::string bytes = testing::read_text(dla);
  for (const char* name : {"libneuron_runtime.so", "libneuron_runtime.so.5", "libneuron_adapter.so"}) {
    with[0].value = library(name);
    auto m = rt::Session::open(std::as_bytes(std::span(bytes)), "neuron", with);
    ASSERT_TRUE(m) << npuport_last_error(nullptr);
    EXPECT_TRUE(m->run());
  }
  with[1].value = R"({"inputs":[],"outputs":[{"name":"y","dtype":"float32","shape":[1,1,3,2]}]})";
  with[0].value = library("libneuron_runtime.so");
  EXPECT_EQ(rt::Session::open(dla, "", with).error().status, NPUPORT_BAD_FILE);
  with[1].value = "{";
  EXPECT_FALSE(rt::Session::open(dla, "", with));
}

TEST_F(FaultTest, ProbesTellWhatIsThere) {
  const npuport_option neuron[] = {{"library", nullptr}};
  EXPECT_EQ(npuport_backend_probe("neuron", neuron, 1), nullptr);
  const std::string path = library("libneuron_runtime.so");
  const npuport_option named[] = {{"library", path.c_str()}};
  const Json found = Json::parse(npuport_backend_probe("neuron", named, 1));
  EXPECT_EQ(found["usable"], true);
  EXPECT_EQ(found["version"], "8.0.10");
  EXPECT_EQ(found["detail"], "interface v2");
  const npuport_option absent[] = {{"library", "no-such-library.so"}};
  for (const char* backend : {"neuron", "ascend", "litert"}) {
    const Json j = Json::parse(npuport_backend_probe(backend, absent, 1));
    EXPECT_EQ(j["usable"], false) << backend;
    EXPECT_NE(j["hint"], "");
  }
  EXPECT_EQ(Json::parse(npuport_backend_probe("host", nullptr, 0))["usable"], true);
  EXPECT_EQ(npuport_backend_probe("abacus", nullptr, 0), nullptr);
}

TEST_F(FaultTest, LiteRtRefusesWhatIsNoTflite) {
  const char* python = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
  if (!python || std::string(python) == "none") GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  ProcessOptions p;
  p.argv = {python, "-c", "import ai_edge_litert as a; print(a.__path__[0] + '/libLiteRt.so', end='')"};
  const auto r = run_process(p);
  ASSERT_TRUE(r && r->ok());
  if (!std::filesystem::exists(r->out)) GTEST_SKIP() << r->out << " is not there";
  const rt::Error e = attempt("litert", {{"library", r->out}});
  EXPECT_EQ(e.status, NPUPORT_FAILED) << e.message;
  const npuport_option named[] = {{"library", r->out.c_str()}};
  EXPECT_THAT(npuport_backend_probe("litert", named, 1), HasSubstr("\"usable\":true"));
}

}  // namespace
}  // namespace npuport
