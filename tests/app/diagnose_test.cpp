// `npuport diagnose` as a user runs it, against a compiler that knows a table of operators.
#include <gmock/gmock.h>

#include "cli_support.h"
#include "ir/npy.h"
#include "support/paths.h"

namespace npuport::testing {
namespace {

// Operators an NPU of the modest kind has, as TFLite calls them.
const std::vector<std::string> kModest = {"ADD",
                                          "CONCATENATION",
                                          "CONV_2D",
                                          "DIV",
                                          "EQUAL",
                                          "BATCH_MATMUL",
                                          "FULLY_CONNECTED",
                                          "MEAN",
                                          "MUL",
                                          "POW",
                                          "RELU",
                                          "RESHAPE",
                                          "RESIZE_NEAREST_NEIGHBOR",
                                          "LOGISTIC",
                                          "SLICE",
                                          "SOFTMAX",
                                          "RSQRT",
                                          "SQRT",
                                          "SUB",
                                          "TRANSPOSE",
                                          "BROADCAST_TO",
                                          "SELECT_V2",
                                          "TANH",
                                          "SQUARED_DIFFERENCE",
                                          "PAD"};

std::string table_file(const TempFolder& folder, const std::vector<std::string>& ops) {
  std::string text;
  for (const std::string& op : ops) text += op + "\n";
  put(folder.path("table.txt"), text);
  return folder.path("table.txt");
}

std::string compiler(const std::string& table, const std::string& more = "") {
  return standin_op_table() + " " + more + " --table '" + table + "' {input} {output}";
}

// The decoder in the manner of EdgeSAM, made once by its own program: the whole, and its prompt encoder alone.
std::string decoder(const std::string& part) {
  static TempFolder folder;
  static std::map<std::string, std::string> made;
  if (const auto it = made.find(part); it != made.end()) return it->second;
  ProcessOptions options;
  options.argv = {torch_python(), source_dir() + "/tests/models/edge_sam.py",
                  "--out",        folder.path(part),
                  "--size",       "16",
                  "--width",      "32",
                  "--heads",      "4",
                  "--part",       part};
  options.env["PYTHONDONTWRITEBYTECODE"] = "1";
  options.timeout = std::chrono::seconds(300);
  const Result<ProcessResult> r = run_process(options);
  return made[part] = r && r->ok() ? folder.path(part) : std::string();
}

class Diagnose : public ::testing::Test {
 protected:
  void SetUp() override {
    if (decoder("prompt").empty()) GTEST_SKIP() << torch_python() << " has no PyTorch: the decoder cannot be made";
  }
  // Diagnoses a part of the decoder; `more`: further arguments.
  Ran run(const std::string& compiler_command, std::vector<std::string> more, const std::string& out = "out",
          const std::string& part = "prompt") {
    std::vector<std::string> args{"--json",
                                  "-j",
                                  "2",
                                  "diagnose",
                                  decoder(part) + "/edge_sam.pt",
                                  "--target",
                                  "generic-tflite",
                                  "--compiler",
                                  compiler_command,
                                  "--samples",
                                  decoder(part) + "/samples",
                                  "-o",
                                  folder_.path(out)};
    args.insert(args.end(), more.begin(), more.end());
    return npuport_run(args);
  }
  static std::string labels(const std::string& input = "labels") { return input + "=-1:3"; }
  TempFolder folder_;
};

std::set<std::string> refused_kinds(const Json& report) {
  std::set<std::string> out;
  for (const Json& k : report["refused_kinds"]) out.insert(k.get<std::string>());
  return out;
}
std::map<std::string, std::string> chosen(const Json& report) {
  std::map<std::string, std::string> out;
  for (const Json& round : report["rounds"])
    if (round.contains("cures"))
      for (const Json& c : round["cures"])
        for (const Json& k : c["operators"])
          if (const std::string how = c["chosen"].get<std::string>(); how != "another cure")
            out[k.get<std::string>()] = how;
  return out;
}

// The proving case: found, cured and merged without help; masks stay the same.
TEST_F(Diagnose, EdgeSamDecoderIsCuredUnattended) {
  const Ran r = run(compiler(table_file(folder_, kModest)), {"--range", labels("point_labels"), "--allow-approximate"},
                    "out", "all");
  ASSERT_EQ(r.code, 0) << r.out.substr(0, 4000) << r.err;
  const Json j = document(r);
  EXPECT_EQ(j["verdict"], "PASS");
  const std::set<std::string> refused = refused_kinds(j);
  for (const char* op : {"SIN", "COS", "CAST", "GREATER", "SUM", "GELU", "TRANSPOSE_CONV"})
    EXPECT_TRUE(refused.contains(op)) << op;
  const auto how = chosen(j);
  EXPECT_EQ(how.at("SIN"), "host");
  EXPECT_EQ(how.at("COS"), "host");
  EXPECT_EQ(how.at("GELU"), "gelu_erf_to_tanh");
  EXPECT_EQ(how.at("TRANSPOSE_CONV"), "conv_transpose_as_stretched_conv");
  const Json& m = j["merged"];
  EXPECT_THAT(m["chained"].get<std::string>(), ::testing::StartsWith("yes, bit for bit"));
  ASSERT_EQ(m["host_steps"].size(), 1U);
  int masks = 0;
  for (const Json& c : m["checks"]) {
    if (c.contains("iou")) {
      EXPECT_GT(c["iou"].get<double>(), 0.995) << c.dump();
      ++masks;
    } else {
      EXPECT_LT(c["max_diff"].get<double>(), 0.004) << c.dump();
    }
  }
  EXPECT_EQ(masks, 4);
  // Every fix stands in the ledger of the merged model, with its argument.
  std::set<std::string> ledger;
  for (const Json& e : m["ledger"])
    if (e["pass"] == "diagnose") {
      ledger.insert(e["rewrite"].get<std::string>());
      EXPECT_FALSE(e["argument"].get<std::string>().empty());
    }
  for (const char* fix : {"bool_as_number", "gelu_erf_to_tanh", "conv_transpose_as_stretched_conv", "host_prefix"})
    EXPECT_TRUE(ledger.contains(fix)) << fix;
  for (const auto& [op, n] : m["operators"].items())
    EXPECT_NE(std::find(kModest.begin(), kModest.end(), op), kModest.end()) << op;
  // The merged file with its host part runs on the original samples.
  const std::string folder = folder_.path("out/diagnose/");
  const Ran again = npuport_run({"run", folder + m["file"].get<std::string>(), "--samples",
                                 decoder("all") + "/samples/box.npz", "-o", folder_.path("r.npz")});
  EXPECT_EQ(again.code, 0) << again.err;
  for (const char* f : {"report.html", "report.json", "whitelist.json", "parts/part1.tflite", "parts/part1_inputs.npz"})
    EXPECT_TRUE(std::filesystem::exists(folder + f)) << f;
}

TEST_F(Diagnose, ExactOnlyKeepsTheNumbers) {
  std::vector<std::string> table = kModest;
  table.push_back("GELU");
  const Ran r = run(compiler(table_file(folder_, table), "--style legalize"), {"--range", labels()});
  ASSERT_EQ(r.code, 0) << r.out.substr(0, 4000) << r.err;
  const Json j = document(r);
  for (const Json& c : j["merged"]["checks"]) EXPECT_LT(c["max_diff"].get<double>(), 1e-3) << c.dump();
  for (const Json& e : j["merged"]["ledger"]) EXPECT_NE(e["class"], "approximate") << e["rewrite"];
}

TEST_F(Diagnose, ResumesFromItsCacheAndRepeatsItself) {
  const std::string command = compiler(table_file(folder_, kModest));
  const Ran one = run(command, {"--no-cure"});
  ASSERT_EQ(one.code, 1) << one.err;
  const Ran two = run(command, {"--no-cure"});
  const Json a = document(one), b = document(two);
  EXPECT_GT(a["compiles"].get<int>(), 5);
  EXPECT_EQ(b["compiles"].get<int>(), 0);
  EXPECT_EQ(a["rounds"][0]["culprits"].size(), b["rounds"][0]["culprits"].size());
  EXPECT_EQ(a["rounds"][0]["parts"], b["rounds"][0]["parts"]);
}

TEST_F(Diagnose, NothingPossibleLeavesReproducers) {
  std::vector<std::string> table = kModest;
  std::erase(table, "MUL");
  const Ran r = run(compiler(table_file(folder_, table)), {"--range", labels(), "--rounds", "1", "--no-host"});
  EXPECT_EQ(r.code, 1) << r.err;
  const Json j = document(r);
  EXPECT_EQ(j["verdict"], "FAIL");
  EXPECT_THAT(j["sentence"].get<std::string>(), ::testing::StartsWith("not cured"));
  const Json& culprits = j["rounds"][0]["culprits"];
  ASSERT_FALSE(culprits.empty());
  const std::string bundle = folder_.path("out/diagnose/") + culprits[0]["folder"].get<std::string>() + "/";
  for (const char* f : {"model.tflite", "inputs.npz", "command.sh", "log.txt", "about.json"})
    EXPECT_TRUE(std::filesystem::exists(bundle + f)) << f;
  EXPECT_THAT(contents(bundle + "log.txt"), ::testing::HasSubstr("unsupported nodes"));
}

TEST_F(Diagnose, CrashesAndLiesAreRefusals) {
  std::vector<std::string> table = kModest;
  for (const char* op : {"CAST", "GREATER", "SUM", "GELU", "TRANSPOSE_CONV", "SIN", "COS", "SQUARE"})
    table.push_back(op);
  const std::string file = table_file(folder_, table);
  const Json crash = document(run(compiler(file, "--crash COS"), {"--no-cure"}, "crash"));
  ASSERT_EQ(crash["rounds"][0]["culprits"].size(), 1U);
  EXPECT_EQ(crash["rounds"][0]["culprits"][0]["verdict"], "crashed");
  EXPECT_EQ(crash["rounds"][0]["culprits"][0]["operators"][0], "COS");
  const Json lie = document(run(compiler(file, "--lie SIN"), {"--no-cure"}, "lie"));
  ASSERT_EQ(lie["rounds"][0]["culprits"].size(), 1U);
  EXPECT_EQ(lie["rounds"][0]["culprits"][0]["operators"][0], "SIN");
  const Json size = document(run(compiler(file, "--max-ops 20"), {"--no-cure"}, "size"));
  EXPECT_TRUE(size["rounds"][0]["culprits"].empty());
  ASSERT_TRUE(size["rounds"][0].contains("size"));
  EXPECT_GE(size["rounds"][0]["size"]["pieces"].size(), 2U);
}

// `port` says what is known to trouble compilers, with the user's line and the cure, before any of them runs.
TEST_F(Diagnose, FilesOfTheCommandAreThoseOfTheCallersFolder) {
  const std::string table = std::filesystem::relative(table_file(folder_, kModest)).string();
  ASSERT_FALSE(table.starts_with("/"));
  const std::set<std::string> refused = refused_kinds(document(run(compiler(table), {"--no-cure"}, "relative")));
  EXPECT_TRUE(refused.contains("SIN"));
  EXPECT_FALSE(refused.contains("ADD"));
}

TEST_F(Diagnose, PortWarnsBeforeAnyCompiler) {
  const Ran r = npuport_run({"--json", "port", decoder("prompt") + "/edge_sam.pt", "--target", "generic-tflite",
                             "--samples", decoder("prompt") + "/samples", "-o", folder_.path("port"), "--name", "p"});
  const Json all = document(r);
  std::set<std::string> found;
  for (const Json& p : all["problems"]) {
    if (p["severity"] != "warning") continue;
    for (const char* what : {"sine and cosine", "turned into numbers"})
      if (p["message"].get<std::string>().find(what) != std::string::npos) {
        found.insert(what);
        EXPECT_THAT(p.dump(), ::testing::HasSubstr("edge_sam.py:"));
        EXPECT_FALSE(p["next"].get<std::string>().empty());
      }
  }
  EXPECT_EQ(found.size(), 2U) << all["problems"];
}

TEST_F(Diagnose, BadUsageIsSaid) {
  EXPECT_EQ(npuport_run(
                {"diagnose", decoder("prompt") + "/edge_sam.pt", "--target", "generic-tflite", "-o", folder_.path("o")})
                .code,
            2);
  EXPECT_EQ(run("no-such-compiler {input} {output}", {}).code, 3);
  EXPECT_EQ(run(compiler("t"), {"--range", "labels"}).code, 2);
  EXPECT_EQ(run(compiler("t"), {"--range", "nothing=0:1"}).code, 2);
  const Ran cut = run(compiler("t"), {"--cut", "nothing"});
  EXPECT_EQ(cut.code, 2);
  EXPECT_THAT(cut.err, ::testing::HasSubstr("values of the model"));
}

}  // namespace
}  // namespace npuport::testing
