// The operator cases of tests/conformance, imported as graphs, written for PyTorch in both forms, and run by PyTorch:
// the results are those of our own kernels.
#include <set>

#include "exec/executor.h"
#include "frontends/torchscript.h"
#include "support/conformance.h"
#include "support/paths.h"
#include "support/torch_run.h"
#include "writers/torchscript_writer.h"

namespace npuport::testing {
namespace {

struct Written {
  std::string op;
  size_t number = 0;
  std::vector<Tensor> expected;
  double rtol = 0, atol = 0;
};

class Suite {
 public:
  explicit Suite(const CaseFile& file) : file_(file) {}

  // Cases per operator: all with NPUPORT_TEST_ALL, else the first few (the rows are the same).
  void write_all() {
    const bool all = std::getenv("NPUPORT_TEST_ALL") != nullptr;
    constexpr int few = 3;
    std::map<std::string, int> seen;
    size_t number = 0;
    for (const Json& one : file_.cases["cases"]) {
      const std::string op = one["op"].get<std::string>();
      if (all || seen[op]++ < few) write(one, op, number);
      ++number;
    }
  }

  // `who` names the interpreter in messages.
  void run(const std::string& python, const std::string& who) {
    who_ = who;
    const Result<std::vector<OracleResult>> results = run_torch(python, folder_.path(), cases_);
    ASSERT_TRUE(results) << to_text(results.error());
    ASSERT_EQ(results->size(), cases_.size());
    for (size_t i = 0; i < results->size(); ++i) judge(written_[i], (*results)[i]);
  }

  // Our own reader takes the archives as PyTorch does.
  void read_back() {
    for (size_t i = 0; i < cases_.size(); ++i) {
      const Result<ImportedModel> back = import_torchscript(cases_[i].model, {});
      if (!back || !back->opaque.empty()) {
        report(written_[i], "not read back: " + (back ? back->opaque.front().foreign : to_text(back.error())));
        continue;
      }
      const Result<std::vector<Tensor>> got = execute(back->graph, cases_[i].inputs, {.overrides = false});
      if (!got) {
        report(written_[i], "read back, it does not run: " + to_text(got.error()));
        continue;
      }
      compare(written_[i], *got, "read back: ");
    }
  }

  size_t size() const { return cases_.size(); }
  const std::map<std::string, int>& refused() const { return refused_; }
  const std::map<std::string, int>& unable() const { return unable_; }

 private:
  void write(const Json& one, const std::string& op, size_t number) {
    Replay replay(*file_.data, /*fold_inputs=*/false);
    Result<std::vector<Tensor>> expected = replay.run(one);
    if (!expected) return;  // the reader's own test says which these are
    Graph g = replay.graph();
    if (g.inputs().empty() || g.outputs().empty()) return;
    g.name = "case";
    const std::string stem = folder_.path(std::to_string(number));
    const Status ok = write_torchscript(g, stem + ".pt", {.sync = false});
    if (!ok) {
      EXPECT_EQ(ok.error().code, &diag::not_representable) << op << ": " << to_text(ok.error());
      ++refused_[to_text(ok.error().notes.empty() ? ok.error() : ok.error().notes.front())];
      return;
    }
    const Result<std::string> source = torch_model_source("case", {{&g, "case", std::to_string(number) + ".pt"}});
    ASSERT_TRUE(source) << to_text(source.error());
    ASSERT_TRUE(write_file(stem + ".py", *source));
    OracleCase c{stem + ".pt", {}, stem + ".py", "Case"};
    for (const ValueId v : g.inputs()) c.inputs.push_back(replay.feeds().at(v));
    cases_.push_back(std::move(c));
    const DType t = expected->empty() ? DType::f32 : expected->front().dtype;
    const double rtol = one.value("rtol", default_rtol(t));
    const double atol = one.value("atol", t == DType::f16 || t == DType::bf16 ? rtol : 5e-6);
    written_.push_back({op, number, std::move(*expected), rtol, atol});
  }

  void judge(const Written& w, const OracleResult& r) {
    if (!r.error.empty()) {
      // PyTorch on a CPU lacks some element types.
      const bool missing =
          r.error.find("not implemented for") != std::string::npos || r.error.find("_out_frame") != std::string::npos;
      if (missing) {
        ++unable_[w.op];
      } else {
        report(w, who_ + ": " + r.error);
      }
      return;
    }
    compare(w, r.outputs, who_ + ": ");
    if (!r.source.empty()) report(w, who_ + ", Python file: " + r.source);
  }

  void compare(const Written& w, const std::vector<Tensor>& got, const std::string& who) {
    if (got.size() != w.expected.size()) return report(w, who + std::to_string(got.size()) + " results");
    for (size_t k = 0; k < got.size(); ++k) {
      const std::string d = difference(got[k], w.expected[k], w.rtol, w.atol);
      if (!d.empty()) report(w, who + "output " + std::to_string(k) + ": " + d);
    }
  }

  static bool zeros(const std::vector<Tensor>& all) {
    for (const Tensor& t : all)
      for (int64_t i = 0; i < t.count(); ++i)
        if (get_double(t, i) != 0) return false;
    return true;
  }

  // What PyTorch 1.8 cannot: reductions of scatter that came later, floor_divide by zero giving an infinity, the
  // largest element over an empty dim, products over one (it leaves the result unwritten).
  bool beyond_old(const Written& w, const std::string& what) const {
    const auto says = [&](const char* text) { return what.find(text) != std::string::npos; };
    return who_ != "PyTorch" &&
           (says("Unknown builtin op: aten::scatter_reduce") || says("scatter_(): Expected floating") ||
            says("operation does not have an identity") || (w.op == "aten::matmul" && zeros(w.expected)) ||
            (w.op == "aten::floor_divide" && says("nan instead of")));
  }

  void report(const Written& w, const std::string& what) {
    if (beyond_old(w, what)) {
      ++unable_[w.op];
      return;
    }
    if (++failures_[w.op] > 2) return;
    ADD_FAILURE() << w.op << " (case " << w.number << "): " << what.substr(0, 600);
  }

  const CaseFile& file_;
  std::string who_;
  TempFolder folder_;
  std::vector<OracleCase> cases_;
  std::vector<Written> written_;
  std::map<std::string, int> refused_, unable_, failures_;
};

TEST(TorchScriptConformance, PyTorchComputesWhatTheGraphComputes) {
  std::string why;
  const CaseFile* file = case_file(binary_dir() + "/conformance-writers", why);
  if (file == nullptr) GTEST_SKIP() << why;
  Suite suite(*file);
  suite.write_all();
  EXPECT_GT(suite.size(), 1000u);
  suite.read_back();
  suite.run(torch_python(), "PyTorch");
  // The oldest PyTorch that vendors' converters bring; skipped where it is not installed.
  if (!old_torch_python().empty()) suite.run(old_torch_python(), "old PyTorch");
  for (const auto& [what, count] : suite.refused()) std::cerr << count << " refused: " << what << "\n";
  int unable = 0;
  for (const auto& [op, count] : suite.unable()) unable += count;
  std::cerr << suite.size() << " archives, " << unable << " of an element type that PyTorch's CPU kernels lack\n";
}

}  // namespace
}  // namespace npuport::testing
