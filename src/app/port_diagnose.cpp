#include "app/port_diagnose.h"

#include <fmt/format.h>

#include "app/prepare_part.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "exec/bisect.h"

namespace npuport::app {
namespace {

void add_problem(PortStep& s, const PartRun& p, const std::string& what, const std::string& next) {
  Diag d(diag::gate_failed, "part " + p.spec->name + ": " + what, next);
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
    add_problem(s, p, "the imported graph computes something else than the baseline says",
                "check that samples and model belong together; then save inner values (`npuport trace --layers`) and "
                "run `npuport verify MODEL --samples S.npz --bisect --layers L.npz`, which names the first layer, its "
                "weights and the kind of repair");
  }
  return {};
}

Status diagnose_rewrite(PortContext& c, PartRun& p, const BoundSample& sample, PortStep& s) {
  NPU_ASSIGN(const std::vector<Tensor> file_inputs, to_file_inputs(p.contract, sample.inputs, {}));
  BisectOptions options;
  options.threads = c.run.app.threads;
  const Result<Bisection> b = bisect(p.imported.graph, sample.inputs, p.rewritten, file_inputs, options);
  if (!b) {
    add_problem(s, p, "the rewritten graph deviates, and bisection was not possible: " + b.error().message,
                "please report this with the model");
    return {};
  }
  Diag d(
      diag::gate_failed,
      fmt::format("part {}: {} ({} evaluations over {} values)", p.spec->name, b->sentence, b->evaluations, b->points),
      fmt::format(
          "kind of repair: {}; set the decision of the rewrite to keep or host in operator_analysis.md, or report it",
          name(b->repair)));
  d.at_node(b->op + " " + b->node).at_tensor(join(b->weights, ", ")).at_source(b->source);
  s.problems.push_back(std::move(d));
  return {};
}

}  // namespace npuport::app
