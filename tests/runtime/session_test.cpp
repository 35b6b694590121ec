#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include "runtime/support.h"

namespace npuport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::write_text;

class SessionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { npuport_runtime_host_register(); }

  // y = relu(x) + x, and x as it is.
  std::string model() {
    const std::string path = folder_.path("m.txt");
    write_text(path, R"(graph "m" {
  input %x: f32[2,3]
  %r: f32[2,3] = relu(%x)
  %y: f32[2,3] = add(%r, %x)
  output %y, %x
}
)");
    return path;
  }
  testing::TempFolder folder_;
  const std::array<float, 6> values_ = {-1, 2, -3, 4, 0, 6};
};

TEST_F(SessionTest, SetRunGet) {
  auto s = rt::Session::open(model(), "host");
  ASSERT_TRUE(s) << s.error().message;
  EXPECT_EQ(s->backend(), "host");
  ASSERT_EQ(s->input_count(), 1U);
  ASSERT_EQ(s->output_count(), 2U);
  const rt::TensorInfo x = s->input(0);
  EXPECT_EQ(x.name, "x");
  EXPECT_EQ(x.dtype, NPUPORT_F32);
  EXPECT_EQ(x.layout, NPUPORT_LAYOUT_MODEL);
  EXPECT_THAT(x.shape, ElementsAre(2, 3));
  EXPECT_EQ(x.bytes, 24U);
  EXPECT_EQ(*s->find_output("y"), 0U);
  EXPECT_EQ(s->find_input("nope").error().status, NPUPORT_NOT_FOUND);
  EXPECT_THAT(s->find_input("nope").error().message, HasSubstr("only: x"));
  ASSERT_TRUE(s->set_input<float>(0, values_));
  ASSERT_TRUE(s->run());
  auto y = s->output_values<float>(0);
  ASSERT_TRUE(y);
  EXPECT_THAT(*y, ElementsAre(-1, 4, -3, 8, 0, 12));
  std::array<float, 6> copy{};
  ASSERT_TRUE(s->get_output(1, std::as_writable_bytes(std::span(copy))));
  EXPECT_EQ(copy, values_);
}

TEST_F(SessionTest, FromMemory) {
  const std::string text = testing::read_text(model());
  auto s = rt::Session::open(std::as_bytes(std::span(text)), "host");
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  EXPECT_TRUE(s->run());
  const std::string broken = text.substr(0, 60);
  EXPECT_EQ(rt::Session::open(std::as_bytes(std::span(broken)), "host").error().status, NPUPORT_BAD_FILE);
}

TEST_F(SessionTest, WithoutCopies) {
  auto s = rt::Session::open(model(), "host");
  ASSERT_TRUE(s);
  auto buffer = s->input_values<float>(0);
  ASSERT_TRUE(buffer);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0U);
  std::copy(values_.begin(), values_.end(), buffer->begin());
  ASSERT_TRUE(s->run());
  EXPECT_EQ((*s->output_values<float>(0))[1], 4.0F);
  EXPECT_EQ(s->input_values<float>(0)->data(), buffer->data());

  std::array<float, 6> in{}, out{};
  in.fill(1);
  ASSERT_TRUE(s->bind_input(0, std::as_bytes(std::span(in))));
  ASSERT_TRUE(s->bind_output(0, std::as_writable_bytes(std::span(out))));
  ASSERT_TRUE(s->run());
  EXPECT_THAT(out, ::testing::Each(2.0F));
  in.fill(3);
  ASSERT_TRUE(s->run(10000));  // with a time limit: on copies
  EXPECT_THAT(out, ::testing::Each(6.0F));
  EXPECT_EQ(static_cast<const void*>(s->output_values<float>(0)->data()), out.data());
  ASSERT_TRUE(s->bind_input(0, {}));
  ASSERT_TRUE(s->bind_output(0, {}));
  ASSERT_TRUE(s->run());  // the own buffer again
  EXPECT_EQ((*s->output_values<float>(0))[1], 4.0F);
  EXPECT_THAT(out, ::testing::Each(6.0F));
}

TEST_F(SessionTest, Profile) {
  auto s = rt::Session::open(model(), "host", {{"profile", "1"}, {"threads", "1"}});
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(s->run());
  const auto p = s->profile();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->runs, 3U);
  EXPECT_LE(p->min_ms, p->mean_ms);
  EXPECT_LE(p->mean_ms, p->max_ms);
  EXPECT_THAT(*s->profile_json(), HasSubstr("\"op\":\"relu\""));
}

TEST_F(SessionTest, WrongArguments) {
  auto s = rt::Session::open(model(), "host");
  ASSERT_TRUE(s);
  npuport_session* h = s->handle();
  float f[6] = {};
  EXPECT_EQ(npuport_session_set_input(h, 1, f, sizeof f), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_set_input(h, 0, f, 20), NPUPORT_BAD_ARGUMENT);
  EXPECT_THAT(npuport_last_error(h), HasSubstr("24 bytes; 20 were given"));
  EXPECT_EQ(npuport_session_set_input(h, 0, nullptr, 24), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_get_output(h, 0, f, sizeof f), NPUPORT_BAD_ARGUMENT);
  EXPECT_THAT(npuport_last_error(h), HasSubstr("no output yet"));
  EXPECT_EQ(npuport_session_bind_output(h, 0, f, 8), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_input_info(h, 9, nullptr), NPUPORT_BAD_ARGUMENT);
  const std::array<int64_t, 6> ids{};
  EXPECT_THAT(s->set_input<int64_t>(0, ids).error().message, HasSubstr("'x' is float32, not int64"));
  EXPECT_EQ(npuport_session_open(nullptr, "host", nullptr, 0, &h), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_open("x", "host", nullptr, 1, &h), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_open("x", "host", nullptr, 0, nullptr), NPUPORT_BAD_ARGUMENT);
}

TEST_F(SessionTest, FailedOpensSayWhy) {
  const auto missing = rt::Session::open(folder_.path("none.tflite"), "host");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().status, NPUPORT_NOT_FOUND);
  EXPECT_EQ(missing.error().code, "NP0101");
  EXPECT_EQ(missing.error().file, folder_.path("none.tflite"));
  write_text(folder_.path("x.tflite"), "no model");
  EXPECT_EQ(rt::Session::open(folder_.path("x.tflite")).error().status, NPUPORT_BAD_FILE);
  EXPECT_THAT(rt::Session::open(model(), "gpu").error().message, HasSubstr("only: litert, neuron, ascend, host"));
  EXPECT_THAT(rt::Session::open(model(), "host", {{"boost", "1"}}).error().message,
              HasSubstr("knows no option 'boost'"));
  EXPECT_THAT(rt::Session::open(model(), "host", {{"threads", "many"}}).error().message, HasSubstr("threads=many"));
}

TEST_F(SessionTest, ClosedHandlesAreRecognised) {
  npuport_session* h = nullptr;
  ASSERT_EQ(npuport_session_open(model().c_str(), "host", nullptr, 0, &h), NPUPORT_OK);
  ASSERT_EQ(npuport_session_close(h), NPUPORT_OK);
  size_t n = 0;
  EXPECT_EQ(npuport_session_close(h), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_run(h, 0), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_find_input(h, "x", &n), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_input_count(h), 0U);
  EXPECT_EQ(npuport_session_backend(h), nullptr);
  EXPECT_EQ(npuport_session_run(nullptr, 0), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_session_run(reinterpret_cast<npuport_session*>(&n), 0), NPUPORT_BAD_ARGUMENT);
  EXPECT_THAT(npuport_last_error(nullptr), HasSubstr("closed"));
  EXPECT_EQ(npuport_port_close(nullptr), NPUPORT_BAD_ARGUMENT);
  EXPECT_EQ(npuport_embedding_close(nullptr), NPUPORT_BAD_ARGUMENT);
}

TEST_F(SessionTest, ErrorsBelongToTheirThreadAndSession) {
  auto a = rt::Session::open(model(), "host"), b = rt::Session::open(model(), "host");
  ASSERT_TRUE(a && b);
  ASSERT_FALSE(a->set_input(0, {}));
  EXPECT_STREQ(npuport_last_error(b->handle()), "");
  std::thread([] { EXPECT_STREQ(npuport_last_error(nullptr), ""); }).join();
  EXPECT_THAT(npuport_last_error(a->handle()), HasSubstr("0 were given"));
  npuport_error e{};
  npuport_last_error_info(a->handle(), &e);
  EXPECT_EQ(e.status, NPUPORT_BAD_ARGUMENT);
  EXPECT_STREQ(e.tensor, "x");
}

TEST_F(SessionTest, TwoSessionsInTwoThreads) {
  const std::string path = model();
  const auto work = [&](float start) {
    auto s = rt::Session::open(path, "host");
    ASSERT_TRUE(s);
    std::array<float, 6> in{};
    for (int i = 0; i < 200; ++i) {
      in.fill(start + static_cast<float>(i));
      ASSERT_TRUE(s->set_input<float>(0, in));
      ASSERT_TRUE(s->run());
      ASSERT_THAT(*s->output_values<float>(0), ::testing::Each(2 * in[0]));
    }
  };
  std::thread other(work, 1000.0F);
  work(1.0F);
  other.join();
}

// A call that meets another one is refused and changes nothing; afterwards the session works as before.
TEST_F(SessionTest, OneSessionFromTwoThreadsIsRefused) {
  write_text(folder_.path("slow.txt"), R"(graph "slow" {
  input %x: f32[250,250]
  %a: f32[250,250] = matmul(%x, %x)
  %b: f32[250,250] = matmul(%a, %x)
  output %b
}
)");
  auto s = rt::Session::open(folder_.path("slow.txt"), "host", {{"reference", "1"}, {"threads", "1"}});
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  int refused = 0, others = 0;
  // Which call comes first is up to the machine; sooner or later two of them meet.
  for (int attempt = 0; attempt < 50 && refused == 0; ++attempt) {
    std::atomic<bool> ended{false};
    std::atomic<npuport_status> result{NPUPORT_INTERNAL};
    std::thread runner([&] {
      result = npuport_session_run(s->handle(), 0);
      ended = true;
    });
    while (!ended) {
      const npuport_status status = npuport_session_run(s->handle(), 0);
      refused += status == NPUPORT_BUSY;
      others += status != NPUPORT_BUSY && status != NPUPORT_OK;
      EXPECT_EQ(npuport_session_input_count(s->handle()), 1U);  // questions are always answered
    }
    runner.join();
    refused += result == NPUPORT_BUSY;
    others += result != NPUPORT_BUSY && result != NPUPORT_OK;
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(others, 0);
  EXPECT_TRUE(s->run());
}

TEST_F(SessionTest, HostRunsTimeOut) {
  write_text(folder_.path("slow.txt"), R"(graph "slow" {
  input %x: f32[500,500]
  %a: f32[500,500] = matmul(%x, %x)
  %b: f32[500,500] = matmul(%a, %x)
  output %b
}
)");
  auto s = rt::Session::open(folder_.path("slow.txt"), "host", {{"reference", "1"}});
  ASSERT_TRUE(s);
  const auto r = s->run(1);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().status, NPUPORT_TIMEOUT);
  EXPECT_EQ(s->set_input(0, {}).error().status, NPUPORT_BUSY);
  // The run ends in the background; only then may the program end.
  for (int k = 0; k < 600 && !s->profile(); ++k) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(s->profile());
}

TEST(RuntimeNames, AreComplete) {
  EXPECT_EQ(npuport_runtime_abi(), NPUPORT_RUNTIME_ABI);
  EXPECT_STREQ(npuport_status_name(NPUPORT_INTERNAL), "NPUPORT_INTERNAL");
  EXPECT_STREQ(npuport_status_name(NPUPORT_OK), "NPUPORT_OK");
  EXPECT_STREQ(npuport_dtype_name(NPUPORT_BF16), "bfloat16");
  EXPECT_STREQ(npuport_dtype_name(NPUPORT_BOOL), "bool");
  EXPECT_STREQ(npuport_dtype_name(NPUPORT_UNKNOWN), "unknown");
  EXPECT_EQ(npuport_backend_name(99), nullptr);
}

}  // namespace
}  // namespace npuport
