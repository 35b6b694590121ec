// The real LiteRT library by the runtime, where NPUPORT_TEST_LITERT_PYTHON names an interpreter that has it.
#include <array>

#include "base/subprocess.h"
#include "frontends/tflite_build.h"
#include "runtime/support.h"

namespace npuport {
namespace {

using ::testing::HasSubstr;

// Path of libLiteRt.so, or "" with the reason in `why`.
std::string litert_library(std::string& why) {
  const char* python = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
  why = "NPUPORT_TEST_LITERT_PYTHON is not set";
  if (!python || std::string(python) == "none") return "";
  ProcessOptions p;
  p.argv = {python, "-c", "import ai_edge_litert as a; print(list(a.__path__)[0] + '/libLiteRt.so', end='')"};
  const auto r = run_process(p);
  why = "ai_edge_litert has no libLiteRt.so";
  return r && r->ok() && std::filesystem::exists(r->out) ? r->out : "";
}

TEST(LiteRtTest, RunsWhatTheHostRuns) {
  std::string why;
  const std::string library = litert_library(why);
  if (library.empty()) GTEST_SKIP() << why;
  npuport_runtime_host_register();
  testing::BuiltModel model;
  constexpr int add = 0, add_options = 11;
  const auto relu = [](flatbuffers::FlatBufferBuilder& b) {
    b.AddElement<int8_t>(testing::field(0), 1, 0);  // fused activation
  };
  model.graphs.push_back(
      {{{"a", {2, 3}}, {"b", {2, 3}}, {"y", {2, 3}}}, {0, 1}, {2}, {{add, {0, 1}, {2}, add_options, relu}}});
  const testing::TempFolder folder;
  const std::string bytes = model.bytes(), path = folder.path("m.tflite");
  testing::write_text(path, bytes);
  const std::array<float, 6> a = {1, -2, 3, -4, 5, 6}, b = {1, 1, -5, 8, 0, 2};
  std::vector<std::vector<float>> results;
  for (const bool memory : {false, true})
    for (const std::string backend : {"host", "litert"}) {
      const rt::Options options =
          backend == "host" ? rt::Options{} : rt::Options{{"library", library}, {"threads", "2"}};
      auto s = memory ? rt::Session::open(std::as_bytes(std::span(bytes)), backend, options)
                      : rt::Session::open(path, backend, options);
      ASSERT_TRUE(s) << npuport_last_error(nullptr);
      ASSERT_EQ(s->input_count(), 2U);
      EXPECT_EQ(s->input(1).name, "b");
      EXPECT_EQ(s->output(0).dtype, NPUPORT_F32);
      for (int k = 0; k < 2; ++k) {
        ASSERT_TRUE(s->set_input<float>(0, a));
        ASSERT_TRUE(s->set_input<float>(1, b));
        ASSERT_TRUE(s->run()) << npuport_last_error(s->handle());
        const auto y = s->output_values<float>(0);
        results.emplace_back(y->begin(), y->end());
      }
    }
  for (const auto& r : results) EXPECT_EQ(r, (std::vector<float>{2, 0, 0, 4, 5, 8}));
  const npuport_option named[] = {{"library", library.c_str()}};
  EXPECT_THAT(npuport_backend_probe("litert", named, 1), HasSubstr("\"version\":\"2.3"));
}

}  // namespace
}  // namespace npuport
