// ONNX from outside: the opset that is written and why, what each format becomes, shapes given by samples.
#include <gmock/gmock.h>

#include "app/cli_support.h"
#include "frontends/onnx_build.h"
#include "ir/npy.h"
#include "ir/text.h"
#include "writers/onnx_writer.h"

namespace npuport::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;

class CliOnnx : public ::testing::Test {
 protected:
  // IR text → an .onnx file in the folder.
  std::string model(const std::string& text, const std::string& name = "m.onnx") {
    const Result<Graph> g = parse_graph(text);
    EXPECT_TRUE(g) << to_text(g.error());
    OnnxOptions options;
    options.sync = false;
    const auto written = write_onnx(*g, out_.path(name), options);
    EXPECT_TRUE(written) << to_text(written.error());
    return out_.path(name);
  }
  std::string target(const std::string& text) {
    put(out_.path("t.toml"), "version = 1\nname = \"mine\"\nvendor = \"me\"\nformat = \"onnx\"\n" + text);
    return out_.path("t.toml");
  }
  Json convert(const std::string& model, const std::vector<std::string>& more, int code = 0) {
    std::vector<std::string> line{"convert", model, "-o", out_.path("o.onnx"), "--json"};
    line.insert(line.end(), more.begin(), more.end());
    last_ = npuport_run(line);
    EXPECT_EQ(last_.code, code) << last_.err;
    return code == 0 ? document(last_) : Json();
  }
  using Counts = std::map<std::string, int64_t>;
  static Json facts(const std::string& file) { return document(npuport_run({"inspect", file, "--json"})); }
  static Counts operators(const std::string& file) { return facts(file)["operators"].get<Counts>(); }
  static std::string opset_of(const std::string& file) { return facts(file)["properties"]["opset"]; }
  static std::string written_model(const std::string& folder) {
    for (const auto& [file, hash] : tree(folder + "/models"))
      if (file.ends_with(".onnx")) return folder + "/models/" + file;
    return "";
  }
  struct Sample {
    std::string file;
  };
  // A made-up input of a file and what `run` says it gives, as a sample with a baseline.
  Sample sample(const std::string& model, const Shape& shape) {
    Tensor x = Tensor::zeros(DType::f32, shape);
    for (int64_t i = 0; i < x.count(); ++i)
      x.mut<float>()[static_cast<size_t>(i)] = static_cast<float>((i * 37) % 19) / 4.0F - 2.0F;
    const std::pair<std::string, Tensor> in{"in.0", x};
    const std::string given = out_.path("given.npz"), both = out_.path("sample.npz");
    EXPECT_TRUE(write_npz(given, {&in, 1}));
    const Ran r = npuport_run({"run", model, "--samples", given, "-o", out_.path("ran.npz")});
    EXPECT_EQ(r.code, 0) << r.err;
    const Result<NpzReader> ran = NpzReader::open(out_.path("ran.npz"));
    EXPECT_TRUE(ran) << to_text(ran.error());
    const std::pair<std::string, Tensor> arrays[] = {in, {"out.0", ran->read("out.0").value()}};
    EXPECT_TRUE(write_npz(both, arrays));
    return {both};
  }
  void expect_same(const std::string& before, const std::string& after, const Shape& shape) {
    const Ran r = npuport_run({"verify", after, "--samples", sample(before, shape).file});
    EXPECT_EQ(r.code, 0) << after << r.out << r.err;
  }
  TempFolder out_;
  Ran last_;
};

const char* kSwish = "graph \"m\" {\n input %x: f32[2,6]\n %a = hard_swish(%x)\n output %a\n}";
const char* kNorm =
    "graph \"m\" {\n input %x: f32[2,4]\n const %g: f32[4] = [1.0, 0.5, -1.0, 2.0]\n"
    " const %b: f32[4] = [0.0, 1.0, 0.0, 1.0]\n %a = layer_norm(%x, %g, %b) normalized_rank=1\n output %a\n}";

// HardSwish begins with opset 14; below it is a HardSigmoid and a Mul, which this list has.
TEST_F(CliOnnx, AnOperatorTheTargetLacksIsWrittenAtTheNewestOpsetThatDoesWithout) {
  const std::string m = model(kSwish);
  const std::string t = target(
      "unlisted = \"refuse\"\n[[operators]]\nsource = \"a list from before opset 14\"\nconfidence = \"documented\"\n"
      "supported = [\"HardSigmoid\", \"Mul\"]\n");
  const Json j = convert(m, {"--target", t});
  EXPECT_EQ(j["opset"], 13);
  ASSERT_EQ(j["opset_tries"].size(), 4u) << j;
  EXPECT_THAT(j["opset_tries"][0].get<std::string>(), HasSubstr("opset 17: no list of mine mentions"));
  EXPECT_THAT(j["opset_tries"][3].get<std::string>(), HasSubstr("opset 14"));
  for (const char* line :
       {"ONNX opset 17", "ONNX opset 16", "ONNX opset 15", "ONNX opset 14", "ONNX opset 13 is written"})
    EXPECT_THAT(last_.err, HasSubstr(line));
  EXPECT_EQ(operators(out_.path("o.onnx")), (Counts{{"HardSigmoid", 1}, {"Mul", 1}}));
  EXPECT_EQ(opset_of(out_.path("o.onnx")), "13");
  expect_same(m, out_.path("o.onnx"), {2, 6});
  // From a lower start there is less to try; where nothing fits, the refusal is that of the first.
  EXPECT_EQ(convert(m, {"--target", t, "--opset", "14"})["opset_tries"].size(), 1u);
  convert(m, {"--target", target("unlisted = \"refuse\"\n")}, 1);
  EXPECT_THAT(last_.err, HasSubstr("no list of mine mentions"));
  EXPECT_THAT(last_.err, Not(HasSubstr("is written")));
}

TEST_F(CliOnnx, AnOperatorOfSomeOpsetsOnlyIsTakenThereAlone) {
  const std::string m = model(kNorm);
  EXPECT_THAT(operators((convert(m, {"--target", "ascend310b1"}), out_.path("o.onnx"))),
              Not(Contains(Key("LayerNormalization"))));
  EXPECT_EQ(opset_of(out_.path("o.onnx")), "15");
  const Json j = convert(m, {"--target", "ascend310b1", "--opset", "17"});
  EXPECT_EQ(j["opset"], 17);
  EXPECT_FALSE(j.contains("opset_tries"));
  EXPECT_EQ(operators(out_.path("o.onnx")), (Counts{{"LayerNormalization", 1}}));
  expect_same(m, out_.path("o.onnx"), {2, 4});
}

TEST_F(CliOnnx, TheOpsetIsTheUsersToChoose) {
  const std::string m = model(kNorm);
  for (const char* opset : {"11", "13", "16"}) {
    EXPECT_EQ(convert(m, {"--opset", opset})["opset"], std::stoi(opset));
    EXPECT_EQ(opset_of(out_.path("o.onnx")), opset);
    EXPECT_THAT(operators(out_.path("o.onnx")), Not(Contains(Key("LayerNormalization"))));
    expect_same(m, out_.path("o.onnx"), {2, 4});
  }
  for (const char* opset : {"10", "18"}) convert(m, {"--opset", opset}, 2);
  EXPECT_EQ(npuport_run({"convert", m, "-o", out_.path("o.tflite"), "--opset", "13"}).code, 2);
  EXPECT_EQ(npuport_run({"port", m, "-o", out_.path("p"), "--target", "mt8371", "--opset", "13"}).code, 2);
}

TEST_F(CliOnnx, PortRecordsTheOpsetInMetadataAndReport) {
  const std::string m = model(kSwish);
  const std::string t = target(
      "unlisted = \"refuse\"\n[[operators]]\nsource = \"a list from before opset 14\"\nconfidence = \"documented\"\n"
      "supported = [\"HardSigmoid\", \"Mul\"]\n");
  const Ran r = npuport_run({"port", m, "--target", t, "-o", out_.path("p"), "--name", "n", "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("ONNX opset 13 is written"));
  const Json metadata = Json::parse(contents(out_.path("p") + "/models/n_metadata.json"));
  EXPECT_EQ(metadata["parts"][0]["opset"], 13);
  const Json report = document(r);
  EXPECT_EQ(report["header"]["parts"][0]["opset"], 13);
  Json tries;
  for (const Json& s : report["steps"])
    if (s["id"] == "write") tries = s["details"].begin().value()["opset_tries"];
  EXPECT_EQ(tries.size(), 4u);
  EXPECT_THAT(contents(out_.path("p") + "/report.html"), HasSubstr("ONNX opset 13"));
  EXPECT_EQ(npuport_run({"port", m, "--target", "ascend310b1", "-o", out_.path("q"), "--opset", "16"}).code, 0);
  EXPECT_EQ(opset_of(written_model(out_.path("q"))), "16");
}

// A refusal of the compiler, of which the target's rules know nothing, leads to lower opsets before any diagnosis.
TEST_F(CliOnnx, PortTriesLowerOpsetsWhenTheCompilerRefuses) {
  const std::string m = model(kNorm);
  const auto compiler = [&](const std::string& operators) {
    put(out_.path("table.txt"), operators);
    return target("unlisted = \"ok\"\n[compiler]\ndriver = \"generic\"\ncommand = \"'" + standin_op_table() +
                  "' --table '" + out_.path("table.txt") +
                  "' {input} {output}\"\n[[compiler.log]]\nkind = \"refused\"\n"
                  "pattern = 'unsupported nodes: (\\w+)'\nfields = [\"op\"]\n");
  };
  const auto port = [&](const std::string& t, const std::string& folder) {
    return npuport_run({"port", m, "--target", t, "-o", out_.path(folder), "--name", "n", "--json", "--tool",
                        standin_op_table() + "=" + standin_op_table()});
  };
  const std::string t = compiler("ReduceMean\nSub\nMul\nPow\nAdd\nSqrt\nDiv\n");
  const Ran r = port(t, "p");
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("ONNX opset 17: " + standin_op_table() + " refused"));
  EXPECT_EQ(opset_of(written_model(out_.path("p"))), "16");
  const Json part = Json::parse(contents(out_.path("p") + "/models/n_metadata.json"))["parts"][0];
  EXPECT_EQ(part["opset"], 16);
  EXPECT_EQ(part["opset_tries"].size(), 1u);
  const Json steps = document(r)["steps"];
  ASSERT_EQ(steps.size(), 8u);
  for (const Json& step : steps)
    if (step["id"] == "compile") {
      EXPECT_EQ(step["verdict"], "PASS");
      EXPECT_THAT(step["details"]["parts"].dump(), Not(HasSubstr(".npuport/opset"))) << "the command of the trial";
    }
  EXPECT_FALSE(contents(out_.path("p") + "/models/" + part["artefacts"][0]["file"].get<std::string>()).empty());
  const Ran again = port(t, "p");
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, Not(HasSubstr("opset"))) << "found once";
  // No opset helps: each was tried, and the diagnosis is about the file as it was.
  const Ran none = port(compiler("Sub\n"), "q");
  EXPECT_EQ(none.code, 1);
  for (const char* opset : {"17", "16", "15", "14", "13"})
    EXPECT_THAT(none.err, HasSubstr(std::string("ONNX opset ") + opset + ":"));
  EXPECT_EQ(opset_of(written_model(out_.path("q"))), "17");
}

// Reshape whose shape is an input: `model` writes it as a constant, so the file is made by hand.
TEST_F(CliOnnx, ValuesThatDecideShapesComeFromTheSample) {
  const std::string file = out_.path("vector.onnx");
  put(file,
      model_file(graph_proto({node_proto("Reshape", {"x", "shape"}, {"y"})},
                             {value_info("x", {2, 6}), value_info("shape", {2}, 7)}, {value_info("y", {-1, -1})})));
  const Ran alone = npuport_run({"convert", file, "-o", out_.path("a.tflite")});
  EXPECT_EQ(alone.code, 1);
  EXPECT_THAT(alone.err, HasSubstr("values that decide shapes are taken from --samples"));
  const Tensor x = Tensor::of<float>({2, 6}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  Tensor y = x;
  y.shape = {3, 4};
  const auto save = [&](const std::string& name, std::vector<int64_t> shape) {
    const std::pair<std::string, Tensor> arrays[] = {
        {"in.0", x}, {"in.1", Tensor::of<int64_t>({2}, std::span<const int64_t>(shape))}, {"out.0", y}};
    EXPECT_TRUE(write_npz(out_.path(name), arrays));
    return out_.path(name);
  };
  const std::string right = save("right.npz", {3, 4}), other = save("other.npz", {4, 3});
  EXPECT_EQ(npuport_run({"verify", file, "--samples", right}).code, 0);
  EXPECT_EQ(npuport_run({"convert", file, "-o", out_.path("a.tflite"), "--samples", right}).code, 0);
  const Ran both = npuport_run({"run", file, "--samples", right, "--samples", other});
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, HasSubstr("was fixed to 3, 4"));
}

const char* kNet =
    "graph \"net\" {\n input %image: f32[1,2,6,6]\n const %k: f32[3,2,1,1] = [0.5, -0.25, 1.0, 2.0, -1.0, 0.125]\n"
    " const %b: f32[3] = [0.5, 0.0, -1.0]\n %a = conv2d(%image, %k, %b)\n %r = relu(%a)\n"
    " %p = max_pool2d(%r) kernel=[2,2] stride=[2,2]\n %f = reshape(%p) shape=[1,27]\n %scores = softmax(%f) axis=1\n"
    " output %scores\n}";

TEST_F(CliOnnx, ANetworkGoesFromOnnxToEveryFormatAndBack) {
  const std::string m = model(kNet);
  const Sample s = sample(m, {1, 2, 6, 6});
  for (const char* file : {"a.tflite", "a.pt", "a.onnx"}) {
    const Ran r = npuport_run({"convert", m, "-o", out_.path(file)});
    ASSERT_EQ(r.code, 0) << file << r.err;
    const Ran v = npuport_run({"verify", out_.path(file), "--samples", s.file});
    EXPECT_EQ(v.code, 0) << file << v.out << v.err;
    const std::string again = out_.path(std::string("b") + file + ".onnx");
    EXPECT_EQ(npuport_run({"convert", out_.path(file), "-o", again}).code, 0) << file;
    EXPECT_EQ(npuport_run({"verify", again, "--samples", s.file}).code, 0) << file;
  }
  EXPECT_EQ(npuport_run({"convert", m, "-o", out_.path("a.txt")}).code, 0);
}

TEST_F(CliOnnx, ANetworkIsPortedToEveryKindOfTarget) {
  const std::string m = model(kNet);
  const Sample s = sample(m, {1, 2, 6, 6});
  for (const char* t : {"generic-onnx", "mt8371", "ascend310b1", "rk3588"}) {
    const std::string folder = out_.path(t);
    const Ran r = npuport_run({"port", m, "--target", t, "--samples", s.file, "-o", folder, "--json"});
    ASSERT_EQ(r.code, 0) << t << r.err;
    const Json steps = document(r)["steps"];
    ASSERT_EQ(steps.size(), 8u);
    for (const Json& step : steps) {
      const bool may_skip = step["id"] == "compile" || step["id"] == "quantise";  // no compiler here, not asked for
      EXPECT_TRUE(step["verdict"] == "PASS" || (may_skip && step["verdict"] == "SKIP")) << t << step;
    }
    EXPECT_EQ(npuport_run({"verify", folder, "--samples", s.file}).code, 0) << t;
  }
}

}  // namespace
}  // namespace npuport::testing
