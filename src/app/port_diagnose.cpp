#include "app/port_diagnose.h"

#include <fmt/format.h>

#include "app/prepare_part.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "exec/bisect.h"
#include "exec/traps.h"

namespace npuport::app {
namespace {

void add_problem(PortStep& s, const PartRun& p, const std::string& what, const std::string& next) {
  Diag d(diag::gate_failed, "part " + p.spec->name + ": " + what, next);
  s.problems.push_back(std::move(d));
}

std::string with_lesson(const std::string& next, const Lesson* l) {
  return l ? next + " (lesson " + std::string(l->id) + ")" : next;
}

// What is known to go wrong in ports, looked for in the numbers: all samples of the part against PyTorch's outputs.
Result<bool> add_trap(PortContext& c, const PartRun& p, PortStep& s) {
  TrapQuestion q{p.imported.graph, {}, general_gate(*p.spec), nullptr, c.run.app.threads};
  for (const BoundSample& b : p.samples)
    if (!b.baseline.empty()) q.samples.push_back({b.inputs, b.baseline});
  NPU_ASSIGN(const std::optional<TrapFinding> found, find_trap(q));
  if (!found) return false;
  Diag d(diag::gate_failed, "part " + p.spec->name + ": " + found->sentence,
         with_lesson(std::string(found->lesson->cure), found->lesson));
  s.problems.push_back(std::move(d.at_tensor(found->tensor)));
  return true;
}

// The first node of `candidate` that deviates from the reference, its weights, place and kind of repair.
void add_bisection(PortContext& c, const PartRun& p, const Graph& reference, std::span<const Tensor> reference_inputs,
                   const Graph& candidate, std::span<const Tensor> inputs, const std::string& next, PortStep& s) {
  BisectOptions options;
  options.threads = c.run.app.threads;
  const Result<Bisection> b = bisect(reference, reference_inputs, candidate, inputs, options);
  if (!b) {
    add_problem(s, p, "bisection was not possible: " + b.error().message, "please report this with the model");
    return;
  }
  Diag d(
      diag::gate_failed,
      fmt::format("part {}: {} ({} evaluations over {} values)", p.spec->name, b->sentence, b->evaluations, b->points),
      with_lesson(fmt::format("kind of repair: {}; {}", name(b->repair), next), b->lesson));
  d.at_node(b->op + " " + b->node).at_tensor(join(b->weights, ", ")).at_source(b->source);
  s.problems.push_back(std::move(d));
}

}  // namespace

Status diagnose_import(PortContext& c, PartRun& p, const BoundSample& sample, PortStep& s) {
  ExecOptions exec;
  exec.threads = c.run.app.threads;
  exec.overrides = false;
  NPU_ASSIGN(const std::vector<Tensor> reference, execute(p.imported.graph, sample.inputs, exec));
  Proof proof{p.spec->name,
              "second attempt: reference kernels = PyTorch",
              sample.name,
              "general",
              compare_all(reference, sample.baseline, general_gate(*p.spec)),
              false};
  const bool kernels = proof.result.verdict == Verdict::pass;
  s.proofs.push_back(std::move(proof));
  if (kernels) {
    add_problem(s, p, "the reference kernels agree with PyTorch, a fast kernel does not",
                "please report this with the model; `npuport run --reference` gives right results");
  } else {
    NPU_ASSIGN(const bool named, add_trap(c, p, s));
    add_problem(s, p,
                named ? "if that is not it: the imported graph computes something else than the baseline says"
                      : "the imported graph computes something else than the baseline says",
                "check that samples and model belong together; then save inner values (`npuport trace --layers`) and "
                "run `npuport verify MODEL --samples S.npz --bisect --layers L.npz`, which names the first layer, its "
                "weights and the kind of repair");
  }
  return {};
}

Status diagnose_rewrite(PortContext& c, PartRun& p, const BoundSample& sample, PortStep& s) {
  NPU_ASSIGN(const std::vector<Tensor> file_inputs, to_file_inputs(p.contract, sample.inputs, {}));
  add_bisection(c, p, p.imported.graph, sample.inputs, p.rewritten, file_inputs,
                "set the decision of the rewrite to keep or host in operator_analysis.md, or report it", s);
  return {};
}

void diagnose_written(PortContext& c, const PartRun& p, const Graph& read_back, std::span<const Tensor> file_inputs,
                      PortStep& s) {
  add_bisection(c, p, p.rewritten, file_inputs, read_back, file_inputs,
                "the written file does not say what the graph says: please report this with the model", s);
}

}  // namespace npuport::app
