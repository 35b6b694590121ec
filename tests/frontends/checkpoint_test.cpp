#include "frontends/torch/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/diag_codes.h"
#include "frontends/torch/weights.h"
#include "ir/npy.h"
#include "support/temp_folder.h"
#include "torch_fixture.h"

namespace npuport {
namespace {

using namespace testing;

constexpr const char* state_dict_text = "Checkpoint: state_dict only (template required).";
constexpr const char* module_text = "Checkpoint: full module (no template required).";

std::string property(const FileFacts& f, const std::string& key) {
  for (const auto& [k, v] : f.properties)
    if (k == key) return v;
  return "";
}

std::string weight(const std::string& key, const std::vector<int64_t>& sizes) {
  int64_t n = 1;
  for (const int64_t d : sizes) n *= d;
  return op::tensor("FloatStorage", key, n, 0, sizes, strides_of(sizes));
}

class Checkpoint : public ::testing::Test {
 protected:
  FileFacts inspect(const std::string& data_pkl) {
    const std::string path = folder_.path("c.pt");
    EXPECT_TRUE(write_file(path, zip_bytes({{"c/data.pkl", pickle(data_pkl)}, {"c/version", "3"}})).ok());
    EXPECT_TRUE(accepts_checkpoint(path));
    EXPECT_FALSE(accepts_torchscript(path));
    auto facts = inspect_checkpoint(path);
    EXPECT_TRUE(facts.ok()) << to_text(facts.error());
    return facts ? *facts : FileFacts{};
  }
  TempFolder folder_;
};

const std::string conv = weight("0", {8, 3, 3, 3});
const std::string bare =
    op::dict_of({{"conv.weight", conv}, {"conv.bias", weight("1", {8})}, {"bn.running_mean", weight("2", {8})}});

TEST_F(Checkpoint, BareStateDict) {
  const FileFacts f = inspect(bare);
  EXPECT_EQ(f.format, "checkpoint-state-dict");
  EXPECT_EQ(f.detail, state_dict_text);
  EXPECT_EQ(f.parameters, 8 * 27 + 8);
  EXPECT_EQ(f.parameter_bytes, 4 * (8 * 27 + 8));
  EXPECT_EQ(property(f, "buffer elements"), "8");
  EXPECT_EQ(property(f, "input channels"), "3");
  EXPECT_EQ(property(f, "model under key"), "");
  EXPECT_EQ(property(f, "element types"), "float32 (3)");
}

TEST_F(Checkpoint, NestedStateDicts) {
  for (const char* key : {"model_state_dict", "state_dict", "model", "ema", "params_ema", "anything"}) {
    const FileFacts f = inspect(op::dict_of({{"epoch", op::i(3)}, {key, bare}}));
    EXPECT_EQ(f.detail, state_dict_text) << key;
    EXPECT_EQ(property(f, "model under key"), key);
    EXPECT_EQ(f.parameters, 8 * 27 + 8);
  }
  // Optimiser state holds tensors too, and must not be taken for the model.
  const FileFacts f = inspect(
      op::dict_of({{"optimizer", op::dict_of({{"m", conv}})}, {"ema_model", bare}, {"model_state_dict", bare}}));
  EXPECT_EQ(property(f, "model under key"), "model_state_dict");
  EXPECT_EQ(property(f, "also holds"), "optimizer, ema_model");
  EXPECT_EQ(property(f, "averaged weights"), "ema_model");
}

TEST_F(Checkpoint, KeyPrefix) {
  EXPECT_EQ(property(inspect(op::dict_of({{"module.a.weight", conv}})), "key prefix"), "module.");
  EXPECT_EQ(property(inspect(op::dict_of({{"module.a.weight", conv}, {"b.weight", conv}})), "key prefix"), "");
}

TEST_F(Checkpoint, SharedStorageCountsOnce) {
  const FileFacts f =
      inspect(op::dict_of({{"embed.weight", weight("0", {100, 8})},
                           {"out.weight", weight("0", {100, 8})},
                           {"view.weight", op::tensor("FloatStorage", "0", 800, 0, {8, 100}, {1, 8})}}));
  EXPECT_EQ(f.parameters, 800);
}

TEST_F(Checkpoint, FullModule) {
  const auto module = [](const std::string& cls, const std::string& parameters, const std::string& modules) {
    return op::object("my.net", cls,
                      op::dict_of({{"training", op::no},
                                   {"_parameters", parameters},
                                   {"_buffers", op::dict_of({{"steps", weight("9", {1})}})},
                                   {"_modules", modules}}));
  };
  const std::string leaf = module("Conv", op::dict_of({{"weight", weight("0", {8, 4, 3, 3})}}), op::empty_dict);
  const std::string root = module("Net", op::empty_dict, op::dict_of({{"a", leaf}, {"b", leaf}}));
  for (const std::string& whole : {root, op::dict_of({{"epoch", op::i(1)}, {"model", root}})}) {
    const FileFacts f = inspect(whole);
    EXPECT_EQ(f.format, "checkpoint-full-module");
    EXPECT_EQ(f.detail, module_text);
    EXPECT_EQ(property(f, "class"), "my.net.Net");
    EXPECT_EQ(property(f, "input channels"), "4");
    EXPECT_EQ(f.parameters, 8 * 4 * 9);
    EXPECT_EQ(property(f, "buffer elements"), "1");
    EXPECT_EQ(f.operators, (std::vector<std::pair<std::string, int64_t>>{{"my.net.Conv", 2}, {"my.net.Net", 1}}));
    EXPECT_TRUE(f.warnings.empty());
  }
}

TEST_F(Checkpoint, NamesWhatLoadingWouldCall) {
  const FileFacts f = inspect(op::dict_of({{"w", conv}, {"x", op::call("posix", "system", {op::s("rm")})}}));
  ASSERT_EQ(f.warnings.size(), 1U);
  EXPECT_NE(f.warnings[0].message.find("posix.system"), std::string::npos);
}

TEST_F(Checkpoint, NoModelInside) {
  EXPECT_EQ(inspect(op::dict_of({{"epoch", op::i(3)}})).format, "checkpoint");
  EXPECT_EQ(inspect(op::i(3)).format, "checkpoint");
}

TEST_F(Checkpoint, InputChannelsOfOtherRanks) {
  EXPECT_EQ(property(inspect(op::dict_of({{"conv1.weight", weight("0", {384, 80, 3})}})), "input channels"), "80");
  EXPECT_EQ(
      property(inspect(op::dict_of({{"pos", weight("1", {1, 50, 64})}, {"p.weight", weight("0", {64, 1, 16, 16})}})),
               "input channels"),
      "1");
  EXPECT_EQ(property(inspect(op::dict_of({{"fc.weight", weight("0", {10, 20})}})), "input channels"), "");
}

TEST_F(Checkpoint, ScriptArchives) {
  const std::string path = folder_.path("s.pt");
  const std::string code =
      "class Net(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    y = torch.conv2d(x, self.w)\n"
      "    return torch.relu(torch.relu(y)) + ops.my.op(y) + xtorch.no(y)\n";
  const std::string inputs = op::dict_of({{"forward", op::list_of({weight("0", {1, 3, 8, 8})})}});
  ASSERT_TRUE(
      write_file(path, zip_bytes({{"s/data.pkl", pickle(op::object("__torch__", "Net", op::dict_of({{"w", conv}})))},
                                  {"s/constants.pkl", pickle(op::empty_tuple)},
                                  {"s/code/__torch__.py", code},
                                  {"s/traced_inputs.pkl", pickle(inputs)},
                                  {"s/version", "3"}}))
          .ok());
  EXPECT_TRUE(accepts_torchscript(path));
  const auto f = inspect_torchscript(path);
  ASSERT_TRUE(f.ok()) << to_text(f.error());
  EXPECT_EQ(f->format, "torchscript");
  EXPECT_EQ(f->parameters, 216);
  ASSERT_EQ(f->inputs.size(), 1U);
  EXPECT_EQ(f->inputs[0].type.shape, (Shape{1, 3, 8, 8}));
  EXPECT_EQ(f->operators,
            (std::vector<std::pair<std::string, int64_t>>{{"aten::conv2d", 1}, {"aten::relu", 2}, {"my::op", 1}}));
}

TEST(CheckpointData, AgreesWithPyTorch) {
  const TempFolder folder;
  const auto made = run_torch(folder.path(), R"(
import torch
m = torch.nn.Sequential(torch.nn.Conv2d(5, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(4, 4))
print(sum(p.numel() for p in m.parameters()), sum(b.numel() for b in m.buffers()))
torch.save(m, 'full.pt')
torch.save(m, 'full_old.pt', _use_new_zipfile_serialization=False)
torch.save(m.state_dict(), 'bare.pt')
torch.save({'model_state_dict': torch.nn.DataParallel(m).state_dict(),
            'optimizer': torch.optim.Adam(m.parameters()).state_dict()}, 'nested.pt')
)");
  if (!made) GTEST_SKIP() << "no Python with PyTorch (NPUPORT_TEST_TORCH_PYTHON)";
  ASSERT_TRUE(made->ok()) << made->err;
  const std::string counts = made->out.substr(0, made->out.find('\n'));
  for (const char* name : {"full.pt", "full_old.pt", "bare.pt", "nested.pt"}) {
    const auto f = inspect_checkpoint(folder.path(name));
    ASSERT_TRUE(f.ok()) << to_text(f.error());
    EXPECT_EQ(f->detail, std::string(name).starts_with("full") ? module_text : state_dict_text) << name;
    EXPECT_EQ(std::to_string(f->parameters) + " " + property(*f, "buffer elements"), counts) << name;
    EXPECT_EQ(property(*f, "input channels"), "5");
    EXPECT_TRUE(f->warnings.empty());
  }
  EXPECT_EQ(property(*inspect_checkpoint(folder.path("nested.pt")), "key prefix"), "module.");
}

TEST(FrontendTable, ChoosesByContents) {
  const TempFolder folder;
  const auto format = [&](const std::string& bytes) -> std::string {
    EXPECT_TRUE(write_file(folder.path("f"), bytes).ok());
    const auto row = frontend_for(folder.path("f"));
    return row ? std::string((*row)->format) : std::string(row.error().code->slug);
  };
  EXPECT_EQ(format(zip_bytes({{"c/data.pkl", pickle(bare)}})), "checkpoint");
  EXPECT_EQ(format(zip_bytes({{"x.npy", ""}})), "npz");
  EXPECT_EQ(format(zip_bytes({{"c/data.pkl", pickle(bare)}, {"c/code/__torch__.py", ""}})), "torchscript");
  EXPECT_EQ(format(*npy_header(Tensor::zeros(DType::f32, {})) + "1234"), "npy");
  EXPECT_EQ(format("graph \"g\" {\n  input %x: f32[2]\n  output %x\n}\n"), "ir-text");
  EXPECT_EQ(format("hello"), "unknown-format");
  EXPECT_EQ(format(""), "unknown-format");
  EXPECT_EQ(format(zip_bytes({{"a", ""}})), "unknown-format");
  EXPECT_EQ(format(zip_bytes({{"c/data.pkl", pickle(bare)}}).substr(0, 100)), "truncated-file");
  EXPECT_EQ(frontend_for(folder.path("none")).error().code, &diag::file_not_found);
  EXPECT_EQ(frontend_for(folder.path()).error().code, &diag::unknown_format);
  EXPECT_EQ(format(zip_bytes({{"c/data.pkl", pickle(bare)}})), "checkpoint");
  EXPECT_EQ(import_model(folder.path("f"), {}).error().code, &diag::unknown_format);
}

TEST(FrontendTable, ArraysAreInspected) {
  const TempFolder folder;
  ASSERT_TRUE(write_npz(folder.path("a.npz"), NamedTensors{{"in.0", Tensor::zeros(DType::f32, {1, 3})},
                                                           {"out.0", Tensor::zeros(DType::i64, {2})}})
                  .ok());
  const auto row = frontend_for(folder.path("a.npz"));
  ASSERT_TRUE(row.ok());
  const auto f = (*row)->inspect(folder.path("a.npz"));
  ASSERT_TRUE(f.ok());
  ASSERT_EQ(f->inputs.size(), 2U);
  EXPECT_EQ(f->inputs[1].name, "out.0");
  EXPECT_EQ(f->inputs[1].type.dtype, DType::i64);
}

}  // namespace
}  // namespace npuport
