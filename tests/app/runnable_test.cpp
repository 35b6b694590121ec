#include "app/runnable.h"

#include <gmock/gmock.h>

#include "frontends/torch_fixture.h"
#include "ir/npy.h"
#include "ops/manifest.h"

namespace npuport::app {
namespace {

namespace op = npuport::testing::op;
using npuport::testing::pickle;
using npuport::testing::TempFolder;
using npuport::testing::zip_bytes;
using ::testing::HasSubstr;

// An archive whose forward picks what it does by the number k.
std::string archive(const TempFolder& folder, const std::string& body) {
  const std::string path = folder.path("m.pt");
  const std::string code =
      "class Net(Module):\n  def forward(self: __torch__.Net,\n    x: Tensor,\n    k: int) -> Tensor:\n" + body;
  EXPECT_TRUE(write_file(path, zip_bytes({{"m/data.pkl", pickle(op::object("__torch__", "Net", op::dict_of({})))},
                                          {"m/constants.pkl", pickle(op::empty_tuple)},
                                          {"m/code/__torch__.py", code},
                                          {"m/version", "3"}}))
                  .ok());
  return path;
}

ModelOptions sampled(const TempFolder& folder, int64_t k) {
  const std::string path = folder.path("s.npz");
  const std::vector<std::pair<std::string, Tensor>> arrays{{"in.0", Tensor::of<float>({2}, {-1.0F, 2.0F})},
                                                           {"in.1", Tensor::of<int64_t>({}, {k})}};
  EXPECT_TRUE(write_npz(path, arrays).ok());
  ModelOptions options;
  options.samples = {path};
  return options;
}

constexpr const char* kBranch =
    "    if torch.gt(k, 1):\n      y = torch.relu(x)\n    else:\n      y = torch.neg(x)\n    return y\n";

TEST(Runnable, NumbersThatDecideTheGraphComeFromTheSample) {
  ops::register_all();
  const TempFolder folder;
  const std::string path = archive(folder, kBranch);
  App app;
  app.quiet = true;
  for (const auto& [k, first] : {std::pair{int64_t{2}, 0.0F}, std::pair{int64_t{1}, 1.0F}}) {
    auto r = Runnable::open(app, path, sampled(folder, k));
    ASSERT_TRUE(r) << to_text(r.error());
    const std::vector<Tensor> in{Tensor::of<float>({2}, {-1.0F, 2.0F}), Tensor::of<int64_t>({}, {k})};
    const auto out = r->run(in, {});
    ASSERT_TRUE(out) << to_text(out.error());
    EXPECT_EQ((*out)[0].as<float>()[0], first);
    ASSERT_EQ(r->model().warnings.size(), 1U);
    EXPECT_THAT(r->model().warnings[0].message, HasSubstr("fixed"));
    // Another number would need another graph.
    const std::vector<Tensor> other{in[0], Tensor::of<int64_t>({}, {k + 5})};
    const auto refused = r->run(other, {});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("was fixed to"));
  }
}

TEST(Runnable, NumbersThatOnlyEnterArithmeticStayInputs) {
  ops::register_all();
  const TempFolder folder;
  const std::string path = archive(folder, "    return torch.mul(x, k)\n");
  App app;
  app.quiet = true;
  auto r = Runnable::open(app, path, sampled(folder, 2));
  ASSERT_TRUE(r) << to_text(r.error());
  EXPECT_TRUE(r->model().warnings.empty());
  const std::vector<Tensor> in{Tensor::of<float>({2}, {-1.0F, 2.0F}), Tensor::of<int64_t>({}, {3})};
  const auto out = r->run(in, {});
  ASSERT_TRUE(out) << to_text(out.error());
  EXPECT_EQ((*out)[0].as<float>()[1], 6.0F);
}

}  // namespace
}  // namespace npuport::app
