#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/hash.h"
#include "runtime/npuport_runtime.hpp"
#include "runtime/npuport_runtime_host.h"
#include "support/temp_folder.h"

namespace npuport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SessionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { npuport_runtime_host_register(); }

  // y = relu(x) + x, z = x as it is.
  std::string model() {
    const std::string path = folder_.path("m.txt");
    std::ofstream(path) << R"(graph "m" {
  input %x: f32[2,3]
  %r: f32[2,3] = relu(%x)
  %y: f32[2,3] = add(%r, %x)
  output %y, %x
}
)";
    return path;
  }
  testing::TempFolder folder_;
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
  EXPECT_THAT(x.shape, ElementsAre(2, 3));
  EXPECT_EQ(x.bytes, 24U);
  const std::array<float, 6> values = {-1, 2, -3, 4, 0, 6};
  ASSERT_TRUE(s->set_input<float>(0, values));
  ASSERT_TRUE(s->run());
  auto y = s->output_values<float>(0);
  ASSERT_TRUE(y);
  EXPECT_THAT(*y, ElementsAre(-1, 4, -3, 8, 0, 12));
}

}  // namespace
}  // namespace npuport
