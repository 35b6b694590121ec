// Every row, both ways: written, read back, run by LiteRT.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <regex>
#include <set>

#include "exec/executor.h"
#include "frontends/tflite.h"
#include "ir/text.h"
#include "ops/manifest.h"
#include "ops/tflite.h"
#include "support/litert.h"
#include "tflite_cases.h"
#include "writers/tflite_writer.h"

namespace npuport::testing {
namespace {

Tensor random_tensor(const TensorType& type, double lowest, double highest, std::mt19937& random) {
  Tensor t = Tensor::zeros(DType::f64, type.shape);
  std::uniform_real_distribution<double> numbers(lowest, highest);
  for (double& v : t.mut<double>()) v = numbers(random);
  if (type.dtype == DType::boolean) {
    for (double& v : t.mut<double>()) v = v > (lowest + highest) / 2;
  } else if (is_integer(type.dtype)) {
    for (double& v : t.mut<double>()) v = std::floor(v);
  }
  return cast_tensor(t, type.dtype);
}

// The graph of a case; constants have random numbers.
Result<Graph> graph_of(std::string_view body, double lowest, double highest, std::mt19937& random) {
  NPU_ASSIGN(Graph g, parse_graph("graph \"case\" {\n" + std::string(body) + "\n}\n"));
  std::vector<ValueId> inputs;
  for (const ValueId v : std::vector<ValueId>(g.inputs())) {
    const std::string name = g.value(v).name;
    if (name[0] != 'c') {
      inputs.push_back(v);
      continue;
    }
    const ValueId constant = g.add_constant(name + "_data", random_tensor(g.type(v), lowest, highest, random));
    g.replace_uses(v, constant);
  }
  g.set_inputs(inputs);
  for (const NodeId id : g.topological()) NPU_TRY(reinfer(g, id));
  return g.compacted();
}

std::vector<Tensor> inputs_for(const Graph& g, double lowest, double highest, std::mt19937& random) {
  std::vector<Tensor> in;
  for (const ValueId v : g.inputs()) in.push_back(random_tensor(g.type(v), lowest, highest, random));
  return in;
}

std::string joined(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view n : names) text += (text.empty() ? "" : " ") + std::string(n);
  return text;
}

void expect_close(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted, double tolerance,
                  const std::string& who) {
  ASSERT_EQ(got.size(), wanted.size()) << who;
  for (size_t k = 0; k < got.size(); ++k) {
    ASSERT_EQ(to_string(TensorType{got[k].dtype, got[k].shape, nullptr}),
              to_string(TensorType{wanted[k].dtype, wanted[k].shape, nullptr}))
        << who;
    double largest = 1;
    for (int64_t i = 0; i < wanted[k].count(); ++i) {
      const double v = std::fabs(get_double(wanted[k], i));
      if (std::isfinite(v)) largest = std::max(largest, v);
    }
    const double allowed = is_float(wanted[k].dtype) ? tolerance * largest : 0;
    for (int64_t i = 0; i < wanted[k].count(); ++i) {
      const double a = get_double(got[k], i), b = get_double(wanted[k], i);
      ASSERT_TRUE(std::fabs(a - b) <= allowed || a == b)
          << who << ": output " << k << "[" << i << "] " << a << " vs " << b;
    }
  }
}

ExecOptions reference() {
  ExecOptions o;
  o.threads = 1;
  o.overrides = false;
  return o;
}
TfliteOptions unsynced() {
  TfliteOptions o;
  o.sync = false;
  return o;
}

// Generated names by order of appearance: a node that was made and dropped leaves a gap in their numbers.
std::string renumbered(const std::string& text) {
  static const std::regex generated("%v[0-9]+");
  std::map<std::string, std::string> names;
  std::string out;
  auto from = text.cbegin();
  for (std::sregex_iterator it(text.begin(), text.end(), generated), end; it != end; ++it) {
    const std::string name = it->str();
    out.append(from, (*it)[0].first);
    out += names.emplace(name, "%v" + std::to_string(names.size())).first->second;
    from = (*it)[0].second;
  }
  return out.append(from, text.cend());
}

struct Prepared {
  TfliteCase c;
  std::string path;
  std::vector<Tensor> inputs, wanted;
};

// Writes, reads back, writes again; what is read must compute the same and print the same ever after.
Result<Prepared> prepare(const TfliteCase& c, const TempFolder& folder, size_t index) {
  std::mt19937 random(static_cast<unsigned>(index));
  NPU_ASSIGN(const Graph g, graph_of(c.body, c.lowest, c.highest, random));
  Prepared p{c, folder.path(std::to_string(index) + ".tflite"), inputs_for(g, c.lowest, c.highest, random), {}};
  NPU_ASSIGN(p.wanted, execute(g, p.inputs, reference()));
  std::vector<std::string_view> operators;
  for (const NodeId id : g.topological()) {
    if (const auto why = tflite_refusal(g, id)) return Diag(diag::not_representable, *why);
    for (const auto name : tflite_operators(g, id)) operators.push_back(name);
  }
  if (!c.operators.empty()) {
    EXPECT_EQ(joined(operators), c.operators) << c.name;
  }
  NPU_TRY(write_tflite(g, p.path, unsynced()));
  NPU_ASSIGN(const ImportedModel once, import_tflite(p.path, {}));
  EXPECT_TRUE(once.opaque.empty());
  EXPECT_TRUE(once.warnings.empty()) << to_text(once.warnings.front());
  NPU_ASSIGN(const auto again, execute(once.graph, p.inputs, reference()));
  expect_close(again, p.wanted, c.tolerance, std::string(c.name) + ", read back");
  const std::string second = p.path + "2", third = p.path + "3";
  NPU_TRY(write_tflite(once.graph, second, unsynced()));
  NPU_ASSIGN(const ImportedModel twice, import_tflite(second, {}));
  EXPECT_EQ(renumbered(print(twice.graph)), renumbered(print(once.graph))) << c.name;
  NPU_TRY(write_tflite(once.graph, third, unsynced()));
  NPU_ASSIGN(const std::string a, read_file(second));
  NPU_ASSIGN(const std::string b, read_file(third));
  EXPECT_EQ(a, b) << c.name;
  return p;
}

TEST(TfliteRows, WrittenReadBackAndRunByLitert) {
  const TempFolder folder;
  std::vector<Prepared> prepared;
  for (const TfliteCase& c : kTfliteCases) {
    SCOPED_TRACE(c.name);
    auto p = prepare(c, folder, prepared.size());
    EXPECT_TRUE(p.ok()) << c.name << ": " << (p.ok() ? "" : to_text(p.error()));
    if (p) prepared.push_back(*std::move(p));
  }
  if (litert_python().empty()) GTEST_SKIP() << "NPUPORT_TEST_LITERT_PYTHON is not set";
  std::vector<OracleCase> cases;
  for (const Prepared& p : prepared) cases.push_back({p.path, p.inputs});
  const auto results = run_litert(cases);
  ASSERT_TRUE(results.ok()) << to_text(results.error());
  for (size_t i = 0; i < prepared.size(); ++i) {
    EXPECT_EQ((*results)[i].error, "") << prepared[i].c.name;
    if ((*results)[i].error.empty()) {
      expect_close((*results)[i].outputs, prepared[i].wanted, prepared[i].c.tolerance,
                   std::string(prepared[i].c.name) + ", LiteRT");
    }
  }
}

TEST(TfliteRows, EveryWritableRowHasACase) {
  std::set<std::string, std::less<>> written;
  for (const TfliteCase& c : kTfliteCases) {
    std::mt19937 random(1);
    const auto g = graph_of(c.body, c.lowest, c.highest, random);
    if (!g) continue;
    for (const NodeId id : g->topological()) {
      for (const auto name : tflite_operators(*g, id)) written.emplace(name);
    }
  }
  for (const auto& rows : ops::tflite_rows()) {
    for (const TfliteRow& row : rows) {
      if (row.ours[0].empty()) continue;
      EXPECT_TRUE(written.contains(row.name)) << row.name << " is never written by a case";
    }
  }
}

TEST(TfliteRows, RefusalsSayWhy) {
  for (const TfliteRefusal& c : kTfliteRefusals) {
    std::mt19937 random(1);
    const auto g = graph_of(c.body, -2, 2, random);
    ASSERT_TRUE(g.ok()) << c.body << to_text(g.error());
    bool refused = false;
    for (const NodeId id : g->topological()) {
      const auto why = tflite_refusal(*g, id);
      if (!why) continue;
      refused = true;
      EXPECT_NE(why->find(c.reason), std::string::npos) << c.body << "\n" << *why;
      EXPECT_TRUE(tflite_operators(*g, id).empty());
    }
    EXPECT_TRUE(refused) << c.body;
    const TempFolder folder;
    const Status status = write_tflite(*g, folder.path("x.tflite"));
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, &diag::not_representable);
    EXPECT_FALSE(std::filesystem::exists(folder.path("x.tflite")));
  }
}

}  // namespace
}  // namespace npuport::testing
