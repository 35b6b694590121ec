// The operator cases of tests/conformance, imported as graphs, written as ONNX, checked by the onnx package and run by
// ONNX Runtime: the results are those of our own kernels.
#include <set>

#include "exec/executor.h"
#include "frontends/onnx.h"
#include "support/conformance.h"
#include "support/onnx_run.h"
#include "support/paths.h"
#include "support/temp_folder.h"
#include "writers/onnx_writer.h"

namespace npuport::testing {
namespace {

struct Written {
  std::string op;
  size_t number = 0;
  bool special = false;  // an input holds NaN or infinities, whose order and rounding ONNX leaves open
  std::vector<Tensor> expected;
  double rtol = 0, atol = 0;
};

class Suite {
 public:
  Suite(const CaseFile& file, int opset, int few) : file_(file), opset_(opset), few_(few) {}

  // The first few cases per operator (the writers are the same for all); every one with NPUPORT_TEST_ALL.
  void write_all() {
    const bool all = std::getenv("NPUPORT_TEST_ALL") != nullptr;
    const char* only = std::getenv("NPUPORT_TEST_OP");
    std::map<std::string, int> seen;
    size_t number = 0;
    for (const Json& one : file_.cases["cases"]) {
      const std::string op = one["op"].get<std::string>();
      const bool chosen = only == nullptr || op.find(only) != std::string::npos;
      if (chosen && (all || seen[op]++ < few_)) write(one, op, number);
      ++number;
    }
  }

  void run() {
    const Result<std::vector<OracleResult>> results = run_onnx(folder_.path(), cases_);
    ASSERT_TRUE(results) << to_text(results.error());
    for (size_t i = 0; i < results->size(); ++i) judge(written_[i], (*results)[i]);
  }

  // Our own reader takes the files as ONNX Runtime does.
  void read_back() {
    for (size_t i = 0; i < cases_.size(); ++i) {
      const Result<ImportedModel> back = import_onnx(cases_[i].model, {});
      if (!back) {
        report(written_[i], "not read back: " + to_text(back.error()));
      } else if (!back->opaque.empty()) {
        ++unread_[back->opaque.front().foreign];
      } else {
        const auto got = execute(back->graph, cases_[i].inputs, {.overrides = false});
        if (!got) {
          report(written_[i], "read back, it does not run: " + to_text(got.error()));
        } else {
          compare(written_[i], *got, "read back, ");
        }
      }
    }
  }

  size_t size() const { return cases_.size(); }
  const std::map<std::string, int>& unread() const { return unread_; }
  const std::map<std::string, int>& refused() const { return refused_; }
  const std::map<std::string, int>& unable() const { return unable_; }
  int special() const { return special_; }

 private:
  void write(const Json& one, const std::string& op, size_t number) {
    Replay replay(*file_.data, /*fold_inputs=*/false);
    Result<std::vector<Tensor>> expected = replay.run(one);
    if (!expected) return;  // the reader's own test says which these are
    const Graph& g = replay.graph();
    if (g.inputs().empty() || g.outputs().empty() || g.node_count() == 0) return;
    OracleCase c{folder_.path(std::to_string(number) + ".onnx"), {}};
    OnnxOptions options;
    options.sync = false;
    options.opset = options.lowest = opset_;
    const auto ok = write_onnx(g, c.model, options);
    if (!ok) {
      EXPECT_EQ(ok.error().code, &diag::not_representable) << op << ": " << to_text(ok.error());
      const Diag& why = ok.error().notes.empty() ? ok.error() : ok.error().notes.front();
      ++refused_[why.where.node + ": " + why.message];
      return;
    }
    for (const ValueId v : g.inputs()) c.inputs.push_back(replay.feeds().at(v));
    cases_.push_back(std::move(c));
    const DType t = expected->empty() ? DType::f32 : expected->front().dtype;
    const double rtol = std::max(one.value("rtol", default_rtol(t)), 2e-5);
    const double atol = one.value("atol", t == DType::f16 || t == DType::bf16 ? rtol : 1e-5);
    const bool special = std::any_of(cases_.back().inputs.begin(), cases_.back().inputs.end(), has_special);
    written_.push_back({op, number, special, std::move(*expected), rtol, atol});
  }

  void judge(const Written& w, const OracleResult& r) {
    if (!r.error.empty()) {
      // ONNX Runtime's CPU kernels lack some element types; NumPy has no bfloat16.
      const bool missing =
          r.error.find("NOT_IMPLEMENTED") != std::string::npos || r.error.find("bfloat16") != std::string::npos;
      if (!missing) return report(w, r.error);
      ++unable_[w.op];
      return;
    }
    compare(w, r.outputs, "");
  }

  void compare(const Written& w, const std::vector<Tensor>& got, const std::string& who) {
    if (got.size() != w.expected.size()) return report(w, who + std::to_string(got.size()) + " results");
    for (size_t k = 0; k < got.size(); ++k) {
      const std::string d = difference(got[k], w.expected[k], w.rtol, w.atol);
      if (d.empty()) continue;
      if (w.special) {
        ++special_;
      } else {
        report(w, who + "output " + std::to_string(k) + ": " + d);
      }
    }
  }

  static bool has_special(const Tensor& t) {
    for (int64_t i = 0; is_float(t.dtype) && i < t.count(); ++i) {
      if (!std::isfinite(get_double(t, i))) return true;
    }
    return false;
  }

  void report(const Written& w, const std::string& what) {
    if (++failures_[w.op] > 2) return;
    ADD_FAILURE() << "opset " << opset_ << ", " << w.op << " (case " << w.number << "): " << what.substr(0, 600);
  }

  const CaseFile& file_;
  int opset_, few_, special_ = 0;
  TempFolder folder_;
  std::vector<OracleCase> cases_;
  std::vector<Written> written_;
  std::map<std::string, int> refused_, unable_, unread_, failures_;
};

void run_opset(int opset, int few) {
  if (onnx_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON has no onnx and onnxruntime";
  std::string why;
  const CaseFile* file = case_file(binary_dir() + "/conformance-writers", why);
  if (file == nullptr) GTEST_SKIP() << why;
  Suite suite(*file, opset, few);
  suite.write_all();
  suite.read_back();
  suite.run();
  for (const auto& [what, count] : suite.unread()) std::cerr << count << " not read back: " << what << "\n";
  for (const auto& [what, count] : suite.refused()) std::cerr << count << " refused: " << what << "\n";
  int unable = 0;
  for (const auto& [op, count] : suite.unable()) unable += count;
  std::cerr << suite.size() << " files of opset " << opset << ", " << unable
            << " of an element type that ONNX Runtime's CPU kernels lack, " << suite.special()
            << " results of NaN or infinities differ\n";
  EXPECT_GT(suite.size(), 300u);
  EXPECT_LT(suite.special(), 40);
}

TEST(OnnxConformance, Opset17) { run_opset(17, 3); }
TEST(OnnxConformance, Opset13) { run_opset(13, 1); }
TEST(OnnxConformance, Opset11) { run_opset(11, 1); }

}  // namespace
}  // namespace npuport::testing
