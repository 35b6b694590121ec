// `upscale` from outside: the ported demo enlarges pictures as PyTorch does, whatever their size and kind.
#include <algorithm>
#include <cstdlib>

#include "app/cli_support.h"
#include "pipelines/picture/quality.h"
#include "support/paths.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;

class CliUpscale : public ::testing::Test {
 protected:
  // Ported once for all tests.
  static std::string port() {
    static TempFolder folder;
    static const Ran r = npuport_run({"port", demo("edsr-nano") + "/port.toml", "-o", folder.path("o"), "--quiet"});
    EXPECT_EQ(r.code, 0) << r.err;
    return folder.path("o");
  }
  static std::string lowres(const std::string& name) { return demo("edsr-nano") + "/pictures/" + name + ".png"; }
  Ran upscale(const std::string& picture, const std::vector<std::string>& more = {}) {
    std::vector<std::string> line{"--json", "upscale", picture, "--model", port(), "-o", out_.path("large.png")};
    line.insert(line.end(), more.begin(), more.end());
    return npuport_run(line);
  }
  std::string saved(const Picture& p, const std::string& name) {
    EXPECT_TRUE(write_picture(p, out_.path(name)).ok());
    return out_.path(name);
  }
  TempFolder out_;
};

int largest_difference(const Picture& a, const Picture& b) {
  int worst = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  return worst;
}

TEST_F(CliUpscale, EqualsPyTorchOnTheWholePictureWithoutSeams) {
  for (const std::string name : {"chelsea", "coffee"}) {
    const Ran r = upscale(lowres(name), {"--reference", lowres(name + "_pytorch"), "--gate"});
    ASSERT_EQ(r.code, 0) << r.err << r.out;
    const Json j = document(r)[0];
    EXPECT_GT(j["tiles"].get<int>(), 3);
    EXPECT_EQ(j["seamless"], true);
    EXPECT_EQ(j["reference"]["gate"], "PASS");
    // Rounding to 8 bits is all that is left.
    EXPECT_LE(largest_difference(*read_picture(out_.path("large.png")), *read_picture(lowres(name + "_pytorch"))), 1);
  }
}

TEST_F(CliUpscale, TooLittleOverlapShowsAndIsSaid) {
  const Ran r = upscale(lowres("coffee"), {"--overlap", "0", "--reference", lowres("coffee_pytorch")});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(document(r)[0]["seamless"], false);
  EXPECT_NE(r.err.find("seams are possible"), std::string::npos);
  EXPECT_GT(largest_difference(*read_picture(out_.path("large.png")), *read_picture(lowres("coffee_pytorch"))), 2);
  EXPECT_EQ(upscale(lowres("coffee"), {"--overlap", "48"}).code, 2) << "half the tile";
}

TEST_F(CliUpscale, TheGateFailsOnAnotherPicture) {
  const Picture wanted = *read_picture(lowres("chelsea_pytorch"));
  Picture wrong = wanted;
  std::reverse(wrong.pixels.begin(), wrong.pixels.end());
  const Ran r = upscale(lowres("chelsea"), {"--reference", saved(wrong, "wrong.png"), "--gate"});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(document(r)[0]["reference"]["gate"], "FAIL");
  const Ran other = upscale(lowres("chelsea"), {"--reference", lowres("coffee_pytorch"), "--gate"});
  EXPECT_EQ(other.code, 2) << "sizes differ";
}

TEST_F(CliUpscale, PicturesOfEverySizeAndKind) {
  const Picture cat = *read_picture(lowres("chelsea"));
  const auto cut = [&](int width, int height) {
    Picture p{width, height, 3, {}, {}, {}};
    for (int y = 0; y < height; ++y)
      for (int i = 0; i < 3 * width; ++i)
        p.pixels.push_back(cat.pixels[static_cast<size_t>((20 + y) * cat.width * 3 + 60 + i)]);
    return p;
  };
  for (const auto& [w, h] : {std::pair{1, 1}, {7, 5}, {128, 96}, {129, 97}, {200, 20}}) {
    const Ran r = upscale(saved(cut(w, h), "in.png"));
    ASSERT_EQ(r.code, 0) << w << "x" << h << r.err;
    const Picture p = *read_picture(out_.path("large.png"));
    EXPECT_EQ(p.width, 2 * w);
    EXPECT_EQ(p.height, 2 * h);
  }
  Picture alpha = cut(40, 30);
  alpha.alpha.assign(alpha.count(), 128);
  ASSERT_EQ(upscale(saved(alpha, "alpha.png")).code, 0);
  EXPECT_EQ(read_picture(out_.path("large.png"))->alpha, std::vector<uint8_t>(80 * 60, 128));
  Picture gray = cut(40, 30);
  gray.channels = 1;
  gray.pixels.resize(gray.count());
  ASSERT_EQ(upscale(saved(gray, "gray.jpg")).code, 0);
  EXPECT_EQ(read_picture(out_.path("large.png"))->channels, 3);
}

TEST_F(CliUpscale, SameInputSameBytes) {
  ASSERT_EQ(upscale(lowres("chelsea")).code, 0);
  const std::string first = contents(out_.path("large.png"));
  ASSERT_EQ(upscale(lowres("chelsea"), {"--threads", "1"}).code, 0);
  EXPECT_EQ(contents(out_.path("large.png")), first);
}

TEST_F(CliUpscale, BadInputIsRefusedAndNothingIsWritten) {
  put(out_.path("empty.png"), "");
  put(out_.path("text.png"), "hello");
  put(out_.path("cut.png"), contents(lowres("chelsea")).substr(0, 5000));
  for (const char* name : {"empty.png", "text.png", "cut.png", "none.png"}) {
    const Ran r = upscale(out_.path(name));
    EXPECT_EQ(r.code, 2) << name << r.err;
    EXPECT_NE(r.out.find(name), std::string::npos) << "the message names the file: " << r.out;
    EXPECT_FALSE(fs::exists(out_.path("large.png"))) << name;
  }
  const std::string in = saved(*read_picture(lowres("chelsea")), "in.png");
  EXPECT_EQ(npuport_run({"upscale", in, "--model", port(), "-o", in}).code, 2) << "the input would be overwritten";
  EXPECT_EQ(npuport_run({"upscale", in, lowres("coffee"), "--model", port(), "-o", out_.path("one.png")}).code, 2);
  EXPECT_EQ(npuport_run({"upscale", in, "--model", out_.path("nowhere")}).code, 2);
  EXPECT_EQ(npuport_run({"upscale", in, "--model", port(), "--backend", "no_such"}).code, 2);
  EXPECT_EQ(contents(in), contents(saved(*read_picture(lowres("chelsea")), "again.png")));
}

TEST_F(CliUpscale, WhatCannotBeDoneIsSaidBeforeWork) {
  const std::string in = lowres("chelsea");
  EXPECT_EQ(npuport_run({"upscale", in, "--model", port(), "-o", out_.path("x.tiff")}).code, 2);
  EXPECT_FALSE(fs::exists(out_.path("x.tiff"))) << "no folder of that name either";
  EXPECT_EQ(npuport_run({"upscale", in, "--model", port(), "-o", out_.path("x.png"), "--gate"}).code, 2)
      << "a gate without a reference would pass whatever comes";
  EXPECT_EQ(npuport_run({"upscale", in, "--model", port(), "-o", out_.path("LARGE.PNG")}).code, 0);
  EXPECT_TRUE(fs::is_regular_file(out_.path("LARGE.PNG")));
}

TEST_F(CliUpscale, OneBadPictureDoesNotStopTheOthers) {
  put(out_.path("text.png"), "hello");
  const Ran r = npuport_run({"--json", "--quiet", "upscale", out_.path("text.png"), lowres("chelsea"), "--model",
                             port(), "-o", out_.path("all")});
  EXPECT_EQ(r.code, 2);
  EXPECT_NE(r.err.find("text.png"), std::string::npos) << "said even with --quiet: " << r.err;
  EXPECT_TRUE(document(r)[0].contains("error"));
  EXPECT_EQ(document(r)[1]["width"], 450);
  EXPECT_TRUE(fs::exists(out_.path("all/chelsea_x2.png")));
}

TEST_F(CliUpscale, ChangedFilesAndOtherModelsAreRefused) {
  const std::string copy = out_.path("copy");
  fs::copy(port(), copy, fs::copy_options::recursive);
  std::string model;
  for (const auto& e : fs::directory_iterator(copy + "/models"))
    if (e.path().extension() == ".tflite") model = e.path().string();
  std::string bytes = contents(model);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  put(model, bytes);
  const Ran changed = npuport_run({"upscale", lowres("chelsea"), "--model", copy, "-o", out_.path("x.png")});
  EXPECT_EQ(changed.code, 2) << changed.err;
  EXPECT_FALSE(fs::exists(out_.path("x.png")));
}

TEST_F(CliUpscale, BenchmarkFigures) {
  const Ran r = upscale(lowres("chelsea"), {"--benchmark", "3"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json b = document(r)[0]["benchmark"];
  EXPECT_EQ(b["picture_ms"]["count"], 3);
  EXPECT_EQ(b["tile_ms"]["count"], 3 * document(r)[0]["tiles"].get<int>());
  EXPECT_LE(b["tile_ms"]["p50"].get<double>(), b["tile_ms"]["p99"].get<double>());
  EXPECT_GT(b["peak_memory_bytes"].get<int64_t>(), 1000000);
}

// The program of docs/device.md.
TEST_F(CliUpscale, TheDeviceExampleRunsAPart) {
  ProcessOptions options;
  options.timeout = std::chrono::seconds(60);
  options.argv = {binary_dir() + "/device_example", port(), "edsr", "host"};
  const Result<ProcessResult> r = run_process(options);
  ASSERT_TRUE(r.ok() && r->ok()) << (r ? r->err : to_text(r.error()));
  EXPECT_EQ(r->out.rfind("edsr on host: 147456 values, first ", 0), 0u) << r->out;
  // A flat picture of 100 stays near 100: the network got what the program filled in.
  EXPECT_NEAR(std::atof(r->out.substr(35).c_str()), 100, 10) << r->out;
  options.argv.back() = "neuron";
  const Result<ProcessResult> none = run_process(options);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->exit_code, 1);
  EXPECT_NE(none->err.find("NPUPORT_"), std::string::npos) << none->err;
}

}  // namespace
}  // namespace npuport::testing
