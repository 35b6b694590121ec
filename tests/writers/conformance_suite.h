// The operator cases of tests/conformance, imported as graphs, written in one format, read back by our own reader and
// run by the format's runtime: the results are those of our own kernels.
#pragma once

#include <set>

#include "exec/executor.h"
#include "frontends/frontend.h"
#include "support/conformance.h"
#include "support/oracle.h"
#include "support/temp_folder.h"

namespace npuport::testing {

// One format and the runtime that answers for it.
struct FormatUnderTest {
  std::string name;  // "opset 17"
  std::string ending;
  std::string cases = "conformance-writers";  // folder of the build for the cases: one per test program
  double rtol = 2e-5;                         // at least
  bool wide_halves = false;  // f16 and bf16 are computed in f32: results are nearer to the truth than PyTorch's
  // Writes the graph, which it may rewrite, and turns inputs and expected outputs into the file's.
  std::function<Status(Graph&, const std::string& path, std::vector<Tensor>& inputs, std::vector<Tensor>& expected)>
      write;
  std::function<Result<ImportedModel>(const std::string& path)> read;
  std::function<Result<std::vector<OracleResult>>(const std::string& folder, const std::vector<OracleCase>&)> run;
  // Whether the runtime says that its kernels lack the element type.
  std::function<bool(const std::string& error)> unable;
  // Whether a difference is the runtime's own: it computes this operator otherwise there. None: never.
  std::function<bool(const std::string& op, const std::string& what)> excused = {};
};

struct Written {
  std::string op;
  size_t number = 0;
  bool special = false;  // an input holds NaN or infinities, whose order and rounding ONNX leaves open
  std::vector<Tensor> expected;
  double rtol = 0, atol = 0;
};

class ConformanceSuite {
 public:
  ConformanceSuite(const CaseFile& file, FormatUnderTest format, int few)
      : file_(file), format_(std::move(format)), few_(few) {}

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
    const Result<std::vector<OracleResult>> results = format_.run(folder_.path(), cases_);
    ASSERT_TRUE(results) << to_text(results.error());
    for (size_t i = 0; i < results->size(); ++i) judge(written_[i], (*results)[i]);
  }

  // Our own reader takes the files as ONNX Runtime does.
  void read_back() {
    for (size_t i = 0; i < cases_.size(); ++i) {
      const Result<ImportedModel> back = format_.read(cases_[i].model);
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
    Graph g = replay.graph();
    if (g.inputs().empty() || g.outputs().empty() || g.node_count() == 0) return;
    OracleCase c{folder_.path(std::to_string(number) + format_.ending), {}};
    for (const ValueId v : g.inputs()) c.inputs.push_back(replay.feeds().at(v));
    const Status ok = format_.write(g, c.model, c.inputs, *expected);
    if (!ok) {
      EXPECT_EQ(ok.error().code, &diag::not_representable) << op << ": " << to_text(ok.error());
      const Diag& why = ok.error().notes.empty() ? ok.error() : ok.error().notes.front();
      ++refused_[why.where.node + ": " + why.message];
      return;
    }
    cases_.push_back(std::move(c));
    DType t = expected->empty() ? DType::f32 : expected->front().dtype;
    if (format_.wide_halves) t = coarsest(replay.graph());
    const double rtol = std::max(one.value("rtol", default_rtol(t)), format_.rtol);
    const double atol = one.value("atol", t == DType::f16 || t == DType::bf16 ? rtol : 1e-5);
    const bool special = std::any_of(cases_.back().inputs.begin(), cases_.back().inputs.end(), has_special);
    written_.push_back({op, number, special, std::move(*expected), rtol, atol});
  }

  void judge(const Written& w, const OracleResult& r) {
    if (!r.error.empty()) {
      if (!format_.unable(r.error)) return report(w, r.error);
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

  // bf16 or f16 when a value is of that type, else f32.
  static DType coarsest(const Graph& g) {
    DType found = DType::f32;
    const auto look = [&](ValueId v) {
      if (!v.valid()) return;
      const DType t = g.type(v).dtype;
      if (t == DType::bf16 || (t == DType::f16 && found == DType::f32)) found = t;
    };
    for (const NodeId id : g.topological()) {
      for (const ValueId v : g.node(id).inputs) look(v);
      for (const ValueId v : g.node(id).outputs) look(v);
    }
    return found;
  }

  static bool has_special(const Tensor& t) {
    for (int64_t i = 0; is_float(t.dtype) && i < t.count(); ++i) {
      if (!std::isfinite(get_double(t, i))) return true;
    }
    return false;
  }

  void report(const Written& w, const std::string& what) {
    if (format_.excused && format_.excused(w.op, what)) {
      ++special_;
      return;
    }
    if (++failures_[w.op] > 2) return;
    ADD_FAILURE() << format_.name << ", " << w.op << " (case " << w.number << "): " << what.substr(0, 600);
  }

  const CaseFile& file_;
  FormatUnderTest format_;
  int few_, special_ = 0;
  TempFolder folder_;
  std::vector<OracleCase> cases_;
  std::vector<Written> written_;
  std::map<std::string, int> refused_, unable_, unread_, failures_;
};

// Runs the suite, prints what was refused, and demands at least `least` files.
inline void run_conformance(FormatUnderTest format, int few, size_t least, int most_special) {
  std::string why;
  const CaseFile* file = case_file(binary_dir() + "/" + format.cases, why);
  if (file == nullptr) GTEST_SKIP() << why;
  const std::string name = format.name;
  ConformanceSuite suite(*file, std::move(format), few);
  suite.write_all();
  suite.read_back();
  suite.run();
  for (const auto& [what, count] : suite.unread()) std::cerr << count << " not read back: " << what << "\n";
  for (const auto& [what, count] : suite.refused()) std::cerr << count << " refused: " << what << "\n";
  int unable = 0;
  for (const auto& [op, count] : suite.unable()) unable += count;
  std::cerr << suite.size() << " files of " << name << ", " << unable
            << " of an element type that the runtime's kernels lack, " << suite.special()
            << " results of NaN or infinities differ\n";
  EXPECT_GT(suite.size(), least);
  EXPECT_LT(suite.special(), most_special);
}

}  // namespace npuport::testing
