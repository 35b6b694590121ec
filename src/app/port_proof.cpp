#include "app/port_proof.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "app/port_diagnose.h"
#include "app/prepare_part.h"

namespace npuport::app {

PortStep make_step(int number, const char* id, const char* title) {
  PortStep s;
  s.number = number;
  s.id = id;
  s.title = title;
  return s;
}

void conclude(PortStep& s) {
  s.verdict = Verdict::pass;
  for (const Proof& p : s.proofs) {
    if (worst(s.verdict, p.result.verdict) == s.verdict) continue;
    s.verdict = p.result.verdict;
    s.reason = fmt::format("{}{}{}: {}", p.part, p.sample.empty() ? "" : " " + p.sample,
                           p.what.empty() ? "" : " (" + p.what + ")", p.result.reason);
  }
}

Comparison compare_borders(std::vector<Tensor> got, std::vector<Tensor> expected, const ProjectPart& part) {
  for (size_t k = 0; k < got.size() && k < expected.size(); ++k) {
    if (got[k].dtype != DType::f32 || expected[k].dtype != DType::f32 || got[k].shape != expected[k].shape) continue;
    const std::span<const float> seen_a = got[k].as<float>(), seen_b = expected[k].as<float>();
    const auto same_infinity = [&](size_t i) { return std::isinf(seen_a[i]) && seen_a[i] == seen_b[i]; };
    size_t first = 0;
    while (first < seen_a.size() && !same_infinity(first)) ++first;
    if (first == seen_a.size()) continue;
    std::vector<float> a(seen_a.begin(), seen_a.end()), b(seen_b.begin(), seen_b.end());
    for (size_t i = first; i < a.size(); ++i)
      if (same_infinity(i)) a[i] = b[i] = 0;
    got[k] = Tensor::of<float>(got[k].shape, a);
    expected[k] = Tensor::of<float>(expected[k].shape, b);
  }
  return compare_all(got, expected, general_gate(part));
}

Status prove_read_back(PortContext& c, PartRun& p, const std::string& path, const char* what, PortStep& s) {
  NPU_ASSIGN(const ImportedModel back, import_model(path, {}));
  if (!back.opaque.empty()) {
    Proof proof{p.spec->name, what, "", "general", {}, false};
    proof.result.verdict = Verdict::unverified;
    proof.result.reason = "npuport does not read back its " + back.opaque.front().foreign;
    s.proofs.push_back(std::move(proof));
    return {};
  }
  ExecOptions exec;
  exec.threads = c.run.app.threads;
  NPU_ASSIGN(Executor executor, Executor::create(back.graph, exec));
  const HostRunner host = host_runner({}, c.run.path("models"));
  bool diagnosed = false;
  for (BoundSample& sample : p.samples) {
    NPU_ASSIGN(const std::vector<Tensor> file_inputs, to_file_inputs(p.contract, sample.inputs, host));
    NPU_ASSIGN(std::vector<Tensor> expected, run_rewritten(p, sample, file_inputs));
    NPU_ASSIGN(std::vector<Tensor> got, executor.run(file_inputs));
    s.proofs.push_back({p.spec->name, what, sample.name, "general",
                        compare_borders(std::move(got), std::move(expected), *p.spec), false});
    if (s.proofs.back().result.verdict == Verdict::fail && !std::exchange(diagnosed, true))
      diagnose_written(c, p, back.graph, file_inputs, s);
  }
  return {};
}

}  // namespace npuport::app
