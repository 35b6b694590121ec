// `npuport translate` from outside: sentences in, PyTorch's translations out, on every backend; bad input.
#include "app/cli_support.h"
#include "app/port_support.h"
#include "base/text.h"
#include "ir/npy.h"
#include "pipelines/marian/tokenizer.h"
#include "support/spm_files.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;

struct Sentence {
  std::string source, pytorch;
  std::vector<int64_t> source_ids, ids;  // as Python's tokeniser and PyTorch had them
};
std::vector<int64_t> ids_of(const NamedTensors& arrays, const std::string& name) {
  for (const auto& [key, tensor] : arrays)
    if (key == name) return {tensor.as<int64_t>().begin(), tensor.as<int64_t>().end()};
  return {};
}
// The bundled model's sentences and what PyTorch made of them (columns name, source, pytorch, reference).
const std::vector<Sentence>& sentences() {
  static const std::vector<Sentence> all = [] {
    std::vector<Sentence> out;
    const std::string tsv = contents(demo("marian-nano/sentences.tsv"));
    for (const std::string_view line : split(tsv, '\n'))
      if (const auto c = split(line, '\t'); c.size() >= 3 && c[0] != "name")
        out.push_back({std::string(c[1]), std::string(c[2]), {}, {}});
    for (size_t i = 0; i < out.size(); ++i) {
      const auto arrays = read_npz(demo("marian-nano/sentences/s" + std::to_string(1001 + i).substr(1) + ".npz"));
      if (!arrays) continue;  // no ids equal none, so the tests fail
      out[i].source_ids = ids_of(*arrays, "source");
      out[i].ids = ids_of(*arrays, "ids");
    }
    return out;
  }();
  return all;
}
const std::string& ported() { return ported_demo("marian-nano"); }

Ran translate(std::vector<std::string> args, const std::string& model = ported(),
              std::map<std::string, std::string> env = {}) {
  args.insert(args.begin(), "translate");
  args.insert(args.end(), {"--model", model});
  return npuport_run(args, std::move(env));
}

class Translate : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string source, pytorch;
    for (const Sentence& s : sentences()) {
      source += s.source + "\n";
      pytorch += s.pytorch + "\n";
    }
    put(t_.path("source.txt"), source);
    put(t_.path("pytorch.txt"), pytorch);
    all_ = {"--input", t_.path("source.txt"), "--reference", t_.path("pytorch.txt"), "--json"};
  }
  void expect_all_equal(const Ran& r, const std::string& backend) {
    ASSERT_EQ(r.code, 0) << r.out << r.err;
    const Json j = document(r);
    ASSERT_EQ(j.size(), sentences().size());
    for (size_t i = 0; i < j.size(); ++i) {
      EXPECT_EQ(j[i]["text"].get<std::string>(), sentences()[i].pytorch);
      EXPECT_EQ(j[i]["source"].get<std::string>(), sentences()[i].source);
      EXPECT_EQ(j[i]["tokens"].get<std::vector<int64_t>>(), sentences()[i].ids);
      EXPECT_EQ(j[i]["source_tokens"].get<size_t>(), sentences()[i].source_ids.size());
      EXPECT_EQ(j[i]["baseline"]["match_percent"], 100.0);
      EXPECT_EQ(j[i]["backend"], backend);
      EXPECT_FALSE(j[i]["truncated"].get<bool>());
      EXPECT_GT(j[i]["tokens"].size(), 2u);
      EXPECT_GT(j[i]["seconds"].get<double>(), 0.0);
      EXPECT_LT(j[i]["score"].get<double>(), 0.0);
    }
  }
  TempFolder t_;
  std::vector<std::string> all_;
};

TEST_F(Translate, EverySentenceGivesPyTorchsText) {
  ASSERT_GE(sentences().size(), 10u);
  expect_all_equal(translate(all_), "host");
}

TEST_F(Translate, LiteRtGivesTheSameTexts) {
  const std::string library = litert_library();
  if (library.empty()) GTEST_SKIP() << "no libLiteRt.so (NPUPORT_LITERT_LIBRARY, NPUPORT_TEST_LITERT_PYTHON)";
  all_.insert(all_.end(), {"--backend", "litert"});
  expect_all_equal(translate(all_, ported(), {{"NPUPORT_LITERT_LIBRARY", library}}), "litert");
}

TEST_F(Translate, TokensAreThePythonTokenisersOwn) {
  marian::Rules rules;
  rules.source_vocabulary = rules.target_vocabulary = 548;
  rules.pad = 547;
  const auto t = marian::Tokenizer::read(demo("marian-nano/source.spm"), demo("marian-nano/target.spm"),
                                         demo("marian-nano/vocab.json"), rules);
  ASSERT_TRUE(t) << t.error().message;
  for (const Sentence& s : sentences()) {
    const auto ids = t->encode(s.source);
    ASSERT_TRUE(ids);
    EXPECT_EQ(std::vector<int64_t>(ids->begin(), ids->end()), s.source_ids) << s.source;
    EXPECT_EQ(*t->decode(std::vector<int32_t>(s.ids.begin(), s.ids.end())), s.pytorch);
  }
}

// The whole way to a device's library and back, on a test double of it: no NPU computes here.
TEST_F(Translate, TheNeuronStandInGivesTheSameTexts) {
  copy_with_standin_dlas(ported() + "/models", t_.path("models"));
  all_.insert(all_.end(), {"--backend", "neuron"});
  const std::string model = t_.path("models/marian_nano_metadata.json");
  for (const char* library : {"libneuron_runtime.so", "libneuron_adapter.so"})
    expect_all_equal(translate(all_, model, {{"NPUPORT_NEURON_LIBRARY", standin_runtime() + "/" + library}}), "neuron");
}

TEST_F(Translate, BeamsNeverScoreWorseThanGreedyHere) {
  const Json greedy = document(translate(all_));
  all_.insert(all_.end(), {"--beams", "4"});
  const Ran r = translate(all_);
  const Json beams = document(r);
  ASSERT_EQ(greedy.size(), beams.size()) << r.err;
  for (size_t i = 0; i < beams.size(); ++i) {
    EXPECT_EQ(beams[i]["beams"], 4);
    EXPECT_GE(beams[i]["score"].get<double>(), greedy[i]["score"].get<double>() - 1e-6) << sentences()[i].source;
    if (beams[i]["tokens"] == greedy[i]["tokens"]) {
      EXPECT_NEAR(beams[i]["score"].get<double>(), greedy[i]["score"].get<double>(), 1e-5);
    }
  }
}

TEST_F(Translate, LinesStayLines) {
  const std::string &a = sentences()[0].source, &b = sentences()[1].source;
  const std::string &x = sentences()[0].pytorch, &y = sentences()[1].pytorch;
  EXPECT_EQ(translate({a}).out, x + "\n");
  EXPECT_EQ(translate({a, b}).out, x + "\n" + y + "\n");
  EXPECT_EQ(translate({a + "\n\n" + b}).out, x + "\n\n" + y + "\n");
  put(t_.path("in.txt"), "\xef\xbb\xbf" + a + "\r\n   \r\n" + b);
  EXPECT_EQ(translate({"--input", t_.path("in.txt")}).out, x + "\n\n" + y + "\n");
  put(t_.path("in.txt"), "");
  const Ran nothing = translate({"--input", t_.path("in.txt")});
  EXPECT_EQ(nothing.code, 0) << nothing.err;
  EXPECT_EQ(nothing.out, "");
  put(t_.path("in.txt"), b);
  ProcessOptions options;
  options.argv = {"sh",
                  "-c",
                  "exec \"$1\" translate --input - --model \"$2\" <\"$3\"",
                  "sh",
                  binary(),
                  ported(),
                  t_.path("in.txt")};
  const Result<ProcessResult> piped = run_process(options);
  ASSERT_TRUE(piped);
  EXPECT_EQ(piped->out, y + "\n") << piped->err;
}

TEST_F(Translate, DebugOutputsAndBenchmark) {
  const Ran r = translate({sentences()[0].source, "--debug", t_.path("d"), "--json", "--benchmark", "2"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json j = document(r)[0];
  EXPECT_EQ(j["benchmark"]["sentence_ms"]["count"], 2);
  EXPECT_EQ(j["benchmark"]["decoder_step_ms"]["count"].get<size_t>(), 2 * (j["tokens"].size() + 1));
  const Ran shapes = npuport_run({"inspect", t_.path("d/encoder_output.npy"), t_.path("d/decoder_logits.npy")});
  EXPECT_EQ(shapes.code, 0) << shapes.err;
  EXPECT_NE(translate({sentences()[0].source, "--benchmark", "2"}).out.find("decoder_step_ms"), std::string::npos);
  EXPECT_EQ(translate({"a", "--debug", t_.path("d"), "--beams", "2"}).code, 2);
  EXPECT_EQ(translate({"", "--debug", t_.path("d")}).code, 2) << "nothing ran, nothing to write";
}

TEST_F(Translate, AnotherReferenceFails) {
  put(t_.path("r.txt"), sentences()[0].pytorch + "\nsomething else\n");
  const Ran r = translate({sentences()[0].source, sentences()[1].source, "--reference", t_.path("r.txt")});
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_NE(r.out.find("1 of 2 texts equal"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("FAIL"), std::string::npos);
  EXPECT_EQ(translate({"one", "--reference", t_.path("r.txt")}).code, 2) << "two lines for one sentence";
  EXPECT_EQ(translate({"one", "--reference", t_.path("none.txt")}).code, 2);
}

TEST_F(Translate, BadSentencesEndWithOneMessageAndHarmNoOthers) {
  const auto one = [&](const std::string& bytes, const std::string& message) {
    put(t_.path("in.txt"), bytes);
    const Ran r = translate({"--input", t_.path("in.txt")});
    EXPECT_EQ(r.code, 2) << bytes.substr(0, 40);
    EXPECT_NE(r.err.find(message), std::string::npos) << r.err;
    EXPECT_EQ(r.err.find("error[", r.err.find("error[") + 1), std::string::npos) << r.err;
  };
  one(std::string("a\0b", 3), "NUL");
  one("caf\xe9", "no UTF-8");
  one(std::string(70000, 'a'), "70000 bytes");
  std::string lengthy;
  for (int i = 0; i < 60; ++i) lengthy += "dog ";
  one(lengthy, "this port takes 40");
  one(">>xyz<< dog", ">>xyz<<");
  put(t_.path("in.txt"), sentences()[0].source + "\n" + lengthy + "\n" + sentences()[1].source + "\n");
  const Ran r = translate({"--input", t_.path("in.txt"), "--json"});
  EXPECT_EQ(r.code, 2);
  EXPECT_NE(r.err.find("sentence 2"), std::string::npos) << r.err;
  const Json j = document(r);
  ASSERT_EQ(j.size(), 3u);
  EXPECT_EQ(j[0]["text"].get<std::string>(), sentences()[0].pytorch);
  EXPECT_TRUE(j[1].contains("error"));
  EXPECT_EQ(j[2]["text"].get<std::string>(), sentences()[1].pytorch);
  // Characters no model of two small languages knows: still a text.
  const Ran strange = translate({"\xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x99\x82 dog"});
  EXPECT_EQ(strange.code, 0) << strange.err;
  fs::resize_file(t_.path("in.txt"), (uint64_t{64} << 20) + 1);
  const Ran huge = translate({"--input", t_.path("in.txt")});
  EXPECT_EQ(huge.code, 2) << huge.err;
}

TEST_F(Translate, BadArgumentsAndModels) {
  EXPECT_EQ(translate({}).code, 2);
  EXPECT_EQ(translate({"a", "--input", t_.path("source.txt")}).code, 2);
  EXPECT_EQ(translate({"--input", t_.path("none.txt")}).code, 2);
  EXPECT_EQ(translate({"a", "--beams", "0"}).code, 2);
  EXPECT_EQ(translate({"a", "--beams", "65"}).code, 2);
  EXPECT_EQ(translate({"a", "--backend", "gpu"}).code, 2);
  EXPECT_EQ(translate({"a"}, t_.path("nowhere")).code, 2);

  const std::string models = t_.path("models"), metadata = models + "/marian_nano_metadata.json";
  fs::copy(ported() + "/models", models, fs::copy_options::recursive);
  const Json m = Json::parse(contents(metadata));
  const auto with = [&](const std::function<void(Json&)>& change) {
    Json changed = m;
    change(changed);
    put(metadata, changed.dump());
    return translate({"dog"}, metadata);
  };
  const auto refused = [&](const std::function<void(Json&)>& change, const std::string& message) {
    const Ran r = with(change);
    EXPECT_EQ(r.code, 2) << message;
    EXPECT_NE(r.err.find(message), std::string::npos) << r.err;
  };
  EXPECT_EQ(with([](Json&) {}).code, 0);
  refused([](Json& j) { j["task"] = Json{{"kind", "sr"}}; }, "translates no text");
  refused([](Json& j) { j.erase("task"); }, "has no task");
  refused([](Json& j) { j["task"]["decode"]["kind"] = "marian_other"; }, "'kind'");
  refused([](Json& j) { j["task"]["decode"]["dims"]["decoder_layers"] = 3; }, "[3,1,");
  refused([](Json& j) { j["task"]["decode"]["source_tokens"] = 41; }, "tokens is");
  refused([](Json& j) { j["task"]["decode"]["dims"]["vocab_size"] = 500; }, "'pad_token'");
  refused([](Json& j) { j["task"]["decode"]["dims"]["decoder_vocab_size"] = 600; }, "logits is");
  refused([](Json& j) { j["task"]["decode"]["version"] = 99; }, "newer");
  for (const char* part : {"encoder", "cross_kv", "decoder_kv"})
    refused(
        [&](Json& j) {
          Json kept = Json::array();
          for (const Json& p : j["parts"])
            if (p["name"] != part) kept.push_back(p);
          j["parts"] = kept;
        },
        part);
  for (const char* file : {"source.spm", "target.spm", "vocab.json"}) {
    const std::string path = models + "/" + file, whole = contents(path);
    put(path, whole.substr(0, whole.size() / 2));
    refused([](Json&) {}, "SHA-256");
    // Without recorded hashes the files themselves are looked at.
    refused(
        [](Json& j) {
          for (const char* key : {"vocab", "source_spm", "target_spm"}) j["task"].erase(key);
        },
        file);
    fs::remove(path);
    refused([](Json&) {}, file);
    put(path, whole);
  }
}

TEST_F(Translate, OtherPipelinesSayWhoTakesTheirModel) {
  const Ran speech = npuport_run({"transcribe", demo("whisper-nano/clip001.wav"), "--model", ported()});
  EXPECT_EQ(speech.code, 2);
  EXPECT_NE(speech.err.find("npuport translate"), std::string::npos) << speech.err;
  const Ran text = translate({"a"}, ported_demo("whisper-nano"));
  EXPECT_EQ(text.code, 2);
  EXPECT_NE(text.err.find("npuport transcribe"), std::string::npos) << text.err;
  const Ran picture = translate({"a"}, ported_demo("edsr-nano"));
  EXPECT_EQ(picture.code, 2);
  EXPECT_NE(picture.err.find("npuport upscale"), std::string::npos) << picture.err;
}

}  // namespace
}  // namespace npuport::testing
