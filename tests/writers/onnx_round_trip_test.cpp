// A graph that ONNX files have made comes back from the next as the same text: names, attributes, types and constants
// survive. Over every fixture, at three opsets. (The first file adds constants of its own, the second stores equal ones
// once; from then on nothing changes.)
#include <gtest/gtest.h>

#include <filesystem>

#include "frontends/frontend.h"
#include "frontends/torchscript_suite.h"
#include "ir/text.h"
#include "support/paths.h"
#include "support/temp_folder.h"
#include "writers/onnx_writer.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;

// Archives with samples beside them, in order.
std::vector<std::string> fixtures() {
  std::vector<std::string> out;
  for (const char* folder : {"torchscript", "pt2"})
    for (const auto& entry : fs::directory_iterator(source_dir() + "/tests/fixtures/" + folder)) {
      const std::string ending = entry.path().extension().string();
      if (ending == ".pt" || ending == ".pt2") out.push_back(entry.path().string());
    }
  std::sort(out.begin(), out.end());
  return out;
}

Result<ImportedModel> imported(const std::string& path) {
  fs::path samples = path;
  samples.replace_extension(".npz");
  const auto npz = NpzReader::open(samples.string());
  if (!npz) return import_model(path, {});
  NPU_ASSIGN(const std::vector<Tensor> in, test::numbered(*npz, "in."));
  return path.ends_with(".pt") ? test::import_with_sample(path, in) : import_model(path, test::options_for(in));
}

TEST(OnnxRoundTrip, TextStaysTheSame) {
  const TempFolder folder;
  size_t graphs = 0;
  for (const std::string& path : fixtures()) {
    const Result<ImportedModel> model = imported(path);
    if (!model || !model->opaque.empty()) continue;  // the readers' tests say which these are
    for (const int opset : {17, 13, 11}) {
      OnnxOptions options;
      options.opset = opset;
      options.sync = false;
      std::string text[3];
      Graph g = model->graph;
      bool written = true;
      for (std::string& t : text) {
        const std::string file = folder.path("m.onnx");
        written = write_onnx(g, file, options).ok();
        if (!written) break;
        Result<ImportedModel> back = import_model(file, {});
        ASSERT_TRUE(back) << path << ": " << to_text(back.error());
        g = std::move(back->graph);
        t = print(g);
      }
      if (!written) continue;
      ++graphs;
      EXPECT_EQ(text[2], text[1]) << path << " at opset " << opset;
    }
  }
  EXPECT_GT(graphs, 40u);
}

}  // namespace
}  // namespace npuport::testing
