#include "app/output_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/diag_codes.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

class OutputFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = (fs::temp_directory_path() / ("npuport_out_" + std::to_string(::getpid()))).string();
  }
  void TearDown() override { fs::remove_all(path_); }
  void write(const std::string& relative, const std::string& text) {
    fs::create_directories(fs::path(path_ + "/" + relative).parent_path());
    std::ofstream(path_ + "/" + relative) << text;
  }
  std::string path_;
};

TEST_F(OutputFolderTest, ReusesOnlyWhatStillHolds) {
  {
    Result<OutputFolder> f = OutputFolder::open(path_);
    ASSERT_TRUE(f);
    write("models/a.tflite", "abc");
    ASSERT_TRUE(f->record("write", 5, "key1", Json{{"x", 1}}, {"models/a.tflite"}));
  }
  Result<OutputFolder> f = OutputFolder::open(path_);
  ASSERT_TRUE(f);
  ASSERT_NE(f->reusable("write", "key1"), nullptr);
  EXPECT_EQ((*f->reusable("write", "key1"))["x"], 1);
  EXPECT_EQ(f->reusable("write", "key2"), nullptr);
  write("models/a.tflite", "abd");
  EXPECT_EQ(f->reusable("write", "key1"), nullptr);
}

TEST_F(OutputFolderTest, DropsLaterArtefactsAndNothingElse) {
  Result<OutputFolder> f = OutputFolder::open(path_);
  ASSERT_TRUE(f);
  write("early", "1");
  write("a/b/late", "2");
  write("user_file", "3");
  ASSERT_TRUE(f->record("import", 1, "k", Json::object(), {"early"}));
  ASSERT_TRUE(f->record("write", 5, "k", Json::object(), {"a/b/late"}));
  ASSERT_TRUE(f->drop_from(3));
  EXPECT_TRUE(fs::exists(path_ + "/early"));
  EXPECT_FALSE(fs::exists(path_ + "/a"));
  EXPECT_TRUE(fs::exists(path_ + "/user_file"));
  EXPECT_NE(f->reusable("import", "k"), nullptr);
  EXPECT_EQ(f->reusable("write", "k"), nullptr);
}

TEST_F(OutputFolderTest, SecondRunIsRefusedWhileTheFirstHoldsTheLock) {
  Result<OutputFolder> first = OutputFolder::open(path_);
  ASSERT_TRUE(first);
  const Result<OutputFolder> second = OutputFolder::open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, &diag::locked);
}

TEST_F(OutputFolderTest, ARunThatLeavesNothingLeavesNoFolder) {
  { ASSERT_TRUE(OutputFolder::open(path_ + "/a/b")); }
  EXPECT_FALSE(fs::exists(path_));
  fs::create_directories(path_);
  { ASSERT_TRUE(OutputFolder::open(path_)); }
  EXPECT_TRUE(fs::is_empty(path_)) << "the folder was there before";
  {
    Result<OutputFolder> f = OutputFolder::open(path_);
    ASSERT_TRUE(f);
    write("early", "1");
    ASSERT_TRUE(f->record("import", 1, "k", Json::object(), {"early"}));
  }
  EXPECT_TRUE(fs::exists(path_ + "/.npuport/state.json"));
  fs::remove(path_ + "/early");
  {
    Result<OutputFolder> f = OutputFolder::open(path_);
    ASSERT_TRUE(f);
    ASSERT_TRUE(f->drop_from(1));
  }
  EXPECT_TRUE(fs::is_empty(path_));
  write("mine", "2");
  { ASSERT_TRUE(OutputFolder::open(path_)); }
  EXPECT_TRUE(fs::exists(path_ + "/mine"));
}

TEST_F(OutputFolderTest, DamagedStateMeansStartingOver) {
  for (const char* text : {"", "{", "[]", "{\"version\":1}", "{\"version\":1,\"steps\":{\"a\":5}}",
                           "{\"version\":1,\"steps\":{\"a\":{\"number\":\"x\"}}}"}) {
    write(".npuport/state.json", text);
    const Result<OutputFolder> f = OutputFolder::open(path_);
    ASSERT_TRUE(f) << text;
    EXPECT_EQ(f->reusable("a", ""), nullptr);
  }
  write(".npuport/state.json", "{\"version\":99}");
  EXPECT_FALSE(OutputFolder::open(path_));
}

TEST_F(OutputFolderTest, StateCannotReachOutsideTheFolder) {
  write("../npuport_victim", "keep me");
  write(".npuport/state.json",
        R"({"version":1,"steps":{"write":{"number":5,"key":"k","result":{},"artefacts":{"../npuport_victim":"00"}}}})");
  Result<OutputFolder> f = OutputFolder::open(path_);
  ASSERT_TRUE(f);
  ASSERT_TRUE(f->drop_from(1));
  EXPECT_TRUE(fs::exists(path_ + "/../npuport_victim"));
  fs::remove(path_ + "/../npuport_victim");
}

}  // namespace
}  // namespace npuport::app
