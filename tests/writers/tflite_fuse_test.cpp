#include "writers/tflite_fuse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "exec/executor.h"
#include "frontends/tflite.h"
#include "ir/text.h"
#include "writers/tflite_writer.h"

namespace npuport {
namespace {

using ::testing::ElementsAre;
namespace fs = std::filesystem;

// Writes the graph; returns the operators of the file, and checks that it computes what the graph computes.
std::vector<std::string> written(std::string_view body) {
  const Result<Graph> g =
      parse_graph("graph \"t\" {\n input %x: f32[2,3]\n input %z: f32[2,3]\n" + std::string(body) + "\n}");
  EXPECT_TRUE(g) << to_text(g.error());
  const std::string path =
      (fs::temp_directory_path() / ("npuport_fuse_" + std::to_string(::getpid()) + ".tflite")).string();
  EXPECT_TRUE(write_tflite(*g, path));
  const Result<ImportedModel> back = import_tflite(path, {});
  EXPECT_TRUE(back) << to_text(back.error());
  const Tensor in[] = {Tensor::of<float>({2, 3}, {-9, -1, 0, 1, 5, 9}),
                       Tensor::of<float>({2, 3}, {1, 2, -3, 0.5F, 4, -2})};
  const auto a = execute(*g, in), b = execute(back->graph, in);
  EXPECT_TRUE(a && b);
  for (size_t i = 0; i < a->size(); ++i) EXPECT_TRUE(identical((*a)[i], (*b)[i]));
  std::vector<std::string> ops;
  const Result<FileFacts> facts = inspect_tflite(path);
  for (const auto& [op, count] : facts->operators) ops.push_back(op + " " + std::to_string(count));
  fs::remove(path);
  return ops;
}

TEST(TfliteFuseTest, ActivationsJoinTheArithmeticBefore) {
  EXPECT_THAT(written("%s = add(%x, %z)\n %y = relu(%s)\n output %y"), ElementsAre("ADD 1"));
  EXPECT_THAT(written("%s = mul(%x, %z)\n %y = clamp(%s) min=0.0 max=6.0\n output %y"), ElementsAre("MUL 1"));
  EXPECT_THAT(written("%s = sub(%x, %z)\n %y = clamp(%s) min=-1.0 max=1.0\n output %y"), ElementsAre("SUB 1"));
}

TEST(TfliteFuseTest, ValuesThatOthersReadStay) {
  EXPECT_THAT(written("%s = add(%x, %z)\n %y = relu(%s)\n output %y, %s"), ElementsAre("ADD 1", "RELU 1"));
  EXPECT_THAT(written("%s = add(%x, %z)\n %y = relu(%s)\n %w = mul(%s, %y)\n output %w"),
              ElementsAre("ADD 1", "MUL 1", "RELU 1"));
  EXPECT_THAT(written("%s = maximum(%x, %z)\n %y = relu(%s)\n output %y"), ElementsAre("MAXIMUM 1", "RELU 1"));
  // Only the first of two activations fits.
  EXPECT_THAT(written("%s = add(%x, %z)\n %r = relu(%s)\n %y = clamp(%r) min=0.0 max=6.0\n output %y"),
              ElementsAre("ADD 1", "RELU6 1"));
}

}  // namespace
}  // namespace npuport
