// `port` from outside: each fault stops at its step, a second run does only what changed, the same bytes everywhere.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <thread>

#include "app/cli_support.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;

class CliPort : public WithModels {
 protected:
  Ran port(const std::string& folder, const std::vector<std::string>& more = {},
           const std::map<std::string, std::string>& env = {}) {
    std::vector<std::string> line{"port", model_, "--target", target_, "-o", folder, "--json"};
    for (const std::string& s : samples_) line.insert(line.end(), {"--samples", s});
    line.insert(line.end(), more.begin(), more.end());
    return npuport_run(line, env);
  }
  // "PASS PASS …" by step, in order.
  static std::string verdicts(const Json& report) {
    std::string out;
    for (const Json& s : report["steps"]) out += (out.empty() ? "" : " ") + s["verdict"].get<std::string>();
    return out;
  }
  std::string model_ = made("net.pt"), target_ = "mt8371";
  std::vector<std::string> samples_ = {made("net.npz"), made("net2.npz")};
};

std::vector<std::string> names(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& [file, hash] : tree(folder)) out.push_back(file);
  return out;
}

size_t reused(const Ran& r) {
  size_t n = 0;
  for (size_t at = r.err.find("  unchanged"); at != std::string::npos; at = r.err.find("  unchanged", at + 1)) ++n;
  return n;
}

TEST_F(CliPort, WritesTheStandardTreeAndOneShortReadme) {
  const std::string out = out_.path("o");
  const Ran r = port(out, {"--name", "net"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(verdicts(document(r)), "PASS PASS PASS PASS PASS SKIP SKIP PASS");
  const std::string part = document(r)["steps"].empty() ? "" : "net";
  size_t readmes = 0;
  for (const std::string& f : names(out)) readmes += f.find("README") != std::string::npos ? 1 : 0;
  EXPECT_EQ(readmes, 1u);
  const std::string readme = contents(out + "/README.md");
  EXPECT_LE(std::count(readme.begin(), readme.end(), '\n'), 60);
  for (const char* file : {"report.html", "report.json", "operator_analysis.md", "operator_analysis.json",
                           "models/net_metadata.json", "scripts/compile.sh"})
    EXPECT_TRUE(fs::is_regular_file(out + "/" + file)) << file;
  EXPECT_EQ(Json::parse(contents(out + "/report.json")), document(r)) << "--json and report.json say the same";
  EXPECT_TRUE(fs::is_regular_file(out + "/models/net_model.py"));
  const auto files = names(out);
  const auto count = [&](const std::string& begin, const std::string& end) {
    return std::count_if(files.begin(), files.end(),
                         [&](const std::string& f) { return f.starts_with(begin) && f.ends_with(end); });
  };
  EXPECT_EQ(count("models/", ".pt"), 1) << "the rewritten model for PyTorch";
  EXPECT_EQ(count("scripts/step2_torchscript_to_tflite_", ".py"), 1);
  EXPECT_EQ(r.err.find('\x1b'), std::string::npos) << "no colour and no cursor movement in a pipe";
  EXPECT_EQ(r.err.find('\r'), std::string::npos);
  const Ran quiet = port(out_.path("q"), {"--quiet"});
  EXPECT_EQ(quiet.err, "");
}

TEST_F(CliPort, MetadataAloneIsEnoughToRunTheOriginalSamples) {
  const std::string out = out_.path("o");
  ASSERT_EQ(port(out, {"--name", "net"}).code, 0);
  const Json m = Json::parse(contents(out + "/models/net_metadata.json"));
  EXPECT_EQ(m["version"], 1);
  EXPECT_EQ(m["target"]["name"], "mt8371");
  ASSERT_EQ(m["parts"].size(), 1u);
  const Json& part = m["parts"][0];
  EXPECT_EQ(part["sha256"], sha256_file(out + "/models/" + part["file"].get<std::string>()).value());
  EXPECT_EQ(part["source"]["sha256"], sha256_file(model_).value());
  EXPECT_EQ(part["inputs"][0]["dtype"], "float32");
  EXPECT_EQ(part["inputs"][0]["shape"], Json::array({1, 8, 8, 3})) << "port turns 4-D borders";
  EXPECT_EQ(part["outputs"][0]["shape"], Json::array({1, 8, 8, 2}));
  EXPECT_FALSE(part["gates"].empty());
  for (const std::string& what :
       {out, out + "/models/net_metadata.json", out + "/models/" + part["file"].get<std::string>()})
    for (const std::string& sample : samples_) {
      const Ran v = npuport_run({"verify", what, "--samples", sample, "--json"});
      EXPECT_EQ(v.code, 0) << what << v.err;
    }
  const Ran raw = npuport_run({"run", out, "--raw", "--samples", samples_[0]});
  EXPECT_EQ(raw.code, 2) << "--raw takes the file's own layout, which this sample has not";
  Json newer = m;
  newer["version"] = 99;
  put(out + "/models/net_metadata.json", newer.dump());
  EXPECT_EQ(npuport_run({"run", out, "--samples", samples_[0]}).code, 2);
}

// A logarithm between two layers: refused, with the option that would help; with it, everything passes.
TEST_F(CliPort, SaysWhereApproximateRewritesWouldHelp) {
  model_ = made("logarithm.pt");
  samples_ = {made("logarithm.npz")};
  const std::string out = out_.path("o");
  const Ran refused = port(out);
  EXPECT_EQ(refused.code, 1) << refused.err;
  EXPECT_EQ(verdicts(document(refused)), "PASS FAIL");
  const std::string reason = document(refused)["steps"][1]["reason"];
  EXPECT_NE(reason.find("--allow-approximate would rewrite it (log_by_roots)"), std::string::npos) << reason;
  const Ran r = port(out, {"--allow-approximate"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(verdicts(document(r)), "PASS PASS PASS PASS PASS SKIP SKIP PASS");
}

TEST_F(CliPort, ASecondRunDoesNothingAndSaysSo) {
  const std::string out = out_.path("o");
  ASSERT_EQ(port(out).code, 0);
  const auto before = tree(out);
  const Ran again = port(out);
  EXPECT_EQ(again.code, 0);
  EXPECT_EQ(reused(again), 8u) << again.err;
  EXPECT_EQ(tree(out), before);
  const Ran forced = port(out, {"--force"});
  EXPECT_EQ(reused(forced), 0u) << forced.err;
}

TEST_F(CliPort, WhatChangedIsDoneAgain) {
  const std::string out = out_.path("o"), folder = out_.path("in");
  fs::create_directories(folder);
  fs::copy(model_, folder + "/m.pt");
  fs::copy(samples_[0], folder + "/s.npz");
  const Ran target_text = npuport_run({"targets", "mt8371", "--json"});
  model_ = folder + "/m.pt";
  samples_ = {folder + "/s.npz"};
  ASSERT_EQ(port(out).code, 0);
  EXPECT_EQ(reused(port(out)), 8u);
  // options: import stays proven, the rest is done again
  const Ran half = port(out, {"--float16"});
  EXPECT_EQ(half.code, 0) << half.err;
  EXPECT_GE(reused(half), 1u) << half.err;
  EXPECT_LT(reused(half), 8u) << half.err;
  EXPECT_LT(reused(port(out)), 8u) << "and back";
  // a sample
  fs::copy(made("net2.npz"), folder + "/s.npz", fs::copy_options::overwrite_existing);
  EXPECT_EQ(reused(port(out)), 0u) << "every proof depends on the samples";
  // the model
  fs::copy(made("faulty.pt"), folder + "/m.pt", fs::copy_options::overwrite_existing);
  const Ran other = port(out);
  EXPECT_EQ(other.code, 1) << "the samples' baselines are another model's";
  // an output that somebody changed is made again
  fs::copy(made("net.pt"), folder + "/m.pt", fs::copy_options::overwrite_existing);
  ASSERT_EQ(port(out).code, 0);
  for (const std::string& f : names(out))
    if (f.ends_with(".tflite")) put(out + "/" + f, "broken");
  EXPECT_EQ(port(out).code, 0);
  EXPECT_EQ(npuport_run({"verify", out, "--samples", folder + "/s.npz"}).code, 0);
}

TEST_F(CliPort, AFaultStopsTheRunAtItsStep) {
  const std::string out = out_.path("o");
  ASSERT_EQ(port(out).code, 0);  // what an earlier run left must go
  const auto stays = samples_;
  samples_ = {made("wrong_baseline.npz")};
  const Ran one = port(out);
  EXPECT_EQ(one.code, 1);
  EXPECT_EQ(verdicts(document(one)), "FAIL");
  for (const std::string& f : names(out))
    EXPECT_TRUE(f.rfind(".npuport/", 0) == 0 || f.rfind("report.", 0) == 0 || f == "README.md") << f;
  samples_ = stays;
  ASSERT_EQ(port(out).code, 0);
  put(out_.path("nothing.toml"), R"(version = 1
name = "nothing"
title = "refuses everything"
vendor = "nobody"
format = "tflite"
unlisted = "refuse"
)");
  target_ = out_.path("nothing.toml");
  const Ran two = port(out);
  EXPECT_EQ(two.code, 1) << two.err;
  EXPECT_EQ(verdicts(document(two)), "PASS FAIL");
  EXPECT_TRUE(fs::exists(out + "/operator_analysis.md")) << "the list of what is in the way";
  for (const std::string& f : names(out)) EXPECT_NE(f.rfind("models/", 0), 0u) << f;
}

TEST_F(CliPort, TheSameBytesInAnyFolderOnAnyNumberOfThreads) {
  const std::map<std::string, std::string> env = {{"SOURCE_DATE_EPOCH", "0"}};
  ASSERT_EQ(port(out_.path("a"), {"--threads", "1"}, env).code, 0);
  ASSERT_EQ(port(out_.path("b b"), {"--threads", "2"}, env).code, 0);
  EXPECT_EQ(tree(out_.path("a")), tree(out_.path("b b")));
}

TEST_F(CliPort, StrictMakesWhatIsOpenANo) {
  EXPECT_EQ(port(out_.path("o"), {"--strict"}).code, 1) << "no compiler here";
  samples_ = {made("no_baseline.npz")};
  const Ran open = port(out_.path("p"));
  EXPECT_EQ(open.code, 0) << open.err;
  EXPECT_EQ(document(open)["steps"][0]["verdict"], "UNVERIFIED");
  EXPECT_EQ(document(open)["verdict"], "UNVERIFIED");
  EXPECT_EQ(port(out_.path("p"), {"--strict"}).code, 1) << "also when nothing is left to do";
}

TEST_F(CliPort, InitWritesAProjectThatPorts) {
  const std::string folder = out_.path("project");
  std::vector<std::string> line{"port",
                                "a=" + model_,
                                "b=" + made("embed.pt"),
                                "--target",
                                "mt8371",
                                "--name",
                                "two",
                                "--samples",
                                "a=" + samples_[0],
                                "--samples",
                                "b=" + made("embed.npz"),
                                "-o",
                                folder,
                                "--init"};
  const Ran init = npuport_run(line);
  ASSERT_EQ(init.code, 0) << init.err;
  EXPECT_EQ(names(folder), std::vector<std::string>{"port.toml"});
  EXPECT_EQ(npuport_run(line).code, 2) << "a project that is there is not overwritten";
  const Ran made_port = npuport_run({"port", folder + "/port.toml", "-o", out_.path("o"), "--json"});
  EXPECT_EQ(made_port.code, 0) << made_port.err;
  EXPECT_EQ(npuport_run({"run", out_.path("o"), "--samples", samples_[0]}).code, 2) << "which part?";
  EXPECT_EQ(npuport_run({"verify", out_.path("o"), "--part", "a", "--samples", samples_[0]}).code, 0);
  EXPECT_EQ(npuport_run({"verify", out_.path("o"), "--part", "b", "--samples", made("embed.npz")}).code, 0);
  std::string toml = contents(folder + "/port.toml");
  put(folder + "/bad.toml", toml + "\nunknown_thing = 1\n");
  const Ran bad = npuport_run({"port", folder + "/bad.toml", "-o", out_.path("o2")});
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.err.find("unknown_thing"), std::string::npos) << bad.err;
}

TEST_F(CliPort, DecisionsMadeByHandAreHonoured) {
  const std::string out = out_.path("o");
  ASSERT_EQ(port(out).code, 0);
  const std::string md = out + "/operator_analysis.md", json = out + "/operator_analysis.json";
  const std::string original_json = contents(json);
  std::string edited = original_json;
  const size_t at = edited.find("\"decision\": \"auto\"");
  ASSERT_NE(at, std::string::npos) << edited;
  edited.replace(at, 18, "\"decision\": \"keep\"");
  put(json, edited);
  const Ran kept = port(out);
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_LT(reused(kept), 8u) << kept.err;
  EXPECT_NE(contents(json).find("\"decision\": \"keep\""), std::string::npos) << "the edit stays in the file";
  EXPECT_NE(contents(md).find("keep"), std::string::npos) << "and reaches the other one";
  EXPECT_NE(port(out).code, 2);
  EXPECT_NE(contents(json).find("\"decision\": \"keep\""), std::string::npos) << "a third run keeps it, too";
}

TEST_F(CliPort, ADecisionThatCannotBeFollowedIsSaid) {
  const std::string out = out_.path("o");
  ASSERT_EQ(port(out).code, 0);
  const std::string json = out + "/operator_analysis.json";
  Json j = Json::parse(contents(json));
  ASSERT_FALSE(j["parts"][0]["operators"].empty());
  const std::string op = j["parts"][0]["operators"][0]["op"];
  ASSERT_EQ(op, "conv2d") << "an operator without a body";
  j["parts"][0]["operators"][0]["decision"] = "body";
  put(json, dump_json(j));
  const Ran ran = port(out);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("the decision 'body' for conv2d cannot be followed"), std::string::npos) << ran.err;
  // And one for a place that is not there.
  j["parts"][0]["operators"][0]["decision"] = "auto";
  j["parts"][0]["operators"][0]["places"][0] =
      Json{{"scope", ""}, {"source", "nowhere.py:3"}, {"foreign", ""}, {"decision", "keep"}};
  put(json, dump_json(j));
  const Ran nowhere = port(out);
  EXPECT_NE(nowhere.err.find("conv2d@nowhere.py:3"), std::string::npos) << nowhere.err;
}

TEST_F(CliPort, TwoDifferentDecisionsAreAQuestionNotAnAnswer) {
  const std::string out = out_.path("o");
  ASSERT_EQ(port(out).code, 0);
  const std::string md = out + "/operator_analysis.md", json = out + "/operator_analysis.json";
  std::string table = contents(md), data = contents(json);
  const size_t cell = table.find("| auto |"), entry = data.find("\"decision\": \"auto\"");
  ASSERT_NE(cell, std::string::npos) << table;
  ASSERT_NE(entry, std::string::npos) << data;
  table.replace(cell, 8, "| keep |");
  data.replace(entry, 18, "\"decision\": \"host\"");
  put(md, table);
  put(json, data);
  const Ran both = port(out);
  EXPECT_EQ(both.code, 2) << both.err;
  EXPECT_NE(both.err.find("operator_analysis"), std::string::npos) << both.err;
  EXPECT_EQ(contents(md), table) << "neither edit is lost";
  EXPECT_EQ(contents(json), data);
}

TEST_F(CliPort, OneRunAtATimeInAFolder) {
  const std::string out = out_.path("o");
  fs::create_directories(out + "/.npuport");
  const int lock = ::open((out + "/.npuport/lock").c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
  const Ran r = port(out);
  EXPECT_EQ(r.code, 3);
  EXPECT_EQ(document(r)["error"]["kind"], "output-locked");
  EXPECT_EQ(names(out), std::vector<std::string>{".npuport/lock"});
  ::close(lock);
  EXPECT_EQ(port(out).code, 0);
}

TEST_F(CliPort, AKilledRunIsTakenUpByTheNext) {
  const std::map<std::string, std::string> env = {{"SOURCE_DATE_EPOCH", "0"}};
  const std::string clean = out_.path("clean"), out = out_.path("killed");
  const Ran whole = port(clean, {}, env);
  ASSERT_EQ(whole.code, 0);
  for (int k = 1; k <= 6; ++k) {
    ProcessOptions options;
    options.argv = {binary(), "port",      model_,      "--target",  "mt8371",   "-o",
                    out,      "--samples", samples_[0], "--samples", samples_[1]};
    options.env = env;
    options.timeout = std::chrono::milliseconds(std::max(1, static_cast<int>(whole.seconds * 1000) * k / 7));
    (void)run_process(options);  // SIGKILL at the limit
    for (const auto& [file, hash] : tree(out)) {
      if (!file.ends_with(".json")) continue;
      EXPECT_FALSE(Json::parse(contents(out + "/" + file), nullptr, false).is_discarded());
    }
  }
  put(out + "/models/.x.tflite.12345.0.tmp", "a leftover of a killed run");
  ASSERT_EQ(port(out, {}, env).code, 0);
  // only the report may say that proofs were taken over
  auto without_report = [](const std::string& folder) {
    auto files = tree(folder);
    files.erase("report.json");
    files.erase("report.html");
    return files;
  };
  EXPECT_EQ(without_report(out), without_report(clean));
}

TEST_F(CliPort, IrTextCarriesItsConstants) {
  const std::string text = out_.path("net.txt");
  const Ran r = npuport_run({"convert", model_, "-o", text, "--samples", samples_[0], "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_TRUE(fs::exists(text + ".npz"));
  EXPECT_EQ(npuport_run({"verify", text, "--samples", samples_[1]}).code, 0);
  const Ran to_file = npuport_run({"convert", text, "-o", out_.path("x.tflite")});
  EXPECT_EQ(to_file.code, 0) << to_file.err;
  EXPECT_EQ(npuport_run({"verify", out_.path("x.tflite"), text, "--samples", samples_[1]}).code, 0);
  // rewritten for a target: the border's layout travels with the text
  const std::string turned = out_.path("turned.txt");
  ASSERT_EQ(npuport_run({"convert", model_, "-o", turned, "--samples", samples_[0], "--target", "mt8371", "--io-layout",
                         "nhwc"})
                .code,
            0);
  const Ran v = npuport_run({"verify", turned, "--samples", samples_[1]});
  EXPECT_EQ(v.code, 0) << v.out << v.err;
  fs::remove(text + ".npz");
  EXPECT_EQ(npuport_run({"run", text, "--samples", samples_[0]}).code, 2) << "no constants, no run";
}

TEST_F(CliPort, RunTakesShapesFromItsInputs) {
  const std::string out = out_.path("r.npz");
  const Ran r = npuport_run({"run", made("scripted.pt"), "--input", "x=" + made("net_x.npy"), "-o", out, "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(document(r)["samples"][0]["outputs"][0]["shape"], Json::array({1, 2, 8, 8}));
  const Ran same = npuport_run({"verify", made("scripted.pt"), "--samples", made("net.npz"), "--json"});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(npuport_run({"run", made("scripted.pt"), "--input", "x=" + made("net.npz")}).code, 2);
  const Ran timed = npuport_run({"run", made("net.pt"), "--samples", made("net.npz"), "--profile", "--json"});
  ASSERT_EQ(timed.code, 0) << timed.err;
  const Json profile = document(timed)["samples"][0]["profile"];
  ASSERT_FALSE(profile.empty());
  for (const Json& node : profile) {
    EXPECT_GE(node["milliseconds"].get<double>(), 0);
    for (const char* key : {"node", "op", "kernel"}) EXPECT_FALSE(node[key].get<std::string>().empty()) << node;
  }
  const Ran text = npuport_run({"run", made("net.pt"), "--samples", made("net.npz"), "--profile"});
  EXPECT_NE(text.out.find("slowest nodes"), std::string::npos) << text.out;
  // The last value is called out.0 like the output itself.
  const Ran all = npuport_run({"run", made("net.pt"), "--samples", made("net.npz"), "--dump", "all", "-o", out});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(npuport_run({"verify", made("net.pt"), out, "--samples", made("net.npz")}).code, 0);
}

TEST_F(CliPort, ConvertOptionsChangeTheBordersOnlyWhenAsked) {
  auto input_of = [&](const std::string& file) {
    const Ran r = npuport_run({"inspect", file, "--json"});
    return document(r).dump();
  };
  const std::string keep = out_.path("keep.tflite"), turn = out_.path("turn.tflite"), half = out_.path("half.tflite");
  for (const auto& [file, layout] : {std::pair{keep, "nchw"}, std::pair{turn, "nhwc"}}) {
    const Ran r = npuport_run({"convert", model_, "-o", file, "--samples", samples_[0], "--io-layout", layout});
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(npuport_run({"verify", file, "--samples", samples_[1]}).code, 0) << file;
  }
  // float16 counts for weights of a size worth it
  ASSERT_EQ(npuport_run({"convert", demo("edsr-nano/edsr.pt"), "-o", half, "--shape", "x=1x3x16x16", "--float16"}).code,
            0);
  EXPECT_NE(input_of(keep).find("[1,3,8,8]"), std::string::npos) << input_of(keep);
  EXPECT_NE(input_of(turn).find("[1,8,8,3]"), std::string::npos) << input_of(turn);
  EXPECT_NE(input_of(half).find("DEQUANTIZE"), std::string::npos) << input_of(half);
  const Ran host = npuport_run({"convert", made("embed.pt"), "-o", out_.path("e.tflite"), "--samples",
                                made("embed.npz"), "--split-host", "--target", "mt8371", "--json"});
  ASSERT_EQ(host.code, 0) << host.err;
  EXPECT_EQ(document(host)["files"].size(), 2u) << host.out;
  EXPECT_EQ(npuport_run({"verify", out_.path("e.tflite"), "--samples", made("embed.npz")}).code, 0);
}

TEST_F(CliPort, AnEmbeddingTableLiesBesideTheModel) {
  const std::string out = out_.path("o");
  model_ = made("embed.pt");
  samples_ = {made("embed.npz")};
  ASSERT_EQ(port(out, {"--name", "nano"}).code, 0);
  const Json info = Json::parse(contents(out + "/models/embedding_info.json"), nullptr, false);
  ASSERT_FALSE(info.is_discarded());
  EXPECT_EQ(info["vocab_size"], 50);
  EXPECT_EQ(info["width"], 8);
  EXPECT_EQ(info["dtype"], "float32");
  EXPECT_EQ(info["file"], "token_embedding.npy");
  const std::string table = out + "/models/token_embedding.npy";
  EXPECT_EQ(info["sha256"], sha256_file(table).value());
  EXPECT_EQ(fs::file_size(table) % 64, 50 * 8 * 4 % 64) << "a header of whole blocks, then the rows";
  const Json m = Json::parse(contents(out + "/models/nano_metadata.json"));
  EXPECT_EQ(m["parts"][0]["inputs"][0]["shape"], Json::array({1, 6, 8})) << "the file takes embeddings";
  EXPECT_EQ(npuport_run({"verify", out, "--samples", samples_[0]}).code, 0) << "the samples still hold ids";
  put(table, contents(table).substr(0, 200));
  EXPECT_EQ(npuport_run({"verify", out, "--samples", samples_[0]}).code, 2) << "a table that disagrees is refused";
}

TEST_F(CliPort, BisectionNamesLayerWeightsAndClass) {
  const Ran r = npuport_run({"verify", made("faulty.pt"), model_, "--samples", samples_[0], "--bisect", "--json"});
  EXPECT_EQ(r.code, 1) << r.err;
  const Json j = document(r);
  ASSERT_TRUE(j.contains("bisect")) << r.out;
  EXPECT_EQ(j["bisect"]["found"], true);
  EXPECT_NE(j["bisect"]["weights"].dump().find("second.weight"), std::string::npos) << j.dump(1);
  EXPECT_NE(j["bisect"]["class"].get<std::string>().find("weight"), std::string::npos) << j.dump(1);
  EXPECT_EQ(npuport_run({"verify", model_, model_, "--samples", samples_[0], "--bisect"}).code, 0);
}

}  // namespace
}  // namespace npuport::testing
