// One fault planted in each step: the run stops there, says no, and leaves nothing of a later step.
#include "app/cli_support.h"

namespace npuport::testing {
namespace {

namespace fs = std::filesystem;

// What each step leaves, by the start of the path.
const std::vector<std::pair<int, std::string>> kArtefacts = {
    {2, "operator_analysis."}, {5, "models/"}, {7, "scripts/"}, {8, "test/outputs/debug/"}};

class CliFault : public WithModels {
 protected:
  // A whole good run first: what it left must go. The second run's report where it wrote one.
  Ran faulty(std::vector<std::string> good, std::vector<std::string> bad) {
    const auto line = [&](std::vector<std::string> more) {
      std::vector<std::string> all{"port"};
      all.insert(all.end(), more.begin(), more.end());
      all.insert(all.end(), {"-o", folder_, "--json"});
      return npuport_run(all);
    };
    const Ran first = line(std::move(good));
    EXPECT_EQ(first.code, 0) << first.err;
    EXPECT_EQ(missing(9), "");
    return line(std::move(bad));
  }
  // Artefacts of steps before `step` that are not there; empty = none.
  std::string missing(int step) const {
    std::string out;
    for (const auto& [made_by, start] : kArtefacts)
      if (made_by < step && !any(start)) out += start + " ";
    return out;
  }
  // Artefacts of `step` and later that are there.
  std::string left(int step) const {
    std::string out;
    for (const auto& [made_by, start] : kArtefacts)
      if (made_by >= step && any(start)) out += start + " ";
    return out;
  }
  bool any(const std::string& start) const {
    for (const auto& [file, hash] : tree(folder_))
      if (file.starts_with(start)) return true;
    return false;
  }
  static std::string verdicts(const Ran& r) {
    std::string out;
    const Json report = document(r);
    for (const Json& s : report["steps"]) out += (out.empty() ? "" : " ") + s["verdict"].get<std::string>();
    return out;
  }
  std::string rewrites(const std::string& numerics) {
    const std::string file = out_.path("rows.toml");
    put(file, R"(version = 1
[[rewrite]]
name = "no_relu"
match = '%y = conv2d(%x, %w, %b, activation="relu", rest=$r)'
replace = '%y = conv2d(%x, %w, %b, rest=$r)'
numerics = ")" + numerics +
                  "\"\n");
    return file;
  }

  std::vector<std::string> models() const {
    std::vector<std::string> out;
    for (const auto& [file, hash] : tree(folder_ + "/models"))
      if (file.ends_with(".tflite")) out.push_back(file);
    return out;
  }

  std::string folder_ = out_.path("o");
  std::vector<std::string> net_{made("net.pt"), "--target", "mt8371", "--samples", made("net.npz")};
  std::vector<std::string> with(std::vector<std::string> line, const std::vector<std::string>& more) const {
    line.insert(line.end(), more.begin(), more.end());
    return line;
  }
};

TEST_F(CliFault, RewriteThatItsOwnProofRefutes) {
  const Ran r = faulty(net_, with(net_, {"--rewrites", rewrites("exact")}));
  EXPECT_EQ(r.code, 1);
  EXPECT_NE(document(r)["error"]["message"].get<std::string>().find("no_relu"), std::string::npos) << r.out;
  EXPECT_EQ(left(3), "");
}

TEST_F(CliFault, RewrittenGraphThatDiffers) {
  const Ran r = faulty(net_, with(net_, {"--rewrites", rewrites("approximate"), "--allow-approximate"}));
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_EQ(verdicts(r), "PASS PASS FAIL") << r.err;
  EXPECT_EQ(missing(3), "");
  EXPECT_EQ(left(3), "");
}

TEST_F(CliFault, TaskThatComesOutOtherwise) {
  const auto project = [&](const std::string& name, const std::string& sample) {
    const std::string file = out_.path(name);
    put(file,
        "version = 1\nname = \"net\"\ntarget = \"mt8371\"\n[[part]]\nname = \"net\"\nmodel = \"" + made("net.pt") +
            "\"\nshape_tag = \"8x8\"\ninputs = [{name=\"x\", shape=[1,3,8,8], dtype=\"float32\"}]\nsamples = [\"" +
            made("net.npz") + "\"]\ngate = {kind=\"general\"}\n[task]\nkind = \"sr\"\nsamples = [\"" + sample +
            "\"]\ngate = {kind=\"image\", peak=1}\n");
    return file;
  };
  const Ran r = faulty({project("good.toml", made("net.npz"))}, {project("bad.toml", made("wrong_baseline.npz"))});
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_EQ(verdicts(r), "PASS PASS PASS FAIL") << r.err;
  EXPECT_EQ(missing(4), "");
  EXPECT_EQ(left(4), "");
}

TEST_F(CliFault, FileThatDoesNotComputeTheGraph) {
  // Weights up to 37: float16 keeps three digits of them, the gate wants 1e-3.
  const std::vector<std::string> loud{made("loud.pt"), "--target", "mt8371", "--samples", made("loud.npz")};
  const Ran r = faulty(loud, with(loud, {"--float16"}));
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_EQ(verdicts(r), "PASS PASS PASS PASS FAIL") << r.err;
  EXPECT_EQ(missing(5), "");
  EXPECT_EQ(left(5), "");
}

TEST_F(CliFault, DebugOutputsThatCannotBeWritten) {
  const std::vector<std::string> other{made("net.pt"), "--target", "mt8371", "--samples", made("net2.npz")};
  const Ran first =
      npuport_run({"port", made("net.pt"), "--target", "mt8371", "--samples", made("net.npz"), "-o", folder_});
  ASSERT_EQ(first.code, 0) << first.err;
  fs::remove_all(folder_ + "/test/outputs/debug");
  put(folder_ + "/test/outputs/debug", "in the way");
  const Ran r = npuport_run(with({"port", "-o", folder_, "--json"}, other));
  EXPECT_EQ(r.code, 3) << r.err;
  EXPECT_NE(document(r)["error"].dump().find("debug"), std::string::npos) << r.out;
  EXPECT_EQ(missing(8), "");
  EXPECT_EQ(left(8), "");
  EXPECT_EQ(contents(folder_ + "/test/outputs/debug"), "in the way") << "not ours to remove";
}

// ---- rewrites of the user's own

TEST_F(CliFault, RewritesThatHoldAreAppliedAndReported) {
  const std::string file = out_.path("good.toml");
  put(file, R"(version = 1
[[rewrite]]
name = "relu_as_maximum"
doc = "max(x, 0): the definition"
match = '%y = conv2d(%x, %w, %b, activation="relu", rest=$r)'
replace = '%c = conv2d(%x, %w, %b, rest=$r); %y = maximum(%c, 0)'
)");
  const std::vector<std::string> line = with({"port", "-o", folder_}, net_);
  ASSERT_EQ(npuport_run(line).code, 0);
  const Ran r = npuport_run(with(line, {"--rewrites", file}));
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_NE(contents(folder_ + "/report.json").find("relu_as_maximum"), std::string::npos);
  const Ran inspected = npuport_run({"inspect", folder_ + "/models/" + models().front(), "--json"});
  EXPECT_EQ(document(inspected)["operators"]["MAXIMUM"], 2) << inspected.out;
  const Ran again = npuport_run(with(line, {"--rewrites", file}));
  EXPECT_NE(again.err.find("unchanged"), std::string::npos) << again.err;
  for (const char* text :
       {"version = 1\n", "version = 2\n[[rewrite]]\n", "version = 1\n[[rewrite]]\nname = \"a\"\n",
        "version = 1\n[[rewrite]]\nname = \"a\"\nmatch = \"%y = relu(%x\"\nreplace = \"%y = neg(%x)\"\n",
        "version = 1\n[[rewrite]]\nname = \"a\"\nmatch = \"%y = relu(%x)\"\nreplace = \"%y = neg(%z)\"\n",
        "nonsense"}) {
    put(file, text);
    const Ran bad = npuport_run(with(line, {"--rewrites", file}));
    EXPECT_EQ(bad.code, 2) << text << bad.err;
    EXPECT_NE(bad.err.find("good.toml"), std::string::npos) << bad.err;
  }
}

TEST_F(CliFault, MisspeltDecisionsAreAQuestion) {
  const std::vector<std::string> line = with({"port", "-o", folder_}, net_);
  ASSERT_EQ(npuport_run(line).code, 0);
  const std::string md = folder_ + "/operator_analysis.md";
  std::string table = contents(md);
  const size_t cell = table.find("| auto |");
  ASSERT_NE(cell, std::string::npos) << table;
  table.replace(cell, 8, "| gather_as_slice |");
  put(md, table);
  const Ran r = npuport_run(line);
  EXPECT_EQ(r.code, 2) << r.err;
  EXPECT_NE(r.err.find("gather_as_slices"), std::string::npos) << r.err;
  EXPECT_EQ(contents(md), table) << "the edit is not lost";
}

}  // namespace
}  // namespace npuport::testing
