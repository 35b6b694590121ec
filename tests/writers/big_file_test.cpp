// Models above 2 GB, where offsets no longer fit 32 bits: written and read in every format, with little memory of
// one's own. Their weights come from a sparse file.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "base/mapped_file.h"
#include "exec/executor.h"
#include "frontends/frontend.h"
#include "ir/builder.h"
#include "support/temp_folder.h"
#include "writers/onnx_writer.h"
#include "writers/tflite_writer.h"
#include "writers/torchscript_writer.h"

namespace npuport::testing {
namespace {

constexpr int64_t kRows = 560'000, kColumns = 1024;  // 2.3 GB of float32
constexpr uint64_t kOwnMemory = uint64_t{256} << 20;

// Zeros but for the first and the last row.
std::shared_ptr<const Tensor> table(const std::string& path) {
  const auto bytes = static_cast<off_t>(kRows * kColumns * 4);
  const int file = open(path.c_str(), O_CREAT | O_RDWR, 0600);
  std::vector<float> row(kColumns);
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i) - 100.5F;
  const auto size = static_cast<ssize_t>(row.size() * 4);
  EXPECT_EQ(ftruncate(file, bytes), 0);
  EXPECT_EQ(pwrite(file, row.data(), row.size() * 4, 0), size);
  EXPECT_EQ(pwrite(file, row.data(), row.size() * 4, bytes - size), size);
  close(file);
  const auto mapped = MappedFile::open(path).value();
  auto t = std::make_shared<Tensor>();
  t->dtype = DType::f32;
  t->shape = {kRows, kColumns};
  t->data = mapped->bytes().data();
  t->owner = mapped;
  return t;
}

// No more than kOwnMemory beyond what the process has; mapped files do not count.
class MemoryLimit {
 public:
  MemoryLimit() {
    getrlimit(RLIMIT_DATA, &before_);
    std::ifstream status("/proc/self/status");
    std::string word;
    uint64_t kilobytes = 0;
    while (status >> word)
      if (word == "VmData:") status >> kilobytes;
    rlimit now = before_;
    now.rlim_cur = kilobytes * 1024 + kOwnMemory;
    EXPECT_EQ(setrlimit(RLIMIT_DATA, &now), 0);
  }
  ~MemoryLimit() { setrlimit(RLIMIT_DATA, &before_); }

 private:
  rlimit before_{};
};

Status write(const Graph& g, const std::string& path) {
  if (path.ends_with(".pt")) return write_torchscript(g, path, {.sync = false});
  if (path.ends_with(".tflite")) {
    TfliteOptions options;
    options.sync = false;
    return write_tflite(g, path, options);
  }
  OnnxOptions options;
  options.sync = false;
  const auto w = write_onnx(g, path, options);
  return w ? Status() : Status(w.error());
}

TEST(BigFiles, EveryFormatHoldsMoreThanTwoGigabytes) {
  if (std::getenv("NPUPORT_TEST_ALL") == nullptr) GTEST_SKIP() << "writes 2.3 GB three times: NPUPORT_TEST_ALL";
  const TempFolder folder;
  std::error_code ec;
  if (std::filesystem::space(folder.path(), ec).available < uint64_t{5} << 30) GTEST_SKIP() << "5 GB of disk needed";
  Graph g;
  g.name = "big";
  Builder b(g);
  const ValueId ids = g.add_input("ids", {DType::i64, {3}, nullptr});
  g.set_outputs({b.op("relu", {b.op("embedding", {g.add_constant("table", table(folder.path("table"))), ids})})});
  const std::vector<Tensor> in{Tensor::of<int64_t>({3}, {0, 7, kRows - 1})};
  const std::vector<Tensor> want = execute(g, in).value();
  const MemoryLimit limit;
  for (const char* file : {"big.onnx", "big.tflite", "big.pt"}) {
    const std::string path = folder.path(file);
    const Status written = write(g, path);
    ASSERT_TRUE(written) << file << ": " << to_text(written.error());
    const std::string weights = path.ends_with(".onnx") ? path + ".data" : path;
    EXPECT_GT(std::filesystem::file_size(weights), uint64_t{1} << 31) << file;
    {
      const Result<ImportedModel> back = import_model(path, {});
      ASSERT_TRUE(back) << file << ": " << to_text(back.error());
      const auto got = execute(back->graph, in);
      ASSERT_TRUE(got) << file << ": " << to_text(got.error());
      EXPECT_TRUE(identical((*got)[0], want[0])) << file;
    }
    std::filesystem::remove(path);
    std::filesystem::remove(path + ".data");
  }
}

}  // namespace
}  // namespace npuport::testing
