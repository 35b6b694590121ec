#include "app/project.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/diag_codes.h"

namespace npuport::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class ProjectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("npuport_project_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  Result<Project> read(const std::string& text) {
    std::ofstream(folder_ / "port.toml") << text;
    return read_project((folder_ / "port.toml").string());
  }
  std::string message(const std::string& text) {
    const Result<Project> p = read(text);
    return p ? "accepted" : p.error().message;
  }
  fs::path folder_;
};

constexpr const char* kGood = R"(version = 1
name = "w"
target = "mt8371"
[[part]]
name = "encoder"
model = "enc.pt"
shape_tag = "80x3000"
inputs = [{name="mel", shape=[1,80,3000], dtype="float32"}]
samples = ["s/*.npz"]
gate = {kind="general"}
[[part]]
name = "decoder"
model = "/abs/dec.pt"
inputs = [{name="tokens", shape=[1,4], dtype="int64", range=[0,9]}, {name="audio", shape=[1,2]}]
[[link]]
from = "encoder.out.0"
to = "decoder.audio"
[task]
kind = "asr"
samples = ["clips/*.npz"]
decode = "rules.json"
gate = {kind="text"}
)";

TEST_F(ProjectTest, ReadsPartsLinksAndTask) {
  const Result<Project> p = read(kGood);
  ASSERT_TRUE(p) << to_text(p.error());
  ASSERT_EQ(p->parts.size(), 2U);
  EXPECT_EQ(p->parts[0].model, (folder_ / "enc.pt").string());
  EXPECT_EQ(p->parts[1].model, "/abs/dec.pt");
  EXPECT_EQ(p->parts[1].ranges.at("tokens").high, 9);
  EXPECT_TRUE(p->parts[1].ranges.at("tokens").integers);
  EXPECT_EQ(p->parts[1].inputs[1].type.dtype, DType::f32);
  EXPECT_EQ(p->links[0].to_input, "audio");
  EXPECT_EQ(p->task.decode, (folder_ / "rules.json").string());
  EXPECT_EQ(p->task.gate.kind, GateKind::text);
}

TEST_F(ProjectTest, WritingAndReadingGivesTheSameProject) {
  const Result<Project> p = read(kGood);
  ASSERT_TRUE(p);
  const std::string text = to_toml(*p, folder_.string());
  const Result<Project> again = read(text);
  ASSERT_TRUE(again) << to_text(again.error()) << text;
  EXPECT_EQ(to_toml(*again, folder_.string()), text);
  EXPECT_EQ(again->parts[0].model, p->parts[0].model);
}

TEST_F(ProjectTest, MistakesNameTheLine) {
  EXPECT_THAT(message("version = 1\nname = \"w\"\ntargte = \"x\"\n[[part]]\nname=\"a\"\nmodel=\"b\"\n"),
              HasSubstr("line 3: unknown key 'targte'"));
  EXPECT_THAT(message("version = 1\nname = \"w\"\n"), HasSubstr("no [[part]]"));
  EXPECT_THAT(message("version = 7\nname = \"w\"\n"), HasSubstr("newer"));
  const std::string part = "version = 1\nname = \"w\"\n[[part]]\nname = \"a\"\nmodel = \"m.pt\"\n";
  EXPECT_THAT(message(part + "gate = {kind = \"ssim\"}\n"), HasSubstr("gate kind"));
  EXPECT_THAT(message(part + "inputs = [{name = \"x\", shape = [1, -1]}]\n"), HasSubstr("negative"));
  EXPECT_THAT(message(part + "inputs = [{name = \"x\", shape = [1], range = [3, 1]}]\n"), HasSubstr("range"));
  EXPECT_THAT(message(part + "[[link]]\nfrom = \"a.out.0\"\nto = \"b.x\"\n"), HasSubstr("no part 'b'"));
  EXPECT_THAT(message(part + "[[link]]\nfrom = \"a.out\"\nto = \"a.x\"\n"), HasSubstr("PART.out.N"));
  EXPECT_THAT(message(part + "[[part]]\nname = \"a\"\nmodel = \"n.pt\"\n"), HasSubstr("two parts named 'a'"));
  EXPECT_THAT(message(part + "[[part]]\nname = \"../a\"\nmodel = \"n.pt\"\n"), HasSubstr("A-Z a-z"));
  const Result<Project> none = read_project((folder_ / "nope.toml").string());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, &diag::file_not_found);
}

TEST(ProjectArguments, SeveralModelsNeedNames) {
  PortArgs args;
  args.models = {"a.pt", "b.pt"};
  EXPECT_FALSE(project_from_arguments(args));
  args.models = {"encoder=a.pt", "decoder=b.pt"};
  args.samples = {"decoder=d/"};
  const Result<Project> p = project_from_arguments(args);
  ASSERT_TRUE(p);
  EXPECT_TRUE(p->parts[0].samples.empty());
  EXPECT_THAT(p->parts[1].samples, ElementsAre("d/"));
  args.samples = {"head=d/"};
  EXPECT_FALSE(project_from_arguments(args));
}

}  // namespace
}  // namespace npuport::app
