// `npuport transcribe` from outside: sound in, PyTorch's text out, by both loops; bad input.
#include "app/cli_support.h"
#include "app/match_text.h"
#include "app/port_support.h"
#include "base/npy.h"
#include "support/paths.h"
#include "support/whisper_files.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;

// Texts PyTorch gave for the bundled model's clips (the third column of transcripts.tsv).
const std::map<std::string, std::string>& texts() {
  static const std::map<std::string, std::string> all = [] {
    std::map<std::string, std::string> out;
    for (const auto& e : fs::directory_iterator(demo("whisper-nano/baseline"))) {
      const Json j = Json::parse(contents(e.path().string()));
      out[j["file"].get<std::string>()] = j["text"].get<std::string>();
    }
    return out;
  }();
  return all;
}

const std::string& ported() { return ported_demo("whisper-nano"); }

std::vector<std::string> clips() {
  std::vector<std::string> out{demo("whisper-nano/clip001.wav"), demo("whisper-nano/clip003.wav")};
  const char* shared = std::getenv("NPUPORT_SHARED");
  const std::string folder =
      (shared && *shared ? std::string(shared) : source_dir() + "/../shared") + "/models/whisper-nano/";
  for (int i = 1; i <= 8; ++i) {
    const std::string name = "clip00" + std::to_string(i) + ".wav";
    if (i != 1 && i != 3 && fs::exists(folder + name)) out.push_back(folder + name);
  }
  return out;
}

Ran transcribe(std::vector<std::string> args, const std::string& model = ported()) {
  args.insert(args.begin(), "transcribe");
  args.insert(args.end(), {"--model", model});
  return npuport_run(args);
}

TEST(Transcribe, EveryClipGivesPyTorchsTextAndTokens) {
  std::vector<std::string> args = clips();
  args.insert(args.end(), {"--json", "--baseline", demo("whisper-nano/baseline")});
  const Ran r = transcribe(args);
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  const Json j = document(r);
  ASSERT_EQ(j.size(), clips().size());
  for (const Json& f : j) {
    EXPECT_EQ(f["text"].get<std::string>(), texts().at(fs::path(f["file"].get<std::string>()).filename().string()));
    EXPECT_EQ(f["baseline"]["verdict"], "PASS");
    EXPECT_TRUE(f["baseline"]["tokens_equal"].get<bool>());
    EXPECT_EQ(f["language"], "en");
    EXPECT_EQ(f["decoder"], "kv");
    EXPECT_GT(f["seconds"].get<double>(), 0.5);
    EXPECT_GT(f["real_time_factor"].get<double>(), 0.0);
    ASSERT_EQ(f["segments"].size(), 1u);
    EXPECT_EQ(f["segments"][0]["tokens"], f["tokens"]);
  }
}

TEST(Transcribe, BothLoopsGiveTheSame) {
  const Ran kv = transcribe({clips()[1], "--json", "--decoder", "kv"});
  const Ran full = transcribe({clips()[1], "--json", "--decoder", "full"});
  ASSERT_EQ(kv.code + full.code, 0) << kv.err << full.err;
  const Json a = document(kv)[0], b = document(full)[0];
  EXPECT_EQ(a["tokens"], b["tokens"]);
  EXPECT_NEAR(a["segments"][0]["avg_logprob"].get<double>(), b["segments"][0]["avg_logprob"].get<double>(), 1e-3);
  EXPECT_NEAR(a["segments"][0]["no_speech_prob"].get<double>(), b["segments"][0]["no_speech_prob"].get<double>(), 1e-4);
  EXPECT_EQ(b["decoder"], "full");
}

TEST(Transcribe, LiteRtGivesTheSameTokens) {
  const std::string library = litert_library();
  if (library.empty()) GTEST_SKIP() << "no libLiteRt.so (NPUPORT_LITERT_LIBRARY, NPUPORT_TEST_LITERT_PYTHON)";
  std::vector<std::string> line = clips();
  line.insert(line.begin(), "transcribe");
  line.insert(line.end(),
              {"--json", "--backend", "litert", "--baseline", demo("whisper-nano/baseline"), "--model", ported()});
  const Ran r = npuport_run(line, {{"NPUPORT_LITERT_LIBRARY", library}});
  ASSERT_EQ(r.code, 0) << r.out << r.err;
  for (const Json& f : document(r)) {
    EXPECT_EQ(f["backend"], "litert");
    EXPECT_TRUE(f["baseline"]["tokens_equal"].get<bool>());
  }
}

// The whole way to a device's library and back, on a test double of it: no NPU computes here.
TEST(Transcribe, TheNeuronStandInGivesTheSameTokens) {
  TempFolder t;
  copy_with_standin_dlas(ported() + "/models", t.path("models"));
  std::vector<std::string> line = clips();
  line.insert(line.begin(), "transcribe");
  line.insert(line.end(), {"--json", "--backend", "neuron", "--baseline", demo("whisper-nano/baseline"), "--model",
                           t.path("models/whisper_nano_metadata.json")});
  for (const char* library : {"libneuron_runtime.so", "libneuron_adapter.so"}) {
    const Ran r = npuport_run(line, {{"NPUPORT_NEURON_LIBRARY", standin_runtime() + "/" + library}});
    ASSERT_EQ(r.code, 0) << library << r.out << r.err;
    for (const Json& f : document(r)) {
      EXPECT_EQ(f["backend"], "neuron");
      EXPECT_TRUE(f["baseline"]["tokens_equal"].get<bool>());
    }
  }
  const Ran none = npuport_run(line, {{"NPUPORT_NEURON_LIBRARY", t.path("nothing.so")}});
  EXPECT_EQ(none.code, 3) << "a missing library is the environment's fault: " << none.err;
}

TEST(Transcribe, FormatsFilesAndDebugOutputs) {
  TempFolder t;
  const std::string text = texts().at("clip001.wav");
  EXPECT_EQ(transcribe({clips()[0]}).out, text + "\n");
  const Ran srt = transcribe({clips()[0], "--format", "srt"});
  EXPECT_EQ(srt.out.substr(0, 17), "1\n00:00:00,000 --");
  EXPECT_NE(srt.out.find(text), std::string::npos);
  EXPECT_EQ(transcribe({clips()[0], "--format", "vtt"}).out.substr(0, 8), "WEBVTT\n\n");
  const Ran r = transcribe({clips()[0], clips()[1], "-o", t.path("r"), "--baseline", demo("whisper-nano/baseline"),
                            "--debug-outputs", t.path("d"), "--benchmark", "2"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(contents(t.path("r/clip001.txt")), text + "\n");
  EXPECT_EQ(Json::parse(contents(t.path("r/port_summary.json")))["equal"], 2);
  EXPECT_EQ(Json::parse(contents(t.path("r/port_clip003.json")))["text"].get<std::string>(), texts().at("clip003.wav"));
  EXPECT_NE(r.out.find("100.00%"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("real-time factor"), std::string::npos);
  EXPECT_NE(r.out.find("encoder   decoder     total\nclip001"), std::string::npos) << "seconds of each sound";
  EXPECT_NE(r.out.find(" cores, Linux "), std::string::npos) << "the machine they were taken on";
  const Ran shapes = npuport_run({"inspect", t.path("d/clip001/preprocessed_mel.npy"),
                                  t.path("d/clip001/encoder_output.npy"), t.path("d/clip001/decoder_logits.npy")});
  EXPECT_EQ(shapes.code, 0) << shapes.err;
  for (const char* shape : {"80", "3000", "1500", "128", "51865"})
    EXPECT_NE(shapes.out.find(shape), std::string::npos) << shapes.out;
}

TEST(Transcribe, ADifferentBaselineFails) {
  TempFolder t;
  put(t.path("b.json"), R"([{"file": "clip003.wav", "text": "open the garage gate"}])");
  const Ran r = transcribe({clips()[1], "--baseline", t.path("b.json")});
  EXPECT_EQ(r.code, 1) << r.out;
  EXPECT_NE(r.out.find("FAIL"), std::string::npos);
  put(t.path("b.json"), R"([{"file": "other.wav", "text": "x"}])");
  EXPECT_EQ(transcribe({clips()[1], "--baseline", t.path("b.json")}).code, 1) << "an uncompared text is no success";
  put(t.path("b.json"), "[]");
  EXPECT_EQ(transcribe({clips()[1], "--baseline", t.path("b.json")}).code, 2);
}

TEST(Transcribe, BadSoundsEndWithOneMessageAndHarmNoOthers) {
  TempFolder t;
  put(t.path("text.wav"), "no sound");
  const Ran one = transcribe({t.path("text.wav")});
  EXPECT_EQ(one.code, 2);
  EXPECT_NE(one.err.find("text.wav"), std::string::npos);
  EXPECT_EQ(one.err.find("error[", one.err.find("error[") + 1), std::string::npos) << one.err;
  const Ran both = transcribe({t.path("text.wav"), clips()[0], "--json"});
  EXPECT_EQ(both.code, 2);
  const Json j = document(both);
  EXPECT_TRUE(j[0].contains("error"));
  EXPECT_EQ(j[1]["text"].get<std::string>(), texts().at("clip001.wav"));
}

TEST(Transcribe, BadArgumentsAndModels) {
  TempFolder t;
  const std::string clip = clips()[0];
  EXPECT_EQ(transcribe({clip, "--language", "klingon"}).code, 2);
  EXPECT_EQ(transcribe({clip, "--backend", "gpu"}).code, 2);
  EXPECT_EQ(transcribe({clip, "--temperature", "-1"}).code, 2);
  EXPECT_EQ(transcribe({clip, clip, "--format", "srt"}).code, 2);
  EXPECT_EQ(transcribe({clip, clip, "-o", t.path("o")}).code, 2) << "one result would replace the other";
  EXPECT_EQ(transcribe({clip}, t.path("nowhere")).code, 2);
  EXPECT_EQ(transcribe({clip, "--vocab", t.path("none")}).code, 2);
  const std::string models = t.path("models");
  fs::copy(ported() + "/models", models, fs::copy_options::recursive);
  const std::string metadata = models + "/whisper_nano_metadata.json";
  Json m = Json::parse(contents(metadata));
  const auto with = [&](const std::function<void(Json&)>& change) {
    Json changed = m;
    change(changed);
    put(metadata, changed.dump());
    return transcribe({clip, "--decoder", "kv"}, metadata);
  };
  EXPECT_EQ(with([](Json&) {}).code, 0);
  const Ran picture = with([](Json& j) { j["task"] = Json{{"kind", "sr"}}; });
  EXPECT_EQ(picture.code, 2);
  EXPECT_NE(picture.err.find("recognises no speech"), std::string::npos) << picture.err;
  const Ran missing = with([](Json& j) { j["parts"].erase(3); });
  EXPECT_EQ(missing.code, 2);
  EXPECT_NE(missing.err.find("decoder_kv"), std::string::npos) << missing.err;
  EXPECT_EQ(with([](Json& j) { j["task"]["decode"]["dims"]["n_text_layer"] = 3; }).code, 2);
  EXPECT_EQ(with([](Json& j) { j["task"]["decode"]["temperatures"] = Json::array(); }).code, 2);
  EXPECT_EQ(with([](Json& j) { j["task"]["decode"]["version"] = 99; }).code, 2);
  EXPECT_EQ(with([](Json& j) { j["task"].erase("vocab"); }).code, 2);
  put(models + "/vocab.txt", contents(models + "/vocab.txt").substr(0, 5000));
  EXPECT_EQ(with([](Json&) {}).code, 2);
}

TEST(MatchText, PercentAndDifference) {
  using app::match_text;
  EXPECT_EQ(match_text("same", "same").percent, 100);
  EXPECT_EQ(match_text("", "").diff, "");
  EXPECT_EQ(match_text("abcd", "abxd").edits, 1u);
  EXPECT_EQ(match_text("abcd", "abxd").percent, 75);
  EXPECT_EQ(match_text("abcd", "abxd").diff, "ab[-c-]{+x+}d");
  EXPECT_EQ(match_text("語音", "語言").percent, 50);
  EXPECT_EQ(match_text("abc", "").percent, 0);
  EXPECT_EQ(match_text("a b c", "a c").diff, "a [-b -]c");
  EXPECT_EQ(match_text(std::string(30000, 'x'), std::string(30000, 'y')).percent, 0);
}

// Debug outputs of one run are what another is compared with: the two loops, and the port's own.
class TranscribeDebug : public ::testing::Test {
 protected:
  const std::string clip_ = demo("whisper-nano/clip001.wav");
  TempFolder folder_;

  void SetUp() override { ASSERT_EQ(transcribe({clip_, "--debug-outputs", folder_.path("d")}).code, 0); }
  Json compared(int code, const std::string& folder, const std::string& loop = "kv") {
    const Ran r = transcribe({clip_, "--decoder", loop, "--compare-debug", folder, "--json"});
    EXPECT_EQ(r.code, code) << r.err;
    return document(r)[0]["debug"];
  }
  // Adds to elements [from, to) of a saved output.
  void spoil(const std::string& name, size_t from, size_t to) {
    const std::string path = folder_.path("d") + "/" + name + ".npy";
    const Result<Tensor> t = read_npy(path);
    ASSERT_TRUE(t.ok());
    std::vector<float> v(t->as<float>().begin(), t->as<float>().end());
    for (size_t i = from; i < std::min(to, v.size()); ++i) v[i] += 1.0F + static_cast<float>(i % 5);
    ASSERT_TRUE(write_npy(path, Tensor::of<float>(t->shape, std::span<const float>(v))).ok());
    width_ = static_cast<size_t>(t->shape.back());
  }
  size_t width_ = 0;
};

TEST_F(TranscribeDebug, BothLoopsAndThePortsFormAgree) {
  EXPECT_EQ(compared(0, folder_.path("d"), "full")["verdict"], "PASS");
  // `port` saves the logits of all positions.
  const Json rules = Json::parse(contents(demo("whisper-nano/whisper_decode.json")));
  const Result<Tensor> rows = read_npy(folder_.path("d") + "/decoder_logits.npy");
  ASSERT_TRUE(rows.ok());
  Tensor all = Tensor::zeros(DType::f32, {1, rules["max_tokens"].get<int64_t>(), rows->shape[2]});
  std::copy_n(rows->as<float>().begin(), rows->count(),
              all.mut<float>().begin() + (rules["initial_tokens"].size() - 1) * static_cast<size_t>(rows->shape[2]));
  ASSERT_TRUE(write_npy(folder_.path("d") + "/decoder_logits.npy", all).ok());
  const Json port = compared(0, folder_.path("d"));
  EXPECT_EQ(port["outputs"][2]["steps"].get<int64_t>(), rows->shape[1]);
  EXPECT_EQ(port["outputs"][2]["equal_steps"], port["outputs"][2]["steps"]);
  const Ran text = transcribe({clip_, "--compare-debug", folder_.path("d")});
  EXPECT_NE(text.out.find("all debug outputs agree"), std::string::npos) << text.out;
}

TEST_F(TranscribeDebug, TheFirstThatDiffersIsNamed) {
  spoil("decoder_logits", 0, 0);  // tells the width
  spoil("decoder_logits", 2 * width_, SIZE_MAX);
  Json j = compared(1, folder_.path("d"));
  EXPECT_EQ(j["lesson"], "NPU-H04") << j.dump();
  EXPECT_EQ(j["outputs"][2]["equal_steps"], 2);
  spoil("decoder_logits", 0, 10);
  EXPECT_EQ(compared(1, folder_.path("d"))["lesson"], "NPU-H01");
  spoil("encoder_output", 0, 10);
  EXPECT_EQ(compared(1, folder_.path("d"))["lesson"], "NPU-H03");
  spoil("preprocessed_mel", 0, 10);
  j = compared(1, folder_.path("d"));
  EXPECT_EQ(j["lesson"], "NPU-H05");
  EXPECT_NE(j["sentence"].get<std::string>().find("not the model"), std::string::npos);
}

TEST_F(TranscribeDebug, OtherModelsFilesAndSeveralSoundsAreRefused) {
  ASSERT_TRUE(write_npy(folder_.path("d") + "/preprocessed_mel.npy", Tensor::zeros(DType::f32, {1, 4, 4})).ok());
  EXPECT_EQ(transcribe({clip_, "--compare-debug", folder_.path("d")}).code, 2);
  EXPECT_EQ(transcribe({clip_, "--compare-debug", folder_.path("none")}).code, 2);
  EXPECT_EQ(transcribe({clip_, demo("whisper-nano/clip003.wav"), "--compare-debug", folder_.path("d")}).code, 2);
}

}  // namespace
}  // namespace npuport::testing
