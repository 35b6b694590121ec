#include "app/port_proof.h"

#include <fmt/format.h>

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
  for (const BoundSample& sample : p.samples) {
    NPU_ASSIGN(const std::vector<Tensor> file_inputs, to_file_inputs(p.contract, sample.inputs, host));
    NPU_ASSIGN(const std::vector<Tensor> expected, p.rewritten_executor->run(file_inputs));
    NPU_ASSIGN(const std::vector<Tensor> got, executor.run(file_inputs));
    s.proofs.push_back(
        {p.spec->name, what, sample.name, "general", compare_all(got, expected, general_gate(*p.spec)), false});
  }
  return {};
}

}  // namespace npuport::app
